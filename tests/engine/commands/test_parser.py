"""What the words of a command line are taken for."""

from __future__ import annotations

import pytest

from towline import dispatch
from towline.commands.parser import shared, spelled_out, verbosity, whole


@pytest.mark.parametrize(("words", "meant"), [
    ([], ["--help"]), (["help"], ["--help"]), (["help", "run"], ["run", "--help"]), (["version"], ["--version"]), (["plan"], ["plan"]),
    (["run", "help"], ["run", "help"]),
])
def test_short_forms_are_written_out(words: list[str], meant: list[str]) -> None:
    assert spelled_out(words) == meant


def test_shared_flags_may_stand_anywhere() -> None:
    common, rest = shared(["--stage", "Build", "plan", "--json", "--all"])
    assert (common.stage, common.json, rest) == ("Build", True, ["plan", "--all"])


def test_verbosity_is_not_that_of_pipers_commands() -> None:
    assert verbosity(["plan", "--quiet"], dispatch.command("plan")) == "--quiet"
    assert verbosity(["getConfig", "--verbose"], dispatch.command("getConfig")) == ""


def test_the_whole_has_every_command() -> None:
    text = whole().format_help()
    assert all(name in text for name in (*dispatch.COMMANDS, "help", "version"))
