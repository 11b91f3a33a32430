from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.calls import Ending, request

EXAMPLE = {"steps": {"gitopsUpdateDeployment": {"tool": "helm"}}}


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_standard_output_is_the_schema_and_nothing_else(workspace: Path) -> None:
    ending = Ending(["schema"], workspace)
    assert ending.code == 0
    assert ending.err == ""
    schema = json.loads(ending.out)
    Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(schema).is_valid(EXAMPLE)
    assert "kubernetesDeploy" in schema["$defs"]


def test_the_project_s_own_configuration_has_no_part_in_it(workspace: Path) -> None:
    without = Ending(["schema"], workspace).out
    (workspace / ".pipeline").mkdir()
    (workspace / ".pipeline" / "config.yml").write_text("not: [yaml")
    assert Ending(["schema"], workspace).out == without


def test_a_program_finds_it_among_the_outputs(workspace: Path) -> None:
    printed = json.loads(Ending(["schema", "--json"], workspace).out)
    assert printed["outputs"]["schema"] == json.loads(Ending(["schema"], workspace).out)
    assert Ending(["schema", *request(workspace)], workspace).out == ""
