"""The table of steps: the command, the rival sources that it uses, and the servers it asks.

A new step, or a new variant of one, is one row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.leaks import sources as of
from tests.leaks.given import CHARTS, DEFAULTS, GITHUB, HOOK, JENKINS, OPS, STAGING, TARGET, VAULT
from tests.leaks.processes import SCRIPT

SLOT = "the-secret"  # the Jenkins credential with the secret id that is renewed
OUTSIDE = "registry.outside.test"  # a host name that only the proxy knows
_DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  template:
    spec:
      serviceAccountName: shop
      containers:
      - name: shop
        image: %s
"""
_IMAGE = "'{{ .Values.image.repository }}:{{ .Values.image.tag }}'"
_CHART = """\
apiVersion: v2
name: shop
version: 1.0.0
dependencies:
- {name: redis, version: 18.1.2, repository: 'http://%s/charts'}
"""
_BROKEN_VALUES = (
    "image: {{ image }} {{ build }} {{ self }} {{ cycler.__init__.__globals__ }} {{ nothing.of_it"
    " }}\n"
)
_VALUES = "image: {repository: {{ image.repository|yaml }}, tag: {{ image.tag|yaml }}}\n"

Hosts = Mapping[str, str]
Configure = Callable[[Hosts, str], dict[str, Any]]
_MANIFEST = {"app.yaml": (_DEPLOYMENT % "registry.example.com/shop:0").encode()}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One row of the table.

    `uses`: the sources whose secrets a server must receive in a successful run; otherwise the row
    proves nothing.
    """

    name: str
    words: tuple[str, ...]
    configuration: Configure
    uses: frozenset[str] = frozenset()
    asks: tuple[str, ...] = ()  # the taps that the step sends requests to
    requested: bool = True  # called by a request, as Jenkins does; otherwise in a shell
    pushed_before: bool = False
    over_ssh: bool = False
    bearer: bool = False
    repository: Callable[[Hosts], dict[str, bytes]] = field(default=lambda _: _MANIFEST)
    workspace: Mapping[str, str] = field(default_factory=dict)
    code: int = 0
    lacks: tuple[str, ...] = ()  # packages that cannot be imported in this run
    prints: frozenset[str] = frozenset()  # the sources whose secrets the step prints on purpose

    def __str__(self) -> str:
        return self.name


# ---- the project's configuration


def _push(hosts: Hosts, _url: str) -> dict[str, Any]:
    return {"steps": {"imagePushToRegistry": {"targetRegistryUrl": f"http://{hosts[TARGET]}"}}}


def _push_outside(_hosts: Hosts, _url: str) -> dict[str, Any]:
    return {"steps": {"imagePushToRegistry": {"targetRegistryUrl": f"http://{OUTSIDE}"}}}


def _promote(hosts: Hosts, _url: str) -> dict[str, Any]:
    step = {
        "dockerRegistryUrl": f"http://{hosts[TARGET]}",
        "sourceRegistryUrl": f"http://{hosts[STAGING]}",
    }
    return {"steps": {"containerPushToRegistry": step}}


def _rotate(hosts: Hosts, _url: str) -> dict[str, Any]:
    step = {"jenkinsUrl": f"http://{hosts[JENKINS]}", "daysBeforeExpiry": 4}
    slot = {"vaultAppRoleSecretTokenCredentialsId": SLOT}
    return {"steps": {"vaultRotateSecretId": {**step, **slot}}}


def _exec(hosts: Hosts, url: str) -> dict[str, Any]:
    found = _by_vault(_push)(hosts, url)
    found["general"] |= {"vaultCredentialPath": "program", "vaultCredentialKeys": ["password"]}
    return found


def _deploy(**more: Any) -> Configure:
    """The configuration of a deployment into a manifest, unless `more` says otherwise."""

    def configure(hosts: Hosts, url: str) -> dict[str, Any]:
        place = {"serverUrl": url, "filePath": "app.yaml", "containerName": "shop"}
        registry = {"containerRegistryUrl": f"http://{hosts[TARGET]}", "checkImage": False}
        return {"steps": {"gitOpsUpdateDeployment": {**place, **registry, **more}}}

    return configure


def _by_vault(configure: Configure) -> Configure:
    def with_vault(hosts: Hosts, url: str) -> dict[str, Any]:
        server = {"vaultServerUrl": f"http://{hosts[VAULT]}", "vaultPath": "secret/hunted"}
        return {"general": server, **configure(hosts, url)}

    return with_vault


def _with_chart(hosts: Hosts) -> dict[str, bytes]:
    files = {
        "chart/Chart.yaml": _CHART % hosts[CHARTS],
        "chart/values.yaml": "image: {repository: a, tag: b}\n",
        "chart/templates/app.yaml": _DEPLOYMENT % _IMAGE,
        "app.yaml": "",
    }
    return {path: text.encode() for path, text in files.items()}


def _with_broken_chart(hosts: Hosts) -> dict[str, bytes]:
    """A repository with a chart that fails with all values in its message."""
    template = "{{ fail (toJson .) }}"
    return _chart(template) | {"app.yaml": b""}


def _with_telling_chart(_hosts: Hosts) -> dict[str, bytes]:
    """A repository with a chart that writes all values into the manifests."""
    told = (
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: all}\ndata: {all: {{ toJson (dict"
        ' "all" (toJson .)) | quote }}}\n'
    )
    return _chart(_DEPLOYMENT % _IMAGE + told) | {"app.yaml": b""}


def _chart(template: str) -> dict[str, bytes]:
    return {
        "chart/Chart.yaml": b"apiVersion: v2\nname: shop\nversion: 1.0.0\n",
        "chart/values.yaml": b"image: {repository: a, tag: b}\n",
        "chart/templates/app.yaml": template.encode(),
    }


def _to_be_bound(step: str, name: str) -> Configure:
    """The configuration with a Jenkins credential that the bridge has not bound yet."""
    place = (
        {"filePath": "app.yaml", "containerName": "shop"}
        if step == "gitOpsUpdateDeployment"
        else {}
    )

    def configure(hosts: Hosts, url: str) -> dict[str, Any]:
        urls = (
            {"targetRegistryUrl": f"http://{hosts[TARGET]}"}
            if not place
            else {"serverUrl": url, "containerRegistryUrl": f"http://{hosts[TARGET]}"}
        )
        return {"steps": {step: {**place, **urls, name: "team-login"}}}

    return configure


# ---- the table

_RUN_PUSH = ("run", "imagePushToRegistry", "--stage", "Build", "--verbose")
_RUN_PROMOTE = ("run", "containerPushToRegistry", "--stage", "Promote", "--verbose")
_RUN_DEPLOY = ("run", "gitOpsUpdateDeployment", "--stage", "Acceptance", "--verbose")
_RUN_ROTATE = ("run", "vaultRotateSecretId", "--stage", "Build", "--verbose")
_COPY = ("copy", "http://{staging}/shop:1", "http://{target}/shop:1", "--verbose")
_ALL_KINDS = (
    of.VARIABLE_TARGET,
    of.VARIABLE_GIT,
    of.DISK_STAGING,
    of.VAULT_TARGET,
    of.VAULT_TOKEN,
    of.DOCKER_PARAMETER,
    of.SSH_SIGNING,
)


def _row(
    name: str, words: tuple[str, ...], configuration: Configure, *uses: str, **more: Any
) -> Step:
    return Step(name=name, words=words, configuration=configuration, uses=frozenset(uses), **more)


def _reads(code: int, *words: str, **more: Any) -> Step:
    """A command that sends no request to any server."""
    return _row(
        " ".join(words), words, _by_vault(_push), *_ALL_KINDS, requested=False, code=code, **more
    )


STEPS = (
    _row(
        "push",
        _RUN_PUSH,
        _push,
        of.REQUEST_TARGET,
        of.REQUEST_STAGING,
        asks=(STAGING, TARGET, DEFAULTS),
    ),
    _row(
        "push in a shell",
        (*_RUN_PUSH, "--json"),
        _push,
        of.VARIABLE_TARGET,
        of.DISK_STAGING,
        asks=(STAGING, TARGET),
        requested=False,
    ),
    _row(
        "push without changes",
        (*_RUN_PUSH, "--dry-run"),
        _push,
        of.REQUEST_TARGET,
        of.REQUEST_STAGING,
        asks=(STAGING, TARGET),
    ),
    _row(
        "push through a proxy",
        _RUN_PUSH,
        _push_outside,
        of.VARIABLE_TARGET,
        of.REQUEST_STAGING,
        asks=(TARGET,),
    ),
    _row(
        "push by the agent's Docker logins",
        _RUN_PUSH,
        _push,
        of.DOCKER_AGENT,
        of.DOCKER_HELPER,
        asks=(STAGING, TARGET),
    ),
    _row(
        "push by an AppRole",
        _RUN_PUSH,
        _by_vault(_push),
        of.VAULT_TARGET,
        of.VAULT_SECRET_ID,
        of.REQUEST_STAGING,
        asks=(VAULT, STAGING, TARGET),
    ),
    _row(
        "push by Vault's file",
        _RUN_PUSH,
        _by_vault(_push),
        of.VAULT_FILE,
        of.VAULT_TOKEN,
        of.REQUEST_STAGING,
        asks=(VAULT, TARGET),
    ),
    _row(
        "promote",
        _RUN_PROMOTE,
        _promote,
        of.VARIABLE_TARGET,
        of.VARIABLE_STAGING,
        asks=(STAGING, TARGET),
    ),
    _row(
        "copy",
        _COPY,
        _push,
        of.DOCKER_AGENT,
        of.DOCKER_HELPER,
        asks=(STAGING, TARGET),
        requested=False,
    ),
    _row(
        "deploy",
        _RUN_DEPLOY,
        _deploy(checkImage=True),
        of.REQUEST_GIT,
        of.REQUEST_TARGET,
        asks=(OPS, TARGET),
        pushed_before=True,
    ),
    _row(
        "deploy in a shell",
        _RUN_DEPLOY,
        _deploy(),
        of.VARIABLE_GIT,
        asks=(OPS,),
        requested=False,
        pushed_before=True,
    ),
    _row(
        "deploy without changes",
        (*_RUN_DEPLOY, "--dry-run"),
        _deploy(),
        of.VARIABLE_GIT,
        asks=(OPS,),
    ),
    _row(
        "deploy by a token",
        _RUN_DEPLOY,
        _deploy(authenticationMode="bearer", signingFormat="gpg"),
        of.REQUEST_GIT,
        of.GPG_SIGNING,
        asks=(OPS,),
        bearer=True,
    ),
    _row(
        "deploy by Vault",
        _RUN_DEPLOY,
        _by_vault(_deploy()),
        of.VAULT_GIT,
        of.VAULT_TOKEN,
        asks=(VAULT, OPS),
    ),
    _row(
        "deploy by an App", _RUN_DEPLOY, _deploy(authenticationMode="githubApp"), asks=(GITHUB, OPS)
    ),
    _row(
        "deploy by an App and openssl",
        _RUN_DEPLOY,
        _deploy(authenticationMode="githubApp"),
        lacks=("jwt",),
    ),
    _row("deploy over SSH", _RUN_DEPLOY, _deploy(), of.SSH_SIGNING, asks=(HOOK,), over_ssh=True),
    _row(
        "deploy a chart",
        _RUN_DEPLOY,
        _deploy(tool="helm", chartPath="chart", deploymentName="shop"),
        of.REQUEST_GIT,
        of.DOCKER_PARAMETER,
        asks=(OPS, CHARTS),
        repository=_with_chart,
    ),
    _row(
        "deploy from a template",
        _RUN_DEPLOY,
        _deploy(tool="helm-values", valuesTemplate="values.j2", filePath="values.yaml"),
        of.REQUEST_GIT,
        asks=(OPS,),
        workspace={"values.j2": _VALUES},
    ),
    _row(
        "deploy a chart that fails",
        _RUN_DEPLOY,
        _deploy(tool="helm", chartPath="chart", deploymentName="shop"),
        of.REQUEST_GIT,
        asks=(OPS,),
        repository=_with_broken_chart,
        code=7,
    ),
    _row(
        "deploy a chart that shows all it knows",
        _RUN_DEPLOY,
        _deploy(tool="helm", chartPath="chart", deploymentName="shop"),
        of.REQUEST_GIT,
        asks=(OPS,),
        repository=_with_telling_chart,
    ),
    _row(
        "deploy from a template that fails",
        _RUN_DEPLOY,
        _deploy(tool="helm-values", valuesTemplate="values.j2", filePath="values.yaml"),
        of.REQUEST_GIT,
        asks=(OPS,),
        workspace={"values.j2": _BROKEN_VALUES},
        code=7,
    ),
    _row(
        "push with a credential that is to be bound",
        _RUN_PUSH,
        _to_be_bound("imagePushToRegistry", "targetRegistryCredentialsId"),
        of.REQUEST_STAGING,
    ),
    _row(
        "deploy with a credential that is to be bound",
        _RUN_DEPLOY,
        _to_be_bound("gitOpsUpdateDeployment", "gitHttpsCredentialsId"),
        of.REQUEST_STAGING,
    ),
    _row(
        "push by a JSON web token",
        _RUN_PUSH,
        _by_vault(_push),
        of.VAULT_TARGET,
        of.VAULT_JWT,
        of.REQUEST_STAGING,
        asks=(VAULT, TARGET),
    ),
    _row(
        "rotate",
        _RUN_ROTATE,
        _by_vault(_rotate),
        of.VAULT_OLD_ID,
        of.JENKINS_TOKEN,
        asks=(VAULT, JENKINS),
        requested=False,
    ),
    _row(
        "exec",
        ("exec", "--verbose", "--", f"./{SCRIPT}"),
        _exec,
        *_ALL_KINDS,
        asks=(VAULT,),
        requested=False,
    ),
    _reads(0, "plan", "--verbose"),
    _reads(0, "explain", "imagePushToRegistry", "--stage", "Build"),
    _reads(0, "explain", "gitOpsUpdateDeployment", "--json"),
    _reads(0, "explain", "--credentials"),
    _reads(0, "explain", "--credentials", "--json"),
    _reads(3, "lint", "--sarif", "findings.sarif"),
    _reads(3, "lint", "--json"),
    _reads(1, "checkIfStepActive", "--step", "imagePushToRegistry", "--stage", "Build"),
    _reads(0, "schema"),
    _reads(0, "completion", "bash"),
    # The replacement of Piper's command: scripts read their logins from its output
    # (docs/differences-from-piper.md).
    _reads(
        0,
        "getConfig",
        "--stepName",
        "imagePushToRegistry",
        prints=frozenset({of.VARIABLE_TARGET, of.DISK_STAGING, of.DOCKER_PARAMETER}),
    ),
)
BY_NAME = {step.name: step for step in STEPS}
