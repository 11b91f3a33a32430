"""Pure.

Findings as a SARIF 2.1.0 log, the form in which code hosts take them (OASIS standard; what GitHub's
code scanning needs of it).
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from towline.config.findings import RULES, Finding, Rule

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(findings: Sequence[Finding], *, version: str) -> dict[str, object]:
    """The log of one run: every rule, and a result for each finding; `version` is the program's."""
    driver = {
        "name": "Towline",
        "semanticVersion": version,
        "rules": [_rule(rule) for rule in RULES.values()],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(found) for found in findings],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: Rule) -> dict[str, object]:
    advice = f"{rule.fix[0].upper()}{rule.fix[1:]}."
    return {
        "id": rule.name,
        "shortDescription": {"text": rule.meaning},
        "help": {"text": advice},
        "defaultConfiguration": {"level": rule.level},
    }


def _result(found: Finding) -> dict[str, object]:
    place = {
        "artifactLocation": {"uri": _uri(found.file)},
        "region": {"startLine": found.line, "startColumn": found.column},
    }
    return {
        "ruleId": found.rule,
        "ruleIndex": list(RULES).index(found.rule),
        "level": found.level,
        "message": {"text": f"{found.message} ({found.fix})"},
        "locations": [{"physicalLocation": place}],
    }


def _uri(file: str) -> str:
    """A file's name as a URI reference: relative to the workspace, unless it lies outside."""
    return f"file://{quote(file)}" if file.startswith("/") else quote(file)
