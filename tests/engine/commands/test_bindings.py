from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.calls import Ending, configure, request
from tests.plans import MAIN, planned, step_of

DEPLOY: dict[str, Any] = {
    "steps": {
        "gitOpsUpdateDeployment": {
            "serverUrl": "https://git.example.com/ops.git",
            "gitHttpsCredentialsId": "git-login",
            "containerName": "app",
            "containerImageNameTag": "app:1",
            "containerRegistryUrl": "https://registry.example.com",
        }
    },
    "stages": {"Acceptance": {"filePath": "a.yaml"}},
}
VAULT = {
    "vaultServerUrl": "https://vault.example.com",
    "vaultAppRoleTokenCredentialsId": "role",
    "vaultAppRoleSecretTokenCredentialsId": "secret",
}


@pytest.mark.parametrize("general", [{}, VAULT])
def test_the_plan_names_the_credentials_that_the_run_asks_for(
    workspace: Path, general: dict[str, Any]
) -> None:
    configuration = {**DEPLOY, "general": general}
    step = step_of(planned(workspace, configuration), "Acceptance", "gitOpsUpdateDeployment")
    configure(workspace, json.dumps(configuration))
    words = ["run", "gitOpsUpdateDeployment", *request(workspace, build=MAIN, stage="Acceptance")]
    run = Ending(words, workspace, {"PIPER_productiveBranch": "main"})
    assert run.result["status"] == "bind"
    assert step["bindings"] == run.result["bindings"]
    assert step["bindings"]


def test_a_branch_that_may_not_bind_a_credential_is_not_promised_it(workspace: Path) -> None:
    configuration = {**DEPLOY, "general": {"runInAllBranches": True}}
    plan = planned(workspace, configuration, build={"branch": "x"})
    assert step_of(plan, "Acceptance", "gitOpsUpdateDeployment")["bindings"] == []


def test_a_step_reads_the_secrets_of_its_own_parameters_only(workspace: Path) -> None:
    configuration = {
        **DEPLOY,
        "stages": {**DEPLOY["stages"], "Build": {"imagePushToRegistry": True}},
    }
    plan = planned(workspace, configuration)
    push = step_of(plan, "Build", "imagePushToRegistry")
    deploy = step_of(plan, "Acceptance", "gitOpsUpdateDeployment")
    assert "container/repositoryPassword" in push["reads"]
    assert "container/repositoryPassword" not in deploy["reads"]


def test_a_step_of_another_library_asks_for_nothing(workspace: Path) -> None:
    plan = planned(workspace, {"stages": {"Build": {"kanikoExecute": True}}})
    assert "bindings" not in step_of(plan, "Build", "kanikoExecute")
