"""Pure.

Charts that are packed in a chart, packed anew: Helm gets what was looked into, and no more.

Two readers of one archive need not find the same in it: a size that begins with a zero byte is 0 to
one of them and a length to the other. What only Helm found would be rendered without having been
checked (`towline.gitops.chart_schema`).
"""

from __future__ import annotations

import gzip
import io
import posixpath
import re
import tarfile
from collections.abc import Iterable, Mapping

from towline.errors import RenderError
from towline.gitops.packed_chart import MOST, members

_PACKED = re.compile(r"(?:^|/)charts/[^/]+\.tgz$")
_DEPTH = 10


def plain_name(name: str) -> str:
    """A path in a chart as Helm takes it."""
    return posixpath.normpath(name.replace("\\", "/"))


def is_packed(name: str) -> bool:
    """Whether Helm takes the file at this path in a chart for a packed chart."""
    return _PACKED.search(plain_name(name)) is not None


def repacked(files: Mapping[str, bytes], chart: str) -> dict[str, bytes]:
    """The files of `chart`, those that are packed charts with what is read of them; raises RenderError.

    Files alone, whatever their kind there, as Helm takes them. All of them together may be as large
    as one alone.
    """
    return dict(_Packer().through(files.items(), chart))


class _Packer:
    """Counts what all of them hold."""

    def __init__(self) -> None:
        self._left = MOST

    def through(
        self, files: Iterable[tuple[str, bytes]], around: str, depth: int = 0
    ) -> Iterable[tuple[str, bytes]]:
        for name, content in files:
            place = f"{around}{plain_name(name)}"
            yield name, self._anew(place, content, depth) if is_packed(name) else content

    def _anew(self, place: str, data: bytes, depth: int) -> bytes:
        if depth == _DEPTH:
            raise RenderError(
                f"charts are packed into one another {_DEPTH} times",
                where=place,
                hint="let the chart depend on fewer levels of charts",
            )
        found = self._counted(place, data)
        stream = io.BytesIO()
        with (
            gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1, mtime=0) as packed,
            tarfile.TarFile(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for name, content in self.through(found, f"{place}/", depth + 1):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return stream.getvalue()

    def _counted(self, place: str, data: bytes) -> Iterable[tuple[str, bytes]]:
        for member, content in members(place, data):
            self._left -= len(content)
            if self._left < 0:
                raise RenderError(
                    f"packed charts hold more than {MOST >> 20} MiB together, up to this one",
                    where=place,
                    hint="leave out of them what is not needed (.helmignore)",
                )
            yield member.name, content
