from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.trust import PRODUCTIVE
from towline.config.credential_rules import (
    host_entries,
    host_source,
    password_of,
    registry_place,
    rules_of,
    secret_of,
)
from towline.config.documents import ConfigDocuments, parse_document
from towline.config.layers import Inputs
from towline.config.merge import Setting, layer_of
from towline.config.metadata import load_schema
from towline.config.resolve import resolve
from towline.config.schema import StepSchema
from towline.config.settings import Settings
from towline.credential_hosts import CredentialRules
from towline.errors import ConfigError
from towline.pipeline.environment import PipelineEnvironment
from towline.record import replace

PUSH, DEPLOY = load_schema("imagePushToRegistry"), load_schema("gitOpsUpdateDeployment")
OURS = ("https", "registry.example")


def settings(
    project: str = "",
    team: str = "",
    *,
    schema: StepSchema = PUSH,
    environ: Mapping[str, str] | None = None,
    **more: Any,
) -> Settings:
    documents = ConfigDocuments(
        defaults=(parse_document(team, "team.yml", trusted=True),),
        project=parse_document(f"steps: {{{schema.name}: {{{project}}}}}", "c.yml", trusted=False),
    )
    base: dict[str, Any] = {
        "pipeline_environment": {},
        "parameters": {},
        "flags": {"targetRegistryUrl": "https://r"} if not project and not more else {},
    }
    return resolve(
        schema, Inputs(stage="", documents=documents, environ=environ or {}, **{**base, **more})
    )


def test_the_rules_are_what_trusted_layers_say() -> None:
    rules = (
        "credentialHosts: [a], credentials: {bot: [b, 'c:8443']}, strictCredentials: true,"
        " enforcement: warn, allowedCredentialIds: ['x-*']"
    )
    found = rules_of(settings("targetRegistryUrl: r", f"general: {{{rules}}}"), lambda: PRODUCTIVE)
    assert (found.hosts, found.each, found.ids, found.strict, found.warn, found.where) == (
        ("a",),
        {"bot": ("b", "c:8443")},
        ("x-*",),
        True,
        True,
        "team.yml:1",
    )
    none = rules_of(settings("targetRegistryUrl: r"), lambda: PRODUCTIVE)
    assert (none.hosts, none.each, none.ids, none.strict, none.warn) == (
        CredentialRules(standing=none.standing).hosts,
        {},
        (),
        False,
        False,
    )
    variable = settings(
        "targetRegistryUrl: r",
        environ={"PIPER_credentials": '{"bot": ["b"]}', "PIPER_enforcement": "warn"},
    )
    assert rules_of(variable, lambda: PRODUCTIVE).each == {"bot": ("b",)}


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("credentials: {bot: b}", "no list of hosts for bot"),
        ("credentials: {bot: [7]}", "no list of hosts for bot"),
        ("credentials: {bot: ['https://b']}", "no host can be"),
        ("credentials: [bot]", "expected a map"),
        ("enforcement: off", "enforcement is"),
        ("strictCredentials: maybe", "expected true or false"),
    ],
)
def test_an_invalid_rule_is_an_error(rule: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings("targetRegistryUrl: r", f"general: {{{rule}}}")
    assert said in caught.value.message


@pytest.mark.parametrize(
    "rule",
    [
        "credentials: {bot: [b]}",
        "strictCredentials: false",
        "enforcement: warn",
        "allowedCredentialIds: [a]",
        "allowChangeRequest: true",
    ],
)
def test_the_project_sets_none_of_them(rule: str) -> None:
    with pytest.raises(ConfigError, match="may not be set by what a pull request can change"):
        settings(f"targetRegistryUrl: r, {rule}")


@pytest.mark.parametrize(
    "rule", ["credentialHosts", "allowedCredentialIds", "customTlsCertificateLinks"]
)
def test_the_call_of_a_change_request_sets_none_of_them_and_that_is_told(rule: str) -> None:
    for way in ({"parameters": {rule: ["a"]}}, {"flags": {rule: "a"}}):
        found = settings("targetRegistryUrl: r", trusted_call=False, **way)
        assert (
            found.texts(rule),
            [rule in note and "is ignored" in note for note in found.notes],
        ) == ((), [True])
        assert settings("targetRegistryUrl: r", **way).texts(rule) == ("a",)
    assert settings(
        "targetRegistryUrl: r", trusted_call=False, environ={f"PIPER_{rule}": "a"}
    ).texts(rule) == ("a",)


def places(
    found: Settings, password: str = ""
) -> tuple[frozenset[tuple[str, str]], frozenset[tuple[str, str]]]:
    named = host_source(
        found,
        "sourceRegistryUrl" if password else "targetRegistryUrl",
        registry_place,
        password=password,
    )
    return named.trusted, named.record


TEAM = "steps: {imagePushToRegistry: {targetRegistryUrl: 'https://Registry.example:443/team'}}"


@pytest.mark.parametrize(
    ("project", "team", "more", "trusted"),
    [
        ("targetRegistryUrl: 'https://registry.example'", "", {}, frozenset()),
        ("tagLatest: true", TEAM, {}, frozenset([OURS])),
        # the same host
        ("targetRegistryUrl: 'https://registry.example/other'", TEAM, {}, frozenset([OURS])),
        ("targetRegistryUrl: 'https://evil.example'", TEAM, {}, frozenset([OURS])),
        (
            "tagLatest: true",
            "",
            {"environ": {"PIPER_targetRegistryUrl": "https://registry.example"}},
            frozenset([OURS]),
        ),
        (
            "tagLatest: true",
            "",
            {"parameters": {"targetRegistryUrl": "https://registry.example"}},
            frozenset([OURS]),
        ),
        (
            "tagLatest: true",
            "",
            {"flags": {"targetRegistryUrl": "https://registry.example"}},
            frozenset([OURS]),
        ),
        (
            "tagLatest: true",
            "",
            {
                "parameters": {"targetRegistryUrl": "https://registry.example"},
                "trusted_call": False,
            },
            frozenset(),
        ),
        (
            "tagLatest: true",
            "",
            {
                "environ": {
                    "PIPER_parametersJSON": '{"targetRegistryUrl": "https://registry.example"}'
                },
                "trusted_call": False,
            },
            frozenset(),
        ),
        (
            "tagLatest: true",
            "",
            {"flags": {"targetRegistryUrl": "https://registry.example"}, "trusted_call": False},
            frozenset(),
        ),
    ],
)
def test_trusted_layers_name_places_also_below_others(
    project: str, team: str, more: dict[str, Any], trusted: frozenset[tuple[str, str]]
) -> None:
    assert places(settings(project, team, **more))[0] == trusted


@pytest.mark.parametrize(
    ("known", "environ", "record"),
    [
        (
            {
                "container/registryUrl": "https://registry.example",
                "container/repositoryPassword": "w",
            },
            {},
            frozenset([OURS]),
        ),
        (
            {
                "container/registryUrl": "https://registry.example",
                "container/repositoryPassword": "w",
            },
            {"PIPER_sourceRegistryPassword": "other"},
            frozenset(),
        ),
        ({"container/repositoryPassword": "w"}, {}, frozenset()),
    ],
)
def test_a_password_of_the_pipeline_environment_is_for_the_registry_there(
    known: dict[str, object],
    environ: dict[str, str],
    record: frozenset[tuple[str, str]],
) -> None:
    user = {"container/repositoryUsername": "ann"}
    values = {**user, **known}
    project = "targetRegistryUrl: r, sourceRegistryUrl: 'https://evil.example'"
    found = settings(
        project, pipeline_environment=PipelineEnvironment(values, values), environ=environ
    )
    assert places(found, "sourceRegistryPassword")[1] == record


@pytest.mark.parametrize(
    "lacking", ["container/registryUrl", "container/repositoryPassword", "both", "neither"]
)
def test_it_is_its_record_only_if_a_step_of_this_build_has_written_both(lacking: str) -> None:
    """Otherwise the author of a committed file chooses where the build's password goes."""
    values: dict[str, object] = {
        "container/registryUrl": "https://registry.example",
        "container/repositoryUsername": "ann",
        "container/repositoryPassword": "w",
    }
    facts = {key: value for key, value in values.items() if lacking not in (key, "both")}
    for changed in (facts, {**facts, lacking: "other"}):
        known = PipelineEnvironment(values, changed)
        for project in (
            "targetRegistryUrl: r",
            "targetRegistryUrl: r, sourceRegistryUrl: 'https://evil.example'",
        ):
            found = settings(project, pipeline_environment=known)
            record = places(found, "sourceRegistryPassword")[1]
            assert record == (frozenset([OURS]) if lacking == "neither" else frozenset())


def test_a_credential_is_called_by_its_jenkins_id_before_its_parameters_and_shows_no_secret() -> (
    None
):
    environ = {"PIPER_targetRegistryUser": "ann", "PIPER_targetRegistryPassword": "hidden"}
    named, bound = (
        "targetRegistryUrl: r, targetRegistryCredentialsId: bot",
        {
            "PIPER_targetRegistryPassword": "bot",
            "PIPER_targetRegistryUser": "bot",
        },
    )
    login = password_of(
        settings(named, environ=environ, bound=bound),
        "targetRegistryUser",
        "targetRegistryPassword",
    )
    assert login.names == ("bot", "targetRegistryPassword", "targetRegistryUser")
    assert login.label == "the password of user 'ann' (PIPER_targetRegistryPassword)"
    key = secret_of(
        settings(
            "serverUrl: 'https://g/a', filePath: a, containerName: c",
            schema=DEPLOY,
            environ={"PIPER_gitSshPrivateKey": "hidden"},
        ),
        "gitSshPrivateKey",
        "the SSH key",
    )
    assert (key.names, key.label) == (
        ("gitSshPrivateKey",),
        "the SSH key (PIPER_gitSshPrivateKey)",
    )


def test_a_credential_has_the_id_that_was_bound_and_not_one_that_is_named_beside_it() -> None:
    """An agent's own password stays that, whatever credential the project names: `credentials`
    has other hosts for that one.
    """
    named, own = (
        "targetRegistryUrl: r, targetRegistryCredentialsId: bot",
        {
            "PIPER_targetRegistryUser": "ann",
            "PIPER_targetRegistryPassword": "hidden",
        },
    )

    def names(found: Settings) -> tuple[str, ...]:
        return password_of(found, "targetRegistryUser", "targetRegistryPassword").names

    plain = ("targetRegistryPassword", "targetRegistryUser")
    assert names(settings(named, environ=own)) == plain
    assert names(settings(named, environ=own, schema=replace(PUSH, flags=True))) == plain
    assert names(settings(named, environ=own, bound={"PIPER_password": "git"})) == plain
    assert names(settings(named)) == ("bot", *plain)  # it is to be bound
    bound = {"PIPER_targetRegistryPassword": "other", "PIPER_targetRegistryUser": "other"}
    assert names(settings(named, environ=own, bound=bound)) == ("other", *plain)
    vault = layer_of(
        "Vault", {"targetRegistryPassword": "x", "targetRegistryUser": "y"}, trusted=True
    )
    assert names(settings(named, environ=own, bound=bound, vault=vault)) == plain


def test_a_record_of_vault_travels_with_its_secret() -> None:
    name, vault = "targetRegistryPassword", layer_of("Vault", {}, trusted=True)
    secret = Setting(
        value="hidden", origin="Vault", layer="Vault", trusted=True, record=("registry.example",)
    )
    vault = replace(vault, settings={name: secret})
    found = settings(
        "targetRegistryUrl: r", vault=vault, environ={"PIPER_targetRegistryUser": "ann"}
    )
    assert password_of(found, "targetRegistryUser", "targetRegistryPassword").record == (
        "registry.example",
    )
    assert host_entries(
        [
            "registry.example",
            "https://R.example:443/x",
            "http://r.example:8080",
            "*.example",
            "",
            "a b",
            "//x",
        ]
    ) == ("registry.example", "r.example", "r.example:8080", "*.example")


def test_a_map_of_targets_overrides_a_trusted_layer() -> None:
    team = "general: {serverUrl: 'https://git.example/x'}"
    found = settings(
        "targets: [{serverUrl: 'https://evil.example/x'}], filePath: a, containerName: c",
        team,
        schema=DEPLOY,
    )
    one = found.each("targets")[0]
    assert (one.text("serverUrl"), one.trusted_texts("serverUrl")) == (
        "https://evil.example/x",
        ("https://git.example/x",),
    )


def test_what_another_step_makes_of_a_url_stands_where_that_does() -> None:
    promote = load_schema("containerPushToRegistry")
    team = "steps: {containerPushToRegistry: {dockerRegistryUrl: 'https://registry.example/x'}}"
    found = settings(
        "sourceImage: a", team, schema=promote, environ={"PIPER_sourceRegistryUrl": "https://s"}
    )
    made = found.translated(
        PUSH,
        {"targetRegistryPassword": "dockerRegistryPassword"},
        {"targetRegistryUrl": "https://registry.example"},
        {"targetRegistryUrl": "dockerRegistryUrl"},
    )
    assert (made.origin("targetRegistryUrl"), made.called("targetRegistryPassword")) == (
        "team.yml:1",
        "dockerRegistryPassword",
    )
    assert places(made)[0] == frozenset([OURS])
