"""Pure.

Numbers and dates that keep the text they were written as: where a text is due, `1.10` is 1.10, not
1.1, and `010` not 8.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from functools import partial
from typing import Any, Final, Self

# from here on a float is no longer every whole number: one with more digits was rounded when it was
# read
_EXACT: Final = 2.0**53


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


class WrittenDate(str):
    """The text of a date or time, which Piper's reader takes for one: to it, the text is `read`."""

    __slots__ = ("read",)
    read: str

    def __new__(cls, text: str, read: str = "") -> Self:
        """`text`, and what becomes of it there."""
        found = super().__new__(cls, text)
        found.read = read or text
        return found


class RepeatedKey(ValueError):
    """JSON text in which an object has the `key` twice: one of the two values would be lost without a word."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {key!r} stands twice in one object")
        self.key = key


Number = int | float
# by hand: each start of the engine would pay for the module
_FEBRUARY, _DAYS = 2, (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DATE = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})((?:[Tt]|"
    r" +)[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:\.[0-9]*)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
)


def dated(text: str) -> str:
    """The text of a plain scalar, as a date where Piper's reader takes it for one (facts 12)."""
    found = _DATE.fullmatch(text)
    year, month, day = map(int, found.groups()[:3]) if found else (0, 0, 0)
    if found is None or not (
        1 <= month <= len(_DAYS)
        and 1 <= day <= _DAYS[month - 1] + (month == _FEBRUARY and _is_leap(year))
    ):
        return text
    return WrittenDate(text, "a time" if found[4] else f"{year:04}-{month:02}-{day:02}T00:00:00Z")


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def written(value: Number, text: str) -> Number:
    """The number `value` with the `text` that it was read from, where that is not its usual spelling."""
    if spelling(value) == text:
        return value
    return WrittenFloat(value, text) if isinstance(value, float) else WrittenInteger(value, text)


def spelling(value: Number) -> str:
    """The usual spelling of a number, which is all that other readers keep of it; `1` for 1.0, as Piper prints it."""
    if isinstance(value, int):
        return str(int(value))
    return (
        str(int(value))
        if math.isfinite(value) and value.is_integer() and abs(value) < _EXACT
        else repr(float(value))
    )


def text_of(value: Number) -> str:
    """A number as it was written."""
    return value.text if isinstance(value, WrittenInteger | WrittenFloat) else spelling(value)


def from_json(text: str | bytes, *, strict: bool = True) -> Any:
    """JSON text to data whose numbers know how they were written; raises ValueError and RecursionError as `json.loads` does, and RepeatedKey."""
    return json.loads(
        text,
        strict=strict,
        parse_float=partial(_read, float),
        parse_int=partial(_read, int),
        object_pairs_hook=unique,
    )


def unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Keys and values as a map; raises RepeatedKey."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise RepeatedKey(key)
        found[key] = value
    return found


def _read(kind: type[Number], text: str) -> Number:
    return written(kind(text), text)
