from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trust import BRANCH, PRODUCTIVE, REQUEST, addressees
from towline.config.documents import ConfigDocuments, parse_document
from towline.config.layers import Inputs
from towline.config.metadata import PROGRAM_KEYS, VAULT_KEYS, load_schema, vault_keys, vault_schema
from towline.config.schema import StepSchema, parse_schema
from towline.config.vault_lookup import (
    VaultAnswer,
    VaultLookup,
    VaultQuestion,
    VaultServer,
    admit_lookup,
    interpolate,
    plan_lookup,
    read_answers,
)
from towline.credential_hosts import (
    CREDENTIALS_KEY,
    ENFORCEMENT,
    HOSTS_KEY,
    IDS_KEY,
    STRICT_KEY,
    BuildTrust,
)
from towline.errors import ConfigError, CredentialError
from towline.record import replace
from towline.vault.logins import TOKEN, TOKEN_VARIABLE, VaultLogin

SCOPE = ["PARAMETERS", "STAGES", "STEPS", "GENERAL"]
STEP = parse_schema(
    {
        "name": "deploy",
        "description": "Deploys.",
        "aliases": ["ship"],
        "parameters": [
            {
                "name": "user",
                "type": "string",
                "description": "User.",
                "scope": SCOPE,
                "vault": {"secret": "deployVaultSecretName", "default": "deploy"},
            },
            {
                "name": "password",
                "type": "string",
                "description": "Password.",
                "scope": SCOPE,
                "secret": True,
                "aliases": [{"name": "token"}, {"name": "deep/key"}],
                "vault": {"secret": "deployVaultSecretName", "default": "deploy"},
            },
            {
                "name": "config",
                "type": "string",
                "description": "File.",
                "scope": SCOPE,
                "vault": {"secret": "configName", "file": True},
            },
            {"name": "configName", "type": "string", "description": "Name.", "scope": ["STEPS"]},
            {"name": "space", "type": "string", "description": "Space.", "scope": SCOPE},
            {"name": "spaces", "type": "list", "description": "Spaces.", "scope": SCOPE},
        ],
    },
    "deploy.yaml",
)
LOGIN = VaultLogin(method=TOKEN, source=(TOKEN_VARIABLE,), origin=TOKEN_VARIABLE)
ON = "vaultServerUrl: http://127.0.0.1:8200, vaultPath: secret/team"


def inputs(
    general: str, team: str = "", *, stage: str = "Release", more: str = "", **others: Any
) -> Inputs:
    documents = ConfigDocuments(
        defaults=(parse_document(team, "team.yml", trusted=True),) if team else (),
        project=parse_document(f"general: {{{general}}}\n{more}", "config.yml", trusted=False),
    )
    empty: dict[str, Any] = {
        "pipeline_environment": {},
        "environ": {},
        "parameters": {},
        "flags": {},
    }
    return Inputs(stage=stage, documents=documents, **{**empty, **others})


def planned(general: str, team: str = "", *, step: StepSchema = STEP, **others: Any) -> VaultLookup:
    found = plan_lookup(step, vault_schema(), inputs(general, team, **others))
    assert found is not None
    return found


def paths(found: VaultLookup, parameter: str = "user") -> tuple[str, ...]:
    return next(question.paths for question in found.questions if question.parameter == parameter)


# ---- whether, and what


def test_the_two_questions_of_a_login_name_paths_and_fields() -> None:
    found = planned(ON)
    assert found.server == VaultServer(
        url="http://127.0.0.1:8200", namespace="", origin="config.yml:1"
    )
    assert found.questions == (
        VaultQuestion(parameter="user", paths=("secret/team/deploy",), fields=("user",)),
        VaultQuestion(
            parameter="password",
            paths=("secret/team/deploy",),
            fields=("password", "token", "deep/key"),
        ),
    )


@pytest.mark.parametrize(
    "general",
    [
        "vaultPath: secret/team",
        f"{ON}, skipVault: true",
        "vaultServerUrl: '', vaultPath: a",
        "vaultServerUrl: 'https://v.example'",
    ],
)
def test_nothing_is_asked_without_a_server_or_a_path_or_where_vault_is_skipped(
    general: str,
) -> None:
    assert plan_lookup(STEP, vault_schema(), inputs(general)) is None


def test_the_three_roots_are_asked_in_order() -> None:
    found = planned(
        "vaultServerUrl: http://localhost, vaultPath: a/b/, vaultBasePath: /base,"
        " vaultPipelineName: shop"
    )
    assert paths(found) == ("a/b/deploy", "base/shop/deploy", "base/GROUP-SECRETS/deploy")


def test_a_root_with_a_part_that_nobody_knows_is_left_out() -> None:
    assert paths(planned("vaultServerUrl: http://localhost, vaultBasePath: base")) == (
        "base/GROUP-SECRETS/deploy",
    )


def test_roots_that_are_one_path_are_asked_once() -> None:
    found = planned(
        "vaultServerUrl: http://localhost, vaultPath: b/p, vaultBasePath: b, vaultPipelineName: p"
    )
    assert paths(found) == ("b/p/deploy", "b/GROUP-SECRETS/deploy")


@pytest.mark.parametrize(
    ("more", "others", "expected"),
    [
        ("", {}, "deploy"),
        ("steps: {deploy: {deployVaultSecretName: mine}}", {}, "mine"),
        ("steps: {ship: {deployVaultSecretName: mine}}", {}, "mine"),
        (
            (
                "steps: {deploy: {deployVaultSecretName: mine}}\nstages: {Release:"
                " {deployVaultSecretName: stage}}"
            ),
            {},
            "stage",
        ),
        (
            "steps: {deploy: {deployVaultSecretName: mine}}",
            {"parameters": {"deployVaultSecretName": "call"}},
            "call",
        ),
        ("steps: {deploy: {deployVaultSecretName: ''}}", {}, "deploy"),
    ],
)
def test_the_secrets_name_comes_from_every_section_and_the_call(
    more: str, others: dict[str, Any], expected: str
) -> None:
    assert paths(planned(ON, more=more, **others)) == (f"secret/team/{expected}",)


def test_a_secret_that_a_parameter_of_the_step_names_may_be_a_file() -> None:
    found = planned(ON, more="steps: {deploy: {configName: kube}}")
    assert found.questions[-1] == VaultQuestion(
        parameter="config", paths=("secret/team/kube",), fields=("config",), file=True
    )


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_value_that_is_there_is_asked_for_only_where_vault_may_overwrite(
    *, overwrite: bool
) -> None:
    found = planned(
        f"{ON}, user: me, password: ''{'' if overwrite else ', vaultDisableOverwrite: true'}"
    )
    assert [question.parameter for question in found.questions] == ["user", "password"][
        not overwrite :
    ]


def test_nothing_is_asked_where_all_values_are_there() -> None:
    assert (
        plan_lookup(
            STEP,
            vault_schema(),
            inputs(f"{ON}, user: me, password: x, vaultDisableOverwrite: 'true'"),
        )
        is None
    )


def test_the_call_and_the_agent_count_more_than_the_project() -> None:
    found = planned(
        ON,
        parameters={"vaultPath": "call", "user": "me"},
        environ={"PIPER_vaultServerUrl": "http://localhost:1/", "PIPER_vaultNamespace": "/ns/"},
    )
    assert paths(found) == ("call/deploy",)
    assert found.server == VaultServer(
        url="http://localhost:1", namespace="ns", origin="PIPER_vaultServerUrl"
    )


@pytest.mark.parametrize(
    ("general", "faulty"),
    [(f"{ON}, skipVault: perhaps", "skipVault"), ("vaultServerUrl: [a]", "vaultServerUrl")],
)
def test_a_setting_of_another_type_is_a_fault_with_its_line(general: str, faulty: str) -> None:
    with pytest.raises(ConfigError) as caught:
        planned(general)
    assert faulty in caught.value.message
    assert caught.value.where == "config.yml:1"


@pytest.mark.parametrize(
    ("name", "login"),
    [
        ("imagePushToRegistry", {"targetRegistryUser", "targetRegistryPassword"}),
        ("gitOpsUpdateDeployment", {"username", "password"}),
    ],
)
def test_our_own_steps_have_their_logins_in_vault(name: str, login: set[str]) -> None:
    found = planned(ON, step=load_schema(name))
    assert {question.parameter for question in found.questions} >= login


def test_the_keys_of_vault_are_those_of_its_metadata_and_of_the_step() -> None:
    shared = {
        "allowPlainHttp",
        "customTlsCertificateLinks",
        HOSTS_KEY,
        CREDENTIALS_KEY,
        IDS_KEY,
        STRICT_KEY,
        ENFORCEMENT,
    }
    assert {parameter.name for parameter in vault_schema().parameters} - shared == VAULT_KEYS
    # configName is the step's own
    assert vault_keys(STEP) == VAULT_KEYS | PROGRAM_KEYS | {"deployVaultSecretName"}


# ---- $(x)


def test_names_and_roots_hold_settings_of_the_step_and_of_vault() -> None:
    found = planned(
        "vaultServerUrl: http://localhost, vaultPath: 'kv/$(vaultPipelineName)/$(space)',"
        " vaultPipelineName: shop, space: dev",
        more="steps: {deploy: {deployVaultSecretName: 'cf-$(space)-$(user)', user: me}}",
    )
    assert paths(found) == ("kv/shop/dev/cf-dev-me",)


@pytest.mark.parametrize("name", ["$(password)", "$(spaces)", "$(unknown)", "$()", "$(deploy)"])
def test_a_secret_a_list_or_an_unknown_name_has_no_place_in_a_path(name: str) -> None:
    assert (
        plan_lookup(
            STEP,
            vault_schema(),
            inputs(
                f"{ON}, password: x, spaces: [a]",
                more=f"steps: {{deploy: {{deployVaultSecretName: '{name}'}}}}",
            ),
        )
        is None
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("a", "a"),
        ("$(a)", "1"),
        ("$(a)$(a)-$(b.c)", "11-2"),
        ("$(deep)", "<1>"),
        ("$(x)", None),
        ("$(a) $(x)", None),
        ("$(loop)", None),
        ("$(twice)", None),
        ("$( a)", "$( a)"),
        ("$(a", "$(a"),
        ("$$(a)", "$1"),
        ("$(ten)", "end"),
        ("$(eleven)", None),
    ],
)
def test_placeholders_are_replaced_to_a_depth_of_ten(text: str, expected: str | None) -> None:
    chain = {f"n{number}": f"$(n{number + 1})" for number in range(1, 9)} | {
        "n9": "end",
        "ten": "$(n1)",
        "eleven": "$(ten)",
    }
    properties = {
        "a": "1",
        "b.c": "2",
        "deep": "<$(a)>",
        "loop": "$(loop)",
        "twice": "$(twice)$(twice)$(twice)$(twice)",
        **chain,
    }
    assert interpolate(text, properties) == expected


@given(
    st.dictionaries(st.sampled_from("abc"), st.text("$()abcx", max_size=2048)),
    st.text("$()abc", max_size=60),
)
@settings(max_examples=60)
def test_replacing_ends_and_stays_short_whatever_refers_to_what(
    properties: dict[str, str], text: str
) -> None:
    found = interpolate(text, properties)
    assert found is None or (len(found) <= 2048 and "$(a)" not in found)


@pytest.mark.parametrize("path", ["secret/../sys", "..", "a/./b", "a\u0007b", "a\nb"])
def test_a_path_that_climbs_or_holds_what_no_path_has_is_a_fault_of_its_key(path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        planned("vaultServerUrl: http://localhost", parameters={"vaultPath": path})
    assert caught.value.where == "parameter of the call"
    assert "\n" not in caught.value.message


# ---- where the login may go


def admitted(
    general: str, team: str = "", *, standing: BuildTrust = BRANCH, **others: Any
) -> list[str]:
    """The log lines if the login and the paths are admitted; raises the errors of `admit`."""
    found, told = planned(general, team, **others), list[str]()
    admit_lookup(found, addressees(found.settings, standing, told), LOGIN)
    return told


def refusal(general: str, team: str = "", **others: Any) -> CredentialError:
    with pytest.raises(CredentialError) as caught:
        admitted(f"vaultPath: a, {general}", team, **others)
    return caught.value


SERVER = "vaultServerUrl: 'https://vault.example'"


@pytest.mark.parametrize("standing", [BRANCH, REQUEST])
@pytest.mark.parametrize("host", ["vault.example", "127.0.0.1:8200"])
def test_a_server_that_only_the_project_names_does_not_get_the_login(
    host: str, standing: BuildTrust
) -> None:
    fault = refusal(f"vaultServerUrl: 'https://{host}'", standing=standing)
    assert (
        f"the login for Vault (PIPER_vaultToken) is not sent to {host}, since this host is named"
        f" only by config.yml:1, and a pull request can change that: {standing.build}"
        in fault.message
    )
    assert fault.where == "config.yml:1"
    assert f"`general: {{credentials: {{PIPER_vaultToken: [{host}]}}}}`" in fault.hint
    assert refusal(
        f"vaultServerUrl: 'https://{host}'", "general: {enforcement: warn}", standing=REQUEST
    ).message


def test_on_the_productive_branch_it_does_and_an_auditor_finds_that() -> None:
    told = admitted(f"vaultPath: kv/a, {SERVER}", standing=PRODUCTIVE)
    assert told == [
        (
            "the login for Vault (PIPER_vaultToken) goes to vault.example: named by config.yml:1,"
            " for the productive branch main"
        ),
        "Vault is asked for kv/a/deploy: named by config.yml:1, for the productive branch main",
    ]
    strict = refusal(SERVER, "general: {strictCredentials: true}", standing=PRODUCTIVE)
    assert "strictCredentials is set" in strict.message


def test_where_that_is_new_it_is_a_warning_under_enforcement_warn() -> None:
    told = admitted(f"vaultPath: kv/a, {SERVER}", "general: {enforcement: warn}")
    assert [line.startswith("warning: ") and "enforcement: warn" in line for line in told] == [
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("team", "path", "said"),
    [
        ("vaultPath: kv/mine", "kv/mine", ""),
        ("vaultPath: kv/mine", "kv/mine/below", ""),
        ("vaultBasePath: kv", "kv/other", ""),
        ("vaultPath: kv/mine", "kv/mineral", "trusted layers name kv/mine"),
        ("vaultPath: kv/mine", "kv/other", "trusted layers name kv/mine"),
        ("vaultPath: 'kv/$(vaultPipelineName)', vaultPipelineName: mine", "kv/mine/x", ""),
        ("vaultPath: 'kv/team-$(space)'", "kv/team-x", ""),
        ("vaultPath: 'kv/team/$(space)'", "kv/other", "trusted layers name kv/team/$(space)"),
        ("vaultPath: 'kv/team-$(space)'", "kv/payroll", "trusted layers name kv/team-$(space)"),
        ("vaultPath: 'kv/team-$(space)'", "kv/team-x/y", ""),
        ("vaultPath: 'kv/$(space)/ci'", "kv/x/ci/y", ""),
        ("vaultPath: 'kv/$(space)/ci'", "kv/x/y", "trusted layers name kv/$(space)/ci"),
        ("vaultPath: 'kv/$(unit)-$(space)', vaultPipelineName: '$(space)'", "kv/x-y", ""),
        ("vaultPath: '$(space)/ci'", "kv/ci", "branch x is built"),
        ("vaultPath: 'kv/team.$(space)'", "kv/team-x", "trusted layers name kv/team.$(space)"),
        ("vaultPaths: ['kv/*/deploy']", "kv/x", ""),
        ("vaultPaths: ['kv/**']", "kv/x/y", ""),
        ("vaultPaths: ['kv/*']", "kv/x", "vaultPaths has kv/*"),
        ("vaultPath: kv/mine, vaultPaths: ['kv/x/**']", "kv/mine/y", "vaultPaths has kv/x/**"),
        ("vaultPath: kv/mine, vaultPaths: ['kv/x/**']", "kv/mine", ""),
        ("", "kv/x", "branch x is built"),
        ("strictCredentials: true", "kv/x", "branch x is built"),
    ],
)
def test_the_project_chooses_paths_below_those_of_the_platform_team(
    team: str, path: str, said: str
) -> None:
    rules = f"general: {{{', '.join(filter(None, [SERVER, team]))}}}"
    if not said:
        assert admitted(f"vaultPath: {path}", rules) == []
        return
    with pytest.raises(CredentialError) as caught:
        admitted(f"vaultPath: {path}", rules)
    assert (
        f"Vault is not asked for {path}/deploy, since this path is named only by config.yml:1, and"
        f" a pull request can change that: {said}" in caught.value.message
    )
    there = (
        said.removeprefix("vaultPaths has ").replace("trusted layers name ", "").split()
        if "kv/" in said
        else []
    )
    there = [f"{one.replace('$(space)', '*')}/**" if "$(" in one else one for one in there]
    # a list in the place of theirs keeps what they allow
    beside = "".join(f"'{one if '*' in one else f'{one}/**'}', " for one in there)
    assert f"`general: {{vaultPaths: [{beside}'{path}/deploy']}}`" in caught.value.hint


def test_a_name_of_a_secret_that_the_project_chooses_counts_as_its_path() -> None:
    """Another secret below a path of the platform team is the project's to choose; the place
    that does is named where it is not.
    """
    team = f"general: {{{SERVER}, vaultPath: kv/mine, vaultPaths: [kv/mine/ours]}}"
    chosen = "\n\nsteps: {deploy: {deployVaultSecretName: %s}}"
    assert admitted("space: x", team, more=chosen % "ours") == []
    with pytest.raises(CredentialError, match="Vault is not asked for kv/mine/theirs") as caught:
        admitted("space: x", team, more=chosen % "theirs")
    assert caught.value.where == "config.yml:4"


def test_another_path_on_the_host_of_the_platform_team_is_another_server() -> None:
    team = "general: {vaultServerUrl: 'https://vault.example/one', vaultPath: a}"
    assert admitted("vaultServerUrl: 'https://VAULT.example:443/one/'", team) == []
    assert (
        "names another server"
        in refusal("vaultServerUrl: 'https://vault.example/two'", team, standing=PRODUCTIVE).message
    )


@pytest.mark.parametrize(
    ("team", "others"),
    [
        ("general: {vaultServerUrl: 'https://VAULT.example:443/'}", {}),
        ("general: {credentialHosts: [a, vault.example]}", {}),
        ("general: {credentialHosts: ['*.example']}", {}),
        ("general: {credentialHosts: ['vault.example:443']}", {}),
        ("", {"environ": {"PIPER_vaultServerUrl": "https://vault.example"}}),
        ("", {"environ": {"PIPER_credentialHosts": "vault.example"}}),
        ("", {"parameters": {"vaultServerUrl": "https://vault.example"}}),
        (
            (
                "general: {vaultServerUrl: 'https://vault.example', credentialHosts:"
                " [registry.example]}"
            ),
            {},
        ),
    ],
)
def test_a_server_that_the_platform_team_or_the_call_names_or_admits_does(
    team: str, others: dict[str, Any]
) -> None:
    paths = f"{team[:-1]}, vaultPaths: ['**']}}" if team else "general: {vaultPaths: ['**']}"
    assert admitted("vaultServerUrl: 'https://vault.example', vaultPath: a", paths, **others) == []


@pytest.mark.parametrize(
    "team",
    [
        "general: {vaultServerUrl: 'https://other.example'}",
        "general: {vaultServerUrl: 'https://vault.example:8200'}",
        "general: {vaultServerUrl: 'http://vault.example'}",
        "general: {vaultServerUrl: nonsense}",
    ],
)
def test_another_host_port_or_scheme_is_not_the_named_server(team: str) -> None:
    assert "vault.example" in refusal("vaultServerUrl: 'https://vault.example'", team).message


def test_a_host_that_the_platform_team_does_not_admit_is_refused_with_those_that_it_does() -> None:
    assert (
        "registry.example"
        in refusal(
            "vaultServerUrl: 'https://vault.example'",
            "general: {credentialHosts: [registry.example]}",
        ).hint
    )


def test_the_project_cannot_admit_a_host_itself() -> None:
    with pytest.raises(ConfigError) as caught:
        planned(
            "vaultServerUrl: 'https://vault.example', vaultPath: a, credentialHosts:"
            " [vault.example]"
        )
    assert "credentialHosts" in caught.value.message


def test_plain_http_needs_the_consent_of_the_platform_team() -> None:
    named = {"PIPER_vaultServerUrl": "http://vault.example:8200"}
    assert "plain http to vault.example:8200" in refusal("space: x", environ=named).message
    assert (
        planned("vaultPath: a", environ={**named, "PIPER_allowPlainHttp": "true"}).server.url
        == "http://vault.example:8200"
    )


@pytest.mark.parametrize(
    "url",
    [
        "vault.example",
        "ftp://vault.example",
        "https://",
        "https://me:pass@vault.example",
        "https://vault.example?x",
        "https://vault.example#x",
        "https://vault.example:0",
        "https://vault.example:99999",
        "https://va ult.example",
        "https://[1",
    ],
)
def test_an_invalid_server_url_is_an_error_that_does_not_repeat_it(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        planned(f"vaultPath: a, vaultServerUrl: '{url}'", parameters={"vaultServerUrl": url})
    assert caught.value.where == "parameter of the call"
    assert "pass" not in caught.value.message


# ---- answers

USER = VaultQuestion(parameter="user", paths=("a", "b"), fields=("user",))
PASSWORD = VaultQuestion(parameter="password", paths=("a", "b"), fields=("password", "token"))


def asked(
    stored: dict[str, dict[str, str]], *wanted: VaultQuestion
) -> tuple[list[VaultAnswer], list[str]]:
    read: list[str] = []

    def reader(path: str) -> dict[str, str]:
        read.append(path)
        return stored.get(path, {})

    return list(read_answers(wanted, reader)), read


def test_the_first_path_with_a_value_wins_and_the_rest_is_not_read() -> None:
    found, read = asked({"a": {"user": "me"}, "b": {"user": "you"}}, USER)
    assert found == [
        VaultAnswer(parameter="user", value="me", origin="Vault a field user", file=False)
    ]
    assert read == ["a"]


def test_an_empty_or_missing_value_leads_on_to_the_next_path_for_that_parameter_alone() -> None:
    found, read = asked(
        {"a": {"user": "", "password": "p"}, "b": {"user": "you", "password": "q"}}, USER, PASSWORD
    )
    assert [(answer.parameter, answer.value) for answer in found] == [
        ("user", "you"),
        ("password", "p"),
    ]
    assert read == ["a", "b"]  # each once


def test_an_alias_counts_where_the_parameters_own_field_is_empty_but_only_in_the_same_secret() -> (
    None
):
    assert [
        answer.value for answer in asked({"a": {"token": "t"}, "b": {"password": "p"}}, PASSWORD)[0]
    ] == ["t"]
    assert [
        answer.origin for answer in asked({"a": {"token": "t", "password": "p"}}, PASSWORD)[0]
    ] == ["Vault a field password"]


def test_what_vault_does_not_have_has_no_answer() -> None:
    assert asked({}, USER, PASSWORD) == ([], ["a", "b"])


def test_a_file_stays_marked_as_one() -> None:
    assert asked({"a": {"user": "x"}}, replace(USER, file=True))[0][0].file


def test_a_fault_of_vaults_settings_does_not_complain_of_the_steps_own() -> None:
    with pytest.raises(ConfigError) as caught:
        planned("skipVault: maybe", more="steps: {deploy: {space: here, configName: mine}}")
    assert caught.value.hint == "write true or false"


APP = parse_schema(
    {
        "name": "deploy",
        "description": "Deploys.",
        "parameters": [
            {
                "name": "appId",
                "type": "string",
                "description": "Id.",
                "scope": SCOPE,
                "vault": {"secret": "appVaultSecretName", "field": "id"},
            },
            {
                "name": "appKey",
                "type": "string",
                "description": "Key.",
                "scope": SCOPE,
                "secret": True,
                "vault": {"secret": "appVaultSecretName", "field": "key"},
            },
            {
                "name": "appVaultSecretName",
                "type": "string",
                "description": "Name.",
                "scope": ["STEPS"],
            },
        ],
    },
    "deploy.yaml",
)


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ({"b/p/app": {"id": "1", "key": "k"}}, ["1", "k"]),
        ({"b/p/app": {"id": "1"}, "b/GROUP-SECRETS/app": {"id": "2", "key": "l"}}, ["1"]),
        ({"b/p/app": {"appId": "1", "appKey": "k"}}, []),
        ({"b/GROUP-SECRETS/app": {"id": "2", "key": "l"}}, ["2", "l"]),
    ],
)
def test_a_secret_that_holds_fields_of_other_names_is_one_whole(
    held: dict[str, dict[str, str]], expected: list[str]
) -> None:
    found = planned(
        "vaultServerUrl: http://localhost, vaultBasePath: b, vaultPipelineName: p",
        step=APP,
        more="steps: {deploy: {appVaultSecretName: app}}",
    )
    assert [
        answer.value for answer in read_answers(found.questions, lambda path: held.get(path, {}))
    ] == expected


def test_the_github_app_is_in_vault_only_where_its_secret_is_named() -> None:
    on = "vaultServerUrl: http://localhost, vaultPath: a"
    fields = {
        question.parameter: question.fields
        for question in planned(on, step=load_schema("gitOpsUpdateDeployment")).questions
    }
    assert not fields.keys() & {"githubAppId", "githubAppPrivateKey"}
    named = planned(
        on,
        step=load_schema("gitOpsUpdateDeployment"),
        more="steps: {gitOpsUpdateDeployment: {githubAppVaultSecretName: app}}",
    )
    fields = {question.parameter: question.fields for question in named.questions}
    assert (fields["githubAppId"], fields["githubAppPrivateKey"]) == (("appId",), ("privateKey",))
