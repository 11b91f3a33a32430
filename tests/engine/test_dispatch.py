from __future__ import annotations

import pytest

from towline import dispatch


@pytest.mark.parametrize("name", dispatch.COMMANDS)
def test_every_command_has_the_parts_that_the_door_calls(name: str) -> None:
    module = dispatch.command(name)
    assert all(callable(getattr(module, part)) for part in ("configure", "execute"))


@pytest.mark.parametrize("name", dispatch.STEPS)
def test_every_step_can_be_run(name: str) -> None:
    assert callable(dispatch.step(name).run)
