"""Pure. A chart that is packed (`.tgz`): its files, within bounds, as those of a folder."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator

from towline.errors import RenderError
from towline.git.tree import is_path

_MOST = 64 * 1024 * 1024
_FILES = 20_000


def unpacked(name: str, data: bytes) -> dict[str, bytes]:
    """The files of the archive at the path `name` by their path in the chart; raises RenderError."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            plain = packed.read(_MOST + 1)
        if len(plain) > _MOST:
            raise RenderError(
                f"the chart {name} is larger than {_MOST >> 20} MiB unpacked",
                where=name,
                hint="leave out of it what is not needed (.helmignore)",
            )
        with tarfile.TarFile(fileobj=io.BytesIO(plain)) as archive:
            found = dict(_files(archive))
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, OverflowError) as fault:
        raise RenderError(
            f"{name} is no packed chart: {fault}", where=name, hint="make it by `helm package`"
        ) from fault
    if "Chart.yaml" not in found:
        raise RenderError(f"{name} holds no chart", where=name, hint="make it by `helm package`")
    return found


def _files(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """The regular files below the archive's one folder; what has another kind of name is left out, as Helm does or refuses to do."""
    for number, member in enumerate(archive):
        if number > _FILES:
            raise ValueError(f"it holds more than {_FILES} files")
        path = member.name.removeprefix("./").partition("/")[2]
        content = archive.extractfile(member) if member.isreg() and path and is_path(path) else None
        if content:
            yield path, content.read(_MOST)
