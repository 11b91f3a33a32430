"""The flags that every command of Piper's binary takes, for scripts written for it (facts 1.1)."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import PurePath

from towline.commands.build import stage_of
from towline.commands.call import Call
from towline.commands.context import documents as usual_documents
from towline.commands.context import (
    for_hosts,
    hide_in_documents,
    hide_secrets,
    team_documents,
    tell_of_unread,
)
from towline.config.documents import (
    DEFAULTS_FILE,
    PROJECT_FILE,
    ConfigDocument,
    ConfigDocuments,
    DocumentReader,
    custom_defaults,
    default_hosts,
    library_defaults,
)
from towline.config.layers import PARAMETERS_JSON
from towline.pipeline import environment

_ROOT = ".pipeline"


def configure(parser: argparse.ArgumentParser, *, parameters: str) -> None:
    """Add the flags to `parser`; those without a meaning here are accepted and ignored.

    `parameters` is the help on how the call's parameters change the answer.
    """
    parser.add_argument(
        "--stageName", metavar="NAME", default="", help="the stage, if --stage does not name it"
    )
    parser.add_argument(
        "--parametersJSON", metavar="JSON", default="", help=f"parameters of the call; {parameters}"
    )
    parser.add_argument(
        "--customConfig",
        metavar="FILE",
        default="",
        help=f"the project's configuration ({PROJECT_FILE}); it may be missing",
    )
    parser.add_argument(
        "--defaultConfig",
        metavar="A,B",
        action="append",
        help=f"default documents, weakest first ({DEFAULTS_FILE})",
    )
    parser.add_argument(
        "--ignoreCustomDefaults",
        metavar="BOOL",
        nargs="?",
        const="true",
        default="",
        help="ignore the files that customDefaults names",
    )
    parser.add_argument(
        "--envRootPath", metavar="FOLDER", help="where commonPipelineEnvironment is (.pipeline)"
    )
    for name in ("--verbose", "--noTelemetry"):
        parser.add_argument(
            *(["-v", name] if name == "--verbose" else [name]),
            metavar="BOOL",
            nargs="?",
            const="true",
            help="without effect",
        )
    for name in ("--correlationID", "--logFormat"):
        parser.add_argument(name, metavar="TEXT", help="without effect")


def stage(arguments: argparse.Namespace, call: Call) -> str:
    """Return the stage: by flag, by the parameters' stageName, else by the orchestrator.

    Raises ConfigError.
    """
    given = {PARAMETERS_JSON: arguments.parametersJSON} if arguments.parametersJSON else {}
    return call.request.stage or arguments.stageName or stage_of({**call.environ, **given})


def documents(arguments: argparse.Namespace, call: Call) -> ConfigDocuments:
    """Return the documents that the flags name, else the usual ones; raises ConfigError."""
    flags = (
        arguments.customConfig,
        arguments.defaultConfig is not None,
        ignores_custom_defaults(arguments),
    )
    found = _named(arguments, call) if any(flags) else usual_documents(call, arguments.config)
    hide_in_documents(call, found)
    tell_of_unread(call, found)
    return found


def _named(arguments: argparse.Namespace, call: Call) -> ConfigDocuments:
    reader = DocumentReader(call.folder, for_hosts(call))
    project = _project(arguments.customConfig or arguments.config or PROJECT_FILE, reader)
    names = [DEFAULTS_FILE] if arguments.defaultConfig is None else entries(arguments.defaultConfig)
    # the caller may name any file; a file that a pull request can change may not
    chosen = arguments.defaultConfig is not None
    given = [
        reader.read(name, where="--defaultConfig", trusted=chosen)
        for name in names
        if PurePath(name) != PurePath(DEFAULTS_FILE) or reader.has(name)
    ]
    reader.inside = default_hosts((*team_documents(call), *given), call.environ)
    custom = () if ignores_custom_defaults(arguments) else tuple(custom_defaults(project, reader))
    return ConfigDocuments(defaults=(library_defaults(), *given, *custom), project=project)


def pipeline_environment(arguments: argparse.Namespace, call: Call) -> dict[str, object]:
    """Return the pipeline environment below `--envRootPath`; raises ConfigError, MachineError."""
    values = environment.read_environment(
        call.folder,
        f"{arguments.envRootPath or _ROOT}/{PurePath(environment.ENVIRONMENT_FOLDER).name}",
    )
    hide_secrets(call, values, environment.ENVIRONMENT_FOLDER, trusted=False)
    return values


def ignores_custom_defaults(arguments: argparse.Namespace) -> bool:
    """Return whether the project's `customDefaults` are ignored."""
    return str(arguments.ignoreCustomDefaults).lower() == "true"


def _project(name: str, reader: DocumentReader) -> ConfigDocument:
    """Return the project's document; a missing one is empty, as in Piper (facts 1.1)."""
    trusted = name not in (PROJECT_FILE, PROJECT_FILE.replace(".yml", ".yaml"))
    if "://" in name or reader.has(name, trusted=trusted):
        return reader.read(name, where="--customConfig", trusted=trusted)
    return ConfigDocument(name=name, trusted=False, content={}, marks={})


def entries(texts: Sequence[str]) -> list[str]:
    """Return the entries of a flag that is repeated or holds commas (facts 1.6)."""
    return [entry for row in csv.reader(texts) for entry in row if entry]
