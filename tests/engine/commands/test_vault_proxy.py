"""A Vault that can only be reached through the proxy of the environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.calls import Ending, configure
from tests.fakes.authority import Authority
from tests.fakes.proxy import ProxyServer
from tests.fakes.vault_fake import FakeVault

NAME = "vault.example.com"
PROXY_PASSWORD, TOKEN = "proxy-pass-word", "hvs.a-token-of-ours"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def vault(authority: Authority) -> Iterator[FakeVault]:
    fake = FakeVault()
    fake.tls = authority.issue("vault", names=f"DNS:{NAME}").server()
    with fake:
        yield fake


def push(folder: Path, authority: Authority, **environ: str) -> Ending:
    """A run that asks Vault for the target's login, and whose images are not there."""
    nobody = "http://127.0.0.1:1"
    configure(
        folder,
        f"steps: {{imagePushToRegistry: {{targetRegistryUrl: '{nobody}', "
        f"sourceRegistryUrl: '{nobody}', sourceImageNameTags: ['a:1']}}}}",
    )
    agent = {
        "PIPER_vaultServerUrl": f"https://{NAME}",
        "PIPER_vaultPath": "kv/team",
        "PIPER_vaultToken": TOKEN,
        "PIPER_customTlsCertificateLinks": str(authority.certificate),
    }
    ending = Ending(["run", "imagePushToRegistry", "--dry-run"], folder, {**agent, **environ})
    everything = ending.err + ending.out + json.dumps(ending.result)
    assert not any(secret in everything for secret in (PROXY_PASSWORD, TOKEN))
    return ending


def test_vault_is_asked_through_the_proxy_and_the_login_stays_between_it_and_us(
    authority: Authority, vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with ProxyServer({f"{NAME}:443": vault.host}, login=f"me:{PROXY_PASSWORD}") as proxy:
        url = f"http://me:{PROXY_PASSWORD}@{proxy.host}"
        ending = push(tmp_path, authority, HTTPS_PROXY=url)
        assert f"Vault at {NAME}: " in ending.err
    assert set(proxy.lines) == {f"CONNECT {NAME}:443"}
    assert not any(TOKEN in head for head in proxy.heads)  # the login is in the tunnel
    seen = [request.headers for request in vault.requests]
    assert seen
    assert all("proxy-authorization" not in headers for headers in seen)
    assert {headers["x-vault-token"] for headers in seen} == {TOKEN}


def test_a_proxy_that_refuses_is_named_without_its_password(
    authority: Authority, vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with ProxyServer({f"{NAME}:443": vault.host}, login="me:another") as proxy:
        ending = push(tmp_path, authority, HTTPS_PROXY=f"http://me:{PROXY_PASSWORD}@{proxy.host}")
    assert ending.code == 4
    assert f"{proxy.host} (from HTTPS_PROXY) answers 407" in ending.message
    assert not vault.requests


def test_a_vault_that_no_proxy_names_is_reached_directly(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with ProxyServer({}) as proxy:
        agent = {"HTTPS_PROXY": f"http://{proxy.host}", "NO_PROXY": "corp.invalid"}
        ending = push(
            tmp_path, authority, **agent, PIPER_vaultServerUrl="https://vault.corp.invalid"
        )
    assert (ending.code, "vault.corp.invalid cannot be reached" in ending.message) == (4, True)
    assert not proxy.lines
