"""Pure.

Masks: secrets in a text are replaced, in every form in which they may appear.

A form is how hosts, programs and formats write a secret: quoted for URLs, as JSON, HTML, base64 at
any offset, hexadecimal, in capitals, or with its blanks and unprintable characters replaced.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from towline.secret import MASK

# characters: a secret shorter than the first is masked as a whole word only, else every line would
# be garbled; from the second length on, capitals do not matter
_SHORTEST, _LONG = 4, 8
_WIDTHS = (76, 64)  # of lines in base64: RFC 2045 and coreutils, RFC 7468 and openssl
_HTML = {
    ord("&"): "&amp;",
    ord("<"): "&lt;",
    ord(">"): "&gt;",
    ord('"'): "&quot;",
    ord("'"): "&#x27;",
}
_LOST = r"(?:\s|\?|\ufffd|[^\x21-\x7e]|\\[nrtxuU][0-9a-fA-F]{0,8}|&#x?[0-9a-fA-F]{1,6};){0,%d}"


class Masks:
    """The secrets of a run: `mask` removes from a text every secret that `hide` was given."""

    def __init__(self) -> None:
        self._exact: set[str] = set()
        self._any_case: set[str] = set()
        self._patterns: dict[str, re.Pattern[str]] = {}

    def hide(self, secret: str) -> None:
        """Mask `secret` from now on, and each of its lines with four letters or digits."""
        for text in dict.fromkeys((secret, secret.strip())):
            self._hide(text)
        lines = secret.splitlines()
        for line in lines if len(lines) > 1 else ():
            if sum(map(str.isalnum, line)) >= _SHORTEST:
                self._hide(line.strip())

    def mask(self, text: str) -> str:
        """Return `text` with a mask in place of each secret; overlapping secrets share one mask."""
        done, parts = 0, list[str]()
        for start, end in _joined(self._spans(text)):
            parts += (text[done:start], MASK)
            done = end
        return "".join((*parts, text[done:])) if parts else text

    def _hide(self, secret: str) -> None:
        if len(secret) >= _SHORTEST:
            forms = {form for form in _forms(secret) if len(form) >= _SHORTEST}
            long = {form for form in forms if len(form) >= _LONG}
            self._any_case.update(map(_small, long))
            self._exact.update(forms - long)
            # a pattern of fewer visible characters would match too much
            if _SHORTEST <= sum("!" <= sign <= "~" for sign in secret) < len(secret):
                self._patterns[secret] = re.compile(_loose(secret), re.IGNORECASE)
        elif len(secret) > 1 and any(map(str.isalnum, secret)):
            self._patterns[secret] = re.compile(rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])")

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        # Of copies: other threads may hide further secrets while this one searches.
        for forms, where in ((self._exact.copy(), text), (self._any_case.copy(), _small(text))):
            for form in forms:
                at = where.find(form)
                while at >= 0:
                    yield at, at + len(form)
                    at = where.find(form, at + 1)
        for pattern in self._patterns.copy().values():
            yield from (found.span() for found in pattern.finditer(text))


def _small(text: str) -> str:
    """Return the text in lower case with each character in its place.

    Some lower-case forms are longer than the character.
    """
    lower = text.lower()
    return (
        lower
        if len(lower) == len(text)
        else "".join(sign if len(sign.lower()) > 1 else sign.lower() for sign in text)
    )


def _joined(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Return the spans in order, with overlapping ones joined."""
    begin = end = -1
    for start, stop in sorted(spans):
        if start > end or end < 0:
            if end >= 0:
                yield begin, end
            begin, end = start, stop
        end = max(end, stop)
    if end >= 0:
        yield begin, end


def _forms(secret: str) -> Iterator[str]:
    # a variable of the environment need not be Unicode
    data = secret.encode("utf-8", "surrogatepass")
    yield from (
        secret,
        quote(data, safe=""),
        quote(data),
        quote_plus(data),
        json.dumps(secret)[1:-1],
    )
    yield from (
        json.dumps(secret, ensure_ascii=False)[1:-1],
        secret.translate(_HTML),
        data.hex(),
        *_in_base64(data),
    )


def _in_base64(data: bytes) -> Iterator[str]:
    """Return the parts of the secret's base64 text that do not depend on its neighbours.

    The first and last characters also encode the bytes beside the secret.
    """
    whole = base64.b64encode(data).decode()
    yield from (whole, whole.rstrip("="), base64.urlsafe_b64encode(data).decode().rstrip("="))
    yield from (
        line
        for written in (data, data + b"\n")
        for line in _broken(base64.b64encode(written).decode())
    )
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + data).decode().rstrip("=")
        core = encoded[(0, 2, 3)[offset] : len(encoded) - bool((offset + len(data)) % 3)]
        if len(core) >= _LONG:
            yield from (core, core.replace("+", "-").replace("/", "_"))


def _broken(encoded: str) -> Iterator[str]:
    """Return the lines into which programs break a long base64 text.

    Others may mask a log line by line.
    """
    for width in _WIDTHS:
        if len(encoded) > width:
            yield from (encoded[at : at + width] for at in range(0, len(encoded), width))


def _loose(secret: str) -> str:
    """Return a pattern for the secret that lets blanks and unprintable characters vary."""
    parts = re.split(r"([^\x21-\x7e]+)", secret)
    return "".join(
        _LOST % (4 * len(part)) if number % 2 else re.escape(part)
        for number, part in enumerate(parts)
    )
