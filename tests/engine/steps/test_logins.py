from __future__ import annotations

from pathlib import Path

import pytest

from towline.config.layers import Inputs, load_schema, read_documents
from towline.config.resolve import resolve
from towline.config.settings import Settings
from towline.errors import CredentialError
from towline.steps.logins import login

NAMES = ("targetRegistryUser", "targetRegistryPassword")


def settings(folder: Path, **environ: str) -> Settings:
    documents = read_documents(folder, config="", team_files=[], team_documents=[])
    variables = {f"PIPER_{name}": value for name, value in {"targetRegistryUrl": "https://r.example.com", **environ}.items()}
    inputs = Inputs(stage="", documents=documents, pipeline_environment={}, environ=variables, parameters={}, flags={})
    return resolve(load_schema("imagePushToRegistry"), inputs)


def test_user_and_password_make_a_login_that_says_where_they_came_from(tmp_path: Path) -> None:
    found = login(settings(tmp_path, targetRegistryUser="anna", targetRegistryPassword="hidden-word"), NAMES, host="r.example.com", scheme="https")
    assert found is not None
    assert (found.username, found.password) == ("anna", "hidden-word")
    assert "PIPER_targetRegistryPassword" in found.origin


def test_neither_of_them_is_no_login(tmp_path: Path) -> None:
    assert login(settings(tmp_path), NAMES, host="r.example.com", scheme="https") is None


@pytest.mark.parametrize(("given", "missing"), [("targetRegistryUser", "targetRegistryPassword"), ("targetRegistryPassword", "targetRegistryUser")])
def test_half_a_login_names_the_other_half(tmp_path: Path, given: str, missing: str) -> None:
    with pytest.raises(CredentialError, match=f"{missing} is not") as fault:
        login(settings(tmp_path, **{given: "hidden-word"}), NAMES, host="r.example.com", scheme="https")
    assert "hidden-word" not in str(fault.value) + fault.value.where + fault.value.hint
