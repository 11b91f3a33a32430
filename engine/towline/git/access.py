"""What opens the remote: settings for every git, and variables and private files for those alone that may talk to it."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping
from pathlib import Path

from towline.errors import MachineError
from towline.git.remote import Remote
from towline.process import find

_USERNAME, _PASSWORD = "TOWLINE_GIT_USERNAME", "TOWLINE_GIT_PASSWORD"
_HELPER = f"""!f() {{ if test "$1" = get; then printf 'username=%s\\npassword=%s\\n' "${_USERNAME}" "${_PASSWORD}"; fi; }}; f"""
_SSH = (
    "-F",
    "/dev/null",
    "-o",
    "BatchMode=yes",
    "-o",
    "StrictHostKeyChecking=yes",
    "-o",
    "ConnectTimeout=60",
    "-o",
    "ServerAliveInterval=20",
)


def settings(remote: Remote) -> str:
    """Settings that answer this one origin from two variables of the child that may talk to it; the text holds no secret."""
    if not remote.login or remote.bearer or remote.scheme == "ssh":
        return ""
    helper = _HELPER.replace("\\", "\\\\").replace('"', '\\"')
    return f'[credential "{remote.origin}"]\n    helper = "{helper}"\n'


def variables(remote: Remote, folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Variables of a git that may talk to the remote; what has to be a file is put into the private `folder`; raises MachineError."""
    allowed = {"GIT_ALLOW_PROTOCOL": remote.scheme}
    if remote.scheme == "ssh":
        return allowed | _ssh(remote, folder, environ)
    if remote.authorities:
        bundle = folder / "authorities.pem"
        bundle.write_bytes(remote.authorities)
        allowed["GIT_SSL_CAINFO"] = str(bundle)
    return allowed | _login(remote)


def secrets(remote: Remote) -> tuple[str, ...]:
    """What a server may repeat of the login: its password, and both as git sends them."""
    return (remote.login.password, _basic(remote)) if remote.login else ()


def _login(remote: Remote) -> dict[str, str]:
    """The login at once with every request, since asking for it costs one more each; git before 2.31 takes it from the helper when it is asked."""
    login = remote.login
    if not login:
        return {}
    header = f"Bearer {login.password}" if remote.bearer else f"Basic {_basic(remote)}"
    sent = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{remote.origin}/.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: {header}",
    }
    return sent if remote.bearer else {_USERNAME: login.username, _PASSWORD: login.password, **sent}


def _basic(remote: Remote) -> str:
    assert remote.login
    return base64.b64encode(
        f"{remote.login.username}:{remote.login.password}".encode("utf-8", "surrogateescape")
    ).decode()


def _ssh(remote: Remote, folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """How git calls ssh: with the configured key and no other, else with what the agent has; never a question, never an unknown host."""
    program = find("ssh", environ)
    if not program:
        raise MachineError(
            "there is no ssh program on PATH",
            hint="install an OpenSSH client on the agent, or use an https URL",
        )
    words, key = [program, *_SSH], remote.key
    if key and key.private:
        words += [
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "IdentityAgent=none",
            "-i",
            str(_file(folder / "key", key.private)),
        ]
    if key and key.known_hosts:
        words += [
            "-o",
            f'UserKnownHostsFile="{_file(folder / "known_hosts", _lines(key.known_hosts))}"',
            "-o",
            "GlobalKnownHostsFile=/dev/null",
        ]
    own = key is None or not key.private
    agent = (
        {"SSH_AUTH_SOCK": environ["SSH_AUTH_SOCK"]} if own and "SSH_AUTH_SOCK" in environ else {}
    )
    return {"GIT_SSH_COMMAND": shlex.join(words), "GIT_SSH_VARIANT": "ssh", **agent}


def _lines(text: str) -> str:
    return "".join(f"{line.strip()}\n" for line in text.splitlines())


def _file(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path
