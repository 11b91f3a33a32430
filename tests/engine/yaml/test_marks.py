from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from towline.yaml import marks as yaml_marks
from towline.yaml.marks import (
    AliasNode,
    Event,
    LocatedData,
    MappingNode,
    Mark,
    Node,
    ScalarNode,
    SequenceNode,
    YamlFault,
    descendants,
    load_located,
    parse,
    parse_events,
)
from towline.yaml.plain_scalar import resolve_plain

TRICKY = """\
# head\r
a: &x !!str # why\r
  v  # tail
b: *x
"c c": ['q', "w\\n", {e: r, 😀: é}]
d: |
  one

  two
# between
e: >-
  fold
f:
- g
-
h: &e
"""


def scalars(text: str) -> list[ScalarNode]:
    return [
        node
        for document in parse(text)
        if document.root
        for node in descendants(document.root)
        if isinstance(node, ScalarNode)
    ]


def value(text: str) -> Any:
    return load_located(text).value


def fault(text: str) -> tuple[str, int, int]:
    with pytest.raises(YamlFault) as caught:
        load_located(text)
    return caught.value.problem, caught.value.line, caught.value.column


def test_what_is_not_closed_says_where_it_began() -> None:
    problem, line, column = fault("steps:\n  paint:\n    colours: [red\n  b: c\n")
    assert (line, column) == (4, 4)
    assert "a flow sequence, which begins on line 3" in problem


def source(text: str, node: Node) -> str:
    return text[node.start.index : node.end.index]


def test_every_scalar_stands_where_its_marks_say() -> None:
    assert [source(TRICKY, node) for node in scalars(TRICKY)] == [
        "a",
        "v",
        "b",
        '"c c"',
        "'q'",
        '"w\\n"',
        "e",
        "r",
        "😀",
        "é",
        "d",
        "|\n  one\n\n  two\n",
        "e",
        ">-\n  fold\n",
        "f",
        "g",
        "",
        "h",
        "",
    ]


def test_lines_and_columns_count_from_one_behind_an_anchor_and_a_comment() -> None:
    found = {node.value: (node.start.line, node.start.column) for node in scalars(TRICKY)}
    assert (found["v"], found["😀"], found["é"]) == ((3, 3), (5, 28), (5, 31))


def test_an_empty_value_stands_behind_its_colon_or_its_anchor() -> None:
    text = "a:\nb: &x\nc: !!null # none\nd: 1\n"
    assert [node.start.index for node in scalars(text) if node.value == ""] == [2, 8, 18]


def test_a_byte_order_mark_is_one_character_and_no_column() -> None:
    text = "\ufeffa: b\n"
    assert [node.start for node in scalars(text)] == [Mark(1, 1, 1), Mark(4, 1, 4)]
    assert value(text) == {"a": "b"}


@pytest.mark.parametrize("text", ["", "# only\n", "---\n", "---\n...\n", "\ufeff", "\r\n"])
def test_an_empty_document_is_null(text: str) -> None:
    assert load_located(text) == LocatedData(value=None, marks={})


def test_a_quoted_empty_text_is_a_document() -> None:
    assert value('""') == ""


def test_only_the_first_document_of_a_stream_is_loaded() -> None:
    assert value("a: 1\n---\na: [broken\n") == {"a": 1}


def test_documents_reach_from_their_dashes_to_their_end() -> None:
    text = "--- a\n...\n---\nb: [c]\n# end\n---\n"
    assert [text[found.start.index : found.end.index] for found in parse(text)] == [
        "--- a\n...",
        "---\nb: [c]",
        "---",
    ]
    assert parse(text)[2].root is None


def test_block_collections_end_with_their_last_value_and_flow_ones_with_their_bracket() -> None:
    text = "a:\n  - {b: c}  # no\n  - d\n\n# end\n"
    found = [
        source(text, node)
        for document in parse(text)
        if document.root
        for node in descendants(document.root)
        if isinstance(node, MappingNode | SequenceNode)
    ]
    assert found == ["a:\n  - {b: c}  # no\n  - d", "- {b: c}  # no\n  - d", "{b: c}"]


def test_an_alias_is_no_scalar() -> None:
    (document,) = parse("a: &x 1\nb: *x\n")
    assert isinstance(document.root, MappingNode)
    assert document.root.pairs[1][1] == AliasNode("x", Mark(11, 2, 4), Mark(13, 2, 6), 6)


@pytest.mark.parametrize(
    "text",
    [
        TRICKY,
        "\ufeff" + TRICKY,
        "- - a\n  - b\n-\n  - [c: d, {}]\n",
        "? a\n: b\n",
        "--- |+\n x\n\n\n...\n--- 'y'\n---\n",
        "a:\x85 b\u2028c: d",
    ],
)
def test_both_parsers_give_the_same_tree(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = parse(text)
    monkeypatch.setattr(yaml_marks, "_LOADER", yaml.SafeLoader)
    assert parse(text) == fast


@pytest.mark.parametrize(
    "text", ["a: [", "a: b: c", "\ta: 1", "a: 'x", "*x", "a: \x00", '"\\U00110000"', "{" * 300]
)
def test_both_parsers_refuse_with_the_fault_of_their_own(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fault(text)
    monkeypatch.setattr(yaml_marks, "_LOADER", yaml.SafeLoader)
    assert fault(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("yes", "yes"),
        ("true", True),
        ("~", None),
        ("0755", 493),
        ("1.10", 1.1),
        ("12:30:45", "12:30:45"),
        ("'12'", "12"),
        ('"true"', "true"),
        (".inf", math.inf),
    ],
)
def test_plain_scalars_mean_what_piper_takes_them_for(text: str, expected: object) -> None:
    assert value(f"k: {text}\n") == {"k": expected}


def test_not_a_number_is_a_float() -> None:
    assert math.isnan(value(".nan"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("!!str 12", "12"),
        ("!!int '5'", 5),
        ("!!float 5", 5.0),
        ("!!bool 'true'", True),
        ("!!null ''", None),
        ("!!binary aMOp", "hé"),
        ("!own 12", "12"),
        ("! 12", "12"),
        ("!!timestamp 2020-01-01", "2020-01-01"),
        ("!own [1]", [1]),
    ],
)
def test_a_tag_decides_over_the_text(text: str, expected: object) -> None:
    found = value(text)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    "text",
    [
        "!!int x",
        "!!bool yes",
        "!!null x",
        "!!float x",
        "!!int 1.5",
        "!!binary '*'",
        "!!binary /w==",
    ],
)
def test_a_value_that_contradicts_its_tag_is_a_fault(text: str) -> None:
    assert fault(f"a:\n  {text}\n")[1] == 2


def test_keys_are_text_as_written() -> None:
    assert value("1: a\ntrue: b\n~: c\nno: d\n0x10: e\n2020-01-01: f\n") == {
        "1": "a",
        "true": "b",
        "~": "c",
        "no": "d",
        "0x10": "e",
        "2020-01-01": "f",
    }


@pytest.mark.parametrize(
    "text", ["a: 1\nb: 2\n'a': 3\n", "x: {a: 1,\n\n  a: 2}", '1: a\nb:\n"1": c']
)
def test_a_key_that_stands_twice_is_a_fault_at_the_second(text: str) -> None:
    problem, line, _ = fault(text)
    assert "stands twice" in problem
    assert line == 3


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: 1\n---\nb: 2\n", (2, 1)),
        ("---\na: 1\n---\n---\nb: 2\n", (4, 1)),
        ("---\n---\nb: 2\n", (2, 1)),
        ("a: 1\n...\nb: 2\n", (3, 1)),
        ("{a: 1} {b: 2}", (1, 8)),
        ("a: 1\n--- {b\n", (3, 1)),
        ("a: 1\n---\n? [b]\n: 1\n", (2, 1)),
    ],
)
def test_where_something_stands_behind_the_first_document_is_said(
    text: str, place: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for loader in (yaml_marks._LOADER, yaml.SafeLoader):
        monkeypatch.setattr(yaml_marks, "_LOADER", loader)
        unread = yaml_marks.load_located(text).unread
        assert unread
        assert (unread.line, unread.column) == place


@pytest.mark.parametrize(
    "text",
    ["", "a: 1", "---\na: 1\n---\n", "a: 1\n...\n", "# one\n---\na: 1\n---\n# two\n", "---\n---\n"],
)
def test_nothing_stands_behind_a_first_document_that_is_followed_by_empty_ones(text: str) -> None:
    assert yaml_marks.load_located(text).unread is None


@pytest.mark.parametrize("text", ["? [a]\n: b\n", "? {a: 1}\n: b\n", "x: &x [1]\n*x : b\n"])
def test_a_collection_as_key_is_a_fault(text: str) -> None:
    assert "must be a scalar" in fault(text)[0]


def test_an_alias_repeats_what_its_nearest_anchor_holds() -> None:
    assert value("a: &x {k: [1]}\nb: *x\nc: &x 2\nd: *x\n*x : e\n") == {
        "a": {"k": [1]},
        "b": {"k": [1]},
        "c": 2,
        "d": 2,
        "2": "e",
    }


def test_expanded_aliases_are_not_shared() -> None:
    found = value("a: &x {k: 1}\nb: *x\n")
    found["b"]["k"] = 2
    assert found["a"] == {"k": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- &x {a: 1, b: 2}\n- {<<: *x, b: 3}\n", {"a": 1, "b": 3}),
        ("- &x {a: 1, b: 2}\n- {b: 3, <<: *x}\n", {"a": 1, "b": 3}),
        ("- &x {a: 1}\n- {<<: [*x, {a: 2, c: 3}]}\n", {"a": 1, "c": 3}),
        ("- &x {a: {d: 1}, <<: {e: 4}}\n- {a: 5, <<: *x}\n", {"a": 5, "e": 4}),
        ("- 0\n- {'<<': 1}\n", {"<<": 1}),
    ],
)
def test_merge_keys_add_what_is_not_there(text: str, expected: object) -> None:
    assert value(text)[1] == expected


@pytest.mark.parametrize("text", ["<<: 1\n", "<<: [1]\n", "a: &x t\nb: {<<: *x}\n"])
def test_a_merge_of_something_else_is_a_fault(text: str) -> None:
    assert "merge key" in fault(text)[0]


def test_marks_name_the_key_or_the_item_also_of_what_was_merged() -> None:
    marks = load_located("base: &b\n  k: 1\nlist:\n  - x\n  - y: 2\nuse:\n  <<: *b\n  z: 3\n").marks
    lines = {path: mark.line for path, mark in marks.items()}
    assert lines == {
        (): 1,
        ("base",): 1,
        ("base", "k"): 2,
        ("list",): 3,
        ("list", 0): 4,
        ("list", 1): 5,
        ("list", 1, "y"): 5,
        ("use",): 6,
        ("use", "k"): 2,
        ("use", "z"): 8,
    }


BOMB = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)
MERGED = "m0: &m0 {k: 1}\n" + "".join(
    f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 10)}]}}\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        MERGED,
        "&a [*a]",
        "&a {b: *a}",
        "&a {<<: *a}",
        "&a {b: {<<: *a}, c: {<<: *a}}",
        "&a {<<: [*a, *a]}",
    ],
)
def test_what_aliases_multiply_is_bounded(text: str) -> None:
    assert fault(text)[0] == "aliases expand to too many values"


def test_depth_nodes_and_size_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert value("[" * 99 + "]" * 99)
    assert fault("[" * 100_000) == ("nested deeper than 100 levels", 1, 101)
    assert fault("- " * 101)[0] == "nested deeper than 100 levels"
    monkeypatch.setattr(yaml_marks, "MAX_LOADED", 10)
    assert value("[" + "1, " * 9 + "]")
    assert fault("[" + "1, " * 10 + "]")[0] == "more than 10 keys and values"
    monkeypatch.setattr(yaml_marks, "MAX_NODES", 10)
    assert fault("[" + "1, " * 20 + "]")[0] == "more than 10 keys and values"
    monkeypatch.setattr(yaml_marks, "MAX_CHARACTERS", 10)
    assert fault("a" * 11)[0] == "longer than 10 characters"


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a: 1\nb: [1\nc: 2\n", 3, 2),
        ("a: b\n c: d\n", 2, 3),
        ("a: *x\n", 1, 4),
        ("a: 1\nb: c\x07\n", 2, 5),
    ],
)
def test_a_fault_names_line_and_column(text: str, line: int, column: int) -> None:
    assert fault(text)[1:] == (line, column)


# PyYAML dumps 1e3 unquoted
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8).filter(
    lambda text: isinstance(resolve_plain(text), str)
)
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | TEXTS
KEYS = st.text("abc: #'\"é😀-", min_size=1, max_size=4)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


def text_of(tree: object) -> object:
    if isinstance(tree, dict):
        return {key: text_of(item) for key, item in tree.items()}
    return [text_of(item) for item in tree] if isinstance(tree, list) else tree


@given(TREES, st.booleans(), st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "\ufeff"]))
def test_what_was_dumped_is_loaded_and_stands_where_its_marks_say(
    tree: object, flow: bool, newline: str, mark: str
) -> None:
    dumped = yaml.safe_dump(tree, default_flow_style=flow, allow_unicode=True, width=1000).replace(
        "\n", newline
    )
    assert value(mark + dumped) == text_of(tree)
    for node in scalars(mark + dumped):
        piece = source(mark + dumped, node)
        assert yaml.load(piece or "''", Loader=yaml.BaseLoader) == node.value


@given(st.text("a:-?[]{}&*!|>'\"%@#, \n\t\\0123456789xeE+._<~\ufeff\x85", max_size=40))
def test_any_text_loads_or_is_a_fault(text: str) -> None:
    try:
        places = [mark.index for mark in load_located(text).marks.values()] + [
            found.end.index for found in parse(text)
        ]
    except YamlFault as caught:
        places = [caught.line - 1, caught.column - 1]
    assert all(0 <= place <= len(text) for place in places)


def test_a_comment_of_many_number_signs_takes_no_time() -> None:
    with pytest.raises(YamlFault):
        load_located("a: 1\n? b " + "# " * 5000 + "\n? c\n- d\n")
    assert load_located("? a " + "# " * 5000 + "\n").value == {"a": None}


@pytest.mark.parametrize(
    "text", [TRICKY, "- - a\n  - {b: [c, &x d]}\n-\n  - *x\n---\n? {a: b}\n: |\n  c\n"]
)
def test_a_nodes_number_is_that_of_its_event_in_the_outline(text: str) -> None:
    events: list[Event] = []
    nodes = [
        node
        for document in parse(text, events)
        if document.root
        for node in descendants(document.root)
    ]
    assert events == list(parse_events(text))
    kinds = {
        ScalarNode: "scalar",
        MappingNode: "MappingStartEvent",
        SequenceNode: "SequenceStartEvent",
        AliasNode: "AliasEvent",
    }
    assert [events[node.number].kind for node in nodes] == [kinds[type(node)] for node in nodes]
    assert [events[node.number].value for node in nodes if isinstance(node, ScalarNode)] == [
        node.value for node in nodes if isinstance(node, ScalarNode)
    ]


def test_the_outline_tells_style_anchor_and_tag_and_no_position() -> None:
    assert list(parse_events("a:   'x'\n")) == list(parse_events("a: 'x' # c\n"))
    texts = ["a: x", "a: 'x'", "a: &y x", "a: !t x", "a: [x]", "a:\n- x", "a: {}", "a: *x", "a: *y"]
    assert len({tuple(parse_events(text)) for text in texts}) == len(texts)
