"""Pure.

The values of a chart that a values file belongs to: its defaults with those of its subcharts, and
the values that its templates read, as far as their text shows it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from towline.yaml.plain_data import first_mapping, load_documents, map_at, maps_at, text_at

_CHART, _VALUES = "Chart.yaml", "values.yaml"
_MOST_KEYS = 1000  # keys for one subchart


def chart_folder(path: str, listing: Collection[str]) -> str | None:
    """The folder of the innermost chart that has a file, with a slash at its end; else None."""
    parts = path.split("/")[:-1]
    folders = ["".join(f"{part}/" for part in parts[:depth]) for depth in range(len(parts), -1, -1)]
    return next((folder for folder in folders if f"{folder}{_CHART}" in listing), None)


def chart_value_paths(path: str, listing: Collection[str]) -> tuple[str, ...]:
    """The files of `listing` that have the default values of a file's chart and its subcharts."""
    folder = chart_folder(path, listing)
    if folder is None:
        return ()
    outer, name = _parent_chart(folder)
    folders = (folder, outer) if name and f"{outer}{_CHART}" in listing else (folder,)
    wanted = dict.fromkeys(f"{chart}{file}" for chart in folders for file in (_CHART, _VALUES))
    own = tuple(file for file in wanted if file in listing)
    below = (file for file in listing if file.startswith(f"{folder}charts/"))
    return own + tuple(file for file in below if _subchart_names(file.removeprefix(folder)))


def subchart_value_paths(
    path: str, keys: Collection[str], files: Mapping[str, bytes], listing: Collection[str]
) -> set[str]:
    """The subcharts' folder and values, if one of `keys` is a dependency of the file's chart."""
    folder = chart_folder(path, files)
    if folder is None:
        return set()
    wanted = maps_at(first_mapping(files[f"{folder}{_CHART}"]), "dependencies")
    if not {
        text_at(dependency, "alias") or text_at(dependency, "name") for dependency in wanted
    } & {*keys}:
        return set()
    return {f"{folder}charts/", *chart_value_paths(path, listing)}


def default_values(path: str, files: Mapping[str, bytes]) -> Mapping[str, Any]:
    """The values of a file's chart without those of the file; empty if it is in no chart."""
    folder = chart_folder(path, files)
    if folder is None:
        return {}
    own_values = f"{folder}{_VALUES}"
    return effective_values(
        {other: files[other] for other in files if other != path or path != own_values}, folder, ()
    )


def effective_values(
    files: Mapping[str, bytes], chart: str, overrides: Iterable[bytes]
) -> dict[str, Any]:
    """A chart's values: of subcharts under their keys, its own, and `overrides` over both."""
    paths = [path for path in files if path.startswith(chart)]
    below = {path: names for path in paths if (names := _subchart_names(path.removeprefix(chart)))}
    values: dict[str, Any] = {}
    for path, names in sorted(below.items(), key=lambda item: len(item[1]), reverse=True):
        subchart_values = first_mapping(files[path])
        for keys in _subchart_keys(files, chart, names):
            values = merge_values(values, nest(keys, subchart_values))
    for data in (files.get(f"{chart}{_VALUES}", b""), *overrides):
        values = merge_values(values, first_mapping(data))
    return values


def chart_name(path: str, files: Mapping[str, bytes]) -> str:
    """The name of the chart that has a file; empty if it is in no chart."""
    folder = chart_folder(path, files)
    return "" if folder is None else text_at(first_mapping(files[f"{folder}{_CHART}"]), "name")


def parent_chart_values(
    path: str, files: Mapping[str, bytes]
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Values that the parent chart has for a subchart, whose own values file is `path`.

    Each is the parent's file, the subchart's key in it, and the values there.
    """
    folder = chart_folder(path, files)
    outer, name = _parent_chart(folder or "")
    if not name or path != f"{folder}{_VALUES}" or f"{outer}{_CHART}" not in files:
        return
    values = first_mapping(files.get(f"{outer}{_VALUES}", b""))
    for (key,) in _subchart_keys(files, outer, [name]):
        yield f"{outer}{_VALUES}", key, map_at(values, key)


def nest(names: Iterable[str], values: Any) -> Any:
    """`values` under nested keys."""
    for name in reversed(list(names)):
        values = {name: values}
    return values


def merge_values(weak: Mapping[str, Any], strong: Mapping[str, Any]) -> dict[str, Any]:
    """Values with `strong` values over them, map by map; a pair of aliases is merged once."""
    return _merge(weak, strong, {})


def _merge(
    weak: Mapping[str, Any], strong: Mapping[str, Any], known: dict[tuple[int, int], dict[str, Any]]
) -> dict[str, Any]:
    pair = id(weak), id(strong)
    if pair not in known:
        merged = known[pair] = dict(weak)
        for key, value in strong.items():
            old = merged.get(key)
            both = isinstance(old, dict) and isinstance(value, dict)
            merged[key] = _merge(old or {}, value, known) if both else value
    return known[pair]


def _subchart_keys(files: Mapping[str, bytes], chart: str, names: list[str]) -> list[list[str]]:
    """The keys that `chart` has for the values of nested subcharts `names`.

    A key is the name, or each `alias` that Chart.yaml gives it.
    """
    found: list[list[str]] = [[]]
    for name in names:
        wanted = maps_at(first_mapping(files.get(f"{chart}{_CHART}", b"")), "dependencies")
        aliases = [
            text_at(dependency, "alias")
            for dependency in wanted
            if text_at(dependency, "name") == name
        ]
        key_paths = ([*above, alias or name] for above in found for alias in aliases or [""])
        found = list(islice(key_paths, _MOST_KEYS))
        chart = f"{chart}charts/{name}/"
    return found


def _parent_chart(folder: str) -> tuple[str, str]:
    """The folder of the chart around a chart in `charts/`, and the chart's own folder name.

    Both are empty if there is none.
    """
    *above, charts, name = ["", "", *folder.split("/")[:-1]]
    return ("".join(f"{step}/" for step in above[2:]), name) if charts == "charts" else ("", "")


def _subchart_names(path: str) -> list[str]:
    """The nested subcharts whose values file is at a path in a chart; empty for another path."""
    *folders, name = path.split("/")
    inside = name == _VALUES and len(folders) % 2 == 0 and set(folders[::2]) == {"charts"}
    return folders[1::2] if inside else []


_READ_VALUES = re.compile(rb"\bValues\b(?:\.([A-Za-z_]\w*))?")
_PREPENDED_REGISTRY = re.compile(rb"\bimageRegistry\b|[\"'.]common\.images?\.")
_INDIRECT_READS = re.compile(rb"\b(?:tpl|Files)\b")  # they may read further values


def reader_folders(
    path: str, keys: Collection[str], files: Mapping[str, bytes], *, new: bool
) -> set[str]:
    """The folders of a chart that show whether it reads `keys` of the values file `path`.

    There are none if the chart's default values have all keys. The defaults' own file counts only
    if keys may be `new`.
    """
    folder = chart_folder(path, files)
    if folder is None or not _is_values_file(path, folder, files):
        return set()
    is_default_values = path == f"{folder}values.yaml"
    if not new if is_default_values else set(keys) <= default_values(path, files).keys():
        return set()
    return {f"{folder}templates/", f"{folder}charts/"}


def unread_keys(
    path: str, keys: Collection[str], files: Mapping[str, bytes], listing: Collection[str]
) -> tuple[list[str], set[str]]:
    """Those of the top-level `keys` that the chart does not read, and all keys that it reads."""
    folder = chart_folder(path, files)
    if folder is None or not _is_values_file(path, folder, files):
        return [], set()
    reads = _keys_read(folder, files, listing)
    if reads is None:
        return [], set()
    known = {*reads, "global", *default_values(path, files)}
    return [key for key in keys if key not in known], reads


def registry_template_paths(
    path: str, files: Mapping[str, bytes], listing: Collection[str]
) -> set[str]:
    """The files that show whether a chart puts the registry for all images before image names."""
    folder = chart_folder(path, files)
    if folder is None or not any(
        b"imageRegistry" in files.get(file, b"") for file in (path, f"{folder}values.yaml")
    ):
        return set()
    wanted = {f"{folder}templates/", f"{folder}charts/"}
    return wanted | {
        file for file in listing if file.startswith(tuple(wanted)) and _is_template(file)
    }


def prepends_global_registry(path: str, files: Mapping[str, bytes]) -> bool | None:
    """Whether a chart puts the registry for all images before image names.

    None if that is not known, for example since its subcharts are not in the repository.
    """
    folder = chart_folder(path, files)
    if folder is None:
        return None
    inside = (f"{folder}templates/", f"{folder}charts/")
    templates = [
        template for template in files if template.startswith(inside) and _is_template(template)
    ]
    if any(_PREPENDED_REGISTRY.search(files[template]) for template in templates):
        return True
    wanted = maps_at(first_mapping(files[f"{folder}Chart.yaml"]), "dependencies")
    complete = all(
        any(
            template.startswith(f"{folder}charts/{text_at(dependency, 'name')}/")
            for template in templates
        )
        for dependency in wanted
    )
    old = f"{folder}requirements.yaml" in files
    return False if templates and complete and not old else None


def _is_template(path: str) -> bool:
    return path.startswith("templates/") or "/templates/" in path


def _keys_read(
    folder: str, files: Mapping[str, bytes], listing: Collection[str]
) -> set[str] | None:
    """The keys that templates read; None if they are not all known, or a subchart may read more."""
    templates = [path for path in listing if path.startswith(f"{folder}templates/")]
    chart = load_documents(files.get(f"{folder}Chart.yaml", b"")) or [{}]
    if (
        not templates
        or any(path not in files for path in templates)
        or any(path.startswith(f"{folder}charts/") for path in listing)
        or f"{folder}requirements.yaml" in listing
        or not isinstance(chart[0], dict)
        or chart[0].get("dependencies")
    ):
        return None
    found = [match for path in templates for match in _READ_VALUES.finditer(files[path])]
    if not all(match[1] for match in found) or any(
        _INDIRECT_READS.search(files[template]) for template in templates
    ):
        return None
    return {match[1].decode() for match in found}


def _is_values_file(path: str, folder: str, files: Mapping[str, bytes]) -> bool:
    """Whether a file in a chart has values, by its path and its content."""
    inside = path.removeprefix(folder)
    documents = load_documents(files.get(path, b"")) or []
    plain = len(documents) == 1 and isinstance(documents[0], dict) and "kind" not in documents[0]
    return plain and inside != "Chart.yaml" and not inside.startswith(("templates/", "charts/"))
