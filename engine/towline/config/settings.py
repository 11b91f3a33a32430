"""A step's checked settings, by parameter name and type, each with its origin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from towline.config.merge import (
    DEFAULT,
    PIPELINE_ENVIRONMENT,
    PIPELINE_LAYERS,
    Layer,
    Setting,
    fold_settings,
    prune,
)
from towline.config.rules import SettingFault, check_settings, how_to_set
from towline.config.schema import Parameter, StepSchema, as_text
from towline.config.values import EMPTY, ZERO
from towline.errors import ConfigError, CredentialError
from towline.suggest import nearest

_T = TypeVar("_T")


class Settings:
    """A step's checked parameters, with an accessor for each type.

    A parameter that is not set has its type's empty value.
    """

    def __init__(
        self,
        schema: StepSchema,
        settings: Mapping[str, Setting],
        layers: Sequence[Layer],
        unknown: Iterable[str] = (),
    ) -> None:
        self._schema = schema
        self._settings = settings
        self._secrets, self._claimed = _secrets(schema, layers, settings)
        self._called: Mapping[str, str] = {}
        self.notes: tuple[str, ...] = ()  # lines on correct settings that may surprise
        # each line once
        self.warnings = tuple(dict.fromkeys((*unknown, *_deprecated(schema, layers))))

    def text(self, name: str) -> str:
        """The value of a string parameter."""
        return self._get(name, str)

    def flag(self, name: str) -> bool:
        """The value of a boolean parameter."""
        return self._get(name, bool)

    def number(self, name: str) -> int:
        """The value of an integer parameter."""
        return self._get(name, int)

    def texts(self, name: str) -> tuple[str, ...]:
        """The value of a list parameter."""
        return tuple(self._get(name, list))

    def mapping(self, name: str) -> Mapping[str, str]:
        """The value of a map parameter."""
        return dict(self._get(name, dict))

    def listed(self, name: str) -> Mapping[str, Sequence[str]]:
        """The value of a parameter that is a map of lists of texts."""
        return dict(self._get(name, dict))

    def maps(self, name: str) -> tuple[Mapping[str, object], ...]:
        """The value of a parameter that is a list of maps."""
        return tuple(self._get(name, list))

    def each(self, name: str, *, unchecked: bool = False) -> tuple[Settings, ...]:
        """One Settings for each map of the parameter `name`; these settings alone if it has none.

        The keys of a map win over the other parameters.

        Raises ConfigError for a key that `StepSchema.over` does not have; unless `unchecked`, also
        with every fault of the values at once.
        """
        return tuple(
            self._over(name, number, values, unchecked=unchecked)
            for number, values in enumerate(self.maps(name))
        ) or (self,)

    def _over(
        self, name: str, number: int, values: Mapping[str, object], *, unchecked: bool
    ) -> Settings:
        origin = f"{self.origin(name)}, {name}[{number}]"
        own = self._schema.over(name)
        changed = {key: setting for key, setting in self._settings.items() if key != name}
        for key, value in values.items():
            parameter = own.get(key)
            if parameter is None:
                raise ConfigError(
                    f"{key!r} cannot be set in an entry of {name}",
                    where=origin,
                    hint=nearest(key, dict.fromkeys(known.name for known in own.values())),
                )
            if value is not None:
                before = self._chain(parameter.name)
                changed[parameter.name] = Setting(
                    value=prune(value),
                    origin=origin,
                    layer=name,
                    trusted=self.trusted(name),
                    overridden=before,
                )
        return (
            Settings(self._schema, changed, ())
            if unchecked
            else checked_settings(self._schema, (), settled=changed)
        )

    def origin(self, name: str) -> str:
        """The place of the value: file:line, pipeline environment's key, variable, call or flag.

        For a default it says how to set it; empty if there is no value.
        """
        parameter = self._parameter(name)
        if name not in self._settings:
            return ""
        setting = self._settings[name]
        return (
            setting.origin
            if setting.layer != DEFAULT
            else (
                f"the default of {name}, since nothing sets it"
                f" ({how_to_set(self._schema, parameter)})"
            )
        )

    def how_to_set(self, name: str) -> str:
        """Every way to set the parameter, for hints."""
        return how_to_set(self._schema, self._parameter(name))

    def given(self, name: str) -> bool:
        """Whether the parameter has a value that is not empty."""
        self._parameter(name)
        return name in self._settings and self._settings[name].value not in EMPTY

    def has(self, name: str) -> bool:
        """Whether the step has a parameter of this name."""
        return any(parameter.name == name for parameter in self._schema.parameters)

    def chosen(self, name: str) -> bool:
        """Whether the parameter is set, by something other than its default."""
        self._parameter(name)
        return name in self._settings and self._settings[name].layer != DEFAULT

    def trusted(self, name: str) -> bool:
        """Whether no part of the value can be changed by a pull request; true if it is not set."""
        self._parameter(name)
        return name not in self._settings or self._settings[name].trusted

    def given_in(self, layer: str, name: str) -> tuple[str, ...]:
        """Every text that the layer called `layer` has for the parameter."""
        return tuple(
            setting.value
            for setting in self._chain(name)
            if setting.layer == layer and isinstance(setting.value, str)
        )

    def trusted_texts(self, name: str) -> tuple[str, ...]:
        """Every text that a trusted layer has for the parameter, also an overridden one."""
        return tuple(
            setting.value
            for setting in self._chain(name)
            if setting.trusted and isinstance(setting.value, str)
        )

    def layer(self, name: str) -> str:
        """The name of the value's layer; empty if there is no value."""
        chain = self._chain(name)
        return chain[-1].layer if chain else ""

    def stands_in(self, layer: str, name: str) -> bool:
        """Whether the value comes from the layer called `layer`, directly or translated.

        A translated value has the same origin as the value that it is made of.
        """
        chain = self._chain(name)
        return any(
            setting.layer == layer and setting.origin == chain[-1].origin for setting in chain
        )

    def left(self, name: str) -> bool:
        """Whether the value comes from the pipeline environment."""
        return self.layer(name) in PIPELINE_LAYERS

    def record(self, name: str) -> tuple[str, ...]:
        """Hosts that a secret's own record names, such as fields of the secret in Vault."""
        chain = self._chain(name)
        return chain[-1].record if chain else ()

    def bound(self, name: str) -> str:
        """The id of the Jenkins credential that the value comes from; empty if there is none."""
        chain = self._chain(name)
        return chain[-1].bound if chain else ""

    @property
    def flags(self) -> bool:
        """Whether parameters may be given as flags, as in a shell."""
        return self._schema.flags

    def called(self, name: str) -> str:
        """The name under which people set the parameter, if `translated` renamed it."""
        return self._called.get(name, name)

    def credential_ids(self, name: str) -> tuple[str, ...]:
        """The ids of Jenkins credentials that the settings name for the parameter."""
        entries = [
            entry.name for entry in self._schema.credentials if name in entry.parameters.values()
        ]
        return tuple(self.text(entry) for entry in entries if self.given(entry))

    def _chain(self, name: str) -> tuple[Setting, ...]:
        """The setting and those that it overrides, weakest first; empty if it is not set."""
        self._parameter(name)
        setting = self._settings.get(name)
        return (*setting.overridden, setting) if setting else ()

    def translated(
        self,
        schema: StepSchema,
        names: Mapping[str, str],
        more: Mapping[str, object],
        made: Mapping[str, str],
    ) -> Settings:
        """These settings for a step that does the same with other parameter names.

        `names` maps that step's parameters to ours, and `more` has the values of its other
        parameters. `made` maps a parameter in `more` to the parameter of ours that its value is
        made of: it gets the origin of ours, and overrides the same values.
        """
        defaults = {
            parameter.name: parameter.default
            for parameter in schema.parameters
            if parameter.default is not None
        }
        settings = {
            name: Setting(value=value, origin=DEFAULT, layer=DEFAULT, trusted=True)
            for name, value in defaults.items()
        }
        for name, value in more.items():
            chain = self._chain(made[name]) if name in made else ()
            origin = chain[-1].origin if chain else self._schema.name
            settings[name] = Setting(
                value=value, origin=origin, layer=self._schema.name, trusted=False, overridden=chain
            )
        settings |= {
            new: self._settings[old] for new, old in names.items() if old in self._settings
        }
        found = Settings(schema, settings, ())
        found._called = {**names, **made}
        return found

    def secrets(self) -> frozenset[str]:
        """Every value that a secret parameter has in a trusted layer, for masking."""
        return self._secrets

    def claimed(self) -> frozenset[str]:
        """The values of secret parameters that a pull request can choose.

        They are masked in logs, but not in lines for auditors.
        """
        return self._claimed

    def _parameter(self, name: str) -> Parameter:
        parameter = next(
            (parameter for parameter in self._schema.parameters if parameter.name == name), None
        )
        if parameter is None:
            raise KeyError(f"{self._schema.name} has no parameter {name}")
        return parameter

    def _get(self, name: str, kind: type[_T]) -> _T:
        value = (
            self._settings[name].value
            if name in self._settings
            else ZERO[self._parameter(name).type]
        )
        assert isinstance(value, kind), f"{name} is not a {kind.__name__}"
        return value


def checked_settings(
    schema: StepSchema,
    layers: Sequence[Layer],
    unknown: Sequence[str] = (),
    settled: Mapping[str, Setting] | None = None,
) -> Settings:
    """The checked settings of layers, weakest first; raises ConfigError with every fault at once.

    `settled` are the folded settings, if they are not just the folded `layers`. `unknown` are
    warnings on ignored keys. Raises CredentialError if every fault is a missing part of a login.
    """
    settings, faults = check_settings(
        schema, layers, fold_settings(layers) if settled is None else settled
    )
    if faults:
        raise _report(schema, faults, unknown)
    return Settings(schema, settings, layers, unknown)


def _report(
    schema: StepSchema, faults: Sequence[SettingFault], unknown: Sequence[str]
) -> ConfigError | CredentialError:
    """All faults as one error.

    An ignored key may be the reason why a parameter is missing, so the hint names these keys.
    """
    kind = CredentialError if all(fault.credential for fault in faults) else ConfigError
    if len(faults) == 1:
        return kind(
            faults[0].problem, where=faults[0].where, hint="; ".join((faults[0].hint, *unknown))
        )
    lines = "\n".join(f"  {fault}" for fault in faults)
    hint = "; ".join(("correct each of them", *unknown))
    return kind(
        f"the settings of {schema.name} have {len(faults)} faults:\n{lines}",
        where=faults[0].where,
        hint=hint,
    )


def _deprecated(schema: StepSchema, layers: Sequence[Layer]) -> Iterator[str]:
    for parameter in schema.parameters:
        old = {alias.name for alias in parameter.aliases if alias.deprecated}
        for layer in layers:
            setting = layer.settings.get(parameter.name)
            if setting and setting.alias in old:
                yield (f"{setting.origin}: {setting.alias} is deprecated, write {parameter.name}")


def _secrets(
    schema: StepSchema, layers: Sequence[Layer], settings: Mapping[str, Setting]
) -> tuple[frozenset[str], frozenset[str]]:
    """Every text of secret parameters, in any layer and as conditional default.

    The first set is from trusted layers and the pipeline environment, the second from layers that a
    pull request can change.
    """
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for name in (parameter.name for parameter in schema.parameters if parameter.secret):
        values = [
            (layer.value(name), layer.trusted or layer.name == PIPELINE_ENVIRONMENT)
            for layer in layers
        ]
        if setting := settings.get(name):
            values.append((setting.value, setting.trusted or setting.layer == PIPELINE_ENVIRONMENT))
        for value, real in values:
            if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
                found[real].add(as_text(value))
    return frozenset(found[True]), frozenset(found[False] - found[True])
