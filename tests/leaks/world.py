"""The servers that the engine works with, each behind a tap, and runs of the engine."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.engine.steps.deployment.test_chart_repositories import Shelf, packed
from tests.fakes.git_server import GitServer
from tests.fakes.github_server import GithubServer
from tests.fakes.gnupg import GnuPG
from tests.fakes.images import ImageParts, make_image, put
from tests.fakes.jenkins_server import Held, JenkinsServer, User
from tests.fakes.json_web_tokens import Issuer
from tests.fakes.proxy import ProxyServer
from tests.fakes.registry import FakeRegistry
from tests.fakes.serve import Answer, Record
from tests.fakes.ssh_server import SshServer, make_key
from tests.fakes.vault_server import VaultServer
from tests.leaks import processes
from tests.leaks.given import (
    CHARTS,
    DEFAULTS,
    GITHUB,
    HOOK,
    JENKINS,
    OPS,
    PROXY,
    STAGING,
    STRANGER,
    TARGET,
    VAULT,
    Given,
)
from tests.leaks.processes import GIT, SCRIPT
from tests.leaks.run import Run, contents, private_files, private_folders
from tests.leaks.sources import (
    JENKINS_TOKEN,
    RIVALS,
    VAULT_OLD_ID,
    VAULT_SECRET_ID,
    VAULT_TOKEN,
    Keys,
    Source,
    made,
    table,
)
from tests.leaks.steps import OUTSIDE, SLOT, Step
from tests.leaks.tap import Tap, Upstream
from tests.leaks.traced_engine import LACKS
from tests.vault_calls import AUDIENCE, take_jwt

PATIENCE = 240.0  # seconds; a wait reaches this limit only if something is broken
_LAUNCHER = Path(__file__).with_name("traced_engine.py")
_ROLE = "hunted"
# A program that prints, writes and sends everything that it was given.
_SCRIPT = """\
#!/bin/sh
echo "login: $PIPER_VAULTCREDENTIAL_PASSWORD"
printf '%s' "$PIPER_VAULTCREDENTIAL_PASSWORD" | base64
printf '%s' "$PIPER_VAULTCREDENTIAL_PASSWORD" | od -An -v -tx1 | tr -d ' \\n'
env >&2
"""
_ROTATES = "".join(
    f'path "auth/approle/role/rotator/{path}" {{ capabilities = ["update"] }}\n'
    for path in ("secret-id", "secret-id/lookup", "secret-id-accessor/destroy")
)
_OUTSIDE_PROXY = f"{OUTSIDE}:80"


class World:
    """All servers; `run` performs one step, with the same secrets in all runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._count = 0
        self._run: Run | None = None
        self._engine = 0
        self._guard = threading.Lock()
        self._known: frozenset[int] = frozenset()
        self.on_request: Callable[[Tap, Record], None] | None = None

    def __enter__(self) -> Self:
        enter, folder = self._stack.enter_context, self._folder
        self.staging = enter(FakeRegistry(username="stage", auth="bearer", relative_location=True))
        self.target = enter(FakeRegistry(username="pusher", auth="basic", relative_location=True))
        self.git = enter(GitServer(folder / "git", "bot", "nobody knows"))
        self.vault = enter(VaultServer(folder / "vault"))
        self.github = enter(GithubServer(folder / "github", pair="leaks"))
        self.jenkins = enter(JenkinsServer())
        self.charts = enter(Shelf())
        self.defaults = enter(Shelf())
        self.ssh = enter(SshServer(folder / "ssh"))
        upstreams: dict[str, Upstream | None] = {
            STAGING: self.staging,
            TARGET: self.target,
            OPS: _At(self.git.origin.partition("://")[2]),
            VAULT: self.vault,
            GITHUB: self.github,
            JENKINS: self.jenkins,
            CHARTS: self.charts,
            DEFAULTS: self.defaults,
            STRANGER: None,
            HOOK: None,
        }
        self.taps = {
            name: enter(Tap(name, upstream, self._told)) for name, upstream in upstreams.items()
        }
        self.proxy = enter(ProxyServer({_OUTSIDE_PROXY: self.taps[TARGET].host}))
        self.hosts = {**{name: tap.host for name, tap in self.taps.items()}, PROXY: self.proxy.host}
        self.image: ImageParts = make_image("linux/amd64")
        issuer = Issuer(folder / "issuer", pair="issuer")
        self.sources = table(_keys(folder, self.github.key, issuer, self.ssh.private))
        self._furnish()
        take_jwt(self.vault, issuer)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def source(self, name: str) -> Source:
        """The source of this name."""
        return next(source for source in self.sources if source.name == name)

    def _furnish(self) -> None:
        self.staging.realm = f"{self.taps[STAGING].url}/token"
        put(self.image, self.staging, "shop", "1")
        self.charts.offer(packed())
        self.defaults.answers["/team.yml"] = Answer(status=200, body=b"general: {}\n")
        self.github.issued = lambda token: self._open("x-access-token", token)
        for policy in (_ROLE, "team"):
            self.vault.policy(policy, "secret/data/hunted/*")
        self.vault.api("POST", "sys/policies/acl/rotator", {"policy": _ROTATES})
        self.jenkins.users = {
            "rotator": User(password="no", token=self.source(JENKINS_TOKEN).value)
        }
        role, _ = self.vault.app_role(_ROLE)
        self._role = role
        secret_id = self.source(VAULT_SECRET_ID).value
        self.vault.api(
            "POST", f"auth/approle/role/{_ROLE}/custom-secret-id", {"secret_id": secret_id}
        )
        self.vault.api(
            "POST", "auth/token/create", {"id": self.source(VAULT_TOKEN).value, "policies": [_ROLE]}
        )

    # ---- one run

    def prepare(self, step: Step) -> Run:
        """A new run of the step: its folders, its repository, and servers that know its secrets."""
        self._count += 1
        repository = f"team/ops{self._count}"
        bare = self.git.create(repository, step.repository(self.hosts))
        chosen = (one for one in self.sources if one.name not in RIVALS or one.name in step.uses)
        sources = tuple(one for one in chosen if step.requested or not one.requested)
        run = Run(
            folder=self._folder / f"run{self._count}",
            step=step,
            sources=sources,
            repository=bare,
            registry=self.target,
        )
        for tap in self.taps.values():
            tap.forget()
        self.proxy.heads.clear()
        self.proxy.lines.clear()
        self.target.storage.clear()
        self.github.credentials.clear()
        self.github.tokens.clear()
        self.on_request = None
        self.git.hook("pre-receive", repository, self.ask_hook)
        self.github.name = f"ops{self._count}"
        self._admit(step)
        given = self._given(run, repository)
        self._write(run, given)
        run.words, run.environ = self._words(run), given.environ
        run.tokens = self.vault.accessors() if VAULT in step.asks else frozenset()
        return run

    def next_of(self, run: Run) -> Run:
        """The user's next run of the same step; leftovers of the first count."""
        self.on_request = None
        return run

    def left_open(self, run: Run, *, broken: str = "") -> list[str]:
        """Tokens that were made for the run and are still valid.

        Those of the server that was `broken` do not count.
        """
        open_now = {
            GITHUB: list(self.github.tokens),
            VAULT: self.vault.accessors() - run.tokens if VAULT in run.step.asks else [],
        }
        self.github.tokens.clear()
        return [
            f"{name}: {token}"
            for name, found in open_now.items()
            for token in found
            if name != broken
        ]

    def perform(self, run: Run) -> Run:
        """Run the engine to its end, look at its processes at each request, collect the results."""
        self._run, self._known = run, processes.numbers()
        if not run.before:
            run.before, run.others = contents(run), private_folders()
        command = [sys.executable, "-I", str(_LAUNCHER), str(run.log), *run.words]
        pipe = subprocess.PIPE
        with self._guard:  # a process of an earlier engine may send a request at this moment
            child = subprocess.Popen(
                command,
                cwd=run.workspace,
                env=run.environ,
                stdin=subprocess.DEVNULL,
                stdout=pipe,
                stderr=pipe,
            )
            self._engine = child.pid
        try:
            run.out, run.err = child.communicate(timeout=PATIENCE)
        finally:
            child.kill()
            child.wait()
        run.code = child.returncode
        self._gather(run)
        return run

    @property
    def ask_hook(self) -> str:
        """A shell command that sends a request to a tap.

        So a program that sends no other request is looked at while it runs.
        """
        call = (
            "import http.client;"
            f" http.client.HTTPConnection('{self.taps[HOOK].host}').request('GET', '/')"
        )
        return f'{sys.executable} -I -c "{call}"'

    def end_engine(self, number: signal.Signals) -> None:
        """Send the running engine a signal."""
        with suppress(ProcessLookupError):
            os.kill(self._engine, number)

    def _gather(self, run: Run) -> None:
        run.events = [json.loads(line) for line in run.log.read_text().splitlines()]
        run.heard = {name: tap.heard for name, tap in self.taps.items()}
        run.heard[PROXY] = "\n".join(self.proxy.heads).encode()
        run.made += tuple(self._made())

    def _made(self) -> Iterator[Source]:
        """The secrets that servers made in this run, and who may have them."""
        for number, token in enumerate(self.staging._tokens):
            yield made(f"token {number} of the staging registry", token, STAGING)
        for number, credential in enumerate(dict.fromkeys(self.github.credentials)):
            if "." in credential:
                yield made(f"word {number} of the App", credential.rpartition(".")[2], GITHUB)
            else:
                yield made(f"token {number} of the App", credential, GITHUB, OPS, children=(GIT,))
        for number, body in enumerate(self.taps[VAULT].said):
            answer = _json(body)
            if login := (answer.get("auth") or {}).get("client_token"):
                yield made(f"token {number} of Vault", login, VAULT)
            if secret := (answer.get("data") or {}).get("secret_id"):
                yield made(f"secret id {number} of Vault", secret, VAULT, JENKINS)

    def _told(self, tap: Tap, record: Record) -> None:
        """Look at the processes of the run before a server answers."""
        run = self._run
        if run is not None:
            with self._guard:
                engine = self._engine
            run.seen |= processes.look(engine, self._known)
            run.files.update(private_files(run))
        if self.on_request:
            self.on_request(tap, record)

    # ---- secrets that the servers know

    def _admit(self, step: Step) -> None:
        """Let the servers accept the secrets that the step uses."""
        by = {
            host: self.source(name).value for name in step.uses for host in self.source(name).hosts
        }
        self.target.password, self.staging.password = (
            by.get(TARGET, "nobody's"),
            by.get(STAGING, "nobody's"),
        )
        self.staging._tokens.clear()
        if step.bearer:
            self.git.authorization = f"Bearer {by[OPS]}".encode().decode(
                "latin-1"
            )  # as the server reads the header
        else:
            self._open("bot", by.get(OPS, "nobody's"))

    def _renewable(self) -> str:
        """Give the AppRole, and Jenkins, a secret id that is to be renewed; gives the role id.

        Its time to live is a moment longer than the days that the step renews before the end.
        """
        role, _ = self.vault.app_role("rotator", secret_id_ttl="5d")
        secret = self.source(VAULT_OLD_ID).value
        with suppress(RuntimeError):  # the first time there is none to destroy
            self.vault.api(
                "POST", "auth/approle/role/rotator/secret-id/destroy", {"secret_id": secret}
            )
        data = {"secret_id": secret, "ttl": f"{4 * 24 * 3600 + 1}s"}
        self.vault.api("POST", "auth/approle/role/rotator/custom-secret-id", data)
        made = time.time()
        self.jenkins.held = {("", "_", SLOT): Held(secret=secret)}
        while time.time() < made + 1.1:
            time.sleep(0.05)
        return role

    def forget_passwords(self) -> None:
        """Let every server expect another password from now on."""
        self.target.password = self.staging.password = self.git.authorization = "another one"

    def _open(self, user: str, password: str) -> None:
        self.git.authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def _given(self, run: Run, repository: str) -> Given:
        given = Given(
            hosts=self.hosts, home=run.home, workspace=run.workspace, ask_hook=self.ask_hook
        )
        given.environ = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(run.home),
            "TMPDIR": str(run.temporary),
            "LC_ALL": "C.UTF-8",
        }
        given.build = {
            "number": "7",
            "url": "https://ci.example.com/job/shop/7/",
            "job": "shop",
            "branch": "main",
            "startedBy": "ann",
        }
        given.pipeline_environment = {
            "container/registryUrl": self.taps[STAGING].url,
            "container/imageNames": ["shop"],
            "container/imageNameTags": ["shop:1"],
            "container/imageNameTag": "shop:1",
            "container/imageDigests": [self.image.digest],
            "artifactVersion": "1",
        }
        if run.step.pushed_before:
            put(self.image, self.target, "shop", "1")
            given.pipeline_environment |= {
                "container/targetRegistryUrl": self.taps[TARGET].url,
                "container/targetImageNameTag": "shop:1",
                "container/targetImageNameTags": ["shop:1"],
                "container/targetImageDigests": [self.image.digest],
            }
        over_ssh = self.ssh.url(run.repository)
        url = over_ssh if run.step.over_ssh else f"{self.taps[OPS].url}/{repository}.git"
        given.config = run.step.configuration(self.hosts, url)
        given.environ |= {
            "PIPER_githubAppApiUrl": self.taps[GITHUB].url,
            "PIPER_allowPlainHttp": "true",
            "PIPER_gitSshKnownHosts": self.ssh.known_hosts,
            "PIPER_chartRepositories": self.hosts[CHARTS],
            "PIPER_vaultAppRoleID": self._role,
        }
        if run.step.lacks:
            given.environ[LACKS] = ",".join(run.step.lacks)
        if VAULT_OLD_ID in run.step.uses:
            given.environ["PIPER_vaultAppRoleID"] = self._renewable()
        for source in run.sources:
            source.put(given, source.value)
        for path, fields in given.vault.items():
            self.vault.put(f"hunted/{path}", **fields)
        for path in {"docker-registry", "docker-config", "gitHttpsCredential"} - given.vault.keys():
            self.vault.put(f"hunted/{path}")
        return given

    def _write(self, run: Run, given: Given) -> None:
        """Write workspace, home and request as they are before the run."""
        git = [
            "git",
            "-C",
            str(run.workspace),
            "-c",
            "user.name=ann",
            "-c",
            "user.email=ann@example.com",
        ]
        for words in (
            ["init", "-q", "-b", "main"],
            ["remote", "add", "origin", given.remote],
            ["commit", "-q", "--allow-empty", "-m", "Begin"],
        ):
            subprocess.run(
                [*git, *words],
                check=True,
                capture_output=True,
                env={"PATH": os.environ["PATH"], "HOME": str(run.home)},
            )
        given.config["customDefaults"] = [f"{self.taps[DEFAULTS].url}/team.yml"]
        (run.workspace / ".pipeline").mkdir(exist_ok=True)
        (run.workspace / ".pipeline/config.yml").write_text(json.dumps(given.config))
        (run.home / ".docker").mkdir()
        (run.home / ".docker/config.json").write_text(json.dumps(given.docker))
        for name, text in run.step.workspace.items():
            (run.workspace / name).write_text(text)
        script = run.workspace / SCRIPT
        script.write_text(_SCRIPT + self.ask_hook + "\n")
        script.chmod(0o755)
        if not run.step.requested:
            _write_environment(run.workspace, given.pipeline_environment)
            return
        request = {
            "protocol": 1,
            "step": run.step.words[1] if run.step.words[0] == "run" else "",
            "stage": "Build",
            "parameters": given.parameters,
            "pipelineEnvironment": given.pipeline_environment,
            "secrets": given.secrets,
            "build": given.build,
        }
        (run.requested / "request.json").write_text(json.dumps(request))

    def _words(self, run: Run) -> list[str]:
        request = ["--request", str(run.requested / "request.json")] if run.step.requested else []
        result = ["--result", str(run.requested / "result.json")]
        return [*result, *request, *(word.format_map(self.hosts) for word in run.step.words)]


@dataclass
class _At:
    """A server of which only the address matters."""

    host: str


def _write_environment(workspace: Path, values: Mapping[str, object]) -> None:
    """Write the pipeline environment as earlier steps leave it."""
    for key, value in values.items():
        plain = isinstance(value, str)
        path = workspace / ".pipeline/commonPipelineEnvironment" / (key if plain else f"{key}.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(value) if plain else json.dumps(value))


def _json(body: bytes) -> dict[str, Any]:
    """A server's answer; empty if it is not a JSON object."""
    try:
        found: object = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _keys(folder: Path, app: str, issuer: Issuer, ssh: str) -> Keys:
    signing = make_key(folder / "signing")
    jwt = issuer.token(sub="build", aud=AUDIENCE, repository="team/shop")
    with GnuPG() as gpg:
        return Keys(app=app, jwt=jwt, ssh=ssh, ssh_signing=signing, gpg=gpg.make_key())
