"""Opens local images as the sources of a copy: a layout, an archive, or an image of the daemon.

The modules that read them are loaded only for a copy of a local image.
"""

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
from towline.registry.parallel import run_in_time
from towline.registry.source import ImageSource


def open_path(path: str) -> int:
    """An open descriptor of the file or folder at `path`; raises OSError."""
    # not blocking, since a pipe would keep us waiting
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


@contextmanager
def open_source(
    location: LocalLocation,
    *,
    environ: Mapping[str, str],
    transport: Transport | None = None,
    opener: Callable[[str], int] = open_path,
) -> Iterator[ImageSource]:
    """The image at a location as an ImageSource; its repository and target are empty.

    `environ` is that of the machine, for DOCKER_HOST. Opening ends at the deadline of `transport`,
    too. `opener` opens a file or folder, and may refuse it. Raises ConfigError, MachineError and
    DigestMismatch.
    """
    with ExitStack() as stack:
        opened = partial(stack.enter_context, _opened(location, environ, opener))
        with placed(str(location)):
            source = run_in_time(opened, transport) if transport else opened()
        yield source


@contextmanager
def _opened(
    location: LocalLocation, environ: Mapping[str, str], opener: Callable[[str], int]
) -> Iterator[ImageSource]:
    if isinstance(location, DaemonImage):
        with dispatch.part("docker_daemon").export(location.name, environ=environ) as spool:
            name = f"image {location.name} of the Docker daemon"
            with ArchiveSource(Tar(spool.fileno(), spool.size, where=name), name=name) as source:
                yield source
        return
    descriptor = _descriptor(location, opener)
    try:
        if _is_folder(location, descriptor):
            yield OciLayout(
                LayoutFolder(descriptor, location.path),
                name=f"OCI layout {location.path}",
                target=location.target,
            )
            return
        assert not isinstance(location, OciFolder)
        with open_tar(descriptor, location.path) as tar, _of_tar(location, tar) as source:
            yield source
    finally:
        os.close(descriptor)


_OnDisk = OciFolder | OciArchive | DockerArchiveFile | LocalPath


def _descriptor(location: _OnDisk, opener: Callable[[str], int]) -> int:
    """An open descriptor of the file or folder at a location; raises ConfigError, MachineError."""
    try:
        return opener(location.path)
    except Misfit as fault:
        raise ConfigError(NOT_AN_IMAGE, where=location.path) from fault
    except (OSError, ValueError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else str(fault)
        if isinstance(location, OciFolder):
            why = "the folder does not exist" if isinstance(fault, FileNotFoundError) else why
            raise ConfigError(
                f"there is no OCI layout at {location.path}: {why}", hint="correct the path"
            ) from fault
        kind = (
            ConfigError
            if isinstance(fault, FileNotFoundError | NotADirectoryError | ValueError)
            else MachineError
        )
        raise kind(
            f"cannot open the local image: {why}",
            where=location.path,
            hint="check its path: it is relative to the workspace",
        ) from fault


def _is_folder(location: _OnDisk, descriptor: int) -> bool:
    """Whether the location is a layout in a folder; raises ConfigError for `oci:` and a file."""
    found = stat.S_ISDIR(os.fstat(descriptor).st_mode)
    if isinstance(location, OciFolder) and not found:
        raise ConfigError(
            f"there is no OCI layout at {location.path}: it is not a folder",
            hint=f"for an archive write oci-archive:{location.path}",
        )
    return found and isinstance(location, OciFolder | LocalPath)


@contextmanager
def _of_tar(
    location: OciArchive | DockerArchiveFile | LocalPath, tar: Tar
) -> Iterator[ImageSource]:
    """The source in an archive of the kind that its location names.

    For a path without prefix its files decide: new archives of docker save are layouts as well, but
    only they have a manifest.json.
    """
    if isinstance(location, DockerArchiveFile) or (
        isinstance(location, LocalPath) and "manifest.json" in tar
    ):
        with ArchiveSource(
            tar, name=f"Docker archive {location.path}", target=location.target
        ) as source:
            yield source
        return
    if "oci-layout" not in tar:
        saved = (
            "; write docker-archive:FILE for an archive of docker save"
            if "manifest.json" in tar
            else ""
        )
        raise ConfigError(
            "the archive has no image of a known kind",
            where=location.path,
            hint=f"an OCI archive has a file oci-layout, this one does not{saved}",
        )
    yield OciLayout(tar, name=f"OCI archive {location.path}", target=location.target)
