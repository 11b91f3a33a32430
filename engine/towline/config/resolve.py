"""A step's checked settings from its layers; every fault is reported at once, with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from towline.config.documents import ConfigDocuments
from towline.config.layers import (
    PARAMETERS_JSON,
    Inputs,
    call_layers,
    fold_layers,
    is_for_other_steps,
    read_parameters,
    step_layers,
    trusted_only,
)
from towline.config.lint.clear_text import in_clear
from towline.config.merge import PIPELINE_LAYERS
from towline.config.metadata import all_schemas
from towline.config.near_names import BOUNDS, check_parameters, check_variables, misspelt
from towline.config.piper_context import first_keys, known_keys
from towline.config.rules import SettingFault, check_settings, how_to_set
from towline.config.schema import StepSchema
from towline.config.settings import Settings, checked_settings
from towline.config.values import EMPTY
from towline.errors import UsageError
from towline.suggest import nearest

_MOST = 10  # unknown keys that are named one by one


def resolve(schema: StepSchema, inputs: Inputs, *, part: bool = False) -> Settings:
    """The step's checked settings.

    Raises UsageError for an unknown flag or parameter, ConfigError with every other fault at once,
    and CredentialError if only logins lack something. `part`: the schema has only some of the keys
    of the step's own sections.
    """
    _check_names(schema, inputs)
    _check_rules(schema, inputs.environ)
    layers = step_layers(schema, inputs)
    unknown = () if part else tuple(_unknown_keys(schema, inputs.documents))
    found = checked_settings(schema, layers, unknown, fold_layers(schema, layers))
    found.warnings = (
        *found.warnings,
        *secrets_in_files(schema, inputs),
        *_misspelt_variables(schema, inputs.environ),
    )
    found.notes = (*_notes_on_general(schema, inputs.documents), *_notes_on_call(schema, inputs))
    return found


def find_faults(schema: StepSchema, inputs: Inputs) -> tuple[SettingFault, ...]:
    """Every fault of a step's settings; empty if `resolve` returns them.

    Raises UsageError as it does.
    """
    _check_names(schema, inputs)
    layers = step_layers(schema, inputs)
    return check_settings(schema, layers, fold_layers(schema, layers))[1]


def secrets_in_files(schema: StepSchema, inputs: Inputs) -> tuple[str, ...]:
    """A warning for each secret in a file that a pull request can change.

    Its value is used, but whoever reads the file knows it.
    """
    secret = [parameter for parameter in schema.parameters if parameter.secret]
    files = [
        layer
        for layer in step_layers(schema, inputs)
        if not layer.trusted and layer.name not in PIPELINE_LAYERS
    ]
    return tuple(
        f"{layer.settings[parameter.name].origin}: {parameter.name} is a secret, and whoever"
        " can read this file has it; replace it, take the new one out of the file, and"
        f" {how_to_set(schema, parameter)}"
        for parameter in secret
        for layer in files
        if in_clear(parameter.name, layer.value(parameter.name) or "")
    )


def _misspelt_variables(schema: StepSchema, environ: Mapping[str, str]) -> Iterator[str]:
    """A warning for each variable that misspells that of a parameter and is no other step's."""
    near = list(
        misspelt(
            environ,
            (parameter.name for parameter in schema.parameters),
            first_keys(schema) | known_keys(schema),
        )
    )
    # read where there is one alone: it takes as long as a whole start
    steps = all_schemas() if near else ()
    for name, meant in near:
        if not any(step.find(name) for step in steps):
            yield f"nothing reads the variable PIPER_{name} (did you mean PIPER_{meant}?)"


def _check_rules(schema: StepSchema, environ: Mapping[str, str]) -> None:
    """Pass if no variable and no key of PIPER_parametersJSON misspells a rule or a bound.

    Raises ConfigError.
    """
    rules, known = (
        [
            parameter.name
            for parameter in schema.parameters
            if parameter.trusted or parameter.name in BOUNDS
        ],
        first_keys(schema),
    )
    check_variables(environ, rules, known)
    check_parameters(
        read_parameters(environ.get(PARAMETERS_JSON, "")), rules, known, PARAMETERS_JSON
    )


def _check_names(schema: StepSchema, inputs: Inputs) -> None:
    """Pass if the step has every flag and parameter of the call; raises UsageError.

    Known are parameter names, aliases (first key of nested ones) and condition values. A call may
    also hold keys that Piper accepts for every step, such as `dockerImage` and `verbose`; they are
    ignored.
    """
    known = first_keys(schema)
    unknown = [name for name in inputs.flags if name not in known]
    unknown += [name for name in inputs.parameters if name not in known | known_keys(schema)]
    if unknown:
        raise UsageError(
            f"{schema.name} has no parameter {unknown[0]!r}",
            hint=nearest(unknown[0], (parameter.name for parameter in schema.parameters)),
        )


def _notes_on_general(schema: StepSchema, documents: ConfigDocuments) -> Iterator[str]:
    """A note on each key of `general` that is ignored, since a pull request can change it."""
    for document in (*documents.defaults, documents.project):
        for key in document.section("general") if not document.trusted else ():
            if is_for_other_steps(schema, key) and document.section("general")[key] not in EMPTY:
                yield (
                    f"{document.where('general', key)}: {key} in general is for other steps:"
                    f" {schema.name} takes it from no file that a pull request can change, but from"
                    f" the platform team's defaults, PIPER_{key} or the call"
                )


def _notes_on_call(schema: StepSchema, inputs: Inputs) -> Iterator[str]:
    """A note on each rule of the platform team that the call of a change request sets."""
    for layer in () if inputs.trusted_call else call_layers(schema, inputs):
        for name in trusted_only(schema, layer):
            yield (
                f"{name} of the call is ignored ({layer.settings[name].origin}): a change request"
                " is built, whose author can change the call; it is read in the platform team's"
                f" defaults (TOWLINE_DEFAULTS), or as PIPER_{name} on the agent"
            )


def _unknown_keys(schema: StepSchema, documents: ConfigDocuments) -> Iterator[str]:
    """A warning for each unknown key in the step's own sections.

    Piper says nothing about them, and a misspelt key would look like a default.
    """
    known = known_keys(schema)
    sections = (
        (document, name)
        for document in (*documents.defaults, documents.project)
        for name in schema.names
    )
    found = [
        (document.where("steps", name, key), key)
        for document, name in sections
        for key in document.section("steps", name)
        if key not in known
    ]
    for where, key in found[:_MOST]:
        hint = nearest(key, (parameter.name for parameter in schema.parameters))
        also = (
            hint
            if hint.startswith("did")
            else f"`towline explain {schema.name}` lists its parameters"
        )
        yield f"{where}: {schema.name} has no parameter {key!r}, so it is ignored ({also})"
    if len(found) > _MOST:
        yield f"{found[_MOST][0]}: {len(found) - _MOST} more keys of {schema.name} are ignored"
