"""Thousands of edits of YAML inside of texts, of JSON, and beside template lines.

Run by `make test-extra`.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import textwrap
from collections import Counter
from typing import Any

import pytest
import yaml

from tests.engine.gitops.test_edits_extra import NASTY, explicit, leaves, settle, tallied
from tests.engine.gitops.yaml_files import written
from towline.errors import RenderError
from towline.yaml.edit import ValueEdit, edit
from towline.yaml.marks import Path
from towline.yaml.source import read_source

pytestmark = pytest.mark.extra

VALUES = tuple(text for text in NASTY if text.isprintable())
TEXT = ("spec", "values")


def held(inner: str, dice: random.Random) -> tuple[str, str, str]:
    """A file that has `inner` as a text in a possible style, in three parts.

    They are the part before it, the text itself, and the part after it.
    """
    end = dice.choice(("\n", "\n", "\r\n"))
    style = dice.choice(("|", "|", "|-", "|+", "|2", "|  # why", '"', '"'))
    step = dice.choice((1, 2, 4)) if "2" not in style else 2
    head = f"# head{end}kind: x{end}spec:{end}  first: [a, b]{end}  values:"
    tail = dice.choice(
        (
            f"{end}  last: 'end' # {{{{ no }}}}{end}",
            f"{end}---{end}z: 1{end}",
            end,
            f"{end}{end}# end",
        )
    )
    if style == '"':
        return f"{head} ", json.dumps(inner, ensure_ascii=False), tail
    if style == "|2":
        inner = f"{' ' * dice.choice((0, 0, 2))}# first\n{inner}"
    lines = [
        " " * (2 + step) + line if line else "" for line in inner.removesuffix("\n").split("\n")
    ]
    return f"{head} {style}{end}", end.join(lines), tail


def text_at(file: str) -> str:
    """The value that PyYAML, which knows no templates, reads at TEXT."""
    return str(
        next(iter(yaml.compose_all(file, Loader=yaml.CSafeLoader))).value[1][1].value[1][1].value
    )


def nested(data: bytes, dice: random.Random, tally: Counter[str]) -> None:
    """Edit a scalar of a file that is a text in another: as if alone, and nothing around it."""
    inner = data.decode().removeprefix("\ufeff").replace("\r\n", "\n")
    parts = held(inner, dice)
    file = "".join(parts)
    try:
        inner = text_at(file)
        found = [leaf for leaf in leaves(inner) if not explicit(inner, leaf)]
    # a file that libyaml cannot read, or whose first line is indented deeper than the others
    except yaml.YAMLError:
        tally["not read"] += 1
        return
    for leaf in dice.sample(found, min(10, len(found))):
        one = ValueEdit(document=leaf.document, path=leaf.path, value=dice.choice(VALUES))
        try:
            alone = edit(read_source("f.yaml", inner.encode()), [one]).decode()
        except RenderError:
            tally["refused alone"] += 1
            continue
        tally[_inside(parts, inner, alone, one)] += 1


def _inside(parts: tuple[str, str, str], inner: str, alone: str, one: ValueEdit) -> str:
    file = "".join(parts)
    try:
        result = edit(
            read_source("f.yaml", file.encode()),
            [ValueEdit(document=one.document, path=one.path, value=one.value, inside=((0, TEXT),))],
        ).decode()
    except RenderError:
        return "refused"
    assert text_at(result) == alone
    assert result.startswith(parts[0])
    assert result.endswith(parts[2])
    if alone == inner:
        assert result == file
        return "same"
    same = sum(old == new for old, new in zip(inner.split("\n"), alone.split("\n"), strict=False))
    assert (
        sum(old == new for old, new in zip(file.splitlines(), result.splitlines(), strict=False))
        >= same
        or parts[1][0] == '"'
    )
    return "exact"


def test_yaml_in_a_text_is_edited_as_if_it_were_alone(capsys: pytest.CaptureFixture[str]) -> None:
    settle(tallied(nested, written), capsys, 10_000)


def made(dice: random.Random, depth: int) -> Any:
    """A random JSON value."""
    kind = dice.randrange(8 if depth else 5)
    if kind < 5:
        return dice.choice(
            (
                None,
                True,
                False,
                0,
                -1.5,
                2e10,
                "",
                "text",
                "1.20",
                "é😀",
                'say "x"',
                "a/b:1",
                "tab\t",
                "{{ .x }}",
                "# no",
                "line\n",
            )
        )
    if kind == 5:
        return [made(dice, depth - 1) for _ in range(dice.randint(0, 3))]
    return {
        word: made(dice, depth - 1)
        for word in dice.sample(("a", "b", "image", "x.y", "é", "on", "1", ""), dice.randint(0, 4))
    }


def dumped(seed: int) -> bytes:
    dice = random.Random(seed)
    data = {"top": made(dice, 3), "z": 1} if dice.random() < 0.8 else [made(dice, 3), {"z": 1}]
    indent = dice.choice((None, None, 1, 2, 4, "\t"))
    separators = (
        dice.choice((None, (",", ":"), (", ", ": ")))
        if indent is None
        else dice.choice((None, (",", ":"), (",", " : ")))
    )
    text = json.dumps(data, indent=indent, separators=separators, ensure_ascii=dice.random() < 0.3)
    return (text.replace("\n", dice.choice(("\n", "\r\n"))) + dice.choice(("", "\n"))).encode()


def places(data: Any, path: Path = ()) -> list[Path]:
    """Every place of a JSON value below its root."""
    below = (
        list(data.items())
        if isinstance(data, dict)
        else list(enumerate(data))
        if isinstance(data, list)
        else []
    )
    return [place for key, value in below for place in ((*path, key), *places(value, (*path, key)))]


def at(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data


def of_json(data: bytes, dice: random.Random, tally: Counter[str]) -> None:
    """Replace a text, a number or a word, or add a key.

    A JSON parser reads the same values otherwise, in the same order.
    """
    text = data.decode()
    found = places(json.loads(text))
    for path in dice.sample(found, min(10, len(found))):
        wanted, value = json.loads(text), dice.choice(VALUES)
        held_there = at(wanted, path)
        if isinstance(held_there, dict):
            path = (*path, "new")  # noqa: PLW2901
            held_there[path[-1]] = value
        elif isinstance(held_there, list):
            continue
        else:
            at(wanted, path[:-1])[path[-1]] = value
        tally[_proven(text, ValueEdit(path=path, value=value), wanted)] += 1


def _proven(text: str, one: ValueEdit, wanted: Any) -> str:
    name = "f.json" if len(text) % 2 else "f.yaml"
    try:
        result = edit(read_source(name, text.encode()), [one]).decode()
    except RenderError:
        return (
            "refused template"
            if "{{" in text
            else "refused escape"
            if "\\ud" in text
            else "refused"
        )
    assert list(json.JSONDecoder(object_pairs_hook=tuple).decode(result)) == list(
        json.JSONDecoder(object_pairs_hook=tuple).decode(json.dumps(wanted))
    )
    before, after = text.splitlines(), result.splitlines()
    assert 0 <= len(after) - len(before) <= 2
    assert text.endswith("\n") == result.endswith("\n")
    assert ("\r\n" in text) == ("\r\n" in result) or "\n" not in text
    return "same" if text == result else "exact"


def test_json_stays_json_and_says_what_was_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    settle(tallied(of_json, dumped), capsys, 10_000)


def templated(seed: int) -> bytes:
    """A block scalar with lines of templates alone, as charts and values files have them."""
    dice = random.Random(seed)
    step, indent = dice.choice((1, 2, 4)), dice.choice((0, 2))
    inner = ["a: 1", "b:", "  c: old", "  d: [x]", "e: f # g"]
    for _ in range(dice.randint(1, 5)):
        place = dice.choice((0, 0, dice.randint(0, len(inner))))
        inner.insert(
            place,
            dice.choice(("", "  ", "    "))
            + dice.choice(
                ("{{- if .Values.x }}", "{{ end }}", "{{/* note */}}", "{{ .y }} {{ .z }}")
            ),
        )
    lines = [
        (
            " " * dice.choice((indent + step, indent + step, 0)) + line
            if line.lstrip().startswith("{{")
            else " " * (indent + step) + line
        )
        for line in inner
    ]
    header = dice.choice(("|", "|-", "| # why", "|+"))
    head = ["values:", f"  config: {header}"] if indent else [f"config: {header}"]
    return (dice.choice(("\n", "\r\n")).join([*head, *lines, "z: old # z", ""])).encode()


def beside_templates(data: bytes, dice: random.Random, tally: Counter[str]) -> None:
    """Edit a key beside a text with templates, and one inside of it, in place.

    With the templates removed, or left as text, the rest reads the same.
    """
    text, value = data.decode(), dice.choice(("new", "1.20"))
    written_value = value if value == "new" else '"1.20"'
    source = read_source("f.yaml", data)
    assert edit(source, [ValueEdit(path=("z",), value=value)]).decode() == text.replace(
        "z: old", f"z: {written_value}"
    )
    path: Path = ("values", "config") if text.startswith("values") else ("config",)
    try:
        result = edit(
            source, [ValueEdit(path=("b", "c"), value=value, inside=((0, path),))]
        ).decode()
    except RenderError:
        tally["refused"] += 1
        return
    assert result == text.replace("c: old", f"c: {written_value}")
    tally["exact"] += 1


def test_lines_of_templates_in_a_text_are_in_nobodys_way(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settle(tallied(beside_templates, templated), capsys, 3_000)


PROGRAM = """
    import resource, sys
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]) << 20,) * 2)
    from towline.gitops.kubectl import ContainerImage
    from towline.gitops.helm_values import PathValues
    pod = (
        "kind: Pod\\nmetadata: {name: p%d}\\nspec:\\n  containers:\\n"
        "  - name: c%d\\n    image: r/web:1 # %d\\n    env: [{name: A, value: b}]\\n"
    )
    if sys.argv[1] == "documents":
        text = "".join(f"---\\n{pod}" % (number, number, number) for number in range(100_000))
        change = ContainerImage(pattern="x", container="c79000", image="r/web:2")
        old, new = "r/web:1 # 79000", "r/web:2 # 79000"
    else:
        image = "s{0}:\\n  image: {{repository: r/x, tag: '{0}'}}\\n"
        text = "".join(image.format(number) for number in range(110_000))
        change = PathValues(pattern="x", values={"s9.image.tag": "2"})
        old, new = "tag: '9'", "tag: '2'"
    assert len(text) > (10_000_000 if sys.argv[1] == 'documents' else 4_000_000)
    assert change.apply({"x": text.encode()})["x"].decode() == text.replace(old, new)
"""


@pytest.mark.parametrize(("kind", "mebibytes"), [("documents", 400), ("one", 700)])
def test_a_large_file_is_edited_within_bounds(kind: str, mebibytes: int) -> None:
    assert resource.RLIMIT_AS
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), kind, str(mebibytes)], check=True
    )
