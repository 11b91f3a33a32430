from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.registry.auth import tokens
from towline.registry.auth.tokens import Grants, grants, merge_scopes, repository_of

ACTIONS = st.sampled_from(["pull", "push", "pull,push", "push,pull", "delete"])
SCOPES = st.lists(st.builds("repository:{}:{}".format, st.sampled_from("abc"), ACTIONS), max_size=6)


def test_a_scope_grants_each_of_its_actions() -> None:
    assert grants(["repository:a/b:pull,push", "registry:catalog:*"]) == {
        ("repository:a/b", "pull"),
        ("repository:a/b", "push"),
        ("registry:catalog", "*"),
    }


@pytest.mark.parametrize("name", ["app", "a/b", "library/app"])
def test_a_scope_is_about_one_repository(name: str) -> None:
    assert repository_of(f"repository:{name}:pull,push") == name


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        (
            [["repository:a:pull"], ["repository:b:pull,push"]],
            ("repository:b:pull,push", "repository:a:pull"),
        ),
        ([["repository:a:pull"], ["repository:a:pull,push"]], ("repository:a:pull,push",)),
        (
            [["repository:a:pull,push"], ["repository:a:delete"]],
            ("repository:a:pull,push", "repository:a:delete"),
        ),
        ([[], []], ()),
    ],
)
def test_lists_become_one_with_the_push_first_and_nothing_twice(
    lists: list[list[str]], expected: tuple[str, ...]
) -> None:
    assert merge_scopes(*lists) == expected


@given(SCOPES, SCOPES)
def test_one_list_grants_what_all_do(one: list[str], other: list[str]) -> None:
    both = merge_scopes(one, other)
    assert grants(both) == grants(one + other)
    assert merge_scopes(both) == both
    pushes = ["push" in scope.rpartition(":")[2] for scope in both]
    assert pushes == sorted(pushes, reverse=True)


def test_each_scope_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A project may name thousands of images: quadratic time would take hours."""
    looked: list[str] = []

    def counted(asked: Iterable[str]) -> Grants:
        looked.extend(asked)
        return grants(asked)

    monkeypatch.setattr(tokens, "grants", counted)
    many = [f"repository:app-{number}:pull" for number in range(300)]
    assert merge_scopes(many, many) == tuple(many)
    assert len(looked) == 600
