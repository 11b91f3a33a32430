"""The Docker engine of the tests: its message if there is none, and that it leaves nothing."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.fakes import docker_engine
from tests.fakes.docker_engine import NoEngine, engine


def test_where_none_can_be_started_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(docker_engine, "_USUAL", tmp_path / "docker.sock")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with (
        pytest.raises(NoEngine, match=r"set DOCKER_HOST, or install docker\.io and run as root"),
        engine(),
    ):
        pass


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("tcp://127.0.0.1:1", ".*refused"),
        ("unix:///nowhere/docker.sock", "No such file or directory"),
    ],
)
def test_an_engine_that_dockers_own_variable_names_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch, url: str, why: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)
    with (
        pytest.raises(NoEngine, match=f"the Docker engine at {url} does not answer: {why}"),
        engine(),
    ):
        pass


def test_a_program_that_ends_at_once_is_shown_with_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "dockerd"
    program.write_text("#!/bin/sh\necho 'panic: no good\n\nmain.main()' >&2\nexit 3\n")
    program.chmod(0o755)
    with (
        pytest.raises(NoEngine, match=r"dockerd does not come up here .*: panic: no good$"),
        docker_engine._started(str(program), tmp_path),
    ):
        pass


def test_one_that_was_started_here_answers_and_leaves_no_mount_and_no_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(docker_engine, "_USUAL", tmp_path / "docker.sock")
    try:
        with engine() as started:
            folder = Path(started.url.removeprefix("unix://")).parent
            with contextlib.closing(started.client()) as client:
                assert client.images.list() == []
    except NoEngine as reason:
        pytest.skip(str(reason))
    assert not folder.exists()
    assert docker_engine._mounts(folder) == []
