"""Pure.

A value as its parameter's type has it: nothing is lost or invented on the way (facts 1.6).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from towline.written import WrittenDate, WrittenFloat, WrittenInteger, spelling, text_of

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
# from here on a float is no longer every whole number: one with more digits was rounded when it was
# read
_EXACT = 2.0**53
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
    """A value as a parameter's type has it (facts 1.6); raises ValueError where that would lose or invent something."""
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


def respelled(value: Any, kind: str) -> Iterator[tuple[str, str, str]]:
    """Every number or date where the kind of value wants a text, which other readers spell otherwise: as written, and as they do."""
    inner = (
        value.values()
        if kind == "map" and isinstance(value, dict)
        else value
        if kind == "list" and isinstance(value, list)
        else ()
    )
    for each in inner if kind in ("list", "map") else [value] if kind == "string" else []:
        if isinstance(each, WrittenFloat | WrittenInteger):
            yield text_of(each), "a number", spelling(each)
        elif isinstance(each, WrittenDate):
            yield str(each), "a date", each.read


def _text(value: object) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, WrittenFloat | WrittenInteger):
        return value.text
    text = repr(_whole(value) if isinstance(value, float) and value.is_integer() else value)
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        raise ValueError("no scalar that has one spelling")
    return text


def _whole(number: float) -> int:
    if abs(number) >= _EXACT:
        raise ValueError("rounded")
    return int(number)


def _boolean(value: object) -> bool:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise ValueError("no truth value")  # noqa: TRY004 - one type of error for every value that does not fit
    return value


def _integer(value: object) -> int:
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value.strip()):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return _whole(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("no whole number")  # noqa: TRY004 - as above
    return int(value)


_SCALARS = {"string": _text, "boolean": _boolean, "integer": _integer}
