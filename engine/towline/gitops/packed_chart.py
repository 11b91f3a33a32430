"""Pure. A chart that is packed (`.tgz`): its files, within bounds, as those of a folder."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator

from towline.errors import RenderError
from towline.git.tree import is_path

MOST = 64 * 1024 * 1024
_FILES = 20_000


def unpacked(name: str, data: bytes) -> dict[str, bytes]:
    """The files of the archive at the path `name` by their path in the chart; raises RenderError.

    Regular files below the archive's one folder; what has another kind of name is left out, as Helm
    does or refuses to do.
    """
    found = {}
    for member, content in members(name, data):
        path = member.name.removeprefix("./").partition("/")[2]
        if member.isreg() and path and is_path(path):
            found[path] = content
    if "Chart.yaml" not in found:
        raise RenderError(f"{name} holds no chart", where=name, hint="make it by `helm package`")
    return found


def members(name: str, data: bytes) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Everything in the archive at the path `name` that has a content, whatever its kind and its name; raises RenderError."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            plain = packed.read(MOST + 1)
        if len(plain) > MOST:
            raise RenderError(
                f"the chart {name} is larger than {MOST >> 20} MiB unpacked",
                where=name,
                hint="leave out of it what is not needed (.helmignore)",
            )
        with tarfile.TarFile(fileobj=io.BytesIO(plain)) as archive:
            for number, member in enumerate(archive):
                if number > _FILES:
                    raise _crowded(name)
                content = None if member.issym() or member.islnk() else archive.extractfile(member)
                if content:
                    yield member, content.read(MOST)
            if plain[archive.offset :].strip(b"\0"):  # another reader may find more files there
                raise RenderError(
                    f"{name} is no packed chart: no file begins at byte {archive.offset}",
                    where=name,
                    hint="make it by `helm package`",
                )
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, OverflowError) as fault:
        raise RenderError(
            f"{name} is no packed chart: {fault}", where=name, hint="make it by `helm package`"
        ) from fault


def _crowded(name: str) -> RenderError:
    return RenderError(
        f"{name} is no packed chart: it holds more than {_FILES} files",
        where=name,
        hint="leave out of it what is not needed (.helmignore)",
    )
