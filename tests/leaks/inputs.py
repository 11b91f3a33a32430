"""The table of wrong inputs that have a secret: no message may repeat the secret.

A new input is one row in SPOILT.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from tests.fakes import credential_helper
from tests.leaks import sources as of
from tests.leaks.run import Run
from tests.leaks.world import World

PUSH, PUSH_IN_SHELL, PUSH_BY_DOCKER = "push", "push in a shell", "push by the agent's Docker logins"
DEPLOY, DEPLOY_IN_SHELL, DEPLOY_APP = "deploy", "deploy in a shell", "deploy by an App"
DEPLOY_APP_OPENSSL = "deploy by an App and openssl"
DEPLOY_SSH, DEPLOY_GPG, DEPLOY_CHART = "deploy over SSH", "deploy by a token", "deploy a chart"
PUSH_BY_ROLE, PUSH_BY_FILE = "push by an AppRole", "push by Vault's file"

Spoil = Callable[[World, Run], None]


@dataclass(frozen=True, kw_only=True)
class Spoilt:
    """One row: the step, and the fault in its inputs."""

    name: str
    step: str
    spoil: Spoil

    def __str__(self) -> str:
        return self.name


def _variable(variable: str, text: str, secret: str) -> Spoil:
    """Set `variable` to this text; {0} is the secret, {1} the same for URLs, {2} in JSON."""

    def spoil(world: World, run: Run) -> None:
        value = world.source(secret).value
        signs = {f"host_{name}": host for name, host in world.hosts.items()}
        run.environ[variable] = text.format(
            value, quote(value, safe=""), json.dumps(value)[1:-1], **signs
        )

    return spoil


def _whole(variable: str, make: Callable[[str], str]) -> Spoil:
    """Change the value of `variable` by a function."""

    def spoil(_world: World, run: Run) -> None:
        run.environ[variable] = make(run.environ[variable])

    return spoil


def _docker_file(make: Callable[[str], str]) -> Spoil:
    def spoil(_world: World, run: Run) -> None:
        path = run.home / ".docker/config.json"
        path.write_text(make(path.read_text()))

    return spoil


def _helper(script: str) -> Spoil:
    """Let the credential helper run this shell script; {0} is its secret as JSON has it."""

    def spoil(world: World, run: Run) -> None:
        secret = json.dumps(world.source(of.DOCKER_HELPER).value)[1:-1].replace("'", "'\\''")
        credential_helper.install(run.home / "bin", "hunted", script=script.format(secret))

    return spoil


def _configured(step: str, **values: str) -> Spoil:
    """Set parameters in the project's configuration; {0} is the secret of the step's own kind."""

    def spoil(world: World, run: Run) -> None:
        path = run.workspace / ".pipeline/config.yml"
        config = json.loads(path.read_text())
        secret = world.source(of.VARIABLE_GIT).value
        run.made += (of.made("password in the configuration", secret),)
        signs = {f"host_{name}": host for name, host in world.hosts.items()}
        texts = {
            name: text.format(quote(secret, safe=""), secret, **signs)
            for name, text in values.items()
        }
        config["steps"].setdefault(step, {}).update(texts)
        path.write_text(json.dumps(config))

    return spoil


def _source_commit(world: World, run: Run) -> None:
    """Write the secret into the message of the commit that is built, as people may."""
    secret = world.source(of.VARIABLE_GIT).value
    message = f"Log in as {secret}\n\n{'x' * 950} {secret} and so on\n"
    git = [
        "git",
        "-C",
        str(run.workspace),
        "-c",
        "user.name=ann",
        "-c",
        "user.email=ann@example.com",
    ]
    subprocess.run(
        [*git, "commit", "-q", "--allow-empty", "-F", "-"], input=message.encode(), check=True
    )


def _request(make: Callable[[str], str]) -> Spoil:
    def spoil(_world: World, run: Run) -> None:
        path = run.requested / "request.json"
        path.write_text(make(path.read_text()))

    return spoil


def _half(text: str) -> str:
    return text[: len(text) * 2 // 3]


def _without_begin(text: str) -> str:
    return "\n".join(text.splitlines()[1:])


def _mixed(text: str) -> str:
    """A key whose lines are in another order."""
    lines = text.splitlines()
    return "\n".join([lines[0], *reversed(lines[1:-1]), lines[-1]])


_PUSH, _DEPLOY = "imagePushToRegistry", "gitOpsUpdateDeployment"
_ANSWER = '{{"ServerURL": "x", "Username": "stage", "Secret": "{0}"}}'


def _wrong(name: str, step: str, spoil: Spoil) -> Spoilt:
    return Spoilt(name=name, step=step, spoil=spoil)


_JSON, _DOCKER = "PIPER_parametersJSON", "PIPER_dockerConfigJSON"
_LOGIN_URL = "http://bot:{1}@{host_git}/team/ops.git"
_BOTH = "https://bot:{0}@{host_git}/team/ops.git?token={0}"
_CA = "https://bot:{0}@{host_defaults}/ca.pem?token={0}"

SPOILT = (
    _wrong("tokens that are no JSON", PUSH, _whole("PIPER_gitHubTokens", _half)),
    _wrong(
        "tokens in another form",
        PUSH,
        _whole("PIPER_gitHubTokens", lambda text: text.replace(":", "=")),
    ),
    _wrong(
        "a token that is a URL",
        PUSH,
        _variable("PIPER_gitHubTokens", '["https://ci:{2}@{host_defaults}"]', of.REQUEST_TARGET),
    ),
    _wrong(
        "a proxy with a wrong port",
        DEPLOY,
        _whole("http_proxy", lambda text: text.rpartition(":")[0] + ":99999"),
    ),
    _wrong(
        "a proxy of another kind",
        PUSH_IN_SHELL,
        _whole("http_proxy", lambda text: text.replace("http:", "socks5:")),
    ),
    _wrong(
        "a proxy that is used by all",
        "push through a proxy",
        _variable("http_proxy", "http://agent:{1}@[::1", of.VARIABLE_TARGET),
    ),
    _wrong(
        "a proxy whose password has signs of a URL",
        "push through a proxy",
        _variable("http_proxy", "http://agent:{0}@{host_proxy}", of.VARIABLE_TARGET),
    ),
    _wrong(
        "parameters that are no JSON",
        PUSH_IN_SHELL,
        _variable(_JSON, '{{"targetRegistryPassword": "{2}"', of.VARIABLE_TARGET),
    ),
    _wrong(
        "a password that is a list",
        PUSH_IN_SHELL,
        _variable(_JSON, '{{"targetRegistryPassword": ["{2}"]}}', of.VARIABLE_TARGET),
    ),
    _wrong(
        "a password in another parameter",
        PUSH_IN_SHELL,
        _variable("PIPER_tagLatest", "{0}", of.VARIABLE_TARGET),
    ),
    _wrong(
        "a password of two lines",
        DEPLOY_IN_SHELL,
        _variable("PIPER_password", "{0}\n{0}", of.VARIABLE_GIT),
    ),
    _wrong(
        "a user with the password",
        DEPLOY_IN_SHELL,
        _variable("PIPER_username", "bot:{0}", of.VARIABLE_GIT),
    ),
    _wrong("a Docker configuration that is no JSON", DEPLOY_CHART, _whole(_DOCKER, _half)),
    _wrong(
        "a Docker configuration that is none",
        DEPLOY_CHART,
        _variable(_DOCKER, '{{"auths": {{"{host_charts}": "{2}"}}}}', of.DOCKER_PARAMETER),
    ),
    _wrong(
        "a Docker configuration with a broken login",
        DEPLOY_CHART,
        _variable(
            _DOCKER, '{{"auths": {{"{host_charts}": {{"auth": "{2}"}}}}}}', of.DOCKER_PARAMETER
        ),
    ),
    _wrong(
        "a Docker configuration that is a password",
        DEPLOY_CHART,
        _variable(_DOCKER, "{0}", of.DOCKER_PARAMETER),
    ),
    _wrong("the agent's Docker configuration, broken", PUSH_BY_DOCKER, _docker_file(_half)),
    _wrong(
        "the agent's Docker configuration with a URL",
        PUSH_BY_DOCKER,
        _docker_file(lambda text: text.replace('"auths": {"', '"auths": {"https://x:y@')),
    ),
    _wrong(
        "a helper that fails with an answer",
        PUSH_BY_DOCKER,
        _helper(f"printf '%s' '{_ANSWER}'; exit 1"),
    ),
    _wrong(
        "a helper that answers half",
        PUSH_BY_DOCKER,
        _helper('printf \'%s\' \'{{"ServerURL": "x", "Secret": "{0}"\''),
    ),
    _wrong(
        "a helper that says it to nobody", PUSH_BY_DOCKER, _helper("printf '%s' '{0}' >&2; exit 2")
    ),
    _wrong("half a key", DEPLOY_SSH, _whole("PIPER_gitSshPrivateKey", _half)),
    _wrong(
        "a key without its first line", DEPLOY_SSH, _whole("PIPER_gitSshPrivateKey", _without_begin)
    ),
    _wrong("a mixed key", DEPLOY_SSH, _whole("PIPER_gitSshPrivateKey", _mixed)),
    _wrong("a mixed key that signs", DEPLOY_SSH, _whole("PIPER_signingPrivateKey", _mixed)),
    _wrong("half a key of GnuPG's", DEPLOY_GPG, _whole("PIPER_signingPrivateKey", _half)),
    _wrong("a mixed key of an App", DEPLOY_APP, _whole("PIPER_githubAppPrivateKey", _mixed)),
    _wrong(
        "an App's key in one line",
        DEPLOY_APP,
        _whole("PIPER_githubAppPrivateKey", lambda text: text.replace("\n", " ")),
    ),
    _wrong(
        "a token of Vault's with a line end in it",
        PUSH_BY_FILE,
        _whole("PIPER_vaultToken", lambda text: f"{text}\nX-Other: {text}"),
    ),
    _wrong(
        "a URL of Vault's with a login",
        PUSH_BY_FILE,
        _variable("PIPER_vaultServerUrl", "http://ci:{1}@{host_vault}", of.VAULT_TOKEN),
    ),
    _wrong(
        "a secret id of another role",
        PUSH_BY_ROLE,
        _whole("PIPER_vaultAppRoleID", lambda text: f"{text}x"),
    ),
    _wrong(
        "a URL of a repository with a login",
        DEPLOY_IN_SHELL,
        _variable("PIPER_serverUrl", _LOGIN_URL, of.VARIABLE_GIT),
    ),
    _wrong(
        "a URL of a registry with a login",
        PUSH_IN_SHELL,
        _variable("PIPER_targetRegistryUrl", "http://pusher:{1}@{host_target}", of.VARIABLE_TARGET),
    ),
    _wrong(
        "a URL of a registry with a login in the configuration",
        PUSH,
        _configured(_PUSH, targetRegistryUrl="http://pusher:{0}@{host_target}"),
    ),
    _wrong(
        "a URL of a repository with a login in the configuration",
        DEPLOY,
        _configured(_DEPLOY, serverUrl=_BOTH),
    ),
    _wrong(
        "a URL of default documents with a login",
        PUSH,
        _configured(_PUSH, customTlsCertificateLinks=_CA),
    ),
    _wrong(
        "a message with the password",
        DEPLOY_IN_SHELL,
        _variable(
            "PIPER_commitMessage", "Update, by bot:{0}\n\nSigned-off-by: {1}", of.VARIABLE_GIT
        ),
    ),
    _wrong(
        "a message with the password, as a template",
        DEPLOY_IN_SHELL,
        _variable("PIPER_commitMessage", "{{{{ stage }}}} by bot:{0}", of.VARIABLE_GIT),
    ),
    _wrong(
        "an author with the password",
        DEPLOY_IN_SHELL,
        _variable("PIPER_authorName", "bot {0}", of.VARIABLE_GIT),
    ),
    _wrong("a commit of the source with the password", DEPLOY_IN_SHELL, _source_commit),
    _wrong("a request that is cut", PUSH, _request(_half)),
    _wrong(
        "a request of another protocol",
        PUSH,
        _request(lambda text: text.replace('"protocol": 1', '"protocol": 2')),
    ),
    _wrong(
        "a mixed key of an App for openssl",
        DEPLOY_APP_OPENSSL,
        _whole("PIPER_githubAppPrivateKey", _mixed),
    ),
    _wrong(
        "a request without its variables",
        PUSH,
        _request(lambda text: text.replace("TOWLINE_SECRET_", "TOWLINE_OTHER_")),
    ),
)
