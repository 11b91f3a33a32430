from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from towline.config.lint.findings import RULES, Finding, sarif

LOG_LEVELS = {"none", "note", "warning", "error"}


def check(log: Any) -> None:
    """Check what GitHub's code scanning and SARIF 2.1.0 require of a log."""
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-2.1.0.json")
    assert log["runs"]
    for run in log["runs"]:
        driver = run["tool"]["driver"]
        assert driver["name"]
        assert driver["semanticVersion"]
        names = [rule["id"] for rule in driver["rules"]]
        assert len(names) == len(set(names))
        assert all(
            rule["shortDescription"]["text"] and rule["help"]["text"] for rule in driver["rules"]
        )
        assert {rule["defaultConfiguration"]["level"] for rule in driver["rules"]} <= LOG_LEVELS
        # an empty list says that all was looked at; none would say that nothing was
        assert isinstance(run["results"], list)
        for result in run["results"]:
            assert names[result["ruleIndex"]] == result["ruleId"]
            assert result["level"] in LOG_LEVELS
            assert result["message"]["text"]
            (location,) = result["locations"]
            physical = location["physicalLocation"]
            assert not urlsplit(physical["artifactLocation"]["uri"]).scheme
            assert not physical["artifactLocation"]["uri"].startswith("/")
            assert physical["region"]["startLine"] >= 1
            assert physical["region"]["startColumn"] >= 1


def found(**others: Any) -> Finding:
    return Finding(
        **{
            "rule": "wrong-type",
            "level": "error",
            "file": ".pipeline/config.yml",
            "line": 3,
            "column": 5,
            "message": "m",
            "fix": "f",
            **others,
        }
    )


def test_a_finding_is_a_result_at_its_place() -> None:
    log: Any = sarif([found()], version="1.2.3")
    check(log)
    (result,) = log["runs"][0]["results"]
    assert (result["ruleId"], result["level"], result["message"]["text"]) == (
        "wrong-type",
        "error",
        "m (f)",
    )
    place = result["locations"][0]["physicalLocation"]
    assert place == {
        "artifactLocation": {"uri": ".pipeline/config.yml"},
        "region": {"startLine": 3, "startColumn": 5},
    }


def test_a_result_keeps_its_own_level() -> None:
    log: Any = sarif([found(level="warning")], version="1.2.3")
    assert log["runs"][0]["results"][0]["level"] == "warning"


def test_the_log_of_a_clean_configuration_has_the_rules_and_no_result() -> None:
    log: Any = sarif([], version="1.2.3")
    check(log)
    assert log["runs"][0]["results"] == []
    assert [rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]] == list(RULES)


@pytest.mark.parametrize("name", ["team defaults.yml", "ä/b#c.yml", "100%.yml"])
def test_a_file_s_name_is_quoted_as_a_uri(name: str) -> None:
    log: Any = sarif([found(file=name)], version="1.2.3")
    check(log)
    uri = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"][
        "uri"
    ]
    assert unquote(uri) == name
    assert not set(uri) & set(" #ä")


def test_a_file_outside_of_the_workspace_is_named_as_one() -> None:
    log: Any = sarif([found(file="/etc/team/defaults.yml")], version="1.2.3")
    assert (
        log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        == "file:///etc/team/defaults.yml"
    )
