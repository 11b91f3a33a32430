from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.calls import Ending, configure, request, team_file
from towline.files import version

PUSH = "steps:\n  imagePushToRegistry:\n    targetRegistryUrl: https://registry.example.com\n"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    configure(tmp_path, PUSH)
    return tmp_path


def call(workspace: Path, environ: dict[str, str] | None = None, **fields: object) -> Ending:
    return Ending(
        ["run", "imagePushToRegistry", *request(workspace, step="imagePushToRegistry", **fields)],
        workspace,
        environ,
    )


def test_a_library_of_another_version_is_served_and_both_versions_are_noted(
    workspace: Path,
) -> None:
    same, other = call(workspace, version=version()), call(workspace, version="99.1.0")
    note = f"the library is version 99.1.0, the engine is {version()}"
    assert (same.code, note in same.err) == (3, False)
    assert (other.code, note in other.err) == (3, True)


def test_a_library_of_another_protocol_is_refused(workspace: Path) -> None:
    ending = call(workspace, protocol=2)
    assert ending.code == 2
    assert "protocol" in ending.message


def test_with_a_request_a_stale_environment_on_disk_is_not_read(workspace: Path) -> None:
    folder = workspace / ".pipeline" / "commonPipelineEnvironment" / "container"
    folder.mkdir(parents=True)
    (folder / "imageNames.json").write_text('["left-by-yesterdays-build"]')
    ending = call(
        workspace,
        pipelineEnvironment={
            "container/registryUrl": "https://staging.example.com",
            "artifactVersion": "1",
        },
    )
    assert "no image" in ending.message


def test_a_secret_that_is_named_and_not_set_is_a_usage_error(workspace: Path) -> None:
    ending = call(
        workspace, secrets={"pipelineEnvironment/container/repositoryPassword": "TOWLINE_SECRET_1"}
    )
    assert ending.code == 2
    assert "TOWLINE_SECRET_1" in ending.message


def test_tokens_for_documents_are_masked_in_everything_that_is_said(workspace: Path) -> None:
    tokens = {"PIPER_gitHubTokens": '["git.example.com:ghp-one", "git.example.com:8443:ghp-two"]'}
    known = {
        "container/registryUrl": "https://ghp-one.example.com",
        "container/imageNames": ["a:b:ghp-two"],
    }
    ending = call(workspace, tokens, pipelineEnvironment=known)
    assert ending.message
    assert "****" in ending.message
    assert not any(
        token in json.dumps(ending.result) + ending.err for token in ("ghp-one", "ghp-two")
    )


def test_a_secret_of_an_unknown_kind_is_a_usage_error(workspace: Path) -> None:
    assert call(workspace, {"V": "x"}, secrets={"container/repositoryPassword": "V"}).code == 2


def test_the_platform_teams_documents_are_read_from_the_request_and_from_the_agent(
    workspace: Path,
) -> None:
    team = team_file(
        workspace,
        "steps:\n  imagePushToRegistry:\n    sourceRegistryUrl: https://staging.example.com/\n   "
        " sourceImages: [app]\n",
    )
    ending = call(
        workspace,
        {"TOWLINE_DEFAULTS": str(team)},
        defaults=[{"name": "more.yml", "text": "general:\n  sourceImageTag: 'not a tag'\n"}],
    )
    assert ending.code == 3
    assert "not a tag" in ending.message + ending.hint


def test_a_default_document_that_is_not_there_is_named(workspace: Path) -> None:
    ending = call(workspace, {"TOWLINE_DEFAULTS": "/nonexistent/team.yml"})
    assert ending.code == 3
    assert "/nonexistent/team.yml" in ending.message + ending.where


@pytest.mark.parametrize("name", ["../outside.yml", "{folder}/outside.yml", "link.yml"])
def test_custom_defaults_of_the_project_lie_in_the_project(
    workspace: Path, tmp_path: Path, name: str
) -> None:
    outside = tmp_path.parent / "outside.yml"
    outside.write_text("general: {}\n")
    (workspace / "link.yml").symlink_to(outside)
    configure(workspace, f"customDefaults:\n  - {name.format(folder=tmp_path.parent)}\n{PUSH}")
    ending = call(workspace)
    assert ending.code == 3
    assert "out of the workspace" in ending.message


def test_passwords_of_proxies_and_tokens_of_hosts_are_masked_whatever_is_asked_for(
    workspace: Path,
) -> None:
    configure(
        workspace,
        "customDefaults: ['https://files.example.com/proxy-pass-word/token-of-host.yml']\n",
    )
    environ = {
        "https_proxy": "socks5://me:proxy-pass-word@proxy.example.com",
        "PIPER_gitHubTokens": '["files.example.com:token-of-host"]',
    }
    ending = call(workspace, environ)
    assert ending.code == 3
    assert "https_proxy" in ending.message + ending.where
    assert "pass-word" not in ending.err + json.dumps(ending.result)
    assert "token-of-host" not in ending.err + json.dumps(ending.result)


CALLS = (["run", "imagePushToRegistry"], ["plan"], ["explain", "imagePushToRegistry"])


@pytest.mark.parametrize("words", CALLS)
def test_a_folder_without_a_configuration_is_said_to_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    told = "there is no .pipeline/config.yml here"
    assert told in Ending(words, tmp_path).err
    assert (
        told
        not in Ending(
            [*words, *request(tmp_path, step="imagePushToRegistry" if "plan" not in words else "")],
            tmp_path,
        ).err
    )
    configure(tmp_path, "")
    assert told not in Ending(words, tmp_path).err
    (tmp_path / ".pipeline" / "config.yml").rename(tmp_path / ".pipeline" / "config.yaml")
    assert told not in Ending(words, tmp_path).err


@pytest.mark.parametrize("words", CALLS)
def test_a_misspelt_section_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    configure(
        tmp_path,
        "general: {}\nstage:\n  Release: {imagePushToRegistry: true}\nx-stages: {}\nteam: {}\n",
    )
    ending = Ending(words, tmp_path)
    warnings = [line for line in ending.err.splitlines() if "nothing reads the section" in line]
    assert warnings == [
        "warning: .pipeline/config.yml:2: nothing reads the section stage (did you mean 'stages'?)"
    ]


@pytest.mark.parametrize("words", CALLS)
@pytest.mark.parametrize(
    ("stages", "line"),
    [
        ("{Bild: {kanikoExecute: true}}", "the pipeline has no stage Bild (did you mean 'Build'?)"),
        ("{Bild: {}, Build: {}}", "the pipeline has no stage Bild (did you mean 'Build'?)"),
        ("{Bild: {kanikoExecute: true}, Build: {}}", ""),
        ("{Build 2: {kanikoExecute: true}, Central Build: {}, Warehouse: {}}", ""),
    ],
)
def test_a_misspelt_stage_is_warned_of(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    stages: str,
    line: str,
) -> None:
    """Its steps would be lost silently."""
    monkeypatch.chdir(tmp_path)
    configure(tmp_path, f"stages: {stages}\n")
    warnings = [each for each in Ending(words, tmp_path).err.splitlines() if "no stage" in each]
    assert [each for each in warnings if each.startswith("warning: ")] == (
        [f"warning: .pipeline/config.yml:1: {line}"] if line else []
    )


@pytest.mark.parametrize("words", CALLS)
def test_a_stage_that_the_platform_team_defines_is_not_misspelt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    configure(tmp_path, "stages: {Builds: {verbose: true}, Bild: {}}\n")
    team = team_file(tmp_path, "spec: {stages: [{displayName: Build}, {displayName: Builds}]}\n")
    err = Ending(words, tmp_path, {"TOWLINE_DEFAULTS": str(team)}).err
    assert "no stage Builds" not in err
    assert "no stage Bild" in err


PIPERS = [
    ["getConfig", "--stepName", "imagePushToRegistry"],
    ["checkIfStepActive", "--stage", "Build", "--step", "kanikoExecute"],
]


@pytest.mark.parametrize("words", [*CALLS, *PIPERS])
def test_a_second_document_that_is_not_read_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yml").write_text("general: {}\n...\n---\ngeneral: {}\n")
    configure(tmp_path, "customDefaults: [own.yml]\n---\nstages: {}\n")
    warnings = [
        line
        for line in Ending(words, tmp_path).err.splitlines()
        if "something stands behind it" in line
    ]
    said = "only the first YAML document of a file is read, and something stands behind it"
    assert warnings == [f"warning: own.yml:3: {said}", f"warning: .pipeline/config.yml:2: {said}"]


def quoted(
    workspace: Path, words: str, environ: dict[str, str] | None = None, **fields: object
) -> tuple[str, str]:
    """The message of a fault that quotes `words`, and all other output."""
    ending = call(
        workspace,
        environ or {},
        **{"parameters": {"targetRegistryUrl": f"https://{words}!"}, **fields},
    )
    assert ending.code == 3
    return ending.message, json.dumps(ending.result) + ending.err


@pytest.mark.parametrize(
    "fields",
    [
        {
            "parameters": {
                "targetRegistryUrl": "https://open-sesame!",
                "dockerEnvVars": {"a": [{"apiKey": "open-sesame"}]},
            }
        },
        {"pipelineEnvironment": {"custom/config": [{"user": "bob", "passphrase": "open-sesame"}]}},
        {"pipelineEnvironment": {"container/other": "https://bob:open-sesame@r.example.com"}},
        {"secrets": {"pipelineEnvironment/custom/config": {"json": "V"}}},
    ],
)
def test_nested_secrets_of_a_request_are_masked(workspace: Path, fields: dict[str, object]) -> None:
    message, rest = quoted(
        workspace, "open-sesame", {"V": '{"user": "bob", "pwd": "open-sesame"}'}, **fields
    )
    assert "https://****!" in message
    assert "open-sesame" not in message + rest


def test_nested_secrets_of_files_and_of_the_parameters_variable_are_masked(workspace: Path) -> None:
    configure(workspace, f"general:\n  other: [{{clientSecret: from-a-file}}]\n{PUSH}")
    given = {"PIPER_parametersJSON": '{"nested": {"token": "from-a-variable"}}'}
    message, rest = quoted(workspace, "from-a-file.from-a-variable", given)
    assert "https://****.****!" in message
    assert "from-a-" not in message + rest


def test_what_travelled_as_json_is_what_it_was(workspace: Path) -> None:
    secrets = {"parameters/targetImages": {"json": "V"}, "parameters/targetRegistryUrl": "U"}
    ending = call(
        workspace,
        {"V": '{"token-service": "UPPER"}', "U": "https://r.example.com"},
        secrets=secrets,
        parameters={"sourceImages": ["token-service"], "sourceImageTag": "1"},
        pipelineEnvironment={"container/registryUrl": "https://s.example.com"},
    )
    assert ending.code == 3
    assert "UPPER" in ending.message + ending.hint  # the name of an image, which no mask hides


def test_the_path_of_a_docker_configuration_is_no_secret(workspace: Path) -> None:
    secrets = {"parameters/dockerConfigJSON": "V"}
    assert (
        ".docker/a.json!"
        in quoted(workspace, ".docker/a.json", {"V": ".docker/a.json"}, secrets=secrets)[0]
    )


@pytest.mark.parametrize("text", ["open-sesame", "", "[" * 100_000])
def test_a_variable_without_json_is_a_usage_error_that_does_not_show_it(
    workspace: Path, text: str
) -> None:
    ending = call(workspace, {"V": text}, secrets={"parameters/targetImages": {"json": "V"}})
    assert (ending.code, ending.message) == (
        2,
        "the variable of secret 'parameters/targetImages' is not JSON",
    )
    assert not text or text not in json.dumps(ending.result) + ending.err


@pytest.mark.parametrize("number", [1000, 1001])
def test_one_secret_more_than_can_be_masked_is_refused(workspace: Path, number: int) -> None:
    tokens = "".join(f"    - token-{each}\n" for each in range(number))
    configure(workspace, f"general:\n  tokens:\n{tokens}{PUSH}")
    ending = call(workspace)
    assert ending.code == 3
    assert ending.message.startswith(f"{number} values are secret") == (number > 1000)
    assert ending.where == (".pipeline/config.yml" if number > 1000 else "")
