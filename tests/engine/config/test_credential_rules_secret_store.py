from __future__ import annotations

import pytest

from tests.trust import BRANCH, PRODUCTIVE, REQUEST
from towline.config.credential_rules import store_permission
from towline.config.documents import ConfigDocuments, parse_document
from towline.config.layers import Inputs, fold_layers, step_layers
from towline.config.metadata import load_schema
from towline.config.settings import Settings
from towline.credential_hosts import BuildTrust, CredentialRules, Permission
from towline.errors import CredentialError

TEAMS = "jenkinsUrl: 'https://jenkins.example/job/team/'"
ELSEWHERE = [
    "jenkinsUrl: 'https://jenkins.example/job/other'",
    "jenkinsUrl: 'https://jenkins.example'",
    "jenkinsCredentialDomain: other",
    "jenkinsCredentialDomain: ''",
]


def said(
    project: str,
    team: str = TEAMS,
    *,
    standing: BuildTrust = BRANCH,
    strict: bool = False,
    warn: bool = False,
) -> Permission | None:
    defaults = parse_document(
        f"steps: {{vaultRotateSecretId: {{{team}}}}}", "team.yml", trusted=True
    )
    documents = ConfigDocuments(
        defaults=(defaults,),
        project=parse_document(
            f"steps: {{vaultRotateSecretId: {{{project}}}}}", "config.yml", trusted=False
        ),
    )
    inputs = Inputs(
        stage="", documents=documents, pipeline_environment={}, environ={}, parameters={}, flags={}
    )
    schema = load_schema("vaultRotateSecretId")
    layers = step_layers(schema, inputs)
    return store_permission(
        CredentialRules(strict=strict, warn=warn, standing=lambda: standing),
        Settings(schema, fold_layers(schema, layers), layers),
    )


@pytest.mark.parametrize(
    "project",
    [
        "unrelated: x",
        "jenkinsUrl: 'https://jenkins.example/job/team'",
        "jenkinsCredentialDomain: _",
    ],
)
def test_what_the_platform_team_has_named_is_written_to_everywhere(project: str) -> None:
    for standing in (BRANCH, REQUEST, PRODUCTIVE):
        assert said(project, standing=standing) is None


@pytest.mark.parametrize("project", ELSEWHERE)
def test_another_folder_or_domain_of_that_host_is_named_on_the_productive_branch_alone(
    project: str,
) -> None:
    for standing, strict in ((BRANCH, False), (REQUEST, False), (PRODUCTIVE, True)):
        with pytest.raises(
            CredentialError,
            match=(
                r"no secret id is written over the credential at jenkins.*, since this place is"
                r" named only by config\.yml:1"
            ),
        ):
            said(project, standing=standing, strict=strict)
    word = said(project, standing=PRODUCTIVE)
    assert word is not None
    assert "named by config.yml:1, for the productive branch main" in word.line


def test_it_is_a_warning_under_enforcement_warn_and_not_for_change_requests() -> None:
    word = said(ELSEWHERE[0], warn=True)
    assert word is not None
    assert word.warning
    with pytest.raises(CredentialError):
        said(ELSEWHERE[0], warn=True, standing=REQUEST)
