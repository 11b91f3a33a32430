from __future__ import annotations

import contextlib
import io
import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.calls import Ending, configure, request
from tests.fakes.vault_server import VaultServer
from tests.trust import BRANCH, PRODUCTIVE
from towline.commands.call import Call
from towline.commands.vault_secrets import from_vault
from towline.config.documents import ConfigDocuments, parse_document
from towline.config.layers import Inputs
from towline.config.metadata import load_schema
from towline.config.resolve import resolve
from towline.console import Console, Output
from towline.contract import Request
from towline.credential_hosts import BuildTrust
from towline.errors import CredentialError
from towline.record import replace
from towline.vault.logins import ROLE_ID as ROLE
from towline.vault.logins import SECRET_ID as SECRET
from towline.vault.logins import TOKEN_VARIABLE as TOKEN

STEP = load_schema("imagePushToRegistry")
PLANS, CLIENT = "towline.config.vault_lookup", "towline.vault.client"


def MAIN() -> BuildTrust:  # noqa: N802 - a constant that is asked for
    return PRODUCTIVE


FIELDS = {"targetRegistryUser": "pusher", "targetRegistryPassword": "geheim-in-vault"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    with VaultServer(tmp_path_factory.mktemp("vault")) as running:
        running.put("team/docker-registry", **FIELDS)
        running.put("team/mine", **FIELDS, targetRegistryUrl="ignored")
        running.put("team/docker-config", dockerConfigJSON='{"auths": {"secret.example": {}}}')
        running.policy("team", "secret/data/team/*")
        yield running


class Place:
    """A project in a folder that names the server, with a login for it; `log` is the output."""

    def __init__(
        self,
        folder: Path,
        server: VaultServer,
        environ: dict[str, str],
        general: str = "vaultPath: secret/team",
    ) -> None:
        self.stream = io.StringIO()
        text = (
            f"general: {{vaultServerUrl: '{server.url}', {general}}}\nsteps: {{imagePushToRegistry:"
            " {targetRegistryUrl: 'http://127.0.0.1:1'}}\n"
        )
        self.documents = ConfigDocuments(
            defaults=(), project=parse_document(text, "config.yml", trusted=False)
        )
        self.call = Call(
            request=Request(),
            requested=True,
            environ=environ,
            folder=folder,
            console=Console(self.stream),
            out=Output(io.StringIO()),
        )

    @property
    def log(self) -> str:
        return self.stream.getvalue()

    def inputs(self, **parameters: object) -> Inputs:
        return Inputs(
            stage="",
            documents=self.documents,
            pipeline_environment={},
            environ=self.call.environ,
            parameters=parameters,
            flags={},
        )


def login(server: VaultServer) -> dict[str, str]:
    role_id, secret_id = server.app_role("team")
    return {ROLE: role_id, SECRET: secret_id}


def test_the_values_of_vault_stand_above_every_other_layer_with_their_place(
    server: VaultServer, tmp_path: Path
) -> None:
    place = Place(
        tmp_path,
        server,
        {**login(server), "PIPER_targetRegistryUser": "other"},
        "vaultPath: secret/team, vaultDisableOverwrite: false",
    )
    given = place.inputs(targetRegistryPassword="weak")
    with from_vault(STEP, given, place.call, MAIN) as layer:
        settings = resolve(STEP, replace(given, vault=layer))
        assert {name: settings.text(name) for name in FIELDS} == FIELDS
        assert (
            settings.origin("targetRegistryPassword")
            == "Vault secret/team/docker-registry field targetRegistryPassword"
        )
        assert settings.given("dockerConfigJSON")


def test_hosts_in_a_secret_are_its_own_record(server: VaultServer, tmp_path: Path) -> None:
    server.put(
        "team/bound",
        **FIELDS,
        url="https://registry.example/team",
        hosts="a.example, b.example:8443 https://c.example",
    )
    place = Place(
        tmp_path,
        server,
        login(server),
        "vaultPath: secret/team, registryCredentialsVaultSecretName: bound",
    )
    with from_vault(STEP, place.inputs(), place.call, MAIN) as layer:
        settings = resolve(STEP, replace(place.inputs(), vault=layer))
        assert settings.record("targetRegistryPassword") == (
            "registry.example",
            "a.example",
            "b.example:8443",
            "c.example",
        )
        assert settings.record("targetRegistryUrl") == ()


@pytest.mark.parametrize("named", [PRODUCTIVE, BRANCH])
def test_the_login_goes_to_no_server_that_a_branch_names(
    server: VaultServer, tmp_path: Path, named: BuildTrust
) -> None:
    place = Place(tmp_path, server, login(server))
    with contextlib.ExitStack() as stack:
        if named is BRANCH:
            stack.enter_context(
                pytest.raises(CredentialError, match=r"is not sent to 127\.0\.0\.1")
            )
        stack.enter_context(from_vault(STEP, place.inputs(), place.call, lambda: named))
    assert (f"Vault at {server.host}" in place.log) == (named is PRODUCTIVE)
    assert ("named by config.yml:1, for the productive branch main" in place.log) == (
        named is PRODUCTIVE
    )


def test_what_stands_in_other_layers_stays_where_vault_may_not_overwrite(
    server: VaultServer, tmp_path: Path
) -> None:
    place = Place(
        tmp_path,
        server,
        {**login(server), "PIPER_targetRegistryUser": "other"},
        "vaultPath: secret/team, vaultDisableOverwrite: true",
    )
    with from_vault(STEP, place.inputs(), place.call, MAIN) as layer:
        settings = resolve(STEP, replace(place.inputs(), vault=layer))
    assert settings.text("targetRegistryUser") == "other"
    assert settings.text("targetRegistryPassword") == FIELDS["targetRegistryPassword"]


def test_values_and_login_are_masked_from_then_on(server: VaultServer, tmp_path: Path) -> None:
    environ = login(server)
    place = Place(tmp_path, server, environ)
    with from_vault(STEP, place.inputs(), place.call, MAIN):
        for text in (*FIELDS.values(), *environ.values(), '{"auths": {"secret.example": {}}}'):
            assert place.call.console.mask(text) == "****"
    assert (
        f"Vault at {server.host}: targetRegistryUser, targetRegistryPassword, dockerConfigJSON"
        in place.log
    )
    assert "geheim" not in place.log


def test_a_secret_that_is_a_file_lies_there_while_the_step_runs(
    server: VaultServer, tmp_path: Path
) -> None:
    place = Place(tmp_path, server, login(server))
    with from_vault(STEP, place.inputs(), place.call, MAIN) as layer:
        path = Path(resolve(STEP, replace(place.inputs(), vault=layer)).text("dockerConfigJSON"))
        assert json.loads(path.read_text()) == {"auths": {"secret.example": {}}}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.parent.exists()


@pytest.mark.parametrize("ending", [CredentialError("x"), KeyboardInterrupt()])
def test_the_file_is_gone_on_every_way_out(
    server: VaultServer, tmp_path: Path, ending: BaseException
) -> None:
    place = Place(tmp_path, server, login(server))
    paths = []
    with (
        contextlib.suppress(type(ending)),
        from_vault(STEP, place.inputs(), place.call, MAIN) as layer,
    ):
        paths.append(
            Path(resolve(STEP, replace(place.inputs(), vault=layer)).text("dockerConfigJSON"))
        )
        raise ending
    assert [path.parent.exists() for path in paths] == [False]


def test_a_token_goes_before_an_app_role(server: VaultServer, tmp_path: Path) -> None:
    place = Place(
        tmp_path, server, {TOKEN: f"{server.token('team')}\n", ROLE: "wrong", SECRET: "wrong"}
    )
    with from_vault(STEP, place.inputs(), place.call, MAIN) as layer:
        assert layer is not None
    assert server.api("GET", "auth/token/lookup-self", token=place.call.environ[TOKEN].strip())[
        "data"
    ]["policies"] == ["default", "team"]


@pytest.mark.parametrize(
    ("environ", "general", "said"),
    [
        ({}, "vaultPath: secret/team", ""),
        ({TOKEN: " "}, "vaultPath: secret/team", ""),
        ({TOKEN: "t"}, "vaultPath: secret/team, skipVault: true", ""),
        ({TOKEN: "t"}, "unrelated: x", ""),
        (
            {ROLE: "a-role"},
            "vaultPath: secret/team",
            f"note: Vault is not asked: {ROLE} is set and {SECRET} is not\n",
        ),
        (
            {SECRET: "a-secret"},
            "vaultPath: secret/team",
            f"note: Vault is not asked: {SECRET} is set and {ROLE} is not\n",
        ),
    ],
)
def test_vault_is_not_asked_without_a_whole_login_or_where_it_is_off(
    server: VaultServer,
    tmp_path: Path,
    environ: dict[str, str],
    general: str,
    said: str,
) -> None:
    place = Place(tmp_path, server, environ, general)
    with from_vault(STEP, place.inputs(), place.call, MAIN) as layer:
        assert layer is None
    assert place.log == said


def test_the_calls_keys_for_vault_count(server: VaultServer, tmp_path: Path) -> None:
    place = Place(tmp_path, server, login(server), "vaultPath: elsewhere")
    given = place.inputs(
        vaultPath="secret/team", registryCredentialsVaultSecretName="mine", tagLatest=True
    )
    with from_vault(STEP, given, place.call, MAIN) as layer:
        assert layer is not None
        origin = layer.settings["targetRegistryUser"].origin
        assert origin == "Vault secret/team/mine field targetRegistryUser"


@pytest.mark.parametrize("environ", [{}, {TOKEN: "t"}])
def test_the_calls_keys_for_vault_are_no_fault_of_a_step_that_does_not_ask_it(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {
        "vaultPath": "a",
        "registryCredentialsVaultSecretName": "b",
        "targetRegistryUrl": "http://127.0.0.1:1",
    }
    ending = Ending(
        ["run", "imagePushToRegistry", *request(tmp_path, parameters=given)], tmp_path, environ
    )
    assert "sourceRegistryUrl" in ending.message  # the parameter that the step lacks


def test_a_refused_login_ends_the_run_with_exit_code_four(
    server: VaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    configure(tmp_path, f"general: {{vaultServerUrl: '{server.url}', vaultPath: secret/team}}\n")
    ending = Ending(
        ["run", "imagePushToRegistry", *request(tmp_path)],
        tmp_path,
        {ROLE: "some-role-id", SECRET: "some-secret-id"},
    )
    assert ending.code == 4
    assert "refuses the AppRole login" in ending.message
    assert "some-" not in ending.err + json.dumps(ending.result)
    assert SECRET not in ending.environ  # no child process inherits the token


def test_a_missing_login_says_of_a_vault_that_it_was_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    steps = (
        "steps: {gitOpsUpdateDeployment: {serverUrl: 'https://git.example/x',"
        " gitHttpsCredentialsId: bot, filePath: f}}"
    )
    words = [
        "run",
        "gitOpsUpdateDeployment",
        "--containerImageNameTag",
        "app:1",
        "--containerName",
        "c",
        "--tool",
        "kubectl",
    ]
    words += ["--containerRegistryUrl", "https://r.example"]
    for general, told in (
        ("{}", False),
        ("{vaultServerUrl: 'https://vault.example', vaultPath: kv}", True),
    ):
        configure(tmp_path, f"general: {general}\n{steps}\n")
        ending = Ending([*words, "--branch", "main"], tmp_path, {})
        assert (ending.code, "Vault was not asked" in ending.hint) == (4, told)


# ---- start-up without Vault


@pytest.mark.parametrize(
    ("environ", "loaded"),
    [
        ({}, set()),
        ({TOKEN: "t"}, {PLANS}),
        ({TOKEN: "t", "PIPER_vaultServerUrl": "http://127.0.0.1:1"}, {PLANS, CLIENT, "hvac"}),
    ],
)
def test_only_what_is_needed_for_vault_is_loaded(
    environ: dict[str, str], loaded: set[str], tmp_path: Path
) -> None:
    words = [
        "run",
        "imagePushToRegistry",
        "--targetRegistryUrl",
        "http://127.0.0.1:1",
        "--sourceRegistryUrl",
        "http://127.0.0.1:1",
    ]
    settings = {**environ, "PIPER_vaultPath": "kv"}
    program = (
        f"import sys; from towline.cli import main; main({words!r}, environ={settings!r},"
        " out=sys.stderr, err=sys.stderr); print(*sys.modules)"
    )
    modules = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "towline.commands.run" in modules
    assert {PLANS, CLIENT, "hvac"} & set(modules) == loaded
