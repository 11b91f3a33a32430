"""Pure.

Which version of a dependency is meant: the one that Chart.lock has, where it was made for what
Chart.yaml says now.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from towline.errors import ConfigError
from towline.gitops.plain_data import maps_at

_EXACT = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_FIELDS = (
    "name",
    "version",
    "repository",
    "condition",
    "tags",
    "enabled",
    "import-values",
    "alias",
)
_MOST = 100_000  # values
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
    """What Helm writes as `digest` into a lock with the dependencies `locked` for those that a chart has (Helm: internal/resolver, HashReq).

    Empty where they are too much for a lock, which aliases can make of a few lines.
    """
    known = [[_ordered(one) for one in wanted], [_ordered(one) for one in locked]]
    if sum(1 for _ in islice(_values(known), _MOST)) == _MOST:
        return ""
    text = json.dumps(known, ensure_ascii=False, separators=(",", ":"))
    for sign, escaped in _ESCAPED.items():
        text = text.replace(sign, escaped)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def exact(name: str, version: str, locked: str, *, where: str) -> str:
    """The one version that is meant; raises ConfigError where that is a range and nothing says which one of it."""
    if locked:
        return locked
    if not _EXACT.fullmatch(version):
        raise ConfigError(
            f"the chart depends on {name} in a version that fits {version!r}, and no Chart.lock"
            " says which",
            where=where,
            hint=f"{_UPDATE} Chart.lock",
        )
    return version


def check_lock(
    wanted: Sequence[Mapping[str, object]], lock: Mapping[str, object], *, where: str, of: str
) -> None:
    """Pass where the lock at `where` was made for these dependencies, those in the file `of`; raises ConfigError."""
    digest = lock_digest(wanted, maps_at(lock, "dependencies"))
    if not digest:
        raise ConfigError(
            f"the dependencies of {of} and {where.rpartition('/')[2]} are too large: {_MOST} values"
            " or more",
            where=where,
            hint="take out what aliases of YAML (*name) repeat",
        )
    if lock.get("digest") != digest:
        raise ConfigError(
            f"{where.rpartition('/')[2]} was made for other dependencies than {of} has now",
            where=where,
            hint=f"{_UPDATE} {where.rpartition('/')[2]}",
        )


def _values(value: object) -> Iterator[object]:
    """It and all below it, each as often as it stands there."""
    waiting = [value]
    while waiting:
        yield (one := waiting.pop())
        waiting += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()


def _ordered(dependency: Mapping[str, object]) -> dict[str, object]:
    """A dependency as Helm's own structure of it becomes JSON."""
    dependency = {**dependency, "enabled": dependency.get("enabled") == "true"}
    return {
        field: dependency.get(field, "")
        for field in _FIELDS
        if field in _ALWAYS or dependency.get(field)
    }
