from __future__ import annotations

import pytest

from towline.errors import RenderError
from towline.yaml.edit import ValueEdit, edit
from towline.yaml.source import read_source


def edited(text: str, *edits: ValueEdit) -> str:
    return edit(read_source("x.yaml", text.encode()), edits).decode()


def put(text: str, path: str, value: str, after: str = "") -> str:
    return edited(text, ValueEdit(path=tuple(path.split(".")), value=value, after=after))


def remove(text: str, path: str) -> str:
    return edited(text, ValueEdit(path=tuple(path.split(".")), value=None))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: old # c\n", "a: new # c\n"),
        ("a: 'old'\t# c\n", "a: 'new'\t# c\n"),
        ('"a": "o\\u006cd"', '"a": "new"'),
        ("a:\n", "a: new\n"),
        ("a:   # c\n", "a: new   # c\n"),
        ("a: &x # c\n", "a: &x new # c\n"),
        ("a: !!str old\n", "a: !!str new\n"),
        ("a: ~\n", "a: new\n"),
        ("{a: old, b: c}", "{a: new, b: c}"),
        ("{a: , b: c}", "{a: new , b: c}"),
        ("{a: }", "{a: new }"),
        ('{"a":"old"}', '{"a":"new"}'),
        ("a: old\n  text\nb: c\n", "a: new\nb: c\n"),
        ("a: |\n  old\n\n# c\nb: c\n", "a: |-\n  new\n\n# c\nb: c\n"),
        ("? a\n: old\n", "? a\n: new\n"),
        ("a:\told\r\n", "a:\tnew\r\n"),
        ("a:\n  old # c\n", "a:\n  new # c\n"),
    ],
)
def test_a_value_is_replaced_where_and_as_it_stands(text: str, expected: str) -> None:
    assert put(text, "a", "new") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1.19\n", 'a: "1.20"\n'),
        ("a: 1.20\n", 'a: "1.20"\n'),
        ("a: '1.20'\n", "a: '1.20'\n"),
        ("a: !!str 1.20", "a: !!str 1.20"),
    ],
)
def test_a_number_becomes_text_and_text_that_holds_stays(text: str, expected: str) -> None:
    assert put(text, "a", "1.20") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1 # c\n# own\nb: 2\n", "a: 1 # c\nk: new\n# own\nb: 2\n"),
        ("a: 1", "a: 1\nk: new"),
        ("a: 1\r\nb: 2\r\n", "a: 1\r\nk: new\r\nb: 2\r\n"),
        ("a: |\n  x\nb: 2\n", "a: |\n  x\nk: new\nb: 2\n"),
        ("a: {x: [1,\n  2]} # c\nb: 2\n", "a: {x: [1,\n  2]} # c\nk: new\nb: 2\n"),
        ("a:\n- x\n- y: z\nb: 2\n", "a:\n- x\n- y: z\nk: new\nb: 2\n"),
        ("  a: 1\n  b: 2\n", "  a: 1\n  k: new\n  b: 2\n"),
        ("{a: 1, b: 2}\n", "{a: 1, k: new, b: 2}\n"),
        ("{a: 1,\n b: 2\n}\n", "{a: 1,\n k: new,\n b: 2\n}\n"),
        ("{a: 1, # c\n b: 2\n}\n", "{a: 1, k: new, # c\n b: 2\n}\n"),
        ("{}\n", "{k: new}\n"),
        ("a: 1\n...\n", "a: 1\nk: new\n...\n"),
        ("---\nb: 1 # c\n---\na: x\n", "---\nb: 1 # c\nk: new\n---\na: x\n"),
    ],
)
def test_a_missing_key_is_inserted_with_its_siblings_indentation(text: str, expected: str) -> None:
    assert put(text, "k", "new", after="a") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nd: 2 # c\n# own\nb: 3\n", "a: 1\n# own\nb: 3\n"),
        ("a: 1\nd: 2", "a: 1"),
        ("a: 1\r\nd: 2", "a: 1"),
        ("a: 1\nd: 2\n", "a: 1\n"),
        ("\ufeffd: 2\na: 1\n", "\ufeffa: 1\n"),
        ("a: 1\nd: |\n  x\n\nb: 2\n", "a: 1\nb: 2\n"),
        ("a: 1\nd:\n  x: {y: [1,\n 2]} # c\nb: 2\n", "a: 1\nb: 2\n"),
        ("a: 1\nd:\nb: 2\n", "a: 1\nb: 2\n"),
        ("{a: 1, d: 2, b: 3}", "{a: 1, b: 3}"),
        ("{a: 1, d: 2}", "{a: 1}"),
        ("{d: 2}", "{}"),
        ("{d: 2, b: 3}", "{b: 3}"),
        ("{\n  a: 1,\n  d: 2,\n  b: 3\n}", "{\n  a: 1,\n  b: 3\n}"),
        ("{a: 1, # own\n  d: 2, b: 3}", "{a: 1, # own\n  b: 3}"),
        ("a: 1\n", "a: 1\n"),
    ],
)
def test_a_key_is_removed_with_its_lines(text: str, expected: str) -> None:
    assert remove(text, "d") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- d: 1 # c\n  a: 2\n", "- a: 2\n"),
        ("- d: 1\n  # own\n  a: 2\n", "-\n  # own\n  a: 2\n"),
        ("- - d: |\n      x\n    a: 2\n", "- - a: 2\n"),
    ],
)
def test_the_first_key_of_an_entry_leaves_its_dash_to_the_next(text: str, expected: str) -> None:
    path = (0, 0, "d") if text.startswith("- -") else (0, "d")
    assert edited(text, ValueEdit(path=path, value=None)) == expected


@pytest.mark.parametrize(
    "text", ["- d: 1\n", "d: 1\n", "? d\n: 1\na: 2\n", "&x d: 1\na: 2\n", "{a: 1, # own\n d: 2}"]
)
def test_a_key_that_cannot_be_removed_alone_is_refused(text: str) -> None:
    with pytest.raises(RenderError):
        edited(text, ValueEdit(path=(0, "d") if text.startswith("-") else ("d",), value=None))


ENTRY = {"name": "m", "newTag": "1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\n", 'a: 1\nl:\n- name: m\n  newTag: "1"\n'),
        ("a:\n    - 1", 'a:\n    - 1\nl:\n    - name: m\n      newTag: "1"'),
        ("l: # c\nb: 1\n", 'l: # c\n- name: m\n  newTag: "1"\nb: 1\n'),
        ("a:\n  - 1\nl:\nb: 1\n", 'a:\n  - 1\nl:\n  - name: m\n    newTag: "1"\nb: 1\n'),
        ("l: ~ # c\n", 'l: [{name: m, newTag: "1"}] # c\n'),
        ("{a: 1}", '{a: 1, l: [{name: m, newTag: "1"}]}'),
        ("{l: }", '{l: [{name: m, newTag: "1"}] }'),
    ],
)
def test_a_missing_list_is_written_in_the_files_own_style(text: str, expected: str) -> None:
    assert edited(text, ValueEdit(path=("l",), value=(ENTRY,))) == expected


@pytest.mark.parametrize(
    ("text", "number", "expected"),
    [
        ("l:\n- a # c\n# own\nb: 1\n", 1, 'l:\n- a # c\n- name: m\n  newTag: "1"\n# own\nb: 1\n'),
        (
            "l:\n  -   a: |\n        x\n",
            1,
            'l:\n  -   a: |\n        x\n  -   name: m\n      newTag: "1"\n',
        ),
        ("l: [] # c", 0, 'l: [{name: m, newTag: "1"}] # c'),
        ("l: [a, {b: c}]\n", 2, 'l: [a, {b: c}, {name: m, newTag: "1"}]\n'),
    ],
)
def test_an_entry_is_appended_as_the_others_stand(text: str, number: int, expected: str) -> None:
    assert edited(text, ValueEdit(path=("l", number), value=ENTRY)) == expected


def test_a_text_and_a_mapping_can_be_added_too() -> None:
    assert edited("l:\n- a\n", ValueEdit(path=("l", 1), value="1.20")) == 'l:\n- a\n- "1.20"\n'
    assert (
        edited("a: 1\n", ValueEdit(path=("m",), value={"on": "b c"})) == 'a: 1\nm:\n  "on": b c\n'
    )


@pytest.mark.parametrize("text", ["l: x\n", "l: [x]\n", "l: ''\n", "l: &x\n", "l: {}\n"])
def test_a_list_does_not_take_the_place_of_something_else(text: str) -> None:
    with pytest.raises(RenderError, match="has a value already"):
        edited(text, ValueEdit(path=("l",), value=(ENTRY,)))


@pytest.mark.parametrize(
    ("text", "where"),
    [("a: {b: c}\n", "x.yaml:1:4"), ("a:\n  - b\n", "x.yaml:2:3"), ("a: !!int 5\n", "x.yaml:1:10")],
)
def test_a_text_does_not_take_the_place_of_something_else(text: str, where: str) -> None:
    with pytest.raises(RenderError, match="is not a text") as caught:
        put(text, "a", "new")
    assert caught.value.where == where


@pytest.mark.parametrize(
    "text", ["a: {{ .x }}\n", "a: 'b{{ .x }}'\n", "a:\n  {{ .x }}\nb: 1\n", "a: {{ .x }}{{ .y }}\n"]
)
def test_a_template_is_not_written_over(text: str) -> None:
    with pytest.raises(RenderError, match="template"):
        put(text, "a", "new")
