from __future__ import annotations

import base64
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.errors import ConfigError
from towline.image import Registry
from towline.registry.auth.docker_config import CredentialHelper, find_logins, keys_for
from towline.secret import BEARER, IDENTITY, Login

HOST = "registry.example.com:5000"
HUB = "https://index.docker.io/v1/"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def found(config: object, host: str = HOST, path: str = "") -> tuple[Login | CredentialHelper, ...]:
    text = config if isinstance(config, str) else json.dumps(config)
    return find_logins(text, Registry(scheme="https", host=host), path=path, origin="config.json")


def users(config: object, host: str = HOST, path: str = "") -> list[str]:
    return [
        entry.username if isinstance(entry, Login) else f"{entry.name} {entry.server}"
        for entry in found(config, host, path)
    ]


def keys(*names: str) -> dict[str, object]:
    """A configuration in which each user is named like its key."""
    return {"auths": {name: {"username": name, "password": "p"} for name in names}}


# Which entry


@pytest.mark.parametrize(
    "key",
    [
        HOST,
        f"https://{HOST}",
        f"https://{HOST}/",
        f"https://{HOST}/v2/",
        f"http://{HOST}/v1/",
        "Registry.Example.com:5000",
    ],
)
def test_a_registry_is_found_under_each_of_its_spellings(key: str) -> None:
    config = {
        "auths": {
            "other.example.com": {"auth": encoded("x:y")},
            key: {"auth": encoded("me:pass:word")},
        }
    }
    assert found(config) == (
        Login(username="me", password="pass:word", origin=f"config.json, auths/{key}"),
    )


@pytest.mark.parametrize("key", ["docker.io", "index.docker.io", HUB, "registry-1.docker.io"])
@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
def test_docker_hub_is_one_registry_under_all_its_names(key: str, host: str) -> None:
    assert users(keys(key), host) == [key]


def test_the_port_that_https_has_anyway_makes_no_other_registry() -> None:
    assert users(keys("registry.example.com"), "registry.example.com:443") == [
        "registry.example.com"
    ]


@pytest.mark.parametrize(
    "key",
    [
        "registry.example.com",
        f"{HOST}/team",
        f"https://{HOST}/team",
        "example.com:5000",
        f"{HOST}.evil.org",
        "registry.example.com:50000",
        "",
        "://",
        "https://",
    ],
)
def test_another_host_port_or_path_is_another_registry(key: str) -> None:
    assert users(keys(key)) == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("team/app", [f"{HOST}/team/app", f"{HOST}/team", HOST]),
        ("team/other", [f"{HOST}/team", HOST]),
        ("teams", [HOST]),
        ("", [HOST]),
        ("team/app/sub", [f"{HOST}/team/app", f"{HOST}/team", HOST]),
    ],
)
def test_of_keys_with_a_path_the_longest_that_holds_the_image_counts(
    path: str, expected: list[str]
) -> None:
    assert (
        users(keys(HOST, f"{HOST}/team", f"{HOST}/team/app", f"{HOST}/tea"), path=path) == expected
    )


def test_a_path_behind_a_scheme_is_for_no_image() -> None:
    """Docker knows no paths, and podman writes them without a scheme."""
    assert users(keys(f"https://{HOST}/team", HOST), path="team/app") == [HOST]


def test_the_keys_of_a_registry_are_those_of_all_its_paths() -> None:
    config = {
        **keys(f"{HOST}/team", "other.example.com", HOST),
        "credHelpers": {f"{HOST}/shop": "store", HOST: "store", "other.example.com/team": "store"},
    }
    assert keys_for(json.dumps(config), Registry(scheme="https", host=HOST), origin="x") == (
        f"{HOST}/team",
        HOST,
        f"{HOST}/shop",
    )


def test_an_image_of_docker_hubs_own_is_below_library() -> None:
    assert users(
        keys("docker.io", "docker.io/library", "docker.io/team"), "docker.io", "alpine"
    ) == ["docker.io/library", "docker.io"]


def test_an_empty_entry_does_not_hide_another_spelling() -> None:
    assert users({"auths": {HOST: {}, f"https://{HOST}": {"auth": encoded("me:p")}}}) == ["me"]


# What it holds


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"auth": ""},
        {"auth": encoded("nocolon")},
        {"auth": encoded(":p")},
        {"username": "me"},
        "text",
        None,
        {"auth": 5},
    ],
)
def test_an_entry_without_user_and_password_is_no_login(entry: object) -> None:
    assert found({"auths": {HOST: entry}}) == ()


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"auth": encoded("me:p\0\0")}, ("me", "p", "password")),
        ({"auth": encoded("<token>:t")}, ("<token>", "t", IDENTITY)),
        ({"identitytoken": "t"}, ("<token>", "t", IDENTITY)),
        (
            {"auth": encoded("00000000-0000:"), "identitytoken": "t"},
            ("00000000-0000", "t", IDENTITY),
        ),
        ({"auth": encoded("me:p"), "registrytoken": "t"}, ("<registry token>", "t", BEARER)),
    ],
)
def test_an_entry_holds_a_password_or_a_token(
    entry: object, expected: tuple[str, str, str]
) -> None:
    (login,) = found({"auths": {HOST: entry}})
    assert isinstance(login, Login)
    assert (login.username, login.password, login.kind) == expected


# Programs


def test_a_registrys_own_helper_counts_before_the_store_and_that_before_a_login() -> None:
    config = {**keys(HOST), "credHelpers": {HOST: "own", "other": "x"}, "credsStore": "store"}
    assert users(config) == [f"own {HOST}", f"store {HOST}", HOST]
    assert found(config)[0] == CredentialHelper(
        name="own", server=HOST, origin=f"config.json, credHelpers/{HOST}"
    )


def test_docker_hub_has_a_name_of_its_own_for_programs() -> None:
    assert users({"credHelpers": {"docker.io": "own"}, "credsStore": "store"}, "docker.io") == [
        f"own {HUB}",
        f"store {HUB}",
    ]


def test_a_helper_for_a_path_is_asked_for_it() -> None:
    config = {"credHelpers": {HOST: "all", f"{HOST}/team": "team", f"https://{HOST}/v2/": "old"}}
    assert users(config, path="team/app") == [f"team {HOST}/team", f"all {HOST}", f"old {HOST}"]


@pytest.mark.parametrize("name", ["../evil", "a b", "a;b", "/bin/sh", "a/b", "", "UPPER", "a\n", 5])
def test_a_name_that_is_none_is_no_program(name: object) -> None:
    """Facts section 4, "credential helper execution": exactly docker-credential-<[a-z0-9._-]+>."""
    with pytest.raises(ConfigError, match="credential helper"):
        found({"credHelpers": {HOST: name}})
    assert found({"credHelpers": {"other.example.com": name}}) == ()


# Hostile texts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{hunter2",
        "[]",
        "hunter2",
        '{"auths": ["hunter2"]}',
        '{"credHelpers": "hunter2"}',
        "[" * 100_000,
        f'{{"auths": {{"{HOST}": {{"auth": "hunter2 no"}}}}}}',
        '{"credsStore": ["hunter2"]}',
        f'{{"auths": {{"{HOST}": {{"auth": "/w=="}}}}}}',
    ],
)
def test_a_configuration_that_cannot_be_read_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        found(text)
    assert caught.value.where.startswith("config.json")
    assert "hunter2" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    "config", [{}, {"auths": None}, {"auths": {}, "credHelpers": {}, "credsStore": ""}]
)
def test_a_configuration_without_logins_has_none(config: object) -> None:
    assert found(config) == ()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "auth",
                    "username",
                    "password",
                    "identitytoken",
                    "registrytoken",
                    HOST,
                    f"{HOST}/team",
                    HUB,
                ]
            )
            | st.text(max_size=9),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from(["auths", "credHelpers", "credsStore", "HttpHeaders"]), VALUES),
    st.sampled_from([HOST, "docker.io"]),
    st.text(),
)
def test_no_configuration_breaks_it(config: object, host: str, path: str) -> None:
    with contextlib.suppress(ConfigError):
        for entry in found(config, host, path):
            assert entry.origin.startswith("config.json")
            assert not isinstance(entry, Login) or entry.password
