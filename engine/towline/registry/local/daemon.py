"""Exports an image of the local Docker daemon into a spool, as an archive of docker save."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

import docker
import docker.errors
import requests

from towline.errors import ConfigError, MachineError
from towline.printable import words
from towline.registry.local.spool import Spool

# an old daemon writes the whole archive to its own disk before it sends the first byte
SECONDS = 600
_PIECE = 1024 * 1024
_HINT = (
    "is the daemon running, and may this user reach it? DOCKER_HOST of the agent says where it is"
)
_VARIABLES = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


@contextmanager
def export(name: str, *, environ: Mapping[str, str]) -> Iterator[Spool]:
    """A spool with the archive that `docker save` would write for one image.

    Raises MachineError (no daemon) and ConfigError (no such image).
    """
    with Spool() as spool:
        _fill(spool, name, environ)
        yield spool


def _fill(spool: Spool, name: str, environ: Mapping[str, str]) -> None:
    where = environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if where.startswith("ssh:"):
        raise ConfigError(
            "images of a Docker daemon behind ssh are not supported",
            where="DOCKER_HOST",
            hint="use a socket on this machine, or tcp with TLS",
        )
    try:
        _check_socket(where)
        with closing(
            docker.DockerClient.from_env(
                timeout=SECONDS,
                environment={key: environ[key] for key in _VARIABLES if key in environ},
            )
        ) as client:
            for piece in client.api.get_image(name, chunk_size=_PIECE):
                spool.append(piece)
    except docker.errors.NotFound as fault:
        raise ConfigError(
            f"the Docker daemon has no image {name!r}",
            where="docker-daemon",
            hint="build it before this step, on this agent",
        ) from fault
    except docker.errors.APIError as fault:
        raise MachineError(
            f"the Docker daemon does not give the image {name!r}:"
            f" {words(str(fault.explanation), 300)}",
            where="docker-daemon",
        ) from fault
    except (docker.errors.DockerException, requests.RequestException, OSError, ValueError) as fault:
        why = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
        raise MachineError(
            f"the Docker daemon at {_shown(where)} cannot be asked for {name!r}: {words(why, 300)}",
            where="docker-daemon",
            hint=_HINT,
        ) from fault


def _shown(where: str) -> str:
    """The address of the daemon without user info."""
    return re.sub(r"//[^/]*@", "//", where)


def _check_socket(where: str) -> None:
    """Raise OSError if `where` names a socket on which no daemon listens.

    The docker package would leave its own socket open.
    """
    scheme, _, path = where.partition("://")
    if scheme == "unix":
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(SECONDS)
            probe.connect(f"/{path.lstrip('/')}")
