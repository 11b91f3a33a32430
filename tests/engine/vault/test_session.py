from __future__ import annotations

import io

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.serve import CutAnswer, Status, on
from tests.fakes.vault_fake import FakeVault
from tests.vault_calls import Heard, role, token
from towline.console import Console
from towline.errors import CredentialError, VaultUnreachable
from towline.vault.client import Vault
from towline.vault.logins import VaultLogin


def unreachable(url: str, login: VaultLogin) -> VaultUnreachable:
    with pytest.raises(VaultUnreachable) as caught:
        Heard(url, login).reads("kv/a")
    assert caught.value.category == "infrastructure"
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("login", [token("t"), role(("r", "s"))])
def test_a_vault_that_is_not_there_is_a_fault_of_the_infrastructure(login: VaultLogin) -> None:
    with FakeVault() as fake:
        url, host = fake.url, fake.host
    assert host in unreachable(url, login).message


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_vault_that_is_sealed_down_or_busy_to_the_end_is_one_too(code: int) -> None:
    with FakeVault() as fake:
        fake.fault = on("GET", "", Status(code=code, body=b'{"errors":["sealed"]}'), times=99)
        assert f"HTTP {code}" in unreachable(fake.url, token("t")).message


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_one_bad_moment_is_passed_over(method: str) -> None:
    with FakeVault() as fake:
        fake.fault = on(method, "login|kv/data", Status(code=503))
        assert Heard(fake.url, role(("r", "s"))).reads("kv/a") == [{"user": "me"}]


def test_an_answer_that_is_too_long_is_not_read_to_its_end() -> None:
    with FakeVault() as fake:
        fake.strange = b'{"data": "' + b"x" * (9 * 1024 * 1024) + b'"}'
        assert "longer than" in unreachable(fake.url, token("t")).message


def test_an_answer_that_breaks_off_is_not_a_secret() -> None:
    with FakeVault() as fake:
        fake.fault = on("GET", "kv/data", CutAnswer(after=5), times=99)
        assert "closed" in unreachable(fake.url, token("t")).message


def test_all_questions_together_have_a_deadline() -> None:
    clock = FakeClock()
    with (
        FakeVault() as fake,
        Vault(fake.url, token("t"), console=Console(io.StringIO()), clock=clock.clock) as vault,
    ):
        assert vault.read("kv/a")
        clock.time += 181
        with pytest.raises(VaultUnreachable, match="longer than"):
            vault.read("kv/b")


@pytest.mark.parametrize("login", [token("t"), role(("r", "s"))])
def test_a_login_does_not_follow_a_redirect(login: VaultLogin) -> None:
    with FakeVault() as fake, FakeVault() as other:
        fake.fault = lambda _: Status(
            code=307, headers={"Location": f"{other.url}/v1/auth/approle/login"}
        )
        with pytest.raises(CredentialError) as caught:
            Heard(fake.url, login).reads("kv/a")
        assert "does not follow" in caught.value.message
        assert other.requests == ()


@pytest.mark.parametrize("value", ["two\nlines", "ünïcode-€"])
def test_a_token_that_no_header_can_hold_is_a_fault_without_it(value: str) -> None:
    with FakeVault() as fake:
        assert value not in unreachable(fake.url, token(value)).message
