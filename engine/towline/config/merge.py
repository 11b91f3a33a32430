"""Pure.

Settings and layers: layers are folded into one setting per key, which knows its origin.

Maps merge deeply; any other value replaces the value below it. Nulls are dropped, also in nested
maps and lists (facts 1.4).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from towline.record import frozen, replace

# names of layers
DEFAULT = "default"  # a step's own defaults
PIPELINE_ENVIRONMENT = "pipeline environment"  # values that steps of this pipeline have written
# values that no step is known to have written (towline/pipeline/environment.py)
UNPROVEN = "unproven pipeline environment"
# values that differ from those that a step has written
CHANGED = "changed pipeline environment"
PIPELINE_LAYERS = (PIPELINE_ENVIRONMENT, UNPROVEN, CHANGED)


@frozen
class Setting:
    """A key's value with its origin: in one layer, or folded from several.

    `origin` is the place: file:line, variable, flag. `layer` is the layer's name for people. A pull
    request can change a setting that is not `trusted`. `alias` is the name that is written there,
    if it is not the parameter's own. `record` are the hosts that the secret in Vault names for
    itself. `bound` is the id of the Jenkins credential that the value comes from.

    A folded setting has the origin of its strongest layer, and is trusted if every layer that is
    merged into it is. `overridden` are the settings of the other layers, weakest first.
    """

    value: object
    origin: str
    layer: str
    trusted: bool
    alias: str = ""
    record: tuple[str, ...] = ()
    bound: str = ""
    overridden: tuple[Setting, ...] = ()


@frozen
class Layer:
    """The settings of one source by key; a pull request can change a layer that is not trusted."""

    name: str
    trusted: bool
    settings: Mapping[str, Setting]

    def value(self, key: str) -> object:
        """The value of `key`; None if the layer does not have it."""
        setting = self.settings.get(key)
        return setting.value if setting else None

    def only(self, keys: Collection[str]) -> Layer:
        """The layer without the settings whose key is not one of `keys`."""
        settings = {key: setting for key, setting in self.settings.items() if key in keys}
        return replace(self, settings=settings)

    def distrusted(self) -> Layer:
        """The layer as one that a pull request can change."""
        settings = {key: replace(setting, trusted=False) for key, setting in self.settings.items()}
        return replace(self, trusted=False, settings=settings)


def layer_of(
    name: str,
    values: Mapping[str, object],
    *,
    trusted: bool,
    origins: Mapping[str, str] | None = None,
) -> Layer:
    """A layer of values; a value without an origin has the layer's name as its origin."""
    settings = {
        key: Setting(
            value=value, origin=(origins or {}).get(key, name), layer=name, trusted=trusted
        )
        for key, value in values.items()
    }
    return Layer(name=name, trusted=trusted, settings=settings)


def fold_settings(layers: Iterable[Layer]) -> dict[str, Setting]:
    """Layers, weakest first, to one setting per key; the layers stay as they are."""
    folded: dict[str, Setting] = {}
    for layer in layers:
        for key, setting in layer.settings.items():
            if setting.value is not None:
                folded[key] = _override(folded.get(key), setting)
    return folded


def _override(below: Setting | None, above: Setting) -> Setting:
    """The setting `above` over `below`, if there is one."""
    value = prune(above.value)
    if below is None:
        return replace(above, value=value)
    merges = isinstance(value, dict) and isinstance(below.value, dict)
    return replace(
        above,
        value=merge(below.value, value),
        trusted=above.trusted and (below.trusted or not merges),
        overridden=(*below.overridden, replace(below, overridden=())),
    )


def merge(below: object, above: object) -> object:
    """`above` over `below`: two maps merge key by key, anything else is replaced."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    merged = dict(below)
    for key, value in above.items():
        merged[key] = merge(below[key], value) if key in below else value
    return merged


def prune(value: Any) -> Any:
    """`value` without the nulls in its maps and lists, at any depth."""
    if isinstance(value, dict):
        return {key: prune(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [prune(inner) for inner in value if inner is not None]
    return value
