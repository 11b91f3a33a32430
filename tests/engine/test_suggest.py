"""A hint names what was probably meant, or the possible names."""

from __future__ import annotations

import pytest

from towline.suggest import close, list_some, nearest, one_slip_away, swapped


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        (
            "targetRegistryURL",
            ["targetRegistryUrl", "sourceRegistryUrl"],
            "did you mean 'targetRegistryUrl'?",
        ),
        (
            "targetRegistryUlr",
            ["targetRegistryUrl", "sourceRegistryUrl"],
            "did you mean 'targetRegistryUrl'?",
        ),
        ("FilePath", {"filePath": 1, "files": 2}, "did you mean 'filePath'?"),
        ("zzz", ["b", "a"], "known: a, b"),
        ("zzz", iter(["a"]), "known: a"),
        ("zzz", [], "nothing of the kind is known"),
    ],
)
def test_the_nearest_name_is_named_else_all_of_them(name: str, known: list[str], hint: str) -> None:
    assert nearest(name, known) == hint


def test_a_long_list_is_cut() -> None:
    names = [f"name{number:02}" for number in range(30)]
    assert nearest("zzz", names) == f"known: {', '.join(names[:20])}, ..."


def test_twenty_names_are_all_shown() -> None:
    names = [f"name{number:02}" for number in range(20)]
    assert nearest("zzz", names) == f"known: {', '.join(names)}"


@pytest.mark.parametrize(
    ("name", "known", "cutoff", "found"),
    [
        ("FILEPATH", ["filePath"], 1.0, "filePath"),
        ("filePaht", ["filePath", "fileName"], 0.85, "filePath"),
        ("fileName", ["filePath"], 0.85, ""),
        ("fileName", ["filePath"], 0.6, "filePath"),
        ("gitopsupdate", ["gitopsUpdate", "gitOpsUpdate"], 0.6, "gitOpsUpdate"),
        ("x", [], 0.6, ""),
    ],
)
def test_one_name_is_close_or_none_is(
    name: str, known: list[str], cutoff: float, found: str
) -> None:
    assert close(name, known, cutoff=cutoff) == found


@pytest.mark.parametrize(
    ("name", "found"),
    [("tga", "tag"), ("atg", "tag"), ("gat", ""), ("tag", ""), ("ba", ""), ("", "")],
)
def test_two_letters_that_changed_places_are_seen_in_a_short_name_too(
    name: str, found: str
) -> None:
    assert swapped(name, ["tag", "ab", "image"]) == found


def test_letters_that_changed_places_are_one_slip_and_two_other_letters_are_two() -> None:
    assert one_slip_away("ab", ["ba", "xy", "a", "abc", "AB", "b"]) == ["ba", "a", "abc", "AB", "b"]


def test_of_many_names_some_are_shown_and_how_many_more_there_are() -> None:
    assert list_some(["a", "b"]) == "a, b"
    assert list_some(list("abcde")) == "a, b, c, d, e"
    assert list_some(list("abcdefg")) == "a, b, c, d, e and 2 more"
    assert list_some([]) == ""


def test_of_a_great_many_names_those_of_about_the_same_length_are_looked_at() -> None:
    """A git server may have hundreds of thousands of branches: comparing with each of them took
    half a minute.
    """
    names = [*(f"feature/number-{number:06}" for number in range(20_000)), "release"]
    assert close("relaese", names) == "release"
    assert close("zzzzzzz", names) == ""
