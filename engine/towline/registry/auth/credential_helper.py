"""Docker's credential helpers: a program that is given a server's name on standard input and answers with a login (docker-credential-helpers, README).

The docker package starts them by itself, without a time limit and with whatever the process has in
its environment; hence the protocol here.
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
    """The login that the helper on the machine's PATH has for its server; None where it has none.

    Raises CredentialError, MachineError.

    It is given the machine's variables without Towline's own, which hold other secrets, and does
    not run in the workspace. Nor is it led there: a file of a tool's settings can name a program,
    as `credential_process` in `~/.aws/config` does, and HOME is the workspace on some agents.
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
        raise _failed(helper, f"ran into its {fault.what}") from fault
    if done.code == 0:
        return _login(helper, done.out)
    text = done.out.decode("utf-8", "replace")
    if _NOT_FOUND in text.lower():
        return None
    if '"Secret"' in text:  # an answer, or part of one, that nobody has taken for one
        text = "it gives a login all the same"
    # others say no more than where it is
    told = sorted(key for key in left_out if key == "HOME" or Path(environ[key]) != Path.cwd())
    raise _failed(helper, f"ends with {done.code}: {words(text, _TEXT)}", left_out=told)


def _leads_in(value: str) -> bool:
    """Whether a variable's value is a path in the workspace."""
    return value.startswith("/") and in_workspace(Path(value), Path.cwd())


def _login(helper: CredentialHelper, out: bytes) -> Login | None:
    data = json_object(out) or {}
    username, secret = data.get("Username"), data.get("Secret")
    if not isinstance(username, str) or not isinstance(secret, str):
        raise _failed(helper, "answers with no login")
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
