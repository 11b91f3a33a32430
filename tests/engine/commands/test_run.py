from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.calls import Ending, configure, request, team_file
from towline.cli import main

PUSH = "steps:\n  imagePushToRegistry:\n    targetRegistryUrl: https://registry.example.com\n"
DEPLOY = (
    "steps:\n  gitOpsUpdateDeployment:\n    serverUrl: https://git.example.com/r.git\n   "
    " gitHttpsCredentialsId: git\n    filePath: a.yaml\n    containerName: app\n"
)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_step_that_its_stage_does_not_activate_is_skipped_and_says_why(workspace: Path) -> None:
    configure(workspace, PUSH)
    ending = Ending(["run", "imagePushToRegistry", "--stage", "Build", "--if-active"], workspace)
    assert ending.code == 0
    assert ending.result["status"] == "skipped"
    assert ending.result["outputs"]["why"] in ending.err


def test_a_flag_of_the_stage_in_either_spelling_decides(workspace: Path) -> None:
    for spelling in ("gitOpsUpdateDeployment", "gitopsUpdateDeployment"):
        configure(
            workspace,
            f"{DEPLOY}stages:\n  Acceptance:\n    filePath: b.yaml\n    {spelling}: false\n",
        )
        ending = Ending(
            [
                "run",
                "gitOpsUpdateDeployment",
                "--stage",
                "Acceptance",
                "--branch",
                "main",
                "--if-active",
            ],
            workspace,
        )
        assert ending.result["status"] == "skipped"
        assert ".pipeline/config.yml:10" in ending.result["outputs"]["why"]


JENKINS = {"JENKINS_URL": "https://ci.example.com", "STAGE_NAME": "Acceptance"}


@pytest.mark.parametrize(
    ("words", "environ", "stage"),
    [
        ([], {}, ""),
        ([], JENKINS, "Acceptance"),
        (["--stage", "Release"], JENKINS, "Release"),
        ([], {**JENKINS, "PIPER_parametersJSON": '{"stageName": "Promote"}'}, "Promote"),
    ],
)
def test_a_call_in_a_shell_takes_the_stage_of_its_surroundings(
    workspace: Path, words: list[str], environ: dict[str, str], stage: str
) -> None:
    """Without its stage, a deployment would go to the repository of another stage."""
    configure(
        workspace,
        f"{DEPLOY}stages:\n  Acceptance: {{filePath: [acceptance]}}\n  Release: {{filePath:"
        " [release]}\n  Promote: {filePath: [p]}\n",
    )
    ending = Ending(["run", "gitOpsUpdateDeployment", *words], workspace, environ)
    assert ending.result["stage"] == stage
    assert ("filePath is a list" in ending.message) == bool(stage)
    assert (
        f" in stage {stage}\n"
        in f"{Ending(['explain', 'gitOpsUpdateDeployment', *words], workspace, environ).out} in"
        " stage \n"
    )
    assert Ending(
        [
            "run",
            "gitOpsUpdateDeployment",
            *words,
            *request(workspace, step="gitOpsUpdateDeployment"),
        ],
        workspace,
        environ,
    ).result["stage"] == ("Release" if words else "")


def test_a_direct_call_runs_whatever_the_stage_says(workspace: Path) -> None:
    configure(workspace, f"{PUSH}stages:\n  Build:\n    imagePushToRegistry: false\n")
    ending = Ending(["run", "imagePushToRegistry", "--stage", "Build"], workspace)
    assert ending.code == 3  # it ran as far as asking for an image


def test_a_change_request_pushes_and_deploys_nothing(workspace: Path) -> None:
    configure(workspace, f"{PUSH}stages:\n  Build:\n    imagePushToRegistry: true\n")
    flag = request(
        workspace, step="imagePushToRegistry", stage="Build", build={"changeRequest": "17"}
    )
    ending = Ending(["run", "imagePushToRegistry", "--if-active", *flag], workspace)
    assert ending.result["status"] == "skipped"


@pytest.mark.parametrize(
    "step", ["imagePushToRegistry", "gitOpsUpdateDeployment", "containerPushToRegistry"]
)
@pytest.mark.parametrize("words", [[], ["--if-active", "--stage", "Build"]])
def test_a_change_request_publishes_nothing_also_when_it_calls_the_step_itself(
    workspace: Path, step: str, words: list[str]
) -> None:
    configure(workspace, "stages: {Build: {imagePushToRegistry: true}}")
    ending = Ending(["run", step, *words], workspace, {"GITHUB_HEAD_REF": "fix"})
    assert (ending.code, ending.result["status"]) == (0, "skipped")
    if not words:
        assert (
            "GITHUB_HEAD_REF says that this is one; it may if the platform team says so"
            in ending.result["outputs"]["why"]
        )
        assert "PIPER_allowChangeRequest=true" in ending.result["outputs"]["why"]
        assert ending.result["outputs"]["why"] in ending.err


ALLOWED = {"PIPER_allowChangeRequest": "true"}


@pytest.mark.parametrize(
    ("words", "build", "more", "code"),
    [
        (["--dry-run"], {}, {}, 3),
        ([], {}, ALLOWED, 3),
        ([], {"changeRequest": "7"}, ALLOWED, 3),
        (["--change-request", "none"], {}, ALLOWED, 3),
        (["--change-request", "none"], {}, {}, 0),
        (["--change-request", "none"], {"changeRequest": "7"}, {}, 0),
        (["--allowChangeRequest"], {}, {}, 0),
    ],
)
def test_a_change_request_publishes_where_a_trusted_layer_says_so(
    workspace: Path,
    words: list[str],
    build: dict[str, str],
    more: dict[str, str],
    code: int,
) -> None:
    configure(workspace, PUSH)
    flag = request(workspace, step="imagePushToRegistry", build=build) if build else []
    # 3: as far as asking for an image
    assert (
        Ending(
            ["run", "imagePushToRegistry", *words, *flag],
            workspace,
            {"GITHUB_HEAD_REF": "fix", **more},
        ).code
        == code
    )


def test_who_denies_that_a_change_request_is_built_is_told_that_it_does_not_count(
    workspace: Path,
) -> None:
    configure(workspace, PUSH)
    ending = Ending(
        ["run", "imagePushToRegistry", "--change-request", "none"],
        workspace,
        {"GITHUB_HEAD_REF": "fix"},
    )
    assert "--change-request none is ignored" in ending.err


@pytest.mark.parametrize(
    "team",
    [
        "general: {allowChangeRequest: true}",
        "steps: {imagePushToRegistry: {allowChangeRequest: true}}",
    ],
)
def test_documents_of_the_agent_let_a_change_request_publish_and_those_of_its_call_do_not(
    workspace: Path, team: str
) -> None:
    configure(workspace, PUSH)
    outside = team_file(workspace, team)
    words = ["run", "imagePushToRegistry"]
    build = {"changeRequest": "7"}
    carried = Ending(
        [*words, *request(workspace, build=build, defaults=[{"name": "t", "text": team}])],
        workspace,
    )
    assert (carried.code, carried.result["status"]) == (0, "skipped")
    ours = Ending(
        [*words, *request(workspace, build=build)], workspace, {"TOWLINE_DEFAULTS": str(outside)}
    )
    assert ours.code == 3
    other = Ending(
        ["run", "containerPushToRegistry", *request(workspace, build=build)],
        workspace,
        {"TOWLINE_DEFAULTS": str(outside)},
    )
    assert (other.result["status"] == "skipped") == ("steps" in team)


def test_a_change_request_may_be_named(workspace: Path) -> None:
    ending = Ending(["run", "imagePushToRegistry", "--change-request", "7"], workspace)
    assert (ending.result["status"], "--change-request 7 says" in ending.result["summary"]) == (
        "skipped",
        True,
    )


def test_a_jenkins_credential_that_is_not_bound_is_asked_for(workspace: Path) -> None:
    configure(workspace, DEPLOY)
    ending = Ending(
        ["run", "gitOpsUpdateDeployment", *request(workspace, step="gitOpsUpdateDeployment")],
        workspace,
    )
    assert (ending.code, ending.result["status"]) == (0, "bind")
    assert ending.result["bindings"] == [
        {
            "credentialsId": "git",
            "kind": "usernamePassword",
            "variables": {"username": "PIPER_username", "password": "PIPER_password"},
        }
    ]


@pytest.mark.parametrize(
    ("name", "kind", "part"),
    [
        ("signingKeyCredentialsId", "sshUserPrivateKey", "file"),
        ("signingKeyFileCredentialsId", "file", "file"),
        ("signingKeyTextCredentialsId", "string", "text"),
    ],
)
def test_a_signing_key_is_a_credential_of_whatever_kind_it_is_named_by(
    workspace: Path, name: str, kind: str, part: str
) -> None:
    configure(workspace, f"{DEPLOY}general: {{{name}: signer}}\n")
    ending = Ending(
        ["run", "gitOpsUpdateDeployment", *request(workspace, step="gitOpsUpdateDeployment")],
        workspace,
    )
    assert {
        "credentialsId": "signer",
        "kind": kind,
        "variables": {part: "PIPER_signingPrivateKey"},
    } in ending.result["bindings"]


def test_two_credentials_for_one_parameter_are_refused(workspace: Path) -> None:
    configure(
        workspace,
        f"{DEPLOY}general:\n  signingKeyCredentialsId: one\n  signingKeyFileCredentialsId: two\n",
    )
    ending = Ending(
        ["run", "gitOpsUpdateDeployment", *request(workspace, step="gitOpsUpdateDeployment")],
        workspace,
    )
    assert (ending.code, "'one' is named for already" in ending.message) == (3, True)
    assert ending.where.startswith(".pipeline/config.yml:")


def test_a_jenkins_credential_outside_of_jenkins_is_a_fault_that_names_the_variables(
    workspace: Path,
) -> None:
    configure(workspace, DEPLOY)
    ending = Ending(["run", "gitOpsUpdateDeployment"], workspace)
    assert ending.code == 4
    assert "PIPER_username and PIPER_password" in ending.hint
    assert ending.where == ".pipeline/config.yml:4"


def test_a_bound_credential_is_not_asked_for_again(workspace: Path) -> None:
    configure(workspace, DEPLOY)
    environ = {"PIPER_username": "anna", "PIPER_password": "secret-password"}
    ending = Ending(
        ["run", "gitOpsUpdateDeployment", *request(workspace, step="gitOpsUpdateDeployment")],
        workspace,
        environ,
    )
    assert ending.result["status"] == "failure"
    assert "no image" in ending.message


def test_what_is_not_set_may_be_given_as_a_flag_in_a_shell_alone(workspace: Path) -> None:
    configure(workspace, "general: {}")
    words = ["run", "gitOpsUpdateDeployment", "--containerName", "app", "--filePath", "a.yaml"]
    ending = Ending(words, workspace)
    assert (ending.message, ending.hint.startswith("give --serverUrl, or set serverUrl in ")) == (
        "serverUrl is not set",
        True,
    )
    asked = Ending([*words, *request(workspace, step="gitOpsUpdateDeployment")], workspace)
    assert (asked.message, asked.hint.startswith("set serverUrl in ")) == (
        "serverUrl is not set",
        True,
    )


def test_a_secret_has_no_flag(workspace: Path) -> None:
    assert (
        Ending(["run", "imagePushToRegistry", "--targetRegistryPassword", "x"], workspace).code == 2
    )


def test_the_steps_help_comes_from_its_metadata(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(
            ["run", "gitopsUpdateDeployment", "--help"],
            environ={},
            out=io.StringIO(),
            err=io.StringIO(),
        )
    assert ending.value.code == 0
    text = capsys.readouterr().out
    assert "parameters of gitOpsUpdateDeployment" in text
    assert "--chartPath" in text


def test_a_mistyped_parameter_of_the_call_gets_the_nearest_name(workspace: Path) -> None:
    configure(workspace, PUSH)
    flag = request(
        workspace,
        step="imagePushToRegistry",
        parameters={"targetRegistryUrll": "https://x.example.com"},
    )
    ending = Ending(["run", "imagePushToRegistry", *flag], workspace)
    assert ending.code in (2, 3)
    assert "targetRegistryUrl" in ending.hint + ending.message


def test_a_deprecated_name_is_warned_about_once_with_its_line(workspace: Path) -> None:
    configure(workspace, DEPLOY + "    image: app:1\n")
    words = ["run", "gitOpsUpdateDeployment", *request(workspace, step="gitOpsUpdateDeployment")]
    # it asks for a credential, and is called again
    assert "deprecated" not in Ending(words, workspace).err
    ending = Ending(
        words, workspace, {"PIPER_username": "anna", "PIPER_password": "secret-password"}
    )
    assert ending.err.count("deprecated") == 1
    assert (
        "warning: .pipeline/config.yml:7: image is deprecated, write containerImageNameTag"
        in ending.err
    )
