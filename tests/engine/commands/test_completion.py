"""The completion of a shell offers commands, steps, flags and stages."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.calls import Ending

OFFER = r"""
source ./towline.bash
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
$(complete -p towline | sed 's/.*-F \([^ ]*\).*/\1/')
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def offered(workspace: Path, *words: str) -> set[str]:
    """The completions that bash offers for the last of `words`."""
    done = subprocess.run(
        ["bash", "-c", OFFER, "bash", *words],
        cwd=workspace,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_bash_offers_commands_steps_flags_and_stages(workspace: Path) -> None:
    (workspace / "towline.bash").write_text(Ending(["completion", "bash"], workspace).out)
    assert {"run", "copy", "explain", "completion", "help"} <= offered(workspace, "towline", "")
    assert offered(workspace, "towline", "run", "image") == {"imagePushToRegistry"}
    push = ("towline", "run", "imagePushToRegistry")
    assert offered(workspace, *push, "--targetRegistryU") == {
        "--targetRegistryUrl",
        "--targetRegistryUser",
    }
    assert offered(workspace, *push, "--targetRegistryP") == set()
    assert "Acceptance" in offered(workspace, "towline", "plan", "--stage", "Acc")
    assert offered(workspace, *push, "--sta") == {"--stage"}
    assert offered(workspace, *push, "--dry") == {"--dry-run"}
    assert "helm-values" in offered(
        workspace, "towline", "run", "gitOpsUpdateDeployment", "--tool", "helm"
    )
    assert "gitOpsUpdateDeployment" in offered(workspace, "towline", "explain", "gitO")
    assert offered(workspace, "towline", "help", "ru") == {"run"}
    assert "Additional" not in offered(workspace, "towline", "plan", "--stage", "Ad")


def test_zsh_gets_a_script_of_its_own(workspace: Path) -> None:
    assert Ending(["completion", "zsh"], workspace).out.startswith("#compdef towline")


def test_another_shell_is_refused(workspace: Path) -> None:
    assert Ending(["completion", "fish"], workspace).code == 2
