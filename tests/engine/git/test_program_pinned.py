"""The address at which git connects to a server whose name only the tests know."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from tests.fakes.git_server import GitServer
from tests.fakes.names import Names
from towline.errors import ConfigError
from towline.git.program import GitProgram, PinnedServer
from towline.git.remote import parse_remote
from towline.retry import Clock, Deadline
from towline.secret import Login

LOGIN = Login(username="ann", password=secrets.token_hex(8), origin="PIPER_password")
METADATA = ("169.254.169.254", "fe80::1", "168.63.129.16", "fd00:ec2::254", "::ffff:a9fe:a9fe")


def server(folder: Path, url: str, **environ: str) -> PinnedServer:
    return PinnedServer(parse_remote(url), environ, settings=folder / "settings")


def program(folder: Path, url: str) -> GitProgram:
    remote = parse_remote(url, login=LOGIN, allow_plain_http=True)
    return GitProgram(
        remote,
        folder=folder,
        secrets=folder,
        environ={"PATH": os.environ["PATH"]},
        deadline=Deadline.after(60, Clock()),
    )


@pytest.mark.parametrize("address", METADATA)
@pytest.mark.parametrize(
    "url",
    [
        "http://git.example/a.git",
        "https://git.example:8443/a.git",
        "ssh://git@git.example/a.git",
        "git@git.example:a.git",
    ],
)
def test_a_metadata_service_is_no_git_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, address: str
) -> None:
    Names(monkeypatch, {"git.example": f"{address}"})
    for environ in ({}, {"ALL_PROXY": "http://127.0.0.1:1"}):
        with pytest.raises(ConfigError, match="which Towline never connects to"):
            server(tmp_path, url, **environ).check()


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[::ffff:a9fe:a9fe]", "2852039166", "0xa9fea9fe", "169.254.43518"]
)
def test_no_spelling_of_it_helps(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="which Towline never connects to"):
        program(tmp_path, f"http://{host}/a.git").run_remote("ls-remote", f"http://{host}/a.git")


def test_git_is_told_the_addresses_that_were_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(monkeypatch, {"git.example": "10.0.0.5 fd00::5 169.254.169.254"})
    found = server(tmp_path, "https://git.example/a.git")
    assert [found.check(), found.check()] == ["", ""]
    assert (
        tmp_path / "settings"
    ).read_text() == "[http]\n    curloptResolve = git.example:443:10.0.0.5,[fd00::5]\n"
    assert names.asked == ["git.example"]


def test_git_meets_its_server_there_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only this process knows the name: git connects to the address that it is given."""
    hosted = GitServer(tmp_path / "server", LOGIN.username, LOGIN.password)
    try:
        hosted.create("a", {"file": b"text"})
        url = hosted.url("a").replace("127.0.0.1", "git.invalid")
        Names(monkeypatch, {"git.invalid": "127.0.0.1"})
        (tmp_path / "git").mkdir()
        done = program(tmp_path / "git", url).run_remote("ls-remote", "--", url)
    finally:
        hosted.stop()
    assert done.code == 0, done.err
    assert b"refs/heads/" in done.out


def test_a_name_that_is_not_known_now_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(monkeypatch, {"git.example": ""})
    found = server(tmp_path, "https://git.example/a.git")
    assert "Could not resolve host: git.example" in found.check()
    names.know("git.example", "10.0.0.5")
    assert found.check() == ""


def test_behind_a_proxy_what_the_proxy_alone_knows_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, {"git.example": ""})
    assert (
        server(tmp_path, "https://git.example/a.git", https_proxy="http://127.0.0.1:1").check()
        == ""
    )
    assert (tmp_path / "settings").read_text() == ""
