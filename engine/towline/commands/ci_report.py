"""The report of a call for the CI system that runs it: annotations, job summary, step outputs.

GitHub Actions and Azure Pipelines read commands in the log; GitHub also reads two files. Elsewhere
two variables name the same two files: TOWLINE_SUMMARY (Markdown) and TOWLINE_OUTPUTS (lines
NAME=value, as GitLab's dotenv reports have them). Sources: "Workflow commands for GitHub Actions",
"Logging commands" of Azure Pipelines, "artifacts:reports:dotenv" of GitLab.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from towline.files import append

Annotate = Callable[[str, str, str], str]
_PLACE = re.compile(r"(?P<file>[^:\s][^:]*):(?P<line>[0-9]{1,9})")
_NAME = re.compile(r"[^A-Za-z0-9_]")
_LONGEST_VALUE = 32_000  # characters: the limit of Azure and GitHub


def annotate_for(environ: Mapping[str, str]) -> Annotate | None:
    """Return the function (kind, text, place) -> line of the log; None if the system has none."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return _of_github
    return _of_azure if environ.get("TF_BUILD") else None


def report(
    environ: Mapping[str, str], result: Mapping[str, Any], mask: Callable[[str], str]
) -> list[str]:
    """Write summary and outputs of a result, masked; return the lines for the log.

    Raises MachineError if a file cannot be written.
    """
    outputs = {name: mask(value) for name, value in _outputs(result)}
    if path := environ.get("GITHUB_STEP_SUMMARY") or environ.get("TOWLINE_SUMMARY"):
        append(Path(path), mask(_summary(result)))
    if path := environ.get("GITHUB_OUTPUT"):
        append(Path(path), "".join(_of_github_output(name, outputs[name]) for name in outputs))
    elif path := environ.get("TOWLINE_OUTPUTS"):
        one_line = {name: value for name, value in outputs.items() if "\n" not in value}
        append(Path(path), "".join(f"{name}={value}\n" for name, value in one_line.items()))
    if environ.get("TF_BUILD"):
        return [
            f"##vso[task.setvariable variable={name};isOutput=true]{_escape_azure(value)}"
            for name, value in outputs.items()
        ]
    return []


def _of_github(kind: str, text: str, place: str) -> str:
    """Return GitHub's workflow command of an error or warning."""
    found = _PLACE.fullmatch(place)
    where = f" file={_escape_property(found['file'])},line={found['line']}" if found else ""
    return f"::{kind}{where}::{_escape_data(text)}"


def _of_azure(kind: str, text: str, place: str) -> str:
    """Return Azure's logging command of an error or warning."""
    found = _PLACE.fullmatch(place)
    where = (
        f";sourcepath={_escape_azure(found['file'])};linenumber={found['line']}" if found else ""
    )
    return f"##vso[task.logissue type={kind}{where}]{_escape_azure(text)}"


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")


def _escape_azure(text: str) -> str:
    escaped = text.replace("%", "%AZP25").replace("\r", "%0D").replace("\n", "%0A")
    return escaped.replace(";", "%3B").replace("]", "%5D")


def _of_github_output(name: str, value: str) -> str:
    """Return the lines of one output; the delimiter cannot be guessed, so no value can end it."""
    delimiter = f"towline-{secrets.token_hex(16)}"
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def _outputs(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return the outputs of a step by name: texts as they are, lists and objects as JSON."""
    yield "status", str(result["status"])
    yield "summary", str(result["summary"])
    for kind in ("outputs", "pipelineEnvironment"):
        for key, value in result[kind].items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            if len(text) <= _LONGEST_VALUE and key != "diff":
                yield _NAME.sub("_", key), text


def _summary(result: Mapping[str, Any]) -> str:
    """Return a section of Markdown: what the step did, where, and what to do next if it failed."""
    stage = f" in {_text(result['stage'])}" if result["stage"] else ""
    lines = [f"### {_text(result['step'] or 'towline')}{stage}: {result['status']}", ""]
    error = result["error"]
    if error:
        lines += [f"**{_text(error['message'])}**", ""]
        lines += [f"- where: {_text(error['where'])}"] * bool(error["where"])
        lines += [f"- next: {_text(error['hint'])}"] * bool(error["hint"])
        lines += [f"- category: {_text(error['category'])}", ""]
    elif result["summary"]:
        lines += [_text(result["summary"]), ""]
    lines += _table(result["outputs"])
    lines += [f"- [{_text(link['name'])}]({_url(link['target'])})" for link in result["links"]]
    return "\n".join(lines) + "\n"


def _table(outputs: Mapping[str, Any]) -> list[str]:
    """Return a table of the images that were pushed or deployed."""
    rows: list[Sequence[str]] = [
        (image["target"], image["digest"]) if "target" in image else (image["name"], image["image"])
        for image in outputs.get("images", ())
        if {"target", "digest"} <= image.keys() or {"name", "image"} <= image.keys()
    ]
    if not rows:
        return []
    cells = [f"| `{_code(first)}` | `{_code(second)}` |" for first, second in rows]
    commit = [f"- commit `{_code(outputs['commit'])}`"] if outputs.get("commit") else []
    return ["| image | is |", "|---|---|", *cells, "", *commit]


def _text(text: str) -> str:
    """Return a text of one line in which Markdown and HTML mean nothing."""
    return re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    return " ".join(text.split()).replace("`", "'").replace("|", "\\|")


def _url(text: str) -> str:
    return re.sub(r"[\s()<>]", "", text)
