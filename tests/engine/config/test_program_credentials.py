from __future__ import annotations

from typing import Any

import pytest

from towline.config.documents import ConfigDocuments, parse_document
from towline.config.layers import Inputs, effective_settings
from towline.config.metadata import PROGRAM_KEYS, vault_schema
from towline.config.program_credentials import (
    FoundCredential,
    WantedCredential,
    check_credentials,
    credential_variables,
    read_credentials,
    wanted_credentials,
    with_credential_keys,
)
from towline.config.schema import StepSchema
from towline.config.vault_lookup import VaultLookup, plan_lookup
from towline.errors import ConfigError

ROOTS = "vaultServerUrl: http://localhost, vaultBasePath: kv, vaultPipelineName: shop"
STEP = with_credential_keys(StepSchema(name="npmExecuteScripts", description="", parameters=()))


def inputs(general: str, team: str = "", *, more: str = "", **others: Any) -> Inputs:
    documents = ConfigDocuments(
        defaults=(parse_document(team, "team.yml", trusted=True),) if team else (),
        project=parse_document(
            f"general: {{{ROOTS}, {general}}}\n{more}", "config.yml", trusted=False
        ),
    )
    empty: dict[str, Any] = {
        "pipeline_environment": {},
        "environ": {},
        "parameters": {},
        "flags": {},
    }
    return Inputs(stage="Release", documents=documents, **{**empty, **others})


def planned(general: str, team: str = "", **others: Any) -> VaultLookup:
    given = inputs(general, team, **others)
    assert check_credentials(effective_settings(STEP, given))
    found = plan_lookup(STEP, vault_schema(), given, ask=wanted_credentials)
    assert found is not None
    return found


def wanted(general: str, **others: Any) -> tuple[WantedCredential, ...]:
    return tuple(
        one for one in planned(general, **others).questions if isinstance(one, WantedCredential)
    )


def made(
    general: str,
    store: dict[str, dict[str, str]],
    environ: dict[str, str] | None = None,
    told: list[str] | None = None,
) -> dict[str, str]:
    """The variables for a store with these secrets."""
    lines = [] if told is None else told
    return credential_variables(
        read_credentials(wanted(general), lambda path: store.get(path, {})),
        environ or {},
        lines.append,
    )


def test_the_keys_are_those_that_a_call_may_pass_along() -> None:
    assert {parameter.name for parameter in STEP.parameters} == PROGRAM_KEYS


def test_general_credentials_are_looked_for_below_the_roots_of_parameters() -> None:
    assert wanted("vaultCredentialPath: app, vaultCredentialKeys: [user, pass]") == (
        WantedCredential(
            parameter="app",
            paths=("kv/shop/app", "kv/GROUP-SECRETS/app"),
            fields=("user", "pass"),
            prefixes=("PIPER_VAULTCREDENTIAL_",),
            encoded=True,
            where="config.yml:1",
        ),
    )
    assert wanted("vaultPath: first, vaultCredentialPath: app, vaultCredentialKeys: [user]")[
        0
    ].paths == ("first/app", "kv/shop/app", "kv/GROUP-SECRETS/app")


@pytest.mark.parametrize(
    ("more", "others", "paths"),
    [
        (
            "stages: {Release: {vaultTestCredentialPath: staged}}",
            {},
            ("kv/shop/staged", "kv/GROUP-SECRETS/staged"),
        ),
        (
            "steps: {npmExecuteScripts: {vaultTestCredentialPath: steps}}",
            {},
            ("kv/shop/steps", "kv/GROUP-SECRETS/steps"),
        ),
        (
            "",
            {"environ": {"PIPER_vaultTestCredentialPath": "agent"}},
            ("kv/shop/agent", "kv/GROUP-SECRETS/agent"),
        ),
        (
            "stages: {Release: {vaultTestCredentialPath: 'a/$(vaultPipelineName)'}}",
            {},
            ("kv/shop/a/shop", "kv/GROUP-SECRETS/a/shop"),
        ),
    ],
)
def test_every_section_counts(more: str, others: dict[str, Any], paths: tuple[str, ...]) -> None:
    assert (
        wanted(
            "vaultTestCredentialPath: app, vaultTestCredentialKeys: [user]", more=more, **others
        )[0].paths
        == paths
    )


def test_nothing_is_wanted_where_no_path_is_named() -> None:
    given = inputs(
        "vaultCredentialKeys: [a], vaultTestCredentialEnvPrefix: b, vaultCredentialPath: ''"
    )
    assert not check_credentials(effective_settings(STEP, given))
    assert plan_lookup(STEP, vault_schema(), given, ask=wanted_credentials) is None


def test_the_variables_are_called_as_piper_calls_them() -> None:
    """The prefix, then the field in capitals, without what no name has; general ones in base64,
    too, and beside an own prefix under the usual one.
    """
    store = {"kv/shop/app": {"user-name": "ann", "pa.ss w0rd!": "geheim-ü", "other": "x"}}
    assert made(
        "vaultCredentialPath: app, vaultCredentialKeys: [user-name, pa.ss w0rd!]", store
    ) == {
        "PIPER_VAULTCREDENTIAL_USER_NAME": "ann",
        "PIPER_VAULTCREDENTIAL_USER_NAME_BASE64": "YW5u",
        "PIPER_VAULTCREDENTIAL_PASSW0RD": "geheim-ü",
        "PIPER_VAULTCREDENTIAL_PASSW0RD_BASE64": "Z2VoZWltLcO8",
    }
    assert made(
        "vaultCredentialPath: app, vaultCredentialKeys: [other], vaultCredentialEnvPrefix: MY_",
        store,
    ) == {
        "MY_OTHER": "x",
        "MY_OTHER_BASE64": "eA==",
        "PIPER_VAULTCREDENTIAL_OTHER": "x",
        "PIPER_VAULTCREDENTIAL_OTHER_BASE64": "eA==",
    }
    assert made("vaultTestCredentialPath: app, vaultTestCredentialKeys: [user-name]", store) == {
        "PIPER_TESTCREDENTIAL_USER_NAME": "ann"
    }
    assert made(
        "vaultTestCredentialPath: app, vaultTestCredentialKeys: [other],"
        " vaultTestCredentialEnvPrefix: MY_",
        store,
    ) == {"MY_OTHER": "x"}


def test_several_secrets_have_their_own_keys_and_prefixes() -> None:
    store = {"kv/shop/a": {"user": "ann"}, "kv/GROUP-SECRETS/b": {"user": "bob", "token": "t"}}
    several = "vaultTestCredentialPath: [a, b], vaultTestCredentialKeys: [[user], [user, token]]"
    assert made(f"{several}, vaultTestCredentialEnvPrefix: [A_, B_]", store) == {
        "A_USER": "ann",
        "B_USER": "bob",
        "B_TOKEN": "t",
    }
    with pytest.raises(ConfigError, match="would both be the variable PIPER_TESTCREDENTIAL_USER"):
        made(several, store)
    store["kv/GROUP-SECRETS/b"]["user"] = "ann"
    assert made(several, store) == {
        "PIPER_TESTCREDENTIAL_USER": "ann",
        "PIPER_TESTCREDENTIAL_TOKEN": "t",
    }


def test_the_first_path_that_has_any_of_the_keys_decides() -> None:
    store = {
        "kv/shop/app": {"unrelated": "1"},
        "kv/GROUP-SECRETS/app": {"user": "group", "empty": ""},
    }
    read: list[str] = []

    def ask(path: str) -> dict[str, str]:
        read.append(path)
        return store.get(path, {})

    keys = wanted(
        "vaultPath: none, vaultCredentialPath: app, vaultCredentialKeys: [user, empty, absent]"
    )
    found = list(read_credentials(keys, ask))
    assert found == [
        FoundCredential(
            wanted=keys[0], path="kv/GROUP-SECRETS/app", fields=store["kv/GROUP-SECRETS/app"]
        )
    ]
    assert read == ["none/app", "kv/shop/app", "kv/GROUP-SECRETS/app"]
    told: list[str] = []
    assert credential_variables(found, {}, told.append)["PIPER_VAULTCREDENTIAL_EMPTY"] == ""
    assert told == ["Vault has no field absent at kv/GROUP-SECRETS/app (config.yml:1)"]


def test_a_secret_that_is_nowhere_is_an_error_that_names_every_place() -> None:
    with pytest.raises(ConfigError) as caught:
        made(
            "vaultCredentialPath: app, vaultCredentialKeys: [user]", {"kv/shop/app": {"other": "x"}}
        )
    assert (caught.value.message, caught.value.where) == (
        "Vault has none of user at kv/shop/app or kv/GROUP-SECRETS/app",
        "config.yml:1",
    )
    assert caught.value.hint == "correct the path or the keys, or write them into Vault"
    rootless = "steps: {npmExecuteScripts: {vaultBasePath: ''}}"
    with pytest.raises(ConfigError, match="none of user at app") as caught:
        credential_variables(
            read_credentials(
                wanted("vaultCredentialPath: app, vaultCredentialKeys: [user]", more=rootless),
                lambda _: {},
            ),
            {},
            print,
        )
    assert "set vaultPath or vaultBasePath" in caught.value.hint


@pytest.mark.parametrize(
    "general",
    [
        "vaultCredentialPath: app",
        "vaultCredentialPath: app, vaultCredentialKeys: []",
        "vaultCredentialPath: app, vaultCredentialKeys: user",
        "vaultCredentialPath: app, vaultCredentialKeys: ['']",
        "vaultCredentialPath: app, vaultCredentialKeys: [[user]]",
        "vaultCredentialPath: app, vaultCredentialKeys: [user], vaultCredentialEnvPrefix: [A_]",
        "vaultCredentialPath: [app], vaultCredentialKeys: [user]",
        "vaultCredentialPath: [a, b], vaultCredentialKeys: [[user]]",
        "vaultCredentialPath: [a, b], vaultCredentialKeys: [[user], []]",
        "vaultCredentialPath: [a, ''], vaultCredentialKeys: [[user], [user]]",
        (
            "vaultCredentialPath: [a, b], vaultCredentialKeys: [[user], [user]],"
            " vaultCredentialEnvPrefix: [A_]"
        ),
        (
            "vaultCredentialPath: [a, b], vaultCredentialKeys: [[user], [user]],"
            " vaultCredentialEnvPrefix: A_"
        ),
        "vaultCredentialPath: {a: b}, vaultCredentialKeys: [user]",
        "vaultTestCredentialPath: [[a]], vaultTestCredentialKeys: [[user]]",
    ],
)
def test_what_does_not_fit_together_is_an_error_with_its_line(general: str) -> None:
    """Piper sets no variable then, and prints no message."""
    with pytest.raises(ConfigError, match="do not have the same shape") as caught:
        check_credentials(effective_settings(STEP, inputs(general)))
    assert caught.value.where == "config.yml:1"


@pytest.mark.parametrize("prefix", ["1A", "A=B", "A-", "LD PRELOAD"])
def test_a_prefix_begins_a_name(prefix: str) -> None:
    with pytest.raises(ConfigError, match="the name of a variable cannot begin with it"):
        check_credentials(
            effective_settings(
                STEP,
                inputs(
                    "vaultCredentialPath: a, vaultCredentialKeys: [u], vaultCredentialEnvPrefix:"
                    f" '{prefix}'"
                ),
            )
        )


def test_a_field_of_signs_alone_makes_no_name() -> None:
    with pytest.raises(ConfigError, match="has no letter or digit for the name of a variable"):
        made("vaultCredentialPath: app, vaultCredentialKeys: ['+']", {"kv/shop/app": {"+": "x"}})


def test_the_projects_prefix_replaces_no_variable_that_is_there() -> None:
    store, general = (
        {"kv/shop/app": {"url": "x"}},
        "vaultTestCredentialPath: app, vaultTestCredentialKeys: [url]",
    )
    with pytest.raises(ConfigError, match="the variable JENKINS_URL exists"):
        made(f"{general}, vaultTestCredentialEnvPrefix: JENKINS_", store, {"JENKINS_URL": "y"})
    assert made(general, store, {"PIPER_TESTCREDENTIAL_URL": "y"}) == {
        "PIPER_TESTCREDENTIAL_URL": "x"
    }
    ours = planned(general, environ={"PIPER_vaultTestCredentialEnvPrefix": "JENKINS_"})
    assert credential_variables(
        read_credentials(ours.questions, lambda path: store.get(path, {})),
        {"JENKINS_URL": "y"},
        print,
    ) == {"JENKINS_URL": "x"}


@pytest.mark.parametrize(
    ("general", "team", "chosen"),
    [
        (
            "vaultCredentialPath: app, vaultCredentialKeys: [u]",
            "",
            ["kv/shop/app", "kv/GROUP-SECRETS/app"],
        ),
        # keys may be the project's: it may have any of the secret
        ("vaultCredentialKeys: [u]", f"general: {{{ROOTS}, vaultCredentialPath: app}}", []),
        (
            "vaultCredentialPath: other, vaultCredentialKeys: [u]",
            f"general: {{{ROOTS}, vaultCredentialPath: app}}",
            ["kv/shop/other", "kv/GROUP-SECRETS/other"],
        ),
        (
            "vaultCredentialKeys: [[u], [v]]",
            f"general: {{{ROOTS}, vaultCredentialPath: [a, b]}}",
            [],
        ),
    ],
)
def test_what_the_project_chooses_is_told_from_what_trusted_layers_name(
    general: str, team: str, chosen: list[str]
) -> None:
    assert list(planned(general, team).chosen) == chosen
