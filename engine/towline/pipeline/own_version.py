"""The version of a build that no library versions: of a file of the project, and of the commit.

The scheme is that of Piper for images (facts 3.4): VERSION-YYYYMMDDhhmmss-COMMIT, here by the
commit's time, so the same commit has the same version. Nothing is committed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from towline.config.merge import Setting
from towline.config.schema import as_text
from towline.errors import ConfigError
from towline.files import Misfit, Outside, read_inside
from towline.pipeline.build import PipelineView
from towline.pipeline.definition import StageDefinition, StepDefinition
from towline.pipeline.step_decisions import BUILD_TOOL, step_config
from towline.pipeline.version_files import version_in

_STEP, _STAGE = "artifactPrepareVersion", "Init"
# the files with the version, by the build tool; the first that has one counts
_FILES = {
    "maven": ("pom.xml",),
    "npm": ("package.json",),
    "yarn": ("package.json",),
    "mta": ("mta.yaml",),
    "docker": ("VERSION",),
    "kaniko": ("VERSION",),
    "golang": ("version.txt", "VERSION"),
    "pip": ("pyproject.toml", "setup.py", "version.txt", "VERSION"),
    "gradle": ("gradle.properties",),
    "helm": ("Chart.yaml",),
    "dub": ("dub.json",),
    "sbt": ("sbtDescriptor.json", "build.sbt"),
}
_LARGEST = 1024 * 1024
_NOT_IN_TAG = re.compile(r"[^A-Za-z0-9_.-]+")
_SHORT, _LONGEST = 7, 128


def own_version(view: PipelineView, folder: Path, *, commit: str, time: str) -> tuple[str, str]:
    """Return the version, which is a valid image tag, and its source; both empty if unknown.

    `time` is the commit's, ISO 8601. Raises ConfigError for a configured file without a version,
    if no build tool is set by which artifactPrepareVersion of a library may read it.
    """
    stage = StageDefinition(name=_STAGE, change_requests="", steps=())
    config = step_config(view, stage, StepDefinition(name=_STEP))
    tool, named = _text(config, BUILD_TOOL), _text(config, "filePath")
    base, file = "", ""
    for name in (named,) if named else _FILES.get(tool, ("VERSION",)):
        base, file = _version_of(folder, name, config), name
        if base:
            break
    if named and not base and not tool:
        raise ConfigError(
            f"no version can be read from {named}",
            where=config["filePath"].origin,
            hint="name a file with a version, such as VERSION, pom.xml or package.json, and its"
            " field by customVersionField",
        )
    library = base and _text(config, "versioningType") == "library"
    end = "" if library else "-".join(filter(None, (_digits(time), commit[:_SHORT])))
    # the end tells commits apart, so a long version of the file loses its own end
    base = _NOT_IN_TAG.sub("-", base).lstrip(".-")[: _LONGEST - len(end) - 1].rstrip(".-")
    sources = [file if base else "", f"commit {commit[:_SHORT]}" if commit and not library else ""]
    value = "-".join(part for part in (base, end) if part)
    return value, " and ".join(source for source in sources if source)


def _version_of(folder: Path, name: str, config: Mapping[str, Setting]) -> str:
    """The version in a file of the project; empty if it has none or cannot be read."""
    try:
        text = read_inside(folder, name, _LARGEST).decode("utf-8-sig")
    except (OSError, Misfit, Outside, ValueError):
        return ""
    field, section = _text(config, "customVersionField"), _text(config, "customVersionSection")
    return version_in(name, text, field=field, section=section)


def _text(config: Mapping[str, Setting], key: str) -> str:
    return as_text(config[key].value) if key in config else ""


def _digits(time: str) -> str:
    """The time as YYYYMMDDhhmmss in UTC; empty if it is not known."""
    try:
        return datetime.fromisoformat(time).astimezone(UTC).strftime("%Y%m%d%H%M%S")
    except ValueError:
        return ""
