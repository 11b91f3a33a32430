"""A project may call any word a secret: that hides no line that an auditor needs.

Such lines say where a credential goes, or that it was refused.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.calls import Ending, configure, request
from towline.pipeline.environment import ENVIRONMENT_FOLDER
from towline.secret import MASK

STEP = "imagePushToRegistry"
HOST = "evil.example.invalid"
SECRET = "hunter2hunter2"
WORDS = [
    HOST,
    "goes",
    "named",
    "password",
    "productive",
    "sent",
    "nothing",
    "names",
    "config",
    "steps",
    "refused",
    "registry",
]
LOGIN = {
    "PATH": "/usr/bin:/bin",
    "PIPER_targetRegistryUser": "bot",
    "PIPER_targetRegistryPassword": SECRET,
}
GOES = (
    f"the password of user 'bot' (PIPER_targetRegistryPassword) goes to {HOST}: named by"
    " .pipeline/config.yml:"
)
KEPT = (
    f"the password of user 'bot' (PIPER_targetRegistryPassword) is not sent to {HOST}, since"
    " this host is named only by .pipeline/config.yml:"
)


def project(
    folder: Path, general: dict[str, object], top: dict[str, object] | None = None, **more: object
) -> None:
    step = {
        "targetRegistryUrl": f"https://{HOST}",
        "sourceRegistryUrl": "http://127.0.0.1:1",
        "sourceImageNameTags": ["a:1"],
        "useImageNameTags": True,
        **more,
    }
    configure(
        folder, json.dumps({**(top or {}), "general": general, "steps": {STEP: step}}, indent=1)
    )


def claims(folder: Path, way: str) -> list[str]:
    """Let the project call the words secrets in one of the possible ways.

    Gives the flags of a request if the way needs one.
    """
    general: dict[str, object] = {"x": {"tokens": WORDS}} if way == "configuration" else {}
    more: dict[str, object] = {}
    top: dict[str, object] = {}
    if way == "parameter":
        more = {"sourceRegistryUser": "u", "sourceRegistryPassword": HOST}
    if way == "docker":
        login = base64.b64encode(f"u:{HOST}".encode()).decode()
        more = {"dockerConfigJSON": json.dumps({"auths": {"127.0.0.1:1": {"auth": login}}})}
    if way == "defaults":
        top = {"customDefaults": [".pipeline/own.yml"]}
        (folder / ".pipeline").mkdir(exist_ok=True)
        (folder / ".pipeline/own.yml").write_text(json.dumps({"general": {"x": {"tokens": WORDS}}}))
    if way == "environment":
        path = folder / ENVIRONMENT_FOLDER / "custom"
        path.mkdir(parents=True)
        (path / "tokens.json").write_text(json.dumps(WORDS))
        (path / "password").write_text(HOST)
    project(folder, general, top, **more)
    if way == "request":
        entries = {
            "pipelineEnvironment/custom/password": "TOWLINE_SECRET_1",
            "pipelineEnvironment/custom/tokens": {"json": "TOWLINE_SECRET_2"},
        }
        return request(
            folder,
            step=STEP,
            build={"branch": "main"},
            secrets=entries,
            unproven=["custom/password", "custom/tokens"],
        )
    return []


@pytest.mark.parametrize(
    "way", ["configuration", "parameter", "docker", "defaults", "environment", "request"]
)
def test_the_project_blanks_no_line_of_an_auditor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    folder = tmp_path / "workspace"
    folder.mkdir()
    monkeypatch.chdir(folder)
    flags = claims(folder, way)
    variables = {
        **LOGIN,
        "HOME": str(tmp_path),
        "TOWLINE_SECRET_1": HOST,
        "TOWLINE_SECRET_2": json.dumps(WORDS),
    }
    if not flags:
        del variables["TOWLINE_SECRET_1"], variables["TOWLINE_SECRET_2"]
    on_main = [] if flags else ["--branch", "main"]
    ending = Ending(["run", STEP, *flags, *on_main], folder, variables)
    assert GOES in ending.err, ending.err
    strict = Ending(
        ["run", STEP, *flags, *on_main], folder, {**variables, "PIPER_strictCredentials": "true"}
    )
    if way != "parameter":  # here the login of the source is refused earlier
        assert strict.message.startswith(KEPT) and KEPT in strict.err, strict.err
        assert f"credentials: {{targetRegistryPassword: [{HOST}]}}" in strict.hint
    assert SECRET not in ending.err + strict.err


@pytest.mark.parametrize("way", ["configuration", "parameter", "environment"])
def test_nor_one_of_what_explains_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.chdir(tmp_path)
    claims(tmp_path, way)
    ending = Ending(
        ["explain", "--credentials", STEP, "--branch", "main"],
        tmp_path,
        {**LOGIN, "HOME": str(tmp_path / "home")},
    )
    assert (
        f"the password of user 'bot' (PIPER_targetRegistryPassword) -> https://{HOST}" in ending.out
    ), ending.out
    assert f"https://{HOST}" in [row["to"] for row in ending.result["outputs"]["credentials"]]


def test_a_warning_of_what_will_be_refused_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    claims(tmp_path, "configuration")
    variables = {**LOGIN, "HOME": str(tmp_path / "home"), "PIPER_enforcement": "warn"}
    ending = Ending(["run", STEP, "--branch", "feature/x"], tmp_path, variables)
    assert f"warning: without `enforcement: warn` this will be refused: {KEPT}" in ending.err


def test_a_real_secret_is_masked_there_all_the_same_and_elsewhere_what_is_called_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    project(
        tmp_path,
        {"x": {"token": "connection"}},
        targetRegistryUrl=f"https://{SECRET}.example.invalid",
    )
    ending = Ending(
        ["run", STEP, "--branch", "main"], tmp_path, {**LOGIN, "HOME": str(tmp_path / "home")}
    )
    assert f"goes to {MASK}.example.invalid: named by" in ending.err
    assert SECRET not in ending.err + ending.out + json.dumps(ending.result)
    project(
        tmp_path,
        {"x": {"token": "a-word-of-the-project"}},
        sourceImageNameTags=["a-word-of-the-project:1"],
    )
    other = Ending(
        ["run", STEP, "--branch", "main"], tmp_path, {**LOGIN, "HOME": str(tmp_path / "home")}
    )
    assert "a-word-of-the-project" not in other.err + json.dumps(other.result["error"])
