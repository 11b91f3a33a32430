from __future__ import annotations

import argparse

import pytest

from towline.commands.flags import add_flag, given_flags
from towline.config.schema import StepSchema, parse_schema
from towline.errors import UsageError

SCHEMA: StepSchema = parse_schema(
    {
        "name": "paint",
        "description": "Paints.",
        "parameters": [
            {
                "name": name,
                "type": kind,
                "scope": ["PARAMETERS"],
                "description": f"100% {name}.",
                **more,
            }
            for name, kind, more in (
                ("colour", "string", {}),
                ("walls", "list", {}),
                ("rooms", "map", {}),
                ("dry", "boolean", {}),
                ("key", "string", {"secret": True}),
            )
        ],
    },
    "paint.yaml",
)


def flags(*words: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    group = parser.add_argument_group("parameters")
    for parameter in SCHEMA.parameters:
        add_flag(group, parameter)
    assert "100% colour." in parser.format_help()
    assert "--rooms K=V,K=V|JSON" in parser.format_help()
    return dict(given_flags(parser.parse_args(words), SCHEMA))


def test_the_last_of_a_repeated_flag_counts_and_of_lists_all() -> None:
    assert flags(
        "--colour", "red", "--colour", "blue", "--walls", "a,b", "--walls", "c", "--rooms", "x=1"
    ) == {"colour": "blue", "walls": ["a", "b", "c"], "rooms": {"x": "1"}}
    assert flags() == {}


def test_a_key_of_a_map_with_two_values_is_an_error_that_names_both() -> None:
    assert flags("--rooms", "x=1", "--rooms", "y=2,x=1")["rooms"] == {"x": "1", "y": "2"}
    with pytest.raises(
        UsageError, match=r"'x' is given twice, as \"1\" and as \"https://a\.example\""
    ) as caught:
        flags("--rooms", "x=1", "--rooms", "x=https://me:pass@a.example")
    assert caught.value.where == "--rooms"


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (("--dry",), "true"),
        (("--dry=false",), "false"),
        (("--dry", "false"), "false"),
        (("--dry", "--colour", "red"), "true"),
    ],
)
def test_a_truth_value_needs_none_to_be_true(words: tuple[str, ...], value: str) -> None:
    assert flags(*words)["dry"] == value


def test_a_secret_has_no_flag() -> None:
    with pytest.raises(SystemExit):
        flags("--key", "hunter2")
