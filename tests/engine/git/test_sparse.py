from __future__ import annotations

import pytest

from towline.git.sparse import WHOLE_TREE, Scope, scope_of


@pytest.mark.parametrize(
    ("patterns", "lists", "trees"),
    [
        (["app.yaml"], ("",), ()),
        (["./a//b/app.yaml"], ("a/b",), ()),
        (["a/b/app.yaml", "a/c.yaml"], ("a", "a/b"), ()),
        (["a/*.yaml"], (), ("a",)),
        (["a/*/values.yaml"], (), ("a",)),
        (["a/b{1,2}/c.yaml"], (), ("a",)),
        (["a/[bc]/x"], (), ("a",)),
        (["**/app.yaml"], (), ("",)),
        (
            ["charts/app/**", "out/app.yaml", "charts/values.yaml"],
            ("charts", "out"),
            ("charts/app",),
        ),
        ([], (), ("",)),
        (["../x.yaml"], (), ("",)),
        (["a\nb/x.yaml", "c.yaml"], (), ("",)),
        ([".git/*"], (), ("",)),
    ],
)
def test_paths_need_their_folder_and_globs_all_below_their_plain_part(
    patterns: list[str], lists: tuple[str, ...], trees: tuple[str, ...]
) -> None:
    assert scope_of(patterns) == Scope(lists=lists, trees=trees)


def test_the_whole_covers_everything_and_a_part_its_own() -> None:
    part = scope_of(["charts/app/**", "out/stage/app.yaml"])
    assert WHOLE_TREE.whole
    assert not part.whole
    assert WHOLE_TREE.covers("any/where")
    seen = ["x", "charts/x", "charts/app/x", "charts/app/templates/deep/x", "out/x", "out/stage/x"]
    assert [
        path for path in (*seen, "charts/apple/x", "out/stage/deep/x", "y/x") if part.covers(path)
    ] == seen


def test_levels_lead_from_the_root_to_each_folder() -> None:
    part = scope_of(["a/b/c/*.yaml", "d/e.yaml"])
    assert part.levels == ("", "a", "a/b", "a/b/c", "d")
    assert (part.depth, WHOLE_TREE.depth, scope_of(["x"]).depth) == (3, 0, 0)
