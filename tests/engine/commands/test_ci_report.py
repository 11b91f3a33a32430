from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.calls import Ending, configure
from towline.commands.ci_report import annotate_for, report
from towline.errors import MachineError

GITHUB = {"GITHUB_ACTIONS": "true"}
AZURE = {"TF_BUILD": "True"}
DIGEST = f"sha256:{'a' * 64}"


def result(**fields: object) -> dict[str, Any]:
    """A result as the contract has it."""
    return {
        "step": "imagePushToRegistry",
        "stage": "Build",
        "status": "success",
        "summary": "1 image pushed",
        "outputs": {},
        "pipelineEnvironment": {},
        "links": [],
        "error": None,
        **fields,
    }


def unmasked(text: str) -> str:
    return text


def github_outputs(text: str) -> dict[str, str]:
    """The outputs as GitHub's runner reads them."""
    found, lines = {}, iter(text.splitlines())
    for line in lines:
        name, _, delimiter = line.partition("<<")
        value = []
        while (part := next(lines)) != delimiter:
            value.append(part)
        found[name] = "\n".join(value)
    return found


# Annotations


def test_an_error_names_its_file_and_line_in_the_words_of_each_system() -> None:
    github, azure = annotate_for(GITHUB), annotate_for(AZURE)
    assert github
    assert azure
    place = ".pipeline/config.yml:12"
    assert github("error", "50% of\nit", place) == (
        "::error file=.pipeline/config.yml,line=12::50%25 of%0Ait"
    )
    assert azure("error", "50% of; ]it", place) == (
        "##vso[task.logissue type=error;sourcepath=.pipeline/config.yml;linenumber=12]"
        "50%AZP25 of%3B %5Dit"
    )


def test_a_place_that_is_no_line_of_a_file_is_left_out() -> None:
    github = annotate_for(GITHUB)
    assert github
    assert github("warning", "text", "git.example.com") == "::warning::text"


def test_a_file_cannot_add_a_property() -> None:
    github = annotate_for(GITHUB)
    assert github
    assert github("error", "x", "a,title=y:3") == "::error file=a%2Ctitle=y,line=3::x"


def test_other_systems_get_plain_lines() -> None:
    assert annotate_for({"GITLAB_CI": "true"}) is None


# Outputs and summary


def test_github_gets_outputs_that_no_value_can_end(tmp_path: Path) -> None:
    file = tmp_path / "outputs"
    values = {"digest": DIGEST, "text": "a\ntowline-0\nb", "images": [{"name": "app"}], "diff": "-"}
    report({"GITHUB_OUTPUT": str(file)}, result(outputs=values), unmasked)
    report(
        {"GITHUB_OUTPUT": str(file)},
        result(pipelineEnvironment={"container/targetImageNameTag": "app:1"}),
        unmasked,
    )
    assert github_outputs(file.read_text()) == {
        "status": "success",
        "summary": "1 image pushed",
        "digest": DIGEST,
        "text": "a\ntowline-0\nb",
        "images": '[{"name": "app"}]',
        "container_targetImageNameTag": "app:1",
    }


def test_a_dotenv_file_has_values_of_one_line(tmp_path: Path) -> None:
    file = tmp_path / "towline.env"
    values = {"digest": DIGEST, "text": "a\nSTATUS=b"}
    report({"TOWLINE_OUTPUTS": str(file)}, result(outputs=values), unmasked)
    assert file.read_text() == f"status=success\nsummary=1 image pushed\ndigest={DIGEST}\n"


def test_azure_gets_variables_of_the_step() -> None:
    lines = report(AZURE, result(outputs={"digest": DIGEST}), unmasked)
    assert f"##vso[task.setvariable variable=digest;isOutput=true]{DIGEST}" in lines


def test_the_summary_says_what_was_pushed_and_links(tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    image = {"target": "registry.example.com/app:1", "digest": DIGEST}
    link = {"name": "Pull request", "target": "https://git.example.com/pull/1"}
    report(
        {"GITHUB_STEP_SUMMARY": str(file)},
        result(outputs={"images": [image]}, links=[link]),
        unmasked,
    )
    assert file.read_text().splitlines() == [
        "### imagePushToRegistry in Build: success",
        "",
        "1 image pushed",
        "",
        "| image | is |",
        "|---|---|",
        f"| `registry.example.com/app:1` | `{DIGEST}` |",
        "",
        "- [Pull request](https://git.example.com/pull/1)",
    ]


def test_the_summary_of_a_failure_says_what_where_and_what_next(tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    error = {
        "category": "config",
        "message": "no <b>chart</b>",
        "where": "config.yml:3",
        "hint": "set chartPath",
    }
    report({"TOWLINE_SUMMARY": str(file)}, result(status="failure", error=error), unmasked)
    text = file.read_text()
    assert "**no \\<b\\>chart\\</b\\>**" in text
    assert "- where: config.yml:3" in text
    assert "- next: set chartPath" in text


def test_secrets_are_masked_in_both_files(tmp_path: Path) -> None:
    files = {"GITHUB_OUTPUT": tmp_path / "o", "GITHUB_STEP_SUMMARY": tmp_path / "s"}
    report(
        {name: str(path) for name, path in files.items()},
        result(summary="hunter22", outputs={"a": "hunter22"}),
        lambda text: text.replace("hunter22", "****"),
    )
    for path in files.values():
        assert "hunter22" not in path.read_text()
        assert "****" in path.read_text()


def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(MachineError):
        report({"TOWLINE_SUMMARY": str(tmp_path / "link")}, result(), unmasked)
    assert (tmp_path / "real").read_text() == "mine"


# In a call


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    configure(tmp_path, "steps:\n  imagePushToRegistry:\n    targetRegistryUrl: 7\n    foo: 1\n")
    return tmp_path


def test_a_failing_step_on_github_annotates_and_leaves_summary_and_status(
    workspace: Path,
) -> None:
    files = {"GITHUB_OUTPUT": workspace / "o", "GITHUB_STEP_SUMMARY": workspace / "s"}
    environ = GITHUB | {name: str(path) for name, path in files.items()}
    ending = Ending(["run", "imagePushToRegistry", "--stage", "Build"], workspace, environ)
    assert ending.code == 3
    assert re.search(r"^::error( file=[^:]+)?::", ending.err, re.MULTILINE)
    assert github_outputs(files["GITHUB_OUTPUT"].read_text())["status"] == "failure"
    assert ending.message.split()[0] in files["GITHUB_STEP_SUMMARY"].read_text()


def test_text_of_others_still_cannot_give_a_command(workspace: Path) -> None:
    configure(workspace, 'steps:\n  imagePushToRegistry:\n    "::error::x": 1\n')
    ending = Ending(["run", "imagePushToRegistry", "--stage", "Build"], workspace, GITHUB)
    assert not [line for line in ending.err.splitlines() if line.startswith("::error::x")]


def test_a_summary_that_cannot_be_written_does_not_fail_the_step(workspace: Path) -> None:
    environ = {"TOWLINE_SUMMARY": str(workspace)}
    words = ["run", "imagePushToRegistry", "--stage", "Build", "--if-active"]
    ending = Ending(words, workspace, environ)
    assert ending.code == 0
    assert "lacks this step" in ending.err


def test_outside_of_ci_systems_nothing_changes(workspace: Path) -> None:
    ending = Ending(["run", "imagePushToRegistry", "--stage", "Build"], workspace)
    assert "::error" not in ending.err
    assert "error: " in ending.err
