"""Pure.

The fixed parts of a random value: those that two renderings of the same input share.

The repository's value may stand for the rendering's only if it has all fixed parts, so that the
two differ in nothing but the random ones. In doubt it may not: a new password in a commit is seen,
a lost version is not.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile

import yaml

from towline.gitops.helm.manifests import comparable, list_items, mapping_entries

_DATE = r"[0-9]{4}([-/.])[0-9]{2}\1[0-9]{2}"
_CLOCK_TIME = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?: ?(?:Z|[+-][0-9]{2}:?[0-9]{2}))?"
# Values that are random as a whole if they differ, although parts of them are the same: a time of
# the same year, a certificate with the same issuer. A long number is a time without separators.
_TIME_OR_PEM = re.compile(
    rf"(?<![0-9A-Za-z:])(?:{_DATE}(?:[T _]{_CLOCK_TIME})?|{_CLOCK_TIME})(?![0-9A-Za-z:])"
    r"|[0-9]{8,}"
    r"|(?<=-----\n)[A-Za-z0-9+/=\s]+(?=-----END )"
)
_WORD = re.compile(r"[A-Za-z0-9]+")
_WORD_OR_CHARACTER = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9]")
_PART_OF_A_WORD_AT_THE_END = re.compile(r"[A-Za-z0-9]*\Z")
# Without the characters that base64 and bcrypt may have anywhere.
_PUNCTUATION = re.compile(r"[^A-Za-z0-9+/=._-]+")

_LINE_BREAKS_AND_TABS = re.compile(r"[\t\r\n]")


def has_fixed_contents(first: yaml.Node, second: yaml.Node, old: yaml.Node) -> bool:
    """Whether a list or map has all items or entries that both renderings share.

    It must also have as many as they do, unless their number is random, too.
    """
    counts, others, old_counts = contents(first), contents(second), contents(old)
    if counts == others:
        return old_counts == counts
    if counts.total() == others.total() != old_counts.total():
        return False
    return (counts & others) <= old_counts


def has_fixed_text(first: str, second: str, old: str) -> bool:
    """Whether a text differs from both renderings in their random parts only.

    These are words, times, PEM blocks and the order of words. Texts are compared line by line.
    Between two random parts with different numbers of words in one line, as base64 has them, only
    the punctuation is compared.
    """
    first, second, old = _without_random_times(first, second, old)
    if _is_reordered_text(first, second):
        return sorted(_WORD_OR_CHARACTER.findall(old)) == sorted(_WORD_OR_CHARACTER.findall(first))
    lines, others, old_lines = (text.split("\n") for text in (first, second, old))
    if len(lines) != len(others):
        return _has_fixed_line(first, second, old)
    return len(lines) == len(old_lines) and all(
        _has_fixed_line(*line_of_each)
        for line_of_each in zip(lines, others, old_lines, strict=True)
    )


def _without_random_times(first: str, second: str, old: str) -> tuple[str, str, str]:
    """The texts without the times and PEM blocks that differ between both renderings.

    The texts as they are, if they do not have the same number of these.
    """
    values, others, old_values = (
        [match[0] for match in _TIME_OR_PEM.finditer(text)] for text in (first, second, old)
    )
    if not len(values) == len(others) == len(old_values):
        return first, second, old
    is_random = [value != other for value, other in zip(values, others, strict=True)]

    def without(text: str) -> str:
        flags = iter(is_random)
        return _TIME_OR_PEM.sub(lambda match: "0" if next(flags) else match[0], text)

    return without(first), without(second), without(old)


def _has_fixed_line(first: str, second: str, old: str) -> bool:
    """Whether a line has the start, the end, the punctuation and the words that both share."""
    if first == second:
        return old == first
    start, end = _shared_start(first, second), _shared_start(first[::-1], second[::-1])[::-1]
    if not (old.startswith(start) and old[len(start) :].endswith(end)):
        return False
    marks, other_marks, old_marks = (_PUNCTUATION.findall(text) for text in (first, second, old))
    if marks == other_marks != old_marks:
        return False
    words, others, old_words = (_WORD.findall(text) for text in (first, second, old))
    if not len(words) == len(others) == len(old_words):
        return True
    return all(
        word == old_word
        for word, other, old_word in zip(words, others, old_words, strict=True)
        if word == other
    )


def _shared_start(first: str, second: str) -> str:
    """The start that both texts share: whole words, and the punctuation after them.

    It is empty without a word: single characters of random text are equal by chance.
    """
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    start = _PART_OF_A_WORD_AT_THE_END.sub("", "".join(character for character, _ in pairs))
    return start if _WORD.search(start) else ""


def is_reordered(node: yaml.Node | None, other: yaml.Node | None) -> bool:
    """Whether two lists, or two texts, have the same items or words in another order."""
    if isinstance(node, yaml.ScalarNode) and isinstance(other, yaml.ScalarNode):
        return _is_reordered_text(node.value, other.value)
    if not isinstance(node, yaml.SequenceNode) or not isinstance(other, yaml.SequenceNode):
        return False
    return comparable(node) != comparable(other) and contents(node) == contents(other)


def _is_reordered_text(text: str, other: str) -> bool:
    words, other_words = _WORD.findall(text), _WORD.findall(other)
    return len(words) > 1 and words != other_words and sorted(words) == sorted(other_words)


def contents(node: yaml.Node) -> Counter[object]:
    """The items of a list, or the entries and the values of a map, without their order.

    The values of a map count by themselves too: their keys may be random.
    """
    found = Counter[object](map(comparable, list_items(node)))
    for key, value in mapping_entries(node).items():
        found.update(((key, comparable(value)), comparable(value)))
    return found


def decode_base64(*texts: str) -> Sequence[str]:
    """The texts, or their decoded content if all of them are base64 of printable lines."""
    try:
        found = [base64.b64decode(text, validate=True).decode() for text in texts]
    except (binascii.Error, ValueError):
        return texts
    return (
        found
        if all(text and _LINE_BREAKS_AND_TABS.sub("", text).isprintable() for text in found)
        else texts
    )
