from __future__ import annotations

from typing import Any

import pytest

from tests.engine.gitops.yaml_files import written
from towline.errors import RenderError
from towline.gitops.helm_values import PathValues
from towline.gitops.kubectl import ContainerImage
from towline.yaml import documents as module
from towline.yaml.documents import YamlDocuments
from towline.yaml.edit import ValueEdit, edit
from towline.yaml.marks import (
    DocumentNode,
    Event,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    YamlLimits,
    descendants,
    parse,
)
from towline.yaml.proof import is_proven, node_replaced
from towline.yaml.source import read_source

STREAM = """\
\ufeff# head
a: |
  text
  ---x
--- # one
b: [1, &x 2, *x]
---
# nothing
---
- c: |-
    deep
- d
...
---
e: 'f' # last"""


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat every file as a large one."""
    monkeypatch.setattr(module, "LARGE_FILE", 0)


def told(found: YamlDocuments) -> list[tuple[object, ...]]:
    """The content of documents, without the numbers of their events."""
    return [
        (
            (one.start, one.end, *(_node(node) for node in descendants(one.root)))
            if one.root
            else (one.start, one.end)
        )
        for one in found
    ]


def _node(node: Node) -> tuple[object, ...]:
    anchor = node.anchor if isinstance(node, ScalarNode | MappingNode | SequenceNode) else node.name
    return (
        type(node),
        node.start,
        node.end,
        node.value if isinstance(node, ScalarNode) else "",
        anchor,
    )


def test_a_large_file_is_read_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = told(YamlDocuments("x.yaml", STREAM))
    monkeypatch.setattr(module, "LARGE_FILE", 0)
    parts = YamlDocuments("x.yaml", STREAM)
    assert len(parts.starts) == 5
    assert told(parts) == usual
    assert [len(parts), len(usual)] == [5, 5]
    with pytest.raises(IndexError):
        _ = parts[5]


@pytest.mark.parametrize("seed", range(60))
def test_so_is_one_that_dice_have_written_and_edited_alike(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = written(seed).decode().replace("\r\n", "\n").replace("\ufeff", "")
    data = "\n".join([begun, "---", "z: old", "---", "y: *x" if seed % 9 == 0 else "y: 1"]).encode()

    def outcome() -> object:
        try:
            source = read_source("x.yaml", data)
            last = len(source.documents) - 2
            return told(source.documents), edit(
                source,
                [
                    ValueEdit(document=last, path=("z",), value="new"),
                    ValueEdit(document=last, path=("k",), value="v"),
                ],
            )
        except RenderError as fault:
            return fault.message, fault.where

    usual = outcome()
    monkeypatch.setattr(module, "LARGE_FILE", 0)
    assert outcome() == usual


@pytest.mark.usefixtures("large")
def test_one_part_at_a_time_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[DocumentNode] = []
    parsed: list[int] = []

    def counting(
        text: str, events: list[Event] | None = None, **options: Any
    ) -> tuple[DocumentNode, ...]:
        parsed.append(len(text))
        return parse(text, events, **options)

    monkeypatch.setattr(module, "parse", counting)
    found = read_source(
        "x.yaml", "".join(f"---\na{number}: x\n" for number in range(50)).encode()
    ).documents
    assert parsed == []
    alive += [found[7], found[7], found[8]]
    assert len(parsed) == 2
    assert alive[0] is alive[1]


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: 1\n---\nb: [1\nc: 2\n---\nd: 1\n", "x.yaml:4:2"),
        ("a: 1\n---\r\nb: *c\n", "x.yaml:3:4"),
        ("a: &x 1\n---\nb: *x\n", "x.yaml:3:4"),
        ("a: 1\n--- 'b\n---\n", "x.yaml:3:1"),
    ],
)
def test_a_fault_is_told_with_its_line_in_the_file(text: str, where: str) -> None:
    with pytest.raises(RenderError, match="not YAML") as caught:
        read_source("x.yaml", text.encode())
    assert caught.value.where == where


def test_a_file_with_directives_is_one_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE_FILE", 0)
    assert YamlDocuments("x.yaml", "a: 1\n...\n%YAML 1.1\n---\nb: 1\n").starts == (0,)


@pytest.mark.usefixtures("large")
def test_an_edit_of_a_large_file_changes_nothing_else() -> None:
    pod = "---\nkind: Pod\nspec:\n  containers:\n  - name: {0}\n    image: r/{0}:1 # {0}\n"
    text = "".join(pod.format(name) for name in ("a", "b", "c"))
    change = ContainerImage(pattern="x.yaml", container="b", image="r/b:2")
    assert change.apply({"x.yaml": text.encode()})["x.yaml"].decode() == text.replace(
        "r/b:1", "r/b:2"
    )
    values = PathValues(pattern="x.yaml", values={"v.k": "2", "v.l": "z"})
    text += "---\nv: |\n  k: 1 # k\n---\nlast: 1\n"
    after = text.replace("k: 1 # k\n", 'k: "2" # k\n  l: z\n')
    assert values.apply({"x.yaml": text.encode()})["x.yaml"].decode() == after


@pytest.mark.usefixtures("large")
def test_of_a_large_file_too_whatever_else_changes_is_seen() -> None:
    text = "a: 1\n---\nb: old\n---\nc: 1\n"
    found = read_source("x.yaml", text.encode())
    root = found.documents[1].root
    assert isinstance(root, MappingNode)
    patch = node_replaced(root.pairs[0][1], "new")
    after = text.replace("old", "new")
    assert is_proven(found, [patch], after)
    for wrong in (
        text,
        after.replace("a: 1", "a: 2"),
        after.replace("c: 1", "c: 2"),
        after.replace("---\nc", "--- \n---\nc"),
        after.replace("---\nc", "c"),
        after + "---\n",
    ):
        assert not is_proven(found, [patch], wrong)


def test_limits_are_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILE_LIMITS", YamlLimits(1000, 5))
    with pytest.raises(
        RenderError, match=r"x\.yaml is too large: more than 5 keys and values"
    ) as caught:
        read_source("x.yaml", b"a: [1, 2, 3, 4]\n")
    assert (caught.value.where, caught.value.hint) == ("x.yaml:1:11", "split the file")
