from __future__ import annotations

import json

import pytest

from towline.errors import RenderError
from towline.gitops.helm_values import PathValues
from towline.yaml.marks import MappingNode, SequenceNode
from towline.yaml.source import read_source
from towline.yaml.splice import FlowLayout, flow_layout, is_json_style

SPACES = (
    '{\n  "image": {\n    "repository": "r",\n    "tag": "1"\n  },\n  "list": [{"a": null}]\n}\n'
)
TABS = SPACES.replace("  ", "\t")
NARROW = '{"image":{"repository":"r","tag":"1"},"list":[{"a":null}]}'


def changed(text: str, values: dict[str, str], name: str = "v.json") -> str:
    change = PathValues(pattern=name, values=values, create=True)
    once = change.apply({name: text.encode()}).get(name, text.encode())
    assert change.apply({name: once}) == {}
    return once.decode()


def layout_of(text: str, name: str = "x.yaml") -> FlowLayout:
    source = read_source(name, text.encode())
    root = source.documents[0].root
    assert isinstance(root, MappingNode | SequenceNode)
    return flow_layout(source, root)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{a: 1}", FlowLayout()),
        ("{a: 1,b: 2}", FlowLayout(comma=",")),
        ("{a : 1 , b : 2}", FlowLayout(comma=" , ", colon=" : ")),
        ("{'a':1}", FlowLayout()),
        ('{"a":1}', FlowLayout(json=True, comma=",", colon=":")),
        ('{"a": 1}', FlowLayout(json=True)),
        ('{"a": 1, b: 2}', FlowLayout()),
        ('{\n  "a": 1\n}', FlowLayout(json=True, line="\n  ", step="  ")),
        ('{\r\n\t"a":1}', FlowLayout(json=True, line="\r\n\t", step="\t", colon=":")),
        ("{a: 1,\n b: 2}", FlowLayout(line="\n ", step="  ")),
        ("[a,\n b]", FlowLayout(line="\n ", step="  ")),
        ('["a","b"]', FlowLayout(json=True, comma=",")),
        ("a: 1\n", FlowLayout()),
        ("{}", FlowLayout()),
    ],
)
def test_the_layout_is_that_of_the_entries_beside(text: str, expected: FlowLayout) -> None:
    assert layout_of(text) == expected


def test_a_file_that_is_called_json_is_written_as_json_even_if_it_is_none() -> None:
    assert [
        layout_of(text, "x.json").json for text in ("{}", "[]", "{a: 1}", "[1,]", "a: {b: 1}")
    ] == [True, True, True, True, False]


def test_what_is_json_is_told_by_the_content() -> None:
    for text in (
        SPACES,
        TABS,
        NARROW,
        "\ufeff" + SPACES.replace("\n", "\r\n"),
        '["a"]',
        '{"a": "{{ .x }}"}',
    ):
        assert read_source("v.yaml", text.encode()).strict
    for text in (
        "{a: 1}",
        "{}",
        '{"a": 1,}',
        '{"a": .nan}',
        '{"a": NaN}',
        '{"a": {{ .x }}}',
        'a: {"b": 1}',
        '---\n{"a": 1}\n',
        '"a"',
    ):
        assert not read_source("v.yaml", text.encode()).strict
    assert read_source("v.json", b"{}").strict


@pytest.mark.parametrize("name", ["v.json", "v.yaml"])
@pytest.mark.parametrize(
    "text", [SPACES, TABS, NARROW, SPACES.rstrip(), SPACES.replace("\n", "\r\n")]
)
def test_json_stays_json_in_its_layout(text: str, name: str) -> None:
    after = changed(
        text,
        {
            "image.tag": "1.10",
            "image.digest": "sha256:0",
            "list[0].a": "on",
            "list[0].b": "x",
            "more.new": "y",
        },
        name,
    )
    wanted = {
        "image": {"repository": "r", "tag": "1.10", "digest": "sha256:0"},
        "list": [{"a": "on", "b": "x"}],
        "more": {"new": "y"},
    }
    assert json.loads(after) == wanted
    if text == NARROW:
        assert after == json.dumps(wanted, separators=(",", ":"))
    else:
        lines = [
            '    "tag": "1.10",',
            '    "digest": "sha256:0"',
            "  },",
            '  "list": [{"a": "on", "b": "x"}],',
            '  "more": {',
            '    "new": "y"',
            "  }",
            "}",
        ]
        assert after.splitlines()[3:] == [
            line.replace("  ", "\t" if text == TABS else "  ") for line in lines
        ]
    assert after.endswith("\n") == text.endswith("\n")
    assert ("\r\n" in after) == ("\r\n" in text)


@pytest.mark.parametrize(
    ("text", "values", "after"),
    [
        ("{}", {"a.b": "x"}, '{"a": {"b": "x"}}'),
        (
            '{\n  "a": {}\n}',
            {"a.b": "x", "a.c.d": "z"},
            '{\n  "a": {\n    "b": "x",\n    "c": {\n      "d": "z"\n    }\n  }\n}',
        ),
        (
            '{"a": null, "b": true, "c": 1.10}',
            {"a.x": "v", "b": "true", "c": "1.10"},
            '{"a": {"x": "v"}, "b": "true", "c": "1.10"}',
        ),
        ('[{"a": 1}, {"a": 2}]', {"x": "v"}, ""),
        (
            '[{"a": 1}, {"n": "x"}]',
            {"[0].a": "v", "[n=x].b": "w"},
            '[{"a": "v"}, {"n": "x", "b": "w"}]',
        ),
        (
            '{"a": "\\ud83d\\ude00 \\/", "b": "\\\\ud83d", "c": 1}',
            {"c": "v"},
            '{"a": "\\ud83d\\ude00 \\/", "b": "\\\\ud83d", "c": "v"}',
        ),
        ('{"a": "1"}', {"a": 'é😀\x7f"\\'}, '{"a": "é😀\\u007f\\"\\\\"}'),
        (
            '{"values": "image:\\n  tag: 1\\n"}',
            {"values.image.tag": "v"},
            '{"values": "image:\\n  tag: v\\n"}',
        ),
        (
            '{"values": "{\\"image\\": {\\"tag\\": 1}}"}',
            {"values.image.tag": "v", "values.image.d": "w"},
            '{"values": "{\\"image\\": {\\"tag\\": \\"v\\", \\"d\\": \\"w\\"}}"}',
        ),
    ],
)
def test_odd_json_stays_json(text: str, values: dict[str, str], after: str) -> None:
    if not after:
        with pytest.raises(Exception, match="item that is not in"):
            changed(text, values)
        return
    assert changed(text, values) == after
    json.loads(after)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("a: '{\"b\": null}'\n", 'a: \'{"b": "v", "c": "w"}\'\n'),
        ('a: |\n  {\n    "b": null\n  }\n', 'a: |\n  {\n    "b": "v",\n    "c": "w"\n  }\n'),
        ('--- # json\na: {"b": null}\n', '--- # json\na: {"b": "v", "c": "w"}\n'),
        ("a: {\n  b: 1, # one\n  }\n", "a: {\n  b: v, c: w, # one\n  }\n"),
        ("a: {\n  b: 1\n  }\n", "a: {\n  b: v,\n  c: w\n  }\n"),
    ],
)
def test_json_inside_of_yaml_stays_json_and_yaml_its_layout(text: str, after: str) -> None:
    assert changed(text, {"a.b": "v", "a.c": "w"}, "v.yaml") == after


def test_what_yaml_and_json_read_differently_is_refused() -> None:
    with pytest.raises(RenderError, match="escapes that YAML") as caught:
        changed('{"a": "\\ud83d\\ude00"}', {"a": "x"})
    assert caught.value.hint
    with pytest.raises(RenderError, match="twice"):
        changed('{"a": 1, "a": 2}', {"b": "x"})


def test_a_scalar_and_a_block_collection_are_no_json() -> None:
    source = read_source("x.json", b'a: "b"\n')
    root = source.documents[0].root
    assert isinstance(root, MappingNode)
    assert not is_json_style(source, root)
    assert not is_json_style(source, root.pairs[0][1])
