from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.calls import Ending, configure, request
from tests.fakes.vault_server import VaultServer

ROLE, SECRET, TOKEN = "PIPER_vaultAppRoleID", "PIPER_vaultAppRoleSecretID", "PIPER_vaultToken"
ROLE_ID, SECRET_ID, TOKEN_ID = (
    "vaultAppRoleTokenCredentialsId",
    "vaultAppRoleSecretTokenCredentialsId",
    "vaultTokenCredentialsId",
)
BOTH = f"{ROLE_ID}: the-role, {SECRET_ID}: the-secret"
STEP = (
    "steps: {imagePushToRegistry: {targetRegistryUrl: 'http://127.0.0.1:1',"
    " targetRegistryCredentialsId: push, sourceRegistryCredentialsId: pull}}\n"
)
LOGIN = [
    {"credentialsId": "the-role", "kind": "string", "variables": {"text": ROLE}},
    {"credentialsId": "the-secret", "kind": "string", "variables": {"text": SECRET}},
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    with VaultServer(tmp_path_factory.mktemp("vault")) as running:
        running.put(
            "team/docker-registry",
            targetRegistryUser="pusher",
            targetRegistryPassword="geheim-in-vault",
        )
        running.policy("team", "secret/data/team/*")
        yield running


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(
    workspace: Path,
    general: str,
    environ: dict[str, str] | None = None,
    *,
    server: str = "http://127.0.0.1:1",
    **fields: Any,
) -> Ending:
    """One run of the step as the bridge starts it. The project names a Vault server that does not
    answer, unless another server is given.
    """
    path = "" if "vaultPath" in general else "vaultPath: secret/team, "
    configure(workspace, f"general: {{vaultServerUrl: '{server}', {path}{general}}}\n{STEP}")
    build = {"branch": "main", **fields.pop("build", {})}
    return Ending(
        ["run", "imagePushToRegistry", *request(workspace, build=build, **fields)],
        workspace,
        environ or {},
    )


def test_the_login_is_asked_for_first_then_what_vault_does_not_hold(
    server: VaultServer, workspace: Path
) -> None:
    first = run(workspace, BOTH, server=server.url)
    assert (first.code, first.result["status"], first.result["bindings"]) == (0, "bind", LOGIN)
    ids = server.app_role("team")
    login = {ROLE: ids[0], SECRET: ids[1]}
    second = run(workspace, BOTH, login, server=server.url, bound=LOGIN)
    wanted = [
        {
            "credentialsId": "pull",
            "kind": "usernamePassword",
            "variables": {
                "username": "PIPER_sourceRegistryUser",
                "password": "PIPER_sourceRegistryPassword",
            },
        }
    ]
    # the other login is Vault's
    assert (second.result["status"], second.result["bindings"]) == ("bind", wanted)
    source = {"PIPER_sourceRegistryUser": "reader", "PIPER_sourceRegistryPassword": "read"}
    third = run(workspace, BOTH, {**login, **source}, server=server.url, bound=[*LOGIN, *wanted])
    assert (third.result["status"], third.code) == ("failure", 3)
    assert "sourceRegistryUrl" in third.message
    assert not any(
        secret in ending.err + json.dumps(ending.result)
        for ending in (first, second, third)
        for secret in (*ids, "geheim-in-vault")
    )


@pytest.mark.parametrize(
    ("general", "environ", "wanted"),
    [
        (f"{TOKEN_ID}: the-token", {}, {TOKEN: "the-token"}),
        (f"{TOKEN_ID}: the-token, {BOTH}", {}, {TOKEN: "the-token"}),
        (BOTH, {"PIPER_vaultAppRoleID": "role-of-the-agent"}, {SECRET: "the-secret"}),
        (
            f"{SECRET_ID}: the-secret",
            {"PIPER_vaultAppRoleID": "role-of-the-agent"},
            {SECRET: "the-secret"},
        ),
        ("", {f"PIPER_{ROLE_ID}": "a", f"PIPER_{SECRET_ID}": "b"}, {ROLE: "a", SECRET: "b"}),
        (BOTH, {ROLE: " ", SECRET: ""}, {ROLE: "the-role", SECRET: "the-secret"}),
    ],
)
def test_what_the_environment_lacks_is_bound(
    workspace: Path, general: str, environ: dict[str, str], wanted: dict[str, str]
) -> None:
    ending = run(workspace, general, environ)
    assert {
        one["variables"]["text"]: one["credentialsId"] for one in ending.result["bindings"]
    } == wanted


@pytest.mark.parametrize("environ", [{TOKEN: "t"}, {ROLE: "r", SECRET: "s"}])
def test_a_login_that_is_there_is_used(workspace: Path, environ: dict[str, str]) -> None:
    ending = run(workspace, f"{BOTH}, {TOKEN_ID}: the-token", environ)
    assert (ending.code, "127.0.0.1:1 cannot be reached" in ending.message) == (4, True)


def test_the_call_names_them_as_well(workspace: Path) -> None:
    ending = run(workspace, "", parameters={ROLE_ID: "of-the-call", SECRET_ID: "too"})
    assert [one["credentialsId"] for one in ending.result["bindings"]] == ["of-the-call", "too"]


@pytest.mark.parametrize(
    ("general", "server"),
    [
        (f"{BOTH}, skipVault: true", "http://127.0.0.1:1"),
        (BOTH, ""),
        (f"{BOTH}, vaultPath: ''", "http://127.0.0.1:1"),
        ("unrelated: a", "http://127.0.0.1:1"),
    ],
)
def test_no_login_is_bound_where_vault_is_not_asked(
    workspace: Path, general: str, server: str
) -> None:
    ending = run(workspace, general, server=server)
    assert {one["credentialsId"] for one in ending.result["bindings"]} == {"push", "pull"}


def test_half_of_a_login_is_a_note_and_no_login(workspace: Path) -> None:
    ending = run(workspace, f"{ROLE_ID}: the-role")
    assert {one["credentialsId"] for one in ending.result["bindings"]} == {"push", "pull"}
    assert f"note: Vault is not asked: {ROLE_ID} is set and {SECRET_ID} is not\n" in ending.err


def test_in_a_shell_nobody_binds(workspace: Path) -> None:
    configure(
        workspace,
        f"general: {{vaultServerUrl: 'http://127.0.0.1:1', vaultPath: a, {BOTH}}}\nsteps:"
        " {imagePushToRegistry: {targetRegistryUrl: 'http://r'}}",
    )
    assert Ending(["run", "imagePushToRegistry"], workspace).result["status"] == "failure"


# ---- which of them the project may name


@pytest.mark.parametrize(
    ("build", "environ", "refused"),
    [
        ({"branch": "x"}, {}, "the Jenkins credential 'the-role' is not bound"),
        ({}, {"PIPER_allowedCredentialIds": "team-*"}, "allowedCredentialIds has team-*"),
        ({}, {"PIPER_strictCredentials": "true"}, "strictCredentials is set"),
        ({"branch": "x"}, {"PIPER_allowedCredentialIds": "the-*"}, ""),
        ({"branch": "x"}, {"PIPER_credentials": '{"the-role": ["v"], "the-secret": ["v"]}'}, ""),
        ({"branch": "x"}, {f"PIPER_{ROLE_ID}": "the-role", f"PIPER_{SECRET_ID}": "the-secret"}, ""),
    ],
)
def test_the_project_names_those_that_it_may(
    workspace: Path, build: dict[str, str], environ: dict[str, str], refused: str
) -> None:
    ending = run(workspace, BOTH, environ, build=build)
    assert (ending.code, ending.result["bindings"]) == ((4, []) if refused else (0, LOGIN))
    assert refused in ending.message


def test_the_login_goes_where_the_rules_have_the_id_that_was_bound(
    server: VaultServer, workspace: Path
) -> None:
    ids = server.app_role("team")
    login = {ROLE: ids[0], SECRET: ids[1]}
    rules = {
        "PIPER_credentials": json.dumps({"the-role": [server.host]}),
        "PIPER_vaultPaths": "secret/team/*",
        "PIPER_allowedCredentialIds": "*",
    }
    bound = run(
        workspace, BOTH, {**login, **rules}, server=server.url, build={"branch": "x"}, bound=LOGIN
    )
    assert bound.result["status"] == "bind"
    assert f"Vault at {server.host}: targetRegistryUser" in bound.err
    # the agent's own login, not that credential
    own = run(workspace, BOTH, {**login, **rules}, server=server.url, build={"branch": "x"})
    assert (own.code, f"is not sent to {server.host}" in own.message) == (4, True)


def test_it_is_explained_before_it_happens(workspace: Path) -> None:
    configure(
        workspace,
        "general: {vaultServerUrl: 'https://vault.example', vaultPath: secret/team,"
        f" {BOTH}}}\n{STEP}",
    )
    ending = Ending(["explain", "imagePushToRegistry", "--credentials", "--branch", "x"], workspace)
    rows = {row["credential"]: row for row in ending.result["outputs"]["credentials"]}
    assert {
        "Jenkins credential 'the-role' (.pipeline/config.yml:1)",
        "Jenkins credential 'the-secret' (.pipeline/config.yml:1)",
    } <= rows.keys()
    assert (
        "credentials: {the-role: [vault.example]}" in rows[f"the login for Vault ({ROLE})"]["hint"]
    )
    token = Ending(
        ["explain", "imagePushToRegistry", "--credentials", "--branch", "x"],
        workspace,
        {f"PIPER_{TOKEN_ID}": "a-token"},
    )
    rows = {row["credential"]: row for row in token.result["outputs"]["credentials"]}
    assert (
        rows[f"Jenkins credential 'a-token' (PIPER_{TOKEN_ID})"]["by"]
        == f"a trusted layer (PIPER_{TOKEN_ID})"
    )
    assert not any("the-role" in name for name in rows)


def test_nothing_of_vault_is_loaded_where_no_such_credential_is_named(workspace: Path) -> None:
    """A look at three keys, in Jenkins builds without Vault."""
    ending = run(workspace, "skipVault: false", server="no url")  # which `plan` would refuse
    assert {one["credentialsId"] for one in ending.result["bindings"]} == {"push", "pull"}
