from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.calls import Ending, configure, request
from tests.fakes.authority import Authority
from tests.fakes.json_web_tokens import Issuer
from tests.fakes.kubernetes_server import KubernetesServer
from tests.fakes.serve import Answer, LoopbackServer, Request
from tests.fakes.vault_server import VaultServer
from tests.trust import PRODUCTIVE
from tests.vault_calls import AUDIENCE, take_jwt, take_pods
from towline.commands.call import Call
from towline.commands.vault_secrets import from_vault
from towline.config.documents import ConfigDocuments, parse_document
from towline.config.layers import Inputs
from towline.config.metadata import load_schema
from towline.config.resolve import resolve
from towline.console import Console, Output
from towline.contract import Request as CallRequest
from towline.errors import ConfigError, CredentialError
from towline.record import replace
from towline.vault import logins
from towline.vault.logins import (
    ID_TOKEN_BEARER,
    ID_TOKEN_URL,
    JWT_FILE,
    JWT_VARIABLE,
    SERVICE_ACCOUNT,
    TOKEN_VARIABLE,
)

STEP = load_schema("imagePushToRegistry")


class World:
    """A Vault with each method of login, the identity providers that it trusts, and a step of a
    project that names it.
    """

    def __init__(self, folder: Path, vault: VaultServer) -> None:
        self.vault = vault
        self.issuer = Issuer(folder / "issuer")
        self.cluster = KubernetesServer(folder / "cluster")

    def claims(self, **others: object) -> str:
        claims = {"sub": "build", "aud": AUDIENCE, "repository": "team/shop", **others}
        return self.issuer.token(**claims)  # type: ignore[arg-type]

    def asks(self, folder: Path, environ: Mapping[str, str], project: str = "") -> tuple[str, str]:
        """The user that the step gets, and the log; the platform team names server and path."""
        log = io.StringIO()
        agent = {
            "PIPER_vaultServerUrl": self.vault.url,
            "PIPER_vaultPath": "secret/team",
            **environ,
        }
        call = Call(
            request=CallRequest(),
            requested=True,
            environ=agent,
            folder=folder,
            console=Console(log),
            out=Output(io.StringIO()),
        )
        documents = ConfigDocuments(
            defaults=(),
            project=parse_document(f"general: {{{project}}}", "config.yml", trusted=False),
        )
        inputs = Inputs(
            stage="",
            documents=documents,
            pipeline_environment={},
            environ=agent,
            parameters={"targetRegistryUrl": "http://127.0.0.1:1"},
            flags={},
        )
        with from_vault(STEP, inputs, call, lambda: PRODUCTIVE) as layer:
            user = (
                resolve(STEP, replace(inputs, vault=layer)).text("targetRegistryUser")
                if layer
                else ""
            )
        for secret in (value for name, value in environ.items() if name == JWT_VARIABLE):
            assert call.console.mask(f"<{secret.strip()}>") == "<****>"
        return user, log.getvalue()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("vault")
    authority = Authority(folder / "authority")
    with VaultServer(folder / "vault") as vault:
        made = World(folder, vault)
        made.cluster.tls = authority.issue("cluster").server()
        with made.cluster:
            vault.put(
                "team/docker-registry",
                targetRegistryUser="pusher",
                targetRegistryPassword="geheim-in-vault",
            )
            vault.policy("team", "secret/data/team/*")
            take_jwt(vault, made.issuer)
            take_pods(vault, made.cluster, authority.certificate)
            yield made


@pytest.fixture
def pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The path of the service account's token in a pod."""
    path = tmp_path / "serviceaccount" / "token"
    path.parent.mkdir()
    monkeypatch.setattr(logins, "service_account", path)
    return path


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


def test_a_jwt_logs_in_from_its_variable_or_its_file(
    world: World, workspace: Path, tmp_path: Path
) -> None:
    before = world.vault.tokens()
    (tmp_path / "jwt").write_text(f"{world.claims()}\n")
    for environ in ({JWT_VARIABLE: f" {world.claims()}\n"}, {JWT_FILE: str(tmp_path / "jwt")}):
        user, log = world.asks(workspace, environ, "vaultAuthRole: team")
        assert user == "pusher"
        assert "Vault is to give the role jwt/team: named by config.yml:1" in log
    assert world.vault.tokens() == before


def test_a_pod_logs_in_by_its_service_account_if_a_role_is_named(
    world: World, workspace: Path, pod: Path
) -> None:
    pod.write_text(world.cluster.token("ci", "jenkins"))
    assert world.asks(workspace, {}, "vaultAuthRole: team")[0] == "pusher"
    assert (
        world.asks(
            workspace,
            {
                "PIPER_vaultAuthMethod": "kubernetes",
                "PIPER_vaultAuthRole": "team",
                TOKEN_VARIABLE: "another",
            },
        )[0]
        == "pusher"
    )
    assert world.asks(workspace, {}) == ("", "")  # a pod is no login for Vault by itself


def test_a_job_of_github_logs_in_by_an_id_token_for_this_vault_alone(
    world: World, workspace: Path
) -> None:
    class Runner(LoopbackServer):
        def answer(self, request: Request) -> Answer:
            return Answer(
                status=200,
                body=json.dumps({"value": world.claims(aud=request.asks("audience"))}).encode(),
            )

    with Runner() as runner:
        environ = {
            ID_TOKEN_URL: f"{runner.url}/?v=1",
            ID_TOKEN_BEARER: "bearer-of-the-job",
            "PIPER_vaultAuthRole": "team",
        }
        with pytest.raises(CredentialError, match="audience"):  # the role is for another one
            world.asks(workspace, environ)
        assert (
            world.asks(workspace, {**environ, "PIPER_vaultAuthAudience": AUDIENCE})[0] == "pusher"
        )
        assert [record.query for record in runner.requests] == [
            f"v=1&audience=http%3A%2F%2F{world.vault.host.replace(':', '%3A')}",
            f"v=1&audience={AUDIENCE.replace(':', '%3A').replace('/', '%2F')}",
        ]


def test_a_file_of_the_workspace_does_not_log_in(world: World, workspace: Path) -> None:
    (workspace / "jwt").write_text(world.claims())
    with pytest.raises(ConfigError, match="lies in the workspace"):
        world.asks(workspace, {JWT_FILE: str(workspace / "jwt")})


def test_what_has_no_shape_of_a_token_is_not_sent(
    world: World, workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    with pytest.raises(CredentialError, match="not a JSON web token"):
        world.asks(workspace, {JWT_FILE: str(tmp_path / "key")}, "vaultAuthRole: team")


def test_a_method_whose_login_is_not_there_is_a_fault(
    world: World, workspace: Path, pod: Path
) -> None:
    assert not pod.exists()
    with pytest.raises(CredentialError, match="vaultAuthMethod: kubernetes") as caught:
        world.asks(workspace, {}, "vaultAuthMethod: kubernetes, vaultAuthRole: team")
    assert SERVICE_ACCOUNT in caught.value.hint


# ---- through the command line


@pytest.mark.parametrize("environ", [{}, {"PIPER_vaultAuthRole": "team"}])
def test_a_step_asks_vault_without_any_variable_of_a_login_where_a_role_is_named(
    world: World,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    pod: Path,
    environ: dict[str, str],
) -> None:
    monkeypatch.chdir(workspace)
    configure(workspace, "general: {vaultAuthRole: team}\n" if not environ else "")
    agent = {"PIPER_vaultServerUrl": world.vault.url, "PIPER_vaultPath": "secret/team", **environ}
    pod.write_text(world.cluster.token("other", "jenkins"))
    ending = Ending(
        [
            "run",
            "imagePushToRegistry",
            *request(workspace, parameters={"targetRegistryUrl": "http://127.0.0.1:1"}),
        ],
        workspace,
        agent,
    )
    assert (ending.code, ending.where) == (4, str(SERVICE_ACCOUNT)), ending.err
    assert "refuses the Kubernetes login" in ending.message


def test_a_jwt_is_in_no_childs_environment_nor_in_the_log(
    world: World, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace)
    proof = world.claims(repository="team/other")
    agent = {
        "PIPER_vaultServerUrl": world.vault.url,
        "PIPER_vaultPath": "secret/team",
        JWT_VARIABLE: proof,
    }
    ending = Ending(
        ["--verbose", "run", "imagePushToRegistry", *request(workspace)], workspace, agent
    )
    assert "refuses the JWT login" in ending.message
    assert proof not in ending.err + ending.out + json.dumps(ending.result)
    assert JWT_VARIABLE not in ending.environ
