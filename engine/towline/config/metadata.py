"""Metadata of steps from `resources/towline`, for one step by any of its names, or for all steps.

To load one step, the files of other steps are not read. This module also has the names of stages,
and the settings for the pipeline as a whole, with their scopes and types.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache
from typing import Any

from towline import dispatch
from towline.config import schema as metadata
from towline.config.documents import read_yaml
from towline.config.schema import GENERAL, STAGES, STEPS, Parameter, StepSchema
from towline.errors import UsageError
from towline.files import resource_text
from towline.suggest import nearest

# the variables of Vault logins that Jenkins credentials may be bound to
VAULT_LOGIN = ("PIPER_vaultToken", "PIPER_vaultAppRoleID", "PIPER_vaultAppRoleSecretID")
VAULT_CREDENTIALS = dict(
    zip(
        VAULT_LOGIN,
        (
            "vaultTokenCredentialsId",
            "vaultAppRoleTokenCredentialsId",
            "vaultAppRoleSecretTokenCredentialsId",
        ),
        # the parameters that name these credentials
        strict=True,
    )
)
AUTH_METHOD, AUTH_ROLE = "vaultAuthMethod", "vaultAuthRole"
VAULT_KEYS = frozenset(
    {
        "vaultServerUrl",
        "vaultNamespace",
        "vaultPath",
        "vaultBasePath",
        "vaultPipelineName",
        "vaultPaths",
        "skipVault",
        "vaultDisableOverwrite",
        AUTH_METHOD,
        AUTH_ROLE,
        "vaultAuthMount",
        "vaultAuthRoles",
        "vaultAuthAudience",
        *VAULT_CREDENTIALS.values(),
    }
)
# for `towline exec` alone
PROGRAM_KEYS = frozenset(
    f"vault{kind}Credential{part}"
    for kind in ("", "Test")
    for part in ("Path", "Keys", "EnvPrefix")
)
_FOLDER, _ENDING = "steps", ".yaml"
_WORD = re.compile(r"\w+")
_STAGE_NAME = re.compile(r"^ *(?:- )?displayName: (.+)$", re.MULTILINE)


def load_schema(step_name: str) -> StepSchema:
    """The schema of a step by its name or another spelling.

    Raises UsageError with the nearest known name.
    """
    if _text(step_name):
        return _schema(step_name)
    known = {name: step_spellings(name) for name in step_names()}
    found = next((name for name, names in known.items() if step_name in names), None)
    if found is None:
        raise UsageError(
            f"unknown step {step_name!r}",
            hint=nearest(step_name, (name for names in known.values() for name in names)),
        )
    return _schema(found)


def all_schemas() -> tuple[StepSchema, ...]:
    """The schema of every step that has metadata."""
    return tuple(_schema(name) for name in step_names())


def schemas_with(words: Collection[str]) -> tuple[StepSchema, ...]:
    """The schemas of the steps whose metadata has one of these words anywhere.

    The metadata of other steps is not parsed.
    """
    return tuple(
        _schema(name)
        for name in step_names()
        if not set(words).isdisjoint(_WORD.findall(_text(name)))
    )


@cache
def step_names() -> tuple[str, ...]:
    """The own name of every step that has metadata."""
    return tuple(
        name.removesuffix(_ENDING)
        for name in dispatch.resource_names(_FOLDER)
        if name.endswith(_ENDING)
    )


@cache
def step_spellings(name: str) -> tuple[str, ...]:
    """Every spelling of a step by its own name, which comes first.

    Only the part of the metadata before the parameters is read.
    """
    head = _text(name).partition("\nparameters:")[0]
    return _parsed(head, name).names if head else (name,)


def vault_keys(step: StepSchema) -> frozenset[str]:
    """The keys for Vault in a configuration or call, beside the step's own parameters."""
    named = {parameter.vault.secret for parameter in step.parameters if parameter.vault}
    return (VAULT_KEYS | PROGRAM_KEYS | named) - {parameter.name for parameter in step.parameters}


@cache
def vault_schema() -> StepSchema:
    """The settings for Vault that every step has, in the shape of a step's metadata."""
    return metadata.parse_schema(
        read_yaml(resource_text("vault.yaml"), "vault.yaml").value, "vault.yaml"
    )


def stage_names() -> tuple[str, ...]:
    """The stages of the General Purpose Pipeline in order, by the names in configurations.

    The file is searched and not parsed, which would take each run some milliseconds.
    """
    return tuple(_STAGE_NAME.findall(resource_text("stages.yaml")))


@cache
def other_steps() -> tuple[str, ...]:
    """Steps of Piper's library that no stage of the General Purpose Pipeline has."""
    data: Any = read_yaml(resource_text("other_steps.yaml"), "other_steps.yaml").value
    return tuple(data)


@cache
def _schema(name: str) -> StepSchema:
    return _parsed(_text(name), name)


def _parsed(text: str, name: str) -> StepSchema:
    where = f"{_FOLDER}/{name}{_ENDING}"
    return metadata.parse_schema(read_yaml(text, where).value, where)


@cache
def _text(name: str) -> str:
    """The metadata of a step by its own name; empty if there is none.

    On a file system that ignores case, a file with another case in its name does not count.
    """
    if not name.isidentifier():  # a path, for example
        return ""
    try:
        text = resource_text(f"{_FOLDER}/{name}{_ENDING}")
    except OSError:
        return ""
    return text if f"\nname: {name}\n" in text else ""


_SCOPE = (GENERAL, STEPS, STAGES)

PIPELINE = StepSchema(
    name="pipeline",
    description="",
    parameters=(
        Parameter(name="productiveBranch", type="string", description="", scope=_SCOPE),
        Parameter(name="productiveTags", type="list", description="", scope=_SCOPE, trusted=True),
        Parameter(
            name="enforcement",
            type="string",
            description="",
            scope=_SCOPE,
            trusted=True,
            possible_values=("error", "warn"),
        ),
        Parameter(
            name="allowChangeRequest", type="boolean", description="", scope=_SCOPE, trusted=True
        ),
        Parameter(name="defaultHosts", type="list", description="", scope=(GENERAL,), trusted=True),
        Parameter(
            name="stateKeyCredentialsId",
            type="string",
            description="",
            scope=(GENERAL,),
            trusted=True,
        ),
        Parameter(name="projectExtensionsDirectory", type="string", description="", scope=_SCOPE),
        Parameter(name="globalExtensionsDirectory", type="string", description="", scope=_SCOPE),
        Parameter(name="manualConfirmation", type="boolean", description="", scope=_SCOPE),
        Parameter(name="manualConfirmationMessage", type="string", description="", scope=_SCOPE),
        Parameter(name="manualConfirmationTimeout", type="integer", description="", scope=_SCOPE),
        Parameter(name="manualConfirmationSubmitters", type="list", description="", scope=_SCOPE),
    ),
)
