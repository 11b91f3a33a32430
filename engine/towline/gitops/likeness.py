"""Pure.

Values that differ by themselves, compared by what they have in common: whether another one may be
of the same kind.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Sequence

import yaml

from towline.gitops.rendered import entries, items, plain

_WORD = re.compile(r"[A-Za-z0-9]+")
_DIGITS = re.compile(r"[0-9]+")


def reordered(one: yaml.Node | None, other: yaml.Node | None) -> bool:
    """Whether two lists, or two texts, hold the same in another order."""
    if isinstance(one, yaml.ScalarNode) and isinstance(other, yaml.ScalarNode):
        return _same_words(one.value, other.value)
    if not isinstance(one, yaml.SequenceNode) or not isinstance(other, yaml.SequenceNode):
        return False
    return plain(one) != plain(other) and held(one) == held(other)


def held(node: yaml.Node) -> Counter[object]:
    """What a list or a map holds, whatever its order."""
    return Counter(map(plain, items(node))) + Counter(
        (key, plain(value)) for key, value in entries(node).items()
    )


def fits(first: str, second: str, old: str) -> bool:
    """Whether the words that both texts have at one place stand there in the old one as well; texts that cannot be told apart so fit."""
    words, others, there = (_WORD.findall(text) for text in (first, second, old))
    if _same_words(first, second):
        return sorted(there) == sorted(words)
    if _DIGITS.sub("0", first) == _DIGITS.sub("0", second):  # a time, a number
        return _DIGITS.sub("0", old) == _DIGITS.sub("0", first)
    if not len(words) == len(others) == len(there):
        return True
    return all(
        one == known
        for one, other, known in zip(words, others, there, strict=True)
        if one == other and len(one) > 1
    )


def _same_words(one: str, other: str) -> bool:
    words, others = _WORD.findall(one), _WORD.findall(other)
    return len(words) > 1 and words != others and sorted(words) == sorted(others)


def decoded(*texts: str) -> Sequence[str]:
    """The texts as they are, or what they hold in base64 where all of them hold texts so."""
    try:
        found = [base64.b64decode(text, validate=True).decode() for text in texts]
    except (binascii.Error, ValueError):
        return texts
    return found if all(text and text.isprintable() for text in found) else texts
