from __future__ import annotations

from pathlib import Path

import pytest

from tests.calls import Ending, configure, request, team_file
from towline.config import metadata

PUSH = "imagePushToRegistry"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    nobody = "http://127.0.0.1:1"
    configure(
        tmp_path,
        f"steps: {{{PUSH}: {{targetRegistryUrl: '{nobody}', sourceRegistryUrl: '{nobody}',"
        " sourceImageNameTags: ['a:1']}}",
    )
    return tmp_path


def run(workspace: Path, text: str) -> Ending:
    team = team_file(workspace, text)
    return Ending(["run", PUSH, "--dry-run"], workspace, {"TOWLINE_DEFAULTS": str(team)})


@pytest.mark.parametrize(
    "text",
    [
        "general:\n  credentialHost: [a.example]\n",
        "general: {}\nstages: {Build: {credentialHost: [a.example]}}\n",
        "general:\n  vaultServerURL: https://vault.example\n",
        "general:\n  vaultBasPath: kv/team\n",
    ],
)
def test_a_misspelt_rule_of_the_platform_team_ends_each_run(workspace: Path, text: str) -> None:
    ending = run(workspace, text)
    assert ending.code == 3
    assert ending.where.endswith("team.yml:2:3" if "stages" not in text else "team.yml:2:18")
    assert any(
        f"did you mean '{rule}'?" in ending.hint
        for rule in ("credentialHosts", "vaultServerUrl", "vaultBasePath")
    )
    assert "is ignored" in ending.message


def test_one_in_the_defaults_of_the_call_does_too(workspace: Path) -> None:
    ending = Ending(
        [
            "run",
            PUSH,
            *request(
                workspace,
                step=PUSH,
                defaults=[{"name": "team.yml", "text": "credentialHosts: [a.example]"}],
            ),
        ],
        workspace,
    )
    assert (ending.code, ending.where) == (3, "team.yml:1:1")
    assert "stands outside of every section" in ending.message


def test_other_slips_are_warnings_of_the_run(workspace: Path) -> None:
    ending = run(
        workspace,
        f"general: {{produktiveBranch: main, cfTargets: []}}\nsteps: {{{PUSH}: {{targetRegistryUsr:"
        " x}}\nstagse: {}\n",
    )
    warnings = [line for line in ending.err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 3
    for words in (
        "did you mean 'productiveBranch'?",
        "did you mean 'targetRegistryUser'?",
        "did you mean 'stages'?",
    ):
        assert sum(words in line for line in warnings) == 1


def test_documents_without_a_slip_say_nothing(workspace: Path) -> None:
    assert (
        "warning"
        not in run(
            workspace,
            "general: {credentialHosts: ['*.example.com'], buildTool: maven, targetArchitectures:"
            " [a]}\n",
        ).err
    )


def test_of_a_document_without_a_slip_only_the_steps_that_it_speaks_of_are_read(
    workspace: Path,
) -> None:
    def read(text: str) -> int:
        metadata._schema.cache_clear()
        run(workspace, text)
        return metadata._schema.cache_info().currsize

    assert read("general: {serverUrl: 'https://a.example'}\n") == 2
    assert (
        read("general: {serverUrl: 'https://a.example'}\nstages: {Build: {kanikoExecute: true}}\n")
        == 3
    )
    assert read("general: {serverUr: 'https://a.example'}\n") == len(metadata.step_names())


def test_a_credential_is_bound_first_so_that_the_documents_are_looked_at_once(
    workspace: Path,
) -> None:
    team = team_file(
        workspace, "general: {credentialHost: [a.example], targetRegistryCredentialsId: login}\n"
    )
    words, environ = (
        ["run", PUSH, "--dry-run", *request(workspace, step=PUSH)],
        {"TOWLINE_DEFAULTS": str(team)},
    )
    first = Ending(words, workspace, environ)
    assert (first.result["status"], first.err) == ("bind", "")
    vault = {
        "PIPER_vaultToken": "some token",
        "PIPER_vaultServerUrl": "http://127.0.0.1:1",
        "PIPER_vaultPath": "secret",
    }
    # before anything is sent
    assert "credentialHosts" in Ending(words, workspace, {**environ, **vault}).hint
    second = Ending(
        words,
        workspace,
        {
            **environ,
            "PIPER_targetRegistryUser": "u",
            "PIPER_targetRegistryPassword": "some password",
        },
    )
    assert (second.code, "credentialHosts" in second.hint) == (3, True)


def lint(workspace: Path, *files: str) -> Ending:
    return Ending(["lint", *(word for file in files for word in ("--defaults", file))], workspace)


def test_lint_looks_at_the_platform_team_s_files_as_a_run_would(workspace: Path) -> None:
    (workspace / "team.yml").write_text(
        "general:\n  credentialHosts: [https://a.example]\n  allowPlainHttp: true\n"
    )
    (workspace / "more.yml").write_text("general:\n  credentialHost: [a.example]\n  toool: x\n")
    ending = lint(workspace, "team.yml", "more.yml")
    assert ending.code == 3
    assert [
        (each["file"], each["line"], each["rule"]) for each in ending.result["outputs"]["findings"]
    ] == [("team.yml", 2, "wrong-value"), ("more.yml", 2, "lost-rule")]
    assert "without scheme" in ending.result["outputs"]["findings"][0]["fix"]


def test_a_rule_in_a_section_of_others_or_of_a_misspelt_stage_ends_a_run_and_is_one_finding(
    workspace: Path,
) -> None:
    text = (
        "stages: {Biuld: {credentialHosts: [a]}}\nhooks: {credentialHosts: [a]}\nteam:"
        " {credentialHosts: [a]}\n"
    )
    (workspace / "team.yml").write_text(text)
    assert [
        (each["line"], each["rule"])
        for each in lint(workspace, "team.yml").result["outputs"]["findings"]
    ] == [(1, "lost-rule"), (2, "lost-rule"), (3, "lost-rule")]
    for line in text.splitlines():
        assert (run(workspace, line).code, run(workspace, line).result["error"]["category"]) == (
            3,
            "config",
        )


def test_lint_of_a_file_that_is_fine_or_missing_or_none(workspace: Path) -> None:
    (workspace / "team.yml").write_text("general: {credentialHosts: [a.example]}\n")
    assert (lint(workspace, "team.yml").code, lint(workspace, "team.yml").err) == (
        0,
        "nothing found\n",
    )
    assert "does not exist" in lint(workspace, "missing.yml").message
    (workspace / "bad.yml").write_text("{")
    assert lint(workspace, "bad.yml").result["outputs"]["findings"][0]["rule"] == "unreadable-file"
    assert lint(workspace, str(workspace / "team.yml")).code == 0


@pytest.mark.parametrize(
    "words", [["run", PUSH, "--dry-run"], ["copy", "127.0.0.1:1/a:1", "127.0.0.1:1/b:1"]]
)
def test_a_misspelt_variable_of_a_rule_ends_a_run_before_anything_is_asked(
    workspace: Path, words: list[str]
) -> None:
    ending = Ending(words, workspace, {"PIPER_credentialHost": "a.example"})
    assert (ending.code, ending.where) == (3, "PIPER_credentialHost")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("vaultServerURL", "vaultServerUrl"),
        ("vaultBasPath", "vaultBasePath"),
        ("vaultNamspace", "vaultNamespace"),
    ],
)
def test_a_misspelt_variable_of_what_bounds_the_project_in_vault_does_too(
    workspace: Path, name: str, meant: str
) -> None:
    configure(
        workspace,
        f"general: {{vaultServerUrl: 'http://127.0.0.1:1', vaultPath: kv}}\nsteps: {{{PUSH}:"
        " {sourceImageNameTags: ['a:1']}}",
    )
    ending = Ending(
        ["run", PUSH, "--dry-run"],
        workspace,
        {f"PIPER_{name}": "x", "PIPER_vaultToken": "some token"},
    )
    assert (ending.code, ending.where, ending.hint) == (
        3,
        f"PIPER_{name}",
        f"did you mean PIPER_{meant}?",
    )


def test_no_variable_of_vault_is_taken_for_another(workspace: Path) -> None:
    configure(
        workspace,
        f"general: {{vaultServerUrl: 'http://127.0.0.1:1', vaultPath: kv}}\nsteps: {{{PUSH}:"
        " {sourceImageNameTags: ['a:1']}}",
    )
    keys = [
        "vaultPath",
        "vaultPaths",
        "vaultAuthRole",
        "vaultAuthRoles",
        "vaultAuthMount",
        "vaultAuthMethod",
        "vaultAppRoleID",
        "vaultPipelineName",
    ]
    for name in keys:
        assert (
            Ending(
                ["run", PUSH, "--dry-run"],
                workspace,
                {f"PIPER_{name}": "token" if name.endswith("Method") else "x"},
            ).message[:7]
            != "nothing"
        )


def test_a_misspelt_rule_among_the_parameters_as_json_does_too(workspace: Path) -> None:
    ending = Ending(
        ["run", PUSH, "--dry-run"],
        workspace,
        {"PIPER_parametersJSON": '{"credentialHost": ["a.example"], "dockerImage": "x"}'},
    )
    assert (ending.code, ending.where) == (3, "PIPER_parametersJSON")
