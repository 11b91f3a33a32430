"""`towline explain <step> [key]`: the value of every parameter, its origin, and what it overrides.

It does not ask Vault and shows no secret.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from towline import dispatch
from towline.commands import build
from towline.commands.build import stage_of
from towline.commands.call import Call
from towline.commands.context import (
    documents,
    given,
    no_stage,
    pipeline_environment,
    tell_of_files,
    unknown_stage,
)
from towline.config.layers import Inputs, effective_settings, step_layers
from towline.config.merge import DEFAULT, PIPELINE_LAYERS, Setting
from towline.config.metadata import load_schema
from towline.config.resolve import find_faults, secrets_in_files
from towline.config.schema import Parameter, StepSchema, as_text
from towline.config.values import EMPTY, coerce
from towline.contract import SUCCESS, Outcome
from towline.errors import UsageError
from towline.printable import masked, tame_lines
from towline.record import frozen
from towline.secret import MASK, has_free_keys, holds_free_words, is_secret
from towline.suggest import nearest

STAGE = stage_of  # as for a run in the same place
_LONGEST = 300
_VALUED = ("--branch", "--change-request")


def configure(parser: argparse.ArgumentParser, words: Sequence[str]) -> str:
    """Add the step and a parameter, and return the step's own name; raises UsageError."""
    parser.add_argument(
        "step",
        metavar="STEP",
        nargs="?",
        default="",
        help="a step by any of its names, one of another library too",
    )
    parser.add_argument(
        "key",
        metavar="KEY",
        nargs="?",
        default="",
        help="one parameter, by its name or an alias; without it, all of them",
    )
    parser.add_argument(
        "--set", action="store_true", help="only the parameters that something sets"
    )
    parser.add_argument(
        "--credentials",
        action="store_true",
        help="instead: which credential goes where, by whose word; without a step, of all steps",
    )
    build.configure(parser)
    step = next(
        (
            word
            for before, word in zip(("", *words), words, strict=False)
            if not word.startswith("-") and before not in _VALUED
        ),
        "",
    )
    return load_schema(step).name if step else ""


def execute(arguments: argparse.Namespace, call: Call) -> Outcome:
    """Return every parameter, or the one asked for, as outputs, and print them.

    Settings with faults are explained too, together with the faults.
    """
    if arguments.credentials:
        explained: Outcome = dispatch.part("credentials").explain(arguments, call)
        return explained
    if not arguments.step:
        raise UsageError(
            "no step is named",
            hint=(
                f"one of {', '.join(dispatch.STEPS)}, or of another library; or ask with"
                " --credentials"
            ),
        )
    schema = load_schema(arguments.step)
    chosen = _chosen(schema, arguments.key)
    inputs = Inputs(
        stage=call.request.stage,
        documents=documents(call, arguments.config),
        pipeline_environment=pipeline_environment(call),
        environ=call.environ,
        parameters=given(call),
        flags={},
        trusted_call=not build.change_request(call, arguments.change_request),
    )
    tell_of_files(call, inputs.documents)
    if hint := unknown_stage(inputs.stage, inputs.documents):
        call.console.warn(f"nothing is configured for stage {inputs.stage!r}: {hint}")
    for secret in _secrets(schema, inputs):
        call.console.hide(secret)
    settings = effective_settings(schema, inputs)
    view = _View(schema=schema, mask=call.console.mask)
    records = [_record(parameter, settings.get(parameter.name), view) for parameter in chosen]
    faults = [view.mask(str(fault)) for fault in find_faults(schema, inputs)]
    warnings = [view.mask(warning) for warning in secrets_in_files(schema, inputs)]
    if not call.requested and not arguments.json:
        title = f"{schema.name} in stage {inputs.stage}" if inputs.stage else schema.name
        shown = [
            _lines(record) + (_about(parameter) if arguments.key else [])
            for parameter, record in zip(chosen, records, strict=True)
            if record["set"] or not arguments.set
        ]
        notes = [*_notes("faults:", faults), *_notes("warnings:", warnings)]
        if faults and (hint := no_stage(call, inputs.documents)):
            notes.append(hint)
        call.out.write(_page(title, shown, notes))
    summary = (
        f"{sum(bool(record['set']) for record in records)} of {len(records)} parameters are set"
    )
    return Outcome(
        status=SUCCESS,
        summary=summary,
        outputs={"parameters": records, "faults": faults, "warnings": warnings},
    )


def _page(title: str, parameters: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """Return the text for people: a title, the lines of each parameter, then notes."""
    lines = [line for parameter in parameters for line in parameter] or ["nothing is set"]
    return tame_lines("\n".join([title, "", *lines, *notes, ""]))


def _notes(title: str, texts: Sequence[str]) -> list[str]:
    """Return `texts` below a title and an empty line; nothing if there are none."""
    return ["", title, *texts] if texts else []


def _chosen(schema: StepSchema, key: str) -> tuple[Parameter, ...]:
    """Return all parameters, or the one with the name or alias `key`; raises UsageError."""
    if not key:
        return schema.parameters
    own = tuple(parameter for parameter in schema.parameters if parameter.name == key)
    found = own or tuple(
        parameter
        for parameter in schema.parameters
        if any(alias.name == key for alias in parameter.aliases)
    )
    if not found:
        names = [
            name
            for parameter in schema.parameters
            for name in (parameter.name, *(alias.name for alias in parameter.aliases))
        ]
        raise UsageError(f"{schema.name} has no parameter {key!r}", hint=nearest(key, names))
    return found


def _secrets(schema: StepSchema, inputs: Inputs) -> Iterator[str]:
    """Return every text of a secret parameter in any layer."""
    for layer in step_layers(schema, inputs):
        for name, setting in layer.settings.items():
            parameter = schema.find(name)
            if parameter and parameter.secret and isinstance(setting.value, str | int | float):
                yield as_text(setting.value)


@frozen
class _View:
    """How values of a step are shown: masked."""

    schema: StepSchema
    mask: Callable[[str], str]


def _record(parameter: Parameter, setting: Setting | None, view: _View) -> dict[str, Any]:
    """Return one parameter as data: its value for the step, its origin, and what it overrides.

    What it overrides is listed strongest first. Secrets are masked everywhere.
    """
    known = {
        "name": parameter.name,
        "type": parameter.type,
        "set": setting is not None and setting.layer != DEFAULT,
    }
    if setting is None:
        return {
            **known,
            "value": None,
            "layer": "",
            "origin": "",
            "alias": "",
            "trusted": True,
            "overridden": [],
        }
    return {
        **known,
        **_place(parameter, setting, view),
        "overridden": [_place(parameter, before, view) for before in reversed(setting.overridden)],
    }


def _place(parameter: Parameter, setting: Setting, view: _View) -> dict[str, object]:
    value = _taken(setting.value, parameter.type)
    if parameter.type == "objects" and not view.schema.library and isinstance(value, list):
        value = [_over(item, view.schema.over(parameter.name)) for item in value]
    shown = (
        MASK
        if parameter.secret and value not in EMPTY
        else _open(value, view.mask, named=not has_free_keys(parameter.name))
    )
    return {
        "value": shown,
        "layer": setting.layer,
        "origin": _open(setting.origin, view.mask),
        "alias": setting.alias,
        "trusted": setting.trusted,
    }


def _over(item: object, own: Mapping[str, Parameter]) -> object:
    """Return a map that overrides the step's other parameters, with the types of these."""
    if not isinstance(item, dict):
        return item
    return {
        key: _taken(inner, own[key].type) if key in own else inner for key, inner in item.items()
    }


def _taken(value: object, kind: str) -> object:
    """Return a value as the step gets it; one with a fault as it was written."""
    try:
        return coerce(value, kind)
    except ValueError:
        return value


def _open(value: object, mask: Callable[[str], str], *, named: bool = True) -> object:
    """Return a value without its secrets.

    A secret is the value of a secret parameter, user info of a URL, a whole file in JSON, or a
    value whose name in a map is secret. `named`: the keys of the map are such names.
    """
    if isinstance(value, Mapping):
        return {
            str(key): _entry(str(key), inner, mask, named=named) for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_open(item, mask) for item in value]
    if isinstance(value, str) and value.lstrip().startswith("{"):
        return MASK
    return re.sub(r"://[^/@\s]*@", f"://{MASK}@", mask(value)) if isinstance(value, str) else value


def _entry(key: str, value: object, mask: Callable[[str], str], *, named: bool) -> object:
    free = named and holds_free_words(key, value)
    is_one = named and not free and is_secret(key) and value not in EMPTY
    return MASK if is_one else _open(value, mask, named=not free)


def _lines(record: Mapping[str, Any]) -> list[str]:
    if not record["set"]:
        default = f", default {_shown(record['value'])}" if record["layer"] else ""
        return [f"{record['name']}: not set{default}"]
    over = [f"    over {_shown(below['value'])}, {_where(below)}" for below in record["overridden"]]
    return [f"{record['name']}: {_shown(record['value'])}", f"    from {_where(record)}", *over]


def _where(place: Mapping[str, Any]) -> str:
    said = place["layer"] in PIPELINE_LAYERS or place["layer"] in place["origin"]
    where = str(place["origin"]) if said else f"{place['origin']} ({place['layer']})"
    return f"{where}, as {place['alias']}" if place["alias"] else where


def _shown(value: object) -> str:
    """Return a value on one line; a text is quoted if it would not be visible otherwise."""
    plain = isinstance(value, str) and value.isprintable() and value == value.strip() and value
    text = masked(str(value) if plain else json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _about(parameter: Parameter) -> list[str]:
    """Return the description of a parameter in the metadata."""
    aliases = [
        f"{alias.name}{' (deprecated)' if alias.deprecated else ''}" for alias in parameter.aliases
    ]
    facts = {
        "type": parameter.type,
        "may stand in": ", ".join(parameter.sections),
        "possible": ", ".join(parameter.possible_values),
        "at least": "" if parameter.minimum is None else str(parameter.minimum),
        "at most": "" if parameter.maximum is None else str(parameter.maximum),
        "also as": ", ".join(aliases),
        "pipeline environment": ", ".join(
            source.pipeline_environment for source in parameter.sources
        ),
        "variable": f"PIPER_{parameter.name}",
        "Vault": (
            f"secret named by {parameter.vault.secret}, else {parameter.vault.default}"
            if parameter.vault
            else ""
        ),
        "not built yet": parameter.later,
    }
    return [
        f"    {parameter.description}",
        *(f"    {name}: {text}" for name, text in facts.items() if text),
    ]
