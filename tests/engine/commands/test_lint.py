from __future__ import annotations

import json
import re
import socket
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.calls import SAMPLE, Ending, configure, request, team_file
from tests.engine.config.lint.test_findings_sarif import check
from towline.config.lint.findings import RULES
from towline.yaml.marks import load_located

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "lint.md").read_text()
EXAMPLES = re.findall(r"^\| `([\w-]+)` \| \w+ \| .+? \| `(\{.+\})` \|", PAGE, re.MULTILINE)
HOME = "https://git.example/app.git"
SECRET = "correct-horse-battery"
SLIPS = f"""\
customDefaults:
  - team.yml
  - missing.yml
  - https://defaults.example/x.yml
steps:
  gitOpsUpdateDeployment:
    tool: helmm
    password: {SECRET}
    passwrod: x
    commitMessage: with {SECRET} in it
    pushDeadline: {SECRET}
stages:
  Releese: {{filePath: a}}
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lint(workspace: Path, text: str, *words: str) -> Ending:
    configure(workspace, text)
    return Ending(["lint", *words], workspace)


def places(ending: Ending) -> list[str]:
    return [
        f"{each['file']}:{each['line']}:{each['column']} {each['rule']}"
        for each in ending.result["outputs"]["findings"]
    ]


def test_errors_end_with_3_and_all_findings_are_in_the_result(workspace: Path) -> None:
    (workspace / "team.yml").write_text("general:\n  allowPlainHttp: true\nsteps: []\n")
    ending = lint(workspace, SLIPS)
    assert ending.code == 3
    assert places(ending) == [
        ".pipeline/config.yml:3:5 custom-defaults",
        ".pipeline/config.yml:7:5 wrong-value",
        ".pipeline/config.yml:8:5 secret-in-clear",
        ".pipeline/config.yml:9:5 unknown-key",
        ".pipeline/config.yml:11:5 wrong-type",
        ".pipeline/config.yml:13:3 unknown-stage",
        "team.yml:2:3 platform-only",
        "team.yml:3:1 not-a-map",
    ]
    assert ending.result["status"] == "failure"
    assert ending.result["error"]["category"] == "config"
    assert ending.result["summary"].startswith(
        "the configuration has faults: 6 errors, 2 warnings; the first: "
    )
    assert ending.hint == "correct each of them"


def test_a_finding_on_a_name_of_any_length_can_be_read(workspace: Path) -> None:
    ending = lint(
        workspace,
        f"steps:\n  gitOpsUpdateDeployment:\n    {'passwrod' * 100}: x\n    tool:"
        f" {'helmm' * 20_000}\n",
    )
    assert len(ending.out) < 20_000
    assert len(json.dumps(ending.result)) < 60_000


def test_a_person_reads_one_line_for_each_with_its_place_and_what_to_do(workspace: Path) -> None:
    out = lint(workspace, "steps:\n  gitOpsUpdateDeployment:\n    tool: helmm\n").out
    assert out == (
        ".pipeline/config.yml:3:5: error: tool is \"helmm\" (did you mean 'helm'?"
        " possible: kubectl, helm, kustomize, helm-values) [wrong-value]\n"
    )


def test_warnings_alone_end_with_0(workspace: Path) -> None:
    ending = lint(workspace, "stages: {Releese: {filePath: a}}\nteam: {}")
    assert (ending.code, ending.result["status"], ending.result["summary"]) == (
        0,
        "success",
        "1 warning, 1 note",
    )
    assert [each["level"] for each in ending.result["outputs"]["findings"]] == ["warning", "note"]
    assert ending.err == "1 warning, 1 note\n"


@pytest.mark.parametrize("text", [SAMPLE, "", "# nothing\n"])
def test_a_clean_configuration_ends_with_0_and_says_so(workspace: Path, text: str) -> None:
    ending = lint(workspace, text)
    assert (ending.code, ending.out, ending.result["summary"], ending.result["outputs"]) == (
        0,
        "",
        "nothing found",
        {"findings": []},
    )
    assert ending.err == "nothing found\n"


def test_a_project_without_a_configuration_has_no_fault_in_it(workspace: Path) -> None:
    ending = Ending(["lint"], workspace)
    assert (ending.code, ending.result["outputs"]) == (0, {"findings": []})
    assert ending.err == "there is no .pipeline/config.yml; nothing found\n"


def test_a_configuration_that_was_asked_for_and_is_not_there_is_an_error(workspace: Path) -> None:
    ending = Ending(["lint", "--config", "other.yml"], workspace)
    assert (ending.code, ending.where) == (3, "other.yml")


def test_no_secret_is_shown_anywhere(workspace: Path) -> None:
    (workspace / "team.yml").write_text("{}")
    ending = lint(workspace, SLIPS, "--sarif", "lint.sarif", "--json")
    assert "****" in ending.out
    assert (
        SECRET
        not in ending.out
        + ending.err
        + json.dumps(ending.result)
        + (workspace / "lint.sarif").read_text()
    )


# ---- files


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"general:\n  a: [1\nb: 2\n", "3:2"),
        (b"a: 1\na: 2\n", "2:1"),
        (b"a: \x00", "1:4"),
        (b"a: \xff", "1:1"),
        (b"? [a]\n: b\n", "1:3"),
        (b"{general: *x}", "1:11"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_finding_with_its_place(
    workspace: Path, text: bytes, place: str
) -> None:
    configure(workspace, "")
    (workspace / ".pipeline" / "config.yml").write_bytes(text)
    ending = Ending(["lint"], workspace)
    assert (ending.code, places(ending)) == (3, [f".pipeline/config.yml:{place} unreadable-file"])


def test_a_broken_default_document_does_not_hide_the_others(workspace: Path) -> None:
    (workspace / "one.yml").write_text("a: [")
    (workspace / "two.yaml").write_text("step: {}")
    (workspace / ".pipeline").mkdir()
    (workspace / ".pipeline" / "defaults.yaml").write_text("general: {skipVault: x}")
    ending = lint(workspace, "customDefaults: [one.yml, two.yml, one.yml]")
    assert Counter(place.partition(" ")[2] for place in places(ending)) == Counter(
        ["unreadable-file", "unknown-section", "wrong-type"]
    )
    assert {place.partition(":")[0] for place in places(ending)} == {
        "one.yml",
        "two.yaml",
        ".pipeline/defaults.yaml",
    }


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("missing.yml", "is not there"),
        ("3", "is not a text"),
        ("[a]", "is not a text"),
        ("../outside.yml", "leads out of the workspace"),
        ("folder", "is a folder"),
    ],
)
def test_an_entry_that_names_no_file_of_the_workspace_is_found_where_it_stands(
    workspace: Path, entry: str, words: str
) -> None:
    (workspace.parent / "outside.yml").write_text("{}")
    (workspace / "folder").mkdir()
    ending = lint(workspace, f"customDefaults:\n  - {entry}\n")
    (found,) = ending.result["outputs"]["findings"]
    assert words in found["message"]
    assert (found["line"], found["rule"]) == (2, "custom-defaults")


def test_custom_defaults_that_are_no_list_are_a_finding(workspace: Path) -> None:
    assert places(lint(workspace, "customDefaults: team.yml")) == [
        ".pipeline/config.yml:1:1 custom-defaults"
    ]


def test_nothing_asks_the_network(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("lint opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    assert (
        lint(
            workspace,
            "customDefaults: ['https://defaults.example/x.yml']\ngeneral: {vaultServerUrl:"
            " 'https://vault.example'}",
        ).code
        == 0
    )


def test_stages_that_the_platform_team_names_are_known(workspace: Path) -> None:
    team = team_file(workspace, "stages: {Realease: {a: b}}")
    configure(workspace, "stages: {Realease: {filePath: a}}")
    assert places(Ending(["lint"], workspace)) == [".pipeline/config.yml:1:10 unknown-stage"]
    assert places(Ending(["lint"], workspace, {"TOWLINE_DEFAULTS": str(team)})) == []
    assert (
        places(
            Ending(
                ["lint", *request(workspace, defaults=[{"name": "t", "text": team.read_text()}])],
                workspace,
            )
        )
        == []
    )


# ---- for programs


def test_the_result_is_printed_for_a_program_and_nothing_for_the_library(workspace: Path) -> None:
    printed = json.loads(lint(workspace, SLIPS, "--json").out)
    assert {"rule", "level", "file", "line", "column", "message", "fix"} == set(
        printed["outputs"]["findings"][0]
    )
    assert Ending(["lint", *request(workspace)], workspace).out == ""


@pytest.mark.parametrize("text", [SLIPS, SAMPLE, "a: ["])
def test_the_findings_are_written_as_sarif_on_errors_too(workspace: Path, text: str) -> None:
    ending = lint(workspace, text, "--sarif", "reports/lint.sarif")
    log: Any = json.loads((workspace / "reports" / "lint.sarif").read_text())
    check(log)
    assert [result["ruleId"] for result in log["runs"][0]["results"]] == [
        each["rule"] for each in ending.result["outputs"]["findings"]
    ]


def test_a_sarif_file_that_cannot_be_written_costs_no_finding(workspace: Path) -> None:
    (workspace / "file").touch()
    ending = lint(workspace, SLIPS, "--sarif", "file/lint.sarif")
    assert (ending.code, ending.out) == (9, lint(workspace, SLIPS).out)


# ---- build loops

GITOPS = f"steps:\n  gitOpsUpdateDeployment:\n    serverUrl: {HOME}\n"


def checkout(workspace: Path, url: str = HOME) -> None:
    (workspace / ".git").mkdir()
    (workspace / ".git" / "config").write_text(f'[remote "origin"]\n\turl = {url}\n')


def environ() -> dict[str, str]:
    return {"PATH": "/usr/local/bin:/usr/bin:/bin"}


def test_a_repository_that_deploys_into_itself_is_warned_of(workspace: Path) -> None:
    configure(workspace, GITOPS)
    assert places(Ending(["lint"], workspace, environ())) == []
    checkout(workspace, "git@git.example:app.git")
    ending = Ending(["lint"], workspace, environ())
    assert (ending.code, places(ending)) == (0, [".pipeline/config.yml:3:5 build-loop"])
    (workspace / "Jenkinsfile").write_text(
        "when { not { changelog '.*^Towline-Deployment: .+$' } }"
    )
    assert places(Ending(["lint"], workspace, environ())) == []


def test_in_a_build_the_build_says_where_it_comes_from(workspace: Path) -> None:
    configure(workspace, GITOPS)
    checkout(workspace, "https://git.example/mirror.git")
    assert places(
        Ending(["lint", *request(workspace, build={"sourceRepository": HOME})], workspace)
    ) == [".pipeline/config.yml:3:5 build-loop"]


def test_a_jenkinsfile_that_cannot_be_read_guards_nothing(workspace: Path) -> None:
    configure(workspace, GITOPS)
    checkout(workspace)
    (workspace / "Jenkinsfile").mkdir()
    assert places(Ending(["lint"], workspace, environ())) == [".pipeline/config.yml:3:5 build-loop"]


# ---- the page


def test_the_page_has_an_example_for_every_rule() -> None:
    assert [name for name, _ in EXAMPLES] == list(RULES)


@pytest.mark.parametrize(("rule", "text"), EXAMPLES)
def test_an_example_of_the_page_is_found_and_nothing_else(
    workspace: Path, rule: str, text: str
) -> None:
    checkout(workspace)
    configure(workspace, text)
    words = ["--defaults", ".pipeline/config.yml"] if rule == "lost-rule" else []
    found = [
        each["rule"]
        for each in Ending(["lint", *words], workspace, environ()).result["outputs"]["findings"]
    ]
    assert found == [rule]


def test_other_configurations_of_the_page_s_kind_are_yaml() -> None:
    assert [
        name
        for name, text in EXAMPLES
        if name != "unreadable-file" and not isinstance(load_located(text).value, dict)
    ] == []


def test_the_configurations_that_are_said_to_work_have_no_error(workspace: Path) -> None:
    """Every configuration of tests/configurations from which settings come without a fault."""
    judged = 0
    for path in sorted((ROOT / "tests/configurations/cases").glob("*.yaml")):
        case: Any = load_located(path.read_text()).value
        expected, files = case["expected"], case["given"].get("files") or {}
        if (
            ".pipeline/config.yml" not in files
            or "{server}" in str(files)
            or {"faults", "error"} & expected.keys()
            or case["given"].get("config")
        ):
            continue
        for name, text in files.items():
            (workspace / name).parent.mkdir(parents=True, exist_ok=True)
            (workspace / name).write_text(text)
        ending = Ending(["lint"], workspace)
        assert [
            each
            for each in ending.result["outputs"]["findings"]
            if each["level"] == "error" and each["rule"] != "secret-in-clear"
        ] == [], path.name
        judged += 1
        for name in files:
            (workspace / name).unlink()
    assert judged >= 20


def test_a_tab_is_told_how_to_mend(workspace: Path) -> None:
    configure(workspace, "general:\n\ta: 1\n")
    (found,) = Ending(["lint"], workspace).result["outputs"]["findings"]
    assert (found["line"], found["fix"].startswith("indent with spaces only")) == (2, True)
