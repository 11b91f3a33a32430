from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.calls import Ending, configure, request
from tests.plans import MAIN, planned


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commit(workspace: Path) -> str:
    """Make the workspace a checkout of one commit, made on 1 January 2026, and return its id."""
    for words in (["init", "-q", "-b", "main"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b.invalid", *words],
            cwd=workspace,
            check=True,
            env={"GIT_COMMITTER_DATE": "2026-01-01T13:00:00+01:00", "PATH": "/usr/bin:/bin"},
        )
    return subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=workspace, text=True).strip()


def version(workspace: Path, general: dict[str, Any], **fields: Any) -> dict[str, str]:
    found = planned(workspace, {"general": general}, **fields)["version"]
    assert isinstance(found, dict)
    return found


def test_a_commit_has_a_version_by_its_time_and_id(workspace: Path) -> None:
    head = commit(workspace)
    found = version(workspace, {})
    assert found == {"value": f"20260101120000-{head[:7]}", "source": f"commit {head[:7]}"}
    assert version(workspace, {}) == found


@pytest.mark.parametrize(
    ("tool", "name", "text"),
    [
        ("docker", "VERSION", "1.10\n"),
        ("npm", "package.json", '{"version": "1.10"}'),
        ("helm", "Chart.yaml", "name: a\nversion: 1.10\n"),
        ("mta", "mta.yaml", "version: '1.10'\n"),
        ("pip", "pyproject.toml", '[project]\nversion = "1.10"\n'),
    ],
)
def test_the_file_of_the_build_tool_begins_the_version(
    workspace: Path, tool: str, name: str, text: str
) -> None:
    head = commit(workspace)
    (workspace / name).write_text(text)
    found = version(workspace, {"buildTool": tool})
    assert found["value"] == f"1.10-20260101120000-{head[:7]}"
    assert found["source"] == f"{name} and commit {head[:7]}"


def test_a_version_is_a_valid_tag(workspace: Path) -> None:
    (workspace / "VERSION").write_text("1.0+build/7:x\n")
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", version(workspace, {})["value"])


def test_a_named_file_without_a_version_is_an_error_with_its_line(workspace: Path) -> None:
    (workspace / "v.json").write_text("{}")
    configure(workspace, json.dumps({"steps": {"artifactPrepareVersion": {"filePath": "v.json"}}}))
    ending = Ending(["plan", *request(workspace, build=MAIN)], workspace)
    assert ending.code == 3
    assert ending.message == "no version can be read from v.json"
    assert ending.where == ".pipeline/config.yml:1"


def test_a_file_outside_of_the_workspace_is_not_read(workspace: Path) -> None:
    (workspace.parent / "outside").write_text("hunter22")
    configure(
        workspace, json.dumps({"steps": {"artifactPrepareVersion": {"filePath": "../outside"}}})
    )
    ending = Ending(["plan", *request(workspace, build=MAIN)], workspace)
    assert ending.code == 3
    assert "hunter22" not in ending.err + str(ending.result)


def test_a_version_that_is_known_stays(workspace: Path) -> None:
    commit(workspace)
    found = version(workspace, {}, pipelineEnvironment={"artifactVersion": "1.0"})
    assert found == {"value": "", "source": ""}


@pytest.mark.parametrize(
    ("tool", "name", "text"),
    [
        ("npm", "package.json", "{"),
        ("npm", "package.json", '{"version": null}'),
        ("npm", "package.json", '{"version": {"a": 1}}'),
        ("helm", "Chart.yaml", "version: [\n"),
        ("pip", "pyproject.toml", "[project"),
        ("pip", "pyproject.toml", "[project]\nversion = [1]\n"),
        ("docker", "VERSION", "\n"),
        ("maven", "pom.xml", "<project><version>1"),
        ("maven", "pom.xml", "<project><version>${revision}</version></project>"),
    ],
)
def test_a_file_without_a_readable_version_leaves_the_commit_s(
    workspace: Path, tool: str, name: str, text: str
) -> None:
    head = commit(workspace)
    (workspace / name).write_text(text)
    found = version(workspace, {"buildTool": tool})
    assert found == {"value": f"20260101120000-{head[:7]}", "source": f"commit {head[:7]}"}


def test_a_long_version_keeps_what_tells_commits_apart(workspace: Path) -> None:
    head = commit(workspace)
    (workspace / "VERSION").write_text("1" * 500)
    value = version(workspace, {})["value"]
    assert value.endswith(f"1-20260101120000-{head[:7]}")
    assert len(value) == 128
