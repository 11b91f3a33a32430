from __future__ import annotations

import os
from pathlib import Path

from tests.calls import SAMPLE, Ending, configure, request, team_file

MAIN = ("--branch", "main")
ALWAYS = ["Init", "Post"]  # stages of every build
PRODUCTIVE = ["Init", "Build", "Acceptance", "Performance", "Release", "Post"]


def test_the_seeds_stages_are_active_in_the_pipelines_order_and_say_why(workspace: Path) -> None:
    stages = Ending(["plan", *MAIN], workspace).result["outputs"]["stages"]
    assert [stage["name"] for stage in stages if stage["active"] != "no"] == PRODUCTIVE
    why = {
        (stage["name"], step["name"]): step["why"]
        for stage in stages
        for step in stage["steps"]
        if step["active"] == "yes"
    }
    assert ".pipeline/config.yml:3" in why["Build", "imagePushToRegistry"]
    assert ".pipeline/config.yml:11" in why["Acceptance", "gitOpsUpdateDeployment"]


def test_a_step_of_another_library_is_told_from_the_engines_own(workspace: Path) -> None:
    (build,) = Ending(["plan", "--stage", "Build", *MAIN], workspace).result["outputs"]["stages"]
    engine = {step["name"]: step["engine"] for step in build["steps"] if step["active"] == "yes"}
    assert engine == {"kanikoExecute": False, "imagePushToRegistry": True}


def test_the_builder_stands_before_the_push(workspace: Path) -> None:
    (build,) = Ending(["plan", "--stage", "Build", *MAIN], workspace).result["outputs"]["stages"]
    assert [step["name"] for step in build["steps"] if step["active"] == "yes"] == [
        "kanikoExecute",
        "imagePushToRegistry",
    ]


def test_a_person_gets_text(workspace: Path) -> None:
    text = Ending(["plan", "--stage", "Release", *MAIN], workspace).out
    assert text.startswith("Release: yes")
    assert "gitOpsUpdateDeployment: yes" in text


def test_a_person_sees_what_is_active_and_the_rest_on_demand(workspace: Path) -> None:
    short, whole = (
        Ending(["plan", *MAIN], workspace).out,
        Ending(["plan", "--all", *MAIN], workspace).out,
    )
    assert ": no (" not in short
    assert "\nnot active: " in short
    assert ": no (" in whole
    assert {line for line in short.splitlines() if not line.startswith("not active: ")} <= set(
        whole.splitlines()
    )


def test_a_branch_that_is_not_productive_is_said_to_be_the_reason(workspace: Path) -> None:
    assert (
        "this build is not productive: branch topic; stages of the productive branch"
        in Ending(["plan", "--branch", "topic"], workspace).err
    )
    assert "productive" not in Ending(["plan", *MAIN], workspace).err


def test_a_reason_that_is_the_stage_s_is_said_once(workspace: Path) -> None:
    lines = Ending(["plan", "--all"], workspace).out.splitlines()
    assert "  imagePushToRegistry: no" in lines
    assert not any("an unknown branch" in line for line in lines if line.startswith("  "))


def test_a_change_request_is_said_to_be_why_little_is_active(workspace: Path) -> None:
    ending = Ending(["plan", "--change-request", "5"], workspace)
    assert (
        "--change-request 5 says that a change request is built, which pushes and deploys nothing"
        in ending.err
    )
    assert "a change request is built" not in Ending(["plan", *MAIN], workspace).err


def test_the_library_gets_no_text(workspace: Path) -> None:
    assert Ending(["plan", *request(workspace)], workspace).out == ""


def test_a_stage_that_is_not_there_gets_the_nearest_name(workspace: Path) -> None:
    ending = Ending(["plan", "--stage", "Releese"], workspace)
    assert (ending.code, ending.where) == (2, "--stage")  # as of a run
    assert "'Release'" in ending.hint


def test_a_change_request_has_nothing_to_push_or_deploy(workspace: Path) -> None:
    stages = Ending(["plan", *request(workspace, build={"changeRequest": "4"})], workspace).result[
        "outputs"
    ]["stages"]
    active = {step["name"] for stage in stages for step in stage["steps"] if step["active"] != "no"}
    assert active & {"imagePushToRegistry", "gitOpsUpdateDeployment"} == set()


def test_another_branch_than_the_productive_one_runs_neither_build_nor_deployment(
    workspace: Path,
) -> None:
    def active(branch: str, **environ: str) -> list[str]:
        stages = Ending(
            ["plan", *request(workspace, build={"branch": branch})], workspace, environ
        ).result["outputs"]["stages"]
        return [stage["name"] for stage in stages if stage["active"] != "no"]

    assert active("feature/x") == ALWAYS
    assert active("main") == PRODUCTIVE
    configure(workspace, f"{SAMPLE}\ngeneral:\n  productiveBranch: feature/x\n")
    assert active("feature/x") == ALWAYS  # a branch's own configuration
    assert active("main") == ALWAYS
    team = team_file(workspace, "general: {productiveBranch: feature/x}\n")
    assert active("feature/x", TOWLINE_DEFAULTS=str(team)) == PRODUCTIVE


def test_the_flags_say_what_is_built_whatever_the_variables_say(workspace: Path) -> None:
    def active(*words: str, **environ: str) -> list[str]:
        stages = Ending(["plan", *words], workspace, environ).result["outputs"]["stages"]
        return [stage["name"] for stage in stages if stage["active"] != "no"]

    github = {"GITHUB_ACTIONS": "true"}
    assert active() == ALWAYS
    assert active(GITHUB_REF="refs/heads/main", **github) == PRODUCTIVE
    assert active("--branch", "x", GITHUB_REF="refs/heads/main", **github) == ALWAYS
    assert active("--branch", "refs/heads/main", GITHUB_REF="refs/heads/x", **github) == PRODUCTIVE
    assert active("--branch", "main", GITHUB_HEAD_REF="x", **github) == ALWAYS
    assert active("--change-request", "7", GITHUB_REF="refs/heads/main", **github) == ALWAYS
    none, change = (
        ("--change-request", "none"),
        {
            "GITHUB_HEAD_REF": "x",
            "GITHUB_REF": "refs/heads/main",
            **github,
        },
    )
    assert active(*none, **change) == ALWAYS  # the author of the change can change the workflow
    assert active(*none, PIPER_allowChangeRequest="true", **change) == PRODUCTIVE


def test_where_nobody_knows_the_branch_nothing_is_deployed_and_the_flag_is_named(
    workspace: Path,
) -> None:
    ending = Ending(["plan", "--stage", "Release"], workspace)
    text = ending.out
    assert "the branch of this build is unknown" in ending.err
    assert "nobody knows" not in Ending(["plan", *MAIN], workspace).err
    assert (
        "does not run for an unknown branch (no variable of a CI system names it; name it"
        " with `--branch`)" in text
    )


def test_a_tag_is_productive_by_the_word_of_a_trusted_layer_alone(workspace: Path) -> None:
    def text(**more: str) -> str:
        environ = {"GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/tags/v1.2", **more}
        return Ending(["plan", "--stage", "Release"], workspace, environ).out

    configure(workspace, f"{SAMPLE}\ngeneral:\n  productiveTags: ['v*']\n")
    assert (
        "tag v1.2, which no trusted `productiveTags` matches; that of the project is ignored"
        in text()
    )
    for value, expected in (
        ("['v*']", "Release: yes"),
        ("[v1.2]", "Release: yes"),
        ("['w*', v2]", "Release: no"),
    ):
        team = team_file(workspace, f"general: {{productiveTags: {value}}}\n")
        assert expected in text(TOWLINE_DEFAULTS=str(team))
    for value in ("[7]", "v*", "['']"):
        team = team_file(workspace, f"general: {{productiveTags: {value}}}\n")
        ending = Ending(
            ["plan"],
            workspace,
            {
                "GITHUB_ACTIONS": "true",
                "GITHUB_REF": "refs/tags/v1.2",
                "TOWLINE_DEFAULTS": str(team),
            },
        )
        assert (ending.code, ending.where.endswith("team.yml:1")) == (3, True)


def test_the_variables_of_the_agent_stand_over_the_project_for_plan_and_run_alike(
    workspace: Path,
) -> None:
    configure(workspace, f"{SAMPLE}\ngeneral:\n  productiveBranch: main\n  productiveTags: [w*]\n")

    def answers(ref: str, **more: str) -> tuple[bool, bool]:
        environ = {
            "PATH": os.environ["PATH"],
            "GITHUB_ACTIONS": "true",
            "GITHUB_REF": ref,
            "PIPER_serverUrl": "http://127.0.0.1:9/x.git",
            **more,
        }
        planned = Ending(["plan", "--stage", "Release"], workspace, environ).out
        ran = Ending(
            ["run", "gitOpsUpdateDeployment", "--stage", "Release", "--if-active", "--dry-run"],
            workspace,
            environ,
        )
        return planned.startswith("Release: yes"), "does not run for" not in ran.err

    assert answers("refs/tags/v1", PIPER_productiveTags="v*") == (True, True)
    assert answers("refs/tags/v1", PIPER_productiveTags="x*,v1") == (True, True)
    assert (
        answers("refs/tags/v1", PIPER_productiveTags="x*")
        == answers("refs/tags/w1")
        == (False, False)
    )
    assert answers("refs/heads/prod", PIPER_productiveBranch="prod") == (True, True)
    assert answers("refs/heads/main", PIPER_productiveBranch="prod") == (False, False)
    ending = Ending(
        ["plan"],
        workspace,
        {"GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/tags/v1", "PIPER_productiveTags": '[""]'},
    )
    assert (ending.code, ending.where) == (3, "PIPER_productiveTags")
    assert (
        "did you mean PIPER_productiveTags?"
        in Ending(["plan"], workspace, {"PIPER_productiveTag": "v*"}).err
    )


def test_the_former_name_of_build_is_a_stage(workspace: Path) -> None:
    (build,) = Ending(["plan", "--stage", "Central Build", *MAIN], workspace).result["outputs"][
        "stages"
    ]
    assert (build["name"], build["active"]) == ("Build", "yes")


def test_files_of_the_workspace_count(workspace: Path) -> None:
    (workspace / "service").mkdir()
    (workspace / "service" / "sonar-project.properties").write_text("")
    (build,) = Ending(["plan", "--stage", "Build", *MAIN], workspace).result["outputs"]["stages"]
    why = {step["name"]: step["why"] for step in build["steps"] if step["active"] == "yes"}
    assert (
        why["sonarExecuteScan"]
        == "service/sonar-project.properties matches **/sonar-project.properties"
    )


def test_a_flag_that_nothing_acts_on_is_noted_as_lint_finds_it(workspace: Path) -> None:
    configure(
        workspace,
        "stages:\n  Performance:\n    imagePushToRegistry: true\n  Bild: {kanikoExecute: true}\n",
    )
    plan, lint = Ending(["plan", *MAIN], workspace), Ending(["lint"], workspace)
    *notes, optional = plan.result["outputs"]["notes"]
    assert any("Performance has no step imagePushToRegistry" in note for note in notes)
    assert any("the pipeline has no stage Bild" in note for note in notes)
    assert all(note.split(": ")[1].split(" (")[0] in lint.out for note in notes)
    assert notes[0] in plan.err
    assert optional in plan.err


def test_nothing_is_noted_of_the_sample_but_what_a_library_may_add(workspace: Path) -> None:
    assert Ending(["plan", *MAIN], workspace).result["outputs"]["notes"] == [
        (
            "left out if no loaded library has them: pipelineStashFilesBeforeBuild (Init),"
            " influxWriteData (Post), mailSendNotification (Post), debugReportArchive (Post),"
            " piperPublishWarnings (Post)"
        )
    ]
