from __future__ import annotations

from pathlib import Path

import pytest

from tests.calls import Ending, configure, request
from towline.errors import ConfigError
from towline.steps.workspace_files import find_file

PUSH = (
    "steps:\n  imagePushToRegistry:\n    targetRegistryUrl: http://127.0.0.1:1\n   "
    " sourceRegistryUrl: http://127.0.0.1:1\n    sourceImages: [app:1]\n"
)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    (tmp_path / "outside.json").write_text('{"auths": {}}')
    monkeypatch.chdir(folder)
    return folder


def test_a_file_of_the_workspace_is_read(workspace: Path) -> None:
    (workspace / "values.yaml").write_text("a: 1\n")
    assert find_file(workspace, "values.yaml", where="") == b"a: 1\n"


def test_a_file_that_is_not_there_is_none(workspace: Path) -> None:
    assert find_file(workspace, "values.yaml", where="") is None


@pytest.mark.parametrize("name", ["../outside.json", "/etc/hostname", "link.json"])
def test_what_leads_out_of_the_workspace_is_refused(workspace: Path, name: str) -> None:
    (workspace / "link.json").symlink_to(workspace.parent / "outside.json")
    with pytest.raises(ConfigError, match="leads out of the workspace"):
        find_file(workspace, name, where="config.yml:1")


@pytest.mark.parametrize(
    "name",
    [
        "link/{}/../../workspace/own.yml",
        "../{}/../workspace/own.yml",
        "{}/../own.yml",
        "../{}.json",
    ],
)
def test_no_way_through_a_folder_outside_tells_whether_it_is_there(
    workspace: Path, name: str
) -> None:
    (workspace.parent / "agents" / "there").mkdir(parents=True)
    (workspace / "link").symlink_to(workspace.parent / "agents")
    (workspace / "own.yml").write_text("a: 1\n")
    answers = set()
    for folder in ("there", "agents", "nobodys"):
        try:
            answers.add(str(find_file(workspace, name.format(folder), where="")))
        except ConfigError as fault:
            answers.add(str(fault).replace(folder, "NAME"))
    assert len(answers) == 1


def test_a_folder_is_no_file(workspace: Path) -> None:
    (workspace / "folder").mkdir()
    with pytest.raises(ConfigError, match="folder cannot be read: it is a folder"):
        find_file(workspace, "folder", where="")


@pytest.mark.parametrize("path", ["/dev/zero", "../outside.json", "a\\0b"])
def test_the_projects_configuration_names_no_file_of_the_agent(workspace: Path, path: str) -> None:
    configure(workspace, f'{PUSH}    dockerConfigJSON: "{path}"\n')
    ending = Ending(["run", "imagePushToRegistry"], workspace)
    assert ending.code == 3
    assert ending.where == ".pipeline/config.yml:6"


def test_the_agent_itself_may_name_one(workspace: Path) -> None:
    configure(workspace, PUSH)
    ending = Ending(
        ["run", "imagePushToRegistry"],
        workspace,
        {"PIPER_dockerConfigJSON": str(workspace.parent / "outside.json")},
    )
    assert ending.code == 5  # it came as far as the registry


def test_a_call_may_name_one(workspace: Path) -> None:
    configure(workspace, PUSH)
    flag = request(
        workspace, parameters={"dockerConfigJSON": str(workspace.parent / "outside.json")}
    )
    assert Ending(["run", "imagePushToRegistry", *flag], workspace).code == 5


def test_a_file_that_is_missing_is_an_error(workspace: Path) -> None:
    configure(workspace, f"{PUSH}    dockerConfigJSON: docker.json\n")
    assert "is not there" in Ending(["run", "imagePushToRegistry"], workspace).message
