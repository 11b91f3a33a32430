"""Pure. What a step may be told: its parameters as `resources/towline/steps/<step>.yaml` describes them, the one source for flags, help and checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from towline.errors import ConfigError
from towline.suggest import nearest

GENERAL, STAGES, STEPS, PARAMETERS = SCOPES = ("GENERAL", "STAGES", "STEPS", "PARAMETERS")
TYPES = ("string", "boolean", "integer", "list", "map")
CREDENTIAL_KINDS = ("usernamePassword", "string")


@dataclass(frozen=True, kw_only=True)
class Alias:
    """Another key of a parameter, `a/b/c` for a nested one; it counts in the sections of `scope` only."""

    name: str
    deprecated: bool = False
    scope: tuple[str, ...] = SCOPES


@dataclass(frozen=True, kw_only=True)
class Source:
    """A key of the pipeline environment; with `over: GENERAL` it stands above the project's general section instead of below all documents."""

    pipeline_environment: str
    over: str = ""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter; `later` says what Towline cannot do yet where it is set, `trusted` that a pull request may not set it."""

    name: str
    type: str
    description: str
    scope: tuple[str, ...]
    default: object = None
    aliases: tuple[Alias, ...] = ()
    sources: tuple[Source, ...] = ()
    possible_values: tuple[str, ...] = ()
    mandatory: bool = False
    secret: bool = False
    trusted: bool = False
    later: str = ""


@dataclass(frozen=True, kw_only=True)
class Credential:
    """A Jenkins credential: the parameter `name` holds its id, `parameters` maps its parts (`username`, `password`) to what they fill."""

    name: str
    kind: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class StepSchema:
    """A step under its own name, with every parameter in the order of its metadata."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    aliases: tuple[str, ...] = ()
    credentials: tuple[Credential, ...] = field(default=())

    @property
    def names(self) -> tuple[str, ...]:
        """Every spelling of the step, its own name first."""
        return (self.name, *self.aliases)

    def find(self, name: str) -> Parameter | None:
        """The parameter that is called `name`, or has it as an alias; None where there is none."""
        by_alias = (parameter for parameter in self.parameters if any(alias.name == name for alias in parameter.aliases))
        return next((parameter for parameter in self.parameters if parameter.name == name), None) or next(by_alias, None)


def parse(data: object, where: str) -> StepSchema:
    """Step metadata, as read from YAML, to a schema; raises ConfigError naming the file `where`."""
    record = _record(data, {"name", "description", "aliases", "parameters", "credentials"}, where)
    parameters = tuple(_parameter(entry, where) for entry in record.get("parameters") or [])
    known = {parameter.name for parameter in parameters}
    if len(known) < len(parameters):
        raise ConfigError("a parameter is described twice", where=where)
    return StepSchema(
        name=record["name"],
        description=record["description"],
        aliases=tuple(record.get("aliases") or ()),
        parameters=parameters,
        credentials=tuple(_credential(entry, known, where) for entry in record.get("credentials") or []),
    )


_PLAIN = {"name", "type", "description", "default", "mandatory", "secret", "trusted", "later"}


def _parameter(data: object, where: str) -> Parameter:
    record = _record(data, _PLAIN | {"scope", "aliases", "sources", "possibleValues"}, where)
    name = f"parameter {record['name']}"
    _one_of(record.get("type"), TYPES, f"{name}: type", where)
    return Parameter(
        **{key: record[key] for key in _PLAIN & record.keys()},
        scope=_scope(record, name, where),
        aliases=tuple(_alias(entry, name, where) for entry in record.get("aliases") or []),
        sources=tuple(_source(entry, where) for entry in record.get("sources") or []),
        possible_values=tuple(str(value) for value in record.get("possibleValues") or ()),
    )


def _alias(data: object, owner: str, where: str) -> Alias:
    record = _record(data, {"name", "deprecated", "scope"}, where, required=("name",))
    scope = _scope(record, owner, where) if "scope" in record else SCOPES
    return Alias(name=record["name"], deprecated=record.get("deprecated", False), scope=scope)


def _source(data: object, where: str) -> Source:
    record = _record(data, {"pipelineEnvironment", "over"}, where, required=("pipelineEnvironment",))
    return Source(pipeline_environment=record["pipelineEnvironment"], over=_one_of(record.get("over", ""), ("", GENERAL), "over", where))


def _credential(data: object, known: set[str], where: str) -> Credential:
    record = _record(data, {"name", "kind", "parameters"}, where, required=("name", "kind", "parameters"))
    for name in (record["name"], *record["parameters"].values()):
        _one_of(name, tuple(known), "a credential's parameter", where)
    return Credential(name=record["name"], kind=_one_of(record["kind"], CREDENTIAL_KINDS, "a credential's kind", where), parameters=record["parameters"])


def _scope(record: Mapping[str, Any], owner: str, where: str) -> tuple[str, ...]:
    return tuple(_one_of(entry, SCOPES, f"{owner}: scope", where) for entry in record.get("scope") or ())


def _record(data: object, keys: set[str], where: str, required: tuple[str, ...] = ("name", "description")) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ConfigError("step metadata must be a map of known keys", where=where)
    for key in data:
        if key not in keys:
            raise ConfigError(f"step metadata has an unknown key {key!r}", where=where, hint=nearest(key, keys))
    for key in required:
        if not data.get(key):
            raise ConfigError(f"step metadata lacks {key!r} beside {', '.join(data) or 'nothing'}", where=where)
    return data


def _one_of(value: Any, known: tuple[str, ...], what: str, where: str) -> str:
    if value not in known:
        raise ConfigError(f"{what} is {value!r}", where=where, hint=nearest(str(value), known))
    return str(value)
