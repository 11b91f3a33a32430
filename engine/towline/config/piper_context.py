"""Pure.

Keys of a configuration that are not a step's parameters: its context, and keys of every Piper step.

The context is the step's containers, stashes and credentials; the others are those of facts 1.8.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from towline.config.schema import (
    SCOPES,
    ConditionalDefault,
    Parameter,
    ParameterAlias,
    StepSchema,
    ValueSource,
    as_text,
)
from towline.config.values import EMPTY
from towline.record import replace

_CONTAINER = (
    "containerCommand",
    "containerShell",
    "dockerEnvVars",
    "dockerImage",
    "dockerName",
    "dockerOptions",
    "dockerPullImage",
    "dockerVolumeBind",
    "dockerWorkspace",
    "dockerRegistryUrl",
    "dockerRegistryCredentialsId",
)
_SIDECAR = (
    "containerName",
    "containerPortMappings",
    "dockerName",
    "sidecarEnvVars",
    "sidecarImage",
    "sidecarName",
    "sidecarOptions",
    "sidecarPullImage",
    "sidecarReadyCommand",
    "sidecarVolumeBind",
    "sidecarWorkspace",
)
_FORMER = ("collectTelemetryData",)  # Piper read it once, and configurations still have it
_VAULT_LOGIN = (
    "vaultAppRoleTokenCredentialsId",
    "vaultAppRoleSecretTokenCredentialsId",
    "vaultTokenCredentialsId",
)
_VAULT = (
    "vaultServerUrl",
    "vaultNamespace",
    "vaultBasePath",
    "vaultPipelineName",
    "vaultPath",
    "vaultPaths",
    "vaultRootPaths",
    "skipVault",
    "vaultDisableOverwrite",
    "vaultAuthMethod",
    "vaultAuthRole",
    "vaultAuthMount",
    "vaultAuthRoles",
    "vaultAuthAudience",
    "vaultTestCredentialPath",
    "vaultTestCredentialKeys",
    "vaultTestCredentialEnvPrefix",
    "vaultCredentialPath",
    "vaultCredentialKeys",
    "vaultCredentialEnvPrefix",
)
# keys that the Groovy wrapper of Piper's steps reads
_WRAPPED = ("failOnError", "npmScriptsPackageJSONExcludes")
REPORTING = {
    "gcpJsonKeyFilePath": "jsonKeyFilePath",
    "gcsFolderPath": "",
    "gcsBucketId": "pipelineId",
    "gcsSubFolder": "",
}
_FOLDER = ValueSource(pipeline_environment="custom/gcsFolderPath")


def with_common_keys(schema: StepSchema) -> StepSchema:
    """The schema with the keys of every step of Piper: for Vault, for reports, and `verbose`."""
    return _with(schema, (_untyped("verbose"), *_common_parameters(schema)))


def with_context_keys(schema: StepSchema, inner: StepSchema) -> StepSchema:
    """The schema `inner` of the step's context with the keys for Vault and for reports."""
    return _with(inner, tuple(_common_parameters(schema)))


def _common_parameters(schema: StepSchema) -> Iterator[Parameter]:
    vault = {parameter.vault.secret for parameter in schema.parameters if parameter.vault}
    yield from (_untyped(name) for name in (*_VAULT, *sorted(vault)))
    for name, alias in REPORTING.items():
        found = _untyped(name, aliases=(alias,) if alias else ())
        yield replace(found, sources=(_FOLDER,)) if name == "gcsFolderPath" else found


def _with(schema: StepSchema, added: Iterable[Parameter]) -> StepSchema:
    known = {parameter.name for parameter in schema.parameters}
    return replace(
        schema,
        parameters=(
            *schema.parameters,
            *(parameter for parameter in added if parameter.name not in known),
        ),
    )


def known_keys(schema: StepSchema) -> frozenset[str]:
    """Every key that is read in the step's own section.

    These are its flag, its parameters, and the keys of its context and of every step.
    """
    wrapped = _WRAPPED if schema.library else ()
    return frozenset(
        {
            *schema.names,
            *wrapped,
            *_FORMER,
            *(
                key
                for part in (schema, with_common_keys(schema), context_schema(schema))
                for key in first_keys(part)
            ),
        }
    )


def first_keys(schema: StepSchema) -> frozenset[str]:
    """Names of parameters and aliases (first part of deep ones), and values of conditions.

    Maps of conditional defaults stand under such a value.
    """
    aliases = (
        alias.name.partition("/")[0]
        for parameter in schema.parameters
        for alias in parameter.aliases
    )
    return frozenset(
        {*(parameter.name for parameter in schema.parameters), *aliases, *condition_values(schema)}
    )


def condition_values(schema: StepSchema) -> frozenset[str]:
    """The values of conditions, under which maps of conditional defaults stand."""
    return frozenset(
        condition.value for parameter in schema.parameters for condition in parameter.conditions
    )


def schema_of_names(names: Iterable[str]) -> StepSchema:
    """A schema without a step that takes `names` in every scope."""
    return StepSchema(name="", description="", parameters=tuple(_untyped(name) for name in names))


def context_schema(schema: StepSchema) -> StepSchema:
    """The schema of the step's context: container, stashes and credentials.

    It has the defaults of the step's metadata.
    """
    own = {parameter.name: parameter for parameter in schema.parameters}
    found: dict[str, Parameter] = {name: _untyped(name) for name in _context_keys(schema)}
    for entry in schema.credentials:
        aliases = (*entry.aliases, *(own[entry.name].aliases if entry.name in own else ()))
        found[entry.name] = replace(_untyped(entry.name), aliases=aliases)
    if schema.stashes:
        found["stashContent"] = replace(_untyped("stashContent"), default=list(schema.stashes))
    described = [(container, _container_settings(container)) for container in schema.containers] + [
        (sidecar, _shared_settings(sidecar, "sidecar")) for sidecar in schema.sidecars[:1]
    ]
    for container, defaults in described:
        chosen = list(_conditions(container))
        for name, _ in chosen:
            found[name] = replace(
                _untyped(name), default=own[name].default if name in own else None
            )
        for key, value in defaults.items():
            if value in EMPTY:
                continue
            held = found.get(key) or _untyped(key)
            added = tuple(
                ConditionalDefault(parameter=name, value=text, default=value)
                for name, text in chosen[:1]
            )
            found[key] = (
                replace(held, conditions=(*held.conditions, *added))
                if added
                else replace(held, default=value)
            )
    return StepSchema(
        name=schema.name,
        description=schema.description,
        aliases=schema.aliases,
        parameters=tuple(found.values()),
    )


def _untyped(name: str, *, aliases: tuple[str, ...] = ()) -> Parameter:
    return Parameter(
        name=name,
        type="object",
        description="",
        scope=SCOPES,
        aliases=tuple(ParameterAlias(name=alias) for alias in aliases),
    )


def _context_keys(schema: StepSchema) -> tuple[str, ...]:
    return (
        *_VAULT_LOGIN,
        *(_CONTAINER if schema.containers else ()),
        *(_SIDECAR if schema.sidecars else ()),
    )


def _conditions(container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for condition in container.get("conditions") or []:
        for param in condition.get("params") or []:
            yield str(param.get("name")), as_text(param.get("value"))


def _container_settings(container: Mapping[str, Any]) -> dict[str, object]:
    """The settings of the step's own container, by the keys that override them."""
    command = next(iter(container.get("command") or []), None)
    return {
        "containerCommand": command,
        "containerName": container.get("name"),
        "containerShell": container.get("shell"),
        **_shared_settings(container, "docker"),
    }


def _shared_settings(container: Mapping[str, Any], prefix: str) -> dict[str, object]:
    """The settings that a container and a sidecar have in common."""
    policy = container.get("imagePullPolicy")
    # Piper knows this one volume only
    mounts = [
        entry for entry in container.get("volumeMounts") or [] if entry.get("name") == "volume"
    ]
    return {
        f"{prefix}EnvVars": {
            str(entry.get("name")): entry.get("value") for entry in container.get("env") or []
        },
        f"{prefix}Image": container.get("image"),
        f"{prefix}Name": container.get("name"),
        f"{prefix}PullImage": policy != "Never" if policy else None,
        f"{prefix}Workspace": container.get("workingDir"),
        f"{prefix}Options": [_option(entry) for entry in container.get("options") or []],
        f"{prefix}VolumeBind": [f"volume:{entry.get('mountPath')}" for entry in mounts],
        f"{prefix}ReadyCommand": container.get("readyCommand") if prefix == "sidecar" else None,
    }


def _option(entry: Mapping[str, Any]) -> str:
    return (
        f"{entry.get('name')} {entry['value']}" if entry.get("value") else f"{entry.get('name')}="
    )
