"""Pure.

What a registry demands in WWW-Authenticate (RFC 9110 section 11), read leniently and in linear
time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's name for a word
_GAP = re.compile(r"[ \t,]*")
_PARAMETER = re.compile(
    rf"({_TOKEN})[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|({_TOKEN}))[ \t]*(?=,|$)"
)
_SCHEME = re.compile(rf"({_TOKEN})(?=[ \t,]|$)")
_REST = re.compile(r"[^,\"]*(?:\"(?:[^\"\\]|\\.)*(?:\"|$)[^,\"]*)*(?:,|$)")
_LONGEST = 16 * 1024


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """One way to log in: its scheme and the names of its parameters in lower case."""

    scheme: str
    parameters: Mapping[str, str]

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes that a bearer challenge names."""
        return tuple(self.parameters.get("scope", "").split())


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Every challenge of one header in its order; what cannot be read is left out."""
    text, found = header[:_LONGEST], list[tuple[str, dict[str, str]]]()
    position = _end(_GAP, text, 0)
    while position < len(text):
        if found and (parameter := _PARAMETER.match(text, position)):
            name, quoted, plain = parameter.groups()
            found[-1][1].setdefault(
                name.lower(), plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            )
            position = parameter.end()
        elif scheme := _SCHEME.match(text, position):
            found.append((scheme[1].lower(), {}))
            position = scheme.end()
        else:
            position = max(_end(_REST, text, position), position + 1)
        position = _end(_GAP, text, position)
    return tuple(Challenge(scheme=scheme, parameters=parameters) for scheme, parameters in found)


def choose(headers: Iterable[str]) -> Challenge | None:
    """The challenge to answer among those of all headers: bearer with a realm, else basic; others (Negotiate) are not for us."""
    challenges = [challenge for header in headers for challenge in parse_challenges(header)]
    bearer = (
        entry for entry in challenges if entry.scheme == "bearer" and entry.parameters.get("realm")
    )
    return next(bearer, next((entry for entry in challenges if entry.scheme == "basic"), None))


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    """Where `pattern` ends; where it does not even match, nothing more can be read."""
    match = pattern.match(text, position)
    return match.end() if match else len(text)
