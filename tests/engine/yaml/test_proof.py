from __future__ import annotations

import pytest

from towline.yaml.marks import MappingNode, ScalarNode, SequenceNode
from towline.yaml.proof import (
    EventPatch,
    entry_inserted,
    is_proven,
    node_replaced,
    pair_removed,
    text_rewritten,
)
from towline.yaml.source import YamlSource, read_source

TEXT = "a: old\nb: [1, &x y, *x]\nc: {d: e}\n---\nz: 'q'\n"


def source(text: str = TEXT) -> YamlSource:
    return read_source("x.yaml", text.encode())


def pairs(found: YamlSource, document: int = 0) -> MappingNode:
    root = found.documents[document].root
    assert isinstance(root, MappingNode)
    return root


def test_a_scalar_may_become_the_wanted_text_in_any_style() -> None:
    found = source()
    patch = node_replaced(pairs(found).pairs[0][1], "new")
    for written in ("new", "'new'", '"new"', "|-\n  new"):
        assert is_proven(found, [patch], TEXT.replace("old", written))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("1.20", "1.20"),
        ("new", "newer"),
        ("new", "!!str new"),
        ("new", "&n new"),
        ("on", "on"),
        ("new", "[new]"),
    ],
)
def test_a_scalar_must_not_become_anything_else(value: str, written: str) -> None:
    found = source()
    assert not is_proven(
        found, [node_replaced(pairs(found).pairs[0][1], value)], TEXT.replace("old", written)
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1, ", "2, "),
        ("1, ", ""),
        ("&x y", "&z y"),
        ("*x", "x"),
        ("{d: e}", "{d: 'e'}"),
        ("'q'", "q"),
        ("z:", "w:"),
        ("---", "\n"),
        ("*x]", "*x] ]"),
        ("'q'", "{{ q"),
    ],
)
def test_whatever_else_changes_is_seen(old: str, new: str) -> None:
    found = source()
    patch = node_replaced(pairs(found).pairs[0][1], "new")
    wanted = TEXT.replace("old", "new")
    assert is_proven(found, [patch], wanted)
    assert not is_proven(found, [patch], wanted.replace(old, new))


def test_several_patches_of_several_documents_are_told_apart() -> None:
    found = source()
    first, second = (
        node_replaced(pairs(found).pairs[0][1], "q"),
        node_replaced(pairs(found, 1).pairs[0][1], "old"),
    )
    assert is_proven(found, [second, first], TEXT.replace("'q'", "'old'").replace("a: old", "a: q"))
    assert not is_proven(found, [second, first], TEXT)


def test_pairs_and_items_come_and_go() -> None:
    found = source()
    root = pairs(found)
    items = root.pairs[1][1]
    assert isinstance(items, SequenceNode)
    assert is_proven(found, [pair_removed(*root.pairs[1])], TEXT.replace("b: [1, &x y, *x]\n", ""))
    assert is_proven(
        found,
        [entry_inserted(root, 2, "more", ({"k": "v"},))],
        TEXT.replace("---", "more: [{k: v}]\n---"),
    )
    assert is_proven(found, [entry_inserted(root, -1, "more", "v")], f"more: v\n{TEXT}")
    assert is_proven(found, [entry_inserted(items, 2, "", "v")], TEXT.replace("*x]", "*x, v]"))
    assert not is_proven(found, [entry_inserted(items, 2, "", "v")], TEXT.replace("[1", "[v, 1"))


def test_a_text_that_is_no_yaml_proves_nothing() -> None:
    assert not is_proven(source(), [], TEXT + "]")
    assert not is_proven(source(), [EventPatch(first=0, last=1)], TEXT)


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ('{"a": "old"}', '{"a": "new"}', True),
        ('{"a": "old"}', "{'a': \"new\"}", False),
        ('{"a": "old"}', '{"a": "new" }', True),
        ('{"a": "old", "b": 1}', '{"a": "new", "b": 1,}', False),
        ('{"a": "old", "b": 1}', '{"a": "new", "b": 1} # c', False),
        (
            '{"a": "old", "b": [1.0, true, null, -2e5, {}]}',
            '{"a": "new",\n"b":[1.0,true,null,-2e5,{}]}',
            True,
        ),
        ('{"a": "old"}', '{"a": new}', False),
    ],
)
def test_json_is_proven_by_a_parser_of_json(before: str, after: str, *, same: bool) -> None:
    found = source(before)
    assert is_proven(found, [node_replaced(pairs(found).pairs[0][1], "new")], after) == same


def test_a_text_that_was_edited_inside_keeps_its_style_and_has_the_wanted_characters() -> None:
    before = "a: |\n  {{- if .x }}\n  b: old\n  {{- end }}\nc: 1\n"
    found = source(before)
    node = pairs(found).pairs[0][1]
    assert isinstance(node, ScalarNode)
    patch = text_rewritten(node, "{{- if .x }}\nb: new\n{{- end }}\n")
    after = before.replace("old", "new")
    assert is_proven(found, [patch, patch], after)
    assert not is_proven(found, [patch], before)
    for wrong in (
        after.replace("|", ">"),
        after.replace("new", "newer"),
        after.replace(".x", ".y"),
        after.replace("c: 1", "c: 2"),
        after.replace("|", "&x |"),
    ):
        assert not is_proven(found, [patch], wrong)
