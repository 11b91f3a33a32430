"""Pure.

Step metadata in the format of Piper's own files, as a schema: what `getConfig --stepMetadata` is
given (facts 1.8).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from towline.config.schema import (
    SCOPES,
    ConditionalDefault,
    JenkinsCredential,
    Parameter,
    ParameterAlias,
    Requirement,
    StepSchema,
    ValueSource,
    VaultReference,
    as_text,
)
from towline.errors import ConfigError

_TYPES = {
    "string": "string",
    "bool": "boolean",
    "int": "integer",
    "[]string": "list",
    "map[string]string": "map",
    "map[string]interface{}": "object",
    "[]map[string]interface{}": "objects",
}
_ENVIRONMENT = "commonPipelineEnvironment"
_VAULT = {"vaultSecret": False, "vaultSecretFile": True}


def parse(data: object, where: str) -> StepSchema:
    """Piper's metadata, as read from YAML, to a schema; raises ConfigError naming `where`."""
    document = _map(data, where)
    metadata, spec = _map(document.get("metadata"), where), _map(document.get("spec"), where)
    inputs = _map(spec.get("inputs"), where)
    if not metadata.get("name"):
        raise ConfigError(
            "the step metadata names no step",
            where=where,
            hint="expected metadata.name and spec.inputs.params, as in Piper's own files",
        )
    return StepSchema(
        name=str(metadata["name"]),
        description=str(metadata.get("description") or ""),
        aliases=tuple(str(entry.get("name")) for entry in _maps(metadata, "aliases", where)),
        parameters=tuple(_parameter(entry, where) for entry in _maps(inputs, "params", where)),
        credentials=tuple(_credential(entry, where) for entry in _maps(inputs, "secrets", where)),
        containers=tuple(_maps(spec, "containers", where)),
        sidecars=tuple(_maps(spec, "sidecars", where)),
        stashes=tuple(
            str(entry.get("name"))
            for entry in _maps(inputs, "resources", where)
            if entry.get("type") == "stash" and not entry.get("conditions")
        ),
    )


def _parameter(entry: Mapping[str, Any], where: str) -> Parameter:
    conditions = tuple(_conditions(entry, where))
    references = list(_maps(entry, "resourceRef", where))
    vault = [
        VaultReference(
            secret=str(ref.get("name")),
            default=str(ref.get("default") or ""),
            file=_VAULT[ref["type"]],
        )
        for ref in references
        if ref.get("type") in _VAULT
    ]
    return Parameter(
        name=_name(entry, where),
        type=_TYPES.get(str(entry.get("type")), "string"),
        description=str(entry.get("description") or ""),
        scope=tuple(scope for scope in SCOPES if scope in (entry.get("scope") or [])),
        default=None if conditions else entry.get("default"),
        aliases=tuple(_aliases(entry, where)),
        sources=tuple(
            ValueSource(pipeline_environment=str(ref.get("param")))
            for ref in references
            if ref.get("name") == _ENVIRONMENT
        ),
        conditions=conditions,
        vault=vault[0] if vault else None,
        possible_values=tuple(as_text(value) for value in entry.get("possibleValues") or ()),
        mandatory=entry.get("mandatory") is True,
        mandatory_if=tuple(
            _requirement(condition, where) for condition in _maps(entry, "mandatoryIf", where)
        ),
        secret=entry.get("secret") is True,
    )


def _conditions(entry: Mapping[str, Any], where: str) -> Iterator[ConditionalDefault]:
    for condition in _maps(entry, "conditions", where):
        for param in _maps(condition, "params", where):
            yield ConditionalDefault(
                parameter=_name(param, where),
                value=as_text(param.get("value")),
                default=entry.get("default"),
            )


def _requirement(entry: Mapping[str, Any], where: str) -> Requirement:
    if entry.get("notEmpty") is True:
        return Requirement(parameter=_name(entry, where), not_empty=True)
    return Requirement(parameter=_name(entry, where), values=(as_text(entry.get("value", "")),))


def _credential(entry: Mapping[str, Any], where: str) -> JenkinsCredential:
    return JenkinsCredential(
        name=_name(entry, where),
        kind=str(entry.get("type") or ""),
        parameters={},
        aliases=tuple(_aliases(entry, where)),
    )


def _aliases(entry: Mapping[str, Any], where: str) -> Iterator[ParameterAlias]:
    for alias in _maps(entry, "aliases", where):
        yield ParameterAlias(name=_name(alias, where), deprecated=alias.get("deprecated") is True)


def _name(entry: Mapping[str, Any], where: str) -> str:
    if not entry.get("name"):
        raise ConfigError(
            "an entry of the step metadata has no name",
            where=where,
            hint="expected `name`, as in Piper's own files",
        )
    return str(entry["name"])


def _maps(entry: Mapping[str, Any], key: str, where: str) -> Iterator[Mapping[str, Any]]:
    value = entry.get(key)
    if value is not None and not isinstance(value, list):
        raise ConfigError(
            f"{key} of the step metadata must be a list",
            where=where,
            hint="expected the format of Piper's own files",
        )
    for item in value or []:
        yield _map(item, where)


def _map(value: object, where: str) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise ConfigError(
            "a part of the step metadata must be a map",
            where=where,
            hint="expected the format of Piper's own files",
        )
    return value or {}
