"""The version of a build that no library versions: of a file of the project, and of the commit.

The scheme is that of Piper for images (facts 3.4): VERSION-YYYYMMDDhhmmss-COMMIT, here by the
commit's time, so the same commit has the same version. Nothing is committed.
"""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

from towline.config.layers import unfiltered_layers
from towline.config.merge import fold_settings
from towline.config.schema import as_text
from towline.errors import ConfigError
from towline.files import Misfit, Outside, read_inside
from towline.literals import json_object
from towline.pipeline.build import PipelineView
from towline.yaml.plain_data import first_mapping, text_at

_STEP, _STAGE = "artifactPrepareVersion", "Init"
# the file with the version, by the build tool; the first that exists counts
_FILES = {
    "npm": ("package.json",),
    "yarn": ("package.json",),
    "docker": ("VERSION",),
    "kaniko": ("VERSION",),
    "golang": ("VERSION", "version.txt"),
    "pip": ("pyproject.toml", "version.txt", "VERSION"),
    "helm": ("Chart.yaml",),
    "mta": ("mta.yaml",),
}
_MOST = 1024 * 1024
_NOT_IN_TAG = re.compile(r"[^A-Za-z0-9_.-]+")
_SHORT, _LONGEST = 7, 128


def own_version(view: PipelineView, folder: Path, *, commit: str, time: str) -> tuple[str, str]:
    """Return the version, which is a valid image tag, and its source; both empty if unknown.

    `time` is the commit's, ISO 8601. Raises ConfigError for a configured file without a version.
    """
    found = fold_settings(unfiltered_layers(view.documents, (_STEP,), _STAGE))
    tool = as_text(found["buildTool"].value) if "buildTool" in found else ""
    named = found.get("filePath")
    base, file = "", ""
    for name in (as_text(named.value),) if named else _FILES.get(tool, ("VERSION",)):
        try:
            base, file = _version_in(name, read_inside(folder, name, _MOST)), name
        except (OSError, Misfit, Outside, ValueError, KeyError, TypeError):
            base = ""
        if base:
            break
        if named:
            raise ConfigError(
                f"no version can be read from {name}",
                where=named.origin,
                hint="name a file with a version: VERSION, package.json, Chart.yaml, mta.yaml or"
                " pyproject.toml",
            )
    parts = [base, _digits(time), commit[:_SHORT]]
    value = _NOT_IN_TAG.sub("-", "-".join(part for part in parts if part)).lstrip(".-")
    sources = [file, f"commit {commit[:_SHORT]}" if commit else ""]
    return value[:_LONGEST], " and ".join(source for source in sources if source)


def _version_in(name: str, data: bytes) -> str:
    """The version in a file; empty if there is none. Raises ValueError, KeyError or TypeError."""
    suffix = name.rpartition(".")[2]
    if suffix == "json":
        return as_text((json_object(data) or {})["version"])
    if suffix in ("yaml", "yml"):
        return text_at(first_mapping(data), "version")
    if suffix == "toml":
        return as_text(tomllib.loads(data.decode())["project"]["version"])
    return (data.decode().split() or [""])[0]


def _digits(time: str) -> str:
    """The time as YYYYMMDDhhmmss in UTC; empty if it is not known."""
    try:
        return datetime.fromisoformat(time).astimezone(UTC).strftime("%Y%m%d%H%M%S")
    except ValueError:
        return ""
