"""Pure. The chart that a values file lies in: what its own values have, the file may set."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from towline.gitops.plain_data import mapping

_CHART, _VALUES = "Chart.yaml", "values.yaml"


def chart_folder(path: str, listing: Collection[str]) -> str | None:
    """The folder, with a slash behind it, of the innermost chart that a file lies in; None for no chart."""
    parts = path.split("/")[:-1]
    folders = ["".join(f"{part}/" for part in parts[:depth]) for depth in range(len(parts), -1, -1)]
    return next((folder for folder in folders if f"{folder}{_CHART}" in listing), None)


def chart_files(path: str, listing: Collection[str]) -> tuple[str, ...]:
    """The files, of those in `listing`, that say what the chart's own values are."""
    folder = chart_folder(path, listing)
    return tuple(
        one
        for one in (f"{folder}{_CHART}", f"{folder}{_VALUES}")
        if folder is not None and one in listing
    )


def base_of(path: str, files: Mapping[str, bytes]) -> Mapping[str, Any]:
    """The values that the chart of a file has of its own; empty for no chart, and for these values themselves."""
    folder = chart_folder(path, files)
    if folder is None or path == f"{folder}{_VALUES}":
        return {}
    return mapping(files.get(f"{folder}{_VALUES}", b""))
