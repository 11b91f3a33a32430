"""`towline getConfig`: the drop-in for Piper's command, with its flags, outputs and exit codes.

It prints the resolved, unchecked configuration, secrets included, as scripts written for Piper's
binary expect (facts 1.8 and 12).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from towline import dispatch
from towline.commands import piper_flags
from towline.commands.call import Call
from towline.commands.context import TOKENS, for_hosts
from towline.config import piper_context, piper_metadata
from towline.config.documents import ConfigDocuments, read_text, read_yaml, stage_name
from towline.config.layers import (
    PARAMETERS_JSON,
    Inputs,
    effective_settings,
    read_parameters,
    unfiltered_layers,
)
from towline.config.merge import DEFAULT, PIPELINE_LAYERS, Setting, merge, prune
from towline.config.metadata import load_schema
from towline.config.schema import Parameter, StepSchema, as_text
from towline.config.values import ZERO
from towline.contract import SUCCESS, Outcome
from towline.errors import ConfigError, UsageError
from towline.files import write_named
from towline.record import replace
from towline.yaml.plain_scalar import resolve_plain

FAILURE = 1
# without --json: standard output has the configuration, and must stay a single document
SHARED = ("request", "result", "stage", "config")
_TEXTS = (
    "vaultServerUrl",
    "vaultNamespace",
    "vaultPath",
    "gcpJsonKeyFilePath",
    "gcsFolderPath",
    "gcsBucketId",
    "gcsSubFolder",
    "stepConfigJSON",
)
_USUAL = "json"
_OWN = ("request", "result", "stage", "config", "command", "gitHubTokens")
_ENDING = "VaultSecretName"  # of keys that name a secret in Vault
_NEVER_FROM_VARIABLES = ("PIPER_vault", "PIPER_gcs", "PIPER_gcp")


# every command is set up alike
def configure(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:  # noqa: ARG001
    """Add the flags of Piper's command."""
    parser.add_argument(
        "--stepName", metavar="NAME", default="", help="the step, by any of its names"
    )
    parser.add_argument(
        "--stepMetadata",
        metavar="FILE",
        default="",
        help="the step's metadata in Piper's format, a path or a URL, instead of its name",
    )
    parser.add_argument(
        "--contextConfig",
        metavar="BOOL",
        nargs="?",
        const="true",
        help="print the step's container and stashes instead of its parameters",
    )
    parser.add_argument(
        "--stageConfig",
        metavar="BOOL",
        nargs="?",
        const="true",
        help="print the sections of general and of the stage, for no step",
    )
    parser.add_argument(
        "--stageConfigAcceptedParams",
        metavar="A,B",
        action="append",
        help="with --stageConfig, the keys to show; without it, all of them",
    )
    parser.add_argument("--output", metavar="FORMAT", help="json, yaml or yml (json)")
    parser.add_argument(
        "--outputFile",
        metavar="FILE",
        default="",
        help="write to this file instead of standard output",
    )
    parser.add_argument(
        "--gitHubTokens",
        metavar="HOST:TOKEN",
        action="append",
        help="tokens for documents over http; better as PIPER_gitHubTokens",
    )
    parser.add_argument(
        "--setVaultCredentials",
        metavar="BOOL",
        nargs="?",
        const="true",
        help="without effect: getConfig does not ask Vault",
    )
    for name in _TEXTS:
        parser.add_argument(
            f"--{name}",
            metavar="TEXT",
            help="printed as it is" if name != "stepConfigJSON" else "without effect",
        )
    piper_flags.configure(parser, parameters="they override the files and PIPER_parametersJSON")


def execute(arguments: argparse.Namespace, call: Call) -> Outcome:
    """Print the configuration of a step, of its context, or of a stage.

    Raises UsageError and ConfigError.
    """
    output = _USUAL if arguments.output is None else arguments.output
    if output not in (_USUAL, "yaml", "yml"):
        raise UsageError(f"there is no output format {output!r}", hint="expected json, yaml or yml")
    call = _informed(arguments, call)
    documents = piper_flags.documents(arguments, call)
    stage = piper_flags.stage(arguments, call)
    config = (
        _stage(arguments, call, documents, stage)
        if _on(arguments.stageConfig)
        else _step(arguments, call, documents, stage)
    )
    text = _text(_as_piper_prints(config), output)
    if arguments.outputFile:
        write_named(call.folder, arguments.outputFile, text.encode(), mode=0o600)
    else:
        call.out.write(text)
    return Outcome(status=SUCCESS, summary=f"{len(config)} keys")


def _informed(arguments: argparse.Namespace, call: Call) -> Call:
    """Return the call with the values that flags give in place of variables."""
    environ = {
        name: value
        for name, value in call.environ.items()
        if not name.startswith(_NEVER_FROM_VARIABLES)
    }
    if arguments.parametersJSON:
        environ[PARAMETERS_JSON] = arguments.parametersJSON
    if arguments.gitHubTokens:
        environ[TOKENS] = json.dumps(piper_flags.entries(arguments.gitHubTokens))
    return replace(call, environ=environ)


# ---- a step


def _step(
    arguments: argparse.Namespace, call: Call, documents: ConfigDocuments, stage: str
) -> dict[str, Any]:
    schema = _schema(arguments, call)
    inner, built_in = _on(arguments.contextConfig), not arguments.stepMetadata
    if inner:
        chosen = piper_context.with_context_keys(
            schema, piper_context.context_schema(_without_commands(schema) if built_in else schema)
        )
    else:
        chosen = piper_context.with_common_keys(_filled(schema) if built_in else schema)
    flags = _given(arguments)
    added = [
        name for name in (*flags, *_secret_names(schema, documents, stage)) if not chosen.find(name)
    ]
    chosen = replace(
        chosen,
        parameters=(
            *chosen.parameters,
            *piper_context.schema_of_names(dict.fromkeys(added)).parameters,
        ),
    )
    inputs = Inputs(
        stage=stage,
        documents=documents,
        pipeline_environment=piper_flags.pipeline_environment(arguments, call),
        environ=call.environ,
        parameters={},
        flags=flags,
    )
    config = {
        name: setting.value
        for name, setting in {
            **effective_settings(chosen, inputs),
            **_reports(chosen, inputs),
        }.items()
    }
    return {
        name: value
        for name, value in config.items()
        if not inner or name not in _chosen(chosen, config)
    }


def _schema(arguments: argparse.Namespace, call: Call) -> StepSchema:
    """Return the metadata of the step; raises UsageError and ConfigError."""
    name = arguments.stepMetadata
    if not name:
        if not arguments.stepName:
            raise UsageError(
                "no step is named", hint="name it with --stepName, or give --stepMetadata"
            )
        try:
            return load_schema(arguments.stepName)
        except UsageError as fault:
            raise UsageError(
                fault.message,
                hint=(
                    f"{fault.hint}; the metadata of a step of Piper's own is given by"
                    " --stepMetadata"
                ),
            ) from fault
    if name.partition("://")[0].lower() in ("http", "https"):
        remote = dispatch.source("http")
        text, name = (
            remote.fetch(name, for_hosts(call), where="--stepMetadata"),
            remote.display_url(name),
        )
    else:
        text = read_text(call.folder / name, name)
    return piper_metadata.parse(read_yaml(text, name).value, name)


def _without_commands(schema: StepSchema) -> StepSchema:
    """Return the schema as Piper's binary has it built in.

    It lacks the commands that keep containers running, which only the metadata's file has.
    """
    return replace(
        schema,
        containers=tuple(
            {key: value for key, value in container.items() if key not in ("command", "shell")}
            for container in schema.containers
        ),
    )


def _secret_names(schema: StepSchema, documents: ConfigDocuments, stage: str) -> list[str]:
    """Return the keys that name a secret in Vault, in the sections that count for any step."""
    layers = unfiltered_layers(documents, schema.names, stage)
    return [
        key
        for layer in layers
        for key in layer.settings
        if key.endswith(_ENDING) and key != _ENDING
    ]


def _reports(schema: StepSchema, inputs: Inputs) -> dict[str, Setting]:
    """Return the settings of reports in files; they override flags and variables."""
    found = effective_settings(schema, replace(inputs, environ={}, flags={}))
    return {
        name: found[name]
        for name in piper_context.REPORTING
        if name in found and found[name].layer not in (DEFAULT, *PIPELINE_LAYERS)
    }


def _filled(schema: StepSchema) -> StepSchema:
    """Return the schema with the empty value of its type as the default of each parameter.

    So does Piper's built-in metadata (facts 1.2).
    """
    return replace(
        schema, parameters=tuple(_with_default(parameter) for parameter in schema.parameters)
    )


def _with_default(parameter: Parameter) -> Parameter:
    if (
        parameter.default is not None
        or parameter.conditions
        or parameter.type in ("object", "objects")
    ):
        return parameter
    return replace(parameter, default=ZERO[parameter.type])


def _chosen(schema: StepSchema, config: Mapping[str, object]) -> set[str]:
    """Return the values of the conditions that hold.

    Each names a map whose keys the result already has one level up, so the caller drops the map.
    """
    conditions = (
        condition for parameter in schema.parameters for condition in parameter.conditions
    )
    return {
        condition.value
        for condition in conditions
        if condition.parameter in config and as_text(config[condition.parameter]) == condition.value
    }


def _given(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the flags that were set, which are printed too (facts 12), except tokens."""
    found: dict[str, object] = {}
    for name, value in vars(arguments).items():
        if name not in _OWN and isinstance(value, str | list) and value:
            found[name] = (
                piper_flags.entries(value)
                if isinstance(value, list)
                else value == "true"
                if value in ("true", "false")
                else value
            )
    return found


# ---- a stage


def _stage(
    arguments: argparse.Namespace, call: Call, documents: ConfigDocuments, stage: str
) -> dict[str, Any]:
    parameters = read_parameters(call.environ.get(PARAMETERS_JSON, ""))
    everything = {
        key: None
        for document in (*documents.defaults, documents.project)
        for section in (document.section("general"), document.section("stages", stage_name(stage)))
        for key in section
    }
    accepted = piper_flags.entries(arguments.stageConfigAcceptedParams or [])
    schema = piper_context.schema_of_names(
        accepted or [*everything, *(key for key in parameters if key not in everything)]
    )
    environ = call.environ if accepted else {PARAMETERS_JSON: call.environ.get(PARAMETERS_JSON, "")}
    settings = effective_settings(
        schema,
        Inputs(
            stage=stage,
            documents=documents,
            pipeline_environment={},
            environ=environ,
            parameters={},
            flags={},
        ),
    )
    hooks: object = None
    for document in documents.defaults:
        if document.content.get("hooks") is not None:
            hooks = merge(hooks, prune(document.content["hooks"]))
    return {**{name: setting.value for name, setting in settings.items()}, "hooks": hooks}


# ---- words


def _on(flag: str | None) -> bool:
    return str(flag).lower() == "true"


def _as_piper_prints(value: Any) -> Any:
    """Return `value` with `1` for `1.0` at every depth: a script may compare texts."""
    if isinstance(value, dict):
        return {key: _as_piper_prints(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_as_piper_prints(inner) for inner in value]
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1e21 else float(value)
    if isinstance(value, str):
        return str(value)
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _text(config: Mapping[str, object], output: str) -> str:
    if output != "json":
        return yaml.dump(
            dict(config),
            Dumper=_Dumper,
            sort_keys=True,
            allow_unicode=True,
            default_flow_style=False,
        )
    try:
        return (
            json.dumps(
                config, allow_nan=False, ensure_ascii=False, sort_keys=True, separators=(",", ":")
            )
            + "\n"
        )
    except ValueError as fault:
        raise ConfigError(
            "the configuration has a number that JSON cannot represent",
            hint="put .inf or .nan in quotes, or print YAML",
        ) from fault


class _Dumper(yaml.SafeDumper):
    """Quotes every text that Piper's reader would misread; writes two equal lists twice."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the base class asks for each
        """Write no anchors."""
        return True


def _represented(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if text and resolve_plain(text) != text else None
    )


_Dumper.add_representer(str, _represented)
