from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.calls import Ending, configure, request
from tests.fakes.serve import Answer, LoopbackServer, Request

STAGES = """
spec:
  stages:
    - displayName: Build
      steps:
        - {name: flagged, conditions: [{inactive: true}]}
        - {name: keyed, conditions: [{configKey: key}]}
        - {name: filled, conditions: [{pipelineEnvironmentFilled: custom/x}]}
        - {name: filed, conditions: [{filePattern: "**/x.json"}]}
        - {name: elsewhere, orchestrators: [AzureDevOps]}
    - displayName: Release
      steps:
        - {name: keyed, conditions: [{configKey: key}]}
    - displayName: Empty
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stages.yml").write_text(STAGES)
    configure(
        tmp_path,
        "stages: {Build: {flagged: true}, Release: {flagged: true}, Mine: {keyed: true, unheard:"
        " true}}\n",
    )
    return tmp_path


def ask(
    workspace: Path,
    *words: str,
    stage: str = "Build",
    step: str = "flagged",
    environ: dict[str, str] | None = None,
) -> Ending:
    named = ["--stage", stage] if stage else []
    return Ending(
        ["checkIfStepActive", "--stageConfig", "stages.yml", *named, "--step", step, *words],
        workspace,
        environ,
    )


@pytest.mark.parametrize(
    ("stage", "step", "code"),
    [
        ("Build", "flagged", 0),
        ("Build", "keyed", 1),
        ("Build", "filed", 1),
        ("Build", "filled", 1),
        ("Build", "elsewhere", 1),
        ("Build", "unheard", 1),
        ("Release", "flagged", 1),
        ("Empty", "flagged", 1),
        ("Central Build", "flagged", 0),
        ("Mine", "keyed", 0),
        ("Mine", "unheard", 0),
        ("Mine", "filled", 1),
        ("Nowhere", "flagged", 1),
    ],
)
def test_the_exit_code_is_the_answer(workspace: Path, stage: str, step: str, code: int) -> None:
    ending = ask(workspace, stage=stage, step=step)
    assert ending.code == code
    assert ("is active in stage" in ending.err) == (code == 0)
    assert ("is not active in stage" in ending.err) == (code == 1)
    assert "error:" not in ending.err
    assert "next:" not in ending.err


@pytest.mark.parametrize(
    ("stage", "step", "message", "near"),
    [
        ("Bild", "flagged", "there is no stage 'Bild'", "Build"),
        ("Relaese", "keyed", "there is no stage 'Relaese'", "Release"),
        ("Build", "flaged", "there is no step 'flaged'", "flagged"),
        (
            "Build",
            "imagePushToRegisty",
            "there is no step 'imagePushToRegisty'",
            "imagePushToRegistry",
        ),
        ("Mine", "keyd", "there is no step 'keyd'", "keyed"),
    ],
)
def test_a_misspelt_stage_or_step_is_an_error_and_not_an_answer(
    workspace: Path, stage: str, step: str, message: str, near: str
) -> None:
    ending = ask(workspace, stage=stage, step=step)
    assert (ending.code, ending.message) == (1, message)
    assert ending.hint == f"did you mean {near!r}?"
    assert "is not active" not in ending.err


def test_a_second_document_of_the_stage_definition_is_an_error_and_no_answer(
    workspace: Path,
) -> None:
    (workspace / "stages.yml").write_text(f"{STAGES}---\n{STAGES}")
    ending = ask(workspace)
    assert (
        ending.code,
        "something stands behind it" in ending.err,
        "stages.yml:15" in ending.err,
    ) == (1, True, True)


def test_an_answer_says_why(workspace: Path) -> None:
    assert "`flagged: true` in stage Build (.pipeline/config.yml:1)" in ask(workspace).err
    inactive = ask(workspace, step="keyed")
    assert inactive.message == "keyed is not active in stage Build: key is not set"
    assert "an answer" in inactive.hint


def test_files_and_the_pipeline_environment_are_the_workspaces(workspace: Path) -> None:
    (workspace / "src").mkdir()
    (workspace / "src" / "x.json").write_text("")
    custom = workspace / "cpe" / "commonPipelineEnvironment" / "custom"
    custom.mkdir(parents=True)
    (custom / "x.json").write_text("[1]")
    assert ask(workspace, step="filed").code == 0
    assert ask(workspace, step="filled").code == 1
    assert ask(workspace, "--envRootPath", "cpe", step="filled").code == 0
    assert ask(workspace, "--envRootPath", str(workspace / "cpe"), step="filled").code == 0


def test_a_step_of_another_orchestrator_is_active_there(workspace: Path) -> None:
    assert ask(workspace, step="elsewhere", environ={"TF_BUILD": "True"}).code == 0


# ---- files


def outputs(workspace: Path, *words: str) -> tuple[int, Any, Any]:
    ending = ask(
        workspace,
        "--stageOutputFile",
        ".pipeline/stage_out.json",
        "--stepOutputFile",
        ".pipeline/step_out.json",
        *words,
        stage="_",
        step="_",
    )
    return (
        ending.code,
        json.loads((workspace / ".pipeline/stage_out.json").read_text()),
        json.loads((workspace / ".pipeline/step_out.json").read_text()),
    )


def test_files_hold_every_stage_and_step_and_nothing_is_asked(workspace: Path) -> None:
    assert outputs(workspace) == (
        0,
        {"Build": True, "Empty": False, "Release": False},
        {
            "Build": {"flagged": True, "keyed": False, "filled": False, "filed": False},
            "Empty": {},
            "Release": {"keyed": False},
        },
    )


@pytest.mark.parametrize("flag", ["--stageOutputFile", "--stepOutputFile"])
def test_one_file_alone_will_do(workspace: Path, flag: str) -> None:
    ending = Ending(
        ["checkIfStepActive", "--stageConfig", "stages.yml", "--step", "_", flag, "deep/out.json"],
        workspace,
    )
    assert (ending.code, ending.result["summary"]) == (0, "active: Build")
    assert (workspace / "deep" / "out.json").read_bytes().startswith(b'{"Build":')


def test_a_change_request_changes_nothing_here(workspace: Path) -> None:
    assert (
        outputs(workspace, *request(workspace, build={"changeRequest": "7", "branch": "PR-7"}))[1][
            "Build"
        ]
        is True
    )


# ---- flags of Piper's


@pytest.mark.parametrize(
    "words",
    [
        "--useV1",
        "--useV1=true",
        "--useV1 --verbose --noTelemetry",
        "-v",
        "--correlationID x",
        "--logFormat plain",
    ],
)
def test_what_has_no_meaning_here_is_taken(workspace: Path, words: str) -> None:
    assert ask(workspace, *words.split()).code == 0


@pytest.mark.parametrize(
    ("words", "environ"),
    [
        (["--stage", "Build", "--stageName", "Empty"], {}),
        (["--stageName", "Build", "--parametersJSON", '{"stageName": "Empty"}'], {}),
        (
            ["--parametersJSON", '{"stageName": "Build"}'],
            {"PIPER_parametersJSON": '{"stageName": "Empty"}'},
        ),
        (
            [],
            {
                "PIPER_parametersJSON": '{"stageName": "Build"}',
                "JENKINS_URL": "x",
                "STAGE_NAME": "Empty",
            },
        ),
        (["--parametersJSON", '{"stageName": ""}'], {"JENKINS_URL": "x", "STAGE_NAME": "Build"}),
        (["--parametersJSON", "{}"], {"GITHUB_ACTIONS": "true", "GITHUB_JOB": "Build"}),
    ],
)
def test_the_stage_is_named_by_flag_by_parameters_or_by_the_orchestrator(
    workspace: Path, words: list[str], environ: dict[str, str]
) -> None:
    assert ask(workspace, *words, stage="", environ=environ).code == 0


@pytest.mark.parametrize("words", [[], ["--parametersJSON", "{"], ["--nonsense"]])
def test_what_cannot_be_answered_ends_with_1_too(workspace: Path, words: list[str]) -> None:
    ending = ask(workspace, *words, stage="")
    assert (ending.code, ending.result["status"]) == (1, "failure")
    assert ending.hint


def test_without_a_step_there_is_nothing_to_answer(workspace: Path) -> None:
    ending = Ending(
        ["checkIfStepActive", "--stageConfig", "stages.yml", "--stage", "Build"], workspace
    )
    assert ending.code == 1
    assert "--step" in ending.message


# ---- the stage definition


def test_without_a_definition_the_usual_file_counts_and_else_towlines_own(workspace: Path) -> None:
    configure(workspace, "general: {flagged: true, cnbBuild: true}\n")
    words = ["checkIfStepActive", "--stage", "Build", "--step"]
    assert Ending([*words, "cnbBuild"], workspace).code == 0
    assert Ending([*words, "flagged"], workspace).code == 1
    (workspace / ".resources").mkdir()
    (workspace / ".resources" / "piper-stage-config.yml").write_text(STAGES)
    assert Ending([*words, "cnbBuild"], workspace).code == 1
    assert Ending([*words, "flagged"], workspace).code == 0


def test_a_usual_definition_that_a_link_leads_out_to_is_refused_and_not_passed_over(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "stages.yml"
    outside.write_text(STAGES)
    (workspace / ".resources").mkdir()
    (workspace / ".resources" / "piper-stage-config.yml").symlink_to(outside)
    ending = Ending(["checkIfStepActive", "--stage", "Build", "--step", "flagged"], workspace)
    assert (ending.code, ending.where) == (1, ".resources/piper-stage-config.yml")
    assert "leads out of the workspace" in ending.message


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (None, "is not there"),
        (b"\xff\xfe", "cannot be read"),
        (b"spec: {stages: [{}]}", "displayName"),
        (b"stages: {}", "spec"),
    ],
)
def test_a_definition_that_cannot_be_read_is_named(
    workspace: Path, content: bytes | None, part: str
) -> None:
    if content is not None:
        (workspace / "other.yml").write_bytes(content)
    ending = Ending(
        ["checkIfStepActive", "--stage", "Build", "--step", "a", "--stageConfig", "other.yml"],
        workspace,
    )
    assert ending.code == 1
    assert part in ending.message
    assert ending.where.startswith("other.yml")


class Shelf(LoopbackServer):
    """Has one stage definition."""

    def answer(self, request: Request) -> Answer:
        return (
            Answer(status=200, body=STAGES.encode())
            if request.path == "/stages.yml"
            else Answer(status=404)
        )


def test_a_definition_may_lie_behind_a_url(workspace: Path) -> None:
    with Shelf() as shelf:
        words = ["checkIfStepActive", "--stage", "Build", "--step", "flagged", "--stageConfig"]
        assert Ending([*words, f"http://{shelf.host}/stages.yml"], workspace).code == 0
        ending = Ending([*words, f"http://{shelf.host}/gone.yml"], workspace)
    assert (ending.code, ending.where) == (1, "--stageConfig")


# ---- configuration


def test_another_configuration_may_be_named_and_may_be_missing(workspace: Path) -> None:
    (workspace / "other.yaml").write_text("general: {key: 1}\n")
    assert ask(workspace, "--customConfig", "other.yaml", step="keyed").code == 0
    assert ask(workspace, "--customConfig", "other.yml", step="keyed").code == 0
    assert ask(workspace, "--customConfig", "gone.yml").code == 1
    assert ask(workspace, "--customConfig", "gone.yml").message.startswith("flagged is not active")


def test_default_documents_count_below_the_projects(workspace: Path) -> None:
    (workspace / "a.yml").write_text("general: {flagged: true, key: 1, keyed: true}\n")
    (workspace / "b.yml").write_text("general: {keyed: false}\n")
    assert ask(workspace, "--defaultConfig", "a.yml", step="keyed").code == 0
    assert ask(workspace, "--defaultConfig", "a.yml,b.yml", step="keyed").code == 1
    assert (
        ask(workspace, "--defaultConfig", "b.yml", "--defaultConfig", "a.yml", step="keyed").code
        == 0
    )
    assert (
        ask(workspace, "--defaultConfig", "a.yml,.pipeline/defaults.yaml", step="keyed").code == 0
    )
    assert ask(workspace, "--defaultConfig", "").code == 0


def test_a_default_document_that_is_not_there_is_a_fault(workspace: Path) -> None:
    ending = ask(workspace, "--defaultConfig", "gone.yml")
    assert (ending.code, ending.where) == (1, "--defaultConfig")
    assert "gone.yml" in ending.message


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("", 0),
        ("--ignoreCustomDefaults", 1),
        ("--ignoreCustomDefaults=true", 1),
        ("--ignoreCustomDefaults=false", 0),
    ],
)
def test_custom_defaults_may_be_ignored(workspace: Path, words: str, code: int) -> None:
    (workspace / "team.yml").write_text("general: {key: 1}\n")
    configure(workspace, "customDefaults: [team.yml]\n")
    assert ask(workspace, *words.split(), step="keyed").code == code
