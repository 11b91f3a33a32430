"""resources/towline/engine.sh, the launcher, under each shell: which program it runs and never
runs, how it fills the cache, and which result the library gets.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.serve import Answer, CutAnswer, Fault, LoopbackServer, Request, Status, on
from tests.launcher import PYTHON, SHELLS, Agent, Ended, finish, sha256, small_engine
from towline.contract import Request as Call
from towline.contract import encode_result
from towline.errors import MachineError

RESULT = '{"status": "success", "exitCode": 0}'
ENGINE = small_engine(
    "import json, sys\n"
    "print('from the cache', file=sys.stderr)\n"
    "print(json.dumps({'status': 'success', 'words': sys.argv[1:], 'exitCode': 0}))\n"
)
SUM = sha256(ENGINE)
MISSING = (
    "the engine is not on this agent; install it so that 'towline' is on PATH, or set"
    " TOWLINE_ENGINE on the agent to the absolute path of its program"
)


@pytest.fixture(params=SHELLS)
def agent(request: pytest.FixtureRequest, tmp_path: Path) -> Agent:
    return Agent(tmp_path, request.param)


def program(folder: Path, says: str, name: str = "towline") -> Path:
    """A program in `folder` that prints `says` and its arguments."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\nprintf '%s\\n' '{says}' \"$@\"\n")
    path.chmod(0o755)
    return path


def path_of(*folders: object, agent: Agent) -> str:
    return ":".join(map(str, (*folders, agent.programs)))


def said(ended: Ended) -> list[str]:
    """The lines of a program that ended well."""
    assert ended.code == 0, ended
    return ended.out.splitlines()


# ---- which program runs


def test_the_named_program_runs_with_the_arguments_as_they_are(agent: Agent) -> None:
    named = program(agent.folder / "tools with blanks", "named")
    ended = agent.run("run", "a  b", "", "$HOME", TOWLINE_ENGINE=str(named))
    assert said(ended) == ["named", "run", "a  b", "", "$HOME"]


def test_a_named_program_overrides_one_on_path(agent: Agent) -> None:
    program(agent.programs, "path")
    named = program(agent.folder / "tools", "named")
    assert said(agent.run("run", TOWLINE_ENGINE=str(named))) == ["named", "run"]
    assert said(agent.run("run")) == ["path", "run"]


def test_relative_entries_of_path_and_the_workspace_are_left_out(agent: Agent) -> None:
    for folder in (agent.workspace, agent.workspace / "bin", agent.folder / "beside"):
        program(folder, "changed by a pull request")
    tools = agent.folder / "tools"
    program(tools, "path")
    (agent.folder / "link").symlink_to(agent.workspace / "bin")
    path = path_of(
        "bin:.::../beside",
        agent.workspace,
        f"{agent.workspace}/bin/",
        f"{tools}/../job/bin",
        agent.folder / "link",
        "/nowhere",
        "/",
        tools,
        agent=agent,
    )
    assert said(agent.run("run", PATH=path)) == ["path", "run"]


def test_a_link_to_a_program_of_the_workspace_is_still_the_workspace(agent: Agent) -> None:
    links, others = agent.folder / "links", agent.folder / "others"
    for folder, target in ((links, agent.workspace / "bin"), (others, agent.folder / "tools")):
        folder.mkdir()
        (folder / "towline").symlink_to(program(target, "linked"))
    ended = agent.run("run", PATH=path_of(links, agent=agent))
    assert (ended.code, ended.err) == (9, f"towline: {MISSING}\n")
    assert said(agent.run("run", PATH=path_of(others, agent=agent))) == ["linked", "run"]


def test_in_a_folder_of_the_workspace_the_whole_workspace_is_left_out(agent: Agent) -> None:
    program(agent.workspace / "bin", "changed by a pull request")
    sub = agent.workspace / "sub"
    sub.mkdir()
    path = path_of(agent.workspace / "bin", agent=agent)
    agent.here = sub
    assert agent.run("run", PATH=path).code == 9


def test_a_program_of_the_workspace_is_neither_the_python_nor_a_tool_of_the_launcher(
    agent: Agent,
) -> None:
    (agent.folder / "empty").mkdir()
    for name in ("python3", "python3.11", "mkdir", "ls", "mv", "find"):
        for folder in (agent.workspace / "bin", agent.workspace):
            program(folder, "changed by a pull request", name)
    agent.name_engine(SUM)
    path = path_of(
        agent.workspace / "bin", "bin", ".", "", agent.folder / "empty", "/", agent=agent
    )
    ended = agent.deliver(ENGINE, PATH=path)
    assert ended.result["status"] == "success"


def test_the_engine_gets_path_as_it_is(agent: Agent) -> None:
    named = program(agent.folder / "tools", "x")
    named.write_text('#!/bin/sh\necho "{\\"path\\": \\"$PATH\\", \\"exitCode\\": 0}"\n')
    path = path_of(agent.workspace / "bin", agent=agent)
    assert agent.run(TOWLINE_ENGINE=str(named), PATH=path).result["path"] == path


def test_variables_by_which_python_would_load_code_first_are_removed(agent: Agent) -> None:
    named = program(agent.folder / "tools", "x")
    named.write_text('#!/bin/sh\necho "${PYTHONPATH-} ${PYTHONHOME-} ${PYTHONSTARTUP-}."\n')
    at = str(agent.workspace)
    ended = agent.run(
        "run", TOWLINE_ENGINE=str(named), PYTHONPATH=at, PYTHONHOME=at, PYTHONSTARTUP="x.py"
    )
    assert said(ended) == ["  ."]


def test_a_machine_without_an_engine_is_told_what_to_set(agent: Agent) -> None:
    assert agent.run().message == MISSING
    assert agent.run().result["error"]["category"] == "infrastructure"
    assert agent.run().result["exitCode"] == 9


def test_a_named_program_that_cannot_run_or_is_in_the_workspace_is_refused(agent: Agent) -> None:
    plain = agent.folder / "plain"
    plain.write_text("x")
    inside = program(agent.workspace, "changed by a pull request")
    for path in (agent.folder / "none", plain, agent.folder, inside):
        assert agent.run(TOWLINE_ENGINE=str(path)).message == (
            f"TOWLINE_ENGINE ('{path}') is not an executable file outside of the workspace; set it"
            " on the agent to the engine's program"
        )
    assert agent.run(TOWLINE_ENGINE="./towline").message == (
        "TOWLINE_ENGINE must be an absolute path, not './towline'; set it on the agent"
    )


def test_an_engine_without_its_python_is_reported_with_that_pythons_name(agent: Agent) -> None:
    named = program(agent.programs, "x")
    named.write_text("#!/opt/gone/bin/python3 -I\nprint('x')\n")
    expected = (
        f"'{named}' needs /opt/gone/bin/python3, which is not on this agent; install Python 3.11"
        " or newer there, or install the engine again"
    )
    assert agent.run(TOWLINE_ENGINE=str(named)).message == expected
    assert agent.run().message == expected


def test_a_named_zipapp_is_run_by_a_python_that_is_new_enough(agent: Agent) -> None:
    named = agent.folder / "towline.pyz"
    named.write_bytes(ENGINE)
    assert agent.run(TOWLINE_ENGINE=str(named)).result["status"] == "success"


def test_an_engine_that_is_not_a_script_runs_as_well(agent: Agent) -> None:
    binary = agent.folder / "towline"
    shutil.copy("/bin/true", binary)
    assert said(agent.run("run", TOWLINE_ENGINE=str(binary))) == []


# ---- the call of the library


def test_the_call_becomes_the_engines_command_line(agent: Agent) -> None:
    engine = agent.folder / "towline.pyz"
    engine.write_bytes(ENGINE)
    call = {"TOWLINE_ENGINE": str(engine)}
    request = ["--request", "env:TOWLINE_REQUEST", "--result", "-"]
    words = agent.run(**call).result["words"]
    assert words == ["run", "someStep", *request]
    call |= {"TOWLINE_CALL_COMMAND": "plan", "TOWLINE_CALL_STEP": "", "TOWLINE_CALL_STAGE": "A B"}
    assert agent.run(**call).result["words"] == ["plan", *request, "--stage", "A B"]
    call["TOWLINE_CALL_IF_ACTIVE"] = "yes"
    assert agent.run(**call).result["words"][-1] == "--if-active"
    call["TOWLINE_CALL_COMMAND"] = ""
    assert "TOWLINE_CALL_COMMAND is not set" in agent.run(**call).message


def test_a_request_in_a_file_is_removed_after_the_engine_has_read_it(agent: Agent) -> None:
    engine = agent.folder / "towline.pyz"
    engine.write_bytes(
        small_engine(
            "import json, sys\nprint(json.dumps({'read': open(sys.argv[4]).read(), 'exitCode': 0}))"
        )
    )
    request = agent.beside / "towline-1" / "request.json"
    for variables in ({"TOWLINE_ENGINE": str(engine)}, {"TOWLINE_ENGINE": "/nowhere"}):
        request.parent.mkdir()
        request.write_text("the request")
        ended = agent.run(**variables, TOWLINE_REQUEST=None, TOWLINE_REQUEST_FILE=str(request))
        assert ended.result.get("read", "the request") == "the request"
        assert not request.parent.exists()


def test_a_request_in_a_file_is_kept_for_the_call_after_the_delivery(agent: Agent) -> None:
    agent.name_engine(SUM)
    request = agent.beside / "towline-1" / "request.json"
    request.parent.mkdir()
    request.write_text("the request")
    file = {"TOWLINE_REQUEST": None, "TOWLINE_REQUEST_FILE": str(request)}
    target = Path(agent.run(**file).result["target"])
    assert request.exists()
    target.write_bytes(ENGINE)
    assert agent.run(**file, TOWLINE_DELIVERED=str(target)).result["status"] == "success"
    assert not request.parent.exists()


@pytest.mark.parametrize(
    ("source", "how", "code"),
    [
        ("exit 3", "ended with exit code 3", 3),
        ("echo no JSON", "ended with exit code 0", 9),
        ("kill -9 $$", "was killed by signal 9", 137),
        (f"echo '{RESULT}'; kill -9 $$", "was killed by signal 9", 137),
        ("printf '{\"half'; kill -9 $$", "was killed by signal 9", 137),
    ],
)
def test_an_engine_that_leaves_no_result_gets_one(
    agent: Agent, source: str, how: str, code: int
) -> None:
    named = program(agent.folder / "tools", "x")
    named.write_text(f"#!/bin/sh\n{source}\n")
    ended = agent.run(TOWLINE_ENGINE=str(named))
    assert ended.message.startswith(f"the engine {how} and left no result; ")
    assert ended.result["error"]["category"] == "infrastructure"
    assert ended.result["exitCode"] == code


def test_a_result_with_its_exit_code_is_handed_on_as_it_is(agent: Agent) -> None:
    text = '{"text": "ünï $HOME \\\\ \\" `x`", "exitCode": 5, "last": []}'
    named = program(agent.folder / "tools", "x")
    named.write_text(f"#!/bin/sh\nprintf '%s\\n' '{text}'\necho a log line >&2\nexit 5\n")
    ended = agent.run(TOWLINE_ENGINE=str(named))
    assert (ended.out, ended.err, ended.code) == (text + "\n", "a log line\n", 0)


def test_the_launchers_own_result_has_the_fields_of_the_contract(agent: Agent) -> None:
    path = '/no"where\\in\n the\x07 wörld'
    ended = agent.run(TOWLINE_ENGINE=path, TOWLINE_CALL_STAGE='A "stage"')
    assert ended.message.startswith("TOWLINE_ENGINE ('/no\"where\\in  the  wörld')")
    fault = MachineError("x")
    fields: dict[str, Any] = encode_result(
        Call(), fault, exit_code=fault.exit_code, seconds=0, version=""
    )
    assert set(ended.result) == set(fields)
    assert set(ended.result["error"]) == set(fields["error"])
    assert ended.result["stage"] == 'A "stage"'


def test_an_abort_waits_for_the_engine_and_leaves_the_word_to_jenkins(agent: Agent) -> None:
    engine = agent.folder / "towline.pyz"
    engine.write_bytes(
        small_engine(
            "import os, signal, sys\n"
            "def end(*_):\n"
            '    print(\'{"status": "aborted", "exitCode": 143}\', flush=True)\n'
            "    os._exit(143)\n"
            "signal.signal(signal.SIGTERM, end)\n"
            "print('ready', file=sys.stderr, flush=True)\n"
            "while True: signal.pause()\n"
        )
    )
    child = agent.start(TOWLINE_ENGINE=str(engine))
    assert child.stderr
    assert child.stderr.readline() == "ready\n"
    os.killpg(child.pid, signal.SIGTERM)
    ended = finish(child)
    assert (ended.code, ended.out) == (143, "")


def test_an_abort_before_the_engine_has_a_result_ends_alike(agent: Agent) -> None:
    engine = agent.folder / "towline.pyz"
    engine.write_bytes(
        small_engine("import sys, signal\nprint(file=sys.stderr, flush=True)\nsignal.pause()\n")
    )
    child = agent.start(TOWLINE_ENGINE=str(engine))
    assert child.stderr
    child.stderr.readline()
    os.killpg(child.pid, signal.SIGTERM)
    ended = finish(child)
    assert (ended.code, ended.out) == (143, "")


def test_an_engine_that_is_interrupted_alone_is_reported_as_aborted(agent: Agent) -> None:
    engine = agent.folder / "towline.pyz"
    engine.write_bytes(small_engine("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n"))
    result = agent.run(TOWLINE_ENGINE=str(engine)).result
    assert (result["status"], result["exitCode"]) == ("aborted", 143)
    assert result["error"]["category"] == "custom"


# ---- the cache, filled by the library


def test_the_library_is_asked_for_its_engine_once(agent: Agent) -> None:
    agent.name_engine(SUM)
    first = agent.run().result
    assert (first["status"], first["sha256"]) == ("deliver", SUM)
    ended = agent.deliver(ENGINE)
    assert (ended.result["status"], ended.err) == ("success", "from the cache\n")
    assert agent.run().result["status"] == "success"
    cached = agent.cached(SUM)
    assert cached.read_bytes() == ENGINE
    for folder in (cached.parent, cached.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_engines_of_several_versions_stand_side_by_side(agent: Agent) -> None:
    other = small_engine(f"print('{RESULT[:-1]}, \"version\": 2}}')")
    for _ in range(2):
        agent.name_engine(SUM)
        assert "version" not in agent.deliver(ENGINE).result
        agent.name_engine(sha256(other))
        assert agent.deliver(other).result["version"] == 2


def test_an_engine_that_was_changed_in_the_cache_is_not_run(agent: Agent) -> None:
    agent.name_engine(SUM)
    agent.deliver(ENGINE)
    agent.cached(SUM).write_bytes(small_engine("print('changed')"))
    ended = agent.run()
    assert ended.result["status"] == "deliver"
    assert "has another checksum and is replaced" in ended.err
    assert agent.deliver(ENGINE).result["status"] == "success"


@pytest.mark.parametrize(
    "data",
    [b"", ENGINE[:100], small_engine("print('changed')")],
    ids=["empty", "half", "changed"],
)
def test_a_delivery_with_another_checksum_is_refused(agent: Agent, data: bytes) -> None:
    agent.name_engine(SUM)
    message = agent.deliver(data).message
    assert "the engine that the library has delivered has another checksum" in message
    assert [path for path in agent.home.rglob("*") if path.is_file()] == []
    assert agent.deliver(ENGINE).result["status"] == "success"


def test_a_delivery_to_another_place_is_refused(agent: Agent) -> None:
    agent.name_engine(SUM)
    agent.run()
    folder = agent.cached(SUM).parent
    inside = agent.workspace / "engine.pyz"
    inside.write_bytes(ENGINE)
    for path in (inside, folder / "incoming.1/../../x/engine.pyz"):
        assert "which is not in the cache" in agent.run(TOWLINE_DELIVERED=str(path)).message
    gone = folder / "incoming.1.0" / "engine.pyz"
    assert "was not delivered" in agent.run(TOWLINE_DELIVERED=str(gone)).message


def test_two_builds_that_fill_one_cache_both_succeed(agent: Agent) -> None:
    agent.name_engine(SUM)
    targets = [Path(agent.run().result["target"]) for _ in range(2)]
    assert targets[0] != targets[1]
    for target in targets:
        target.write_bytes(ENGINE)
    children = [agent.start(TOWLINE_DELIVERED=str(target)) for target in targets]
    assert [finish(child).result["status"] for child in children] == ["success"] * 2
    assert [path.name for path in agent.cached(SUM).parent.iterdir()] == ["engine.pyz"]


def test_what_killed_builds_left_is_removed_after_a_day(agent: Agent) -> None:
    agent.name_engine(SUM)
    targets = [Path(agent.run().result["target"]) for _ in range(2)]
    for target in targets:
        target.write_bytes(ENGINE[:50])
    two_days = 2 * 24 * 3600
    old = targets[0].parent.stat().st_mtime - two_days
    os.utime(targets[0].parent, (old, old))
    agent.run()
    assert [target.exists() for target in targets] == [False, True]


def test_the_named_folder_overrides_the_users_cache(agent: Agent) -> None:
    agent.name_engine(SUM)
    home, cache = agent.folder / "own", agent.folder / "xdg"
    assert agent.deliver(ENGINE, TOWLINE_HOME=str(home)).result["status"] == "success"
    assert agent.cached(SUM, home).exists()
    assert agent.deliver(ENGINE, XDG_CACHE_HOME=str(cache)).result["status"] == "success"
    assert agent.cached(SUM, cache / "towline").exists()
    assert list(agent.home.iterdir()) == []


def test_a_named_folder_that_cannot_be_used_is_an_error(agent: Agent) -> None:
    agent.name_engine(SUM)
    file = agent.folder / "file"
    file.touch()
    (agent.folder / "link").symlink_to(agent.workspace)
    inside = agent.workspace / "cache"
    for path, why in (
        (inside, f"'{inside}' is in the workspace"),
        (agent.folder / "link" / "cache", "/link/cache' is in the workspace"),
        (file, f"'{file}' cannot be written"),
        (Path("own"), "'own' is not an absolute path"),
    ):
        message = agent.run(TOWLINE_HOME=str(path)).message
        assert message.startswith("TOWLINE_HOME cannot hold the engine: ")
        assert why in message
    assert list(agent.workspace.iterdir()) == []


@pytest.mark.parametrize("mode", [0o775, 0o757])
@pytest.mark.parametrize("level", [1, 2])
def test_a_cache_that_others_may_write_into_is_not_used(
    agent: Agent, mode: int, level: int
) -> None:
    agent.name_engine(SUM)
    folder = agent.cached(SUM).parents[level - 1]
    folder.mkdir(parents=True)
    folder.parent.chmod(0o755)
    folder.chmod(mode)
    named = {"TOWLINE_HOME": str(agent.home / ".cache/towline")}
    assert "others may write into it" in agent.run(**named).message
    folder.chmod(0o755)
    assert agent.run(**named).result["status"] == "deliver"


def test_a_cache_that_is_a_link_is_not_used(agent: Agent) -> None:
    agent.name_engine(SUM)
    link = agent.cached(SUM).parents[1]
    link.parent.mkdir(parents=True)
    for target, why in ((agent.workspace, "is in the workspace"), (agent.folder, "is a link")):
        link.symlink_to(target)
        assert why in agent.run().err
        link.unlink()
    assert list(agent.workspace.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_cache_of_another_user_is_not_used(agent: Agent) -> None:
    agent.name_engine(SUM)
    folder = agent.cached(SUM).parent
    folder.mkdir(parents=True)
    os.chown(folder.parent, 65534, 65534)
    ended = agent.run()
    assert "belongs to another user" in ended.err
    assert Path(ended.result["target"]).is_relative_to(agent.beside)


def test_without_a_home_the_engine_is_kept_beside_the_workspace(agent: Agent) -> None:
    agent.name_engine(SUM)
    places: list[tuple[dict[str, str | None], str]] = [
        ({"HOME": None}, "HOME is not set"),
        ({"HOME": str(agent.workspace)}, "is in the workspace"),
        ({"HOME": "/dev/null"}, "cannot be written"),
        ({"HOME": None, "WORKSPACE_TMP": None}, "HOME is not set"),
    ]
    for variables, why in places:
        ended = agent.deliver(ENGINE, **variables)
        assert ended.result["status"] == "success"
        assert f"the engine is kept in {agent.beside}, since " in ended.err
        assert why in ended.err
    assert agent.cached(SUM, agent.beside / "towline").exists()
    assert list(agent.workspace.iterdir()) == []
    message = agent.run(HOME=None, WORKSPACE_TMP="/dev/null").message
    assert message.startswith("no folder can hold the engine: HOME is not set; '/dev/null/towline'")


def test_without_a_new_python_one_line_says_what_to_install(agent: Agent) -> None:
    agent.name_engine(SUM)
    old = agent.programs / "python3"
    old.unlink()
    expected = (
        "there is no Python 3.11 or newer on this agent, which the engine needs; install it so that"
        " 'python3' or 'python3.11' is on PATH, outside of the workspace"
    )
    assert agent.run().message == expected
    old.write_text("#!/bin/sh\nexit 1\n")  # a Python 3.9 ends so
    old.chmod(0o755)
    assert agent.run().message == expected
    (agent.programs / "python3.12").symlink_to(PYTHON)
    assert agent.run().result["status"] == "deliver"


# ---- the cache, filled from a URL


class FileServer(LoopbackServer):
    """Serves one file at any path; holds the answer back until `release` is set."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.data = data
        self.asked = threading.Event()
        self.release = threading.Event()
        self.release.set()

    def answer(self, request: Request) -> Answer:
        self.asked.set()
        assert self.release.wait(60)
        return Answer(status=200, body=self.data)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer(ENGINE) as started:
        yield started
        started.release.set()


def source(server: FileServer, digest: str = SUM) -> dict[str, str | None]:
    return {"TOWLINE_ENGINE_URL": f"{server.url}/towline.pyz", "TOWLINE_ENGINE_SHA256": digest}


def test_the_engine_is_downloaded_once_from_the_url_of_the_agent(
    agent: Agent, server: FileServer
) -> None:
    for _ in range(2):
        assert agent.run(**source(server)).result["status"] == "success"
    assert said(agent.run("--version", **source(server))) == [
        '{"status": "success", "words": ["--version"], "exitCode": 0}'
    ]
    assert server.count("GET") == 1
    assert [path.name for path in agent.cached(SUM).parent.iterdir()] == ["engine.pyz"]


def test_the_engine_is_downloaded_from_the_url_of_the_library(
    agent: Agent, server: FileServer
) -> None:
    agent.name_engine(SUM, f"{server.url}/towline.pyz")
    assert agent.run().result["status"] == "success"
    assert server.count("GET") == 1


def test_a_file_url_serves_an_agent_without_a_network(agent: Agent) -> None:
    file = agent.folder / "share.pyz"
    file.write_bytes(ENGINE)
    variables = {"TOWLINE_ENGINE_URL": file.as_uri(), "TOWLINE_ENGINE_SHA256": SUM}
    assert agent.run(**variables).result["status"] == "success"


def test_a_download_with_another_checksum_is_refused(agent: Agent, server: FileServer) -> None:
    server.data = small_engine("print('changed')")
    message = agent.run(**source(server)).message
    assert f"towline.pyz has another checksum than {SUM}: {sha256(server.data)}" in message
    assert [path for path in agent.home.rglob("*") if path.is_file()] == []


def test_a_download_that_fails_says_why_and_leaves_nothing(
    agent: Agent, server: FileServer
) -> None:
    wrong: dict[str, Fault] = {
        "HTTP Error 404: Not Found": Status(code=404),
        "another checksum": CutAnswer(after=10),
        "Remote end closed connection": CutAnswer(after=None),
    }
    for why, fault in wrong.items():
        server.fault = on("GET", "", fault)
        assert why in agent.run(**source(server)).message
    server.stop()
    assert "Connection refused" in agent.run(**source(server)).message
    server.start()
    assert [path for path in agent.home.rglob("*") if path.is_file()] == []
    assert agent.run(**source(server)).result["status"] == "success"


def test_a_full_disk_is_reported_and_leaves_nothing(agent: Agent, server: FileServer) -> None:
    server.data = bytes(5000) + ENGINE  # Python reads archives that begin with something else
    named = source(server, sha256(server.data))
    agent.full_disk = True
    message = agent.run(**named).message
    assert "cannot be downloaded" in message
    assert "File too large" in message
    assert [path for path in agent.home.rglob("*") if path.is_file()] == []
    agent.full_disk = False
    assert agent.run(**named).result["status"] == "success"


def test_a_lock_that_cannot_be_made_is_not_waited_for(agent: Agent, server: FileServer) -> None:
    folder = agent.cached(SUM).parent
    folder.mkdir(parents=True, mode=0o700)
    folder.parent.chmod(0o700)
    (folder / "lock").write_text("in the way of the folder")
    assert agent.run(**source(server)).result["status"] == "success"


def test_a_lock_of_a_build_that_is_gone_is_not_waited_for(agent: Agent, server: FileServer) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    lock = agent.cached(SUM).parent / "lock"
    lock.mkdir(parents=True)
    for folder in lock.parents[:2]:
        folder.chmod(0o700)
    (lock / "owner").write_text(f"{gone.pid} {os.uname().nodename}\n")
    assert agent.run(**source(server)).result["status"] == "success"
    assert not lock.exists()


def test_no_message_shows_the_user_or_the_query_of_the_url(agent: Agent) -> None:
    url = "http://bot:s3cret@127.0.0.1:9/towline.pyz?token=s3cret"
    message = agent.run(TOWLINE_ENGINE_URL=url, TOWLINE_ENGINE_SHA256=SUM).message
    assert "from http://127.0.0.1:9/towline.pyz: " in message
    assert "s3cret" not in message


def test_a_url_without_a_checksum_is_refused(agent: Agent) -> None:
    for variables in (
        {"TOWLINE_ENGINE_URL": "https://example.com/towline.pyz"},
        {"TOWLINE_ENGINE_SHA256": SUM},
        {"TOWLINE_ENGINE_URL": "file:///x", "TOWLINE_ENGINE_SHA256": SUM.upper()},
        {"TOWLINE_ENGINE_URL": "file:///x", "TOWLINE_ENGINE_SHA256": "../" + SUM},
    ):
        assert "needs the checksum of the engine" in agent.run(**variables).message


def test_of_two_builds_that_download_at_once_the_second_waits(
    agent: Agent, server: FileServer
) -> None:
    waits = agent.folder / "waits"
    os.mkfifo(waits)
    sleep = agent.programs / "sleep"
    real = sleep.readlink()
    sleep.unlink()
    words = f"if [ -p {waits} ]; then echo > {waits}; rm {waits}; fi; exec {real}"
    sleep.write_text(f"#!/bin/sh\n{words} {'sleep' if real.name == 'busybox' else ''} $@\n")
    sleep.chmod(0o755)
    server.release.clear()
    first = agent.start(**source(server))
    assert server.asked.wait(60)
    second = agent.start(**source(server))
    waits.read_text()
    server.release.set()
    assert [finish(child).result["status"] for child in (first, second)] == ["success"] * 2
    assert server.count("GET") == 1


def test_a_build_that_is_killed_while_it_downloads_holds_up_no_other(
    agent: Agent, server: FileServer
) -> None:
    server.release.clear()
    first = agent.start(**source(server))
    assert server.asked.wait(60)
    os.killpg(first.pid, signal.SIGKILL)
    finish(first)
    server.release.set()
    assert not agent.cached(SUM).exists()
    assert agent.run(**source(server)).result["status"] == "success"
    assert agent.cached(SUM).read_bytes() == ENGINE


def test_an_abort_while_it_downloads_ends_alike(agent: Agent, server: FileServer) -> None:
    server.release.clear()
    child = agent.start(**source(server))
    assert server.asked.wait(60)
    os.killpg(child.pid, signal.SIGTERM)
    ended = finish(child)
    assert (ended.code, ended.out) == (143, "")
    assert not agent.cached(SUM).exists()


def test_the_result_is_one_line_of_json(agent: Agent) -> None:
    assert json.loads(agent.run().out.rstrip("\n")) == agent.run().result
    assert agent.run().out.count("\n") == 1
