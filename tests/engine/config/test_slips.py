from __future__ import annotations

import pytest

from towline.config.slips import key_slip, one_slip_away, slip

KNOWN = frozenset({"filePath", "targets", "additionalTags", "apiVersions", "sourceCredentialsId", "productiveBranch", "credentialHosts", "tool"})


@pytest.mark.parametrize(("name", "meant"), [
    ("filePaht", "filePath"), ("filPath", "filePath"), ("fileePath", "filePath"), ("fiilePath", "filePath"), ("filexath", "filePath"),
    ("filepath", "filePath"), ("file_path", "filePath"), ("productiveBranches", ""), ("produktiveBranch", "productiveBranch"),
    ("credentialHost", "credentialHosts"),
    ("cfTargets", ""), ("additionalArgs", ""), ("appVersion", ""), ("azureCredentialsId", ""), ("target", ""), ("tol", ""), ("htaPelif", ""),
])
def test_a_key_among_those_of_others_is_a_slip_by_one_letter_only(name: str, meant: str) -> None:
    assert key_slip(name, KNOWN) == meant


def test_letters_that_changed_places_are_one_slip_and_two_other_letters_are_two() -> None:
    assert one_slip_away("ab", ["ba", "xy", "a", "abc", "AB", "b"]) == ["ba", "a", "abc", "AB", "b"]


def test_names_that_only_steps_or_stages_have_may_be_farther_away() -> None:
    assert slip("additionalArgs", KNOWN) == "additionalTags"
    assert slip("additional", KNOWN) == ""
