"""Writes the tables of docs/pipeline.md from the definition of the pipeline.

A test compares the page with the definition, so run this after each change of stages.yaml:
`.venv/bin/python tools/pipeline_docs.py`.
"""

# ruff: noqa: INP001 - a program beside setup.sh, not a package

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from towline.config.conditions import Condition
from towline.dispatch import STEPS
from towline.pipeline.definition import StageDefinition, StepDefinition, definition

PAGE = Path(__file__).resolve().parents[1] / "docs" / "pipeline.md"
BEGIN, END = "<!-- Made by tools/pipeline_docs.py from stages.yaml. -->\n", "<!-- /made -->\n"
_WHO = {
    "": "Runs in builds of the productive branch.",
    "also": "Runs in all builds.",
    "only": "Runs in builds of change requests.",
}


def tables() -> str:
    """A section for each stage: who runs it, and its steps in order with their conditions."""
    return "\n".join(_stage(stage) for stage in definition().stages)


def _stage(stage: StageDefinition) -> str:
    lines = [f"### {stage.name}", "", _WHO[stage.change_requests]]
    if stage.ordinal:
        lines.append(f"Its ordinal is {stage.ordinal}.")
    if stage.parallel:
        lines.append("Its steps run at the same time, each on an agent of its own.")
    if stage.confirms:
        lines.append("Asks a person whether the stages after it may run ([Confirm](#confirming)).")
    if stage.post:
        lines.append("Runs at the end of every build, whatever its result.")
    if stage.steps:
        lines += ["", "| step | runs | comes from |", "|---|---|---|"]
        lines += [_row(step) for step in stage.steps]
    return "\n".join(lines) + "\n"


def _row(step: StepDefinition) -> str:
    conditions = [text for text in map(_condition, step.conditions) if text]
    if not step.conditions:
        runs = "always"
    elif all(condition.kind == "stepActive" for condition in step.conditions):
        runs = f"with {', '.join(conditions[:-1])} or {conditions[-1]}"
    elif conditions:
        runs = "; or ".join(conditions)
    else:
        runs = "by its flag only"
    if step.not_active:
        runs += ", but not with " + " or ".join(map(_condition, step.not_active))
    if step.within:
        runs += f" (part of `{step.within}`, if a library has that)"
    source = "Towline" if step.name in STEPS else "another library"
    return f"| `{step.name}` | {runs} | {source}{', if it has it' if step.optional else ''} |"


def _condition(condition: Condition) -> str:
    """A condition in words; empty for `inactive`."""
    value = condition.value
    if condition.kind == "inactive":
        return ""
    if condition.kind == "all" and isinstance(value, tuple | list):
        return " and ".join(_condition(each) for each in value)
    if condition.kind == "config" and isinstance(value, Mapping):
        ((key, wanted),) = value.items()
        words = ["not set" if each in (None, "") else f"`{each}`".lower() for each in wanted]
        return f"`{key}` is {' or '.join(dict.fromkeys(words))}"
    words_of = {
        "configKey": f"`{value}` is set",
        "stageConfigKey": f"the stage sets `{value}`",
        "filePattern": f"a file matches `{value}`",
        "filePatternFromConfig": f"a file matches the value of `{value}`",
        "stepActive": f"`{value}`",
        "productiveBranch": "the productive branch is built",
    }
    return words_of[condition.kind]


def page(text: str) -> str:
    """The page with new tables."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{tables()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
