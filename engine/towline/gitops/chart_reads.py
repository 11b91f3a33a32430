"""Pure.

Which values the templates of a chart beside a values file read, as far as that can be told from
their text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from towline.gitops.chart_beside import base_of, chart_folder
from towline.gitops.plain_data import load, mapping, maps_at, text_at

_VALUES = re.compile(rb"\bValues\b(?:\.([A-Za-z_]\w*))?")
_JOINS = re.compile(rb"\bimageRegistry\b|[\"'.]common\.images?\.")
_TEXTS = re.compile(rb"\b(?:tpl|Files)\b")  # by which a value may read others, or a file itself


def looks(path: str, keys: Collection[str], files: Mapping[str, bytes], *, new: bool) -> set[str]:
    """The folders of the chart that tell whether it reads `keys` of the values file `path`.

    None where the chart's own values have them all; these themselves only if keys may be `new`.
    """
    folder = chart_folder(path, files)
    if folder is None or not _is_values(path, folder, files):
        return set()
    own = path == f"{folder}values.yaml"
    if not new if own else set(keys) <= base_of(path, files).keys():
        return set()
    return {f"{folder}templates/", f"{folder}charts/"}


def unread(
    path: str, keys: Collection[str], files: Mapping[str, bytes], listing: Collection[str]
) -> tuple[list[str], set[str]]:
    """Those of `keys`, at the top of a values file, that nothing in its chart reads, and what it reads instead."""
    folder = chart_folder(path, files)
    if folder is None or not _is_values(path, folder, files):
        return [], set()
    reads = _reads(folder, files, listing)
    if reads is None:
        return [], set()
    known = {*reads, "global", *base_of(path, files)}
    return [key for key in keys if key not in known], reads


def common_looks(path: str, files: Mapping[str, bytes], listing: Collection[str]) -> set[str]:
    """The files that tell whether the chart of a values file puts the registry that its values have for all images before them."""
    folder = chart_folder(path, files)
    if folder is None or not any(
        b"imageRegistry" in files.get(one, b"") for one in (path, f"{folder}values.yaml")
    ):
        return set()
    wanted = {f"{folder}templates/", f"{folder}charts/"}
    return wanted | {one for one in listing if one.startswith(tuple(wanted)) and _is_template(one)}


def puts_common(path: str, files: Mapping[str, bytes]) -> bool | None:
    """Whether it does; None if that is not known, as of a chart whose own charts are elsewhere."""
    folder = chart_folder(path, files)
    if folder is None:
        return None
    inside = (f"{folder}templates/", f"{folder}charts/")
    templates = [one for one in files if one.startswith(inside) and _is_template(one)]
    if any(_JOINS.search(files[one]) for one in templates):
        return True
    wanted = maps_at(mapping(files[f"{folder}Chart.yaml"]), "dependencies")
    there = all(
        any(one.startswith(f"{folder}charts/{text_at(each, 'name')}/") for one in templates)
        for each in wanted
    )
    old = f"{folder}requirements.yaml" in files
    return False if templates and there and not old else None


def _is_template(path: str) -> bool:
    return path.startswith("templates/") or "/templates/" in path


def _reads(folder: str, files: Mapping[str, bytes], listing: Collection[str]) -> set[str] | None:
    """What the templates read; None if not all of them is known, or a chart in the chart may."""
    templates = [path for path in listing if path.startswith(f"{folder}templates/")]
    chart = load(files.get(f"{folder}Chart.yaml", b"")) or [{}]
    if (
        not templates
        or any(path not in files for path in templates)
        or any(path.startswith(f"{folder}charts/") for path in listing)
        or f"{folder}requirements.yaml" in listing
        or not isinstance(chart[0], dict)
        or chart[0].get("dependencies")
    ):
        return None
    found = [match for path in templates for match in _VALUES.finditer(files[path])]
    if not all(match[1] for match in found) or any(_TEXTS.search(files[one]) for one in templates):
        return None
    return {match[1].decode() for match in found}


def _is_values(path: str, folder: str, files: Mapping[str, bytes]) -> bool:
    """Whether a file in a chart holds values, as far as its place and its content tell."""
    inside = path.removeprefix(folder)
    documents = load(files.get(path, b"")) or []
    plain = len(documents) == 1 and isinstance(documents[0], dict) and "kind" not in documents[0]
    return plain and inside != "Chart.yaml" and not inside.startswith(("templates/", "charts/"))
