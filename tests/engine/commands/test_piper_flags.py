from __future__ import annotations

import argparse
import io
from pathlib import Path

import pytest

from tests.calls import configure
from towline.commands import check_if_step_active, get_config, piper_flags
from towline.commands.call import Call
from towline.config.documents import ConfigDocuments
from towline.console import Console, Output
from towline.contract import Request
from towline.errors import ConfigError


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    piper_flags.configure(parser, parameters="they count")
    return argparse.Namespace(**vars(parser.parse_args(words)), config="")


def call(folder: Path, *, stage: str = "", **environ: str) -> Call:
    return Call(
        request=Request(stage=stage),
        requested=False,
        environ=environ,
        folder=folder,
        console=Console(io.StringIO()),
        out=Output(io.StringIO()),
    )


def names(documents: ConfigDocuments) -> list[str]:
    return [document.name for document in (*documents.defaults, documents.project)]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    configure(tmp_path, "customDefaults: [custom.yml]\n")
    for name in ("custom.yml", "a.yml", "b.yml", "mine.yml", ".pipeline/defaults.yaml"):
        (tmp_path / name).write_text("general: {}\n")
    return tmp_path


OWN = "towline/defaults.yaml"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], [OWN, ".pipeline/defaults.yaml", "custom.yml", ".pipeline/config.yml"]),
        (["--ignoreCustomDefaults"], [OWN, ".pipeline/defaults.yaml", ".pipeline/config.yml"]),
        (
            ["--ignoreCustomDefaults=false"],
            [OWN, ".pipeline/defaults.yaml", "custom.yml", ".pipeline/config.yml"],
        ),
        (
            ["--defaultConfig", "b.yml,,a.yml"],
            [OWN, "b.yml", "a.yml", "custom.yml", ".pipeline/config.yml"],
        ),
        (
            ["--defaultConfig", "b.yml", "--defaultConfig", "a.yml", "--ignoreCustomDefaults"],
            [OWN, "b.yml", "a.yml", ".pipeline/config.yml"],
        ),
        (["--defaultConfig", "", "--ignoreCustomDefaults"], [OWN, ".pipeline/config.yml"]),
        (["--customConfig", "mine.yml"], [OWN, ".pipeline/defaults.yaml", "mine.yml"]),
        (["--customConfig", "gone.yml", "--defaultConfig", "a.yml"], [OWN, "a.yml", "gone.yml"]),
    ],
)
def test_flags_name_the_documents_weakest_first(
    workspace: Path, words: list[str], expected: list[str]
) -> None:
    assert names(piper_flags.documents(parsed(*words), call(workspace))) == expected


def test_the_usual_default_document_may_be_missing_even_where_it_is_named(workspace: Path) -> None:
    (workspace / ".pipeline" / "defaults.yaml").unlink()
    assert (
        names(
            piper_flags.documents(
                parsed("--defaultConfig", ".pipeline/defaults.yaml"), call(workspace)
            )
        )[1]
        == "custom.yml"
    )
    with pytest.raises(ConfigError):
        piper_flags.documents(parsed("--defaultConfig", "gone.yml"), call(workspace))


def test_the_strongest_name_of_the_stage_counts(tmp_path: Path) -> None:
    environ = {
        "JENKINS_URL": "x",
        "STAGE_NAME": "fifth",
        "PIPER_parametersJSON": '{"stageName": "fourth"}',
    }
    flags = ["--parametersJSON", '{"stageName": "third"}', "--stageName", "second"]
    assert piper_flags.stage(parsed(*flags), call(tmp_path, stage="first", **environ)) == "first"
    assert piper_flags.stage(parsed(*flags), call(tmp_path, **environ)) == "second"
    assert piper_flags.stage(parsed(*flags[:2]), call(tmp_path, **environ)) == "third"
    assert piper_flags.stage(parsed(), call(tmp_path, **environ)) == "fourth"
    assert (
        piper_flags.stage(parsed(), call(tmp_path, JENKINS_URL="x", STAGE_NAME="fifth")) == "fifth"
    )
    assert piper_flags.stage(parsed("--parametersJSON", '{"stageName": 7}'), call(tmp_path)) == ""


def test_the_pipeline_environment_lies_below_its_root(tmp_path: Path) -> None:
    for root in (".pipeline", "other"):
        (tmp_path / root / "commonPipelineEnvironment").mkdir(parents=True)
        (tmp_path / root / "commonPipelineEnvironment" / "place").write_text(root)
    assert piper_flags.pipeline_environment(parsed(), call(tmp_path)) == {"place": ".pipeline"}
    assert piper_flags.pipeline_environment(parsed("--envRootPath", "other"), call(tmp_path)) == {
        "place": "other"
    }


def test_help_says_what_each_command_makes_of_the_parameters() -> None:
    for module, said in (
        (get_config, "they override the files"),
        (check_if_step_active, "only their stageName counts here"),
    ):
        parser = argparse.ArgumentParser()
        module.configure(parser, [])
        assert f"parameters of the call; {said}" in " ".join(parser.format_help().split())
