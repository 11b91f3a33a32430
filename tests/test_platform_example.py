"""The files of examples/platform: Configuration as Code, and the platform team's defaults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.calls import Ending

ROOT = Path(__file__).resolve().parent.parent
PLATFORM = ROOT / "examples" / "platform"

# The structure of Configuration as Code, as far as the example uses it: keys that a mapping may
# have, each with its own structure; a list has one structure for all entries; a type is a leaf.
# Source: documentation of configuration-as-code, pipeline-groovy-lib, credentials, kubernetes.
LIBRARY = {
    "name": str,
    "defaultVersion": str,
    "implicit": bool,
    "allowVersionOverride": bool,
    "includeInChangesets": bool,
    "retriever": {
        "modernSCM": {"scm": {"git": {"id": str, "remote": str, "credentialsId": str}}},
    },
}
CREDENTIAL = {
    "usernamePassword": dict.fromkeys(("scope", "id", "description", "username", "password"), str),
    "string": dict.fromkeys(("scope", "id", "description", "secret"), str),
}
TEMPLATE = dict.fromkeys(("name", "label", "nodeUsageMode", "yamlMergeStrategy", "yaml"), str)
CLOUD = {"name": str, "namespace": str, "jenkinsUrl": str, "templates": [TEMPLATE]}
STRUCTURE: dict[str, Any] = {
    "unclassified": {"globalLibraries": {"libraries": [LIBRARY]}},
    "credentials": {"system": {"domainCredentials": [{"credentials": [CREDENTIAL]}]}},
    "jenkins": {
        "globalNodeProperties": [{"envVars": {"env": [{"key": str, "value": str}]}}],
        "clouds": [{"kubernetes": CLOUD}],
    },
    "jobs": [{"script": str}],
}


def _faults(value: object, structure: Any, place: str) -> list[str]:
    """Where `value` differs from the structure."""
    if isinstance(structure, dict):
        if not isinstance(value, dict):
            return [f"{place} is not a mapping"]
        faults = [f"{place}.{key} is not known" for key in value if key not in structure]
        for key in value.keys() & structure.keys():
            faults += _faults(value[key], structure[key], f"{place}.{key}")
        return faults
    if isinstance(structure, list):
        if not isinstance(value, list):
            return [f"{place} is not a list"]
        return [
            fault
            for number, entry in enumerate(value)
            for fault in _faults(entry, structure[0], f"{place}[{number}]")
        ]
    return [] if isinstance(value, structure) else [f"{place} is not a {structure.__name__}"]


def _configuration() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((PLATFORM / "jenkins.yaml").read_text("utf-8"))
    return loaded


def test_configuration_as_code_has_the_structure_of_its_plugins() -> None:
    assert _faults(_configuration(), STRUCTURE, "jenkins.yaml") == []


def test_a_misspelt_key_is_seen() -> None:
    broken = _configuration()
    broken["unclassified"]["globalLibraries"]["libraries"][0]["defaultVerson"] = "v1"
    assert _faults(broken, STRUCTURE, "f") == [
        "f.unclassified.globalLibraries.libraries[0].defaultVerson is not known"
    ]


def test_no_password_is_in_configuration_as_code() -> None:
    for domain in _configuration()["credentials"]["system"]["domainCredentials"]:
        for credential in domain["credentials"]:
            (fields,) = credential.values()
            for key in fields.keys() & {"password", "secret"}:
                assert re.fullmatch(r"\$\{[A-Z_]+\}", fields[key]), fields["id"]


def test_the_library_is_a_fixed_version_that_no_jenkinsfile_can_change() -> None:
    (library,) = _configuration()["unclassified"]["globalLibraries"]["libraries"]
    version = (ROOT / "resources/towline/VERSION").read_text("utf-8").strip()
    assert library["name"] == "towline"
    assert library["defaultVersion"] == f"v{version}"
    assert library["allowVersionOverride"] is False


def test_the_pod_runs_without_root() -> None:
    (cloud,) = _configuration()["jenkins"]["clouds"]
    (template,) = cloud["kubernetes"]["templates"]
    pod = yaml.safe_load(template["yaml"])
    assert pod["kind"] == "Pod"
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True


def test_each_credential_of_the_defaults_exists() -> None:
    ids = {
        fields["id"]
        for domain in _configuration()["credentials"]["system"]["domainCredentials"]
        for credential in domain["credentials"]
        for fields in credential.values()
    }
    defaults = (PLATFORM / "defaults.yml").read_text("utf-8")
    named = set(re.findall(r"CredentialsId: (\S+)", defaults))
    assert named
    assert named <= ids


def test_lint_finds_nothing_in_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ending = Ending(["lint", "--defaults", str(PLATFORM / "defaults.yml")], tmp_path)
    assert ending.code == 0, ending.out + ending.err
    assert ending.result["outputs"]["findings"] == []
