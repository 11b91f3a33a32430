"""Pure.

Packed charts (`.tgz`): their files, within limits, as those of a folder; the locked version of a
dependency; and charts packed in a chart, packed anew.

A lock is accepted only if it was made for the dependencies that Chart.yaml has now.

Charts in a chart are packed anew so that Helm gets the files that were checked and no others: two
readers of one archive need not find the same in it. A size that begins with a zero byte is 0 to one
of them and a length to the other. A file that only Helm found would be rendered without a check
(`towline.gitops.helm.chart_files`).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import posixpath
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from towline.errors import ConfigError, RenderError
from towline.git.tree import is_path
from towline.yaml.plain_data import maps_at

_EXACT = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_DEPENDENCY_FIELDS = (
    "name",
    "version",
    "repository",
    "condition",
    "tags",
    "enabled",
    "import-values",
    "alias",
)
_MOST_VALUES = 100_000
_ALWAYS = frozenset(("name", "repository"))
_ESCAPED = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}
_UPDATE = "run `helm dependency update` and commit"


def lock_digest(
    wanted: Sequence[Mapping[str, object]], locked: Sequence[Mapping[str, object]]
) -> str:
    """The `digest` that Helm writes into a lock (Helm: internal/resolver, HashReq).

    `wanted` are the dependencies of the chart, `locked` those of the lock. The digest is empty if
    they are too many for a lock; aliases can make that of a few lines.
    """
    dependencies = [
        [_ordered(dependency) for dependency in wanted],
        [_ordered(dependency) for dependency in locked],
    ]
    if sum(1 for _ in islice(_values(dependencies), _MOST_VALUES)) == _MOST_VALUES:
        return ""
    text = json.dumps(dependencies, ensure_ascii=False, separators=(",", ":"))
    for sign, escaped in _ESCAPED.items():
        text = text.replace(sign, escaped)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def exact_version(name: str, version: str, locked: str, *, where: str) -> str:
    """The version of a dependency; raises ConfigError if it is a range and no lock decides."""
    if locked:
        return locked
    if not _EXACT.fullmatch(version):
        raise ConfigError(
            f"the chart depends on {name} in any version that fits {version!r}, and no Chart.lock"
            " names the version",
            where=where,
            hint=f"{_UPDATE} Chart.lock",
        )
    return version


def check_lock(
    wanted: Sequence[Mapping[str, object]], lock: Mapping[str, object], *, where: str, of: str
) -> None:
    """Pass if the lock at `where` was made for these dependencies of the file `of`.

    Raises ConfigError.
    """
    digest = lock_digest(wanted, maps_at(lock, "dependencies"))
    if not digest:
        raise ConfigError(
            f"the dependencies of {of} and {where.rpartition('/')[2]} are too large:"
            f" {_MOST_VALUES} values or more",
            where=where,
            hint="remove the YAML aliases (*name) that repeat values",
        )
    if lock.get("digest") != digest:
        raise ConfigError(
            f"{where.rpartition('/')[2]} was made for other dependencies than {of} has now",
            where=where,
            hint=f"{_UPDATE} {where.rpartition('/')[2]}",
        )


def _values(value: object) -> Iterator[object]:
    """A value and all values below it, each as often as it occurs."""
    waiting = [value]
    while waiting:
        yield (inner := waiting.pop())
        waiting += (
            inner.values() if isinstance(inner, dict) else inner if isinstance(inner, list) else ()
        )


def _ordered(dependency: Mapping[str, object]) -> dict[str, object]:
    """A dependency with the fields and the order that Helm's own structure has as JSON."""
    dependency = {**dependency, "enabled": dependency.get("enabled") == "true"}
    return {
        field: dependency.get(field, "")
        for field in _DEPENDENCY_FIELDS
        if field in _ALWAYS or dependency.get(field)
    }


MOST_UNPACKED = 64 * 1024 * 1024
_MOST_FILES = 20_000


def unpack_chart(name: str, data: bytes) -> dict[str, bytes]:
    """The files of the packed chart at the path `name`, by their path in it; raises RenderError.

    These are regular files below the archive's one folder. Files with other kinds of names are left
    out; Helm leaves them out too, or refuses them.
    """
    found = {}
    for member, content in archive_members(name, data):
        path = member.name.removeprefix("./").partition("/")[2]
        if member.isreg() and path and is_path(path):
            found[path] = content
    if "Chart.yaml" not in found:
        raise RenderError(
            f"{name} does not hold a chart", where=name, hint="make it by `helm package`"
        )
    return found


def archive_members(name: str, data: bytes) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """All members of the archive at the path `name` that have content, whatever kind and name.

    Raises RenderError.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            plain = packed.read(MOST_UNPACKED + 1)
        if len(plain) > MOST_UNPACKED:
            raise RenderError(
                f"the chart {name} is larger than {MOST_UNPACKED >> 20} MiB unpacked",
                where=name,
                hint="exclude the files that it does not need (.helmignore)",
            )
        with tarfile.TarFile(fileobj=io.BytesIO(plain)) as archive:
            for number, member in enumerate(archive):
                if number > _MOST_FILES:
                    raise _too_many_files(name)
                content = None if member.issym() or member.islnk() else archive.extractfile(member)
                if content:
                    yield member, content.read(MOST_UNPACKED)
            if plain[archive.offset :].strip(b"\0"):  # another tar reader may find files there
                raise RenderError(
                    f"{name} is not a packed chart: no file begins at byte {archive.offset}",
                    where=name,
                    hint="make it by `helm package`",
                )
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, OverflowError) as fault:
        raise RenderError(
            f"{name} is not a packed chart: {fault}", where=name, hint="make it by `helm package`"
        ) from fault


def _too_many_files(name: str) -> RenderError:
    return RenderError(
        f"{name} is not a packed chart: it holds more than {_MOST_FILES} files",
        where=name,
        hint="exclude the files that it does not need (.helmignore)",
    )


_PACKED = re.compile(r"(?:^|/)charts/[^/]+\.tgz$")
_DEEPEST_PACKED = 10


def normal_path(name: str) -> str:
    """A path in a chart as Helm normalises it."""
    return posixpath.normpath(name.replace("\\", "/"))


def is_packed_chart(name: str) -> bool:
    """Whether Helm reads the file at this path in a chart as a packed chart."""
    return _PACKED.search(normal_path(name)) is not None


def repack_charts(files: Mapping[str, bytes], chart: str) -> dict[str, bytes]:
    """The files of `chart`, in which packed charts are packed anew; raises RenderError.

    A new archive has regular files only, whatever kind they had, as Helm reads them. All packed
    charts together may be as large as a single one.
    """
    return dict(_Packer().repacked(files.items(), chart))


class _Packer:
    """Packs charts anew, and counts the bytes of all of them."""

    def __init__(self) -> None:
        self._left = MOST_UNPACKED

    def repacked(
        self, files: Iterable[tuple[str, bytes]], around: str, depth: int = 0
    ) -> Iterable[tuple[str, bytes]]:
        for name, content in files:
            path = f"{around}{normal_path(name)}"
            yield name, self._repack(path, content, depth) if is_packed_chart(name) else content

    def _repack(self, place: str, data: bytes, depth: int) -> bytes:
        if depth == _DEEPEST_PACKED:
            raise RenderError(
                f"charts are packed into one another {_DEEPEST_PACKED} times",
                where=place,
                hint="let the chart depend on fewer levels of charts",
            )
        found = self._counted_members(place, data)
        stream = io.BytesIO()
        with (
            gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1, mtime=0) as packed,
            tarfile.TarFile(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for name, content in self.repacked(found, f"{place}/", depth + 1):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return stream.getvalue()

    def _counted_members(self, place: str, data: bytes) -> Iterable[tuple[str, bytes]]:
        for member, content in archive_members(place, data):
            self._left -= len(content)
            if self._left < 0:
                raise RenderError(
                    f"packed charts hold more than {MOST_UNPACKED >> 20} MiB together,"
                    " up to this one",
                    where=place,
                    hint="exclude the files that they do not need (.helmignore)",
                )
            yield member.name, content
