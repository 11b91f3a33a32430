from __future__ import annotations

import base64
import json

import pytest

from towline.errors import ConfigError, CredentialError
from towline.image import Registry
from towline.registry.credentials import basic, check_sending, is_docker_hub, read_docker_config
from towline.secret import Login

LOGIN = Login(username="me", password="hunter2", origin="there")
HOST = Registry(scheme="https", host="registry.example.com:5000")


def config(**auths: object) -> str:
    return json.dumps({"auths": {key.replace("__", "."): value for key, value in auths.items()}})


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def found(text: str, host: str = "registry.example.com") -> tuple[str, str] | None:
    login = read_docker_config(text, Registry(scheme="https", host=host), origin="config.json")
    return None if login is None else (login.username, login.password)


@pytest.mark.parametrize("key", [
    "registry.example.com:5000", "https://registry.example.com:5000", "https://registry.example.com:5000/", "https://registry.example.com:5000/v2/",
    "http://registry.example.com:5000/v1/", "Registry.Example.com:5000",
])
def test_a_registry_is_found_under_each_of_its_spellings(key: str) -> None:
    text = json.dumps({"auths": {"other.example.com": {"auth": encoded("x:y")}, key: {"auth": encoded("me:pass:word")}}})
    login = read_docker_config(text, HOST, origin="config.json")
    assert login == Login(username="me", password="pass:word", origin=f"config.json, auths/{key}")


@pytest.mark.parametrize("key", ["docker.io", "index.docker.io", "https://index.docker.io/v1/", "registry-1.docker.io"])
@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
def test_docker_hub_is_one_registry_under_all_its_names(key: str, host: str) -> None:
    assert found(json.dumps({"auths": {key: {"username": "me", "password": "p"}}}), host) == ("me", "p")
    assert is_docker_hub(host)


@pytest.mark.parametrize("key", ["registry.example.com:5000", "registry.example.com/team", "example.com", "registry.example.com.evil.org"])
def test_another_host_port_or_path_is_another_registry(key: str) -> None:
    assert found(json.dumps({"auths": {key: {"auth": encoded("me:p")}}})) is None


@pytest.mark.parametrize("entry", [
    {}, {"auth": ""}, {"auth": encoded("nocolon")}, {"auth": encoded(":p")}, {"username": "me"}, "text", None, {"identitytoken": "t"},
])
def test_an_entry_without_user_and_password_is_no_login(entry: object) -> None:
    assert found(config(registry__example__com=entry)) is None


@pytest.mark.parametrize("text", ["", "{hunter2", "[]", '{"auths": []}', "[" * 100_000, '{"auths": {"registry.example.com": {"auth": "hunter2 not base64"}}}'])
def test_a_configuration_that_cannot_be_read_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        found(text)
    assert caught.value.where.startswith("config.json")
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_a_configuration_without_logins_is_none() -> None:
    assert found("{}") is None


def test_basic_is_user_and_password_in_utf_8() -> None:
    assert base64.b64decode(basic(Login(username="ü", password="p:q", origin="")).removeprefix("Basic ")).decode() == "ü:p:q"


@pytest.mark.parametrize(("scheme", "host", "allowed"), [
    ("https", "registry.example.com", False), ("http", "127.0.0.1:5000", False), ("http", "localhost", False), ("http", "registry.example.com", True),
])
def test_a_login_may_go_over_https_to_this_machine_or_where_plain_http_is_allowed(scheme: str, host: str, allowed: bool) -> None:  # noqa: FBT001 - a table
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
