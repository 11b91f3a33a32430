"""Pure.

The files of a chart in a repository: those that a rendering can use, the charts that it depends on
(from `file://` and from elsewhere), and the schemas of its values.

A schema (`values.schema.json`) that refers to something outside itself is refused before Helm sees
it. Helm follows such a reference wherever it leads: the author of a chart could make the agent ask
hosts that only the agent reaches, and learn which files it has. Packed charts are searched as Helm
does, in members of each kind and under each spelling of a name, after `repack_charts`.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from towline.errors import ConfigError, RenderError
from towline.git.tree import is_path
from towline.gitops.helm.packed_chart import (
    archive_members,
    check_lock,
    is_packed_chart,
    normal_path,
)
from towline.literals import load_json
from towline.record import frozen
from towline.yaml.plain_data import first_mapping, maps_at, text_at

_OWN = frozenset(
    (
        "Chart.yaml",
        "Chart.lock",
        "requirements.yaml",
        "requirements.lock",
        "values.yaml",
        "values.schema.json",
        ".helmignore",
    )
)
_FOLDERS = frozenset(("templates", "charts"))
_SMALL_CHART = 300  # files; a folder with no more is read as a whole
_LONGEST_CHAIN = 10  # charts that depend on each other in a row
_MOST_CHARTS = 1000  # charts within a chart
_LOCAL = "file://"
_SUBCHART = re.compile(r"charts/([^/]+)/Chart\.yaml")
_PACKED = re.compile(r"charts/([^/]+)\.tgz")


@frozen
class Dependency:
    """A dependency of a Chart.yaml; `folder` is the path of the chart that has it.

    `locked` is the version in its Chart.lock, empty if there is none.
    """

    name: str
    version: str
    repository: str
    folder: str = ""
    locked: str = ""


@frozen
class ChartTree:
    """A chart to be rendered: its files by their path in it, and its missing dependencies.

    These must still be put into `charts/`.
    """

    files: Mapping[str, bytes]
    missing: tuple[Dependency, ...] = ()


def structural_paths(chart: str, listing: Sequence[str]) -> list[str]:
    """The paths below `chart` that are read first: all, or of many those that each rendering uses.

    `chart` is a folder with a slash at its end, or empty for the repository's root.
    """
    below = [path for path in listing if path.startswith(chart)]
    return (
        below
        if chart and len(below) <= _SMALL_CHART
        else [path for path in below if _is_structural(path.removeprefix(chart))]
    )


def further_paths(chart: str, listing: Sequence[str], files: Mapping[str, bytes]) -> Iterator[str]:
    """Further paths that a rendering uses: files that templates read, and charts from `file://`.

    Raises ConfigError.
    """
    seen, waiting = {chart}, [chart]
    while waiting:
        folder_of_chart = waiting.pop()
        own_files = {
            path.removeprefix(folder_of_chart): content
            for path, content in files.items()
            if path.startswith(folder_of_chart)
        }
        yield from _files_for_templates(folder_of_chart, listing, own_files)
        for wanted in _dependencies(own_files):
            if wanted.repository.startswith(_LOCAL) and not _is_in_charts(own_files, wanted):
                folder = _dependency_folder(folder_of_chart, wanted)
                if folder not in seen:
                    seen.add(folder)
                    waiting.append(folder)
                    yield f"{folder}Chart.yaml"
                    yield from structural_paths(folder, listing)


def chart_tree(
    chart: str, files: Mapping[str, bytes], *, without: str = "", above: tuple[str, ...] = ()
) -> ChartTree:
    """The chart in folder `chart` with its dependencies from `file://` in `charts/`.

    The file `without` is left out. Raises ConfigError.
    """
    found = {
        path.removeprefix(chart): content
        for path, content in files.items()
        if path.startswith(chart) and path != without
    }
    missing: list[Dependency] = []
    for dependency in _dependencies(found):
        if not dependency.repository or _is_in_charts(found, dependency):
            continue
        if not dependency.repository.startswith(_LOCAL):
            missing.append(dependency)
            continue
        folder = _dependency_folder(chart, dependency)
        _check_above(chart, folder, (*above, chart))
        if f"{folder}Chart.yaml" not in files:
            raise ConfigError(
                f"the chart depends on {dependency.name} at {dependency.repository},"
                f" and {folder}Chart.yaml is not in the repository",
                where=f"{chart}Chart.yaml",
                hint="correct the path, which begins at the chart's own folder",
            )
        below = chart_tree(folder, files, without=without, above=(*above, chart))
        found |= {
            f"charts/{dependency.name}/{path}": content for path, content in below.files.items()
        }
        if sum(path.endswith("Chart.yaml") for path in found) > _MOST_CHARTS:
            raise ConfigError(
                f"dependencies from {_LOCAL} bring more than {_MOST_CHARTS} charts",
                where=f"{chart}Chart.yaml",
                hint="a chart is copied for each chart that depends on it: let fewer charts do so",
            )
        missing += [
            Dependency(
                name=dep.name,
                version=dep.version,
                repository=dep.repository,
                locked=dep.locked,
                folder=f"charts/{dependency.name}/{dep.folder}",
            )
            for dep in below.missing
        ]
    if any(not dependency.folder for dependency in missing):
        _check_locks(chart, found)
    return ChartTree(files=found, missing=tuple(missing))


def _files_for_templates(
    chart: str, listing: Sequence[str], own_files: Mapping[str, bytes]
) -> Iterator[str]:
    """All files of a chart that `.helmignore` does not name, if a template may read files."""
    if any(
        b"Files" in content or path.endswith(".tgz")
        for path, content in own_files.items()
        if path.partition("/")[0] in _FOLDERS
    ):
        ignored = _ignored(own_files.get(".helmignore", b""))
        yield from (
            path
            for path in listing
            if path.startswith(chart) and not ignored(path.removeprefix(chart))
        )


def _check_above(chart: str, wanted: str, above: tuple[str, ...]) -> None:
    """Pass if `wanted` may be a dependency of `chart`, the last of `above`; raises ConfigError."""
    if wanted in above:
        raise ConfigError(
            f"the chart in {wanted} depends on itself"
            + (f", by way of {chart}" if chart != wanted else ""),
            where=f"{chart}Chart.yaml",
            hint="take one of these dependencies out",
        )
    if len(above) > _LONGEST_CHAIN:
        raise ConfigError(
            f"more than {_LONGEST_CHAIN} charts depend on each other in a row, down to {wanted}",
            where=f"{chart}Chart.yaml",
            hint="let the chart itself depend on the last charts of that row",
        )


def _is_structural(path: str) -> bool:
    return path in _OWN or path.partition("/")[0] in _FOLDERS


def _dependencies(files: Mapping[str, bytes]) -> list[Dependency]:
    """The dependencies in Chart.yaml, or in requirements.yaml of old charts.

    An entry without a usable name is left for Helm to refuse.
    """
    locked = {
        text_at(entry, "name"): text_at(entry, "version")
        for name in ("Chart.lock", "requirements.lock")
        for entry in _listed_dependencies(files.get(name, b""))
    }
    listed = [
        entry
        for name in ("Chart.yaml", "requirements.yaml")
        for entry in _listed_dependencies(files.get(name, b""))
    ]
    return [
        Dependency(
            name=name,
            version=text_at(entry, "version"),
            repository=text_at(entry, "repository"),
            locked=locked.get(name, ""),
        )
        for entry in listed
        if is_path(name := text_at(entry, "name")) and "/" not in name
    ]


def _check_locks(chart: str, files: Mapping[str, bytes]) -> None:
    """Pass if the chart has no lock, or one made for its dependencies; raises ConfigError."""
    for lock, wanted in (("Chart.lock", "Chart.yaml"), ("requirements.lock", "requirements.yaml")):
        if lock in files:
            listed = _listed_dependencies(files.get(wanted, b""))
            check_lock(listed, first_mapping(files[lock]), where=f"{chart}{lock}", of=wanted)


def _listed_dependencies(data: bytes) -> list[dict[str, Any]]:
    return maps_at(first_mapping(data), "dependencies")


def _is_in_charts(files: Mapping[str, bytes], wanted: Dependency) -> bool:
    """Whether `charts/` has the dependency, as a folder or packed."""
    for path, content in files.items():
        if (packed := _PACKED.fullmatch(path)) and (
            packed[1] == wanted.name or packed[1].startswith(f"{wanted.name}-")
        ):
            return True
        if _SUBCHART.fullmatch(path) and first_mapping(content).get("name") == wanted.name:
            return True
    return False


def _dependency_folder(chart: str, wanted: Dependency) -> str:
    """The folder of a chart from `file://`, with a slash at its end.

    Raises ConfigError if it is not inside the repository.
    """
    path = posixpath.normpath(posixpath.join(chart, wanted.repository.removeprefix(_LOCAL)))
    if path == "." or not is_path(path):
        raise ConfigError(
            f"the chart depends on {wanted.name} at {wanted.repository}, which is not inside the"
            " repository",
            where=f"{chart}Chart.yaml",
            hint="keep that chart in the repository, or in charts/",
        )
    return f"{path}/"


def _ignored(rules: bytes) -> Callable[[str], bool]:
    """A function that tells whether a `.helmignore` certainly ignores a path of the chart.

    Rules that negate others are not considered.
    """
    patterns = [line.strip() for line in rules.decode("utf-8", "replace").splitlines()]
    patterns = [
        line.replace("[^", "[!")
        for line in patterns
        if line and not line.startswith(("#", "!")) and "**" not in line and "\\" not in line
    ]

    def ignored(path: str) -> bool:
        parts = path.split("/")
        return any(
            _matches_rule(pattern, parts[:length], folder=length < len(parts))
            for pattern in patterns
            for length in range(1, len(parts) + 1)
        )

    return ignored


def _matches_rule(pattern: str, parts: Sequence[str], *, folder: bool) -> bool:
    if pattern.endswith("/"):
        if not folder:
            return False
        pattern = pattern.removesuffix("/")
    if "/" not in pattern:
        return fnmatch.fnmatchcase(parts[-1], pattern)
    wanted = pattern.removeprefix("/").split("/")
    return len(wanted) == len(parts) and all(
        fnmatch.fnmatchcase(part, name) for part, name in zip(parts, wanted, strict=True)
    )


_SCHEMA_FILE = "values.schema.json"
_POINTERS = frozenset(("$ref", "$dynamicRef", "$recursiveRef"))
_DIALECT = re.compile(r"https?://json-schema\.org/")
_HINT = "copy the referenced schema into `$defs` of the schema, and refer to it as `#/$defs/NAME`"


class _ExternalReference(ValueError):
    """A reference that leads out of its schema."""


def check_schemas(files: Mapping[str, bytes], chart: str) -> None:
    """Pass if the schemas of a chart and of charts packed in it refer to themselves only.

    Raises RenderError.
    """
    for path, content in _schemas(files.items(), chart):
        try:
            load_json(content.decode("utf-8-sig", "replace"), object_pairs_hook=_checked)
        except _ExternalReference as fault:
            raise RenderError(
                f"the schema of the chart's values {fault}", where=path, hint=_HINT
            ) from None
        except ValueError as fault:
            raise RenderError(
                "the schema of the chart's values is not readable JSON",
                where=path,
                hint="correct it, or take it out",
            ) from fault


def _checked(pairs: list[tuple[str, object]]) -> None:
    """Check each pair of an object, also those that a later pair of the same name replaces."""
    for key, value in pairs:
        if isinstance(value, str) and key in _POINTERS and not value.startswith("#"):
            raise _ExternalReference(f"refers to {value!r}, which is outside of it")
        if isinstance(value, str) and key == "$schema" and not _DIALECT.match(value):
            raise _ExternalReference(
                f"is written in {value!r}, which is not a dialect of JSON Schema"
            )


def _schemas(files: Iterable[tuple[str, bytes]], around: str) -> Iterator[tuple[str, bytes]]:
    """Each schema with its path for people, those in packed charts too; raises RenderError."""
    for name, content in files:
        path = f"{around}{normal_path(name)}"
        if path.rpartition("/")[2] == _SCHEMA_FILE:
            yield path, content
        elif is_packed_chart(name):
            inner = ((member.name, data) for member, data in archive_members(path, content))
            yield from _schemas(inner, f"{path}/")
