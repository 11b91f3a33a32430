"""What a call knows of its project: documents, parameters and pipeline environment, from a request or from disk.

In a shell: which values of the pipeline environment this build's own steps have written, kept beside the workspace from step to step.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from towline.commands import build
from towline.commands.build import change_request
from towline.commands.call import Call
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
from towline.config.near_names import section_slip
from towline.config.settings import Settings
from towline.errors import ConfigError, TowlineError, UsageError
from towline.files import version
from towline.git.checkout import describe_commit
from towline.http.proxy import Proxies
from towline.literals import from_json
from towline.pipeline import environment
from towline.pipeline.environment import PipelineEnvironment
from towline.pipeline.proven import ProvenCopy
from towline.record import replace
from towline.secret import is_path, secret_texts
from towline.suggest import nearest


def facts(call: Call) -> Mapping[str, object]:
    """What this build's own steps have written."""
    return _copy(call).read()


def write(call: Call, values: Mapping[str, object]) -> None:
    """Keep what a step has changed, and write it into the workspace, where Piper's programs read it; raises ConfigError, MachineError."""
    if not values:
        return
    try:
        # first: what is cut off then leaves a fact too many, and no value that nobody knows
        _copy(call).keep(values)
    except TowlineError as fault:
        why = f"{fault.where}: {fault.message}" if fault.where else fault.message
        call.console.note(
            f"what this step leaves for later ones is no fact for them ({why}), "
            f"so it counts as what the project says (docs/trust.md); {fault.hint}"
        )
    environment.write_environment(call.folder, values)


def check(call: Call) -> None:
    """Pass where `write` can write into the workspace; raises ConfigError, MachineError."""
    environment.check_writable(call.folder)


def _copy(call: Call) -> ProvenCopy:
    """The copy for the build as its CI system calls it; where none does, the commit that is checked out says what belongs together in a workspace."""
    found = build.facts(call)
    commit = "" if found.number or found.url else describe_commit(call.folder, call.environ, "").id
    return ProvenCopy(
        call.folder, (found.system, found.job, found.number, found.url, commit), call.environ
    )


TOKENS = "PIPER_gitHubTokens"
_PARAMETERS, _ENVIRONMENT = "parameters/", "pipelineEnvironment/"
_SECRETS = 1000


def documents(call: Call, config: str) -> ConfigDocuments:
    """The library's, the platform team's and the project's documents; raises UsageError and ConfigError.

    Those that come with the call of a change request are not trusted.
    """
    _agree(call.request.version)
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
    """Mask from here on what is secret in documents by its name; raises ConfigError."""
    for document in (*known.defaults, known.project):
        hide_secrets(call, document.content, document.name, trusted=document.trusted)


def hide_secrets(call: Call, values: Mapping[str, object], where: str, *, trusted: bool) -> None:
    """Mask from here on what is secret in `values` by its name, at every depth; raises ConfigError where that is too much to look for in each line.

    Where they are not trusted, it is only called a secret: any word may be.
    """
    found = dict.fromkeys(secret_texts(values))
    if len(found) > _SECRETS:
        raise ConfigError(
            f"{len(found)} values are secret by their names, and at most {_SECRETS} can be kept out"
            " of the log",
            where=where,
            hint="take out of it what is not needed here",
        )
    for secret in found:
        call.console.hide(secret, real=trusted)


def hide_settings(call: Call, settings: Settings) -> None:
    """Mask from here on every value that a secret parameter has."""
    for secret in settings.secrets():
        call.console.hide(secret)
    for text in settings.claimed():
        call.console.hide(text, real=False)


def team_documents(call: Call) -> tuple[ConfigDocument, ...]:
    """The platform team's documents alone; raises UsageError and ConfigError."""
    _agree(call.request.version)
    files = (team_file(call.folder, path) for path in _team_files(call))
    return (
        *files,
        *(parse_document(entry.text, entry.name, trusted=True) for entry in call.request.defaults),
    )


def has_team_documents(call: Call) -> bool:
    """Whether the platform team has given any documents."""
    return bool(_team_files(call) or call.request.defaults)


def _team_files(call: Call) -> list[str]:
    return [path for path in call.environ.get("TOWLINE_DEFAULTS", "").split(os.pathsep) if path]


def for_hosts(call: Call) -> Mapping[str, str]:
    """The call's variables, for what comes over http(s): the tokens of PIPER_gitHubTokens and the passwords of proxies are masked from here on.

    Whether they are as they should be, is seen where one is needed.
    """
    text = call.environ.get(TOKENS, "")
    for secret in (text, *re.findall(r'"[^"]*:([^":]+)"', text), *Proxies(call.environ).secrets()):
        call.console.hide(secret)
    return call.environ


def given(call: Call) -> Mapping[str, object]:
    """The call's parameters with those that travelled as variables; their secrets are masked from here on.

    Raises UsageError and ConfigError.
    """
    values = {**call.request.parameters, **_secrets(call, _PARAMETERS)}
    hide_secrets(call, values, "parameters of the call", trusted=True)
    try:
        named = read_parameters(call.environ.get(PARAMETERS_JSON, ""))
    except ConfigError:
        return values  # told where they are read
    hide_secrets(call, named, PARAMETERS_JSON, trusted=True)
    return values


def known_stages(known: ConfigDocuments) -> frozenset[str]:
    """Every stage that a document configures or that the General Purpose Pipeline has."""
    return _configured_stages(known) | frozenset(stage_names())


def tell_of_files(call: Call, known: ConfigDocuments) -> None:
    """Say in a shell that the project has no configuration; warn of what is nearly a section of its files, and is read by nobody."""
    if not call.requested and not (call.folder / known.project.name).exists():
        call.console.say(
            f"there is no {known.project.name} here, so no configuration of a project counts"
        )
    tell_of_unread(call, known)
    for document in (*known.defaults, known.project):
        for key in document.content if not document.trusted else ():
            if meant := section_slip(key):
                call.console.warn(
                    f"{document.where(key)}: nothing reads the section {key} (did you mean"
                    f" {meant!r}?)"
                )


def tell_of_unread(call: Call, known: ConfigDocuments) -> None:
    """Warn of what stands behind the first YAML document of a file: Piper does not read it either, and says nothing."""
    for document in (*known.defaults, known.project):
        if document.unread:
            call.console.warn(f"{document.name}:{document.unread}: {UNREAD_DOCUMENT}")


def no_stage(call: Call, known: ConfigDocuments) -> str:
    """A hint if none is named in a shell, and the project has some: what is missing may stand in a stage's section; else empty."""
    there = [] if call.request.stage or call.requested else list(known.project.section("stages"))
    return f"no stage is named: --stage takes {', '.join(there)}" if there else ""


def unknown_stage(stage: str, known: ConfigDocuments) -> str:
    """A hint if nobody knows the stage; empty if somebody does, or none is named."""
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
    """The pipeline environment: the request's where there is one, else the one on disk; its secrets are masked from here on.

    Raises ConfigError.

    Facts are what Jenkins has kept, but for what only Piper's library knows, and in a shell what
    was kept beside the workspace.
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
        if variable not in call.environ:
            raise UsageError(f"the variable {variable} of secret {name!r} is not set")
        if name.startswith(prefix):
            found[name.removeprefix(prefix)] = _secret(call, name, call.environ[variable])
    return found


def _secret(call: Call, name: str, text: str) -> object:
    """What a variable holds for the entry `name` of the request: a text that is secret as a whole, or JSON with secrets in it."""
    if name not in call.request.encoded:
        if not is_path(name, text):
            call.console.hide(text, real=call.request.secrets[name] not in call.request.claimed)
        return text
    try:
        return from_json(text)
    except ValueError:
        raise UsageError(
            f"the variable of secret {name!r} holds no JSON",
            hint="use library and engine of one version",
        ) from None


def _agree(library: str) -> None:
    """Pass where library and engine are of one major version (of one minor version while that is 0); raises UsageError."""
    ours, theirs = version().split("."), library.split(".")
    parts = 2 if ours[0] == "0" else 1
    if library and ours[:parts] != theirs[:parts]:
        raise UsageError(
            f"the library is version {library}, the engine is {version()}",
            hint="install the engine of the library's version",
        )
