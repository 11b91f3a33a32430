from __future__ import annotations

from pathlib import Path

import pytest

from tests.calls import SAMPLE, Ending, configure
from tests.plans import planned


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


OPTIONAL = "left out if no loaded library has them: "


def notes(folder: Path, text: str, *, branch: str = "main") -> list[str]:
    """The notes of a plan but the one on steps that a library may have."""
    configure(folder, text)
    environ = {"PIPER_productiveBranch": "main"}
    found = Ending(["plan", "--branch", branch], folder, environ).result["outputs"]["notes"]
    return [note for note in found if not note.startswith(OPTIONAL)]


def test_the_sample_has_no_note_on_a_key_without_effect(tmp_path: Path) -> None:
    assert notes(tmp_path, SAMPLE) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "stages: {Performance: {imagePushToRegistry: true}}",
            (
                ".pipeline/config.yml:1: stage Performance has no step imagePushToRegistry, and the"
                " flag imagePushToRegistry switches nothing on (stages that have it: Build)"
            ),
        ),
        (
            "stages: {Releese: {filePath: a}}",
            (".pipeline/config.yml:1: the pipeline has no stage Releese (did you mean 'Release'?)"),
        ),
        (
            "stages: {Confirm: {nodeLabel: a}}",
            (
                ".pipeline/config.yml:1: stage Confirm asks a person and has no steps, so nothing"
                " reads nodeLabel there (its keys: manualConfirmation, manualConfirmationMessage,"
                " manualConfirmationSubmitters, manualConfirmationTimeout)"
            ),
        ),
        (
            "stages: {Release: {multicloudDeploy: true, cloudFoundryDeploy: true}}",
            (
                "stage Release does not run cloudFoundryDeploy (.pipeline/config.yml:1): switched"
                " off by the stage definition: multicloudDeploy is active in stage Release"
            ),
        ),
        (
            "stages: {productionDeployment: {filePath: a}}",
            (
                ".pipeline/config.yml:1: the pipeline has no stage productionDeployment (did you"
                " mean 'Release'?)"
            ),
        ),
        (
            "spec: {stages: []}",
            (
                ".pipeline/config.yml:1: a definition of stages counts in documents of the"
                " platform team only (let the platform team add it to its defaults)"
            ),
        ),
        (
            "general: {buildTool: yarn}",
            (
                "no step builds with buildTool 'yarn' (.pipeline/config.yml:1): set dockerImage and"
                " dockerCommand, or build in an extension of the stage; known: docker, golang,"
                " gradle, kaniko, maven, mta, npm, pip"
            ),
        ),
        (
            "general: {dockerRegistryUrl: 'https://registry.example.com'}",
            (
                "stage Promote runs containerPushToRegistry because general has dockerRegistryUrl"
                " (.pipeline/config.yml:1); if that is only the registry of the build, write"
                " `containerPushToRegistry: false` in stages.Promote"
            ),
        ),
    ],
)
def test_what_has_no_effect_is_named_with_its_line(
    tmp_path: Path, text: str, expected: str
) -> None:
    assert notes(tmp_path, text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "general: {buildTool: yarn, dockerImage: a, dockerCommand: b}",
        "general: {buildTool: golang}",
        "steps: {containerPushToRegistry: {dockerRegistryUrl: 'https://registry.example.com'}}",
        "stages: {Release: {cfSpace: a, cfTargets: []}}",
        "stages: {Release: {multicloudDeploy: true, cloudFoundryDeploy: false}}",
    ],
)
def test_what_has_an_effect_is_not_named(tmp_path: Path, text: str) -> None:
    assert notes(tmp_path, text) == []


def test_a_note_is_a_warning_of_the_log_too_once(tmp_path: Path) -> None:
    configure(tmp_path, "general: {buildTool: yarn}")
    err = Ending(["plan", "--branch", "main"], tmp_path).err
    assert err.count("no step builds with buildTool 'yarn'") == 1


def test_a_file_that_no_stage_loads_is_named(tmp_path: Path) -> None:
    folder = tmp_path / ".pipeline/extensions"
    folder.mkdir(parents=True)
    for name in ("Build.groovy", "Releese.groovy", "Confirm.groovy", "README.md"):
        (folder / name).write_text("return this")
    found = notes(tmp_path, "")
    assert [note.partition(":")[0] for note in found] == [
        "no stage loads the extension .pipeline/extensions/Confirm.groovy",
        "no stage loads the extension .pipeline/extensions/Releese.groovy",
    ]
    assert "'Release'" in found[1]


def test_steps_that_a_library_may_lack_are_named_in_one_note(tmp_path: Path) -> None:
    (tmp_path / "a.bats").write_text("")
    plan = planned(tmp_path, {"stages": {"Security": {"detectExecuteScan": True}}})
    (note,) = [note for note in plan["notes"] if note.startswith(OPTIONAL)]
    assert "batsExecuteTests (Additional Unit Tests)" in note
    assert "influxWriteData (Post)" in note
    assert "detectExecuteScan" not in note
