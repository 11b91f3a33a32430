from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from towline.git.origin import origin

URL = "https://git.example/team/app.git"
ENVIRON = {"PATH": os.environ["PATH"]}


def git(folder: Path, *words: str) -> None:
    environment = {**ENVIRON, "HOME": str(folder), "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *words], cwd=folder, env=environment, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init")
    return tmp_path


def test_the_remote_of_a_checkout_is_where_it_comes_from(checkout: Path) -> None:
    git(checkout, "remote", "add", "origin", URL)
    git(checkout, "remote", "add", "other", "https://other.example/x.git")
    assert origin(checkout, ENVIRON) == URL


def test_a_checkout_without_a_remote_comes_from_nowhere(checkout: Path) -> None:
    assert origin(checkout, ENVIRON) == ""


def test_a_folder_without_a_checkout_comes_from_nowhere_whatever_is_around_it(checkout: Path) -> None:
    git(checkout, "remote", "add", "origin", URL)
    (checkout / "inner").mkdir()
    assert origin(checkout / "inner", ENVIRON) == ""


def test_without_a_git_program_nothing_is_known(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "remote", "add", "origin", URL)
    assert origin(checkout, {"PATH": str(tmp_path)}) == ""


@pytest.mark.parametrize("text", ["[remote", '[remote "origin"]\n', "\0", "[include]\n path = other\n"])
def test_a_configuration_that_says_nothing_of_it_is_no_fault(checkout: Path, text: str) -> None:
    (checkout / ".git" / "other").write_text(f'[remote "origin"]\n url = {URL}\n')
    (checkout / ".git" / "config").write_text(text)
    assert origin(checkout, ENVIRON) == ""
