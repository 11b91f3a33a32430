"""Images of this machine as the sources of a copy, by the place that names them; what reads them is loaded only where there is one."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

from towline import dispatch
from towline.errors import ConfigError, MachineError, placed
from towline.files import Misfit
from towline.http.client import Transport
from towline.registry.copy.deadline import run_in_time
from towline.registry.local.docker_archive import DockerArchive as ArchiveSource
from towline.registry.local.layout import LayoutFolder, OciLayout
from towline.registry.local.locations import (
    DaemonImage,
    DockerArchiveFile,
    LocalLocation,
    LocalPath,
    OciArchive,
    OciFolder,
)
from towline.registry.local.tar import NOT_AN_IMAGE, Tar, open_tar
from towline.registry.source import ImageSource


def open_path(path: str) -> int:
    """A descriptor of what is at `path`; raises OSError."""
    # a pipe must not keep us waiting
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


@contextmanager
def open_source(
    place: LocalLocation,
    *,
    environ: Mapping[str, str],
    transport: Transport | None = None,
    opener: Callable[[str], int] = open_path,
) -> Iterator[ImageSource]:
    """What is at `place` as a Source: its image is asked for by the empty target in the empty repository.

    `environ` is the machine's, for DOCKER_HOST; the time of `transport` is that of opening it too;
    `opener` opens a file or folder, and may refuse it (`inside`). Raises ConfigError, MachineError
    and DigestMismatch.
    """
    with ExitStack() as stack:
        opened = partial(stack.enter_context, _opened(place, environ, opener))
        with placed(str(place)):
            source = run_in_time(opened, transport) if transport else opened()
        yield source


@contextmanager
def _opened(
    place: LocalLocation, environ: Mapping[str, str], opener: Callable[[str], int]
) -> Iterator[ImageSource]:
    if isinstance(place, DaemonImage):
        with dispatch.part("docker_daemon").export(place.name, environ=environ) as spool:
            name = f"image {place.name} of the Docker daemon"
            with ArchiveSource(Tar(spool.fileno(), spool.size, where=name), name=name) as source:
                yield source
        return
    descriptor = _descriptor(place, opener)
    try:
        if _is_folder(place, descriptor):
            yield OciLayout(
                LayoutFolder(descriptor, place.path),
                name=f"OCI layout {place.path}",
                target=place.target,
            )
            return
        assert not isinstance(place, OciFolder)
        with open_tar(descriptor, place.path) as tar, _of_tar(place, tar) as source:
            yield source
    finally:
        os.close(descriptor)


_OnDisk = OciFolder | OciArchive | DockerArchiveFile | LocalPath


def _descriptor(place: _OnDisk, opener: Callable[[str], int]) -> int:
    """What is at the place, open; raises ConfigError and MachineError."""
    try:
        return opener(place.path)
    except Misfit as fault:
        raise ConfigError(NOT_AN_IMAGE, where=place.path) from fault
    except (OSError, ValueError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else str(fault)
        if isinstance(place, OciFolder):
            why = "the folder is not there" if isinstance(fault, FileNotFoundError) else why
            raise ConfigError(
                f"there is no OCI layout at {place.path}: {why}", hint="correct the path"
            ) from fault
        kind = (
            ConfigError
            if isinstance(fault, FileNotFoundError | NotADirectoryError | ValueError)
            else MachineError
        )
        raise kind(
            f"cannot open the local image: {why}",
            where=place.path,
            hint="check its path: it is relative to the workspace",
        ) from fault


def _is_folder(place: _OnDisk, descriptor: int) -> bool:
    """Whether a layout in a folder is read; raises ConfigError where one is meant, and there is none."""
    found = stat.S_ISDIR(os.fstat(descriptor).st_mode)
    if isinstance(place, OciFolder) and not found:
        raise ConfigError(
            f"there is no OCI layout at {place.path}: it is no folder",
            hint=f"for an archive write oci-archive:{place.path}",
        )
    return found and isinstance(place, OciFolder | LocalPath)


@contextmanager
def _of_tar(place: OciArchive | DockerArchiveFile | LocalPath, tar: Tar) -> Iterator[ImageSource]:
    """What the archive is said to be; a bare path's is found out: new archives of docker save are layouts as well, and theirs is the manifest.json."""
    if isinstance(place, DockerArchiveFile) or (
        isinstance(place, LocalPath) and "manifest.json" in tar
    ):
        with ArchiveSource(tar, name=f"Docker archive {place.path}", target=place.target) as source:
            yield source
        return
    if "oci-layout" not in tar:
        saved = (
            "; docker-archive:FILE names what docker save wrote" if "manifest.json" in tar else ""
        )
        raise ConfigError(
            "the archive holds no image that is known",
            where=place.path,
            hint=f"an OCI archive has a file oci-layout, this one has none{saved}",
        )
    yield OciLayout(tar, name=f"OCI archive {place.path}", target=place.target)
