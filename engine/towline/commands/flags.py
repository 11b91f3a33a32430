"""A step's parameters as flags of a command; secrets have none."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from towline.config.schema import Parameter, StepSchema
from towline.config.text_form import joined

_VALUES = {"boolean": "true|false", "integer": "N", "list": "A,B|JSON", "map": "K=V,K=V|JSON", "object": "JSON", "objects": "JSON"}


def add_flag(group: argparse._ArgumentGroup, parameter: Parameter) -> None:
    """Add the flag of one parameter to a group of flags; one that stands without a value is true."""
    if parameter.secret:
        return  # a secret in argv is readable by every process of the machine: it comes by PIPER_<name>
    alone: dict[str, Any] = {"nargs": "?", "const": "true"} if parameter.type == "boolean" else {}
    group.add_argument(f"--{parameter.name}", metavar=_VALUES.get(parameter.type, "TEXT"), help=parameter.description.replace("%", "%%"),
                       dest=f"parameter:{parameter.name}", action="append", **alone)


def given_flags(arguments: argparse.Namespace, schema: StepSchema) -> Mapping[str, object]:
    """Flags that were given: of repeated ones all items of lists and maps, else the last one."""
    found: dict[str, object] = {}
    for parameter in schema.parameters:
        texts = getattr(arguments, f"parameter:{parameter.name}", None)
        if texts:
            found[parameter.name] = joined(parameter.type, texts)
    return found
