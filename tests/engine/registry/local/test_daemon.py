from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import pytest

from tests.fakes.archives import old_save, tar
from tests.fakes.docker_daemon import DockerDaemon
from tests.fakes.images import make_image
from towline.errors import ConfigError, MachineError, TowlineError
from towline.registry.local.daemon import export

ARCHIVE = tar(old_save([(["app:1"], make_image(size=40_000))]))
ID = "sha256:" + "a" * 64


def fault(name: str, environ: dict[str, str]) -> TowlineError:
    with pytest.raises((ConfigError, MachineError)) as caught, export(name, environ=environ):
        pass
    return caught.value


@pytest.mark.parametrize("name", ["app:1", "localhost:5000/team/app:1", f"app@{ID}", ID])
def test_the_export_lies_in_a_spool_without_a_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spools").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "spools"))
    with (
        DockerDaemon(tmp_path, {name: ARCHIVE}) as daemon,
        export(name, environ=daemon.environ) as spool,
    ):
        assert spool.slice().read() == ARCHIVE
        assert list((tmp_path / "spools").iterdir()) == []
    assert daemon.asked == ["/version", f"/v1.43/images/{name}/get"]


def test_an_image_that_it_has_not_is_the_configurations_fault(tmp_path: Path) -> None:
    with DockerDaemon(tmp_path, {}) as daemon:
        found = fault("app:1", daemon.environ)
    assert isinstance(found, ConfigError)
    assert "no image 'app:1'" in found.message
    assert "build it" in found.hint


def test_a_daemon_that_fails_is_quoted(tmp_path: Path) -> None:
    with DockerDaemon(tmp_path, {}, broken=True) as daemon:
        found = fault("app:1", daemon.environ)
    assert isinstance(found, MachineError)
    assert "the storage driver is on fire" in found.message


def test_an_export_that_breaks_off_is_no_image(tmp_path: Path) -> None:
    with DockerDaemon(tmp_path, {"app:1": ARCHIVE}, cut=20_000) as daemon:
        assert isinstance(fault("app:1", daemon.environ), MachineError)


@pytest.mark.parametrize(
    "host", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1", "fish://x", "tcp://:x:y"]
)
def test_no_daemon_is_the_machines_fault_and_says_where_to_look(host: str) -> None:
    found = fault("app:1", {"DOCKER_HOST": host})
    assert isinstance(found, MachineError)
    assert f"the Docker daemon at {host} cannot be asked for 'app:1': " in found.message
    assert "Errno 2" not in found.message
    assert "DOCKER_HOST" in found.hint
    found.__cause__ = found.__context__ = None
    gc.collect()  # a socket that was left open would be a warning, and that an error


def test_a_daemon_behind_ssh_starts_no_program() -> None:
    assert "behind ssh" in fault("app:1", {"DOCKER_HOST": "ssh://someone@elsewhere"}).message


def test_a_missing_certificate_is_the_machines_fault(tmp_path: Path) -> None:
    environ = {
        "DOCKER_HOST": "tcp://127.0.0.1:1",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": str(tmp_path),
    }
    assert isinstance(fault("app:1", environ), MachineError)


def test_the_daemon_is_the_given_environments_and_not_this_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with (
        DockerDaemon(tmp_path, {"app:1": ARCHIVE}) as daemon,
        export("app:1", environ=daemon.environ) as spool,
    ):
        assert spool.size == len(ARCHIVE)
