"""The runtime part of the lock file, and the software bill of materials (CycloneDX 1.6, JSON)."""

# ruff: noqa: INP001 - a program beside setup.sh, not a package

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import Distribution

from tools.pyz import normal, runtime_distributions

_ENTRY = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^ ;\\]+)")


def locked(text: str, distributions: Iterable[Distribution]) -> str:
    """The part of a lock file (pip, with hashes) that names these distributions.

    Raises ValueError if one is not in the lock, or is installed in another version.
    """
    entries: dict[str, list[str]] = {}
    versions: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if entry := _ENTRY.match(line):
            name = normal(entry[1])
            versions[name] = entry[2]
        if name and line.strip():
            entries.setdefault(name, []).append(line)
    lines = []
    for found in distributions:
        name = normal(found.name)
        if versions.get(name) != found.version:
            raise ValueError(
                f"{name} {found.version} is installed, requirements.lock has"
                f" {versions.get(name, 'none')}; run make setup"
            )
        lines += entries[name]
    return "\n".join(lines) + "\n"


def bill(
    distributions: list[Distribution], *, version: str, commit: str, epoch: int
) -> dict[str, object]:
    """The bill of materials of Towline `version` with these distributions.

    Each component has its licence and what it depends on.
    """
    ours = f"pkg:pypi/towline@{version}"
    references = {normal(found.name): _reference(found) for found in distributions}
    depends = {
        _reference(found): sorted(
            references[normal(needed.name)]
            for needed in runtime_distributions(found.requires or [])
        )
        for found in distributions
    }
    components = [_component(found) for found in distributions]
    made: dict[str, object] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": ours,
                "name": "towline",
                "version": version,
                "purl": ours,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
                "properties": [{"name": "towline:commit", "value": commit}],
            },
        },
        "components": components,
        "dependencies": [
            {"ref": ours, "dependsOn": sorted(references.values())},
            *({"ref": name, "dependsOn": needed} for name, needed in depends.items()),
        ],
    }
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(made, sort_keys=True))
    return {**made, "serialNumber": f"urn:uuid:{number}"}


def _reference(found: Distribution) -> str:
    return f"pkg:pypi/{normal(found.name)}@{found.version}"


def _component(found: Distribution) -> dict[str, object]:
    return {
        "type": "library",
        "bom-ref": _reference(found),
        "name": normal(found.name),
        "version": found.version,
        "purl": _reference(found),
        "licenses": [_licence(found)],
    }


def _licence(found: Distribution) -> Mapping[str, object]:
    """The licence as the distribution's metadata states it: an SPDX expression, else a name."""
    metadata = found.metadata
    if "License-Expression" in metadata:
        return {"expression": metadata["License-Expression"]}
    classifiers = [
        entry.rpartition(" :: ")[2]
        for entry in metadata.get_all("Classifier") or []
        if entry.startswith("License :: ")
    ]
    [stated] = metadata.get_all("License") or [""]
    return {"license": {"name": stated or ", ".join(classifiers) or "unknown"}}
