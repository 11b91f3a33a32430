"""Pure. The chart that a values file lies in: what its own values have, the file may set."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from towline.gitops.plain_data import map_at, mapping, maps_at, text_at

_CHART, _VALUES = "Chart.yaml", "values.yaml"
_MOST = 1000  # names by which one chart is called


def chart_folder(path: str, listing: Collection[str]) -> str | None:
    """The folder, with a slash behind it, of the innermost chart that a file lies in; None for no chart."""
    parts = path.split("/")[:-1]
    folders = ["".join(f"{part}/" for part in parts[:depth]) for depth in range(len(parts), -1, -1)]
    return next((folder for folder in folders if f"{folder}{_CHART}" in listing), None)


def chart_files(path: str, listing: Collection[str]) -> tuple[str, ...]:
    """The files, of those in `listing`, that say what the chart's own values are, and those of charts in it."""
    folder = chart_folder(path, listing)
    if folder is None:
        return ()
    outer, inside = _outer(folder)
    folders = (folder, outer) if inside and f"{outer}{_CHART}" in listing else (folder,)
    wanted = dict.fromkeys(f"{one}{name}" for one in folders for name in (_CHART, _VALUES))
    own = tuple(one for one in wanted if one in listing)
    below = (one for one in listing if one.startswith(f"{folder}charts/"))
    return own + tuple(one for one in below if _subcharts(one.removeprefix(folder)))


def below_looks(
    path: str, keys: Collection[str], files: Mapping[str, bytes], listing: Collection[str]
) -> set[str]:
    """The folder of the charts in the chart of a file, and their values, if one of `keys` is a chart that it depends on."""
    folder = chart_folder(path, files)
    if folder is None:
        return set()
    wanted = maps_at(mapping(files[f"{folder}{_CHART}"]), "dependencies")
    if not {text_at(one, "alias") or text_at(one, "name") for one in wanted} & {*keys}:
        return set()
    return {f"{folder}charts/", *chart_files(path, listing)}


def base_of(path: str, files: Mapping[str, bytes]) -> Mapping[str, Any]:
    """The values that the chart of a file has below those of the file; empty for no chart."""
    folder = chart_folder(path, files)
    if folder is None:
        return {}
    own = f"{folder}{_VALUES}"
    return base_values({one: files[one] for one in files if one != path or path != own}, folder, ())


def base_values(files: Mapping[str, bytes], chart: str, over: Iterable[bytes]) -> dict[str, Any]:
    """The values that a chart has of its own, those of its subcharts under the names that it calls them by, and those of the files `over` it."""
    paths = [path for path in files if path.startswith(chart)]
    below = {path: names for path in paths if (names := _subcharts(path.removeprefix(chart)))}
    values: dict[str, Any] = {}
    for path, names in sorted(below.items(), key=lambda one: len(one[1]), reverse=True):
        own = mapping(files[path])
        for keys in _called(files, chart, names):
            values = merged(values, nested(keys, own))
    for data in (files.get(f"{chart}{_VALUES}", b""), *over):
        values = merged(values, mapping(data))
    return values


def chart_name(path: str, files: Mapping[str, bytes]) -> str:
    """The name of the chart of a file; empty for no chart."""
    folder = chart_folder(path, files)
    return "" if folder is None else text_at(mapping(files[f"{folder}{_CHART}"]), "name")


def values_around(
    path: str, files: Mapping[str, bytes]
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """What the chart around has for the chart whose own values file this is: in which file, under which key, and which values."""
    folder = chart_folder(path, files)
    outer, name = _outer(folder or "")
    if not name or path != f"{folder}{_VALUES}" or f"{outer}{_CHART}" not in files:
        return
    values = mapping(files.get(f"{outer}{_VALUES}", b""))
    for (key,) in _called(files, outer, [name]):
        yield f"{outer}{_VALUES}", key, map_at(values, key)


def nested(names: Iterable[str], values: Any) -> Any:
    """`values` under the keys `names`, one in the other."""
    for name in reversed(list(names)):
        values = {name: values}
    return values


def merged(weak: Mapping[str, Any], strong: Mapping[str, Any]) -> dict[str, Any]:
    """Values with `strong` ones over them, map by map; what aliases repeat in both is merged once."""
    return _merged(weak, strong, {})


def _merged(
    weak: Mapping[str, Any], strong: Mapping[str, Any], known: dict[tuple[int, int], dict[str, Any]]
) -> dict[str, Any]:
    pair = id(weak), id(strong)
    if pair not in known:
        found = known[pair] = dict(weak)
        for key, value in strong.items():
            old = found.get(key)
            both = isinstance(old, dict) and isinstance(value, dict)
            found[key] = _merged(old or {}, value, known) if both else value
    return known[pair]


def _called(files: Mapping[str, bytes], chart: str, names: list[str]) -> list[list[str]]:
    """The keys under which the values of `chart` have those of the charts `names` in each other: the names, or each `alias` that Chart.yaml gives them."""
    found: list[list[str]] = [[]]
    for name in names:
        wanted = maps_at(mapping(files.get(f"{chart}{_CHART}", b"")), "dependencies")
        aliases = [text_at(one, "alias") for one in wanted if text_at(one, "name") == name]
        every = ([*above, alias or name] for above in found for alias in aliases or [""])
        found = list(islice(every, _MOST))
        chart = f"{chart}charts/{name}/"
    return found


def _outer(folder: str) -> tuple[str, str]:
    """The folder of the chart around a chart in `charts/`, and how its own folder is called; both empty for none."""
    *above, charts, name = ["", "", *folder.split("/")[:-1]]
    return ("".join(f"{one}/" for one in above[2:]), name) if charts == "charts" else ("", "")


def _subcharts(path: str) -> list[str]:
    """The names of the charts in each other of which a path in a chart has the values; empty for any other path."""
    *folders, name = path.split("/")
    inside = name == _VALUES and len(folders) % 2 == 0 and set(folders[::2]) == {"charts"}
    return folders[1::2] if inside else []
