"""Docker credential helpers: a program gets a server's name and answers with a login.

Source: docker-credential-helpers, README. The docker package starts helpers without a time limit
and with the whole environment of the process; hence the protocol here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from towline import process
from towline.errors import CredentialError
from towline.files import in_workspace, own_home
from towline.limits import ProcessLimits
from towline.literals import json_object
from towline.printable import words
from towline.registry.auth.docker_config import CredentialHelper, as_login
from towline.secret import Login
from towline.suggest import list_some

_SECONDS = 30.0
_NOT_FOUND = "credentials not found"
_TEXT = 300
_OURS = ("PIPER_", "TOWLINE_")


def ask(
    helper: CredentialHelper, environ: Mapping[str, str], *, seconds: float = _SECONDS
) -> Login | None:
    """The helper's login for its server, or None if it has none; the helper is found on PATH.

    It gets the machine's variables without Towline's own, which hold other secrets, and does not
    run in the workspace. Variables that lead into the workspace are left out: a tool's settings can
    name a program, as `credential_process` in `~/.aws/config` does, and HOME is the workspace on
    some agents. Raises CredentialError, MachineError.
    """
    name = f"docker-credential-{helper.name}"
    program = process.find(name, environ)
    if program is None:
        raise CredentialError(
            f"{name} is not on PATH",
            where=helper.origin,
            hint="install it on the agent, or give user and password as parameters",
        )
    left_out = {key for key, value in environ.items() if key != "PATH" and _leads_in(value)}
    variables = {
        key: value
        for key, value in environ.items()
        if not key.startswith(_OURS) and key not in left_out
    }
    if not variables.get("HOME", "").startswith("/") and (home := own_home()):
        variables["HOME"] = str(home)
    try:
        done = process.run(
            [program, "get"],
            environment=variables,
            stdin=helper.server.encode(),
            folder=Path("/"),
            limits=ProcessLimits(seconds=seconds),
        )
    except process.Overrun as fault:
        raise _failed(helper, f"exceeded its {fault.limit}") from fault
    if done.code == 0:
        return _login(helper, done.out)
    text = done.out.decode("utf-8", "replace")
    if _NOT_FOUND in text.lower():
        return None
    if '"Secret"' in text:  # the text is a login, or part of one, and must not be shown
        text = "it gives a login all the same"
    # PWD and the like that name the workspace itself are not worth a word
    shown = sorted(key for key in left_out if key == "HOME" or Path(environ[key]) != Path.cwd())
    raise _failed(helper, f"ends with {done.code}: {words(text, _TEXT)}", left_out=shown)


def _leads_in(value: str) -> bool:
    """Whether a variable's value is a path in the workspace."""
    return value.startswith("/") and in_workspace(Path(value), Path.cwd())


def _login(helper: CredentialHelper, out: bytes) -> Login | None:
    data = json_object(out) or {}
    username, secret = data.get("Username"), data.get("Secret")
    if not isinstance(username, str) or not isinstance(secret, str):
        raise _failed(helper, "answers without a login")
    return (
        as_login(username, secret, f"docker-credential-{helper.name}")
        if username and secret
        else None
    )


def _failed(helper: CredentialHelper, what: str, left_out: Sequence[str] = ()) -> CredentialError:
    led = (
        f"; it is not given {list_some(left_out)}, which leads into the workspace: keep such files"
        " outside of it"
        if left_out
        else ""
    )
    return CredentialError(
        f"docker-credential-{helper.name} {what}",
        where=helper.origin,
        hint=(
            f"try it on the agent: echo {helper.server} | docker-credential-{helper.name} get{led}"
        ),
    )
