from __future__ import annotations

import pytest
import yaml

from towline.gitops.helm.manifests import (
    Path,
    RenderedDocument,
    as_data,
    differences,
    is_equal,
    node_at,
    pair_documents,
    split_documents,
    with_values,
)


def one(text: str) -> RenderedDocument:
    return RenderedDocument(text=text)


def test_a_stream_is_cut_at_its_separators_and_nowhere_else() -> None:
    stream = (
        "# head\n---\n# Source: c/templates/a.yaml\nkind: A\nmetadata: {name: a}\ntext: |\n  ---"
        " no\n---\n# only a note\n--- # again\nkind: B\n"
    )
    found = split_documents(stream)
    assert [document.text for document in found] == [
        stream[7 : stream.index("---\n# only")],
        "--- # again\nkind: B\n",
    ]
    assert [document.shown for document in found] == ["A a (c/templates/a.yaml)", "B"]
    assert split_documents("") == split_documents("\n# nothing\n---\n") == []


def test_a_template_that_begins_with_a_separator_is_the_one_of_its_first_document() -> None:
    """Helm 4.2 prints an empty document with the template's name, then the document."""
    (found,) = split_documents("---\n# Source: c/templates/a.yaml\n---\nkind: A\n")
    assert (found.text, found.source) == ("---\nkind: A\n", "c/templates/a.yaml")


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("kind: A\na: b\n", "---\n# Source: x\nkind:   A\n\n# a note\na: b   # another\n\n\n"),
        ("a: 'x y'\n", 'a: "x y"\n'),
        ("a: {b: 1, c: [2]}\n", "a:\n  c:\n  - 2\n  b: 1\n"),
        (
            "a: |+\n  b\n\n\n",
            "a: |+\n  b\n",
        ),  # Helm 3 cuts blank lines off at the end of a document
        ("a: |\n  b\n", 'a: "b\\n"\n'),
    ],
)
def test_what_yaml_does_not_see_makes_no_difference(text: str, other: str) -> None:
    assert is_equal(one(text), one(other))


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("a: yes\n", "a: 'yes'\n"),
        ("a: 0o17\n", "a: '0o17'\n"),
        ("a: 1\n", "a: 1.0\n"),
        ("a: [1, 2]\n", "a: [2, 1]\n"),
        ("a: !x b\n", "a: b\n"),
        ("a: 1\n", "a: 1\nb: 2\n"),
        ("a: &x [1]\nb: *x\n", "a: [1]\nb: [1]\n"),
        ("a: [\n", "a: {\n"),
        ("a: |+\n  b\n\n\nc: d\n", "a: |+\n  b\nc: d\n"),
        ("a:\n", "a: ''\n"),
    ],
)
def test_what_some_reader_may_see_makes_one(text: str, other: str) -> None:
    assert not is_equal(one(text), one(other))
    assert is_equal(one(text), one(f"---\n{text}\n") if one(text).root else one(text))


def test_differences_are_the_deepest_places_that_hold_them() -> None:
    old, new = (
        yaml.compose(text, Loader=yaml.SafeLoader)
        for text in (
            "a: {b: 1, c: [x, {d: 1}]}\nl: [1]\no: [1, 2, 3]\nm: {x: 1}\n",
            "a: {b: 2, c: [x, {d: 2}]}\nl: [1, 2]\no: [3, 1, 2]\nm: {y: 1}\n",
        )
    )
    assert list(differences(old, new)) == [("a", "b"), ("a", "c", 1, "d"), ("l",), ("o",), ("m",)]
    assert as_data(node_at(old, ("a", "c", 1))) == {"d": "1"}
    assert (
        node_at(old, ("a", "c", 5))
        is node_at(old, ("a", "b", "c"))
        is node_at(old, ("nothing",))
        is None
    )


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [*x]\n",
        "a: &x {b: 1}\nc: *x\n",
        "[" * 100_000,
        "- " * 100_000,
        "{a: " * 100_000 + "}" * 100_000,
        "a: [\n",
        "a: \x01\n",
    ],
)
def test_what_could_hold_the_engine_up_or_is_no_yaml_is_a_text_alone(text: str) -> None:
    assert one(text).root is None
    assert one(text).identity.kind == ""
    assert is_equal(one(text), one(f"{text}\n"))


def test_brackets_in_texts_are_no_levels() -> None:
    assert one(f"a: '{'[' * 5000}'\nb: |\n  {'{' * 5000}\n").root is not None


def test_documents_find_their_partners_by_text_and_by_what_they_describe() -> None:
    before = split_documents(
        "kind: A\nx: 1\n---\nkind: B\nmetadata: {name: b}\nx: 1\n---\nkind: A\nx: 2\n---\nkind: C\n"
    )
    now = split_documents(
        "kind: B\nmetadata: {name: b}\nx: 2\n---\nkind: A\nx: 2\n---\nkind: A\nx: 3\n---\nkind: D\n"
    )
    found = [before.index(partner) if partner else None for partner in pair_documents(before, now)]
    assert found == [1, 2, 0, None]


def test_values_are_put_in_as_they_were_written_or_else_as_a_text() -> None:
    old = one("a: 'ä😀'\nb: |\n  one\n  two\nc: {d: 1}\n")
    new = one("😀: ü\na: x\nb: y # note\nc: {d: 2}\n")
    paths: list[Path] = [("a",), ("b",), ("c", "d")]
    wanted = {
        path: (old.text[node.start_mark.index : node.end_mark.index], node)
        for path in paths
        if (node := node_at(old.root, path))
    }
    made = with_values(new, wanted)
    assert as_data(made.root) == {"😀": "ü", "a": "ä😀", "b": "one\ntwo\n", "c": {"d": "1"}}
    assert made.text.startswith("😀: ü\na: 'ä😀'\n")
    assert (
        with_values(new, {("a",): ("", 'a"b\n'), ("no",): ("", "x")}).text
        == '😀: ü\na: "a\\"b\\n"\nb: y # note\nc: {d: 2}\n'
    )
