"""The table of sources: every kind of place that a secret comes from, a secret for each, and
where that secret may go.

A new source is one row, and a way into a call in given.py. `hosts` are the taps that may hear it,
`children` the kinds of child processes that may have it in their environment (processes.py),
`files` the private files that may hold it while a step runs. Anything that is not listed is a leak.
"""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass

from tests.fakes.github_server import APP
from tests.leaks import given as by
from tests.leaks.given import (
    CHARTS,
    DEFAULTS,
    JENKINS,
    OPS,
    PROXY,
    STAGING,
    TARGET,
    VAULT,
    Put,
)
from tests.leaks.processes import GIT, HELPER, PROGRAM


@dataclass(frozen=True, kw_only=True)
class Source:
    """One row: a secret, the way into a call, and who may have it."""

    name: str
    value: str
    put: Put
    hosts: frozenset[str] = frozenset()
    children: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    core: bytes = b""  # the secret part of the value, if not all of it is secret
    requested: bool = False  # it comes with a request, so in Jenkins only

    @property
    def secret(self) -> bytes:
        """The bytes that are searched for."""
        return self.core or self.value.encode()


def word() -> str:
    """A random secret of letters and digits."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(32))


def phrase() -> str:
    """A random secret with characters that each format writes differently.

    They stand so that each part of the secret is unique.
    """
    signs = word()
    return (
        word()[:14]
        + "".join(map("".join, zip('"<&é+/%:@ ', signs[:10], signs[10:20], strict=True)))
        + word()[:14]
    )


def row(
    name: str,
    put: Put,
    *hosts: str,
    value: str = "",
    core: bytes = b"",
    requested: bool = False,
    children: tuple[str, ...] = (),
    files: tuple[str, ...] = (),
) -> Source:
    """A source; without a `value` of its own its secret is a phrase."""
    return Source(
        name=name,
        value=value or phrase(),
        put=put,
        core=core,
        requested=requested,
        hosts=frozenset(hosts),
        children=frozenset(children),
        files=frozenset(files),
    )


def made(name: str, value: str, *hosts: str, children: tuple[str, ...] = ()) -> Source:
    """A secret that a server has made while a step ran."""
    return row(name, lambda _given, _value: None, *hosts, value=value, children=children)


# ---- the table

REQUEST_TARGET = "request: target"
REQUEST_STAGING = "request: staging"
REQUEST_GIT = "request: git"
VARIABLE_TARGET = "variable: target"
VARIABLE_STAGING = "variable: staging"
VARIABLE_GIT = "variable: git"
DISK_STAGING = "pipeline environment on disk"
VAULT_TARGET = "Vault: target"
VAULT_FILE = "Vault: Docker file"
VAULT_GIT = "Vault: git"
VAULT_TOKEN = "Vault's token"
VAULT_SECRET_ID = "AppRole's secret id"
VAULT_OLD_ID = "secret id that is renewed"
VAULT_JWT = "JSON web token for Vault"
VAULT_PROGRAM = "Vault: for a program"
JENKINS_TOKEN = "Jenkins' API token"
DOCKER_AGENT = "agent's Docker configuration"
DOCKER_HELPER = "credential helper"
DOCKER_PARAMETER = "dockerConfigJSON"
SSH_KEY = "SSH key"
SSH_SIGNING = "SSH key that signs"
GPG_SIGNING = "GnuPG key that signs"


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Private keys, which take time to make, and a token that an issuer has signed."""

    app: str
    jwt: str
    ssh: str
    ssh_signing: str
    gpg: str


def table(keys: Keys) -> tuple[Source, ...]:
    """All rows, with new secrets."""
    return (
        row(
            REQUEST_TARGET,
            by.requested("parameters/targetRegistryPassword", targetRegistryUser="pusher"),
            TARGET,
            requested=True,
        ),
        row(
            REQUEST_STAGING,
            by.requested("pipelineEnvironment/container/repositoryPassword"),
            STAGING,
            requested=True,
        ),
        row(
            REQUEST_GIT,
            by.requested("parameters/password", username="bot"),
            OPS,
            children=(GIT,),
            requested=True,
        ),
        row(
            "request: not asked for",
            by.requested("pipelineEnvironment/custom/deployToken"),
            requested=True,
        ),
        row("nested in the pipeline environment", by.nested, requested=True),
        row("nested in the pipeline environment on disk", by.nested_on_disk),
        row(VARIABLE_TARGET, by.for_target, TARGET, PROXY, children=(PROGRAM,)),
        row(
            VARIABLE_STAGING,
            by.variables("PIPER_sourceRegistryPassword", PIPER_sourceRegistryUser="stage"),
            STAGING,
            children=(PROGRAM,),
        ),
        row(
            VARIABLE_GIT,
            by.variables("PIPER_password", PIPER_username="bot"),
            OPS,
            children=(GIT, PROGRAM),
        ),
        row(DISK_STAGING, by.on_disk, STAGING),
        row(
            VAULT_TARGET,
            by.in_vault("docker-registry", "targetRegistryPassword", targetRegistryUser="pusher"),
            TARGET,
        ),
        row(VAULT_FILE, by.docker_vault, TARGET, files=("dockerConfigJSON",)),
        row(
            VAULT_GIT,
            by.in_vault("gitHttpsCredential", "password", username="bot"),
            OPS,
            children=(GIT,),
        ),
        row("Vault: not asked for", by.in_vault("docker-registry", "somethingElse")),
        row(VAULT_PROGRAM, by.in_vault("program", "password"), children=(PROGRAM,)),
        row(VAULT_TOKEN, by.variables("PIPER_vaultToken"), VAULT, value=word()),
        row(VAULT_SECRET_ID, by.variables("PIPER_vaultAppRoleSecretID"), VAULT, value=word()),
        row(VAULT_OLD_ID, by.variables("PIPER_vaultAppRoleSecretID"), VAULT, value=word()),
        row(
            VAULT_JWT,
            by.variables("PIPER_vaultJwt"),
            VAULT,
            value=keys.jwt,
            core=keys.jwt.rpartition(".")[2].encode(),
        ),
        row(
            JENKINS_TOKEN,
            by.variables("PIPER_jenkinsToken", PIPER_jenkinsUsername="rotator"),
            JENKINS,
            value=word(),
            children=(PROGRAM,),
        ),
        row(DOCKER_AGENT, by.docker_agent, TARGET),
        row(DOCKER_HELPER, by.docker_helper, STAGING),
        row(DOCKER_PARAMETER, by.docker_parameter, CHARTS, children=(PROGRAM,)),
        row(
            "App's key",
            by.variables("PIPER_githubAppPrivateKey", PIPER_githubAppId=APP),
            value=keys.app,
            core=by.rsa_core(keys.app),
            children=(PROGRAM,),
        ),
        row(
            SSH_KEY,
            by.variables("PIPER_gitSshPrivateKey"),
            value=keys.ssh,
            core=by.ssh_core(keys.ssh),
            files=("key",),
            children=(PROGRAM,),
        ),
        row(
            SSH_SIGNING,
            by.variables("PIPER_signingPrivateKey"),
            value=keys.ssh_signing,
            core=by.ssh_core(keys.ssh_signing),
            files=("signing-key",),
            children=(PROGRAM,),
        ),
        row(
            GPG_SIGNING,
            by.variables("PIPER_signingPrivateKey"),
            value=keys.gpg,
            core=by.gpg_core(keys.gpg),
            files=("private-keys-v1.d",),
            children=(PROGRAM,),
        ),
        row("gitHubTokens", by.tokens, DEFAULTS, value=word(), children=(PROGRAM,)),
        row("proxy password", by.proxy, PROXY, children=(GIT, HELPER, PROGRAM)),
        row(
            "another variable of the agent",
            by.variables("DEPLOY_CREDENTIAL", "AWS_SECRET_ACCESS_KEY"),
            children=(HELPER, PROGRAM),
        ),
        row("URL of the source", by.source_url, value=word()),
        row("URL of the build", by.build_url, value=word()),
        row("URL of the checkout", by.checkout_url, value=word()),
        row("configuration in clear text", by.clear_text),
        row("URL in the configuration", by.url_in_config, value=word()),
    )


# Only one of these can be given at a time: each step of steps.py names those that it uses.
RIVALS = frozenset(
    {
        REQUEST_TARGET,
        REQUEST_STAGING,
        REQUEST_GIT,
        VARIABLE_TARGET,
        VARIABLE_STAGING,
        VARIABLE_GIT,
        DISK_STAGING,
        VAULT_TARGET,
        VAULT_FILE,
        VAULT_GIT,
        VAULT_TOKEN,
        VAULT_SECRET_ID,
        VAULT_OLD_ID,
        VAULT_JWT,
        DOCKER_PARAMETER,
        SSH_SIGNING,
        GPG_SIGNING,
    }
)
