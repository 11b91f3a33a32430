"""How the words of a command line are understood."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.calls import Ending
from towline import dispatch
from towline.commands.parser import shared, spelled_out, verbosity, whole
from towline.errors import UsageError


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ([], ["--help"]),
        (["help"], ["--help"]),
        (["help", "run"], ["run", "--help"]),
        (["help", "run", "x"], ["run", "x", "--help"]),
        (["plan"], ["plan"]),
        (["run", "help"], ["run", "help"]),
    ],
)
def test_short_forms_are_written_out(words: list[str], meant: list[str]) -> None:
    assert spelled_out(words) == meant


@pytest.mark.parametrize(
    "words",
    [
        ["help", "copy", "extra"],
        ["help", "run", "imagePushToRegistry", "extra"],
        ["help", "plan", "--json"],
    ],
)
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


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (
            ["run", "imagePushToRegistry", "--dry-run=false"],
            "--dry-run takes no value",
            "leave it out otherwise",
        ),
        (["plan", "--stage"], "--stage lacks its value", "write --stage VALUE"),
        (
            ["run", "imagePushToRegistry", "--targetRegistryUrl"],
            "--targetRegistryUrl lacks its value",
            "write --targetRegistryUrl VALUE",
        ),
    ],
)
def test_a_flag_with_a_value_too_many_or_too_few_is_named(
    tmp_path: Path, words: list[str], message: str, hint: str
) -> None:
    ending = Ending(words, tmp_path)
    assert (ending.code, ending.message, hint in ending.hint) == (2, message, True)
