"""The arguments of git, its environment, and its errors, with a real server."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.engine.git.conftest import Opened
from tests.fakes import nameless
from tests.fakes.authority import Authority
from tests.fakes.git_server import GitServer
from towline.errors import (
    ConfigError,
    CredentialError,
    GitError,
    GitUnreachable,
    MachineError,
    TowlineError,
)
from towline.git.program import GitProgram
from towline.git.remote import parse_remote
from towline.printable import masked
from towline.process import Completed
from towline.record import replace
from towline.retry import Clock, Deadline
from towline.secret import Login

PASSWORD = """s3cret 'word' "with" $HOME `id` @:/\\ é%40"""
LOGIN = Login(username="ann", password=PASSWORD, origin="PIPER_password")


@pytest.fixture
def guarded(tmp_path: Path) -> Path:
    return tmp_path / "guarded"


def program(
    temporary: Path,
    environ: Mapping[str, str],
    *,
    login: Login | None = None,
    url: str = "http://127.0.0.1:1/a.git",
    **more: Any,
) -> GitProgram:
    deadline = more.pop("deadline", None) or Deadline.after(60, Clock())
    remote = replace(parse_remote(url, login=login, allow_plain_http=True), **more)
    return GitProgram(
        remote, folder=temporary, secrets=temporary, environ=environ, deadline=deadline
    )


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own of one megabyte."""
    folder = tmp_path / "full"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)],
        capture_output=True,
        check=False,
    ).returncode:
        pytest.skip("a small disk can be mounted by root only")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def spy(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """An environment whose git records its arguments and variables before it runs."""
    folder.mkdir()
    script = folder / "git"
    real = next(
        path for part in environ["PATH"].split(os.pathsep) if (path := Path(part) / "git").exists()
    )
    script.write_text(
        f'#!/bin/sh\n{{ echo "words: $*"; env; echo; }} >> {folder}/record\nexec {real} "$@"\n'
    )
    script.chmod(0o755)
    return {**environ, "PATH": f"{folder}{os.pathsep}{environ['PATH']}"}


def command_lines() -> Iterator[str]:
    """The command lines of all processes; a process may end before it is read."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield path.read_bytes().decode(errors="replace")


def test_a_password_with_every_kind_of_sign_arrives(guarded: Path, opened: Opened) -> None:
    with GitServer(guarded, "ann", PASSWORD) as server:
        server.create("demo", {"a": b"1"})
        assert opened(LOGIN, server.url("demo")).fetch("").branch == "main"


def test_the_password_is_in_no_argument_no_file_and_no_child_that_does_not_need_it(
    guarded: Path, tmp_path: Path, temporary: Path, environ: Mapping[str, str], opened: Opened
) -> None:
    seen: list[str] = []

    def look(_method: str, _path: str) -> None:
        seen.extend(command_lines())
        seen.extend(
            path.read_bytes().decode(errors="replace")
            for path in temporary.rglob("*")
            if path.is_file()
        )

    # the processes of other tests that run at the same time have another one
    word = secrets.token_hex(12)
    environ_of_spy = spy(tmp_path / "spy", environ)
    with GitServer(guarded, "ann", word) as server:
        server.create("demo", {"a": b"1"})
        server.fault = look
        repository = opened(
            Login(username="ann", password=word, origin="PIPER_password"),
            server.url("demo"),
            environ_of_spy,
        )
        tip = repository.fetch("")
        files = repository.read(repository.listing(tip.commit))
    runs = (tmp_path / "spy/record").read_text().split("words: ")[1:]
    assert files == {"a": b"1"}
    assert any("git-remote-http" in text for text in seen), "looked while git was talking"
    assert not [text for text in seen if word in text]
    # the two processes that talk to the server
    assert {run.split()[1] for run in runs if word in run} == {"clone", "-c"}
    assert {run.split()[1] for run in runs if word not in run} == {
        "for-each-ref",
        "ls-tree",
        "cat-file",
    }


def test_nothing_of_the_machine_reaches_git_but_its_path(
    tmp_path: Path, temporary: Path, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TRACE_CURL", "1")
    given = {
        **spy(tmp_path / "spy", environ),
        "GIT_DIR": "/elsewhere",
        "GIT_SSH_COMMAND": "id",
        "GIT_TRACE": "1",
        "GIT_CONFIG_COUNT": "1",
        "HOME": "/root",
        "PIPER_password": "x",
        "GIT_ASKPASS": "id",
        **ONWARD,
    }
    program(temporary, given).output("version")
    variables = recorded(tmp_path)
    assert variables["HOME"] == str(temporary)
    assert variables["GIT_CONFIG_GLOBAL"] == str(temporary / ".gitconfig")
    assert variables["PATH"] == given["PATH"]
    assert {name for name in variables if name.startswith(("GIT_", "PIPER"))} == CLOSED
    assert not variables.keys() & {"https_proxy", "NO_PROXY"}


def test_a_git_that_talks_to_the_remote_gets_proxies_and_authorities_too(
    tmp_path: Path, temporary: Path, environ: Mapping[str, str]
) -> None:
    given = {**spy(tmp_path / "spy", environ), "PIPER_password": "x", "GIT_ASKPASS": "id", **ONWARD}
    program(temporary, given).run_remote("version")
    variables = recorded(tmp_path)
    assert {name: variables.get(name) for name in ONWARD} == ONWARD
    assert {name for name in variables if name.startswith(("GIT_", "PIPER"))} == CLOSED - {
        "GIT_NO_LAZY_FETCH"
    } | {"GIT_SSL_CAINFO"}


ONWARD = {
    "https_proxy": "http://ann:word@proxy:3128",
    "NO_PROXY": "localhost",
    "GIT_SSL_CAINFO": "/ca.pem",
}
CLOSED = {
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_TERMINAL_PROMPT",
    "GIT_ALLOW_PROTOCOL",
    "GIT_NO_LAZY_FETCH",
}


def recorded(folder: Path) -> dict[str, str]:
    """The variables that the spy recorded."""
    return {
        line.partition("=")[0]: line.partition("=")[2]
        for line in (folder / "spy/record").read_text().splitlines()[1:]
    }


def test_the_settings_are_read_by_git_as_they_are_meant(
    temporary: Path, environ: Mapping[str, str]
) -> None:
    listed = (
        program(temporary, environ, login=LOGIN).output("config", "--list").decode().splitlines()
    )
    assert {
        "core.hookspath=/dev/null",
        "http.followredirects=false",
        "protocol.version=2",
        "gc.auto=0",
        "credential.helper=",
    } <= set(listed)
    helpers = [line for line in listed if ".helper=" in line]
    assert helpers[0] == "credential.helper="
    assert helpers[1].startswith("credential.http://127.0.0.1:1.helper=!f() {")
    assert "s3cret" not in "".join(listed)


def test_a_wrong_password_names_host_user_and_origin_and_never_itself(
    guarded: Path, opened: Opened, slept: list[float]
) -> None:
    with GitServer(guarded, "ann", "right") as server:
        server.create("demo", {"a": b"1"})
        with pytest.raises(CredentialError) as caught:
            opened(
                Login(username="ann", password="wrong-s3cret", origin="PIPER_password"),
                server.url("demo"),
            ).fetch("")
        assert f"{server.origin.removeprefix('http://')} refused user 'ann'" in caught.value.message
    assert "PIPER_password" in caught.value.hint
    assert "s3cret" not in f"{caught.value} {caught.value.where} {caught.value.hint}"
    assert slept == []


def test_no_login_where_one_is_needed_is_a_missing_credential(
    guarded: Path, opened: Opened
) -> None:
    with GitServer(guarded, "ann", "right") as server:
        server.create("demo", {"a": b"1"})
        with pytest.raises(CredentialError) as caught:
            opened(url=server.url("demo")).fetch("")
    assert "requires a user and a password" in caught.value.message


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (403, CredentialError, "error: 403"),
        (404, ConfigError, "there is no git repository at this URL"),
        ("http://127.0.0.1:1/", ConfigError, "redirects"),
    ],
)
def test_what_asking_again_cannot_mend_is_asked_once(
    server: GitServer, opened: Opened, status: int | str, kind: type[TowlineError], message: str
) -> None:
    server.create("demo", {"a": b"1"})
    server.fault = lambda _method, _path: status
    with pytest.raises(kind) as caught:
        opened(LOGIN).fetch("")
    assert message in caught.value.message
    assert caught.value.where == server.url("demo")
    assert len(server.requests) == 1


def test_a_redirect_to_another_host_gets_neither_a_request_nor_a_credential(
    guarded: Path, server: GitServer, opened: Opened
) -> None:
    server.create("demo", {"a": b"1"})
    with GitServer(guarded, "ann", "other") as other:
        other.create("demo", {"a": b"1"})
        server.fault = lambda _method, path: f"{other.origin}{path}"
        with pytest.raises(ConfigError):
            opened(LOGIN).fetch("")
        assert other.requests == []


def test_a_login_is_bound_to_its_host(
    guarded: Path, temporary: Path, environ: Mapping[str, str]
) -> None:
    with GitServer(guarded, "ann", PASSWORD) as other:
        other.create("demo", {"a": b"1"})
        bound_elsewhere = program(temporary, environ, login=LOGIN)
        with pytest.raises(CredentialError):
            bound_elsewhere.run_remote(
                "-c", "http.followRedirects=true", "ls-remote", other.url("demo")
            )
        assert not [exchange for exchange in other.requests if exchange.authorized]


def test_a_server_that_comes_back_is_asked_again(
    server: GitServer, opened: Opened, slept: list[float]
) -> None:
    server.create("demo", {"a": b"1"})
    # after each failure, the branches are listed
    answers: list[int | str | None] = [503, None, None, "drop", "drop"]
    server.fault = lambda _method, _path: answers.pop(0) if answers else None
    assert opened().fetch("main").branch == "main"
    assert len(slept) == 2
    assert not answers


def test_a_server_that_stays_away_is_given_up_after_a_few_pauses(
    opened: Opened, slept: list[float]
) -> None:
    with pytest.raises(GitUnreachable) as caught:
        opened(url="http://127.0.0.1:1/a.git").fetch("main")
    assert "git could not talk to 127.0.0.1:1: " in caught.value.message
    assert caught.value.category == "infrastructure"
    assert len(slept) == 4


@pytest.mark.parametrize(
    ("url", "told"), [("127.0.0.1:3000/team/a.git", True), ("https://127.0.0.1:1/a.git", False)]
)
def test_an_address_that_is_read_as_one_of_ssh_is_said_to_be(
    temporary: Path, environ: Mapping[str, str], url: str, *, told: bool
) -> None:
    fault = program(temporary, environ, url=url).unreachable("refused")
    assert (
        f"; {url} is read as an SSH address: if it is not one, write https:// before it"
        in str(fault.hint)
    ) is told


def test_a_server_that_never_answers_ends_with_the_deadline(
    server: GitServer, environ: Mapping[str, str], temporary: Path
) -> None:
    over = threading.Event()
    server.create("demo", {"a": b"1"})
    server.fault = lambda _method, _path: "drop" if over.wait() else None
    git = GitProgram(
        parse_remote(server.url("demo")),
        folder=temporary,
        secrets=temporary,
        environ=environ,
        deadline=Deadline.after(0.3, Clock()),
    )
    try:
        with pytest.raises(GitUnreachable) as caught:
            git.run_remote("ls-remote", server.url("demo"))
    finally:
        over.set()
    assert "git ls-remote exceeded its time limit" in caught.value.message


def test_no_pause_goes_beyond_the_deadline(
    temporary: Path, environ: Mapping[str, str], slept: list[float]
) -> None:
    clock = Clock(now=lambda: 100.0, sleep=slept.append, uniform=lambda _low, high: high)
    git = program(temporary, environ, deadline=Deadline(clock=clock, end=100.3))
    git.pause(0, "too late")
    with pytest.raises(GitUnreachable) as caught:
        git.pause(1, "too late")
    assert "too late" in caught.value.message
    assert slept == [0.2]


def test_local_commands_fail_with_what_git_says(
    temporary: Path, environ: Mapping[str, str]
) -> None:
    with pytest.raises(GitError) as caught:
        program(temporary, environ).output("rev-parse", "HEAD")
    assert caught.value.message.startswith("git rev-parse failed: fatal: not a git repository")


def test_a_machine_without_git_says_so(temporary: Path) -> None:
    with pytest.raises(MachineError) as caught:
        program(temporary, {"PATH": str(temporary)})
    assert "install git" in caught.value.hint


def test_what_a_server_says_is_shown_without_secrets_control_signs_and_end(
    temporary: Path, environ: Mapping[str, str]
) -> None:
    git = program(
        temporary, environ, login=Login(username="ann", password="s3cret word", origin="")
    )
    basic = base64.b64encode(b"ann:s3cret word")
    said = (
        b"\x1b[31mremote:\tsee https://ann:s3cret@host/x and s3cret word, s3cret%20word, "
        + basic
        + b"\r\n"
    )
    text = git.message(Completed(code=1, out=b"", err=said + b"x" * 5000))
    assert text.startswith("[31mremote: see https://host/x and ****, ****, ****")
    assert text.endswith("x ...")
    assert len(text) < 2010
    assert masked(f"Authorization: Basic {basic.decode()}") == "Authorization: Basic ****", (
        "wherever it is said"
    )


def test_a_full_disk_is_the_machines_fault_wherever_git_meets_it(
    server: GitServer, full: Path, environ: Mapping[str, str]
) -> None:
    server.create("demo", {"noise": os.urandom(3_000_000)})
    git = program(full, environ, url=server.url("demo"))
    with pytest.raises(MachineError, match="No space left on device"):
        git.run_remote(
            "clone", "--bare", "--template=", server.url("demo"), str(full / "repository")
        )
    git.output("init", "--quiet", "--bare", "--template=", str(full / "repository"))
    with pytest.raises(MachineError, match="No space left on device"):
        git.output("hash-object", "-w", "--stdin", stdin=os.urandom(3_000_000))


def test_a_git_that_was_killed_is_the_machines_fault(
    tmp_path: Path, temporary: Path, environ: Mapping[str, str]
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "git").write_text("#!/bin/sh\nkill -9 $$\n")
    (folder / "git").chmod(0o755)
    with pytest.raises(MachineError, match="git died of signal 9"):
        program(temporary, {**environ, "PATH": f"{folder}:{environ['PATH']}"}).run_remote(
            "ls-remote", "x"
        )


def test_a_bearer_token_opens_a_server_that_takes_nothing_else(
    guarded: Path, environ: Mapping[str, str], temporary: Path
) -> None:
    with GitServer(guarded, "ann", "unused") as server:
        server.create("demo", {"a": b"1"})
        server.authorization = "Bearer token-word"
        login = Login(username="ann", password="token-word", origin="")
        with pytest.raises(CredentialError):
            program(temporary, environ, login=login, url=server.url("demo")).run_remote(
                "ls-remote", server.url("demo")
            )
        git = program(temporary, environ, login=login, url=server.url("demo"), bearer=True)
        assert b"refs/heads/main" in git.run_remote("ls-remote", server.url("demo")).out


def test_a_login_is_sent_at_once_and_not_only_when_it_is_asked_for(
    guarded: Path, environ: Mapping[str, str], temporary: Path
) -> None:
    with GitServer(guarded, "ann", PASSWORD) as server:
        server.create("demo", {"a": b"1"})
        program(temporary, environ, login=LOGIN, url=server.url("demo")).run_remote(
            "ls-remote", server.url("demo")
        )
        assert [exchange.status for exchange in server.requests] == [200, 200]


def test_a_certificate_that_is_not_trusted_is_named_and_one_that_is_configured_does(
    tmp_path: Path, temporary: Path, environ: Mapping[str, str]
) -> None:
    authority = Authority(tmp_path / "ca")
    with GitServer(
        tmp_path / "tls", "ann", "word", tls=authority.issue("server").server()
    ) as server:
        server.create("demo", {"a": b"1"})
        login = Login(username="ann", password="word", origin="")
        with pytest.raises(ConfigError) as caught:
            program(temporary, environ, login=login, url=server.url("demo")).run_remote(
                "ls-remote", server.url("demo")
            )
        assert "customTlsCertificateLinks" in caught.value.hint
        trusting = program(
            temporary,
            environ,
            login=login,
            url=server.url("demo"),
            authorities=authority.certificate.read_bytes(),
        )
        assert b"refs/heads/main" in trusting.run_remote("ls-remote", server.url("demo")).out


def test_a_proxy_of_the_environment_is_used_and_its_login_is_not_shown(
    server: GitServer, temporary: Path, environ: Mapping[str, str]
) -> None:
    server.create("demo", {"a": b"1"})
    through = {**environ, "http_proxy": server.origin.replace("//", "//user:proxy-word@")}
    program(temporary, through, url="http://git.example.com/demo.git").run_remote(
        "ls-remote", "http://git.example.com/demo.git"
    )
    assert {exchange.path.partition("/info")[0] for exchange in server.requests} == {
        "http://git.example.com/demo.git",
        "http://git.example.com/demo.git/git-upload-pack",
    }
    away = program(
        temporary,
        {**environ, "http_proxy": "http://user:proxy-word@127.0.0.1:1"},
        url="http://git.example.com/demo.git",
    )
    done = away.run_remote("ls-remote", "http://git.example.com/demo.git")
    assert done.code
    assert "proxy-word" not in away.message(done)


@pytest.mark.skipif(bool(nameless.missing()), reason=nameless.missing())
def test_a_user_whom_openssh_does_not_know_is_the_machines_fault_and_asked_once(
    tmp_path: Path, temporary: Path, environ: Mapping[str, str]
) -> None:
    found = nameless.stand_in("ssh", tmp_path / "bin")
    url = "ssh://git@127.0.0.1:1/ops.git"
    known = {**environ, "PATH": f"{found}:{environ['PATH']}"}
    with pytest.raises(
        MachineError, match="a user without a name: No user exists for uid 64321"
    ) as caught:
        program(temporary, known, url=url).retry_remote("ls-remote", url)
    assert "/etc/passwd" in caught.value.hint
