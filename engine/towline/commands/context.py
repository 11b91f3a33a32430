"""The project of a call: documents, parameters and pipeline environment.

They come from a request or from disk. In a shell the values that this build's own steps have
written are kept beside the workspace from step to step.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from towline.commands import build
from towline.commands.build import change_request
from towline.commands.call import Call
from towline.config.conditions import parse_flag
from towline.config.documents import (
    UNREAD_DOCUMENT,
    ConfigDocument,
    ConfigDocuments,
    parse_document,
    read_documents,
    stage_name,
    team_file,
)
from towline.config.layers import PARAMETERS_JSON, read_parameters
from towline.config.metadata import stage_names
from towline.config.near_names import misspelt_stage, section_slip
from towline.config.settings import Settings
from towline.errors import ConfigError, TowlineError, UsageError
from towline.files import version
from towline.git.checkout import describe_commit
from towline.http.proxy import Proxies
from towline.literals import from_json
from towline.pipeline import environment
from towline.pipeline.definition import pipeline_of
from towline.pipeline.environment import PipelineEnvironment
from towline.pipeline.proven import ProvenCopy
from towline.record import replace
from towline.secret import is_path, secret_texts
from towline.suggest import nearest


def facts(call: Call) -> Mapping[str, object]:
    """Return the values that this build's own steps have written."""
    return _copy(call).read()


def write(call: Call, values: Mapping[str, object]) -> None:
    """Keep the values that a step has changed, and write them to disk for Piper's programs.

    Raises ConfigError and MachineError.
    """
    if not values:
        return
    try:
        # Facts first: if the process is killed in between, a fact too many is left, not a value
        # without a fact.
        _copy(call).keep(values)
    except TowlineError as fault:
        why = f"{fault.where}: {fault.message}" if fault.where else fault.message
        call.console.note(
            f"the values of this step are not recorded as facts for later steps ({why}), "
            f"so later steps trust them no more than the project (docs/trust.md); {fault.hint}"
        )
    environment.write_environment(call.folder, values)


def check(call: Call) -> None:
    """Raise ConfigError or MachineError if `write` cannot write into the workspace."""
    environment.check_writable(call.folder)


def _copy(call: Call) -> ProvenCopy:
    """Return the copy for the build that the CI system names, else for the commit checked out."""
    found = build.facts(call)
    commit = "" if found.number or found.url else describe_commit(call.folder, call.environ, "").id
    return ProvenCopy(
        call.folder, (found.system, found.job, found.number, found.url, commit), call.environ
    )


TOKENS = "PIPER_gitHubTokens"
_PARAMETERS, _ENVIRONMENT = "parameters/", "pipelineEnvironment/"
_SECRETS = 1000


def documents(call: Call, config: str) -> ConfigDocuments:
    """Return the documents of the library, the platform team and the project.

    Those that come with the call of a change request are not trusted. Raises UsageError and
    ConfigError.
    """
    _tell_versions(call)
    carried = [
        parse_document(entry.text, entry.name, trusted=True) for entry in call.request.defaults
    ]
    if change_request(call):
        carried = [replace(document, trusted=False, carried=True) for document in carried]
    found = read_documents(
        call.folder,
        config=config,
        team_files=_team_files(call),
        team_documents=carried,
        environ=for_hosts(call),
    )
    hide_in_documents(call, found)
    return found


def hide_in_documents(call: Call, known: ConfigDocuments) -> None:
    """Mask the values that are secret by their names in documents; raises ConfigError."""
    for document in (*known.defaults, known.project):
        hide_secrets(call, document.content, document.name, trusted=document.trusted)


def hide_secrets(call: Call, values: Mapping[str, object], where: str, *, trusted: bool) -> None:
    """Mask the values that are secret by their names in `values`, at every depth.

    Values of an untrusted layer are only called secret: any word may be. Raises ConfigError if
    there are too many to look for in each line.
    """
    found = dict.fromkeys(secret_texts(values))
    if len(found) > _SECRETS:
        raise ConfigError(
            f"{len(found)} values are secret by their names, and at most {_SECRETS} can be kept out"
            " of the log",
            where=where,
            hint="remove the entries that this step does not need",
        )
    for secret in found:
        call.console.hide(secret, real=trusted)


def hide_settings(call: Call, settings: Settings) -> None:
    """Mask every value of a secret parameter."""
    for secret in settings.secrets():
        call.console.hide(secret)
    for text in settings.claimed():
        call.console.hide(text, real=False)


def team_documents(call: Call) -> tuple[ConfigDocument, ...]:
    """Return the platform team's documents alone; raises UsageError and ConfigError."""
    _tell_versions(call)
    files = (team_file(call.folder, path) for path in _team_files(call))
    return (
        *files,
        *(parse_document(entry.text, entry.name, trusted=True) for entry in call.request.defaults),
    )


def has_team_documents(call: Call) -> bool:
    """Return whether the platform team has given any documents."""
    return bool(_team_files(call) or call.request.defaults)


def _team_files(call: Call) -> list[str]:
    return [path for path in call.environ.get("TOWLINE_DEFAULTS", "").split(os.pathsep) if path]


def for_hosts(call: Call) -> Mapping[str, str]:
    """Return the call's variables for downloads over http(s).

    The tokens in PIPER_gitHubTokens and the passwords of proxies are masked; their form is checked
    when a token is needed.
    """
    text = call.environ.get(TOKENS, "")
    for secret in (text, *re.findall(r'"[^"]*:([^":]+)"', text), *Proxies(call.environ).secrets()):
        call.console.hide(secret)
    return call.environ


def given(call: Call) -> Mapping[str, object]:
    """Return the call's parameters, with those that travelled as variables.

    Their secrets are masked. Raises UsageError and ConfigError.
    """
    values = {**call.request.parameters, **_secrets(call, _PARAMETERS)}
    hide_secrets(call, values, "parameters of the call", trusted=True)
    try:
        named = read_parameters(call.environ.get(PARAMETERS_JSON, ""))
    except ConfigError:
        return values  # the reader of the configuration reports the error
    hide_secrets(call, named, PARAMETERS_JSON, trusted=True)
    return values


def known_stages(known: ConfigDocuments) -> frozenset[str]:
    """Return every stage that a document configures or the pipeline has."""
    return _configured_stages(known) | _defined_stages(known)


def _defined_stages(known: ConfigDocuments) -> frozenset[str]:
    return frozenset(stage.name for stage in pipeline_of(known.defaults).stages)


def tell_of_files(call: Call, known: ConfigDocuments) -> None:
    """In a shell, say that there is no configuration; warn of misspelt sections and stages."""
    if not call.requested and not (call.folder / known.project.name).exists():
        call.console.say(
            f"there is no {known.project.name} here: only defaults, flags and variables count"
        )
    tell_of_unread(call, known)
    for document in (*known.defaults, known.project):
        for key in document.content if not document.trusted else ():
            if meant := section_slip(key):
                call.console.warn(
                    f"{document.where(key)}: nothing reads the section {key} (did you mean"
                    f" {meant!r}?)"
                )
    _tell_of_stages(call, known)


def _tell_of_stages(call: Call, known: ConfigDocuments) -> None:
    """Warn of each section of a misspelt stage, whose steps no stage of the pipeline runs.

    A section that the platform team has too, or the stage of the call, is not misspelt. Nor is one
    beside the section of the stage with the similar name if it enables steps: it is a stage of the
    project's own.
    """
    stages, project = frozenset(stage_names()), known.project
    trusted = (document for document in known.defaults if document.trusted)
    teams = {name for document in trusted for name in document.section("stages")}
    unknown = project.section("stages").keys() - stages - teams - {call.request.stage}
    for name in sorted(unknown):
        enables = any(parse_flag(value) for value in project.section("stages", name).values())
        near = misspelt_stage(name, stages, project.section("stages"), enables=enables)
        if near and name not in _defined_stages(known):
            call.console.warn(
                f"{project.where('stages', name)}: the pipeline has no stage {name} (did you mean"
                f" {near!r}?)"
            )


def tell_of_unread(call: Call, known: ConfigDocuments) -> None:
    """Warn of content behind the first YAML document of a file, which Piper ignores silently."""
    for document in (*known.defaults, known.project):
        if document.unread:
            call.console.warn(f"{document.name}:{document.unread}: {UNREAD_DOCUMENT}")


def no_stage(call: Call, known: ConfigDocuments) -> str:
    """Return a hint if no stage is named in a shell and the project has stages; else "".

    A missing value may stand in a stage's section.
    """
    if call.request.stage or call.requested:
        return ""
    stages = list(known.project.section("stages"))
    return f"no stage is named: --stage takes {', '.join(stages)}" if stages else ""


def unknown_stage(stage: str, known: ConfigDocuments) -> str:
    """Return a hint if the named stage is not known; else ""."""
    name = stage_name(stage)
    # the usual case, for which the pipeline's definition is not read
    if not name or name in _configured_stages(known):
        return ""
    names = known_stages(known)
    return "" if name in names else nearest(name, names)


def _configured_stages(known: ConfigDocuments) -> frozenset[str]:
    return frozenset(
        name for document in (*known.defaults, known.project) for name in document.section("stages")
    )


def pipeline_environment(call: Call) -> PipelineEnvironment:
    """Return the pipeline environment of the request, else the one on disk; its secrets are masked.

    Facts are the values that Jenkins has kept, except those that only Piper's library knows; in a
    shell they are the values kept beside the workspace. Raises ConfigError.
    """
    if call.requested:
        values = {**call.request.pipeline_environment, **_secrets(call, _ENVIRONMENT)}
        known: Mapping[str, object] = {
            key: value for key, value in values.items() if key not in call.request.unproven
        }
    else:
        values, known = environment.read_environment(call.folder), facts(call)
    hide_secrets(call, values, environment.ENVIRONMENT_FOLDER, trusted=False)
    hide_secrets(call, known, environment.ENVIRONMENT_FOLDER, trusted=True)
    return PipelineEnvironment(values, known)


def _secrets(call: Call, prefix: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, variable in call.request.secrets.items():
        if not name.startswith((_PARAMETERS, _ENVIRONMENT)):
            raise UsageError(
                f"the request's secrets have an unknown name {name!r}",
                hint=f"expected {_PARAMETERS}... or {_ENVIRONMENT}...",
            )
        value = call.request.carried.get(variable, call.environ.get(variable))
        if value is None:
            raise UsageError(
                f"the variable {variable} of secret {name!r} is not set, and TOWLINE_SECRETS has no"
                " such key"
            )
        if name.startswith(prefix):
            found[name.removeprefix(prefix)] = _secret(call, name, value)
    return found


def _secret(call: Call, name: str, text: object) -> object:
    """Return the value of the entry `name` of the request.

    It is a text that is secret as a whole, or a value (of a variable: as JSON) with secrets in it.
    """
    if not isinstance(text, str):
        return text
    if name not in call.request.encoded:
        if not is_path(name, text):
            call.console.hide(text, real=call.request.secrets[name] not in call.request.claimed)
        return text
    try:
        return from_json(text)
    except ValueError:
        raise UsageError(
            f"the variable of secret {name!r} is not JSON",
            hint="use library and engine of one version",
        ) from None


def _tell_versions(call: Call) -> None:
    """Note that library and engine have different versions, which the protocol allows."""
    library = call.request.version
    if library and library != version():
        call.console.note(f"the library is version {library}, the engine is {version()}")
