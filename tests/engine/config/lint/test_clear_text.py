from __future__ import annotations

from typing import Any

import pytest

from towline.config.lint.clear_text import ClearText, clear_texts

SURE, POSSIBLE = "secret-in-clear", "possible-secret"
SECRET, PLAIN = (
    frozenset({"password", "privateKeyId", "gitSshPrivateKey"}),
    frozenset({"containerRegistrySecret"}),
)


def found(value: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (each.rule, each.text)
        for each in clear_texts({"steps": {"s": value}}, secret=SECRET, plain=PLAIN)
    ]


# Made of parts, so that no scanner takes this file for one that holds tokens.
SHAPES = [
    "ghp" + "_" + "a1" * 18,
    "github" + "_pat_" + "b2" * 12,
    "glpat" + "-" + "c3" * 10,
    "hvs" + "." + "d4" * 12,
    "AKIA" + "ABCDEFGH12345678",
    "xoxb" + "-1234567890",
    "-----BEGIN RSA PRIVATE " + "KEY-----\nMII",
]


@pytest.mark.parametrize("text", SHAPES)
@pytest.mark.parametrize("around", ["{}", "Bearer {} "])
def test_what_looks_like_a_token_or_key_is_one_wherever_it_stands(text: str, around: str) -> None:
    whole = around.format(text)
    assert found({"anything": [whole]}) == [(SURE, whole)]
    assert found({"credentialsId": whole}) == [(SURE, whole)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"password": "x"}, [(SURE, "x")]),
        ({"password": 1234}, [(SURE, "1234")]),
        ({"password": 12.5}, [(SURE, "12.5")]),
        ({"password": True}, []),
        ({"password": None}, []),
        ({"password": ["x", {"y": "z"}]}, [(SURE, "x"), (SURE, "z")]),
        ({"deeper": [{"password": "x"}]}, [(SURE, "x")]),
        ({"privateKeyId": "x"}, []),
        ({"gitSshPrivateKey": "keys/deploy"}, []),
        ({"gitSshPrivateKey": "M" * 64}, [(SURE, "M" * 64)]),
        ({"apiToken": "x"}, [(POSSIBLE, "x")]),
        (
            {"NPM_TOKEN": "x", "db-password": "y", "clientSecret": "z", "private_key": "p"},
            [(POSSIBLE, "x"), (POSSIBLE, "y"), (POSSIBLE, "z"), (POSSIBLE, "p")],
        ),
        ({"apiToken": 3}, []),
        ({"tokens": ["x"]}, [(POSSIBLE, "x")]),
        ({"secrets": {"path": "x"}}, []),
        ({"containerRegistrySecret": "regsecret"}, []),
        (
            {
                "tokenFile": "x",
                "githubTokenCredentialsId": "x",
                "aVaultSecretName": "x",
                "tokenUrl": "x",
                "secretPaths": ["x"],
                "vaultSecretKeys": ["x"],
            },
            [],
        ),
        ({"author": "x", "path": "secrets/x"}, []),
        (
            {"apiKey": "x", "passphrase": "y", "kubeConfig": ".kube/config"},
            [(POSSIBLE, "x"), (POSSIBLE, "y")],
        ),
        ({"targetImages": {"token-service": "x"}, "credentials": {"my-token": ["host"]}}, []),
        (
            {"credentials": ["git-token"], "deeper": {"credentials": ["bob:x"]}},
            [(POSSIBLE, "bob:x")],
        ),
        ({"containers": {"app": {"token": "x"}}}, [(POSSIBLE, "x")]),
    ],
)
def test_the_key_decides_whether_a_value_is_secret(
    value: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert found(value) == expected


@pytest.mark.parametrize(
    "text", ["", " ", "$(x)", "${X}", "$TOKEN", "{{ token }}", "<your token>", "****"]
)
def test_a_placeholder_is_not_a_secret(text: str) -> None:
    assert found({"password": text, "apiToken": text}) == []
    assert found({"url": f"https://robot:{text.strip().replace(' ', '')}@host/"}) == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://robot:open-sesame@host/x", [(SURE, "open-sesame")]),
        ("see https://robot:open-sesame@host/x", [(SURE, "open-sesame")]),
        ("https://robot@host/x", []),
        ("https://host:443/a@b", []),
        ("git@host:a/b", []),
    ],
)
def test_a_password_in_a_url_is_a_secret(url: str, expected: list[tuple[str, str]]) -> None:
    assert found({"serverUrl": url}) == expected


def test_the_path_leads_to_the_secret_and_a_sections_name_does_not_count() -> None:
    assert list(
        clear_texts(
            {"token": {"a": "x"}, "general": {"list": [{"password": "x"}]}},
            secret=SECRET,
            plain=PLAIN,
        )
    ) == [
        ClearText(path=("general", "list", 0, "password"), rule=SURE, text="x"),
    ]
