"""Plans of the whole pipeline, made by the command from a configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.calls import Ending, configure, request

MAIN = {"branch": "main"}


def planned(folder: Path, configuration: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The outputs of `plan` for the library, for the productive branch unless `build` differs."""
    configure(folder, json.dumps(configuration))
    environ = fields.pop("environ", {})
    words = ["plan", *request(folder, **{"build": MAIN, **fields})]
    ending = Ending(words, folder, {"PIPER_productiveBranch": "main", **environ})
    assert ending.code == 0, ending.err
    outputs: dict[str, Any] = ending.result["outputs"]
    return outputs


def stage_of(plan: dict[str, Any], name: str) -> dict[str, Any]:
    """The plan of one stage."""
    (found,) = (stage for stage in plan["stages"] if stage["name"] == name)
    assert isinstance(found, dict)
    return found


def step_of(plan: dict[str, Any], stage: str, name: str) -> dict[str, Any]:
    """The plan of one step of a stage."""
    (found,) = (step for step in stage_of(plan, stage)["steps"] if step["name"] == name)
    assert isinstance(found, dict)
    return found
