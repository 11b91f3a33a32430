"""Pure.

Schemas of steps: their parameters, as described in `resources/towline/steps/<step>.yaml`, the one
source for flags, help and checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from towline.errors import ConfigError
from towline.literals import WrittenFloat, WrittenInteger
from towline.record import field, frozen
from towline.suggest import nearest

GENERAL, STAGES, STEPS, PARAMETERS = SCOPES = ("GENERAL", "STAGES", "STEPS", "PARAMETERS")
SETTING_SECTIONS = ("general", "steps", "stages")  # of a configuration document
# the names of scopes in help and docs
SECTIONS = {GENERAL: "general", STEPS: "step", STAGES: "stage", PARAMETERS: "call"}
# list and map are of texts; object and objects (a list) are of anything
TYPES = ("string", "boolean", "integer", "list", "map", "object", "objects")
FORMATS = ("", "host", "hosts")
CREDENTIAL_KINDS = ("usernamePassword", "string", "file", "sshUserPrivateKey")


@frozen
class ParameterAlias:
    """Another key of a parameter, `a/b/c` for a nested one; it is read in sections of `scope`."""

    name: str
    deprecated: bool = False
    scope: tuple[str, ...] = SCOPES


@frozen
class ValueSource:
    """A key of the pipeline environment that has a parameter's value.

    With `over: GENERAL` it wins over the project's general section, else all documents win over it.
    """

    pipeline_environment: str
    over: str = ""


@frozen
class Requirement:
    """The condition that another parameter has one of `values`, compared as text.

    With `not_empty` it may have any value. The parameter with this requirement is mandatory then.
    """

    parameter: str
    values: tuple[str, ...] = ()
    not_empty: bool = False


@frozen
class ConditionalDefault:
    """A default that holds where another parameter has `value`."""

    parameter: str
    value: str
    default: object = None


@frozen
class VaultReference:
    """The secret in Vault that has a parameter's value.

    The key `secret` of the configuration names the secret; without it the name is `default`. For a
    `file`, the parameter's value is the path of a file with the secret.

    With `field`, the value is that field of the secret, else the field with the parameter's name.
    A missing `field` is not looked for in another secret.
    """

    secret: str
    default: str = ""
    field: str = ""
    file: bool = False


@frozen
class Parameter:
    """A parameter of a step.

    `later` is the hint for a parameter that Towline cannot use yet. A pull request may not set a
    `trusted` parameter. `read_by_others`: Piper's other steps read the name in `general`, and
    Towline's step reads it there only if the platform team has set it. `format` is the form of each
    text: `host` for a list of hosts, `hosts` for a map of such lists. The possible values of a list
    are those of its elements; `minimum` and `maximum` are for an integer. The parameter is also
    mandatory if all of `mandatory_if` hold, and never if one of `unless` is set.
    """

    name: str
    type: str
    description: str
    scope: tuple[str, ...]
    default: object = None
    aliases: tuple[ParameterAlias, ...] = ()
    sources: tuple[ValueSource, ...] = ()
    conditions: tuple[ConditionalDefault, ...] = ()
    vault: VaultReference | None = None
    possible_values: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    mandatory: bool = False
    mandatory_if: tuple[Requirement, ...] = ()
    unless: tuple[str, ...] = ()
    secret: bool = False
    trusted: bool = False
    later: str = ""
    format: str = ""
    read_by_others: bool = False

    @property
    def sections(self) -> tuple[str, ...]:
        """Return the sections that may set the parameter, as help texts name them.

        A secret has none: it is set by the call only, never in a section of a file.
        """
        return tuple(
            section
            for scope, section in SECTIONS.items()
            if scope in self.scope and (not self.secret or scope == PARAMETERS)
        )


@frozen
class JenkinsCredential:
    """A Jenkins credential: the parameter `name` has its id.

    `parameters` maps each part of the credential to the parameter that gets it. The parts depend on
    the kind: `username` and `password`, `text`, or `file` (the path of the file or SSH key). Plain
    files are for steps of other libraries only.
    """

    name: str
    kind: str
    parameters: Mapping[str, str]
    aliases: tuple[ParameterAlias, ...] = ()


@frozen
class OneOfRule:
    """Groups of parameters of which at least one must be complete, unless the rule is `optional`.

    An incomplete group is always a fault.
    """

    one_of: tuple[tuple[str, ...], ...]
    optional: bool = False
    message: str = ""


@frozen
class StepSchema:
    """A step under its own name, with every parameter in the order of its metadata.

    `library` marks a step that another library runs. `flags`: in this call, parameters that are not
    secret may be given as flags. `containers`, `sidecars` (Piper's shape) and `stashes` are for
    the context configuration only.
    """

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    aliases: tuple[str, ...] = ()
    credentials: tuple[JenkinsCredential, ...] = field(default=())
    rules: tuple[OneOfRule, ...] = ()
    library: bool = False
    flags: bool = False
    containers: tuple[Mapping[str, Any], ...] = ()
    sidecars: tuple[Mapping[str, Any], ...] = ()
    stashes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every spelling of the step, its own name first."""
        return (self.name, *self.aliases)

    def find(self, name: str) -> Parameter | None:
        """The parameter with that name or alias; None if there is none."""
        by_alias = (
            parameter
            for parameter in self.parameters
            if any(alias.name == name for alias in parameter.aliases)
        )
        return next(
            (parameter for parameter in self.parameters if parameter.name == name), None
        ) or next(by_alias, None)

    def over(self, name: str) -> Mapping[str, Parameter]:
        """The parameters, by name and alias, that each map in the list of maps `name` may set.

        Logins are not among them, nor are parameters that only trusted layers set.
        """
        closed = {
            name,
            *(entry.name for entry in self.credentials),
            *(key for entry in self.credentials for key in entry.parameters.values()),
        }
        settable = [
            parameter
            for parameter in self.parameters
            if parameter.name not in closed and not parameter.secret and not parameter.trusted
        ]
        return {alias.name: parameter for parameter in settable for alias in parameter.aliases} | {
            parameter.name: parameter for parameter in settable
        }


_STEP = {
    "name",
    "description",
    "aliases",
    "parameters",
    "credentials",
    "rules",
    "library",
    "containers",
    "sidecars",
    "stashes",
}


def parse_schema(data: object, where: str) -> StepSchema:
    """Step metadata, as read from YAML, to a schema; raises ConfigError naming the file `where`."""
    record = _record(data, _STEP, where)
    parameters = tuple(_parameter(entry, where) for entry in record.get("parameters") or [])
    known = tuple(parameter.name for parameter in parameters)
    if len(set(known)) < len(known):
        raise ConfigError("a parameter is described twice", where=where)
    for parameter in parameters:
        conditions: tuple[Requirement | ConditionalDefault, ...] = (
            *parameter.mandatory_if,
            *parameter.conditions,
        )
        for name in (*(condition.parameter for condition in conditions), *parameter.unless):
            _one_of(name, known, f"parameter {parameter.name}: condition", where)
    return StepSchema(
        name=record["name"],
        description=record["description"],
        aliases=tuple(record.get("aliases") or ()),
        parameters=parameters,
        credentials=tuple(
            _credential(entry, known, where) for entry in record.get("credentials") or []
        ),
        rules=tuple(_rule(entry, known, where) for entry in record.get("rules") or []),
        library=record.get("library", False),
        containers=tuple(_container(entry, where) for entry in record.get("containers") or []),
        sidecars=tuple(_container(entry, where) for entry in record.get("sidecars") or []),
        stashes=tuple(record.get("stashes") or ()),
    )


_PLAIN = {
    "name",
    "type",
    "description",
    "default",
    "minimum",
    "maximum",
    "mandatory",
    "secret",
    "trusted",
    "later",
    "format",
}
_DERIVED = {
    "scope",
    "aliases",
    "sources",
    "conditions",
    "vault",
    "possibleValues",
    "mandatoryIf",
    "unless",
    "readByOthers",
}


def _parameter(data: object, where: str) -> Parameter:
    record = _record(data, _PLAIN | _DERIVED, where)
    name = f"parameter {record['name']}"
    _one_of(record.get("type"), TYPES, f"{name}: type", where)
    for limit in ("minimum", "maximum"):
        if limit in record and (record["type"] != "integer" or not isinstance(record[limit], int)):
            raise ConfigError(f"{name}: a {limit} is for a whole number", where=where)
    _one_of(record.get("format", ""), FORMATS, f"{name}: format", where)
    return Parameter(
        **{key: record[key] for key in _PLAIN & record.keys()},
        scope=_scope(record, name, where),
        read_by_others=record.get("readByOthers", False),
        aliases=tuple(_alias(entry, name, where) for entry in record.get("aliases") or []),
        sources=tuple(_source(entry, where) for entry in record.get("sources") or []),
        conditions=tuple(_conditional(entry, where) for entry in record.get("conditions") or []),
        vault=_vault(record["vault"], where) if "vault" in record else None,
        possible_values=tuple(str(value) for value in record.get("possibleValues") or ()),
        mandatory_if=tuple(_requirement(entry, where) for entry in record.get("mandatoryIf") or []),
        unless=tuple(record.get("unless") or ()),
    )


def _alias(data: object, owner: str, where: str) -> ParameterAlias:
    record = _record(data, {"name", "deprecated", "scope"}, where, required=("name",))
    scope = _scope(record, owner, where) if "scope" in record else SCOPES
    return ParameterAlias(
        name=record["name"], deprecated=record.get("deprecated", False), scope=scope
    )


def _source(data: object, where: str) -> ValueSource:
    record = _record(
        data, {"pipelineEnvironment", "over"}, where, required=("pipelineEnvironment",)
    )
    return ValueSource(
        pipeline_environment=record["pipelineEnvironment"],
        over=_one_of(record.get("over", ""), ("", GENERAL), "over", where),
    )


def _conditional(data: object, where: str) -> ConditionalDefault:
    record = _record(
        data, {"parameter", "value", "default"}, where, required=("parameter", "value")
    )
    return ConditionalDefault(
        parameter=record["parameter"], value=as_text(record["value"]), default=record.get("default")
    )


def _requirement(data: object, where: str) -> Requirement:
    record = _record(data, {"name", "value", "notEmpty"}, where, required=("name",))
    if ("value" in record) == (record.get("notEmpty") is True):
        raise ConfigError(
            f"mandatoryIf of {record['name']!r} needs a value, or notEmpty: true", where=where
        )
    values = record.get("value", [])
    return Requirement(
        parameter=record["name"],
        values=tuple(
            as_text(value) for value in (values if isinstance(values, list) else [values])
        ),
        not_empty=record.get("notEmpty", False),
    )


def _vault(data: object, where: str) -> VaultReference:
    record = _record(data, {"secret", "default", "field", "file"}, where, required=("secret",))
    return VaultReference(**record)


def _credential(data: object, known: tuple[str, ...], where: str) -> JenkinsCredential:
    record = _record(
        data, {"name", "kind", "parameters"}, where, required=("name", "kind", "parameters")
    )
    for name in (record["name"], *record["parameters"].values()):
        _one_of(name, known, "a credential's parameter", where)
    return JenkinsCredential(
        name=record["name"],
        kind=_one_of(record["kind"], CREDENTIAL_KINDS, "a credential's kind", where),
        parameters=record["parameters"],
    )


def _rule(data: object, known: tuple[str, ...], where: str) -> OneOfRule:
    record = _record(data, {"oneOf", "optional", "message"}, where, required=("oneOf",))
    groups = tuple(
        tuple(_one_of(name, known, "a rule's parameter", where) for name in group)
        for group in record["oneOf"]
    )
    return OneOfRule(
        one_of=groups, optional=record.get("optional", False), message=record.get("message", "")
    )


_CONTAINER = {
    "name",
    "image",
    "command",
    "shell",
    "workingDir",
    "env",
    "options",
    "imagePullPolicy",
    "volumeMounts",
    "conditions",
    "readyCommand",
}


def _container(data: object, where: str) -> Mapping[str, Any]:
    return _record(data, _CONTAINER, where, required=("image",))


def _scope(record: Mapping[str, Any], owner: str, where: str) -> tuple[str, ...]:
    return tuple(
        _one_of(entry, SCOPES, f"{owner}: scope", where) for entry in record.get("scope") or ()
    )


def _record(
    data: object, keys: set[str], where: str, required: tuple[str, ...] = ("name", "description")
) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ConfigError("step metadata must be a map of known keys", where=where)
    for key in data:
        if key not in keys:
            raise ConfigError(
                f"step metadata has an unknown key {key!r}", where=where, hint=nearest(key, keys)
            )
    for key in required:
        if data.get(key) in (None, "", [], {}):
            raise ConfigError(
                f"step metadata lacks {key!r} beside {', '.join(data) or 'nothing'}", where=where
            )
    return data


def _one_of(value: Any, known: tuple[str, ...], label: str, where: str) -> str:
    if value not in known:
        raise ConfigError(f"{label} is {value!r}", where=where, hint=nearest(str(value), known))
    return str(value)


def as_text(value: object) -> str:
    """A value of a condition as YAML spells it: `true`, not `True`, and `1.10` as it is written."""
    if isinstance(value, WrittenInteger | WrittenFloat):
        return value.text
    return str(value).lower() if isinstance(value, bool) else str(value)
