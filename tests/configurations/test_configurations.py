"""Configurations as projects write them, with their outcomes.

Each is a file in `cases`, in the form that CASES.md describes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.serve import Answer, LoopbackServer, Request
from towline.config.documents import parse_document, read_documents, read_yaml
from towline.config.layers import Inputs, effective_settings, step_layers
from towline.config.metadata import load_schema
from towline.config.resolve import find_faults, resolve
from towline.config.values import coerce
from towline.errors import TowlineError
from towline.pipeline import environment
from towline.pipeline.environment import PipelineEnvironment

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
GIVEN = {
    "step",
    "stage",
    "files",
    "config",
    "team",
    "served",
    "tokens",
    "pipelineEnvironment",
    "variables",
    "parameters",
    "flags",
}
EXPECTED = {"values", "origins", "layers", "unset", "warnings", "faults", "error"}


class Shelf(LoopbackServer):
    """Serves the documents of a case by path; one that requires a token says which one came."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: Mapping[str, str] = {}

    def answer(self, request: Request) -> Answer:
        if request.path not in self.texts:
            return Answer(status=404)
        text = self.texts[request.path].replace(
            "{token}", request.headers.get("authorization", "no token")
        )
        return Answer(status=200, body=text.encode())


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with Shelf() as server:
        yield server


def read(path: Path) -> dict[str, Any]:
    case: Any = read_yaml(path.read_text(encoding="utf-8"), path.name).value
    assert set(case) == {"about", "given", "expected"}, path.name
    assert set(case["given"]) <= GIVEN, path.name
    assert set(case["expected"]) <= EXPECTED, path.name
    return {**case["given"], "expected": case["expected"]}


def inputs(case: Mapping[str, Any], folder: Path, shelf: Shelf) -> Inputs:
    """The inputs of a case.

    Its files are on disk, its pipeline environment is written and read as a step does it, and the
    other inputs are as the case has them.
    """
    shelf.texts = case.get("served") or {}
    for name, text in (case.get("files") or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.replace("{server}", shelf.url).encode())
    environment.write_environment(folder, case.get("pipelineEnvironment") or {})
    documents = read_documents(
        folder,
        config=case.get("config") or "",
        team_documents=[
            parse_document(text, f"team{number}", trusted=True)
            for number, text in enumerate(case.get("team") or [], start=1)
        ],
        environ={
            "PIPER_gitHubTokens": (case.get("tokens") or "").replace("{server}", shelf.host),
            "PIPER_defaultHosts": shelf.host,
        },
    )
    left = environment.read_environment(folder)
    known = PipelineEnvironment(left, left)  # as steps of this build leave it
    return Inputs(
        stage=case.get("stage") or "",
        documents=documents,
        pipeline_environment=known,
        environ=case.get("variables") or {},
        parameters=case.get("parameters") or {},
        flags=case.get("flags") or {},
    )


@pytest.mark.parametrize(
    "path",
    [path for path in CASES if "error" in read(path)["expected"]],
    ids=lambda path: path.stem,
)
def test_a_configuration_that_cannot_be_read_ends_with_what_is_expected(
    path: Path, tmp_path: Path, shelf: Shelf
) -> None:
    case = read(path)
    schema = load_schema(case["step"])
    with pytest.raises(TowlineError) as caught:
        resolve(schema, inputs(case, tmp_path, shelf))
    assert (
        f"{caught.value.where}: {caught.value.message}".replace(shelf.url, "{server}")
        == case["expected"]["error"]
    )
    assert caught.value.hint


@pytest.mark.parametrize(
    "path",
    [path for path in CASES if "error" not in read(path)["expected"]],
    ids=lambda path: path.stem,
)
def test_a_configuration_gives_what_is_expected(path: Path, tmp_path: Path, shelf: Shelf) -> None:
    case = read(path)
    expected = case["expected"]
    schema = load_schema(case["step"])
    given = inputs(case, tmp_path, shelf)
    faults = find_faults(schema, given)
    assert [f"{fault.where}: {fault.problem}" for fault in faults] == expected.get("faults", [])
    settings = effective_settings(schema, given)
    types = {parameter.name: parameter.type for parameter in schema.parameters}
    values = {
        name: coerce(settings[name].value, types[name]) if name in settings else "not set"
        for name in expected.get("values", {})
    }
    assert values == expected.get("values", {})
    assert {
        name: settings[name].origin.replace(shelf.url, "{server}")
        for name in expected.get("origins", {})
    } == expected.get("origins", {})
    layers = [
        f"{layer.name}: {name}"
        for layer in step_layers(schema, given)
        for name in layer.settings
        if layer.name != "default"
    ]
    assert layers == expected.get("layers", layers)
    assert [name for name in expected.get("unset", []) if name in settings] == []
    if not faults:
        assert list(resolve(schema, given).warnings) == expected.get("warnings", [])


def test_there_are_enough_cases_and_each_says_what_it_is_about() -> None:
    assert len(CASES) >= 40
    values: list[Any] = [
        read_yaml(path.read_text(encoding="utf-8"), path.name).value for path in CASES
    ]
    abouts = [value["about"] for value in values]
    assert len(set(abouts)) == len(abouts)
    assert {read(path)["step"] for path in CASES} >= {
        "imagePushToRegistry",
        "gitOpsUpdateDeployment",
        "kubernetesDeploy",
        "kanikoExecute",
        "cnbBuild",
    }
