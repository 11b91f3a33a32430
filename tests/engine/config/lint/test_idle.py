from __future__ import annotations

import pytest

from towline.config.documents import parse_document
from towline.config.lint.idle import KnownPipeline, idle_keys

KNOWN = KnownPipeline(
    stages={"Build": frozenset({"kanikoExecute"}), "Confirm": frozenset(), "Release": frozenset()},
    spellings={"kanikoExecute": "kanikoExecute", "kanikoBuild": "kanikoExecute", "scan": "scan"},
    others=frozenset({"scan"}),
    confirms="Confirm",
    confirm_keys=frozenset({"manualConfirmation"}),
    named=frozenset({"Releese"}),
)


def found(text: str) -> list[tuple[str, str]]:
    document = parse_document(text, "config.yml", trusted=False)
    return [(each.rule, each.where) for each in idle_keys([document], KNOWN)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "stages: {Build: }",
        "stages: {Build: {kanikoBuild: true, kanikoExecut: false, verbose: true}}",
        "stages: {Release: {kanikoExecute: false, scan: 'false'}}",
        "stages: {Confirm: {manualConfirmation: false}}",
        "stages: {Team: {kanikoExecute: true, scan: true}}",
        "stages: {Releese: {a: b}}",
        "stages: {Builds: {kanikoExecute: true}, Build: {a: 1}}",
        "general: {kanikoExecute: true, manualConfirmation: false, stageConfigResource: }",
        "steps: {scan: {scan: false}, theirs: {scan: true}, kanikoExecute: }",
    ],
)
def test_a_key_that_something_acts_on_is_no_finding(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("stages: {Release: {kanikoBuild: 'true'}}", "flag-without-step"),
        ("stages: {Build: {scan: true}}", "flag-without-step"),
        ("general: {scan: true}", "flag-without-step"),
        ("steps: {scan: {scan: true}}", "flag-without-step"),
        ("stages: {Central Build: {scan: true}}", "flag-without-step"),
        ("stages: {Releas: {a: b}}", "unknown-stage"),
        ("stages: {Build: {kanikoExecut: true}}", "unknown-key"),
        ("stages: {Build: {manualConfirmation: true}}", "idle-key"),
        ("stages: {Confirm: {nodeLabel: a}}", "idle-key"),
        ("stages: {Build: {stepConditions: a}}", "idle-key"),
        ("stages: {Build: {extensionExists: true}}", "idle-key"),
        ("general: {customStashSettings: a}", "idle-key"),
        ("general: {globalExtensionsRepository: a}", "idle-key"),
        ("general: {skipCheckout: true}", "idle-key"),
    ],
)
def test_a_key_that_nothing_acts_on_is_named_with_its_line(text: str, rule: str) -> None:
    assert found(text) == [(rule, f"config.yml:1:{text.rindex('{') + 2}")] or (
        rule == "unknown-stage" and found(text) == [(rule, "config.yml:1:10")]
    )


def test_a_section_of_a_former_name_beside_todays_is_reported_elsewhere() -> None:
    assert found("stages: {Central Build: {scan: true}, Build: {kanikoExecute: true}}") == []
