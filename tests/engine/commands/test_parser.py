"""What the words of a command line are taken for."""

from __future__ import annotations

import pytest

from towline import dispatch
from towline.commands.parser import shared, spelled_out, verbosity, whole
from towline.errors import UsageError


@pytest.mark.parametrize(("words", "meant"), [
    ([], ["--help"]), (["help"], ["--help"]), (["help", "run"], ["run", "--help"]), (["help", "run", "x"], ["run", "x", "--help"]), (["plan"], ["plan"]),
    (["run", "help"], ["run", "help"]),
])
def test_short_forms_are_written_out(words: list[str], meant: list[str]) -> None:
    assert spelled_out(words) == meant


@pytest.mark.parametrize("words", [["help", "copy", "extra"], ["help", "run", "imagePushToRegistry", "extra"], ["help", "plan", "--json"]])
def test_help_takes_no_more_than_it_needs(words: list[str]) -> None:
    with pytest.raises(UsageError, match="unexpected word"):
        spelled_out(words)


def test_shared_flags_may_stand_anywhere() -> None:
    common, rest = shared(["--stage", "Build", "plan", "--json", "--all"])
    assert (common.stage, common.json, rest) == ("Build", True, ["plan", "--all"])


def test_verbosity_is_not_that_of_pipers_commands() -> None:
    assert verbosity(["plan", "--quiet"], dispatch.command("plan")) == "--quiet"
    assert verbosity(["getConfig", "--verbose"], dispatch.command("getConfig")) == ""


def test_the_whole_has_every_command() -> None:
    text = whole().format_help()
    assert all(name in text for name in (*dispatch.COMMANDS, "help", "version"))
