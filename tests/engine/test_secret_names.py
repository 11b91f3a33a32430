from __future__ import annotations

import base64
import json

import pytest

from towline.config.metadata import all_schemas
from towline.config.schema import StepSchema
from towline.files import resource_text
from towline.secret import has_free_keys, is_secret, secret_texts

SECRET = [
    "container/repositoryPassword",
    "githubToken",
    "custom/CLIENT_SECRET",
    "githubAppPrivateKey",
    "ssh_private-key",
    "pass_word",
    "PIPER_password",
    "apiKey",
    "API-KEY",
    "x-api-key",
    "passphrase",
    "gpg.passphrase",
    "pwd",
    "dbPwd",
    "kubeConfig",
    "KUBECONFIG",
    "sshKey",
    "accessKey",
    "AWS_SECRET_ACCESS_KEY",
    "authorization",
    "cookie",
    "Set-Cookie",
    "auth",
    "credentials",
    "idToken",
    "vaultAppRoleSecretID",
    "passwords",
    "dockerConfigJSON",
    "DOCKER_AUTH_CONFIG",
    "PIPER_parametersJSON",
    "PIPER_vaultJwt",
    "connectionString",
    "JSESSIONID",
    "spring.datasource.password",
    "pass\nword",
    "kubeToken",
    "jenkinsToken",
]
PLAIN = [
    "container/repositoryUsername",
    "passwords/count",
    "artifactVersion",
    "PATH",
    "SSH_AUTH_SOCK",
    "gitHttpsCredentialsId",
    "githubTokenCredentialsId",
    "vaultAppRoleSecretTokenCredentialsId",
    "registryCredentialsVaultSecretName",
    "tokenUrl",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "privateKeyFile",
    "vaultPath",
    "vaultTestCredentialPath",
    "vaultTestCredentialKeys",
    "vaultCredentialEnvPrefix",
    "credentialHosts",
    "allowedCredentialIds",
    "strictCredentials",
    "secretStore",
    "imagePullSecrets",
    "signingKeyTextCredentialsId",
    "signingFormat",
    "tokenType",
    "passwordPolicy",
    "PIPER_vaultJwtFile",
    "authorName",
    "AWS_ACCESS_KEY_ID",
    "tokenTtl",
    "token_lifetime",
    "cookieTimeout",
    "secretIdValidityDays",
    "sessionIdTimeoutSeconds",
    "",
    "secrets/",
]


@pytest.mark.parametrize("key", SECRET)
def test_a_key_whose_last_part_names_a_secret_is_one(key: str) -> None:
    assert is_secret(key)


@pytest.mark.parametrize("key", PLAIN)
def test_the_location_or_name_of_a_secret_is_not_a_secret(key: str) -> None:
    assert not is_secret(key)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"targets": [{"serverUrl": "s", "password": "p1"}]}, {"p1"}),
        ({"nested": [[{"a": [{"token": "p1"}]}]]}, {"p1"}),
        ({"passwords": ["p1", {"any": "p2"}, 3]}, {"p1", "p2", "3"}),
        ({"dockerConfig": {"auths": {"r": {"auth": "p1", "email": "e"}}}}, {"p1"}),
        ({"password": ""}, set()),
        ({"requirePullSecret": True, "token": None, "password": []}, set()),
        ({"secretId": 12, "pin/password": 0.5}, {"12", "0.5"}),
        ({"container/registryUrl": "https://bob:p1@r/x"}, {"p1"}),
        ({"list": ["clone https://bob:p%401@r and https://ann:a@b@r/x"]}, {"p%401", "p@1", "a@b"}),
        (
            {
                "dockerConfigJSON": "ws@tmp/secretFiles/config.json",
                "a/kubeConfig": "/home/ci/.kube/config",
            },
            set(),
        ),
        (
            {
                "dockerConfigJSON": '{"auths": {}}',
                "kubeConfig": "a: 1\nb: 2",
                "kubeconfig": "k" * 256,
            },
            {'{"auths": {}}', "a: 1\nb: 2", "k" * 256},
        ),
        ({"secret": {"kubeConfig": "p1"}, "privateKey": "keys/x"}, {"p1", "keys/x"}),
        (
            {
                "link": "https://r/x?ref=main&private_token=p%401#y",
                "other": "see https://r?access-token=p2, https://r?a;sessionid=p3",
            },
            {"p%401", "p@1", "p2", "p3"},
        ),
        (
            {
                "link": "https://r/x?token",
                "empty": "https://r?token=&x=1",
                "path": "https://r/token=1",
                "no url": "?token=1",
            },
            set(),
        ),
        ({"containerRegistrySecret": "regsecret", "registrySecret": "p1"}, {"p1"}),
        ({"link": "https://r?%74oken=p1", "plain": "https://r?%78=1"}, {"p1"}),
        (
            {
                "url": "https://bob@r",
                "ssh": "git@host:a/b",
                "port": "https://host:443/a@b",
                "query": "https://host?x:y@z",
            },
            set(),
        ),
    ],
)
def test_secrets_are_found_at_every_depth(values: dict[str, object], expected: set[str]) -> None:
    assert set(secret_texts(values)) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {
                "credentials": {"my-token": ["github.com"]},
                "targetImages": {"token-service": "shop/token-service"},
            },
            set(),
        ),
        (
            {"containers": {"password-reset": "reset"}, "valuesMapping": {"auth.tokenImage": "x"}},
            set(),
        ),
        ({"credentials": "p1"}, {"p1"}),
        (
            {
                "credentials": ["git-token", "registry.example_1"],
                "a": {"custom/credentials": ["git-token"]},
            },
            set(),
        ),
        ({"credentials": ["bob:p1"], "a": {"credentials": ["p2", 3]}}, {"bob:p1", "p2", "3"}),
        (
            {"credentials": [{"name": "p1", "value": "p2"}, "p3"], "a": {"credentials": [["p4"]]}},
            {"p1", "p2", "p3", "p4"},
        ),
        (
            {"secret": {"credentials": ["p1"]}, "passwords": ["p2"], "credential": ["p3"]},
            {"p1", "p2", "p3"},
        ),
        ({"credentials": {"credentials": ["a"], "password": ["b"]}}, set()),
        ({"containers": {"app": {"password": "p1"}}}, {"p1"}),
        ({"containers": [{"password": "p1"}]}, {"p1"}),
        ({"secret": {"credentials": {"x": "p1"}}}, {"p1"}),
        (
            {
                "steps": {"vaultRotateSecretId": {"secretStore": "ado", "jenkinsToken": "p1"}},
                "stages": {"Secret Stage": {"a": "b"}},
            },
            {"p1"},
        ),
    ],
)
def test_maps_whose_keys_are_people_s_words_hold_none_by_these(
    values: dict[str, object], expected: set[str]
) -> None:
    assert set(secret_texts(values)) == expected


def test_what_aliases_repeat_without_end_is_read_once() -> None:
    value: object = {"password": "p1"}
    for _ in range(60):
        value = [value, value]
    assert list(secret_texts({"a": value})) == ["p1"]


def test_depth_costs_no_stack() -> None:
    value: object = "p1"
    for _ in range(100_000):
        value = [value]
    assert list(secret_texts({"token": value})) == ["p1"]


@pytest.mark.parametrize("schema", all_schemas(), ids=lambda schema: schema.name)
def test_every_map_of_a_step_whose_keys_are_people_s_words_is_in_the_list(
    schema: StepSchema,
) -> None:
    maps = [one for one in schema.parameters if one.type == "map" or one.format == "hosts"]
    assert [one.name for one in maps if not has_free_keys(one.name)] == []


@pytest.mark.parametrize("schema", all_schemas(), ids=lambda schema: schema.name)
def test_every_secret_of_a_step_is_one_by_its_name(schema: StepSchema) -> None:
    assert [one.name for one in schema.parameters if one.secret and not is_secret(one.name)] == []
    known = {
        "dockerConfigJSON",
        "dockerConfigJSONCPE",
        "kubeConfig",
        "credentials",
        "createDockerRegistrySecret",
    }
    assert {
        one.name for one in schema.parameters if is_secret(one.name) and not one.secret
    } <= known
    assert [one.name for one in schema.credentials if is_secret(one.name)] == []


def test_the_list_holds_only_what_its_readers_know() -> None:
    lines = [
        line
        for line in resource_text("secret_names.txt").splitlines()
        if line and not line.startswith("#")
    ]
    assert all(
        line.lstrip("=-*").isalnum() and line == line.lower() and line.isascii() for line in lines
    )
    assert len(lines) == len(set(lines))


def test_a_login_of_docker_is_found_in_its_configuration() -> None:
    login = base64.b64encode(b"bob:open-sesame").decode()
    assert set(
        secret_texts({"custom/docker": json.loads(f'{{"auths": {{"r": {{"auth": "{login}"}}}}}}')})
    ) == {login}
