"""Pure.

Layers folded into one setting per key, each knowing where it came from and what it overrode.

Maps merge deeply; lists, scalars and values of another kind replace; nulls are dropped, nested ones
and those in lists too (facts 1.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from towline.record import field, frozen, replace

DEFAULT = "default"  # the layer of a step's own defaults
PIPELINE_ENVIRONMENT = "pipeline environment"  # that of what earlier steps have left
# that of what somebody has left, perhaps no step (towline/pipeline/environment.py)
UNPROVEN = "unproven pipeline environment"
# that of what stands there in the place of what a step has written
CHANGED = "changed pipeline environment"
PIPELINE_LAYERS = (PIPELINE_ENVIRONMENT, UNPROVEN, CHANGED)


@frozen
class Layer:
    """Values of one source: `name` is the layer for people, `origins` says per key where it stands, `aliases` under which other name if any.

    What an untrusted layer holds, a pull request can change. `records`: hosts that the value's own
    record there names for it; `bound`: ids of the Jenkins credentials that values come from.
    """

    name: str
    trusted: bool
    values: Mapping[str, object]
    origins: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    records: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bound: Mapping[str, str] = field(default_factory=dict)

    def origin(self, key: str) -> str:
        """Where `key` stands: file:line, variable, flag; the layer's name where nothing closer is known."""
        return self.origins.get(key, self.name)


@frozen
class Setting:
    """A key's value; `origin`, `layer`, `record` and `bound` are the strongest source's; `trusted` where every source is; `overridden`: weakest first."""

    value: object
    origin: str
    layer: str
    trusted: bool
    overridden: tuple[Setting, ...] = ()
    record: tuple[str, ...] = ()
    bound: str = ""


def fold_settings(layers: Iterable[Layer]) -> dict[str, Setting]:
    """Layers, weakest first, to one setting per key; the inputs stay as they are."""
    settings: dict[str, Setting] = {}
    for layer in layers:
        for key, value in layer.values.items():
            if value is not None:
                settings[key] = _over(settings.get(key), prune(value), layer, key)
    return settings


def _over(before: Setting | None, value: object, layer: Layer, key: str) -> Setting:
    above = Setting(
        value=value,
        origin=layer.origin(key),
        layer=layer.name,
        trusted=layer.trusted,
        record=layer.records.get(key, ()),
        bound=layer.bound.get(key, ""),
    )
    if before is None:
        return above
    merges = isinstance(value, dict) and isinstance(before.value, dict)
    return replace(
        above,
        value=merge(before.value, value),
        trusted=layer.trusted and (before.trusted or not merges),
        overridden=(*before.overridden, replace(before, overridden=())),
    )


def merge(below: object, above: object) -> object:
    """`above` over `below`: two maps merge key by key, anything else is replaced."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {
        **below,
        **{
            key: merge(below[key], value) if key in below else value for key, value in above.items()
        },
    }


def prune(value: Any) -> Any:
    """`value` without the nulls in its maps and lists, at any depth."""
    if isinstance(value, dict):
        return {key: prune(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [prune(inner) for inner in value if inner is not None]
    return value
