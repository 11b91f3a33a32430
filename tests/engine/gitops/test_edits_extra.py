"""Thousands of edits, checked by an oracle that shares no code with the engine.

The oracle is PyYAML's own composer. Run by `make test-extra`.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.gitops.yaml_files import repeating, written
from towline.errors import RenderError
from towline.yaml.aliases import ALL, AliasPolicy
from towline.yaml.edit import ValueEdit, edit, path_text
from towline.yaml.marks import Path as YamlPath
from towline.yaml.source import read_source

pytestmark = pytest.mark.extra

ROOT = Path(__file__).resolve().parents[3]
FILES, EDITS = 4000, 30
NASTY = (
    "1.20",
    "true",
    "null",
    "~",
    "",
    "on",
    "n",
    "0123",
    "1e3",
    "12:30:45",
    "2024-01-01",
    "a: b",
    "it's",
    'say "x"',
    "# no",
    "- a",
    "{a: b}",
    "[x]",
    "*a",
    "&a",
    "!t",
    "|",
    ">",
    "%x",
    "@x",
    "`x`",
    " lead",
    "trail ",
    "a\nb",
    "tab\tx",
    "é😀",
    "x" * 300,
    "a #b",
    "key:",
    "?",
    "...",
    "---",
    "=",
    "<<",
    f"host.example:5000/team/app:1.2.3@sha256:{'0' * 64}",
)
_TEXT_TAGS = ("tag:yaml.org,2002:str", "!")


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A scalar that may be edited: its place, and its lines, counted from 0."""

    document: int
    path: YamlPath
    lines: range


def hidden(text: str) -> str:
    """The text with templates replaced by other characters; a line of templates alone is blank."""
    text = re.sub(r"(?m)^[ \t]*\{\{.*\}\}[ \t]*$", lambda found: " " * len(found.group()), text)
    return re.sub(r"\{\{.*?\}\}", lambda found: "x" * len(found.group()), text)


def composed(text: str) -> list[Any]:
    return list(yaml.compose_all(hidden(text).removeprefix("\ufeff"), Loader=yaml.CSafeLoader))


def told(node: Any) -> Any:
    """The content of a node: kind, tag and value; keys in their order."""
    if isinstance(node, yaml.ScalarNode):
        return (node.tag, node.value)
    if isinstance(node, yaml.MappingNode):
        return [node.tag, *((told(key), told(value)) for key, value in node.value)]
    return [node.tag, *(told(item) for item in node.value)] if node is not None else None


def leaves(text: str) -> Iterator[Leaf]:
    """Scalars that no alias repeats, no mapping has twice, and no template stands in or, as the
    value of an empty one, below.
    """
    raw, shown = hidden(text).removeprefix("\ufeff"), text.removeprefix("\ufeff")
    for number, root in enumerate(composed(text)):
        uses: Counter[int] = Counter()
        _count(root, uses)
        yield from (
            leaf for leaf in _below(root, number, (), uses) if _same(raw, shown, leaf.lines)
        )


def _same(raw: str, shown: str, lines: range) -> bool:
    return all(
        raw.splitlines()[line : line + 1] == shown.splitlines()[line : line + 1]
        for line in (*lines, lines.stop)
    )


def _count(node: Any, uses: Counter[int]) -> None:
    uses[id(node)] += 1
    if uses[id(node)] > 1 or node is None or isinstance(node, yaml.ScalarNode):
        return
    for child in (
        (part for pair in node.value for part in pair)
        if isinstance(node, yaml.MappingNode)
        else node.value
    ):
        _count(child, uses)


def _below(node: Any, document: int, path: YamlPath, uses: Counter[int]) -> Iterator[Leaf]:
    if node is None or uses[id(node)] > 1:
        return
    if isinstance(node, yaml.ScalarNode):
        end = (
            node.end_mark.line
            if node.end_mark.column or node.end_mark.line == node.start_mark.line
            else node.end_mark.line - 1
        )
        if path:
            yield Leaf(document=document, path=path, lines=range(node.start_mark.line, end + 1))
    elif isinstance(node, yaml.MappingNode):
        names = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        for key, value in node.value:
            if (
                isinstance(key, yaml.ScalarNode)
                and set(names.values()) == {1}
                and uses[id(key)] == 1
            ):
                yield from _below(value, document, (*path, key.value), uses)
    else:
        for index, item in enumerate(node.value):
            yield from _below(item, document, (*path, index), uses)


def node_at(text: str, leaf: Leaf) -> Any:
    node = composed(text)[leaf.document]
    for part in leaf.path:
        node = (
            node.value[part]
            if isinstance(part, int)
            else next(value for key, value in node.value if key.value == part)
        )
    return node


def explicit(text: str, leaf: Leaf) -> bool:
    """Whether the scalar has a tag that some parser does not read as a text."""
    return (
        re.search(
            r"!(?!!str\b)",
            " ".join(
                hidden(text).removeprefix("\ufeff").splitlines()[leaf.lines.start : leaf.lines.stop]
            ),
        )
        is not None
    )


def prove(data: bytes, leaf: Leaf, value: str) -> str:
    """Edit one scalar: `exact`, `multi` (it had several lines), `same` or `refused`;
    anything else fails.
    """
    text = data.decode()
    try:
        result = edit(
            read_source("f.yaml", data),
            [ValueEdit(document=leaf.document, path=leaf.path, value=value)],
        ).decode()
    except RenderError:
        return "refused"
    found = node_at(result, leaf)
    assert (found.tag in _TEXT_TAGS, found.value) == (True, value)
    before, after = text.splitlines(keepends=True), result.splitlines(keepends=True)
    behind = len(before) - leaf.lines.stop
    assert after[: leaf.lines.start] == before[: leaf.lines.start]
    assert after[len(after) - behind :] == before[leaf.lines.stop :]
    trees = [[told(root) for root in composed(one)] for one in (text, result)]
    assert _without(trees[0], composed(text), leaf) == _without(trees[1], composed(result), leaf)
    if result == text:
        return "same"
    if len(leaf.lines) > 1:
        return "multi"
    assert len(after) == len(before)
    return "exact"


def _without(trees: list[Any], roots: list[Any], leaf: Leaf) -> list[Any]:
    """All documents without the edited scalar."""
    node = roots[leaf.document]
    for part in leaf.path[:-1]:
        node = (
            node.value[part]
            if isinstance(part, int)
            else next(value for key, value in node.value if key.value == part)
        )
    last = leaf.path[-1]
    if isinstance(last, int):
        node.value[last] = None
    else:
        node.value[:] = [(key, None if key.value == last else value) for key, value in node.value]
    return [told(root) for root in roots]


def edited(data: bytes, dice: random.Random, tally: Counter[str]) -> None:
    text = data.decode()
    try:
        found = [leaf for leaf in leaves(text) if not explicit(text, leaf)]
    except yaml.YAMLError:  # a file that libyaml cannot read
        tally["not read"] += 1
        return
    for leaf in dice.sample(found, min(EDITS, len(found))):
        tally[prove(data, leaf, dice.choice(NASTY))] += 1


def users(data: bytes, dice: random.Random, tally: Counter[str]) -> None:
    """Change each text that aliases repeat, once for one alias and once for all of them.

    PyYAML finds the aliases.
    """
    try:
        roots = composed(data.decode())
    except yaml.YAMLError:  # libyaml cannot read it
        tally["not read"] += 1
        return
    lines = data.decode().splitlines()
    for number, root in enumerate(roots):
        grouped: dict[int, list[YamlPath]] = {}
        for node, path in _paths(root, ()):
            if "{{" in lines[node.start_mark.line]:  # nor is a template edited
                continue
            grouped.setdefault(id(node), []).append(path)
        for group in [group for group in grouped.values() if len(group) > 1]:
            leaf = Leaf(
                document=number,
                path=dice.choice([path for path in group if "<<" not in path]),
                lines=range(0),
            )
            tally[everywhere(data, leaf, dice.choice(NASTY), group)] += 1


def _paths(node: Any, path: YamlPath) -> Iterator[tuple[Any, YamlPath]]:
    """Every scalar with every path to it, merge keys as `<<`."""
    if isinstance(node, yaml.ScalarNode):
        yield node, path
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _paths(value, (*path, key.value))
    else:
        for index, item in enumerate(node.value if node else ()):
            yield from _paths(item, (*path, index))


def everywhere(data: bytes, leaf: Leaf, value: str, group: list[YamlPath]) -> str:
    """Change one text for all its aliases: `all`, `same` or `refused`; anything else fails."""
    said: list[str] = []
    one = ValueEdit(document=leaf.document, path=leaf.path, value=value)
    try:
        result = edit(read_source("f.yaml", data), [one], AliasPolicy(policy=ALL, say=said.append))
    except RenderError:
        return "refused"
    if result == data:
        return "same"
    (text,) = said
    named = {
        *re.findall(r": (\S+) is shared", text),
        *re.findall(r"line [0-9]+ \((.*?)\)(?:,| and)", text),
    }
    leading = [{path_text(path[:length]) for length in range(1, len(path) + 1)} for path in group]
    # each field is named, or the field around it
    assert [path for path, parts in zip(group, leading, strict=True) if not parts & named] == []
    assert named - set().union(*leading) == set()
    before, after = (
        [dict(_said(root)) for root in composed(each.decode())] for each in (data, result)
    )
    for path in group:
        assert (after[leaf.document][path][0] in _TEXT_TAGS, after[leaf.document].pop(path)[1]) == (
            True,
            value,
        )
        del before[leaf.document][path]
    assert before == after
    return "all"


def _said(root: Any) -> Iterator[tuple[YamlPath, tuple[str, str]]]:
    yield from ((path, (node.tag, node.value)) for node, path in _paths(root, ()))


def settle(tally: Counter[str], capsys: pytest.CaptureFixture[str], least: int) -> None:
    """Print the counts; at most 0.5 % may be refused."""
    total = sum(count for kind, count in tally.items() if kind != "not read")
    with capsys.disabled():
        print(
            f"\n  {total} edits: {dict(tally)}, refused {tally['refused'] / total:.2%}, silent"
            " errors 0"
        )
    assert total >= least
    assert tally["refused"] <= total * 0.005


def tallied(
    check: Callable[[bytes, random.Random, Counter[str]], None], make: Callable[[int], bytes]
) -> Counter[str]:
    """The counts of `check` for the files that `make` makes of random seeds."""
    tally: Counter[str] = Counter()

    @settings(
        max_examples=FILES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.integers(0, 2**48))
    def one(seed: int) -> None:
        check(make(seed), random.Random(seed), tally)

    one()
    return tally


def test_a_random_scalar_edit_of_a_made_up_file_changes_its_lines_or_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settle(tallied(edited, written), capsys, 20_000)


def test_a_text_that_aliases_repeat_changes_for_exactly_its_users_or_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settle(tallied(users, repeating), capsys, 10_000)


def test_so_does_one_of_a_file_that_people_wrote(capsys: pytest.CaptureFixture[str]) -> None:
    tally: Counter[str] = Counter()
    files = [
        path
        for path in ROOT.rglob("*.y*ml")
        if not {".venv", "build", "node_modules"} & set(path.relative_to(ROOT).parts)
    ]
    for path in files * 3:
        edited(
            path.read_bytes(),
            random.Random(f"{path.relative_to(ROOT)}{sum(tally.values())}"),
            tally,
        )
    settle(tally, capsys, 1_000)
