from __future__ import annotations

from towline.config.documents import parse_document
from towline.config.lint.known import KnownConfiguration, known_keys
from towline.config.schema import GENERAL, STEPS, parse_schema

SCHEMA = parse_schema(
    {
        "name": "paint",
        "description": "P.",
        "aliases": ["Paint"],
        "parameters": [
            {
                "name": "colour",
                "type": "string",
                "description": "C.",
                "scope": ["STEPS", "GENERAL"],
                "aliases": [{"name": "old/hue"}],
            },
            {"name": "width", "type": "integer", "description": "W.", "scope": ["STEPS"]},
        ],
    },
    "paint.yaml",
)
KNOWN = KnownConfiguration(
    steps=(SCHEMA,), shared=(), stages={"Build": frozenset({"other"})}, others=frozenset({"spray"})
)


def test_a_key_has_its_readers_by_scope_and_a_deep_alias_by_its_first_part() -> None:
    keys = known_keys(KNOWN, ())
    assert [reader.parameter.name for reader in keys.readers[STEPS]["old"]] == ["colour"]
    assert [reader.alias for reader in keys.readers[GENERAL]["colour"]] == [None]
    assert ("width" in keys.readers[STEPS], "width" in keys.readers[GENERAL]) == (True, False)


def test_steps_are_known_by_each_spelling_and_used_if_a_section_or_flag_names_them() -> None:
    for text, used in (
        ("steps: {Paint: {}}", {"paint"}),
        ("general: {paint: 'true'}", {"paint"}),
        ("general: {paint: false}", set()),
        ("stages: {Build: {paint: true}}", set()),
    ):
        document = parse_document(text, "config.yml", trusted=False)
        assert known_keys(KNOWN, (document,)).used == used
    assert known_keys(KNOWN, ()).spellings == {
        "paint": "paint",
        "Paint": "paint",
        "other": "other",
        "spray": "spray",
    }
