"""`towline schema`: print the JSON Schema of `.pipeline/config.yml`, for editors."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from towline.commands.call import Call
from towline.config.json_schema import json_schema
from towline.config.metadata import all_schemas
from towline.contract import SUCCESS, Outcome
from towline.pipeline.definition import definition

SHARED = ("result", "json")


def configure(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Add nothing beyond the common flags."""


def execute(arguments: argparse.Namespace, call: Call) -> Outcome:
    """Return the schema as an output, and print it."""
    schemas = all_schemas()
    described = json_schema(
        schemas, {stage.name: [step.name for step in stage.steps] for stage in definition().stages}
    )
    if not call.requested and not arguments.json:
        call.out.write(json.dumps(described, indent=2, ensure_ascii=False) + "\n")
    return Outcome(
        status=SUCCESS,
        summary=f"the configuration of {len(schemas)} steps",
        outputs={"schema": described},
    )
