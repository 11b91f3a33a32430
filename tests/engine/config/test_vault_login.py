from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.trust import BRANCH, PRODUCTIVE, REQUEST, addressees
from towline.config.documents import ConfigDocuments, parse_document
from towline.config.layers import Inputs
from towline.config.metadata import load_schema, vault_schema
from towline.config.vault_login import (
    choose_login,
    clean_path,
    credential_of,
    is_bindable,
    missing_login,
    role_of,
)
from towline.config.vault_lookup import VaultLookup, admit_lookup, plan_lookup
from towline.credential_hosts import BuildTrust
from towline.errors import ConfigError, CredentialError
from towline.record import replace
from towline.vault.logins import (
    ID_TOKEN_BEARER,
    ID_TOKEN_URL,
    JWT_FILE,
    JWT_VARIABLE,
    PODS_FILE,
    ROLE_ID,
    SECRET_ID,
    SERVICE_ACCOUNT,
    TOKEN_VARIABLE,
    VaultLogin,
)

SERVER = "vaultServerUrl: 'https://vault.example', vaultPath: kv/a"


def planned(project: str, team: str = "", environ: Mapping[str, str] | None = None) -> VaultLookup:
    defaults = parse_document(f"general: {{{team}}}", "team.yml", trusted=True)
    documents = ConfigDocuments(
        defaults=(defaults,),
        project=parse_document(f"general: {{{project}}}", "config.yml", trusted=False),
    )
    inputs = Inputs(
        stage="",
        documents=documents,
        pipeline_environment={},
        environ=environ or {},
        parameters={},
        flags={},
    )
    found = plan_lookup(load_schema("imagePushToRegistry"), vault_schema(), inputs)
    assert found is not None
    return found


def chosen(
    project: str,
    team: str = SERVER,
    *,
    there: tuple[str, ...] = (JWT_VARIABLE,),
    environ: Mapping[str, str] | None = None,
) -> tuple[VaultLookup, VaultLogin]:
    found = planned(project, team, environ)
    login = choose_login(found.settings, there)
    assert login is not None
    return found, login


def admitted(
    project: str,
    team: str = SERVER,
    *,
    standing: BuildTrust = BRANCH,
    there: tuple[str, ...] = (JWT_VARIABLE,),
) -> list[str]:
    """The log lines if the login is admitted; raises the errors of `admit`."""
    found, login = chosen(project, team, there=there)
    told = list[str]()
    admit_lookup(found, addressees(found.settings, standing, told), login)
    return told


# ---- which


def test_the_settings_choose_method_role_mount_and_namespace() -> None:
    _, login = chosen(
        "vaultAuthMethod: jwt, vaultAuthRole: team, vaultAuthMount: /ci/tokens/, vaultNamespace:"
        " /unit/"
    )
    assert (login.method, login.role, login.mount, login.namespace, login.source) == (
        "jwt",
        "team",
        "ci/tokens",
        "unit",
        (JWT_VARIABLE,),
    )
    assert role_of(login) == "unit/ci/tokens/team"


@pytest.mark.parametrize(
    ("there", "mount"),
    [
        ((ROLE_ID, SECRET_ID), "approle"),
        ((JWT_FILE,), "jwt"),
        ((SERVICE_ACCOUNT,), "kubernetes"),
        ((TOKEN_VARIABLE,), ""),
    ],
)
def test_every_method_has_its_usual_mount(there: tuple[str, ...], mount: str) -> None:
    assert chosen("vaultAuthRole: team", there=there)[1].mount == mount


def test_a_role_of_the_settings_is_none_of_an_app_role() -> None:
    assert chosen("vaultAuthRole: team", there=(ROLE_ID, SECRET_ID))[1].role == ""


def test_a_mount_that_climbs_is_a_fault_of_its_line() -> None:
    with pytest.raises(ConfigError, match="is not a path in Vault") as caught:
        chosen("vaultAuthMount: ../sys")
    assert caught.value.where == "config.yml:1"


def test_kubernetes_needs_a_role() -> None:
    with pytest.raises(ConfigError, match="needs vaultAuthRole"):
        chosen("vaultAuthMethod: kubernetes", there=(SERVICE_ACCOUNT,))


def test_a_method_that_nobody_knows_is_a_fault_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="vaultAuthMethod"):
        planned("vaultAuthMethod: ldap", SERVER)


def test_half_a_login_is_a_note_and_a_method_without_its_login_a_fault() -> None:
    settings = planned("", SERVER).settings
    assert missing_login(settings, ()) == ""
    assert (
        missing_login(settings, (ROLE_ID,))
        == f"Vault is not asked: {ROLE_ID} is set and {SECRET_ID} is not"
    )
    with pytest.raises(CredentialError, match="vaultAuthMethod: kubernetes") as caught:
        missing_login(planned("vaultAuthMethod: kubernetes", SERVER).settings, (TOKEN_VARIABLE,))
    assert SERVICE_ACCOUNT in caught.value.hint
    with pytest.raises(CredentialError) as caught:
        missing_login(planned("vaultAuthMethod: approle", SERVER).settings, ())
    assert (
        f"set {ROLE_ID} and {SECRET_ID}, in Jenkins vaultAppRoleTokenCredentialsId and"
        " vaultAppRoleSecretTokenCredentialsId" in caught.value.hint
    )


@pytest.mark.parametrize(
    ("project", "there", "expected"),
    [
        ("", (), True),
        ("", (ROLE_ID,), True),
        ("", (TOKEN_VARIABLE,), False),
        ("", (ROLE_ID, SECRET_ID), False),
        ("", (JWT_VARIABLE,), False),
        ("vaultAuthRole: team", (SERVICE_ACCOUNT,), True),
        ("vaultAuthMethod: kubernetes", (), False),
        ("vaultAuthMethod: jwt", (), False),
        ("vaultAuthMethod: approle", (TOKEN_VARIABLE, JWT_VARIABLE), True),
        ("vaultAuthMethod: token", (ROLE_ID, SECRET_ID), True),
    ],
)
def test_jenkins_may_hold_the_login_where_nothing_else_is_meant(
    project: str, there: tuple[str, ...], *, expected: bool
) -> None:
    assert is_bindable(planned(project, SERVER).settings, there) is expected


# ---- the role


@pytest.mark.parametrize(
    "there", [(JWT_VARIABLE,), (JWT_FILE,), (ID_TOKEN_URL, ID_TOKEN_BEARER), (SERVICE_ACCOUNT,)]
)
@pytest.mark.parametrize("standing", [BRANCH, REQUEST])
@pytest.mark.parametrize(
    "key",
    [
        "vaultAuthRole: admin",
        "vaultAuthRole: team, vaultAuthMount: other",
        "vaultAuthRole: team, vaultNamespace: other",
    ],
)
def test_a_branch_chooses_no_role_nor_the_mount_or_namespace_that_it_has_it_in(
    there: tuple[str, ...], standing: BuildTrust, key: str
) -> None:
    with pytest.raises(
        CredentialError,
        match=r"Vault is not asked for the role .*, since this role is named only by config\.yml:1",
    ) as caught:
        admitted(key, standing=standing, there=there)
    assert standing.build in caught.value.message
    assert "`general: {vaultAuthRoles: [" in caught.value.hint


def test_on_the_productive_branch_it_does_and_an_auditor_finds_that() -> None:
    told = admitted("vaultAuthRole: team", standing=PRODUCTIVE)
    assert told == [
        "Vault is to give the role jwt/team: named by config.yml:1, for the productive branch main"
    ]
    with pytest.raises(CredentialError, match="strictCredentials is set"):
        admitted("vaultAuthRole: team", f"{SERVER}, strictCredentials: true", standing=PRODUCTIVE)


@pytest.mark.parametrize(
    ("project", "team"),
    [
        ("unrelated: x", "vaultAuthRole: team"),
        ("vaultAuthRole: team", "vaultAuthRole: team"),
        ("vaultAuthRole: team", "vaultAuthRoles: [jwt/team]"),
        ("vaultAuthRole: team", "vaultAuthRoles: ['*/team']"),
        (
            "vaultAuthRole: team, vaultNamespace: unit, vaultAuthMount: ci/jwt",
            "vaultAuthRoles: ['unit/**/team']",
        ),
        ("vaultAuthRole: team-a", "vaultAuthRole: other, vaultAuthRoles: ['jwt/team-*']"),
        ("vaultAuthMethod: jwt", "vaultAuthMethod: jwt"),
        ("vaultAuthMethod: jwt", "vaultAuthRoles: [jwt/default]"),
        ("vaultAuthMount: /jwt", "vaultAuthRole: team"),
        (
            "vaultNamespace: unit/, vaultAuthMount: ci//",
            "vaultAuthRole: team, vaultNamespace: /unit, vaultAuthMount: ci",
        ),
    ],
)
def test_a_role_that_the_platform_team_has_or_lets_the_project_choose_is_asked_for_everywhere(
    project: str, team: str
) -> None:
    for standing in (BRANCH, REQUEST, PRODUCTIVE):
        assert admitted(project, f"{SERVER}, {team}", standing=standing) == []


@pytest.mark.parametrize(
    ("project", "team", "why"),
    [
        ("vaultAuthRole: admin", "vaultAuthRole: team", "trusted layers have vaultAuthRole: team"),
        (
            "vaultAuthRole: admin",
            "vaultAuthRoles: ['jwt/team-*']",
            r"vaultAuthRoles has jwt/team-\*",
        ),
        (
            "vaultAuthRole: team-a, vaultAuthMount: other",
            "vaultAuthRoles: ['jwt/team-*']",
            "vaultAuthRoles has",
        ),
        (
            "vaultNamespace: other",
            "vaultAuthRole: team, vaultNamespace: unit",
            "trusted layers have vaultNamespace: unit",
        ),
        (
            "vaultAuthMount: jwt",
            "vaultAuthRole: team, vaultAuthMount: ci",
            "trusted layers have vaultAuthMount: ci",
        ),
        (
            "vaultNamespace: ''",
            "vaultAuthRole: team, vaultNamespace: unit",
            "trusted layers have vaultNamespace: unit",
        ),
        (
            "vaultNamespace: '/'",
            "vaultAuthRole: team, vaultNamespace: unit",
            "trusted layers have vaultNamespace: unit",
        ),
        (
            "vaultAuthMount: ''",
            "vaultAuthRole: team, vaultAuthMount: ci",
            "trusted layers have vaultAuthMount: ci",
        ),
        (
            "vaultAuthRole: ''",
            "vaultAuthRole: team, vaultAuthMount: ci",
            "trusted layers have vaultAuthRole: team",
        ),
        ("vaultAuthRole: team/", "vaultAuthRole: team", "trusted layers have vaultAuthRole: team"),
    ],
)
@pytest.mark.parametrize("standing", [BRANCH, PRODUCTIVE])
def test_another_one_than_the_platform_teams_is_refused_on_the_productive_branch_too(
    project: str, team: str, why: str, standing: BuildTrust
) -> None:
    with pytest.raises(CredentialError, match=why):
        admitted(project, f"{SERVER}, {team}", standing=standing)


def test_a_mount_of_an_app_role_is_the_projects_to_choose() -> None:
    """The ids open one role of one server, and are of no use to anybody else."""
    assert admitted("vaultAuthMount: roles", there=(ROLE_ID, SECRET_ID)) == []


# ---- the namespace of a token or an AppRole


@pytest.mark.parametrize("there", [(TOKEN_VARIABLE,), (ROLE_ID, SECRET_ID)])
@pytest.mark.parametrize("standing", [BRANCH, REQUEST])
def test_a_branch_chooses_no_namespace_for_the_paths_of_the_platform_team(
    there: tuple[str, ...], standing: BuildTrust
) -> None:
    with pytest.raises(
        CredentialError,
        match=r"not asked in namespace other, since this namespace is named only by config\.yml:1",
    ) as caught:
        admitted("vaultNamespace: /other/", there=there, standing=standing)
    assert "`general: {vaultPaths: ['other/**']}`" in caught.value.hint


def test_on_the_productive_branch_it_does_where_the_platform_team_names_none() -> None:
    told = admitted("vaultNamespace: other", there=(TOKEN_VARIABLE,), standing=PRODUCTIVE)
    assert told == [
        "Vault is asked in namespace other: named by config.yml:1, for the productive branch main"
    ]
    for team, why in (
        ("strictCredentials: true", "strictCredentials is set"),
        ("vaultNamespace: unit", "trusted layers have unit"),
        ("vaultPaths: ['kv/**'], vaultNamespace: unit", "trusted layers have unit"),
    ):
        with pytest.raises(CredentialError, match=why):
            admitted(
                "vaultNamespace: other",
                f"{SERVER}, {team}",
                there=(TOKEN_VARIABLE,),
                standing=PRODUCTIVE,
            )


@pytest.mark.parametrize("there", [(TOKEN_VARIABLE,), (ROLE_ID, SECRET_ID)])
@pytest.mark.parametrize("standing", [BRANCH, REQUEST, PRODUCTIVE])
@pytest.mark.parametrize("empty", ["''", "/"])
def test_nobody_leaves_the_namespace_of_the_platform_team_by_naming_none(
    there: tuple[str, ...], standing: BuildTrust, empty: str
) -> None:
    for team in ("vaultNamespace: unit", "vaultNamespace: unit, vaultPaths: ['kv/**']"):
        with pytest.raises(
            CredentialError,
            match=(
                r"not asked in its root namespace, since this namespace is named only by"
                r" config\.yml:1, and a pull request can change that: trusted layers have unit"
            ),
        ):
            admitted(
                f"vaultNamespace: {empty}", f"{SERVER}, {team}", there=there, standing=standing
            )
    assert admitted(f"vaultNamespace: {empty}", there=there, standing=standing) == []


def test_elsewhere_it_is_a_warning_under_enforcement_warn() -> None:
    told = admitted(
        "vaultNamespace: other", f"{SERVER}, enforcement: warn", there=(TOKEN_VARIABLE,)
    )
    assert [
        line.startswith(
            "warning: without `enforcement: warn` this will be refused: Vault is not asked in"
            " namespace other"
        )
        for line in told
    ] == [True]


@pytest.mark.parametrize(
    ("project", "team", "fine"),
    [
        ("vaultNamespace: unit", "vaultNamespace: /unit", True),
        ("unrelated: x", "vaultNamespace: unit", True),
        ("vaultNamespace: other", "vaultPaths: ['other/kv/a/*']", True),
        ("vaultNamespace: other, vaultPath: kv/b", "vaultPaths: ['other/**']", True),
        ("vaultNamespace: other", "vaultPaths: ['kv/a/*']", False),
        ("vaultNamespace: kv", "vaultPaths: ['kv/a/*']", False),
        ("vaultNamespace: other, vaultPath: kv/b", "vaultPaths: ['other/kv/a/*']", False),
    ],
)
def test_patterns_of_paths_begin_with_the_namespace_that_the_project_chooses(
    project: str, team: str, *, fine: bool
) -> None:
    if fine:
        assert admitted(project, f"{SERVER}, {team}", there=(TOKEN_VARIABLE,)) == []
        return
    with pytest.raises(CredentialError, match="Vault is not asked"):
        admitted(project, f"{SERVER}, {team}", there=(TOKEN_VARIABLE,))


# ---- the server


def test_a_service_accounts_token_goes_to_no_server_that_only_the_project_names() -> None:
    for standing in (PRODUCTIVE, BRANCH):
        for method, there in (
            ("kubernetes", (SERVICE_ACCOUNT,)),
            ("jwt", (JWT_FILE, SERVICE_ACCOUNT, PODS_FILE)),
            ("kubernetes", (JWT_FILE,)),
        ):
            with pytest.raises(CredentialError, match="opens its cluster as well"):
                admitted(
                    f"{SERVER}, vaultAuthRole: team, vaultAuthMethod: {method}",
                    "",
                    standing=standing,
                    there=there,
                )
    assert admitted(
        f"{SERVER}, vaultAuthRole: team",
        "credentials: {PIPER_vaultJwt: [vault.example]}",
        standing=PRODUCTIVE,
        there=(SERVICE_ACCOUNT,),
    )
    assert admitted(
        f"{SERVER}, vaultAuthRole: team",
        "credentialHosts: [vault.example]",
        standing=PRODUCTIVE,
        there=(SERVICE_ACCOUNT,),
    )
    # a JWT that was given for Vault
    for given in ((JWT_VARIABLE, JWT_FILE, PODS_FILE), (JWT_FILE, SERVICE_ACCOUNT)):
        assert admitted(f"{SERVER}, vaultAuthRole: team", "", standing=PRODUCTIVE, there=given)


def test_a_login_is_called_by_its_variable_where_it_has_one() -> None:
    names = {
        there: credential_of(chosen("vaultAuthRole: team", there=there)[1], {}).names[0]
        for there in ((TOKEN_VARIABLE,), (JWT_FILE,), (SERVICE_ACCOUNT,))
    }
    assert list(names.values()) == [TOKEN_VARIABLE, JWT_FILE, JWT_VARIABLE]


@pytest.mark.parametrize(
    "key", ["vaultAuthRoles: ['**']", "vaultAuthAudience: x", "customTlsCertificateLinks: [ca.pem]"]
)
def test_a_project_cannot_set_rules_audience_and_authorities(key: str) -> None:
    if key.startswith("custom"):  # other steps read it there
        assert planned(f"{SERVER}, {key}").settings.texts("customTlsCertificateLinks") == ()
        return
    with pytest.raises(ConfigError, match=key.partition(":")[0]):
        planned(f"{SERVER}, {key}")


def test_authorities_of_other_steps_are_none_of_vaults_and_no_fault_there() -> None:
    """Piper's builders read theirs from sections of steps and stages; `towline exec` asks Vault
    for any step.
    """
    text = (
        f"general: {{{SERVER}}}\nsteps: {{build: {{customTlsCertificateLinks: [a]}}}}\nstages:"
        " {Build: {customTlsCertificateLinks: [b]}}\n"
    )
    step = replace(load_schema("imagePushToRegistry"), name="build", aliases=())
    for trusted in (False, True):
        documents = ConfigDocuments(
            defaults=(), project=parse_document(text, "config.yml", trusted=trusted)
        )
        found = plan_lookup(
            step,
            vault_schema(),
            Inputs(
                stage="Build",
                documents=documents,
                pipeline_environment={},
                environ={},
                parameters={},
                flags={},
            ),
        )
        assert found is not None
        assert found.settings.texts("customTlsCertificateLinks") == ()
    assert planned("", f"{SERVER}, customTlsCertificateLinks: [c]").settings.texts(
        "customTlsCertificateLinks"
    ) == ("c",)


@pytest.mark.parametrize("path", ["a/../b", "..", ".", "a\nb"])
def test_a_path_that_climbs_is_refused(path: str) -> None:
    with pytest.raises(ConfigError):
        clean_path(path, "here")
