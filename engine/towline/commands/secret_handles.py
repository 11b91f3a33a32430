"""Secrets of the pipeline environment that stay on the agent: in Jenkins they have handles.

A step's secret never enters Jenkins: it stays in a folder of the build (pipeline/build_secrets.py),
and the result has a handle in its place. A later step of the build on the same agent gets the
secret for its handle. On another agent the handle counts as no value, so that the secret is fetched
again from Vault or a Jenkins credential; with `stateKeyCredentialsId` the handle carries the
sealed secret (pipeline/sealing.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from towline import dispatch
from towline.commands import build
from towline.commands.call import Call
from towline.config.documents import ConfigDocuments
from towline.contract import Binding
from towline.errors import CredentialError, MachineError
from towline.literals import from_json
from towline.pipeline.build_secrets import BuildSecrets, Handle, handle_of
from towline.pipeline.environment import PipelineEnvironment, is_proven
from towline.record import replace
from towline.secret import secret_texts

STATE_KEY = "stateKeyCredentialsId"
_VARIABLE = "PIPER_stateSecretKey"


def hidden(call: Call, values: Mapping[str, object]) -> dict[str, object]:
    """Return a step's values with a handle in place of each that contains a secret.

    Raises ConfigError and MachineError if a secret can be neither kept nor sealed.
    """
    return {
        key: str(_keep(call, value)) if any(secret_texts({key: value})) else value
        for key, value in values.items()
    }


def without_secrets(values: Mapping[str, object]) -> dict[str, object]:
    """Return the values that contain no secret."""
    return {key: value for key, value in values.items() if not any(secret_texts({key: value}))}


def opened(call: Call, values: Mapping[str, object]) -> dict[str, object]:
    """Return the entries with the secrets of their handles, at any depth; the secrets are masked.

    An entry is left out if one of its secrets is not on this agent. Only `run` may open handles:
    results of other commands show values. Raises ConfigError, CredentialError and MachineError.
    """
    found = {key: _opened(call, value) for key, value in values.items()}
    return {key: value[0] for key, value in found.items() if value}


def opened_environment(call: Call, values: PipelineEnvironment) -> PipelineEnvironment:
    """Return the pipeline environment with the secrets of its handles, as `opened` does.

    An entry with a handle that no step of this build has set is left out: a pull request may have
    written the handle into the workspace.
    """
    trusted = dict(values)
    for key, value in values.items():
        if any(_handles(value)) and not is_proven(values, key):
            del trusted[key]
            call.console.warn(
                f"{key} in the pipeline environment has the handle of a secret, but no step of this"
                " build is known to have set it; it is ignored"
            )
    return PipelineEnvironment(opened(call, trusted), opened(call, values.facts))


def note_lost(call: Call) -> None:
    """Note each secret that is on another agent: the step looks for it in Vault and Jenkins."""
    for key, value in _entries(call).items():
        if any(_secret(call, handle) is None for handle in _handles(value)):
            call.console.note(
                f"the secret {key} is on another agent, so this step looks for it in Vault and in"
                f" Jenkins credentials; {STATE_KEY} lets secrets follow a build to other agents"
            )


def to_bind(call: Call, known: ConfigDocuments, step: str) -> tuple[Binding, ...]:
    """Return the Jenkins credential with the key for secrets that leave the agent, if it is needed.

    It is needed to open a handle, and by a step that may leave secrets.
    """
    name = _named_key(call, known) if call.requested and _VARIABLE not in call.environ else ""
    if not name:
        return ()
    handles = _handles(list(_entries(call).values()))
    needed = any(handle.sealed and not _secrets(call).read(handle.id) for handle in handles)
    if needed or getattr(dispatch.step(step), "LEAVES_SECRETS", False):
        return (Binding(credentials_id=name, kind="string", variables={"text": _VARIABLE}),)
    return ()


def sweep(call: Call) -> None:
    """Remove the secrets of this user's builds that are over."""
    _secrets(call).sweep()


def _named_key(call: Call, known: ConfigDocuments) -> str:
    """Return the id in the agent's variable, else that of the last trusted document that has it."""
    found = call.environ.get(f"PIPER_{STATE_KEY}", "")
    for document in () if found else known.defaults:
        value = document.section("general").get(STATE_KEY)
        if document.trusted and isinstance(value, str):
            found = value
    return found


def _entries(call: Call) -> dict[str, object]:
    """Return the entries of the request whose handles count."""
    request = call.request
    known = {k: v for k, v in request.pipeline_environment.items() if k not in request.unproven}
    return {**request.parameters, **known}


def _handles(value: object) -> Iterator[Handle]:
    """Return every handle in a value."""
    if handle := handle_of(value):
        yield handle
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _handles(inner)


def _opened(call: Call, value: object) -> tuple[object] | None:
    """Return a value with its secrets, in a tuple of its own; None if this agent lacks a secret."""
    if handle := handle_of(value):
        secret = _secret(call, handle)
        for text in secret_texts({"secret": secret}):
            call.console.hide(text)
        return secret
    if not isinstance(value, dict | list):
        return (value,)
    keys = list(value) if isinstance(value, dict) else range(len(value))
    parts = [_opened(call, value[key]) for key in keys]
    if None in parts:
        return None
    inner = [part[0] for part in parts if part]
    return (dict(zip(keys, inner, strict=True)) if isinstance(value, dict) else inner,)


def _keep(call: Call, value: object) -> Handle:
    """Keep a value on the agent, or seal it in its handle; raises ConfigError, MachineError."""
    key, secrets = call.environ.get(_VARIABLE, ""), _secrets(call)
    try:
        handle = Handle(id=secrets.keep(value))
    except MachineError:
        if not key:
            raise
        handle = Handle(id=secrets.new_id())
    if not key:
        return handle
    context = (*_build(call), handle.id)
    sealed = dispatch.part("sealing").seal(json.dumps(value), key, context, call.environ)
    return replace(handle, sealed=sealed)


def _secret(call: Call, handle: Handle) -> tuple[object] | None:
    """Return the secret of a handle, in a tuple of its own; None if this agent lacks it."""
    key = call.environ.get(_VARIABLE, "")
    if (secret := _secrets(call).read(handle.id)) or not (handle.sealed and key):
        return secret
    context = (*_build(call), handle.id)
    text = dispatch.part("sealing").unseal(handle.sealed, key, context, call.environ)
    if text is None:
        raise CredentialError(
            "a sealed secret of the pipeline environment cannot be opened",
            where=STATE_KEY,
            hint="it belongs to another build or key: run the step that wrote it again",
        )
    return (from_json(text),)


def _secrets(call: Call) -> BuildSecrets:
    return BuildSecrets(call.folder, _build(call), call.environ)


def _build(call: Call) -> tuple[str, ...]:
    """Return the names that identify the build; without number and URL, job and workspace do."""
    known = build.build_of(call)
    if known.number or known.url:
        return known.job, known.number, known.url
    return known.job, str(call.folder.resolve())
