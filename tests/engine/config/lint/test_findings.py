from __future__ import annotations

import re
from pathlib import Path

import pytest

from towline.config.documents import ConfigDocument
from towline.config.lint.findings import (
    LEVELS,
    RULES,
    Finding,
    finding,
    sort_findings,
    unreadable_file,
)
from towline.yaml.marks import load_located

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "lint.md").read_text()
TEXT = "general:\n  a: 1\nsteps:\n  s: {b: [x,\n         y]}\n"
DOCUMENT = ConfigDocument(name="c.yml", trusted=False, content={}, marks=load_located(TEXT).marks)


def table() -> dict[str, tuple[str, str, str]]:
    rows = re.findall(r"^\| `([\w-]+)` \| (\w+) \| (.+?) \| `.+` \| (.+?) \|$", PAGE, re.MULTILINE)
    return {name: (level, meaning, fix) for name, level, meaning, fix in rows}


def test_the_page_has_every_rule_as_the_program_has_it_and_in_its_order() -> None:
    assert table() == {
        rule.name: (rule.level, rule.meaning, f"{rule.fix[0].upper()}{rule.fix[1:]}.")
        for rule in RULES.values()
    }
    assert list(table()) == list(RULES)


def test_names_of_rules_are_words_with_hyphens_and_levels_are_known() -> None:
    assert all(
        re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.name)
        and rule.level in LEVELS
        and rule.meaning.endswith(".")
        for rule in RULES.values()
    )


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("general", "a"), (2, 3)),
        (("steps", "s", "b"), (4, 7)),
        (("steps", "s", "b", 1), (5, 10)),
        (("steps", "s", "other", "deeper"), (4, 3)),  # the nearest around it
        (("elsewhere",), (1, 1)),
        ((), (1, 1)),
    ],
)
def test_a_finding_stands_at_its_key_or_at_the_nearest_around_it(
    path: tuple[str | int, ...], place: tuple[int, int]
) -> None:
    found = finding("wrong-type", DOCUMENT, path, message="m")
    assert (found.line, found.column) == place
    assert (found.level, found.file, found.fix) == ("error", "c.yml", RULES["wrong-type"].fix)


def test_a_finding_reads_as_editors_and_people_read_it() -> None:
    assert (
        str(finding("wrong-flag", DOCUMENT, ("general", "a"), message="a is 1", fix="write true"))
        == "c.yml:2:3: error: a is 1 (write true) [wrong-flag]"
    )


def test_an_unreadable_file_has_a_place_as_well() -> None:
    assert unreadable_file("c.yml", "no YAML", line=3, column=4).where == "c.yml:3:4"
    assert unreadable_file("c.yml", "too large").where == "c.yml:1:1"


def test_findings_come_once_by_file_then_by_place_then_the_worst_first() -> None:
    def at(file: str, line: int, column: int, rule: str) -> Finding:
        return Finding(
            rule=rule,
            level=RULES[rule].level,
            file=file,
            line=line,
            column=column,
            message="m",
            fix="f",
        )

    expected = (
        at("b.yml", 1, 9, "shadowed"),
        at("b.yml", 2, 1, "wrong-type"),
        at("b.yml", 2, 1, "shadowed"),
        at("a.yml", 1, 1, "shadowed"),
    )
    assert (
        sort_findings([expected[2], expected[1], expected[3], expected[0], expected[2]]) == expected
    )
    assert sort_findings(expected, files=["a.yml", "none.yml"]) == (expected[3], *expected[:3])
