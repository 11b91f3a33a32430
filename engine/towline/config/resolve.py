"""From layers to a step's checked settings: types, rules and trust; every fault of a configuration is reported at once, with its place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from towline.config.documents import PROJECT_FILE
from towline.config.layers import Inputs, ordered
from towline.config.merge import Layer, Setting, fold
from towline.config.schema import Parameter, StepSchema
from towline.errors import ConfigError, UsageError
from towline.suggest import nearest

__all__ = ["Inputs", "Settings", "coerce", "resolve"]

_EMPTY: tuple[object, ...] = (None, "", [], {})
_ZERO: Mapping[str, object] = {"string": "", "boolean": False, "integer": 0, "list": [], "map": {}, "object": {}, "objects": []}
_EXPECTED = {"string": "text", "boolean": "true or false", "integer": "a whole number", "list": "a list of texts", "map": "a map of texts",
             "object": "a map", "objects": "a list of maps"}
_T = TypeVar("_T")


class Settings:
    """A step's checked parameters; each accessor is for one type, and an unset parameter is its type's empty value."""

    def __init__(self, schema: StepSchema, settings: Mapping[str, Setting], secrets: frozenset[str]) -> None:
        self._schema = schema
        self._settings = settings
        self._secrets = secrets

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

    def origin(self, name: str) -> str:
        """Where the value stands: file:line, key of the pipeline environment, variable, call, flag or `default`; empty where it is not set."""
        self._parameter(name)
        return self._settings[name].origin if name in self._settings else ""

    def given(self, name: str) -> bool:
        """Whether the parameter has a value that is not empty."""
        self._parameter(name)
        return name in self._settings and self._settings[name].value not in _EMPTY

    def trusted(self, name: str) -> bool:
        """Whether no part of the value comes from what a pull request can change; an unset parameter is trusted."""
        self._parameter(name)
        return name not in self._settings or self._settings[name].trusted

    def secrets(self) -> frozenset[str]:
        """Every value that a secret parameter has in any layer, for masking."""
        return self._secrets

    def _parameter(self, name: str) -> Parameter:
        parameter = next((parameter for parameter in self._schema.parameters if parameter.name == name), None)
        if parameter is None:
            raise KeyError(f"{self._schema.name} has no parameter {name}")
        return parameter

    def _get(self, name: str, kind: type[_T]) -> _T:
        value = self._settings[name].value if name in self._settings else _ZERO[self._parameter(name).type]
        assert isinstance(value, kind), f"{name} is no {kind.__name__}"
        return value


def resolve(schema: StepSchema, inputs: Inputs) -> Settings:
    """The step's settings; raises UsageError for a parameter or flag that the step does not have, ConfigError with every other fault at once."""
    _known(schema, (*inputs.parameters, *inputs.flags))
    layers = ordered(schema, inputs)
    folded = fold(layers)
    settings: dict[str, Setting] = {}
    faults = list(_untrusted(schema, layers))
    for parameter in schema.parameters:
        try:
            if setting := _checked(parameter, folded.get(parameter.name), schema.name):
                settings[parameter.name] = setting
        except _Fault as fault:
            faults.append(fault)
    if faults:
        raise _report(schema, faults)
    return Settings(schema, settings, frozenset(_secrets(schema, layers)))


def coerce(value: object, kind: str) -> object:
    """A value as a parameter's type has it (facts 1.6); raises ValueError where that would lose or invent something."""
    if kind == "list" and isinstance(value, list):
        return [_text(item) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {key: _text(item) for key, item in value.items()}
    if kind == "object" and isinstance(value, dict):
        return value
    if kind == "objects" and isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return value
    if kind == "boolean":
        return _boolean(value)
    if kind == "integer":
        return _integer(value)
    if kind == "string":
        return _text(value)
    raise ValueError(kind)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    text = str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e21 else repr(value)
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        raise ValueError("no scalar that has one spelling")
    return text


def _boolean(value: object) -> bool:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise ValueError("no truth value")  # noqa: TRY004 - one type of error for every value that does not fit
    return value


def _integer(value: object) -> int:
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value.strip()):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("no whole number")  # noqa: TRY004 - as above
    return value


class _Fault(Exception):
    """One fault of a configuration: where it stands, what is wrong, what to do about it."""

    def __init__(self, where: str, what: str, hint: str) -> None:
        super().__init__(what)
        self.where, self.what, self.hint = where, what, hint

    @property
    def line(self) -> str:
        return f"{f'{self.where}: ' if self.where else ''}{self.what} ({self.hint})"


def _report(schema: StepSchema, faults: Sequence[_Fault]) -> ConfigError:
    if len(faults) == 1:
        return ConfigError(faults[0].what, where=faults[0].where, hint=faults[0].hint)
    lines = "\n".join(f"  {fault.line}" for fault in faults)
    return ConfigError(f"the settings of {schema.name} have {len(faults)} faults:\n{lines}", where=faults[0].where, hint="correct each of them")


def _known(schema: StepSchema, names: Iterable[str]) -> None:
    for name in names:
        if schema.find(name) is None:
            raise UsageError(f"{schema.name} has no parameter {name!r}", hint=nearest(name, (parameter.name for parameter in schema.parameters)))


def _untrusted(schema: StepSchema, layers: Sequence[Layer]) -> Iterator[_Fault]:
    for parameter in schema.parameters:
        for layer in layers if parameter.trusted else ():
            if parameter.name in layer.values and not layer.trusted:
                hint = f"set it in the platform team's defaults, as PIPER_{parameter.name}, or in the call"
                yield _Fault(layer.origin(parameter.name), f"{parameter.name} may not be set by what a pull request can change", hint)


def _checked(parameter: Parameter, setting: Setting | None, step: str) -> Setting | None:
    """The setting with a value of the parameter's type; raises _Fault."""
    if setting is None or setting.value in _EMPTY:
        if parameter.mandatory:
            raise _Fault(setting.origin if setting else "", f"{parameter.name} is not set", _how_to_set(parameter, step))
        if setting is None:
            return None
    try:
        value = coerce(setting.value, parameter.type)
    except ValueError:
        what, hint = f"{parameter.name} is {_shown(parameter, setting.value)}, expected {_EXPECTED[parameter.type]}", _how_to_write(parameter)
        raise _Fault(setting.origin, what, hint) from None
    if parameter.later and value not in (*_EMPTY, parameter.default):
        raise _Fault(setting.origin, f"{parameter.name} is set, but Towline cannot do this yet", parameter.later)
    for text in _choices(parameter, value):
        if text not in parameter.possible_values:
            close = nearest(text, parameter.possible_values)
            hint = f"{close} " * close.startswith("did") + f"possible: {', '.join(parameter.possible_values)}"
            raise _Fault(setting.origin, f"{parameter.name} is {_shown(parameter, text)}", hint)
    return replace(setting, value=value)


def _choices(parameter: Parameter, value: object) -> list[str]:
    """The texts of a value that have to be among the possible ones."""
    if not parameter.possible_values or value in _EMPTY:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _how_to_set(parameter: Parameter, step: str) -> str:
    places = {"STEPS": f"steps.{step}", "STAGES": "the stage's section", "GENERAL": "general"}
    where = " or ".join(place for scope, place in places.items() if scope in parameter.scope)
    return f"set {parameter.name} in {where} of {PROJECT_FILE}, or as PIPER_{parameter.name}"


def _how_to_write(parameter: Parameter) -> str:
    return {
        "string": "put the text in quotes",
        "boolean": "write true or false",
        "integer": "write digits only",
        "list": "write a list of texts, or `a,b` in a variable or flag",
        "map": "write `key: text` lines, or `k=v,k2=v2` in a variable or flag",
        "object": "write `key: value` lines",
        "objects": "write a list of maps",
    }[parameter.type]


def _shown(parameter: Parameter, value: object) -> str:
    """A value for messages: never a secret, no user info of a URL, no more than a line holds."""
    if parameter.secret:
        return "a secret value that does not fit"
    if isinstance(value, list | dict):
        kind = "list" if isinstance(value, list) else "map"
        return f"a {kind} with more than texts in it" if parameter.type == kind else f"a {kind}"
    return re.sub(r"://[^/@\s]*@", "://", json.dumps(value, ensure_ascii=False))[:80]


def _secrets(schema: StepSchema, layers: Sequence[Layer]) -> Iterator[str]:
    for parameter in schema.parameters:
        for layer in layers if parameter.secret else ():
            value = layer.values.get(parameter.name)
            if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
                yield str(value)
