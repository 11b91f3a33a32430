from __future__ import annotations

import pytest

from towline.config.documents import parse_document
from towline.config.lint.known import KnownConfiguration, Reader, Section, known_keys
from towline.config.lint.values import check_flag, check_value
from towline.config.schema import STEPS, parse_schema
from towline.record import replace

SCHEMA = parse_schema(
    {
        "name": "paint",
        "description": "P.",
        "parameters": [
            {
                "name": "colour",
                "type": "string",
                "description": "C.",
                "scope": ["STEPS"],
                "aliases": [{"name": "hue", "deprecated": True}],
            },
        ],
    },
    "paint.yaml",
)
SECTION = Section(
    document=parse_document("steps: {paint: {colour: 1}}", "config.yml", trusted=False),
    path=("steps", "paint"),
    scope=STEPS,
    steps=frozenset({"paint"}),
)
(COLOUR,) = SCHEMA.parameters


@pytest.mark.parametrize(
    ("library", "level"),
    [(False, "error"), (True, "warning")],
)
def test_a_value_is_checked_once_and_a_step_of_another_library_gets_warnings(
    library: bool, level: str
) -> None:
    reader = Reader(schema=replace(SCHEMA, library=library), parameter=COLOUR)
    found = list(check_value(SECTION, "colour", ["red"], [reader, reader]))
    assert [(each.rule, each.level) for each in found] == [("wrong-type", level)]
    assert list(check_value(SECTION, "colour", "red", [reader])) == []


def test_an_alias_is_deprecated_if_each_reader_says_so() -> None:
    reader = Reader(schema=SCHEMA, parameter=COLOUR, alias=COLOUR.aliases[0])
    found = list(check_value(SECTION, "hue", "red", [reader]))
    assert [(each.rule, each.fix) for each in found] == [("deprecated-alias", "write colour")]
    other = Reader(schema=SCHEMA, parameter=COLOUR)
    assert list(check_value(SECTION, "hue", "red", [reader, other])) == []


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (True, []),
        ("", []),
        ("true", ["warning"]),
        (2, ["error"]),
        ({"a": 1}, ["error"]),
    ],
)
def test_a_flag_is_true_or_false(value: object, found: list[str]) -> None:
    keys = known_keys(KnownConfiguration(steps=(SCHEMA,), shared=(), stages={}), ())
    assert [each.level for each in check_flag(keys, SECTION, "paint", value)] == found
