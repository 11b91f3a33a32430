"""Logins, the mask that replaces a secret, and the names by which a value is secret.

The names stand in `resources/towline/secret_names.txt`, which library and engine share.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from urllib.parse import unquote

from towline.files import resource_text
from towline.literals import text_of
from towline.record import field, frozen

MASK = "****"  # shown in place of a secret
PASSWORD, IDENTITY, BEARER = "password", "identity token", "registry token"


@frozen
class Login:
    """User and password for one host; its text never shows the password.

    `origin` says where they came from, for messages. `hosts`, if there are any, are the only hosts
    that may get it, whatever a server asks for (credential_hosts.py). `kind` says what the password
    is: a password (or a token used like one), an identity token that a token service exchanges, or
    a token for the registry itself.
    """

    username: str
    password: str = field(repr=False)
    origin: str
    hosts: tuple[str, ...] = ()
    kind: str = PASSWORD


# keys whose value may be the path of a file instead of its content
_OF_FILES = re.compile(r"dockerconfigjson(cpe)?|kubeconfig")
_PATH = re.compile(r"(?!\s*\{)[^\n]{1,255}")  # the content of such a file is longer, or JSON
_QUERY = re.compile(r"[?&;]([^=?&;#\s]+)=([^&;#\s\"',)<>]+)")
_ID = re.compile(r"[A-Za-z0-9_.-]+")  # `user:password` and encoded secrets have other characters
_LEFT_OUT = re.compile(r"[^a-z0-9]+")
_LOGIN = re.compile(r"://[^/\s?#:]*:([^/\s?#]+)@")  # up to the last @: a password may hold one


def is_secret(key: str) -> bool:
    """Return whether a key such as `container/repositoryPassword` names a secret."""
    name = _last(key)
    found = _within().search(name) or name in _listed("=")
    return bool(found) and not name.endswith(_listed("-"))


def is_path(key: str, text: str) -> bool:
    """Return whether the text of a key such as `dockerConfigJSON` is a path to its file instead."""
    return bool(_OF_FILES.search(_last(key)) and _PATH.fullmatch(text))


def has_secret_form(text: str) -> bool:
    """Return whether the text contains a private key, or a token of a known service."""
    return bool(_forms().search(text))


def has_free_keys(key: str) -> bool:
    """Return whether the keys of a map of this name are free words, such as `targetImages`.

    Such keys do not make their values secret.
    """
    return _last(key) in _listed("*")


def holds_free_words(key: str, value: object) -> bool:
    """Return whether the key has free words below it, and `value` is a map or a list of ids.

    Such a key does not make the value secret.
    """
    return has_free_keys(key) and (isinstance(value, dict) or _are_ids(value))


def secret_texts(values: Mapping[str, object]) -> Iterator[str]:
    """Return every secret text in `values`, at any depth.

    A text is secret by a name on the way to it, or as a part of a URL: a password or a query value.
    """
    waiting: list[tuple[object, bool, bool]] = [(dict(values), False, True)]
    seen = set[tuple[int, bool, bool]]()  # aliases of YAML repeat an object: it is visited once
    while waiting:
        value, named, keyed = waiting.pop()
        if isinstance(value, dict | list | tuple):
            if (mark := (id(value), named, keyed)) not in seen:
                seen.add(mark)
                waiting += _inner(value, named=named, keyed=keyed)
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            yield from _texts(value, named=named)


def without_secrets(values: Mapping[str, object]) -> dict[str, object]:
    """Return `values` without each entry, at any depth, that is secret.

    It is if `secret_texts` names it, or by its form.
    """
    found = _without(dict(values), named=False, keyed=True)
    return found if isinstance(found, dict) else {}


def _without(value: object, *, named: bool, keyed: bool) -> object:
    """Return the value without its secrets, None if it is one."""
    if isinstance(value, dict | list | tuple):
        inner = [
            _without(each, named=secret, keyed=counts)
            for each, secret, counts in _inner(value, named=named, keyed=keyed)
        ]
        if isinstance(value, dict):
            pairs = zip(value, inner, strict=True)
            return {key: each for key, each in pairs if each is not None}
        return [each for each in inner if each is not None]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    by_form = isinstance(value, str) and has_secret_form(value)
    return None if by_form or any(_texts(value, named=named)) else value


def _inner(
    value: dict[str, object] | Sequence[object], *, named: bool, keyed: bool
) -> Iterator[tuple[object, bool, bool]]:
    """Return the items of a map or list, with two flags each.

    The flags say whether a name has made it secret already, and whether its own keys count.
    """
    if not isinstance(value, dict):
        yield from ((item, named, True) for item in value)
        return
    for key, inner in value.items():
        free = keyed and not named and holds_free_words(str(key), inner)
        path = isinstance(inner, str) and is_path(str(key), inner)
        yield inner, named or (keyed and not free and not path and is_secret(str(key))), not free


def _texts(value: str | float, *, named: bool) -> Iterator[str]:
    if named and value != "":
        yield value if isinstance(value, str) else text_of(value)
    elif isinstance(value, str) and "://" in value:
        query_values = (text for name, text in _QUERY.findall(value) if is_secret(unquote(name)))
        for text in (*_LOGIN.findall(value), *query_values):
            yield from dict.fromkeys((text, unquote(text)))


def _are_ids(value: object) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(item, str) and _ID.fullmatch(item) for item in value
    )


def _last(key: str) -> str:
    return _LEFT_OUT.sub("", key.rpartition("/")[2].lower())


@cache
def _listed(sign: str) -> tuple[str, ...]:
    """Return the words of the list that begin with `sign`, without it; those without any for ""."""
    lines = [line.strip() for line in resource_text("secret_names.txt").splitlines()]
    words = [line for line in lines if line and not line.startswith("#")]
    return tuple(
        word.removeprefix(sign)
        for word in words
        if (word.startswith(sign) if sign else word.isalnum())
    )


@cache
def _within() -> re.Pattern[str]:
    return re.compile("|".join(_listed("")))


@cache
def _forms() -> re.Pattern[str]:
    return re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE"
        r" KEY-----|\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_[A-Za-z0-9_]{22}"
        r"|\bglpat-[A-Za-z0-9_-]{20}|\bhv[sb]\.[A-Za-z0-9_-]{24}"
        r"|\bAKIA[0-9A-Z]{16}\b|\bxox[abpr]-[A-Za-z0-9-]{10}"
    )
