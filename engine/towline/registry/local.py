"""Images of this machine as the sources of a copy, by the place that names them; what reads them is loaded only where there is one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

from towline import dispatch
from towline.errors import ConfigError, placed
from towline.registry.archive import DockerArchive as ArchiveSource
from towline.registry.deadline import apart
from towline.registry.layout import Folder, Layout
from towline.registry.places import DaemonImage, DockerArchive, LocalPath, LocalPlace, OciArchive, OciFolder
from towline.registry.source import Source
from towline.registry.tarball import Tar, open_tar
from towline.transport import Transport


@contextmanager
def open_source(
    place: LocalPlace, *, environ: Mapping[str, str], transport: Transport | None = None,
) -> Iterator[Source]:
    """What is at `place` as a Source: its image is asked for by the empty target in the empty repository.

    `environ` is the machine's, for DOCKER_HOST; the time of `transport` is that of opening it too. Raises ConfigError, MachineError and DigestMismatch.
    """
    with ExitStack() as stack:
        opened = partial(stack.enter_context, _opened(place, environ))
        with placed(str(place)):
            source = apart(opened, transport) if transport else opened()
        yield source


@contextmanager
def _opened(place: LocalPlace, environ: Mapping[str, str]) -> Iterator[Source]:
    if isinstance(place, OciFolder) or (isinstance(place, LocalPath) and _is_folder(place.path)):
        _check_folder(place.path)
        yield Layout(Folder(place.path), name=f"OCI layout {place.path}", target=place.target)
    elif isinstance(place, DaemonImage):
        with dispatch.part("docker_daemon").export(place.name, environ=environ) as spool:
            name = f"image {place.name} of the Docker daemon"
            with ArchiveSource(Tar(spool.fileno(), spool.size, where=name), name=name) as source:
                yield source
    else:
        with open_tar(place.path) as tar, _of_tar(place, tar) as source:
            yield source


@contextmanager
def _of_tar(place: OciArchive | DockerArchive | LocalPath, tar: Tar) -> Iterator[Source]:
    """What the archive is said to be; a bare path's is found out: new archives of docker save are layouts as well, and theirs is the manifest.json."""
    if isinstance(place, DockerArchive) or (isinstance(place, LocalPath) and "manifest.json" in tar):
        with ArchiveSource(tar, name=f"Docker archive {place.path}", target=place.target) as source:
            yield source
        return
    if "oci-layout" not in tar:
        saved = "; docker-archive:FILE names what docker save wrote" if "manifest.json" in tar else ""
        raise ConfigError("the archive holds no image that is known", where=place.path, hint=f"an OCI archive has a file oci-layout, this one has none{saved}")
    yield Layout(tar, name=f"OCI archive {place.path}", target=place.target)


def _check_folder(path: str) -> None:
    """Pass where there is a folder, which a layout may be in; raises ConfigError."""
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 - a place's path is text
    except (OSError, ValueError) as fault:
        why = fault.strerror if isinstance(fault, OSError) and not isinstance(fault, FileNotFoundError) else "the folder is not there"
        raise ConfigError(f"there is no OCI layout at {path}: {why}", hint="correct the path") from fault
    if not is_folder:
        raise ConfigError(f"there is no OCI layout at {path}: it is no folder", hint=f"for an archive write oci-archive:{path}")


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 - a place's path is text
    except (OSError, ValueError):
        return False  # opening it says why
