"""The fake must be a git server like any other: the git program itself is its client here."""

from __future__ import annotations

import gzip
import os
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.fakes.authority import Authority
from tests.fakes.git_server import GitServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with GitServer(tmp_path / "served") as running:
        yield running


def git(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "LC_ALL": "C",
    }
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    return subprocess.run(
        ["git", *identity, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_created_repository_can_be_cloned_with_contents_and_modes(
    server: GitServer, tmp_path: Path
) -> None:
    server.create("demo", {"a.txt": b"one\n", "bin/run": (b"#!/bin/sh\n", 0o755)}, branch="trunk")
    done = git("clone", "--quiet", server.url("demo"), str(tmp_path / "clone"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "clone/a.txt").read_bytes() == b"one\n"
    assert os.access(tmp_path / "clone/bin/run", os.X_OK)
    assert git("branch", "--show-current", folder=tmp_path / "clone").stdout == "trunk\n"


def test_a_push_larger_than_the_post_buffer_arrives_in_chunks(
    server: GitServer, tmp_path: Path
) -> None:
    bare = server.create("demo", {"a.txt": b"one\n"})
    clone = tmp_path / "clone"
    git("clone", "--quiet", server.url("demo"), str(clone))
    (clone / "noise").write_bytes(os.urandom(3_000_000))
    git("add", "noise", folder=clone)
    git("commit", "--quiet", "-m", "Add noise", folder=clone)
    done = git("push", "--quiet", folder=clone)
    assert done.returncode == 0, done.stderr
    assert server.git("cat-file", "-s", "main:noise", repository=bare) == "3000000\n"
    assert max(exchange.received for exchange in server.requests) > 3_000_000


def test_a_compressed_request_body_is_understood(server: GitServer) -> None:
    server.create("demo", {"a.txt": b"one\n"})
    url = urlsplit(server.url("demo"))
    headers = {
        "Git-Protocol": "version=2",
        "Content-Encoding": "gzip",
        "Content-Type": "application/x-git-upload-pack-request",
    }
    connection = HTTPConnection(url.netloc, timeout=60)
    connection.request(
        "POST", f"{url.path}/git-upload-pack", gzip.compress(b"0014command=ls-refs\n0000"), headers
    )
    answer = connection.getresponse().read()
    connection.close()
    assert b" refs/heads/main\n" in answer


def test_protocol_two_and_partial_clones_are_spoken(server: GitServer, tmp_path: Path) -> None:
    server.create("demo", {"big": os.urandom(1_000_000)})
    done = git(
        "clone",
        "--quiet",
        "--bare",
        "--filter=blob:none",
        server.url("demo"),
        str(tmp_path / "clone"),
    )
    assert done.returncode == 0, done.stderr
    assert "filter" not in done.stderr
    assert sum(exchange.sent for exchange in server.requests) < 10_000


def test_only_the_right_login_gets_in(tmp_path: Path) -> None:
    with GitServer(tmp_path / "served", "user", "pass word") as server:
        server.create("demo", {"a.txt": b"one\n"})
        host = server.origin.removeprefix("http://")
        assert git("ls-remote", f"http://user:pass%20word@{host}/demo.git").returncode == 0
        assert git("ls-remote", f"http://user:wrong@{host}/demo.git").returncode == 128
        assert git("ls-remote", server.url("demo")).returncode == 128
        assert [exchange.status for exchange in server.requests if not exchange.authorized] == [
            401,
            401,
            401,
        ]


@pytest.mark.parametrize(
    ("fault", "status"), [(503, 503), ("drop", 0), ("cut", 0), ("http://127.0.0.1:1/", 302)]
)
def test_a_fault_that_is_asked_for_reaches_the_client(
    server: GitServer, fault: int | str, status: int
) -> None:
    server.create("demo", {"a.txt": b"one\n"})
    server.fault = lambda _method, _path: fault
    assert git("ls-remote", server.url("demo")).returncode == 128
    assert {exchange.status for exchange in server.requests} == {status}


def test_after_the_stop_nobody_listens(server: GitServer) -> None:
    server.create("demo", {"a.txt": b"one\n"})
    assert git("ls-remote", server.url("demo")).returncode == 0
    server.stop()
    server.stop()
    assert "onnect" in git("ls-remote", server.url("demo")).stderr


def test_over_tls_it_is_what_its_certificate_says(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    with GitServer(tmp_path / "served", tls=authority.issue("server").server()) as server:
        server.create("demo", {"a.txt": b"one\n"})
        assert server.origin.startswith("https://127.0.0.1:")
        assert git("ls-remote", server.url("demo")).returncode == 128
        assert (
            git(
                "-c", f"http.sslCAInfo={authority.certificate}", "ls-remote", server.url("demo")
            ).returncode
            == 0
        )


def test_a_hook_has_its_say(server: GitServer, tmp_path: Path) -> None:
    server.create("demo", {"a.txt": b"one\n"})
    server.hook("update", "demo", "echo no >&2; exit 1")
    git("clone", "--quiet", server.url("demo"), str(tmp_path / "clone"))
    git("commit", "--quiet", "--allow-empty", "-m", "Empty", folder=tmp_path / "clone")
    assert "remote: no" in git("push", folder=tmp_path / "clone").stderr
