"""Pure.

Secrets in clear text in a document: by metadata, by the form of the text, and by the key's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from towline.config.schema import as_text
from towline.record import frozen
from towline.secret import has_free_keys, has_secret_form, holds_free_words, is_secret

_PLACEHOLDER = re.compile(r"\s*(\$\(.*\)|\$\{.*\}|\{\{.*\}\}|<[^<>]*>|\*+|\$\w+)?\s*", re.DOTALL)
_PATHS = ("PrivateKey", "kubeConfig")  # the value of such a key may be the path of a file
_PATH = 60  # characters; the shortest private key has more, also without its PEM lines
_USER_INFO = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,20}://[^/@:\s]*:([^/@\s]+)@")


@frozen
class ClearText:
    """A secret: its path, the rule that finds it, and its text for masking."""

    path: tuple[str | int, ...]
    rule: str
    text: str


def clear_texts(
    content: Mapping[str, Any], *, secret: frozenset[str], plain: frozenset[str]
) -> Iterator[ClearText]:
    """Every secret in a document.

    `secret` are keys of secret parameters, `plain` keys of parameters that are not secret.
    """
    return _texts_below(content, (), _Names(secret=secret, plain=plain))


def in_clear(name: str, value: object) -> bool:
    """Whether the value of the key `name` is the secret itself.

    It is not if it is a placeholder, or the path of a file with the secret.
    """
    text = as_text(value)
    return not _PLACEHOLDER.fullmatch(text) and (
        not name.endswith(_PATHS) or len(text) > _PATH or "PRIVATE KEY" in text
    )


@frozen
class _Names:
    secret: frozenset[str]
    plain: frozenset[str]

    def rule(self, key: str, value: object, before: str) -> str:
        """The rule for the value of `key`, by the key's name; a value in a secret map is secret."""
        if before == "secret-in-clear" or (key in self.secret and is_secret(key)):
            return "secret-in-clear"
        free = key in self.plain or holds_free_words(key, value)
        return "possible-secret" if is_secret(key) and not free else ""


def _texts_below(
    value: Any, path: tuple[str | int, ...], names: _Names, rule: str = ""
) -> Iterator[ClearText]:
    if isinstance(value, dict):
        counts = bool(path) and not has_free_keys(str(path[-1]))
        for key, inner in value.items():
            yield from _texts_below(
                inner, (*path, key), names, names.rule(key, inner, rule) if counts else rule
            )
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts_below(inner, (*path, number), names, rule)
    elif isinstance(value, str) or (
        rule == "secret-in-clear" and isinstance(value, int | float) and not isinstance(value, bool)
    ):
        yield from _secrets_in(as_text(value), path, rule)


def _secrets_in(text: str, path: tuple[str | int, ...], rule: str) -> Iterator[ClearText]:
    """The secret that a text is, or contains."""
    login = _USER_INFO.search(text)
    if has_secret_form(text):
        yield ClearText(path=path, rule="secret-in-clear", text=text)
    elif login and not _PLACEHOLDER.fullmatch(login[1]):
        yield ClearText(path=path, rule="secret-in-clear", text=login[1])
    elif rule and in_clear(
        next((part for part in reversed(path) if isinstance(part, str)), ""), text
    ):
        yield ClearText(path=path, rule=rule, text=text)
