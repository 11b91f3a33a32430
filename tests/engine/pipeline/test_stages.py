from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from towline.config.conditions import Decision
from towline.config.documents import ConfigDocuments, parse_document
from towline.errors import ConfigError, UsageError
from towline.pipeline.build import BuildContext
from towline.pipeline.definition import Pipeline, definition, parse_pipeline
from towline.pipeline.planned import StagePlan
from towline.pipeline.stages import (
    check_flags,
    decide_step,
    evaluate_flags,
    plan_stages,
)

SEED = (Path(__file__).parents[1] / "config" / "seed.yml").read_text(encoding="utf-8")
STAGES = [
    "Init",
    "Pull-Request Voting",
    "Build",
    "Additional Unit Tests",
    "Integration",
    "Acceptance",
    "Security",
    "Performance",
    "Compliance",
    "Confirm",
    "Promote",
    "Release",
    "Post",
]
NOTHING = "a change-request build pushes and deploys nothing"
# the steps that a stage of every build runs whatever is configured
ALWAYS = {
    "Init": {"pipelineStashFilesBeforeBuild"},
    "Post": {
        "influxWriteData",
        "mailSendNotification",
        "debugReportArchive",
        "piperPublishWarnings",
    },
}
PUBLISHING = {step.name for stage in definition().stages for step in stage.steps if step.publishes}


class Listing:
    """A workspace that has exactly these files."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.asked: list[str] = []

    def find(self, pattern: str) -> str:
        self.asked.append(pattern)
        if pattern.startswith(("/", "..")):
            raise ConfigError(f"{pattern!r} is not a path inside the workspace")
        return pattern if pattern in self.names else ""

    def find_script(self, name: str, excludes: Sequence[str]) -> str:
        return ""


def documents(project: str = SEED, *defaults: str) -> ConfigDocuments:
    return ConfigDocuments(
        defaults=tuple(parse_document(text, "team.yml", trusted=True) for text in defaults),
        project=parse_document(project, ".pipeline/config.yml", trusted=False),
    )


def given(*files: str, **known: Any) -> BuildContext:
    return BuildContext(workspace=Listing(*files), **known)


def planned(stage: str, project: str = SEED, *defaults: str, **known: Any) -> StagePlan:
    return next(
        found
        for found in plan_stages(documents(project, *defaults), given(**known))
        if found.name == stage
    )


def active(stage: StagePlan) -> dict[str, str]:
    return {step.name: step.active for step in stage.steps}


def why(stage: StagePlan, step: str) -> str:
    return next(found.why for found in stage.steps if found.name == step)


def decided(
    step: str,
    stage: str,
    project: str = SEED,
    *,
    change_request: bool = False,
    **environment: object,
) -> Decision:
    return decide_step(
        documents(project),
        given(change_request=change_request, pipeline_environment=environment),
        stage=stage,
        step=step,
    )


def test_the_stages_stand_in_the_order_of_the_general_purpose_pipeline() -> None:
    assert [stage.name for stage in plan_stages(documents(), given())] == STAGES


def test_the_sample_runs_its_four_stages_and_those_of_every_build() -> None:
    answers = {stage.name: stage.active for stage in plan_stages(documents(), given())}
    assert [name for name, answer in answers.items() if answer == "yes"] == [
        "Init",
        "Build",
        "Acceptance",
        "Performance",
        "Release",
        "Post",
    ]
    assert set(answers.values()) == {"yes", "no"}


def test_the_samples_build_stage_runs_the_steps_that_it_flags() -> None:
    stage = planned("Build")
    assert [step for step, answer in active(stage).items() if answer == "yes"] == [
        "kanikoExecute",
        "imagePushToRegistry",
    ]
    assert (
        why(stage, "imagePushToRegistry")
        == "`imagePushToRegistry: true` in stage Build (.pipeline/config.yml:3)"
    )
    assert (
        why(stage, "kanikoExecute")
        == "`kanikoExecute: true` in stage Build (.pipeline/config.yml:4)"
    )
    assert "only if `cnbBuild: true`" in why(stage, "cnbBuild")
    assert stage.why == "kanikoExecute, imagePushToRegistry are active"


@pytest.mark.parametrize("spelling", ["gitOpsUpdateDeployment:", "gitopsUpdateDeployment:"])
@pytest.mark.parametrize(
    ("stage", "line"), [("Performance", 8), ("Acceptance", 11), ("Release", 14)]
)
def test_the_samples_deployment_stages_run_because_they_name_a_file(
    stage: str, line: int, spelling: str
) -> None:
    found = planned(stage, SEED.replace("gitOpsUpdateDeployment:", spelling))
    assert [step for step, answer in active(found).items() if answer == "yes"] == [
        "gitOpsUpdateDeployment"
    ]
    assert (
        why(found, "gitOpsUpdateDeployment")
        == f"stage {stage} names filePath (.pipeline/config.yml:{line}) and the project configures"
        " gitOpsUpdateDeployment"
    )


def test_a_stage_with_a_file_of_another_step_does_not_deploy() -> None:
    found = planned("Acceptance", "stages: {Acceptance: {filePath: f}}")
    assert active(found)["gitOpsUpdateDeployment"] == "no"
    assert "does not configure gitOpsUpdateDeployment" in why(found, "gitOpsUpdateDeployment")


def test_a_file_that_is_named_elsewhere_makes_no_stage_deploy() -> None:
    project = "general: {filePath: f}\nsteps: {gitOpsUpdateDeployment: {filePath: f}}\n"
    defaults = "stages: {Release: {filePath: f}}"
    assert active(planned("Release", project, defaults))["gitOpsUpdateDeployment"] == "no"


@pytest.mark.parametrize("spelling", ["gitOpsUpdateDeployment", "gitopsUpdateDeployment"])
@pytest.mark.parametrize(("flag", "answer"), [("true", "yes"), ("false", "no")])
def test_a_flag_in_the_stage_decides_over_the_file(spelling: str, flag: str, answer: str) -> None:
    project = SEED.replace(
        "filePath: manifest-acceptance",
        f"{spelling}: {flag}\n        filePath: manifest-acceptance",
    )
    found = planned("Acceptance", project)
    assert active(found)["gitOpsUpdateDeployment"] == answer
    assert (
        why(found, "gitOpsUpdateDeployment")
        == f"`gitOpsUpdateDeployment: {flag}` in stage Acceptance (.pipeline/config.yml:11)"
    )


@pytest.mark.parametrize(
    ("project", "default", "answer"),
    [
        ("general: {imagePushToRegistry: true}", "", "yes"),
        ("steps: {imagePushToRegistry: {imagePushToRegistry: true}}", "", "yes"),
        ("", "stages: {Build: {imagePushToRegistry: true}}", "yes"),
        (
            "stages: {Build: {imagePushToRegistry: false}}",
            "general: {imagePushToRegistry: true}",
            "no",
        ),
        (
            "general: {imagePushToRegistry: true}\nstages: {Build: {imagePushToRegistry: false}}",
            "",
            "no",
        ),
        (
            "general: {imagePushToRegistry: false}",
            "stages: {Build: {imagePushToRegistry: true}}",
            "no",
        ),
        ("stages: {Build: {imagePushToRegistry: 'true'}}", "", "yes"),
        ("stages: {Release: {imagePushToRegistry: true}}", "", "no"),
    ],
)
def test_a_flag_may_stand_in_every_section_and_the_strongest_decides(
    project: str, default: str, answer: str
) -> None:
    assert active(planned("Build", project, default))["imagePushToRegistry"] == answer


def test_the_seeds_name_for_kaniko_is_another_spelling_of_the_step() -> None:
    assert (
        active(planned("Build", "stages: {Build: {kanikoBuild: true}}"))["kanikoExecute"] == "yes"
    )


def test_a_stage_that_the_project_configures_is_active_without_active_steps() -> None:
    found = planned("Security", "\nstages:\n  Security: {anything: 1}\n")
    assert (found.active, found.why) == (
        "yes",
        "the project configures stage Security (.pipeline/config.yml:3)",
    )
    assert planned("Security", "stages: {Security: {}}").active == "no"


def test_the_projects_own_stages_come_before_post_with_the_steps_that_they_flag() -> None:
    preview = (
        "gitopsUpdateDeployment: true, imagePushToRegistry: false, cnbBuild: 'false', mavenBuild:"
        " true, containerSaveImage: x"
    )
    project = f"stages: {{Preview: {{{preview}}}, Empty: {{filePath: f}}}}"
    stages = plan_stages(documents(project, "stages: {Team: {cnbBuild: true}}"), given())
    assert [stage.name for stage in stages] == [
        *STAGES[:-1],
        "Team",
        "Preview",
        "Empty",
        "Post",
    ]
    assert [(stage.name, stage.active, active(stage)) for stage in stages[-4:-1]] == [
        ("Team", "yes", {"cnbBuild": "yes"}),
        (
            "Preview",
            "yes",
            {
                "mavenBuild": "yes",
                "cnbBuild": "no",
                "imagePushToRegistry": "no",
                "gitOpsUpdateDeployment": "yes",
            },
        ),
        ("Empty", "no", {}),
    ]


def test_a_change_request_pushes_and_deploys_nothing() -> None:
    stages = plan_stages(documents(SEED + "\n"), given(change_request=True))
    running = {step.name for stage in stages for step in stage.steps if step.active != "no"}
    assert running == ALWAYS["Init"] | ALWAYS["Post"]
    assert {step.why for stage in stages for step in stage.steps if step.name in PUBLISHING} == {
        NOTHING
    }
    assert (
        planned("Build", change_request=True).why
        == "a change-request build does not run stage Build"
    )


def test_a_change_request_runs_the_stages_that_are_for_it() -> None:
    project = (
        "stages: {Init: {a: 1}, Pull-Request Voting: {a: 1}, Integration: {a: 1}, Post: {a: 1}}"
    )
    for_change_request = [
        stage.name
        for stage in plan_stages(documents(project), given(change_request=True))
        if stage.active == "yes"
    ]
    others = [
        stage.name for stage in plan_stages(documents(project), given()) if stage.active == "yes"
    ]
    assert for_change_request == ["Init", "Pull-Request Voting", "Post"]
    assert others == ["Init", "Integration", "Post"]


def test_an_own_stage_deploys_nothing_for_a_change_request_either() -> None:
    project = "stages: {Preview: {gitOpsUpdateDeployment: true}}"
    assert decided("gitOpsUpdateDeployment", "Preview", project).active == "yes"
    assert decided("gitOpsUpdateDeployment", "Preview", project, change_request=True) == Decision(
        active="no", why=NOTHING
    )


@pytest.mark.parametrize("change_request", [True, False])
@pytest.mark.parametrize("project", [SEED, "", "stages: {Mine: {imagePushToRegistry: true}}"])
def test_a_decision_agrees_with_the_plan(project: str, change_request: bool) -> None:
    for stage in plan_stages(documents(project), given(change_request=change_request)):
        for step in stage.steps:
            found = decided(step.name, stage.name, project, change_request=change_request)
            assert (found.active, found.why) == (step.active, step.why)


@pytest.mark.parametrize("spelling", ["gitOpsUpdateDeployment", "gitopsUpdateDeployment"])
def test_a_step_is_decided_by_each_of_its_spellings(spelling: str) -> None:
    assert decided(spelling, "Release").active == "yes"


@pytest.mark.parametrize(
    ("step", "stage"), [("imagePushToRegistry", "Release"), ("codeqlExecuteScan", "Build")]
)
def test_a_step_that_the_stage_does_not_have_is_not_active(step: str, stage: str) -> None:
    project = SEED.replace(
        "filePath: manifest-release",
        "imagePushToRegistry: true\n        filePath: manifest-release",
    )
    assert decided(step, stage, project) == Decision(
        active="no", why=f"stage {stage} has no step {step}"
    )


def test_a_stage_that_nobody_knows_is_a_mistake_and_no_stage_without_work() -> None:
    with pytest.raises(ConfigError, match="no stage 'Releese'") as caught:
        decided("gitOpsUpdateDeployment", "Releese")
    assert "'Release'" in caught.value.hint


def test_without_a_stage_nothing_can_be_decided() -> None:
    with pytest.raises(UsageError, match="stage"):
        decided("imagePushToRegistry", "")


# ---- the General Purpose Pipeline


@pytest.mark.parametrize(
    ("stage", "project", "files", "expected"),
    [
        ("Build", "", ["**/sonar-project.properties"], {"sonarExecuteScan"}),
        ("Promote", "general: {dockerRegistryUrl: x}", [], {"containerPushToRegistry"}),
        ("Promote", "", [], set()),
        ("Acceptance", "general: {cfTargets: []}", [], {"multicloudDeploy"}),
        ("Performance", "general: {neoTargets: [a]}", [], {"multicloudDeploy"}),
        ("Release", "stages: {Release: {cfSpace: dev}}", [], {"cloudFoundryDeploy"}),
        (
            "Acceptance",
            "steps: {cloudFoundryDeploy: {cloudFoundry: {space: dev}}}",
            [],
            {"cloudFoundryDeploy"},
        ),
        ("Acceptance", "steps: {cloudFoundryDeploy: {cloudFoundry: {org: dev}}}", [], set()),
        (
            "Acceptance",
            "steps: {healthExecuteCheck: {testServerUrl: x}}",
            [],
            {"healthExecuteCheck"},
        ),
        ("Release", "stages: {Release: {testServerUrl: x}}", [], {"healthExecuteCheck"}),
        (
            "Acceptance",
            "steps: {newmanExecute: {newmanCollection: '*.json'}}",
            ["*.json"],
            {"newmanExecute", "testsPublishResults"},
        ),
        ("Acceptance", "steps: {newmanExecute: {newmanCollection: '*.json'}}", [], set()),
        (
            "Acceptance",
            "steps: {newmanExecute: {testRepository: x}}",
            [],
            {"newmanExecute", "testsPublishResults"},
        ),
        ("Acceptance", "stages: {Acceptance: {kubernetesDeploy: true}}", [], {"kubernetesDeploy"}),
        ("Release", "stages: {Release: {deployToKubernetes: true}}", [], {"kubernetesDeploy"}),
        ("Release", "steps: {kubernetesDeploy: {image: x}}", [], set()),
        (
            "Release",
            "general: {cfSpace: dev}\nstages: {Release: {cfTargets: [], kubernetesDeploy: true}}",
            [],
            {"multicloudDeploy"},
        ),
        (
            "Release",
            (
                "stages: {Release: {multicloudDeploy: true, cloudFoundryDeploy: true, neoDeploy:"
                " true}}"
            ),
            [],
            {"multicloudDeploy"},
        ),
        (
            "Release",
            "stages: {Release: {multicloudDeploy: false, cfSpace: x, neo: {account: y}}}",
            [],
            {"cloudFoundryDeploy", "neoDeploy"},
        ),
        (
            "Acceptance",
            "stages: {Acceptance: {neoTargets: [], cfSpace: x, neoDeploy: true}}",
            [],
            {"multicloudDeploy"},
        ),
        (
            "Release",
            "steps: {tmsUpload: {nodeName: q}}\nstages: {Release: {tmsExport: true}}",
            [],
            {"tmsUpload"},
        ),
        (
            "Release",
            "stages: {Release: {tmsExport: true, transportRequestUploadCTS: true}}",
            [],
            {"tmsExport", "transportRequestUploadCTS"},
        ),
        ("Release", "general: {githubTokenCredentialsId: x}", [], {"githubPublishRelease"}),
        ("Release", "stages: {Release: {appUrls: []}}", [], {"npmExecuteEndToEndTests"}),
        (
            "Build",
            (
                "stages: {Build: {npmExecuteLint: true, mavenExecuteStaticCodeChecks: true,"
                " buildExecute: true}}"
            ),
            [],
            {
                "npmExecuteLint",
                "mavenExecuteStaticCodeChecks",
                "buildExecute",
                "pipelineStashFilesAfterBuild",
                "testsPublishResults",
                "checksPublishResults",
            },
        ),
        (
            "Additional Unit Tests",
            "",
            ["**/*.bats", "**/karma.conf.js"],
            {"batsExecuteTests", "karmaExecuteTests", "testsPublishResults"},
        ),
        (
            "Additional Unit Tests",
            "stages: {Additional Unit Tests: {runScripts: [a]}}",
            [],
            {"npmExecuteScripts", "testsPublishResults"},
        ),
        (
            "Integration",
            "stages: {Integration: {runScripts: [a]}}",
            ["integration-tests/pom.xml"],
            {"npmExecuteScripts", "mavenExecuteIntegration", "testsPublishResults"},
        ),
        (
            "Acceptance",
            "stages: {Acceptance: {gaugeExecuteTests: true, appUrls: []}}",
            ["**/conf.js"],
            {
                "gaugeExecuteTests",
                "npmExecuteEndToEndTests",
                "uiVeri5ExecuteTests",
                "testsPublishResults",
            },
        ),
        (
            "Security",
            (
                "general: {checkmarxCredentialsId: a, whitesource: {userTokenCredentialsId:"
                " b}}\nsteps: {fortifyExecuteScan: {fortifyCredentialsId: c}}"
            ),
            [],
            {"checkmarxExecuteScan", "fortifyExecuteScan", "whitesourceExecuteScan"},
        ),
        ("Security", "stages: {Security: {detectExecuteScan: true}}", [], {"detectExecuteScan"}),
        (
            "Performance",
            "steps: {gatlingExecuteTests: {pomPath: p.xml}}",
            ["p.xml"],
            {"gatlingExecuteTests"},
        ),
        (
            "Compliance",
            "stages: {Compliance: {sonarExecuteScan: true}}",
            ["**/sonar-project.properties"],
            {"sonarExecuteScan"},
        ),
        ("Compliance", "", ["**/sonar-project.properties"], set()),
        (
            "Promote",
            "general: {dockerRegistryUrl: x}\nsteps: {nexusUpload: {url: y}}",
            [],
            {"containerPushToRegistry", "nexusUpload"},
        ),
        (
            "Init",
            "stages: {Init: {transportRequestReqIDFromGit: true}}",
            [],
            {"transportRequestReqIDFromGit"},
        ),
        ("Post", "stages: {Post: {slackSendNotification: true}}", [], {"slackSendNotification"}),
    ],
)
def test_the_pipelines_conditions_are_those_of_the_general_purpose_pipeline(
    stage: str, project: str, files: list[str], expected: set[str]
) -> None:
    found = next(
        found for found in plan_stages(documents(project), given(*files)) if found.name == stage
    )
    always = ALWAYS.get(stage, set())
    assert {step for step, answer in active(found).items() if answer == "yes"} == expected | always


def test_a_scan_of_a_change_request_runs_in_the_voting_stage_only() -> None:
    stages = plan_stages(documents(""), given("**/sonar-project.properties", change_request=True))
    running = [
        (stage.name, step.name)
        for stage in stages
        for step in stage.steps
        if step.active == "yes" and stage.name not in ALWAYS
    ]
    assert running == [("Pull-Request Voting", "sonarExecuteScan")]


def test_a_step_asks_for_the_files_of_its_own_conditions_only() -> None:
    workspace = Listing()
    decide_step(
        documents(), BuildContext(workspace=workspace), stage="Build", step="imagePushToRegistry"
    )
    assert workspace.asked == []


# ---- branches


@pytest.mark.parametrize(
    ("project", "branch", "runs"),
    [
        ("", "main", True),
        ("", "master", True),
        ("", "", True),
        ("", "feature/x", False),
        ("general: {productiveBranch: prod}", "prod", True),
        ("general: {productiveBranch: prod}", "main", False),
        ("general: {productiveBranch: 'release/*'}", "release/1.0", True),
        ("general: {productiveBranch: 'release/*'}", "release/1/0", False),
        ("stages: {Init: {productiveBranch: prod}}", "prod", True),
        ("steps: {piperPipelineStageInit: {productiveBranch: prod}}", "prod", True),
        ("stages: {Release: {productiveBranch: prod}}", "prod", False),
        (
            "general: {productiveBranch: prod}\nstages: {Release: {runInAllBranches: true}}",
            "feature/x",
            True,
        ),
        ("stages: {Release: {runInAllBranches: 'true'}}", "feature/x", True),
        ("general: {runInAllBranches: true}", "feature/x", False),
    ],
)
def test_only_the_productive_branch_releases(project: str, branch: str, runs: bool) -> None:
    text = project.replace("stages: {Release: {", "stages: {Release: {imagePushToRegistry: false, ")
    known = documents(
        "", text or "general: {}", "stages: {Release: {gitOpsUpdateDeployment: true}}"
    )
    found = decide_step(known, given(branch=branch), stage="Release", step="gitOpsUpdateDeployment")
    assert (found.active == "yes") == runs
    if not runs:
        assert (
            found.why
            == f"stage Release does not run for branch {branch}: the productive branch alone"
            " (`productiveBranch`) runs it"
        )


def test_what_neither_runs_nor_leaves_out_other_branches_is_an_error() -> None:
    with pytest.raises(ConfigError) as caught:
        planned("Release", "stages:\n  Release: {runInAllBranches: 'yes'}")
    assert (caught.value.message, caught.value.where) == (
        "runInAllBranches of stage Release is neither true nor false",
        ".pipeline/config.yml:2",
    )


DEPLOYS = "stages: {Release: {gitOpsUpdateDeployment: true}}"


@pytest.mark.parametrize(
    ("project", "said"),
    [
        (
            "general: {productiveBranch: x}\n",
            "only the branch's own configuration calls x productive (.pipeline/config.yml:1)",
        ),
        (
            "general: {productiveBranch: '*'}\n",
            "`general: {productiveBranch: '*'}` in its default documents",
        ),
        (
            "stages: {Release: {runInAllBranches: true}}\n",
            "only runInAllBranches (.pipeline/config.yml:1) of branch x itself lets it run",
        ),
        (
            "stages: {Mine: {gitOpsUpdateDeployment: true}}\n",
            "`stages: {Mine: {runInAllBranches: true}}`",
        ),
    ],
)
def test_what_a_branch_says_of_itself_has_nothing_published_until_that_is_enforced(
    project: str, said: str
) -> None:
    stage = "Mine" if "Mine" in project else "Release"
    warned: list[str] = []
    circumstances = given(branch="x", warn=warned.append)
    found = decide_step(
        documents(project, DEPLOYS), circumstances, stage=stage, step="gitOpsUpdateDeployment"
    )
    assert (found.active, said in found.why, warned) == ("no", True, [])
    leniently = decide_step(
        documents(project, DEPLOYS, "general: {enforcement: warn}"),
        circumstances,
        stage=stage,
        step="gitOpsUpdateDeployment",
    )
    assert (leniently.active, said in warned[0], "enforcement: warn" in warned[0]) == (
        "yes",
        True,
        True,
    )
    productive = decide_step(
        documents(project, DEPLOYS, "general: {productiveBranch: x}"),
        circumstances,
        stage=stage,
        step="gitOpsUpdateDeployment",
    )
    assert (productive.active, len(set(warned))) == ("yes", 1)
    trusted = f"stages: {{{stage}: {{gitOpsUpdateDeployment: true, runInAllBranches: true}}}}"
    assert (
        decide_step(
            documents("", trusted), circumstances, stage=stage, step="gitOpsUpdateDeployment"
        ).active
        == "yes"
    )


def test_a_branch_has_that_run_which_publishes_nothing() -> None:
    project = (
        "stages: {Acceptance: {newmanExecute: true, gitOpsUpdateDeployment: true, runInAllBranches:"
        " true}, Mine: {mavenBuild: true, cnbBuild: true}}"
    )
    assert active(planned("Acceptance", project, branch="x")) | active(
        planned("Mine", project, branch="x")
    ) == {
        **dict.fromkeys(active(planned("Acceptance", "", branch="x")), "no"),
        "newmanExecute": "yes",
        "testsPublishResults": "yes",
        "mavenBuild": "yes",
        "cnbBuild": "no",
    }


@pytest.mark.parametrize(
    "team",
    [
        "general: {allowChangeRequest: true}",
        "steps: {gitopsUpdateDeployment: {allowChangeRequest: 'true'}}",
    ],
)
def test_a_change_request_publishes_in_a_stage_that_runs_for_it_by_a_trusted_word(
    team: str,
) -> None:
    project = "stages: {Mine: {gitOpsUpdateDeployment: true}}"
    for known, answer in (
        (documents(project, team), "yes"),
        (documents(f"{project}\n{team}"), "no"),
        (documents(project), "no"),
    ):
        assert (
            decide_step(
                known, given(change_request=True), stage="Mine", step="gitOpsUpdateDeployment"
            ).active
            == answer
        )


def test_another_branch_runs_the_stages_that_every_build_runs_and_the_projects_own() -> None:
    project = (
        "stages: {Init: {a: 1}, Pull-Request Voting: {a: 1}, Build: {a: 1}, Post: {a: 1}, Mine:"
        " {mavenBuild: true}}"
    )
    stages = plan_stages(documents(project), given(branch="feature/x"))
    assert [stage.name for stage in stages if stage.active == "yes"] == ["Init", "Mine", "Post"]


@pytest.mark.parametrize(
    ("known", "answer"),
    [
        ({"branch": "main"}, "yes"),
        ({}, "yes"),
        ({"branch": "feature/x"}, "no"),
        ({"branch": "PR-7", "change_request": True}, "no"),
        ({"change_request": True}, "no"),
    ],
)
@pytest.mark.parametrize("stage", ["Init", "Mine"])
def test_a_stage_may_ask_for_the_productive_branch(
    stage: str, known: dict[str, Any], answer: str
) -> None:
    pipeline = parse_pipeline(
        "spec: {stages: [{displayName: Init, changeRequests: also, steps: [{name: greet}]}]}", "f"
    )
    project = documents("\nstages: {" + stage + ": {runInAllBranches: false, greet: true}}")
    found = next(
        found
        for found in plan_stages(project, given(**known), pipeline=pipeline)
        if found.name == stage
    )
    assert (found.active, active(found)) == (answer, {"greet": answer})
    if answer == "no":
        assert found.why.endswith("`runInAllBranches: false` (.pipeline/config.yml:2)")


def test_the_project_decides_over_the_defaults_which_branches_run_a_stage() -> None:
    off, on = (
        "stages: {Mine: {runInAllBranches: false}}",
        "stages: {Mine: {runInAllBranches: true, mavenBuild: true}}",
    )
    assert planned("Mine", on, off, branch="x").active == "yes"
    assert planned("Mine", "stages: {Mine: {mavenBuild: true}}", off, branch="x").active == "no"


@pytest.mark.parametrize("value", ["[main]", "''", "7", "'../x'"])
def test_a_productive_branch_that_is_not_a_name_is_a_fault_with_its_line(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_stages(documents(f"\ngeneral:\n  productiveBranch: {value}\n"), given(branch="x"))
    assert caught.value.where == ".pipeline/config.yml:3"


@pytest.mark.parametrize(
    ("known", "what"),
    [
        (
            {"unknown": "HEAD is detached"},
            "an unknown branch (HEAD is detached; name it with `--branch`)",
        ),
        ({"tag": "v1"}, "tag v1, which no trusted `productiveTags` matches"),
    ],
)
def test_a_build_without_a_known_branch_is_not_productive(known: dict[str, Any], what: str) -> None:
    found = planned("Release", **known)
    assert (found.active, found.why) == (
        "no",
        (
            f"stage Release does not run for {what}: the productive branch alone"
            " (`productiveBranch`) runs it"
        ),
    )


# ---- extensions


@pytest.mark.parametrize(
    ("stage", "file", "project", "answer"),
    [
        ("Security", ".pipeline/extensions/Security.groovy", "", "yes"),
        ("Pull-Request Voting", ".pipeline/extensions/Pull-Request Voting.groovy", "", "no"),
        ("Build", ".pipeline/extensions/Build.groovy", "", "yes"),
        ("Build", ".pipeline/extensions/Central Build.groovy", "", "yes"),
        ("Security", ".pipeline/extensions/Build.groovy", "", "no"),
        ("Security", "ci/Security.groovy", "general: {projectExtensionsDirectory: ci/}", "yes"),
        (
            "Security",
            ".pipeline/extensions/Security.groovy",
            "general: {projectExtensionsDirectory: ci}",
            "no",
        ),
        ("Confirm", ".pipeline/extensions/Confirm.groovy", "", "no"),
        ("Mine", ".pipeline/extensions/Mine.groovy", "stages: {Mine: {a: 1}}", "no"),
    ],
)
def test_an_extension_makes_a_stage_active_that_may_have_one(
    stage: str, file: str, project: str, answer: str
) -> None:
    found = next(
        found for found in plan_stages(documents(project), given(file)) if found.name == stage
    )
    assert found.active == answer
    assert (file in found.why) == (answer == "yes")


def test_the_agent_may_forbid_extensions() -> None:
    stages = plan_stages(
        documents(""), given(".pipeline/extensions/Security.groovy", extensions=False)
    )
    assert {stage.active for stage in stages if stage.name not in ALWAYS} == {"no"}


def test_an_extension_does_not_bypass_the_branch_rule() -> None:
    stages = plan_stages(
        documents(""), given(".pipeline/extensions/Security.groovy", branch="feature/x")
    )
    assert {stage.active for stage in stages if stage.name not in ALWAYS} == {"no"}


def test_a_folder_of_extensions_outside_of_the_workspace_is_a_fault_with_its_line() -> None:
    with pytest.raises(ConfigError) as caught:
        plan_stages(documents("\ngeneral: {projectExtensionsDirectory: /etc}"), given())
    assert caught.value.where == ".pipeline/config.yml:2"


# ---- Build and Central Build


def test_central_build_is_build_for_sections_and_for_stages() -> None:
    project = "stages: {Central Build: {imagePushToRegistry: true}}"
    assert active(planned("Build", project))["imagePushToRegistry"] == "yes"
    assert decided("imagePushToRegistry", "Central Build", project).active == "yes"
    assert "Central Build" not in [stage.name for stage in plan_stages(documents(project), given())]
    assert "not read" not in planned("Build", project).why


def test_build_wins_over_central_build_and_the_plan_says_so() -> None:
    found = planned(
        "Build",
        "stages:\n  Central Build:\n    cnbBuild: true\n  Build:\n    imagePushToRegistry: true\n",
    )
    assert [step for step, answer in active(found).items() if answer == "yes"] == [
        "imagePushToRegistry"
    ]
    assert (
        found.why == "imagePushToRegistry is active; stages.Central Build is not read beside it"
        " (.pipeline/config.yml:2)"
    )


# ---- other definitions

TWO_PASSES = """
spec:
  stages:
    - displayName: Build
      steps:
        - name: compile
          conditions: [{configKey: compiles}]
        - name: scan
          notActiveConditions: [{onlyActiveStepInStage: true}]
        - name: report
          notActiveConditions: [{onlyActiveStepInStage: true}]
        - name: push
          publishes: true
          conditions: [{inactive: true}]
          notActiveConditions: [{configKey: frozen}]
        - name: azure
          orchestrators: [AzureDevOps]
        - name: later
          conditions: [{pipelineEnvironmentFilled: custom/x}]
          notActiveConditions: [{commonPipelineEnvironment: {custom/off: true}}]
        - name: fallback
          conditions: [{onlyActiveStepInStage: true}]
"""
PASSES = parse_pipeline(TWO_PASSES, "f")


def on(project: str, *, pipeline: Pipeline = PASSES, **known: Any) -> dict[str, str]:
    return active(plan_stages(documents(project), given(**known), pipeline=pipeline)[0])


def test_two_steps_that_do_not_run_alone_keep_each_other_alive() -> None:
    assert {name: answer for name, answer in on("").items() if answer == "yes"} == {
        "scan": "yes",
        "report": "yes",
    }


def test_what_switches_off_sees_what_became_of_the_steps_before() -> None:
    answers = on("general: {scan: false}")
    assert (answers["scan"], answers["report"]) == ("no", "undecided")  # `later` may still be there
    settled = evaluate_flags(documents("general: {scan: false}"), given(), pipeline=PASSES)["Build"]
    assert (settled["scan"], settled["report"]) == (False, False)


def test_an_activating_condition_sees_the_steps_before_it_only() -> None:
    assert on("")["fallback"] == "no"
    first = parse_pipeline(
        "spec: {stages: [{displayName: A, steps: [{name: a, conditions: [{onlyActiveStepInStage:"
        " true}]}, {name: b}]}]}",
        "f",
    )
    assert on("", pipeline=first) == {"a": "yes", "b": "yes"}


def test_what_switches_off_wins_over_an_explicit_flag() -> None:
    assert on("general: {push: true}")["push"] == "yes"
    assert on("general: {push: true, frozen: ''}")["push"] == "no"


def test_a_step_of_another_orchestrator_is_left_out_and_does_not_count() -> None:
    assert "azure" not in on("")
    assert on("", orchestrator="AzureDevOps")["azure"] == "yes"
    alone = parse_pipeline(
        "spec: {stages: [{displayName: A, steps: [{name: b, orchestrators: [Unknown]}, "
        "{name: a, notActiveConditions: [{onlyActiveStepInStage: true}]}]}]}",
        "f",
    )
    assert on("", pipeline=alone) == {"a": "no"}
    assert decide_step(
        documents(""), given(), stage="Build", step="azure", pipeline=PASSES
    ) == Decision(active="no", why="azure runs on AzureDevOps only, and this is Jenkins")


def test_a_step_that_a_change_request_holds_back_does_not_keep_others_alive() -> None:
    text = TWO_PASSES.replace(
        "displayName: Build", "displayName: Build\n      changeRequests: also"
    )
    answers = on(
        "general: {scan: false, push: true, later: false}",
        pipeline=parse_pipeline(text, "f"),
        change_request=True,
    )
    assert (answers["push"], answers["report"]) == ("no", "no")


def test_a_decision_of_a_change_request_does_not_count_what_it_holds_back_either() -> None:
    pipeline = parse_pipeline(
        TWO_PASSES.replace("displayName: Build", "displayName: Build\n      changeRequests: also"),
        "f",
    )
    project = documents("general: {scan: false, push: true}")
    for change_request, answer in ((True, "no"), (False, "yes")):
        assert (
            decide_step(
                project,
                given(change_request=change_request),
                stage="Build",
                step="report",
                pipeline=pipeline,
            ).active
            == answer
        )
        assert (
            check_flags(
                project,
                given(change_request=change_request),
                stage="Build",
                step="report",
                pipeline=pipeline,
            ).active
            == "yes"
        )


def test_of_two_entries_of_one_step_the_last_counts() -> None:
    pipeline = parse_pipeline(
        "spec: {stages: [{displayName: A, steps: [{name: a}, {name: a, conditions: [{inactive:"
        " true}]}]}]}",
        "f",
    )
    assert on("", pipeline=pipeline) == {"a": "no"}
    assert (
        decide_step(documents(""), given(), stage="A", step="a", pipeline=pipeline).active == "no"
    )


def test_what_the_pipeline_has_yet_to_write_is_undecided_until_it_is_there() -> None:
    assert on("")["later"] == "undecided"
    # it may still be switched off
    assert on("", pipeline_environment={"custom/x": "1"})["later"] == "undecided"
    assert on("", pipeline_environment={"custom/x": "1", "custom/off": True})["later"] == "no"
    assert (
        decide_step(documents(""), given(), stage="Build", step="later", pipeline=PASSES).active
        == "no"
    )
    assert (
        decide_step(
            documents(""),
            given(pipeline_environment={"custom/x": "1"}),
            stage="Build",
            step="later",
            pipeline=PASSES,
        ).active
        == "yes"
    )


def test_a_stage_waits_for_a_step_whose_condition_the_pipeline_has_yet_to_fill() -> None:
    pipeline = parse_pipeline(
        "spec: {stages: [{displayName: A, steps: [{name: a, conditions: [{inactive: true}]}, "
        "{name: b, conditions: [{pipelineEnvironmentFilled: x}]}]}]}",
        "f",
    )
    (stage,) = plan_stages(documents(""), given(), pipeline=pipeline)
    assert active(stage) == {"a": "no", "b": "undecided"}
    assert (stage.active, stage.why) == ("undecided", why(stage, "b"))


def test_a_step_that_publishes_nothing_runs_for_a_change_request_too() -> None:
    pipeline = parse_pipeline(
        "spec: {stages: [{displayName: A, changeRequests: also, steps: [{name: test}]}]}", "f"
    )
    (stage,) = plan_stages(documents(""), given(change_request=True), pipeline=pipeline)
    assert (stage.active, active(stage)) == ("yes", {"test": "yes"})


@pytest.mark.parametrize(
    "project",
    [
        "",
        "general: {compiles: 1}",
        "general: {scan: false, later: false}",
        "general: {push: true, frozen: 1}",
    ],
)
def test_a_decision_sees_the_stage_as_the_plan_does(project: str) -> None:
    known = given(pipeline_environment={"custom/x": "1", "custom/off": False})
    settled = evaluate_flags(documents(project), known, pipeline=PASSES)["Build"]
    for step, answer in settled.items():
        assert (
            decide_step(documents(project), known, stage="Build", step=step, pipeline=PASSES).active
            == "yes"
        ) == answer, step


def test_a_null_is_not_a_value_however_deep() -> None:
    pipeline = parse_pipeline(
        "spec: {stages: [{displayName: A, steps: [{name: a, conditions: [{configKey: x/y}]}, {name:"
        " b, conditions: [{configKey: z}]}]}]}",
        "f",
    )
    assert on("general: {x: {y: null}, z: null}", pipeline=pipeline) == {"a": "no", "b": "no"}
    below = parse_document("general: {x: {y: 1}, z: 1}", "team.yml", trusted=True)
    known = ConfigDocuments(
        defaults=(below,),
        project=parse_document("general: {x: {y: null}, z: null}", "c", trusted=False),
    )
    assert active(plan_stages(known, given(), pipeline=pipeline)[0]) == {"a": "yes", "b": "yes"}


# ---- the drop-in


def test_the_drop_in_knows_flags_and_conditions_only() -> None:
    project = documents("general: {push: true}\nstages: {Build: {runInAllBranches: false}}")
    known = given(change_request=True, branch="feature/x")
    assert check_flags(project, known, stage="Build", step="push", pipeline=PASSES).active == "yes"
    assert evaluate_flags(project, known, pipeline=PASSES)["Build"]["push"] is True
    assert decide_step(project, known, stage="Build", step="push", pipeline=PASSES).active == "no"


def test_a_stage_of_the_project_has_the_steps_that_its_section_flags() -> None:
    project = documents(
        "stages: {Mine: {anything: true, push: false, other: 'true'}}\ngeneral: {elsewhere: true}"
    )
    answers = {
        step: check_flags(project, given(), stage="Mine", step=step, pipeline=PASSES).active
        for step in ("anything", "push", "other", "elsewhere", "scan")
    }
    assert answers == {
        "anything": "yes",
        "push": "no",
        "other": "no",
        "elsewhere": "no",
        "scan": "no",
    }


def test_a_stage_without_steps_is_empty() -> None:
    assert evaluate_flags(
        documents(""), given(), pipeline=parse_pipeline("spec: {stages: [{displayName: A}]}", "f")
    ) == {"A": {}}


def test_a_commit_that_is_a_deployment_starts_none() -> None:
    everything = plan_stages(documents(), given(deployment=True))
    assert {(stage.active, step.active) for stage in everything for step in stage.steps} == {
        ("no", "no")
    }
    assert {stage.active for stage in everything} == {"no"}
    decision = decide_step(
        documents(), given(deployment=True), stage="Acceptance", step="gitOpsUpdateDeployment"
    )
    assert (decision.active, "a deployment that Towline made" in decision.why) == ("no", True)
    assert (
        check_flags(
            documents(),
            given(deployment=True),
            stage="Build",
            step="kanikoExecute",
            pipeline=definition(),
        ).active
        == "yes"
    )


@pytest.mark.parametrize(
    ("project", "why"),
    [
        (
            "stages: {My Stage: {theirStep: true}}",
            "none of its known steps is enabled (.pipeline/config.yml:1)",
        ),
        ("stages: {My Stage: {}}", "it has no steps, and the project does not configure it"),
    ],
)
def test_a_stage_of_the_project_without_a_known_step_says_so(project: str, why: str) -> None:
    stage = planned("My Stage", project)
    assert (stage.active, stage.why) == ("no", why)


# ---- what a stage passes on, and what it does not have


def test_a_stage_passes_its_name_and_what_it_is_about_to_steps_of_other_libraries() -> None:
    project = (
        "stages: {Release: {cfTargets: [], appUrls: []}, Smoke: {multicloudDeploy: true,"
        " npmExecuteEndToEndTests: true}}"
    )
    assert {
        step.name: step.parameters
        for step in planned("Release", project).steps
        if step.active == "yes"
    } == {
        "multicloudDeploy": {"stage": "Release"},
        "npmExecuteEndToEndTests": {"runScript": "ci-smoke"},
    }
    assert {step.name: step.parameters for step in planned("Smoke", project).steps} == {
        "multicloudDeploy": {"stage": "Smoke"},
        "npmExecuteEndToEndTests": {},
    }


def test_one_step_is_decided_with_the_one_that_it_gives_way_to() -> None:
    project = "general: {cfSpace: dev}\nstages: {Release: {cfTargets: []}}"
    assert (
        decided("cloudFoundryDeploy", "Release", project).why
        == "switched off by the stage definition: multicloudDeploy is active in stage Release"
    )
    assert decided("cloudFoundryDeploy", "Release", "general: {cfSpace: dev}").active == "yes"


# ---- who may define and vote

OWN = "spec: {stages: [{name: ship, displayName: Ship, steps: [{name: imagePushToRegistry}]}]}"


def test_a_trusted_document_may_define_the_stages() -> None:
    known = documents("stages: {Ship: {imagePushToRegistry: true}}", OWN)
    assert [stage.name for stage in plan_stages(known, given())] == ["Ship"]
    decision = decide_step(known, given(), stage="Ship", step="imagePushToRegistry")
    assert decision.active == "yes"
    weaker = documents("", OWN.replace("Ship", "Weaker"), OWN, "general: {a: b}")
    assert [stage.name for stage in plan_stages(weaker, given())] == ["Ship"]


def test_a_project_does_not_define_the_stages() -> None:
    assert [stage.name for stage in plan_stages(documents(OWN), given())] == STAGES


def test_a_definition_of_the_platform_team_has_its_line_in_errors() -> None:
    with pytest.raises(ConfigError) as caught:
        plan_stages(documents("", "general: {}\nspec: {stages: [{name: a}]}"), given())
    assert caught.value.where == "team.yml:2"


@pytest.mark.parametrize(
    ("project", "branch", "active"),
    [
        ("general: {customVotingBranch: 'feature/*'}", "feature/x", "yes"),
        ("stages: {Pull-Request Voting: {customVotingBranch: develop}}", "develop", "yes"),
        ("general: {customVotingBranch: 'feature/*'}", "feature/x/y", "no"),
        ("general: {customVotingBranch: 'feature/*'}", "main", "no"),
        ("general: {customVotingBranch: 'feature/*'}", "", "no"),
        ("general: {}", "feature/x", "no"),
    ],
)
def test_a_branch_may_vote_like_a_change_request(project: str, branch: str, active: str) -> None:
    scan = "**/sonar-project.properties"
    stages = plan_stages(documents(project), given(scan, branch=branch))
    voting = next(stage for stage in stages if stage.name == "Pull-Request Voting")
    assert next(step.active for step in voting.steps if step.name == "sonarExecuteScan") == active


def test_a_voting_branch_publishes_nothing() -> None:
    project = "general: {customVotingBranch: x, buildTool: docker}"
    voting = planned("Pull-Request Voting", project, branch="x")
    assert why(voting, "kanikoExecute") == NOTHING
    trusted = planned(
        "Pull-Request Voting", project, "general: {allowChangeRequest: true}", branch="x"
    )
    assert active(trusted)["buildExecute"] == "yes"
