"""A step's parameters as flags of a command; secret parameters have no flag."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from towline.config.rules import shown_value
from towline.config.schema import Parameter, StepSchema, as_text
from towline.config.values import EMPTY, RepeatedValue, join_texts
from towline.errors import UsageError

_VALUES = {
    "boolean": "true|false",
    "integer": "N",
    "list": "A,B|JSON",
    "map": "K=V,K=V|JSON",
    "object": "JSON",
    "objects": "JSON",
}


def add_flag(group: argparse._ArgumentGroup, parameter: Parameter) -> None:
    """Add the flag of one parameter to a group; without a value it means true."""
    if parameter.secret:
        # a secret in argv is readable by every process of the machine: it comes by PIPER_<name>
        return
    alone: dict[str, Any] = {"nargs": "?", "const": "true"} if parameter.type == "boolean" else {}
    group.add_argument(
        f"--{parameter.name}",
        metavar=_VALUES.get(parameter.type, "TEXT"),
        help=_help(parameter).replace("%", "%%"),
        dest=f"parameter:{parameter.name}",
        action="append",
        **alone,
    )


def offer_values(parser: argparse.ArgumentParser, schema: StepSchema) -> None:
    """Let a shell complete known values; a run checks them with better messages than argparse."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other list
        parameter = schema.find(action.dest.removeprefix("parameter:"))
        if parameter and parameter.possible_values and action.dest.startswith("parameter:"):
            action.choices = [value for value in parameter.possible_values if value]


def secrets_of(schema: StepSchema) -> str:
    """Return the help on the parameters without a flag; "" if there are none."""
    names = [f"PIPER_{parameter.name}" for parameter in schema.parameters if parameter.secret]
    return f"Secrets come by variables alone: {', '.join(names)}." if names else ""


def _help(parameter: Parameter) -> str:
    """Return the help of a parameter: its purpose, whether it is mandatory, values and default."""
    facts = []
    needed = " and ".join(
        f"{condition.parameter} is {' or '.join(condition.values) or 'set'}"
        for condition in parameter.mandatory_if
    )
    if parameter.mandatory or needed:
        spared = f" unless {' or '.join(parameter.unless)} is set" if parameter.unless else ""
        facts.append(f"required{f' if {needed}' if needed else ''}{spared}")
    if possible := [value for value in parameter.possible_values if value]:
        facts.append(f"one of {', '.join(possible)}")
    if parameter.default not in EMPTY:
        facts.append(f"default {as_text(parameter.default)}")
    return f"{parameter.description} ({'; '.join(facts)})" if facts else parameter.description


def given_flags(arguments: argparse.Namespace, schema: StepSchema) -> Mapping[str, object]:
    """Return the flags that were given; raises UsageError for a map's key with two values.

    Repeated flags of a list or map add up; of other ones the last counts.
    """
    found: dict[str, object] = {}
    for parameter in schema.parameters:
        texts = getattr(arguments, f"parameter:{parameter.name}", None)
        if texts:
            found[parameter.name] = _joined(parameter, texts)
    return found


def _joined(parameter: Parameter, texts: Sequence[str]) -> object:
    try:
        return join_texts(parameter.type, texts)
    except RepeatedValue as fault:
        first, second = (shown_value(parameter, value) for value in fault.values)
        raise UsageError(
            f"{fault.key!r} is given twice, as {first} and as {second}",
            where=f"--{parameter.name}",
            hint="give each key once",
        ) from fault
