"""The fake daemon speaks as Docker's own program expects it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import docker
import docker.errors
import pytest

from tests.fakes.docker_daemon import DockerDaemon

DOCKER = shutil.which("docker")


def test_it_says_its_version_exports_and_knows_what_it_has_not(tmp_path: Path) -> None:
    with DockerDaemon(tmp_path, {"app:1": b"x" * 25_000}) as daemon:
        client = docker.DockerClient.from_env(environment=daemon.environ)
        assert b"".join(client.api.get_image("app:1")) == b"x" * 25_000
        with pytest.raises(docker.errors.ImageNotFound):
            list(client.api.get_image("app:2"))
        client.close()
    assert daemon.asked == ["/version", "/v1.43/images/app:1/get", "/v1.43/images/app:2/get"]


@pytest.mark.skipif(
    DOCKER is None, reason="no docker program: install it to hold the made-up daemon against it"
)
def test_dockers_own_program_is_content_with_its_version(tmp_path: Path) -> None:
    with DockerDaemon(tmp_path, {}) as daemon:
        said = subprocess.run(
            [str(DOCKER), "version", "--format", "{{.Server.Version}}"],
            env=daemon.environ,
            capture_output=True,
            text=True,
            check=False,
        )
    assert "24.0.7" in said.stdout or "/version" in " ".join(daemon.asked)
