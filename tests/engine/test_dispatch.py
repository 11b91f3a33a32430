from __future__ import annotations

from pathlib import Path

import pytest

from tests.calls import Ending, configure
from towline import dispatch
from towline.errors import UsageError


@pytest.mark.parametrize("name", dispatch.COMMANDS)
def test_every_command_has_the_parts_that_the_entry_point_calls(name: str) -> None:
    module = dispatch.command(name)
    assert all(callable(getattr(module, part)) for part in ("configure", "execute"))


@pytest.mark.parametrize("name", dispatch.STEPS)
def test_every_step_can_be_run(name: str) -> None:
    assert callable(dispatch.step(name).run)


def test_a_step_of_another_library_is_refused_and_says_whose_steps_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        dispatch.step("kubernetesDeploy")
    assert "kubernetesDeploy" in caught.value.message
    assert all(name in caught.value.hint for name in dispatch.STEPS)


@pytest.mark.parametrize("name", ["kanikoExecute", "kanikoBuild"])
def test_running_a_step_of_another_library_is_a_wrong_call(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is found before its settings are read: nobody should have to correct them first."""
    monkeypatch.chdir(tmp_path)
    configure(tmp_path, "steps: {kanikoExecute: {buildOptions: 1}}\nnonsense: [")
    ending = Ending(["run", name, "--nonsense"], tmp_path)
    assert ending.code == 2
    assert ending.message == "kanikoExecute is not a step that Towline runs"
