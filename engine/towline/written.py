"""Pure. Numbers that keep the text they were written as: where a text is due, `1.10` is 1.10, not 1.1, and `010` not 8."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import Any, Final, Self

_EXACT: Final = 2.0**53  # from here on a float is no longer every whole number: one with more digits was rounded when it was read


class WrittenInteger(int):
    """An integer whose `text` is not the one that Python writes."""

    text: str

    def __new__(cls, value: int, text: str = "") -> Self:
        """`value`, written as `text`."""
        found = super().__new__(cls, value)
        found.text = text or str(value)
        return found


class WrittenFloat(float):
    """A float whose `text` is not the one that Python writes."""

    text: str

    def __new__(cls, value: float, text: str = "") -> Self:
        """`value`, written as `text`."""
        found = super().__new__(cls, value)
        found.text = text or repr(value)
        return found


Number = int | float


def written(value: Number, text: str) -> Number:
    """The number `value` with the `text` that it was read from, where that is not its usual spelling."""
    if spelling(value) == text:
        return value
    return WrittenFloat(value, text) if isinstance(value, float) else WrittenInteger(value, text)


def spelling(value: Number) -> str:
    """The usual spelling of a number, which is all that other readers keep of it; `1` for 1.0, as Piper prints it."""
    if isinstance(value, int):
        return str(int(value))
    return str(int(value)) if math.isfinite(value) and value.is_integer() and abs(value) < _EXACT else repr(float(value))


def text_of(value: Number) -> str:
    """A number as it was written."""
    return value.text if isinstance(value, WrittenInteger | WrittenFloat) else spelling(value)


def from_json(text: str | bytes, *, strict: bool = True) -> Any:
    """JSON text to data whose numbers know how they were written; raises ValueError and RecursionError as `json.loads` does."""
    return json.loads(text, strict=strict, parse_float=partial(_read, float), parse_int=partial(_read, int))


def _read(kind: type[Number], text: str) -> Number:
    return written(kind(text), text)
