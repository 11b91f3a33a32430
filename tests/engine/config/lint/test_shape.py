from __future__ import annotations

import pytest

from towline.config.lint.shape import shape_document
from towline.yaml.marks import load_located


def test_what_is_well_formed_stays_and_each_other_section_is_a_finding() -> None:
    document, found = shape_document(
        "c.yml",
        load_located("general: [a]\nsteps:\n  one: {a: 1}\n  two: text\nstages:\nhooks: {x: 1}\n"),
        trusted=True,
    )
    assert document.trusted
    assert document.content == {
        "general": {},
        "steps": {"one": {"a": 1}, "two": {}},
        "stages": {},
        "hooks": {"x": 1},
    }
    assert [(each.rule, each.line, each.message) for each in found] == [
        ("not-a-map", 1, "general is a list, expected a map"),
        ("not-a-map", 4, "steps.two is a text, expected a map"),
    ]


@pytest.mark.parametrize(("text", "what"), [("- a", "a list"), ("text", "a text")])
def test_a_file_that_is_not_a_map_is_an_empty_document(text: str, what: str) -> None:
    document, found = shape_document("c.yml", load_located(text))
    assert document.content == {"general": {}, "steps": {}, "stages": {}}
    assert [each.message for each in found] == [f"the configuration is {what}, expected a map"]
    assert not document.trusted
