"""Pure.

Scopes of registry tokens, `repository:<name>:<action>,<action>`
(distribution/docs/spec/auth/scope.md): what they grant, and one list of several.
"""

from __future__ import annotations

from collections.abc import Iterable

Grants = frozenset[tuple[str, str]]


def grants(scopes: Iterable[str]) -> Grants:
    """Every (resource, action) that the scopes name."""
    return frozenset(
        (scope.rpartition(":")[0], action)
        for scope in scopes
        for action in scope.rpartition(":")[2].split(",")
    )


def repository_of(scope: str) -> str:
    """The repository that a scope is about."""
    return scope.partition(":")[2].rpartition(":")[0]


def merged(*lists: Iterable[str]) -> tuple[str, ...]:
    """The scopes of all lists in their order, without those that the ones before them grant; those that push stand first.

    Some token services look at the first scope only (facts 3.1).
    """
    kept: list[str] = []
    granted: set[tuple[str, str]] = set()
    for scope in sorted((scope for scopes in lists for scope in scopes), key=_does_not_push):
        if not (own := grants([scope])) <= granted:
            kept.append(scope)
            granted |= own
    return tuple(kept)


def _does_not_push(scope: str) -> bool:
    return "push" not in scope.rpartition(":")[2].split(",")
