from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.calls import SAMPLE, Ending, configure, request, team_file

PUSH, DEPLOY = "imagePushToRegistry", "gitOpsUpdateDeployment"
SECRET = "correct-horse-battery"


def parameters(ending: Ending) -> dict[str, dict[str, Any]]:
    assert ending.code == 0, ending.err
    return {record["name"]: record for record in ending.result["outputs"]["parameters"]}


def test_every_parameter_is_there_with_the_value_that_counts(workspace: Path) -> None:
    found = parameters(Ending(["explain", DEPLOY, "--stage", "Release"], workspace))
    assert {name: record["value"] for name, record in found.items() if record["set"]} == {
        "serverUrl": "https://github.tools.sap/project-piper/azure-demo-k8s-go.git",
        "tool": "helm",
        "filePath": "manifest-release-stage.yaml",
        "deploymentName": "azure-demo-k8s-go",
        "chartPath": "helm/azure-demo-k8s-go",
        "forcePush": True,
    }
    assert found["filePath"]["origin"] == ".pipeline/config.yml:14"
    assert found["filePath"]["layer"] == "stage Release"


def test_an_unset_parameter_shows_its_default_and_says_so(workspace: Path) -> None:
    ending = Ending(["explain", DEPLOY, "--stage", "Release"], workspace)
    found = parameters(ending)
    assert (found["pushDeadline"]["set"], found["pushDeadline"]["value"]) == (False, 600)
    assert (found["branchName"]["set"], found["branchName"]["value"]) == (False, None)
    assert "pushDeadline: not set, default 600\n" in ending.out
    assert "branchName: not set\n" in ending.out


def test_a_target_s_value_is_shown_as_the_run_takes_it(workspace: Path) -> None:
    configure(
        workspace,
        "steps: {gitOpsUpdateDeployment: {targets: [{branchName: 1.10, filePath: a.yaml, forcePush:"
        " 'true'}, {branchName: [odd]}]}}",
    )
    ending = Ending(["explain", DEPLOY, "targets"], workspace)
    assert parameters(ending)["targets"]["value"] == [
        {"branchName": "1.10", "filePath": "a.yaml", "forcePush": True},
        {"branchName": ["odd"]},
    ]
    assert '"branchName": "1.10"' in ending.out
    configure(workspace, "steps: {gitOpsUpdateDeployment: {targets: [odd]}}")
    assert parameters(Ending(["explain", DEPLOY, "targets"], workspace))["targets"]["value"] == [
        "odd"
    ]


EVERYWHERE = """
customDefaults: [team.yml]
general: {containerRegistryUrl: https://general.example}
steps: {gitopsUpdateDeployment: {containerRegistryUrl: https://step.example}}
stages: {Release: {containerRegistryUrl: https://stage.example}}
"""
LAYERS = [
    ("https://call.example", "parameter of the call"),
    ("https://variable.example", "PIPER_containerRegistryUrl"),
    ("https://stage.example", ".pipeline/config.yml:5"),
    ("https://step.example", ".pipeline/config.yml:4"),
    ("https://pushed.example", "container/targetRegistryUrl in the pipeline environment"),
    ("https://general.example", ".pipeline/config.yml:3"),
    ("https://team.example", "team.yml:1"),
    ("https://built.example", "container/registryUrl in the pipeline environment"),
]


def test_what_a_value_stands_over_is_listed_layer_by_layer_the_strongest_first(
    workspace: Path,
) -> None:
    configure(workspace, EVERYWHERE)
    (workspace / "team.yml").write_text("general: {containerRegistryUrl: https://team.example}")
    flag = request(
        workspace,
        stage="Release",
        parameters={"containerRegistryUrl": LAYERS[0][0]},
        pipelineEnvironment={
            "container/targetRegistryUrl": LAYERS[4][0],
            "container/registryUrl": LAYERS[7][0],
        },
    )
    ending = Ending(
        ["explain", DEPLOY, "containerRegistryUrl", *flag],
        workspace,
        {"PIPER_containerRegistryUrl": LAYERS[1][0]},
    )
    (record,) = ending.result["outputs"]["parameters"]
    assert [
        (place["value"], place["origin"]) for place in (record, *record["overridden"])
    ] == LAYERS
    assert [place["trusted"] for place in (record, *record["overridden"])] == [
        True,
        True,
        *[False] * 6,
    ]


def test_a_person_reads_where_each_of_them_stands(workspace: Path) -> None:
    out = Ending(
        ["explain", DEPLOY, "tool", "--stage", "Release"], workspace, {"PIPER_tool": "kustomize"}
    ).out
    assert out.startswith(
        "gitOpsUpdateDeployment in stage Release\n\n"
        "tool: kustomize\n"
        "    from PIPER_tool (variables)\n"
        "    over helm, .pipeline/config.yml:25 (step gitOpsUpdateDeployment)\n"
        "    over kubectl, default\n",
    )


def test_one_parameter_comes_with_what_there_is_to_know_of_it(workspace: Path) -> None:
    out = Ending(["explain", DEPLOY, "deploymentName"], workspace).out
    assert "    also as: helmDeploymentName\n" in out
    assert "    may stand in: step, stage, call\n" in out
    assert (
        "    at least: 1\n    at most: 86400\n"
        in Ending(["explain", DEPLOY, "pushDeadline"], workspace).out
    )
    assert (
        "    possible: kubectl, helm, kustomize, helm-values\n"
        in Ending(["explain", DEPLOY, "tool"], workspace).out
    )
    assert (
        "also as: image (deprecated), containerImage\n"
        in Ending(["explain", DEPLOY, "containerImageNameTag"], workspace).out
    )
    assert "chartPath" not in out.partition("faults:")[0]


def test_an_alias_is_named_where_it_stands_instead_of_the_parameter(workspace: Path) -> None:
    configure(
        workspace,
        f"general: {{dockerRegistryUrl: https://old.example}}\nsteps: {{{DEPLOY}:"
        " {containerRegistryUrl: https://new.example}}",
    )
    ending = Ending(["explain", DEPLOY, "containerRegistryUrl"], workspace)
    assert (
        "    over https://old.example, .pipeline/config.yml:1 (general), as dockerRegistryUrl\n"
        in ending.out
    )
    record = parameters(ending)["containerRegistryUrl"]
    assert [place["alias"] for place in (record, *record["overridden"])] == [
        "",
        "dockerRegistryUrl",
    ]


def test_a_secret_is_masked_also_where_it_is_overridden(workspace: Path) -> None:
    configure(
        workspace,
        f"general: {{containerRegistryPassword: {SECRET}-general}}\nsteps: {{kanikoExecute:"
        f" {{dockerRegistryPassword: {SECRET}-step}}}}\n",
    )
    ending = Ending(
        ["explain", "kanikoExecute", "containerRegistryPassword", "--json"],
        workspace,
        {"PIPER_containerRegistryPassword": f"{SECRET}-variable"},
    )
    (record,) = ending.result["outputs"]["parameters"]
    assert [place["value"] for place in (record, *record["overridden"])] == ["****"] * 3
    assert SECRET not in ending.out + ending.err + json.dumps(ending.result)


def test_a_secret_is_masked_on_the_page_as_well(workspace: Path) -> None:
    ending = Ending(["explain", DEPLOY], workspace, {"PIPER_password": SECRET})
    assert "password: ****\n    from PIPER_password (variables)\n" in ending.out
    assert SECRET not in ending.out + ending.err


@pytest.mark.parametrize(
    "value", ["[a-secret-in-a-list]", "{inner: a-secret-in-a-map}", "1234567890"]
)
def test_a_secret_of_the_wrong_type_is_masked_too(workspace: Path, value: str) -> None:
    configure(workspace, f"steps: {{{DEPLOY}: {{password: {value}}}}}")
    ending = Ending(["explain", DEPLOY], workspace)
    assert parameters(ending)["password"]["value"] == "****"
    assert "a-secret-in" not in ending.out + json.dumps(ending.result)
    assert "1234567890" not in ending.out + json.dumps(ending.result)


def test_a_secret_that_another_parameter_repeats_is_masked_there(workspace: Path) -> None:
    configure(
        workspace,
        f"steps: {{{DEPLOY}: {{commitMessage: 'with {SECRET} inside', helmValues:"
        f" ['{SECRET}.yaml']}}}}",
    )
    found = parameters(Ending(["explain", DEPLOY], workspace, {"PIPER_password": SECRET}))
    assert found["commitMessage"]["value"] == "with **** inside"
    assert found["helmValues"]["value"] == ["****.yaml"]


def test_a_number_that_is_a_secret_is_masked_elsewhere_too(workspace: Path) -> None:
    configure(
        workspace, f"steps: {{{DEPLOY}: {{password: 1234567890, commitMessage: after 1234567890}}}}"
    )
    assert (
        parameters(Ending(["explain", DEPLOY], workspace))["commitMessage"]["value"] == "after ****"
    )


def test_a_secret_that_is_a_number_is_masked_as_it_is_written(workspace: Path) -> None:
    own = "password: 0755123.10, commitMessage: after 0755123.10 and 0x7F55123"
    configure(
        workspace, f"steps: {{{DEPLOY}: {{{own}}}}}\nstages: {{Release: {{password: 0x7F55123}}}}"
    )
    assert (
        parameters(Ending(["explain", DEPLOY, "--stage", "Release"], workspace))["commitMessage"][
            "value"
        ]
        == "after **** and ****"
    )


def test_a_fault_does_not_show_a_secret(workspace: Path) -> None:
    configure(workspace, f"steps: {{{DEPLOY}: {{pushDeadline: {SECRET}}}}}")
    ending = Ending(["explain", DEPLOY], workspace, {"PIPER_password": SECRET})
    assert any('pushDeadline is "****"' in fault for fault in ending.result["outputs"]["faults"])
    assert SECRET not in ending.out + json.dumps(ending.result)


def test_names_of_images_are_shown_whatever_they_are_called(workspace: Path) -> None:
    configure(
        workspace,
        "steps:\n  imagePushToRegistry:\n    targetImages: {token-service: shop/token-service}\n",
    )
    ending = Ending(["explain", "imagePushToRegistry", "targetImages"], workspace)
    assert "shop/token-service" in ending.out


def test_ids_inside_a_map_are_shown(workspace: Path) -> None:
    given = (
        "{credentials: [git-token], more: {credentials: {my-token: [github.com]}}, theirs:"
        " {credentials: ['bob:x']}}"
    )
    configure(workspace, f"steps: {{cnbBuild: {{buildEnvVars: {given}}}}}")
    shown = {
        "credentials": ["git-token"],
        "more": {"credentials": {"my-token": ["github.com"]}},
        "theirs": {"credentials": "****"},
    }
    assert parameters(Ending(["explain", "cnbBuild"], workspace))["buildEnvVars"]["value"] == shown


def test_what_is_secret_by_its_name_inside_a_map_is_masked(workspace: Path) -> None:
    configure(
        workspace,
        "steps: {cnbBuild: {buildEnvVars: {NPM_TOKEN: abcdef, LEVEL: info, nested: {db_password:"
        " ghijkl, port: 1}, EMPTY_TOKEN: ''}}}",
    )
    found = parameters(Ending(["explain", "cnbBuild"], workspace))
    assert found["buildEnvVars"]["value"] == {
        "NPM_TOKEN": "****",
        "LEVEL": "info",
        "nested": {"db_password": "****", "port": 1},
        "EMPTY_TOKEN": "",
    }


def test_user_info_of_a_url_is_not_shown(workspace: Path) -> None:
    configure(
        workspace, f"steps: {{{DEPLOY}: {{serverUrl: 'https://robot:pw@git.example/ops.git'}}}}"
    )
    ending = Ending(["explain", DEPLOY], workspace)
    assert parameters(ending)["serverUrl"]["value"] == "https://****@git.example/ops.git"
    assert "robot" not in ending.out


def test_settings_with_faults_are_explained_with_their_faults(workspace: Path) -> None:
    configure(workspace, f"steps: {{{DEPLOY}: {{tool: helmm, pushDeadline: soon}}}}")
    ending = Ending(["explain", DEPLOY, "--stage", "Release"], workspace)
    assert ending.code == 0
    assert parameters(ending)["pushDeadline"]["value"] == "soon"
    faults = ending.result["outputs"]["faults"]
    assert len([fault for fault in faults if fault.startswith(".pipeline/config.yml:1: ")]) == 2
    assert all(f"\n{fault}\n" in ending.out for fault in faults)


def test_what_is_missing_may_stand_in_a_stage_that_is_not_named(workspace: Path) -> None:
    told = "no stage is named: --stage takes Build, Performance, Acceptance, Release\n"
    assert Ending(["explain", DEPLOY], workspace).out.endswith(told)
    assert told not in Ending(["explain", DEPLOY, "--stage", "Release"], workspace).out


def test_a_single_fault_says_where_it_is_and_what_to_do(workspace: Path) -> None:
    configure(
        workspace,
        f"steps: {{{DEPLOY}: {{serverUrl: https://git.example/ops.git, filePath: app.yaml,"
        " pushDeadline: soon}}",
    )
    faults = [
        fault
        for fault in Ending(["explain", DEPLOY], workspace).result["outputs"]["faults"]
        if "pushDeadline" in fault
    ]
    assert faults == [
        (
            '.pipeline/config.yml:1: pushDeadline is "soon", expected a whole number (write digits'
            " only)"
        )
    ]


@pytest.mark.parametrize(
    ("key", "hint"),
    [("toool", "did you mean 'tool'?"), ("conatinerName", "did you mean 'containerName'?")],
)
def test_a_key_that_is_no_parameter_gets_the_nearest_name(
    workspace: Path, key: str, hint: str
) -> None:
    ending = Ending(["explain", DEPLOY, key], workspace)
    assert (ending.code, ending.hint) == (2, hint)


def test_an_alias_explains_every_parameter_that_has_it(workspace: Path) -> None:
    ending = Ending(["explain", PUSH, "artifactVersion"], workspace)
    assert set(parameters(ending)) == {"sourceImageTag", "targetImageTag"}


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("gitopsUpdateDeployment", DEPLOY),
        ("deployToKubernetes", "kubernetesDeploy"),
        ("kanikoBuild", "kanikoExecute"),
    ],
)
def test_any_spelling_and_a_step_of_any_library_is_explained_under_its_own_name(
    workspace: Path, spelling: str, name: str
) -> None:
    ending = Ending(["explain", spelling], workspace)
    assert ending.code == 0
    assert ending.result["step"] == name
    assert ending.out.startswith(name)


def test_an_unknown_step_gets_the_nearest_name(workspace: Path) -> None:
    ending = Ending(["explain", "imagePushToRegistri"], workspace)
    assert (ending.code, ending.hint) == (2, "did you mean 'imagePushToRegistry'?")


@pytest.mark.parametrize(
    ("stage", "warned"),
    [
        ("Releese", "did you mean 'Release'?"),
        ("Integration", ""),
        ("Release", ""),
        ("Central Build", ""),
        ("Team stage", ""),
        ("", ""),
    ],
)
def test_a_stage_that_nothing_knows_is_warned_of(workspace: Path, stage: str, warned: str) -> None:
    configure(workspace, f"customDefaults: [team.yml]\n{SAMPLE}")
    (workspace / "team.yml").write_text("stages: {Team stage: {}}")
    ending = Ending(["explain", DEPLOY, "--stage", stage], workspace)
    assert ending.code == 0
    assert (warned in ending.err) if warned else ending.err == ""


def test_the_library_and_a_program_get_no_page(workspace: Path) -> None:
    assert Ending(["explain", DEPLOY, *request(workspace, stage="Release")], workspace).out == ""
    printed = json.loads(Ending(["explain", DEPLOY, "--json"], workspace).out)
    assert {record["name"] for record in printed["outputs"]["parameters"]} >= {"tool", "serverUrl"}


def test_the_pipeline_environment_on_disk_counts(workspace: Path) -> None:
    folder = workspace / ".pipeline" / "commonPipelineEnvironment" / "container"
    folder.mkdir(parents=True)
    (folder / "registryUrl").write_text("https://staging.example\n")
    assert (
        parameters(Ending(["explain", PUSH], workspace))["sourceRegistryUrl"]["value"]
        == "https://staging.example"
    )


def test_a_value_is_shown_as_the_step_gets_it(workspace: Path) -> None:
    configure(workspace, f"steps: {{{PUSH}: {{targetImageTag: 1.10, tagLatest: 'TRUE'}}}}")
    found = parameters(Ending(["explain", PUSH], workspace))
    assert (found["targetImageTag"]["value"], found["tagLatest"]["value"]) == ("1.10", True)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("''", '""'),
        ("' x'", '" x"'),
        ('"a\\nb"', '"a\\nb"'),
        ("plain text", "plain text"),
        ("x" * 400, "x" * 300 + "..."),
    ],
)
def test_a_text_is_quoted_where_it_could_not_be_seen_and_never_takes_two_lines(
    workspace: Path, value: str, shown: str
) -> None:
    configure(workspace, f"steps: {{{DEPLOY}: {{commitMessage: {value}}}}}")
    assert f"\ncommitMessage: {shown}\n" in Ending(["explain", DEPLOY], workspace).out


def test_nothing_asks_the_network(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("explain opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    configure(
        workspace, "general: {vaultServerUrl: 'https://vault.example', vaultPath: team}\n" + SAMPLE
    )
    ending = Ending(["explain", PUSH, "--stage", "Build"], workspace, {"PIPER_vaultToken": SECRET})
    assert parameters(ending)["targetRegistryUrl"]["set"]
    assert SECRET not in ending.out + json.dumps(ending.result)


def test_a_number_for_a_text_is_taken_as_it_is_written_wherever_it_stands(workspace: Path) -> None:
    configure(
        workspace,
        f"customDefaults: [own.yml]\nsteps: {{{PUSH}: {{sourceImageTag: 010, sourceImages:"
        " [1_000]}}",
    )
    (workspace / "own.yml").write_text(f"steps: {{{PUSH}: {{targetImages: {{a: 72225e2}}}}}}")
    team = team_file(workspace, f"steps: {{{PUSH}: {{targetImageTag: 1.10}}}}")
    folder = workspace / ".pipeline" / "commonPipelineEnvironment" / "container"
    folder.mkdir(parents=True)
    (folder / "imageNameTags.json").write_text("[1.20]")
    environ = {
        "TOWLINE_DEFAULTS": str(team),
        "PIPER_parametersJSON": '{"targetRegistryUser": 1.30}',
    }
    found = parameters(Ending(["explain", PUSH], workspace, environ))
    named = (
        "sourceImageTag",
        "sourceImages",
        "targetImages",
        "targetImageTag",
        "sourceImageNameTags",
        "targetRegistryUser",
    )
    assert [found[name]["value"] for name in named] == [
        "010",
        ["1_000"],
        {"a": "72225e2"},
        "1.10",
        ["1.20"],
        "1.30",
    ]


def test_a_secret_in_a_file_is_marked_and_the_page_says_that_it_belongs_into_none(
    workspace: Path,
) -> None:
    configure(workspace, f"steps: {{{DEPLOY}: {{password: {SECRET}}}}}")
    ending = Ending(["explain", DEPLOY, "password"], workspace)
    assert "    may stand in: call\n" in ending.out
    assert "\nwarnings:\n.pipeline/config.yml:1: password is a secret" in ending.out
    assert [text.partition(" is")[0] for text in ending.result["outputs"]["warnings"]] == [
        ".pipeline/config.yml:1: password"
    ]
    assert SECRET not in ending.out + ending.err


def test_a_page_without_anything_set_says_so(workspace: Path) -> None:
    configure(workspace, "")
    assert Ending(["explain", PUSH, "verify", "--set"], workspace).out.startswith(
        f"{PUSH}\n\nnothing is set\n"
    )


def test_only_what_is_set_is_shown_on_demand(workspace: Path) -> None:
    configure(
        workspace, "steps:\n  imagePushToRegistry:\n    targetRegistryUrl: https://r.example.com\n"
    )
    out = Ending(["explain", PUSH, "--set"], workspace).out
    assert "targetRegistryUrl: https://r.example.com" in out
    assert "not set" not in out
