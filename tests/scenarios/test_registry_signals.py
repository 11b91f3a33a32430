"""A copy that a signal ends, as a process against Debian's docker-registry.

It ends soon, with a result, and leaves nothing behind.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.delay import DelayProxy
from tests.fakes.docker_registry import DockerRegistry
from tests.fakes.images import make_image, put

IMAGE = make_image(size=100_000, layers=40)
ROUND_TRIP, STUCK = 0.1, 60.0
SOON = 30.0  # for a loaded machine; a wait for a request that is stuck takes twice as long


@pytest.fixture
def registries(tmp_path: Path) -> Iterator[tuple[DockerRegistry, DockerRegistry]]:
    with (
        DockerRegistry(tmp_path / "staging") as staging,
        DockerRegistry(tmp_path / "target") as target,
    ):
        put(IMAGE, staging.url, "app", "1.0")
        yield staging, target


def until(line: DelayProxy, method: str, child: subprocess.Popen[str]) -> None:
    """Wait for the first request of an upload with this method."""
    while not line.seen[method, "upload"]:
        assert child.poll() is None, child.communicate()
        time.sleep(0.005)


def test_a_registry_that_answers_is_told_that_its_uploads_are_given_up(
    registries: tuple[DockerRegistry, DockerRegistry], tmp_path: Path
) -> None:
    staging, target = registries
    with DelayProxy(target.host, seconds=ROUND_TRIP) as line:
        words = [
            sys.executable,
            "-m",
            "towline",
            "copy",
            f"docker://{staging.host}/app:1.0",
            f"docker://{line.host}/team/app:1.0",
        ]
        with subprocess.Popen(
            words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as child:
            until(line, "PUT", child)
            child.send_signal(signal.SIGTERM)
            _, told = child.communicate(timeout=SOON)
        assert (child.returncode, line.seen["DELETE", "upload"] > 0) == (
            128 + signal.SIGTERM,
            True,
        ), told
    assert target.uploads() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_mid_copy_ends_it_soon_with_a_result_and_nothing_left(
    registries: tuple[DockerRegistry, DockerRegistry],
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    staging, target = registries
    temporary, workspace = tmp_path / "temporary", tmp_path / "workspace"
    temporary.mkdir()
    workspace.mkdir()
    with DelayProxy(target.host, seconds=ROUND_TRIP) as line:
        words = [
            sys.executable,
            "-m",
            "towline",
            "copy",
            f"docker://{staging.host}/app:1.0",
            f"docker://{line.host}/team/app:1.0",
            "--result",
            "result.json",
        ]
        environ = {**os.environ, "TMPDIR": str(temporary)}
        with subprocess.Popen(
            words,
            cwd=workspace,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            try:
                until(line, "POST", child)
                # a request that arrives now is answered later than SOON
                line.seconds = STUCK
                until(line, "PUT", child)  # the bytes of a layer are being sent
                child.send_signal(number)
                _, told = child.communicate(timeout=SOON)
            finally:
                child.kill()
        assert child.returncode == 128 + number, told
        assert "Traceback" not in told
        assert not line.seen["PUT", "manifest"]
    assert json.loads((workspace / "result.json").read_text())["status"] == "aborted"
    assert [path.name for path in workspace.iterdir()] == ["result.json"]
    assert list(temporary.iterdir()) == []
    assert target.manifest_digest("team/app", "1.0") == ""


def test_a_run_after_one_that_was_killed_sends_what_is_not_there_yet(
    registries: tuple[DockerRegistry, DockerRegistry], tmp_path: Path
) -> None:
    """The killed run has no time to cancel its uploads.

    They are begun anew, and blobs that were stored are not sent again.
    """
    staging, target = registries
    with DelayProxy(target.host, seconds=ROUND_TRIP) as line:
        words = [
            sys.executable,
            "-m",
            "towline",
            "copy",
            f"docker://{staging.host}/app:1.0",
            f"docker://{line.host}/team/app:1.0",
        ]
        with subprocess.Popen(
            words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as child:
            # of 41, 8 at once: some are stored, others are being sent
            while line.seen["PUT", "upload"] < 12:
                assert child.poll() is None, child.communicate()
                time.sleep(0.005)
            child.kill()
            child.communicate(timeout=30)
        assert (line.seen["PUT", "manifest"], target.manifest_digest("team/app", "1.0")) == (0, "")
        line.seconds, before = 0.0, line.seen["PUT", "upload"]
        again = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert again.returncode == 0, again.stderr
        assert line.seen["PUT", "upload"] - before < len(IMAGE.blobs)
    assert target.manifest_digest("team/app", "1.0") == IMAGE.digest
