from __future__ import annotations

import pytest

from towline.commands.orchestrator import branch_of, change_of, orchestrator, stage_of
from towline.errors import ConfigError


@pytest.mark.parametrize(
    ("environ", "name", "stage"),
    [
        ({}, "Unknown", ""),
        ({"STAGE_NAME": "Build"}, "Unknown", ""),
        ({"JENKINS_URL": "http://j.example.com", "STAGE_NAME": "Build", "GITHUB_JOB": "b"}, "Jenkins", "Build"),
        ({"JENKINS_HOME": "/var"}, "Jenkins", ""),
        ({"JENKINS_URL": "false", "STAGE_NAME": "Build"}, "Unknown", ""),
        ({"JENKINS_URL": ""}, "Unknown", ""),
        ({"GITHUB_ACTIONS": "true", "JENKINS_HOME": "/var", "GITHUB_JOB": "Release"}, "GitHubActions", "Release"),
        ({"TF_BUILD": "True", "GITHUB_ACTION": "x", "SYSTEM_STAGEDISPLAYNAME": "Promote"}, "AzureDevOps", "Promote"),
        ({"AZURE_HTTP_USER_AGENT": "x"}, "AzureDevOps", ""),
        ({"JENKINS_HOME": "/var", "STAGE_NAME": "Build", "PIPER_parametersJSON": '{"stageName": "Release"}'}, "Jenkins", "Release"),
        ({"JENKINS_HOME": "/var", "STAGE_NAME": "Build", "PIPER_parametersJSON": '{"stageName": ""}'}, "Jenkins", "Build"),
        ({"JENKINS_HOME": "/var", "STAGE_NAME": "Build", "PIPER_parametersJSON": '{"stageName": 1}'}, "Jenkins", "Build"),
    ],
)
def test_an_orchestrator_is_known_by_its_variables(environ: dict[str, str], name: str, stage: str) -> None:
    assert (orchestrator(environ), stage_of(environ)) == (name, stage)


@pytest.mark.parametrize(("environ", "branch", "change"), [
    ({"JENKINS_URL": "j", "BRANCH_NAME": "main"}, "main", False),
    ({"JENKINS_URL": "j", "BRANCH_NAME": "PR-7", "CHANGE_ID": "7"}, "PR-7", True),
    ({"GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/heads/feature/y", "GITHUB_HEAD_REF": "", "BRANCH_NAME": "main"}, "feature/y", False),
    ({"GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/pull/7/merge", "GITHUB_HEAD_REF": "y"}, "refs/pull/7/merge", True),
    ({"TF_BUILD": "True", "BUILD_SOURCEBRANCH": "refs/heads/main"}, "main", False),
    ({"TF_BUILD": "True", "BUILD_SOURCEBRANCH": "refs/pull/7/merge", "SYSTEM_PULLREQUEST_PULLREQUESTID": "7"}, "refs/pull/7/merge", True),
    ({"BRANCH_NAME": "main", "CHANGE_ID": "7"}, "", False),
])
def test_branch_and_change_request_are_what_the_orchestrator_says(environ: dict[str, str], branch: str, change: bool) -> None:  # noqa: FBT001 - a table
    assert (branch_of(environ), bool(change_of(environ))) == (branch, change)


def test_parameters_that_cannot_be_read_name_no_stage_but_are_a_fault() -> None:
    with pytest.raises(ConfigError):
        stage_of({"JENKINS_URL": "j", "STAGE_NAME": "Build", "PIPER_parametersJSON": "{"})
