"""What a call of the engine is given, and the ways in which a secret gets into a call.

Ways are a request, variables, files and Vault. The functions at the end cut the secret part out of
a key.
"""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.fakes import credential_helper

# The servers, by the names of their taps (tests/leaks/world.py).
STAGING, TARGET, OPS, VAULT, GITHUB = "staging", "target", "git", "vault", "github"
JENKINS = "jenkins"
CHARTS, DEFAULTS, PROXY, STRANGER, HOOK = "charts", "defaults", "proxy", "stranger", "hook"


@dataclass(kw_only=True)
class Given:
    """The inputs of one call: filled by the rows of the table, written to disk by the world."""

    hosts: Mapping[str, str]  # by tap
    home: Path
    workspace: Path
    ask_hook: str  # a shell command that lets the world look at the caller's process
    environ: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    pipeline_environment: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str | dict[str, str]] = field(default_factory=dict)
    build: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    docker: dict[str, Any] = field(default_factory=dict)
    vault: dict[str, dict[str, str]] = field(default_factory=dict)
    remote: str = "https://git.example.com/team/shop.git"


Put = Callable[[Given, str], None]


# ---- how a call gets a secret


def requested(name: str, **user: str) -> Put:
    """As the bridge does: a variable has the secret, the request names it; `user` is public."""

    def put(given: Given, value: str) -> None:
        given.parameters |= user
        if name.endswith("container/repositoryPassword"):
            given.pipeline_environment["container/repositoryUsername"] = "stage"
        variable = f"TOWLINE_SECRET_{len(given.secrets) + 1}"
        given.secrets[name] = variable
        given.environ[variable] = value

    return put


def variables(*names: str, **user: str) -> Put:
    """The secret in variables of the agent; `user` are the variables with the user name."""
    return lambda given, value: given.environ.update({**dict.fromkeys(names, value), **user})


def for_target(given: Given, value: str) -> None:
    """The target's login for both steps that push, each by its own parameter names."""
    for name in ("targetRegistry", "dockerRegistry"):
        given.environ |= {f"PIPER_{name}User": "pusher", f"PIPER_{name}Password": value}


def in_vault(path: str, name: str, **user: str) -> Put:
    """The secret as a field of a secret in Vault; `user` is the field with the user name."""
    return lambda given, value: given.vault.setdefault(path, {}).update({name: value, **user})


def docker_login(tap: str, user: str, value: str, given: Given) -> str:
    """A Docker configuration with one login."""
    auth = base64.b64encode(f"{user}:{value}".encode()).decode()
    return json.dumps({"auths": {given.hosts[tap]: {"auth": auth}}})


def docker_parameter(given: Given, value: str) -> None:
    given.environ["PIPER_dockerConfigJSON"] = docker_login(CHARTS, "reader", value, given)


def docker_vault(given: Given, value: str) -> None:
    in_vault("docker-config", "dockerConfigJSON")(
        given, docker_login(TARGET, "pusher", value, given)
    )


def docker_agent(given: Given, value: str) -> None:
    given.docker |= json.loads(docker_login(TARGET, "pusher", value, given))


def docker_helper(given: Given, value: str) -> None:
    host = given.hosts[STAGING]
    answer = json.dumps(
        {"ServerURL": host, "Username": "stage", "Secret": value}, ensure_ascii=False
    )
    found = credential_helper.install(
        given.home / "bin", "hunted", script=f"{given.ask_hook}\nprintf '%s' {shlex.quote(answer)}"
    )
    given.environ["PATH"] = f"{found['PATH'].partition(':')[0]}:{given.environ['PATH']}"
    given.docker["credHelpers"] = {host: "hunted"}


def tokens(given: Given, value: str) -> None:
    given.environ["PIPER_gitHubTokens"] = json.dumps(
        [f"{given.hosts[DEFAULTS]}:{value}", f"git.example.com:{value}"]
    )


def proxy(given: Given, value: str) -> None:
    url = f"http://agent:{quote(value, safe='')}@{given.hosts[PROXY]}"
    given.environ |= {"http_proxy": url, "HTTPS_PROXY": url, "no_proxy": "127.0.0.1,localhost"}


def source_url(given: Given, value: str) -> None:
    given.build["sourceRepository"] = (
        f"https://ci:{value}@git.example.com/team/shop.git?private_token={value}"
    )


def build_url(given: Given, value: str) -> None:
    given.build["url"] = f"https://ci:{value}@ci.example.com/job/shop/7/"


def checkout_url(given: Given, value: str) -> None:
    given.remote = f"https://ci:{quote(value, safe='')}@git.example.com/team/shop.git"


def nested(given: Given, value: str) -> None:
    """The secret inside a larger value, all of which travels as a secret."""
    given.environ["TOWLINE_SECRET_9"] = json.dumps({"accounts": [{"password": value}]})
    given.secrets["pipelineEnvironment/custom/deployment"] = {"json": "TOWLINE_SECRET_9"}


def nested_on_disk(given: Given, value: str) -> None:
    """The secret in the pipeline environment, as steps of other libraries may leave it."""
    folder = given.workspace / ".pipeline/commonPipelineEnvironment/custom"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "accounts.json").write_text(json.dumps([{"name": "ci", "apiKey": value}]))


def on_disk(given: Given, value: str) -> None:
    """The secret in the pipeline environment, as Piper's own steps leave it."""
    folder = given.workspace / ".pipeline/commonPipelineEnvironment/container"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "repositoryUsername").write_text("stage")
    (folder / "repositoryPassword").write_text(value)


def clear_text(given: Given, value: str) -> None:
    """The secret in the project's configuration, where it should not be."""
    given.config.setdefault("general", {})["deployPassword"] = value


def url_in_config(given: Given, value: str) -> None:
    given.config.setdefault("stages", {}).setdefault("Broken", {})["targetRegistryUrl"] = (
        f"https://ci:{value}@{given.hosts[TARGET]}"
    )


# ---- the secret part of keys


def ssh_core(text: str) -> bytes:
    """The seed of an Ed25519 key in OpenSSH's format; it follows the second public half."""
    data = base64.b64decode("".join(text.strip().splitlines()[1:-1]))
    at = data.rindex(b"ssh-ed25519") + 11 + 4 + 32 + 4
    return data[at : at + 32]


def rsa_core(text: str) -> bytes:
    """The middle of the private exponent of a key of 2048 bits."""
    return base64.b64decode("".join(text.strip().splitlines()[1:-1]))[320:380]


def gpg_core(text: str) -> bytes:
    """The secret number of an Ed25519 key in OpenPGP's format.

    It is the end of the first packet, before its checksum (RFC 4880, 4.2.1 and 5.5.3).
    """
    data = subprocess.run(
        ["gpg", "--dearmor"], input=text.encode(), capture_output=True, check=True
    ).stdout
    size = data[1] if data[0] & 3 == 0 else int.from_bytes(data[1:3], "big")
    packet = data[2 if data[0] & 3 == 0 else 3 :][:size]
    return packet[-26:-2]
