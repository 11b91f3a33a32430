"""Child processes end in time with all that they started, and get only what they are given."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from towline.errors import ConfigError, Interrupted, MachineError
from towline.files import enter_workspace
from towline.limits import ProcessLimits
from towline.process import _GUARD, Completed, Overrun, attend, find, run

CALM = {"PATH": "/usr/bin:/bin"}


def python(
    code: str,
    *,
    stdin: bytes = b"",
    folder: Path | None = None,
    environment: dict[str, str] | None = None,
    **limits: Any,
) -> Completed:
    words, most = [sys.executable, "-I", "-c", code], ProcessLimits(**{"seconds": 300.0, **limits})
    return run(
        words,
        environment=CALM if environment is None else environment,
        stdin=stdin,
        limits=most,
        folder=folder,
    )


def gone(pid: int) -> bool:
    """Whether the process is gone before two minutes are over; a zombie that nobody has waited
    for counts as gone.
    """
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            state = (
                Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
            )
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_code_output_and_input_are_passed_through() -> None:
    ended = python(
        "import sys; d = sys.stdin.buffer.read(); sys.stdout.buffer.write(d[::-1]); print('no',"
        " file=sys.stderr); sys.exit(7)",
        stdin=b"a\xff\0b",
    )
    assert ended == Completed(code=7, out=b"b\0\xffa", err=b"no\n")


def test_a_signal_is_a_negative_code() -> None:
    assert python("import os; os.kill(os.getpid(), 11)").code == -11


def test_input_without_content_is_at_its_end_at_once() -> None:
    assert python("import sys; print(repr(sys.stdin.read()))").out == b"''\n"


def test_much_input_and_output_at_once_do_not_block_each_other() -> None:
    data = os.urandom(4_000_000)
    ended = python(
        "import sys, shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer);"
        " sys.stderr.write('e' * 300_000)",
        stdin=data,
    )
    assert (ended.out == data, len(ended.err)) == (True, 300_000)


@pytest.mark.parametrize("code", ["print('done')", "import os; os.close(0); print('done')"])
def test_a_child_that_does_not_read_its_input_ends_as_it_ends(code: str) -> None:
    assert python(code, stdin=b"x" * 4_000_000) == Completed(code=0, out=b"done\n", err=b"")


def test_a_child_sees_the_given_environment_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWLINE_TEST_SECRET", "hunter2hunter2")
    ended = run(["/usr/bin/env"], environment={"ONLY": "this"})
    assert ended.out == b"ONLY=this\n"


def test_a_child_inherits_no_open_file(tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as stream:
        os.set_inheritable(stream.fileno(), True)
        ended = python(
            "import os, sys; print([os.path.exists(f'/proc/self/fd/{n}') for n in map(int,"
            " sys.stdin.read().split())])",
            stdin=str(stream.fileno()).encode(),
        )
    assert ended.out == b"[False]\n"


def test_a_child_leads_a_session_of_its_own() -> None:
    ended = python("import os; print(os.getpid() == os.getpgid(0) == os.getsid(0))")
    assert ended.out == b"True\n"


def test_a_child_runs_in_the_folder_given(tmp_path: Path) -> None:
    assert python("import os; print(os.getcwd())", folder=tmp_path).out.decode().strip() == str(
        tmp_path.resolve()
    )


# What must not outlive it


def with_grandchild(
    tmp_path: Path, then: str, *, redirect: str = "", stdin: bytes = b"", seconds: float = 60.0
) -> Completed:
    """A shell that starts a process which ignores SIGTERM, and then runs `then`.

    It writes the id of that process to `tmp_path`.
    """
    script = f"trap '' TERM; sleep 600 {redirect} & echo $! > {tmp_path}/pid; {then}"
    return run(
        ["/bin/sh", "-c", script],
        environment=CALM,
        stdin=stdin,
        limits=ProcessLimits(seconds=seconds),
    )


def noted(tmp_path: Path) -> int:
    return int((tmp_path / "pid").read_text())


def test_a_deadline_kills_the_child_and_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline passes as soon as the child has a child, however long that takes."""
    real, note, calls = time.monotonic, tmp_path / "pid", itertools.count()
    monkeypatch.setattr(
        time,
        "monotonic",
        lambda: (
            real()
            + (1000 if next(calls) and note.exists() and note.read_text().endswith("\n") else 0)
        ),
    )
    with pytest.raises(Overrun, match="time limit") as caught:
        with_grandchild(tmp_path, "wait", seconds=600)
    monkeypatch.undo()
    assert caught.value.limit == "time limit"
    assert gone(noted(tmp_path))


@pytest.mark.parametrize("size", [0, 5000])
def test_a_child_that_stops_reading_and_goes_on_still_has_a_deadline(size: int) -> None:
    with pytest.raises(Overrun, match="time limit"):
        python(
            f"import os, time; {size} and os.read(0, {size}); time.sleep(600)",
            stdin=b"x" * 4_000_000,
            seconds=0.5,
        )


def test_a_child_that_closed_its_outputs_still_has_a_deadline() -> None:
    with pytest.raises(Overrun, match="time limit"):
        python("import os, time; os.close(1); os.close(2); time.sleep(600)", seconds=0.5)


@pytest.mark.parametrize(
    "redirect", ["< /dev/null > /dev/null 2>&1", ""], ids=["quiet", "holding the pipes"]
)
def test_the_children_of_a_child_that_ended_are_killed_and_not_waited_for(
    tmp_path: Path, redirect: str
) -> None:
    ended = with_grandchild(
        tmp_path, "head -c 200000 /dev/zero", redirect=redirect, stdin=b"y" * 200_000
    )
    assert (ended.code, len(ended.out)) == (0, 200_000)
    assert gone(noted(tmp_path))


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_more_output_than_the_cap_ends_the_child(tmp_path: Path, stream: str) -> None:
    note = tmp_path / "pid"
    with pytest.raises(Overrun, match="output cap"):
        python(
            f"import os, sys\nopen({str(note)!r}, 'w').write(str(os.getpid()))\nwhile True:"
            f" sys.{stream}.write('x' * 65536)",
            output=1_000_000,
        )
    assert gone(int(note.read_text()))


def test_output_up_to_the_cap_is_whole() -> None:
    assert (
        len(python("import sys; sys.stdout.write('x' * 1_000_000)", output=1_000_000).out)
        == 1_000_000
    )


# What cannot be started


def test_a_missing_program_is_named() -> None:
    with pytest.raises(MachineError, match="cannot start no-such-program: No such file") as caught:
        run(["/usr/bin/no-such-program"], environment=CALM)
    assert caught.value.hint == "install no-such-program or put it on PATH"


@pytest.mark.parametrize(
    ("content", "mode", "said", "hint"),
    [
        (
            "#!/bin/sh\n",
            0o644,
            "Permission denied",
            "name a program that this user may run (chmod +x tool)",
        ),
        (
            "echo hi\n",
            0o755,
            "Exec format error",
            "let the first line of tool name its interpreter, as #!/bin/sh does, and install that",
        ),
        (
            "#!/none/sh\n",
            0o755,
            "No such file or directory",
            "let the first line of tool name its interpreter, as #!/bin/sh does, and install that",
        ),
    ],
)
def test_a_program_that_cannot_be_started_gets_a_hint(
    tmp_path: Path, content: str, mode: int, said: str, hint: str
) -> None:
    (tmp_path / "tool").write_text(content)
    (tmp_path / "tool").chmod(mode)
    with pytest.raises(MachineError) as caught:
        run([str(tmp_path / "tool")], environment=CALM)
    assert (caught.value.message, caught.value.hint) == (f"cannot start tool: {said}", hint)


def test_too_many_arguments_for_a_program_are_reported() -> None:
    with pytest.raises(MachineError, match="cannot start true: Argument list too long") as caught:
        run(["/bin/true", "x" * 1_000_000], environment=CALM)
    assert caught.value.hint == "pass fewer or shorter arguments, and shorter variables"


def test_a_missing_folder_is_not_taken_for_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="in its folder: No such file") as caught:
        run(["/bin/true"], environment=CALM, folder=tmp_path / "missing")
    assert caught.value.where == str(tmp_path / "missing")
    assert "PATH" not in caught.value.hint


@pytest.mark.parametrize(
    ("word", "environment"), [("a\0b", CALM), ("a", {"NAME": "a\0b"}), ("\ud800", CALM)]
)
def test_a_value_that_no_program_can_be_given_is_a_fault_of_the_configuration(
    word: str, environment: dict[str, str]
) -> None:
    with pytest.raises(ConfigError, match="true cannot be started with these values"):
        run(["/bin/true", word], environment=environment)


# Finding


def test_a_program_is_found_on_the_path_of_the_given_environment(tmp_path: Path) -> None:
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find("tool", {"PATH": f"/nowhere:{tmp_path}"}) == str(program)
    assert find("tool", {"PATH": "/nowhere"}) is None
    assert find("sh", {}) in {"/bin/sh", "/usr/bin/sh"}


@pytest.mark.parametrize("path", ["{here}", "{here}/bin", "{link}", ".", "", "./bin:", ":"])
def test_programs_of_the_workspace_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    workspace = tmp_path / "workspace"
    for folder in (workspace, workspace / "bin"):
        folder.mkdir(exist_ok=True)
        (folder / "tool").write_text("#!/bin/sh\n")
        (folder / "tool").chmod(0o755)
    (tmp_path / "link").symlink_to(workspace / "bin")
    monkeypatch.chdir(workspace)
    assert find("tool", {"PATH": path.format(here=workspace, link=tmp_path / "link")}) is None


@pytest.mark.parametrize(
    "sign",
    [
        {},
        {"WORKSPACE": "{workspace}"},
        {"GITHUB_WORKSPACE": "{workspace}"},
        {"CI_PROJECT_DIR": "{workspace}"},
    ],
)
def test_programs_of_the_whole_workspace_do_not_count_wherever_the_step_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sign: dict[str, str]
) -> None:
    workspace = tmp_path / "workspace"
    for folder in (workspace / "app", workspace / "bin", *([] if sign else [workspace / ".git"])):
        folder.mkdir(parents=True)
    (workspace / "bin" / "tool").write_text("#!/bin/sh\n")
    (workspace / "bin" / "tool").chmod(0o755)
    monkeypatch.chdir(workspace / "app")
    enter_workspace(
        workspace / "app", {name: value.format(workspace=workspace) for name, value in sign.items()}
    )
    assert find("tool", {"PATH": str(workspace / "bin")}) is None
    enter_workspace(tmp_path, {"WORKSPACE": "/"})
    assert find("tool", {"PATH": "/nowhere:/bin"}) is None
    assert find("sh", {"PATH": "/nowhere:/bin"}) == "/bin/sh"


def test_programs_of_the_checkout_around_a_submodule_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".git").write_text("gitdir: ../.git/modules/sub\n")
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    (tmp_path / "tool").chmod(0o755)
    monkeypatch.chdir(tmp_path / "sub")
    enter_workspace(tmp_path / "sub", {})
    assert find("tool", {"PATH": str(tmp_path)}) is None


def test_a_child_too_finds_no_program_of_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path, left in (
        (f"{tmp_path}/bin:/usr/bin:.:/bin:", "/usr/bin:/bin"),
        (str(tmp_path), os.defpath),
    ):
        ended = run(["/bin/sh", "-c", "echo $PATH"], environment={"PATH": path})
        assert ended.out.decode().strip() == left


def test_a_program_behind_the_workspaces_own_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sh").write_text("#!/bin/sh\n")
    (tmp_path / "sh").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    assert find("sh", {"PATH": f"{tmp_path}:/bin"}) == "/bin/sh"


def test_nothing_is_left_open_or_unwaited() -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    pids = [int(python("import os; print(os.getpid())").out) for _ in range(3)]
    assert sorted(Path("/proc/self/fd").iterdir()) == before
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


# ---- a program of the caller's own


def attended(code: str, *, seconds: float = 300.0) -> tuple[int, bytes, bytes]:
    taken = {1: b"", 2: b""}

    def take(stream: int, piece: bytes) -> None:
        taken[stream] += piece

    return (
        attend([sys.executable, "-I", "-c", code], environment=CALM, take=take, seconds=seconds),
        taken[1],
        taken[2],
    )


def test_what_runs_ends_with_this_process_even_where_that_is_killed(tmp_path: Path) -> None:
    """A child that has left its pipes, and its own child, as git and what it asks a host with;
    and nothing of what has ended before.
    """
    sign = tmp_path / "pids"
    child = (
        f"sleep 600 & echo $$ $! $PPID > {sign}.new; mv {sign}.new {sign}; exec sleep 600 <"
        " /dev/null > /dev/null 2>&1"
    )
    code = (
        "from towline.process import run\n"
        "run(['/bin/true'], environment={})\n"
        f"run(['/bin/sh', '-c', {child!r}], environment={CALM!r})"
    )
    engine = subprocess.Popen([sys.executable, "-c", code])
    end = time.monotonic() + 120
    while not sign.exists():
        assert engine.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    leader, below, parent = map(int, sign.read_text().split())
    assert parent == engine.pid
    engine.kill()
    engine.wait()
    assert gone(leader)
    assert gone(below)


def told(shell: str, *lines: str) -> list[str]:
    """The processes that the guard kills in the end, in the words of its `kill`."""
    script = f'kill() {{ echo "$*"; }}\n{_GUARD}'
    ended = subprocess.run(
        [shell, "-c", script],
        env={},
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stderr == ""
    return ended.stdout.splitlines()


@pytest.mark.parametrize(
    "shell", sorted({path for path in ("/bin/sh", find("bash", CALM)) if path})
)
def test_a_group_that_has_ended_is_killed_no_more(shell: str) -> None:
    assert told(shell, "+ 11", "+ 12", "+ 1", "- 11", "- 99", "- 11", "+ 2", "- 1") == [
        "-9 -12",
        "-9 -2",
    ]
    assert told(shell, "+ 11", "- 11") == []
    assert told(shell) == []


def test_an_attended_program_has_its_code_and_both_streams() -> None:
    assert attended("import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)") == (
        7,
        b"out\n",
        b"err\n",
    )
    assert attended("import os; os.kill(os.getpid(), 9)")[0] == -9


def test_what_it_writes_comes_while_it_runs(tmp_path: Path) -> None:
    """The program goes on only after its first line was read."""
    sign = tmp_path / "taken"
    code = (
        f"import os, time; print('first', flush=True)\nwhile not os.path.exists({str(sign)!r}):"
        " time.sleep(0.01)\nprint('second')"
    )
    pieces: list[bytes] = []

    def take(_stream: int, piece: bytes) -> None:
        pieces.append(piece)
        sign.touch()

    assert attend([sys.executable, "-I", "-c", code], environment=CALM, take=take, seconds=300) == 0
    assert b"".join(pieces) == b"first\nsecond\n"


def test_it_reads_what_this_process_reads_and_has_no_limits_of_ours() -> None:
    """It is started by a process that has limited its own memory, as the engine does."""
    inner = (
        "import resource, sys; print(sys.stdin.read(), resource.getrlimit(resource.RLIMIT_DATA)[0])"
    )
    code = (
        "import resource, sys; from towline.limits import hold_self; from towline.process import"
        f" attend; hold_self();attend([sys.executable, '-I', '-c', {inner!r}], environment={{}},"
        " seconds=300, take=lambda stream, piece: print(piece.decode(),"
        " end=''));print(resource.getrlimit(resource.RLIMIT_DATA)[0])"
    )
    ended = run(
        [sys.executable, "-c", code],
        environment=CALM,
        stdin=b"given",
        limits=ProcessLimits(seconds=300, memory=8 * 1024**3),
    )
    assert ended.out.decode().split() == ["given", str(8 * 1024**3), str(4 * 1024**3)], ended.err


def test_where_this_ends_first_it_may_put_its_things_away() -> None:
    # not by print, which the signal may interrupt
    put_away = (
        "import os, signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'put"
        " away\\n'), sys.exit(0)))"
    )
    taken: list[bytes] = []

    def take(_stream: int, piece: bytes) -> None:
        taken.append(piece)
        if piece == b"ready\n":
            raise Interrupted(15)

    with pytest.raises(Interrupted):
        attend(
            [
                sys.executable,
                "-I",
                "-c",
                f"{put_away}; print('ready', flush=True); time.sleep(600)",
            ],
            environment=CALM,
            take=take,
            seconds=300,
        )
    assert b"".join(taken) == b"ready\nput away\n"


def test_what_nobody_reads_any_more_is_read_no_more() -> None:
    """The other stream is read to its end."""
    taken: list[tuple[int, bytes]] = []

    def take(stream: int, piece: bytes) -> None:
        taken.append((stream, piece))
        if stream == 1:
            raise BrokenPipeError

    code = (
        "import os, sys\ntry:\n  while True: os.write(1, b'x')\nexcept BrokenPipeError: print('it"
        " is told', file=sys.stderr)"
    )
    assert attend([sys.executable, "-I", "-c", code], environment=CALM, take=take, seconds=300) == 0
    assert [stream for stream, _ in taken].count(1) == 1
    assert b"".join(piece for stream, piece in taken if stream == 2) == b"it is told\n"


def test_an_attended_program_ends_in_time() -> None:
    with pytest.raises(Overrun, match="time limit"):
        attended("import time; time.sleep(600)", seconds=0.2)


def test_what_it_leaves_running_stays() -> None:
    """A daemon of a build tool also serves other builds, and stays as it does without us."""
    left = (
        "import subprocess, sys; print(subprocess.Popen([sys.executable, '-I', '-c', 'import time;"
        " time.sleep(600)']).pid)"
    )
    code, out, _ = attended(left)
    pid = int(out)
    try:
        assert code == 0
        os.kill(pid, 0)
    finally:
        os.kill(pid, signal.SIGKILL)
    assert gone(pid)
