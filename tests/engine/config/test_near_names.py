from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.config import near_names
from towline.config.near_names import key_slip, slip
from towline.suggest import one_slip_away

KNOWN = frozenset(
    {
        "filePath",
        "targets",
        "additionalTags",
        "apiVersions",
        "sourceCredentialsId",
        "productiveBranch",
        "credentialHosts",
        "tool",
    }
)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("filePaht", "filePath"),
        ("filPath", "filePath"),
        ("fileePath", "filePath"),
        ("fiilePath", "filePath"),
        ("filexath", "filePath"),
        ("filepath", "filePath"),
        ("file_path", "filePath"),
        ("productiveBranches", ""),
        ("produktiveBranch", "productiveBranch"),
        ("credentialHost", "credentialHosts"),
        ("cfTargets", ""),
        ("additionalArgs", ""),
        ("appVersion", ""),
        ("azureCredentialsId", ""),
        ("target", ""),
        ("tol", ""),
        ("htaPelif", ""),
    ],
)
def test_a_key_among_those_of_others_is_a_slip_by_one_letter_only(name: str, meant: str) -> None:
    assert key_slip(name, KNOWN) == meant


@given(
    st.text("abCd", min_size=6, max_size=9),
    st.frozensets(st.text("abCd", min_size=5, max_size=9), max_size=9),
)
def test_every_known_key_that_is_one_slip_away_is_compared(
    name: str, known: frozenset[str]
) -> None:
    assert bool(key_slip(name, known)) == bool(one_slip_away(name, known))


def test_of_many_known_keys_only_a_few_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(name: str, known: set[str]) -> list[str]:
        asked.append(len(known))
        return one_slip_away(name, known)

    monkeypatch.setattr(near_names, "one_slip_away", counted)
    known = frozenset(f"parameter{number:03}" for number in range(1000)) | {"filePath"}
    assert key_slip("filePaht", known) == "filePath"
    assert key_slip("x" * 1_000_000, known) == ""
    assert asked == [1, 0]


def test_names_that_only_steps_or_stages_have_may_be_farther_away() -> None:
    assert slip("additionalArgs", KNOWN) == "additionalTags"
    assert slip("additional", KNOWN) == ""
