from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.trust import BRANCH, PRODUCTIVE, addressees
from towline.config.credential_rules import host_source, registry_place
from towline.config.documents import read_documents
from towline.config.layers import Inputs
from towline.config.metadata import load_schema
from towline.config.resolve import resolve
from towline.console import Console
from towline.contract import Build
from towline.credential_hosts import BuildTrust, HostAddress
from towline.errors import CredentialError
from towline.secret import Login
from towline.steps.host_access import login
from towline.steps.task import Task

NAMES = ("targetRegistryUser", "targetRegistryPassword")
LOGIN = {"targetRegistryUser": "anna", "targetRegistryPassword": "hidden-word"}
PLACE = HostAddress(scheme="https", host="r.example.com")


def found(
    folder: Path,
    environ: Mapping[str, str],
    standing: BuildTrust = PRODUCTIVE,
    told: list[str] | None = None,
) -> Login | None:
    (folder / ".pipeline").mkdir()
    (folder / ".pipeline/config.yml").write_text(
        "steps: {imagePushToRegistry: {targetRegistryUrl: 'https://r.example.com/team'}}"
    )
    documents = read_documents(folder, config="", team_files=[], team_documents=[])
    inputs = Inputs(
        stage="",
        documents=documents,
        pipeline_environment={},
        environ={f"PIPER_{name}": value for name, value in environ.items()},
        parameters={},
        flags={},
    )
    settings = resolve(load_schema("imagePushToRegistry"), inputs)
    task = Task(
        settings=settings,
        pipeline_environment={},
        stage="",
        build=Build(),
        folder=folder,
        environ={},
        console=Console(io.StringIO()),
        dry_run=False,
        addressees=addressees(settings, standing, told),
    )
    return login(task, NAMES, PLACE, host_source(settings, "targetRegistryUrl", registry_place))


def test_user_and_password_make_a_login_that_says_where_they_came_from(tmp_path: Path) -> None:
    told: list[str] = []
    given = found(tmp_path, LOGIN, told=told)
    assert given is not None
    assert (given.username, given.password, given.hosts) == ("anna", "hidden-word", ())
    assert "PIPER_targetRegistryPassword" in given.origin
    line = (
        "the password of user 'anna' (PIPER_targetRegistryPassword) goes to r.example.com: named by"
        " .pipeline/config.yml:1"
    )
    assert told == [f"{line}, for the productive branch main"]


def test_neither_of_them_is_no_login(tmp_path: Path) -> None:
    assert found(tmp_path, {}, BRANCH) is None


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ("targetRegistryUser", "targetRegistryPassword"),
        ("targetRegistryPassword", "targetRegistryUser"),
    ],
)
def test_half_a_login_names_the_other_half(tmp_path: Path, given: str, missing: str) -> None:
    with pytest.raises(CredentialError, match=f"{missing} is not") as fault:
        found(tmp_path, {given: "hidden-word"})
    assert "hidden-word" not in str(fault.value) + fault.value.where + fault.value.hint


def test_a_host_that_only_a_branch_names_gets_none(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match=r"is not sent to r\.example\.com") as fault:
        found(tmp_path, LOGIN, BRANCH)
    assert "hidden-word" not in str(fault.value) + fault.value.where + fault.value.hint


def test_a_login_goes_on_to_the_hosts_of_trusted_layers_alone(tmp_path: Path) -> None:
    more = {
        "credentialHosts": "r.example.com",
        "credentials": '{"targetRegistryPassword": ["auth.example.com"], "other": ["x"]}',
    }
    given = found(tmp_path, {**LOGIN, **more}, BRANCH)
    assert given is not None
    assert given.hosts == ("r.example.com", "auth.example.com")
