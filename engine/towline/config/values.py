"""Pure.

Values of parameters: the text of a flag or variable to a value, and a value to its type.

A list or map is written as JSON, or as `a,b` and `k=v,k2=v2`; a comma in brackets or quotes does
not split. A conversion that would lose or invent something is an error (facts 1.6).
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from towline.literals import (
    EXACT_INTEGERS,
    RepeatedKey,
    WrittenDate,
    WrittenFloat,
    WrittenInteger,
    from_json,
    text_of,
    usual_spelling,
)

_SHAPES: dict[str, tuple[str, type]] = {
    "list": ("[", list),
    "map": ("{", dict),
    "object": ("{", dict),
    "objects": ("[", list),
}
_BRACKETS = re.compile(r"\[[^\[\]]*\]")
# an IPv6 address in brackets, as in host:port
_ADDRESS = re.compile(r"\[[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.%]*\]")
_PAIR = re.compile(r"((?:(?>\[[^\[\]]*\]|[^=]))*)=(.*)", re.DOTALL)
_COMMA = "\0"  # in place of a comma in brackets: no flag or variable can hold this character


def parse_text(kind: str, text: object) -> object:
    """A variable's or flag's text to the parameter's type.

    A text that is not written as a list or map stays a text, and `coerce` refuses it later.
    """
    if not isinstance(text, str) or kind not in _SHAPES:
        return text
    sign, shape = _SHAPES[kind]
    if text.strip().startswith(sign):
        try:
            data = _json(text)
        except RepeatedKey:
            return text
        if isinstance(data, shape):
            return data
        # it is meant as JSON, and splitting would change its texts
        if sign == "{" or data is not None or _is_flow(text.strip()):
            return text
    return _split(kind, text)


class RepeatedValue(ValueError):
    """A `key` of a map that was given twice, with two `values`."""

    def __init__(self, key: str, values: tuple[object, object]) -> None:
        super().__init__(key)
        self.key, self.values = key, values


def join_texts(kind: str, texts: Sequence[str]) -> object:
    """One value from the texts of a flag that was given several times.

    Lists are joined, maps are merged, and of other types the last text is taken.

    Raises RepeatedValue for a key of a map with two values.
    """
    values = [parse_text(kind, text) for text in texts]
    if all(isinstance(value, list) for value in values):
        return [item for value in values if isinstance(value, list) for item in value]
    if all(isinstance(value, dict) for value in values):
        return _merged(value for value in values if isinstance(value, dict))
    return (
        next((value for value in values if isinstance(value, str)), values[-1])
        if kind in _SHAPES
        else values[-1]
    )


def _merged(maps: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in (pair for mapping in maps for pair in mapping.items()):
        first = found.setdefault(key, value)
        if _written(first) != _written(value):
            raise RepeatedValue(key, (first, value))
    return found


def _written(value: Any) -> str:
    """A text that differs if the values differ, also for `1.10` and `1.1`, or 1 and true."""
    return (
        text_of(value)
        if isinstance(value, WrittenInteger | WrittenFloat)
        else json.dumps(value, sort_keys=True)
    )


def _json(text: str) -> Any:
    """The data of a JSON text, None if it is not JSON; raises RepeatedKey."""
    try:
        return from_json(text)
    except RepeatedKey:
        raise
    except ValueError:
        return None


def _is_flow(text: str) -> bool:
    """Whether a text that is not JSON is a list in YAML's flow style, `[a, b]`.

    That style is not read in a flag or variable.
    """
    return _BRACKETS.fullmatch(text) is not None and _ADDRESS.fullmatch(text) is None


def _split(kind: str, text: str) -> object:
    parts = _parts(text)
    if parts is None:
        return text
    if kind == "list":
        return [part for part in parts if part]
    pairs = [_PAIR.fullmatch(part) for part in parts]
    found = {key: pair[2].strip() for pair in pairs if pair and (key := pair[1].strip())}
    return found if kind == "map" and len(found) == len(pairs) else text


def _parts(text: str) -> list[str] | None:
    """The parts between commas outside of brackets and quotes; None for unbalanced quotes."""
    protected = _BRACKETS.sub(lambda found: found.group().replace(",", _COMMA), text)
    try:
        rows = list(csv.reader(protected.splitlines(), skipinitialspace=True))
    except csv.Error:
        return None
    return [part.strip().replace(_COMMA, ",") for row in rows for part in row]


def repeated_key(text: str) -> str:
    """The first key that the text of a map has twice; empty if there is none."""
    try:
        _json(text)
    except RepeatedKey as fault:
        return fault.key
    keys = [pair[1].strip() for part in _parts(text) or () if (pair := _PAIR.fullmatch(part))]
    return next((key for number, key in enumerate(keys) if key in keys[:number]), "")


EMPTY: tuple[object, ...] = (None, "", [], {})
ZERO: Mapping[str, object] = {
    "string": "",
    "boolean": False,
    "integer": 0,
    "list": [],
    "map": {},
    "object": {},
    "objects": [],
}
EXPECTED = {
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "list": "a list of texts",
    "map": "a map of texts",
    "object": "a map",
    "objects": "a list of maps",
}
HOW_TO_WRITE = {
    "string": "write one text, in quotes",
    "boolean": "write true or false",
    "integer": "write digits only",
    "list": 'write a list of texts; in a variable or flag `a,b`, or JSON: `["a", "b"]`',
    "map": 'write `key: text` lines; in a variable or flag `k=v,k2=v2`, or JSON: `{"k": "v"}`',
    "object": "write `key: value` lines; in a variable or flag JSON",
    "objects": "write a list of maps; in a variable or flag JSON",
}


def coerce(value: Any, kind: str) -> object:
    """A value to a parameter's type (facts 1.6).

    Raises ValueError if that would lose or invent something.
    """
    if kind == "list" and isinstance(value, list):
        return [_text(item) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {key: _text(item) for key, item in value.items()}
    if kind == "object" and isinstance(value, dict):
        return value
    if (
        kind == "objects"
        and isinstance(value, list)
        and all(isinstance(item, dict) for item in value)
    ):
        return value
    if kind in _SCALARS:
        return _SCALARS[kind](value)
    raise ValueError(kind)


def respelled_values(value: Any, kind: str) -> Iterator[tuple[str, str, str]]:
    """Every number or date that is read as text, and that other YAML readers would spell otherwise.

    Yields its text as written, its kind, and its text for other readers.
    """
    inner = (
        value.values()
        if kind == "map" and isinstance(value, dict)
        else value
        if kind == "list" and isinstance(value, list)
        else ()
    )
    for each in inner if kind in ("list", "map") else [value] if kind == "string" else []:
        if isinstance(each, WrittenFloat | WrittenInteger):
            yield text_of(each), "a number", usual_spelling(each)
        elif isinstance(each, WrittenDate):
            yield str(each), "a date", each.read


def _text(value: object) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, WrittenFloat | WrittenInteger):
        return value.text
    text = repr(_whole(value) if isinstance(value, float) and value.is_integer() else value)
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        raise ValueError("not a scalar with one spelling")
    return text


def _whole(number: float) -> int:
    if abs(number) >= EXACT_INTEGERS:
        raise ValueError("rounded")
    return int(number)


def _boolean(value: object) -> bool:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise ValueError("not a boolean")  # noqa: TRY004 - one type of error for all
    return value


def _integer(value: object) -> int:
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value.strip()):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return _whole(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("not a whole number")  # noqa: TRY004 - as above
    return int(value)


_SCALARS = {"string": _text, "boolean": _boolean, "integer": _integer}


def stripped(value: object) -> object:
    """Return a value of the pipeline environment without blanks around it, if it is a text."""
    return value.strip() if isinstance(value, str) else value
