"""The JSON contract with the Jenkins library (docs/contract.md): request and result.

Unknown keys are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from towline.errors import TowlineError, UsageError
from towline.literals import from_json
from towline.record import field, frozen, replace
from towline.suggest import nearest

PROTOCOL = 1
SUCCESS, UNCHANGED, SKIPPED, BIND = "success", "unchanged", "skipped", "bind"
_WRITTEN = "the library writes it; see docs/contract.md"
_LARGEST_REQUEST = 16 * 1024 * 1024
_IN_VARIABLE = "env:"
_SECRETS = "TOWLINE_SECRETS"
_BUILD = {
    "number": "number",
    "url": "url",
    "job": "job",
    "branch": "branch",
    "tag": "tag",
    "changeRequest": "change_request",
    "startedBy": "started_by",
    "sourceRepository": "source_repository",
    "sourceCommit": "source_commit",
    "sourceTime": "source_time",
}


@frozen
class Build:
    """The build that calls, as its CI system describes it; unknown parts are empty."""

    number: str = ""
    url: str = ""
    job: str = ""
    branch: str = ""
    tag: str = ""
    change_request: str = ""
    started_by: str = ""
    source_repository: str = ""
    source_commit: str = ""
    source_time: str = ""


@frozen
class DefaultsDocument:
    """A default document of the platform team: its name for messages, and its YAML text."""

    name: str
    text: str


@frozen
class Binding:
    """A Jenkins credential to bind.

    It has an id, a kind (`usernamePassword`, `string`), and the variable for each of its parts.
    """

    credentials_id: str
    kind: str
    variables: Mapping[str, str]


@frozen
class Request:
    """The bridge's request.

    `secrets` maps `parameters/<name>` or `pipelineEnvironment/<key>` to a key of `carried`, which
    holds the values of TOWLINE_SECRETS, else to the name of a variable. The texts of the entries in
    `encoded` are JSON. `bound` holds the Jenkins credentials that earlier runs of this call asked
    for, and that the bridge has bound. `unproven` holds the keys of the pipeline environment that
    are not facts (towline/pipeline/environment.py).
    """

    protocol: int = PROTOCOL
    version: str = ""
    step: str = ""
    stage: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    pipeline_environment: Mapping[str, object] = field(default_factory=dict)
    unproven: tuple[str, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    encoded: frozenset[str] = frozenset()
    carried: Mapping[str, object] = field(default_factory=dict, repr=False)
    bound: tuple[Binding, ...] = ()
    build: Build = field(default_factory=Build)
    defaults: tuple[DefaultsDocument, ...] = ()

    @property
    def claimed(self) -> frozenset[str]:
        """Return the names of secrets that are not facts: a pull request may call them secrets."""
        prefix = "pipelineEnvironment/"
        return frozenset(
            name
            for entry, name in self.secrets.items()
            if entry.startswith(prefix) and entry.removeprefix(prefix) in self.unproven
        )

    @property
    def bound_ids(self) -> Mapping[str, str]:
        """Return the id of the Jenkins credential that each variable is bound to."""
        return {
            name: binding.credentials_id
            for binding in self.bound
            for name in binding.variables.values()
        }


@frozen
class Outcome:
    """The outcome of a step: status, changed pipeline environment, outputs, one line for people."""

    status: str
    summary: str
    pipeline_environment: Mapping[str, object] = field(default_factory=dict)
    outputs: Mapping[str, object] = field(default_factory=dict)
    links: tuple[Mapping[str, str], ...] = ()
    reports: tuple[Mapping[str, str], ...] = ()
    bindings: tuple[Binding, ...] = ()


def take_request(source: str, environ: MutableMapping[str, str]) -> Request:
    """Return the request at `source`, a file's path or `env:NAME`, with the secrets it carries.

    Its variables are removed from `environ`. Raises UsageError.
    """
    if source.startswith(_IN_VARIABLE):
        name = source.removeprefix(_IN_VARIABLE)
        text = environ.pop(name, None)
        if text is None:
            raise UsageError(
                f"cannot read the request: the variable {name!r} is not set", hint=_WRITTEN
            )
        request = _read_text(text, f"the variable {name}")
    else:
        request = read_request(Path(source))
    return replace(request, carried=_take_secrets(environ))


def read_request(path: Path) -> Request:
    """Return the request in the file at `path`; raises UsageError."""
    try:
        if path.stat().st_size > _LARGEST_REQUEST:
            raise UsageError(
                f"the request is larger than {_LARGEST_REQUEST >> 20} MiB", where=str(path)
            )
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as fault:
        raise _unreadable(fault, str(path)) from fault
    return _read_text(text, str(path))


def _read_text(text: str, where: str) -> Request:
    if not text.strip():
        raise UsageError("cannot read the request: it is empty", where=where, hint=_WRITTEN)
    try:
        data = from_json(text)
    except ValueError as fault:
        raise _unreadable(fault, where) from fault
    return parse_request(data)


def _unreadable(fault: OSError | ValueError, where: str) -> UsageError:
    why = fault.strerror if isinstance(fault, OSError) else f"it is not JSON ({fault})"
    return UsageError(f"cannot read the request: {why}", where=where, hint=_WRITTEN)


def _take_secrets(environ: MutableMapping[str, str]) -> Mapping[str, object]:
    """Return the JSON object in TOWLINE_SECRETS, and remove the variable from `environ`.

    A text that is too long for one variable goes on in TOWLINE_SECRETS_2, TOWLINE_SECRETS_3 and so
    on. Raises UsageError, without a word of the text.
    """
    parts = [environ.pop(_SECRETS, "")]
    while (following := f"{_SECRETS}_{len(parts) + 1}") in environ:
        parts.append(environ.pop(following))
    text = "".join(parts)
    if not text.strip():
        return {}
    with suppress(ValueError):
        values = from_json(text)
        if isinstance(values, dict):
            return values
    raise UsageError(f"the variable {_SECRETS} is not a JSON object", hint=_WRITTEN)


def parse_request(data: object) -> Request:
    """Return a request from decoded JSON; raises UsageError."""
    keys = {
        "protocol": int,
        "version": str,
        "step": str,
        "stage": str,
        "parameters": dict,
        "pipelineEnvironment": dict,
        "unproven": list,
        "secrets": dict,
        "bound": list,
        "build": dict,
        "defaults": list,
    }
    fields = _record(data, keys, "the request")
    if fields.get("protocol") != PROTOCOL:
        raise UsageError(
            f"the request speaks protocol {fields.get('protocol')}, this engine speaks {PROTOCOL}",
            hint="use library and engine of one version",
        )
    build = _record(fields.pop("build", {}), dict.fromkeys(_BUILD, str), "the request's build")
    bound = tuple(_binding(entry) for entry in fields.pop("bound", []))
    documents = [
        _record(entry, {"name": str, "text": str}, "the request's defaults")
        for entry in fields.pop("defaults", [])
    ]
    secrets = fields.pop("secrets", {})
    unproven = fields.pop("unproven", [])
    if not all(isinstance(key, str) for key in unproven):
        raise UsageError("the request's unproven must be keys of the pipeline environment")
    return Request(
        secrets={name: _variable(entry) for name, entry in secrets.items()},
        encoded=frozenset(name for name, entry in secrets.items() if isinstance(entry, dict)),
        pipeline_environment=fields.pop("pipelineEnvironment", {}),
        unproven=tuple(unproven),
        **fields,
        bound=bound,
        build=Build(**{_BUILD[key]: value for key, value in build.items()}),
        defaults=tuple(
            DefaultsDocument(name=entry.get("name", ""), text=entry.get("text", ""))
            for entry in documents
        ),
    )


def _binding(data: object) -> Binding:
    keys = {"credentialsId": str, "kind": str, "variables": dict}
    entry = _record(data, keys, "the request's bound")
    variables = entry.get("variables", {})
    if not all(isinstance(name, str) for name in variables.values()):
        raise UsageError("the request's bound must map parts to names of environment variables")
    return Binding(
        credentials_id=entry.get("credentialsId", ""),
        kind=entry.get("kind", ""),
        variables=variables,
    )


def _variable(entry: object) -> str:
    """Return the name of a secret's text, from that name or from `{"json": NAME}`."""
    variable = entry.get("json") if isinstance(entry, dict) and len(entry) == 1 else entry
    if not isinstance(variable, str):
        raise UsageError("the request's secrets must map names to names of environment variables")
    return variable


def _record(data: object, keys: Mapping[str, type], part: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise UsageError(f"{part} must be a JSON object")
    for key, value in data.items():
        if key not in keys:
            raise UsageError(f"{part} has an unknown key {key!r}", hint=nearest(key, keys))
        if not isinstance(value, keys[key]) or isinstance(value, bool):
            raise UsageError(f"{part}: {key!r} must be of type {keys[key].__name__}")
    return dict(data)


def encode_result(
    request: Request,
    ending: Outcome | TowlineError,
    *,
    exit_code: int,
    seconds: float,
    version: str,
) -> dict[str, object]:
    """Return the end of a call as the JSON object of docs/contract.md, with every key."""
    error = None
    if isinstance(ending, Outcome):
        outcome = ending
    else:
        outcome = Outcome(
            status=ending.status,
            summary=ending.message,
            outputs=ending.outputs,
            pipeline_environment=ending.pipeline_environment,
        )
        error = {
            "category": ending.category,
            "message": ending.message,
            "where": ending.where,
            "hint": ending.hint,
        }
    return {
        "protocol": PROTOCOL,
        "version": version,
        "step": request.step,
        "stage": request.stage,
        "status": outcome.status,
        "exitCode": exit_code,
        "summary": outcome.summary,
        "pipelineEnvironment": dict(outcome.pipeline_environment),
        "outputs": dict(outcome.outputs),
        "links": list(outcome.links),
        "reports": list(outcome.reports),
        "bindings": [
            {"credentialsId": b.credentials_id, "kind": b.kind, "variables": dict(b.variables)}
            for b in outcome.bindings
        ],
        "error": error,
        "seconds": round(seconds, 3),
    }
