"""Pure.

JSON, numbers and dates as they were written.

A number keeps its text for parameters that are texts: `1.10` is 1.10, not 1.1, and `010` is not 8.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from functools import partial
from typing import Any, Final, Self

# From here on floats skip whole numbers: one with more digits was rounded when it was read.
EXACT_INTEGERS: Final = 2.0**53


class WrittenInteger(int):
    """An integer whose `text` differs from Python's own spelling."""

    text: str

    def __new__(cls, value: int, text: str = "") -> Self:
        """`value`, written as `text`."""
        number = super().__new__(cls, value)
        number.text = text or str(value)
        return number


class WrittenFloat(float):
    """A float whose `text` differs from Python's own spelling."""

    text: str

    def __new__(cls, value: float, text: str = "") -> Self:
        """`value`, written as `text`."""
        number = super().__new__(cls, value)
        number.text = text or repr(value)
        return number


class WrittenDate(str):
    """A text that Piper's reader takes for a date or time, and which it turns into `read`."""

    __slots__ = ("read",)
    read: str

    def __new__(cls, text: str, read: str = "") -> Self:
        """`text`, and the text that Piper makes of it."""
        date = super().__new__(cls, text)
        date.read = read or text
        return date


Number = int | float
# by hand: each start of the engine would pay for the module `datetime`
_FEBRUARY, _DAYS = 2, (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DATE = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})((?:[Tt]|"
    r" +)[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:\.[0-9]*)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
)


def as_date(text: str) -> str:
    """A plain scalar's text, as a WrittenDate if Piper's reader takes it for a date (facts 12)."""
    match = _DATE.fullmatch(text)
    if match is None:
        return text
    year, month, day = map(int, match.groups()[:3])
    if not 1 <= month <= len(_DAYS) or not 1 <= day <= _days(year, month):
        return text
    return WrittenDate(text, "a time" if match[4] else f"{year:04}-{month:02}-{day:02}T00:00:00Z")


def _days(year: int, month: int) -> int:
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return _DAYS[month - 1] + (month == _FEBRUARY and is_leap)


def with_text(value: Number, text: str) -> Number:
    """The number `value`, with the `text` that it was read from unless that is its spelling."""
    if usual_spelling(value) == text:
        return value
    return WrittenFloat(value, text) if isinstance(value, float) else WrittenInteger(value, text)


def usual_spelling(value: Number) -> str:
    """The usual spelling of a number, which is all that other readers keep of it.

    It is `1` for 1.0, as Piper prints it.
    """
    if isinstance(value, int):
        return str(int(value))
    is_exact = math.isfinite(value) and value.is_integer() and abs(value) < EXACT_INTEGERS
    return str(int(value)) if is_exact else repr(float(value))


def text_of(value: Number) -> str:
    """A number as it was written."""
    return value.text if isinstance(value, WrittenInteger | WrittenFloat) else usual_spelling(value)


# ---- JSON


class RepeatedKey(ValueError):
    """JSON in which an object has the `key` twice: one of the two values would be lost."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {key!r} stands twice in one object")
        self.key = key


def load_json(text: str | bytes, **hooks: Any) -> Any:
    """JSON text to data; raises ValueError if it is not JSON, also if it is nested too deeply.

    `hooks` are arguments of `json.loads`.
    """
    try:
        return json.loads(text, **hooks)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def json_value(text: str | bytes) -> Any:
    """JSON text to data; None if it is not JSON."""
    try:
        return load_json(text)
    except ValueError:
        return None


def json_object(text: str | bytes) -> dict[str, Any] | None:
    """The object in a JSON text; None if the text is not JSON or not an object."""
    data = json_value(text)
    return data if isinstance(data, dict) else None


def from_json(text: str | bytes, *, strict: bool = True) -> Any:
    """JSON text to data whose numbers know how they were written.

    Raises ValueError as `load_json` does, and RepeatedKey.
    """
    return load_json(
        text,
        strict=strict,
        parse_float=partial(_number, float),
        parse_int=partial(_number, int),
        object_pairs_hook=unique_keys,
    )


def unique_keys(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Keys and values as a map; raises RepeatedKey."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise RepeatedKey(key)
        found[key] = value
    return found


def _number(kind: type[Number], text: str) -> Number:
    return with_text(kind(text), text)
