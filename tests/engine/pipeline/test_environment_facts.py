from __future__ import annotations

import pytest

from towline.pipeline.environment import (
    PipelineEnvironment,
    is_changed,
    is_proven,
    proven_values,
    value_origin,
)

KEY = "container/registryUrl"


def test_values_are_those_that_are_there_and_facts_lie_beside_them() -> None:
    found = PipelineEnvironment({"a": 1, "b": "claimed"}, {"b": "pushed", "c": [2]})
    assert (dict(found), len(found), proven_values(found)) == (
        {"a": 1, "b": "claimed"},
        2,
        {"b": "pushed", "c": [2]},
    )
    assert (found.get("c"), "c" in found) == (None, False)


def test_of_values_that_nobody_has_kept_apart_none_is_a_fact() -> None:
    """A copy of the environment loses the facts, and is trusted less, never more."""
    copy = {**PipelineEnvironment({KEY: "r"}, {KEY: "r"})}
    assert (proven_values(copy), is_proven(copy, KEY)) == ({}, False)


@pytest.mark.parametrize(
    ("value", "fact", "expected"),
    [
        ("r", "r", True),
        (["a", {"b": 1, "c": 2}], ["a", {"c": 2, "b": 1}], True),
        ("", "", True),
        ("r", "s", False),
        ("1", 1, False),
        (1, True, False),
        ("[1]", [1], False),
        (["a", "b"], ["b", "a"], False),
        ("r ", "r", False),
    ],
)
def test_a_value_is_proven_if_it_is_the_very_one_that_was_written(
    value: object,
    fact: object,
    *,
    expected: bool,
) -> None:
    assert is_proven(PipelineEnvironment({KEY: value}, {KEY: fact}), KEY) is expected


def test_the_place_of_a_value_says_how_far_it_is_known() -> None:
    known = PipelineEnvironment({"fact": 1, "changed": 2, "claim": 3}, {"fact": 1, "changed": 0})
    place = "in the pipeline environment"
    assert value_origin(known, "fact") == f"fact {place}"
    assert (
        value_origin(known, "changed")
        == f"changed {place}, whose value is not the one that a step of this build has written"
    )
    assert (
        value_origin(known, "claim")
        == f"claim {place}, which no step of this build is known to have written"
    )


def test_a_value_is_changed_where_a_step_has_written_another() -> None:
    known = PipelineEnvironment(
        {"fact": 1, "changed": 2, "claim": 3}, {"fact": 1, "changed": 0, "gone": 4}
    )
    assert [
        key for key in ("fact", "changed", "claim", "gone", "none") if is_changed(known, key)
    ] == ["changed"]
