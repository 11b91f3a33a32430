"""Pure.

The value of a plain scalar of YAML, as Piper reads it (go-yaml 3: facts/configuration.md sections
1.6 and 12).
"""

from __future__ import annotations

import re

from towline.literals import as_date, with_text


def resolve_plain(text: str) -> object:
    """The plain scalar `text` as None, bool, int, float or text (go-yaml 3, `resolve`).

    A number or date keeps how it is written (literals.py).
    """
    value = (
        _WORDS[text]
        if text in _WORDS
        else _number(text)
        if text[0].isdigit() or text[0] in ".+-"
        else text
    )
    if isinstance(value, str):
        return as_date(value)
    return value if value is None or isinstance(value, bool) else with_text(value, text)


_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_INTEGER = re.compile(
    r"([-+]?)(?:0[bB](?P<b>[01]+)|0[xX](?P<x>[0-9a-fA-F]+)"
    r"|0[oO]?(?P<o>[0-7]+)|(?P<d>0|[1-9][0-9]*))"
)
_BASES = {"b": 2, "x": 16, "o": 8, "d": 10}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def _number(text: str) -> int | float | str:
    bare = text if text.startswith(".") else text.replace("_", "")
    if len(bare) > 400:  # longer than any float, and slow to convert: text
        return text
    if integer := _INTEGER.fullmatch(bare):
        kind = integer.lastgroup or "d"
        value = int(integer.group(1) + integer.group(kind), _BASES[kind])
        if -(2**63) <= value < 2**64:
            return value
    if not _FLOAT.fullmatch(bare):
        return text
    number = float(bare)
    if number in (float("inf"), float("-inf")):
        return text
    # 0800 is not octal, so it is decimal
    return int(number) if bare.lstrip("+-").isdigit() and abs(number) < 2**53 else number
