from __future__ import annotations

import pytest

from towline.commands.build import orchestrator, stage_of
from towline.errors import ConfigError


@pytest.mark.parametrize(
    ("environ", "name", "stage"),
    [
        ({}, "Unknown", ""),
        ({"STAGE_NAME": "Build"}, "Unknown", ""),
        (
            {"JENKINS_URL": "http://j.example.com", "STAGE_NAME": "Build", "GITHUB_JOB": "b"},
            "Jenkins",
            "Build",
        ),
        ({"JENKINS_HOME": "/var"}, "Jenkins", ""),
        ({"JENKINS_URL": "false", "STAGE_NAME": "Build"}, "Unknown", ""),
        ({"JENKINS_URL": ""}, "Unknown", ""),
        (
            {"GITHUB_ACTIONS": "true", "JENKINS_HOME": "/var", "GITHUB_JOB": "Release"},
            "GitHubActions",
            "Release",
        ),
        (
            {"TF_BUILD": "True", "GITHUB_ACTION": "x", "SYSTEM_STAGEDISPLAYNAME": "Promote"},
            "AzureDevOps",
            "Promote",
        ),
        ({"AZURE_HTTP_USER_AGENT": "x"}, "AzureDevOps", ""),
        ({"GITLAB_CI": "true", "STAGE_NAME": "Build"}, "Unknown", ""),
        (
            {
                "JENKINS_HOME": "/var",
                "STAGE_NAME": "Build",
                "PIPER_parametersJSON": '{"stageName": "Release"}',
            },
            "Jenkins",
            "Release",
        ),
        (
            {
                "JENKINS_HOME": "/var",
                "STAGE_NAME": "Build",
                "PIPER_parametersJSON": '{"stageName": ""}',
            },
            "Jenkins",
            "Build",
        ),
        (
            {
                "JENKINS_HOME": "/var",
                "STAGE_NAME": "Build",
                "PIPER_parametersJSON": '{"stageName": 1}',
            },
            "Jenkins",
            "Build",
        ),
    ],
)
def test_an_orchestrator_is_known_by_its_variables(
    environ: dict[str, str], name: str, stage: str
) -> None:
    assert (orchestrator(environ), stage_of(environ)) == (name, stage)


def test_parameters_that_cannot_be_read_name_no_stage_but_are_a_fault() -> None:
    with pytest.raises(ConfigError):
        stage_of({"JENKINS_URL": "j", "STAGE_NAME": "Build", "PIPER_parametersJSON": "{"})
