from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.calls import Ending, configure
from tests.fakes.serve import Answer, LoopbackServer, Request
from towline.config.documents import read_yaml

CONFIG = """\
general:
  verbose: true
  colour: general
  vaultServerUrl: https://vault.example.com
steps:
  imagePushToRegistry:
    targetRegistryUrl: https://registry.example.com
    tagLatest: yes
    sourceImages: [a, 1]
    dockerImage: own:1
stages:
  Build:
    targetRegistryUser: stage
    free: [1, {a: b}]
  Release: {targetRegistryUser: release}
"""
PAINT = """\
metadata: {name: paint, description: Paints.}
spec:
  inputs:
    secrets: [{name: paintId, type: jenkins, aliases: [{name: oldPaintId}]}]
    resources: [{name: source, type: stash}]
    params:
      - name: colour
        type: string
        scope: [GENERAL, STEPS, STAGES, PARAMETERS]
        resourceRef: [{name: commonPipelineEnvironment, param: custom/colour}]
      - {name: tool, type: string, scope: [STEPS, PARAMETERS], default: brush}
      - name: width
        type: int
        scope: [STEPS]
        default: 3
        conditions: [{conditionRef: strings-equal, params: [{name: tool, value: brush}]}]
  containers:
    - image: 'brush:1'
      conditions: [{conditionRef: strings-equal, params: [{name: tool, value: brush}]}]
    - image: 'spray:1'
      conditions: [{conditionRef: strings-equal, params: [{name: tool, value: spray}]}]
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    configure(tmp_path, CONFIG)
    (tmp_path / "paint.yaml").write_text(PAINT)
    return tmp_path


def ending(workspace: Path, *words: str, **environ: str) -> Ending:
    return Ending(["getConfig", *words], workspace, environ)


def config(workspace: Path, *words: str, **environ: str) -> dict[str, Any]:
    done = ending(workspace, *words, **environ)
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_standard_output_is_one_document(workspace: Path) -> None:
    done = ending(workspace, "--stepName", "imagePushToRegistry", "--json")
    assert (done.code, "unknown flag --json" in done.message) == (1, True)
    assert done.out == ""  # standard output is for the configuration alone
    assert config(workspace, "--stepName", "imagePushToRegistry", "--output", "json")


# ---- a step


def test_the_resolved_map_of_a_step_is_one_line_of_json(workspace: Path) -> None:
    done = ending(workspace, "--stepName", "imagePushToRegistry", "--stageName", "Build")
    assert done.out.count("\n") == 1
    found = json.loads(done.out)
    assert list(found) == sorted(found)
    assert (found["targetRegistryUrl"], found["targetRegistryUser"]) == (
        "https://registry.example.com",
        "stage",
    )


def test_values_are_neither_checked_nor_coerced(workspace: Path) -> None:
    found = config(workspace, "--stepName", "imagePushToRegistry")
    assert (found["tagLatest"], found["sourceImages"]) == ("yes", ["a", 1])


def test_by_its_name_a_step_shows_every_parameter_and_by_a_file_only_what_is_set(
    workspace: Path,
) -> None:
    by_name = config(workspace, "--stepName", "imagePushToRegistry")
    assert (
        by_name["sourceImageTag"],
        by_name["useImageNameTags"],
        by_name["targetImages"],
        by_name["targetImageNameTags"],
    ) == ("", False, {}, [])
    by_file = config(workspace, "--stepMetadata", "paint.yaml")
    assert {key: by_file[key] for key in ("colour", "tool", "width", "brush")} == {
        "colour": "general",
        "tool": "brush",
        "width": 3,
        "brush": {"width": 3},
    }
    assert "paintId" not in by_file


def test_metadata_with_a_second_document_is_an_error(workspace: Path) -> None:
    (workspace / "two.yaml").write_text(f"{PAINT}---\n{PAINT}")
    done = ending(workspace, "--stepMetadata", "two.yaml")
    second = f"two.yaml:{len(PAINT.splitlines()) + 1}"
    said = ("something stands behind it" in done.err, second in done.err)
    assert (done.code, *said) == (1, True, True)


def test_common_keys_and_flags_that_were_set_are_shown(workspace: Path) -> None:
    found = config(
        workspace,
        "--stepName",
        "imagePushToRegistry",
        "--noTelemetry",
        "--vaultPath",
        "p",
        "--defaultConfig",
        "",
        "--ignoreCustomDefaults=false",
    )
    assert (
        found["verbose"],
        found["vaultServerUrl"],
        found["vaultPath"],
        found["noTelemetry"],
    ) == (True, "https://vault.example.com", "p", True)
    assert (found["stepName"], found["ignoreCustomDefaults"]) == ("imagePushToRegistry", False)
    assert not {"request", "stage", "config", "json", "output", "envRootPath"} & found.keys()


def test_keys_of_vault_do_not_come_from_variables(workspace: Path) -> None:
    found = config(
        workspace,
        "--stepMetadata",
        "paint.yaml",
        PIPER_vaultServerUrl="x",
        PIPER_vaultPath="x",
        PIPER_gcsBucketId="x",
        PIPER_colour="y",
    )
    assert (found["vaultServerUrl"], found["colour"]) == ("https://vault.example.com", "y")
    assert not {"vaultPath", "gcsBucketId"} & found.keys()


@pytest.mark.parametrize("by", ["flag", "variable"])
def test_parameters_come_as_json_by_flag_or_variable(workspace: Path, by: str) -> None:
    text = '{"colour": "call", "stageName": "Release", "free": 1}'
    words, environ = (
        (["--parametersJSON", text], {}) if by == "flag" else ([], {"PIPER_parametersJSON": text})
    )
    assert config(workspace, "--stepMetadata", "paint.yaml", *words, **environ)["colour"] == "call"
    assert (
        config(workspace, "--stepName", "imagePushToRegistry", *words, **environ)[
            "targetRegistryUser"
        ]
        == "release"
    )


def test_the_pipeline_environment_is_read_from_where_it_is_told_to_be(workspace: Path) -> None:
    for root, value in ((".pipeline", "one"), ("other", "two")):
        (workspace / root / "commonPipelineEnvironment" / "custom").mkdir(parents=True)
        (workspace / root / "commonPipelineEnvironment" / "custom" / "colour").write_text(value)
    configure(workspace, "")
    assert config(workspace, "--stepMetadata", "paint.yaml")["colour"] == "one"
    assert (
        config(workspace, "--stepMetadata", "paint.yaml", "--envRootPath", "other")["colour"]
        == "two"
    )


# ---- the context


def test_the_context_of_a_step_is_what_it_runs_in(workspace: Path) -> None:
    found = config(workspace, "--stepName", "imagePushToRegistry", "--contextConfig")
    assert found == {
        "contextConfig": True,
        "dockerEnvVars": {"container": "docker"},
        "dockerImage": "own:1",
        "dockerOptions": ["-u 0", "--entrypoint="],
        "stashContent": ["source"],
        "stepName": "imagePushToRegistry",
        "vaultServerUrl": "https://vault.example.com",
    }


def test_the_chosen_containers_map_is_taken_over_and_the_others_stay(workspace: Path) -> None:
    found = config(workspace, "--stepMetadata", "paint.yaml", "--contextConfig")
    assert (found["dockerImage"], found["tool"], "brush" in found, found["spray"]) == (
        "brush:1",
        "brush",
        False,
        {"dockerImage": "spray:1"},
    )
    other = config(
        workspace,
        "--stepMetadata",
        "paint.yaml",
        "--contextConfig",
        "--parametersJSON",
        '{"tool": "spray", "oldPaintId": "x"}',
    )
    assert (other["dockerImage"], "spray" in other, other["paintId"]) == ("spray:1", False, "x")


# ---- a stage


def test_a_stage_shows_general_and_its_own_section(workspace: Path) -> None:
    found = config(workspace, "--stageConfig", "--stageName", "Build")
    assert found == {
        "verbose": True,
        "colour": "general",
        "vaultServerUrl": "https://vault.example.com",
        "targetRegistryUser": "stage",
        "free": [1, {"a": "b"}],
        "hooks": None,
    }


def test_a_stage_shows_accepted_keys_only_where_some_are_named(workspace: Path) -> None:
    words = [
        "--stageConfig",
        "--stageConfigAcceptedParams",
        "colour,free",
        "--stageConfigAcceptedParams",
        "other",
    ]
    assert config(workspace, *words, "--stage", "Build", PIPER_other="x", PIPER_verbose="x") == {
        "colour": "general",
        "free": [1, {"a": "b"}],
        "other": "x",
        "hooks": None,
    }


def test_hooks_come_from_default_documents_only(workspace: Path) -> None:
    configure(workspace, "hooks: {own: 1}\n")
    (workspace / "a.yml").write_text("hooks: {a: {x: 1}}\n")
    (workspace / "b.yml").write_text("hooks: {a: {y: 2}}\ngeneral: {k: v}\n")
    assert config(workspace, "--stageConfig", "--defaultConfig", "a.yml,b.yml") == {
        "k": "v",
        "hooks": {"a": {"x": 1, "y": 2}},
    }


# ---- documents


def test_default_documents_stand_below_custom_defaults_unless_these_are_ignored(
    workspace: Path,
) -> None:
    configure(workspace, "customDefaults: [custom.yml]\n")
    for name in ("a.yml", "b.yml", "custom.yml"):
        (workspace / name).write_text(f"general: {{colour: {name}}}\n")
    words = ["--stepMetadata", "paint.yaml", "--defaultConfig", "a.yml", "--defaultConfig", "b.yml"]
    assert config(workspace, *words)["colour"] == "custom.yml"
    found = config(workspace, *words, "--ignoreCustomDefaults")
    assert (found["colour"], found["defaultConfig"]) == ("b.yml", ["a.yml", "b.yml"])


def test_a_configuration_that_was_asked_for_may_be_missing_but_not_a_default_document(
    workspace: Path,
) -> None:
    assert "colour" not in config(
        workspace, "--stepMetadata", "paint.yaml", "--customConfig", "other.yml"
    )
    assert (
        ending(workspace, "--stepMetadata", "paint.yaml", "--defaultConfig", "missing.yml").code
        == 1
    )
    assert (
        ending(
            workspace, "--stepMetadata", "paint.yaml", "--defaultConfig", ".pipeline/defaults.yaml"
        ).code
        == 0
    )


def test_who_calls_may_name_files_outside_of_the_workspace_and_the_project_may_not(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "d.yml"
    outside.write_text("general: {colour: outside}\n")
    for words in (
        ["--defaultConfig", str(outside), "--customConfig", "none.yml"],
        ["--customConfig", str(outside)],
    ):
        assert config(workspace, "--stepMetadata", "paint.yaml", *words)["colour"] == "outside"
    configure(workspace, f"customDefaults: [{outside}]\n")
    assert "leads out of the workspace" in ending(workspace, "--stepMetadata", "paint.yaml").message


class Shelf(LoopbackServer):
    def answer(self, request: Request) -> Answer:
        if request.path == "/paint.yaml":
            return Answer(status=200, body=PAINT.encode())
        login = request.headers.get("authorization", "none")
        return Answer(status=200, body=f"general: {{colour: '{login}'}}\n".encode())


def test_metadata_and_documents_come_from_http_with_the_hosts_token(workspace: Path) -> None:
    configure(workspace, "")
    with Shelf() as server:
        words = [
            "--stepMetadata",
            f"{server.url}/paint.yaml",
            "--defaultConfig",
            f"{server.url}/d.yml",
        ]
        assert config(workspace, *words)["colour"] == "none"
        done = ending(workspace, *words, "--gitHubTokens", f"x:y,{server.host}:hidden-token")
    assert json.loads(done.out)["colour"] == "token hidden-token"
    assert "gitHubTokens" not in json.loads(done.out)
    assert "hidden-token" not in done.err + json.dumps(done.result)


# ---- output


@pytest.mark.parametrize("output", ["yaml", "yml"])
def test_yaml_says_the_same_as_json(workspace: Path, output: str) -> None:
    configure(workspace, "general: {colour: '1e3'}\nsteps: {paint: {tool: 'yes', width: 017}}\n")
    words = ["--stepMetadata", "paint.yaml", "--output", output]
    text = ending(workspace, *words).out
    assert read_yaml(text, "out").value == {
        **config(workspace, "--stepMetadata", "paint.yaml"),
        "output": output,
    }


@pytest.mark.parametrize(
    ("output", "line"),
    [("json", '"colour":[1,{"a":1000,"b":1.5}],'), ("yaml", "colour:\n- 1\n- a: 1000\n  b: 1.5\n")],
)
def test_a_number_without_a_fraction_is_printed_without_one(
    workspace: Path, output: str, line: str
) -> None:
    configure(workspace, "steps: {paint: {colour: [1.0, {a: 1e3, b: 1.50}]}}")
    assert line in ending(workspace, "--stepMetadata", "paint.yaml", "--output", output).out


def test_a_file_takes_the_output_and_is_for_its_owner_only(workspace: Path) -> None:
    done = ending(workspace, "--stepMetadata", "paint.yaml", "--outputFile", "out/config.json")
    assert (done.code, done.out) == (0, "")
    assert json.loads((workspace / "out/config.json").read_text())["colour"] == "general"
    assert (workspace / "out/config.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no step is named"),
        (["--stepName", "unheardOf"], "unknown step"),
        (["--stepMetadata", "missing.yaml"], "the file is not there"),
        (["--stepName", "imagePushToRegistry", "--output", "xml"], "no output format 'xml'"),
        (["--stepName", "imagePushToRegistry", "--parametersJSON", "{"], "not a JSON object"),
        (["--unheardOf"], "unknown flag"),
    ],
)
def test_every_failure_ends_with_one(workspace: Path, words: list[str], message: str) -> None:
    done = ending(workspace, *words)
    assert (done.code, done.out) == (1, "")
    assert message in done.message


def test_a_step_of_piper_s_own_is_asked_for_by_its_metadata(workspace: Path) -> None:
    assert ending(workspace, "--stepName", "mavenBuild").hint.endswith(
        "; the metadata of a step of Piper's own is given by --stepMetadata"
    )


def test_a_number_that_json_does_not_have_is_a_fault(workspace: Path) -> None:
    configure(workspace, "general: {colour: .inf}\n")
    assert (
        "a number that JSON cannot represent"
        in ending(workspace, "--stepMetadata", "paint.yaml").message
    )
    assert (
        "colour: .inf" in ending(workspace, "--stepMetadata", "paint.yaml", "--output", "yaml").out
    )


def test_configuration_that_cannot_be_read_ends_with_one_too(workspace: Path) -> None:
    configure(workspace, "general: [1]\n")
    assert ending(workspace, "--stepName", "imagePushToRegistry").code == 1


def test_a_number_for_a_text_is_the_one_that_piper_reads(workspace: Path) -> None:
    configure(
        workspace,
        "steps: {imagePushToRegistry: {sourceImageTag: 1.10, targetImageTag: 010, sourceImages:"
        " [1_000, 72225e2]}}",
    )
    found = config(workspace, "--stepName", "imagePushToRegistry")
    assert (found["sourceImageTag"], found["targetImageTag"], found["sourceImages"]) == (
        1.1,
        8,
        [1000, 7222500],
    )
    printed = ending(workspace, "--stepName", "imagePushToRegistry", "--output", "yaml").out
    assert "sourceImageTag: 1.1\n" in printed
    assert "targetImageTag: 8\n" in printed


@pytest.mark.parametrize(("name", "value"), [("output", "json"), ("envRootPath", ".pipeline")])
def test_a_flag_that_says_what_holds_anyway_is_printed_as_any_other(
    workspace: Path, name: str, value: str
) -> None:
    assert config(workspace, "--stepMetadata", "paint.yaml", f"--{name}", value)[name] == value


def test_container_and_sidecar_are_two_things(workspace: Path) -> None:
    (workspace / "two.yaml").write_text("""\
metadata: {name: two}
spec:
  inputs: {params: [{name: a, type: string, scope: [STEPS]}]}
  containers:
    - name: main
      image: 'main:1'
      command: [run]
      volumeMounts: [{mountPath: /w, name: volume}, {mountPath: /dev/shm, name: dev-shm}]
  sidecars:
    - name: db
      image: 'db:1'
      readyCommand: ping
      env: [{name: A, value: b}]
      volumeMounts: [{mountPath: /dev/shm, name: dev-shm}]
""")
    assert config(workspace, "--stepMetadata", "two.yaml", "--contextConfig") == {
        "containerCommand": "run",
        "containerName": "main",
        "contextConfig": True,
        "dockerImage": "main:1",
        "dockerName": "main",
        "dockerVolumeBind": ["volume:/w"],
        "sidecarEnvVars": {"A": "b"},
        "sidecarImage": "db:1",
        "sidecarName": "db",
        "sidecarReadyCommand": "ping",
        "stepMetadata": "two.yaml",
        "vaultServerUrl": "https://vault.example.com",
    }


def test_what_keeps_a_container_running_stands_in_the_metadata_s_file_alone(
    workspace: Path,
) -> None:
    (workspace / "kaniko.yaml").write_text(
        "metadata: {name: kanikoExecute}\nspec: {containers: [{image: 'k:1', command: [wait],"
        " shell: /sh}]}"
    )
    built_in = config(workspace, "--stepName", "kanikoExecute", "--contextConfig")
    assert {"containerCommand", "containerShell"} & built_in.keys() == set()
    assert (
        config(workspace, "--stepMetadata", "kaniko.yaml", "--contextConfig")["containerShell"]
        == "/sh"
    )


def test_keys_for_vault_and_reports_count_around_every_step_and_files_say_most_of_reports(
    workspace: Path,
) -> None:
    configure(
        workspace,
        "general: {vaultServerUrl: 'https://v', oneVaultSecretName: s, VaultSecretName: x,"
        " collectTelemetryData: false, gcsBucketId: b}\nstages: {Other: {twoVaultSecretName: t},"
        " Build: {threeVaultSecretName: u}}",
    )
    folder = workspace / ".pipeline/commonPipelineEnvironment/custom"
    folder.mkdir(parents=True)
    (folder / "gcsFolderPath.json").write_text('"2024/run"')
    expected = {
        "vaultServerUrl": "https://v",
        "oneVaultSecretName": "s",
        "threeVaultSecretName": "u",
        "gcsBucketId": "b",
        "gcsFolderPath": "2024/run",
    }
    for words in (["--contextConfig"], ["--gcsBucketId", "flag"], []):
        found = config(
            workspace, "--stepName", "imagePushToRegistry", "--stageName", "Build", *words
        )
        assert {key: found[key] for key in expected} == expected
        assert {
            "VaultSecretName",
            "twoVaultSecretName",
            "collectTelemetryData",
        } & found.keys() == set()
    assert (
        config(workspace, "--stepName", "imagePushToRegistry", "--gcsFolderPath", "flag")[
            "gcsFolderPath"
        ]
        == "flag"
    )


def test_a_stage_s_key_may_hold_a_slash(workspace: Path) -> None:
    configure(
        workspace, "stages: {Release: {cloudFoundry/space: dev, cloudFoundry: {space: prod}}}"
    )
    assert config(workspace, "--stageConfig", "--stageName", "Release") == {
        "cloudFoundry/space": "dev",
        "cloudFoundry": {"space": "prod"},
        "hooks": None,
    }


def test_an_empty_list_of_the_environment_is_a_list(workspace: Path) -> None:
    (workspace / "names.yaml").write_text("""\
metadata: {name: demo}
spec:
  inputs:
    params:
      - name: names
        type: '[]string'
        default: [one]
        scope: [STEPS]
        resourceRef: [{name: commonPipelineEnvironment, param: custom/names}]
""")
    folder = workspace / ".pipeline/commonPipelineEnvironment/custom"
    folder.mkdir(parents=True)
    assert config(workspace, "--stepMetadata", "names.yaml")["names"] == ["one"]
    (folder / "names.json").write_text("[]")
    assert config(workspace, "--stepMetadata", "names.yaml")["names"] == []
