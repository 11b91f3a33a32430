from __future__ import annotations

import base64

import pytest

from towline.errors import CredentialError
from towline.registry.auth.policy import basic_authorization, check_sending, is_docker_hub
from towline.secret import Login

LOGIN = Login(username="me", password="hunter2", origin="there")


@pytest.mark.parametrize(
    ("host", "hub"),
    [
        ("docker.io", True),
        ("index.docker.io", True),
        ("registry-1.docker.io", True),
        ("Docker.IO", True),
        ("docker.io.example.com", False),
    ],
)
def test_docker_hub_has_three_names(host: str, hub: bool) -> None:
    assert is_docker_hub(host) == hub


def test_basic_is_user_and_password_in_utf_8() -> None:
    assert (
        base64.b64decode(
            basic_authorization(Login(username="ü", password="p:q", origin="")).removeprefix(
                "Basic "
            )
        ).decode()
        == "ü:p:q"
    )


@pytest.mark.parametrize(
    ("scheme", "host", "allowed"),
    [
        ("https", "registry.example.com", False),
        ("http", "127.0.0.1:5000", False),
        ("http", "localhost", False),
        ("http", "registry.example.com", True),
    ],
)
def test_a_login_may_go_over_https_to_this_machine_or_where_plain_http_is_allowed(
    scheme: str, host: str, allowed: bool
) -> None:
    check_sending(LOGIN, scheme, host, allow_plain_http=allowed)
    assert LOGIN.hosts == ()


def test_a_login_does_not_go_over_plain_http_and_the_message_says_whose() -> None:
    with pytest.raises(CredentialError) as caught:
        check_sending(LOGIN, "http", "registry.example.com", allow_plain_http=False)
    assert "'me' (from there)" in caught.value.message
    assert "allowPlainHttp" in caught.value.hint
    assert "hunter2" not in caught.value.message + caught.value.hint + repr(LOGIN)


def test_a_login_for_some_hosts_goes_to_no_other() -> None:
    login = Login(username="me", password="p", origin="there", hosts=("registry.example.com",))
    check_sending(login, "https", "registry.example.com", allow_plain_http=False)
    with pytest.raises(CredentialError, match=r"auth\.example\.com"):
        check_sending(login, "https", "auth.example.com", allow_plain_http=True)
