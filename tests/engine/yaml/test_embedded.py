from __future__ import annotations

import pytest
import yaml

from towline.errors import ConfigError, RenderError
from towline.gitops.helm_values import PathValues
from towline.yaml.aliases import ALL, REFUSE, AliasPolicy
from towline.yaml.embedded import EmbeddedText, embedded_text
from towline.yaml.marks import MappingNode, ScalarNode
from towline.yaml.source import YamlSource, read_source
from towline.yaml.splice import Splice

APPLICATION = """\
kind: Application
spec:
  helm:
    values: |
      # top
      image:
        tag: 1.0.0   # bump
      'other':   [1,  2]

    x: 1
"""
TAG = "spec.helm.values.image.tag"


def text(file: str) -> EmbeddedText | None:
    """The text of the last value of a file's mapping."""
    source = read_source("x.yaml", file.encode())
    root = source.documents[0].root
    assert isinstance(root, MappingNode)
    return embedded_text(source, root.pairs[-1][1])


def changed(file: str, values: dict[str, str], policy: str = REFUSE) -> str:
    change = PathValues(pattern="x.yaml", values=values, sharing=AliasPolicy(policy=policy))
    once = change.apply({"x.yaml": file.encode()}).get("x.yaml", file.encode())
    assert change.apply({"x.yaml": once}) == {}
    return once.decode()


@pytest.mark.parametrize(
    "file",
    [
        "a: |\n  x: 1\n  y: 2\n",
        "a: |-\n  x: 1\n\n  y: 2\n\n",
        "a: |+\n  x: 1\n\n\n",
        "a: |2\n    x: 1\n  y: 2\n",
        "a: |\r\n  x: 1\r\n  y: 2\r\n",
        "a: |\n  x: 1",
        "a: | # c\n   # inner\n   x: 1 # c\n",
        "a: |\n\n  x: 1\n",
        "a: |\n  x\n  \n   \n  y\n",
        "a: >\n  x:\n    y: 1\n    z: 2\n\n  w: 3\n",
        "a: >-\n  {\n    'a': 1\n  }\n",
        "a: >\n  x\n  y\n\n  z\n   k\n  l\n",
        "a: 'x: ''1'''\n",
        'a: "x: \\"1\\"\\n  y: \\u00e9\\x41\\U0001F600\\n"\n',
        'a: "x: 1\\n\\\n  \\ y: 2\\n\\\n  z: 3"\n',
        'a: "x\n  y\n\n  z "\n',
        "a: 'x\n\n\n  y'\n",
        'a: "\n  x"\n',
        "a: !!str |\n  x: 1\n",
        "\ufeffa: &x |\n  x: 1\n",
        "a: |\n  x\u2028  y\n",
    ],
)
def test_a_text_is_what_the_parser_reads_and_each_character_has_its_place(file: str) -> None:
    found = text(file)
    assert found is not None
    assert found.text == found.node.value == yaml.safe_load(file.removeprefix("\ufeff"))["a"]
    plain = [place for place, sign in enumerate(found.text) if sign.isalnum() and sign.isascii()]
    for place in plain:
        splice = found.outward(Splice(start=place, end=place + 1, text="Q"))
        after = file[: splice.start] + splice.text + file[splice.end :]
        assert (
            yaml.safe_load(after.removeprefix("\ufeff"))["a"]
            == f"{found.text[:place]}Q{found.text[place + 1 :]}"
        )


@pytest.mark.parametrize(
    "file",
    [
        "a: x\n",
        "a: 1\n",
        "a: ''\n",
        "a: |\n\n",
        "a: {b: c}\n",
        "a: !x 'b: 1'\n",
        "a: >\n  {{ .x }}\n  b: 1\n",
        "a: >\n\n  x\n",
    ],
)
def test_what_is_no_text_or_cannot_be_told_is_none(file: str) -> None:
    assert text(file) is None


def test_templates_are_there_as_written() -> None:
    found = text("a: |\n    {{- if .x }}\n  b: {{ .c }}\n{{- end }}\n  d: 1\n")
    assert found is not None
    assert found.text == "  {{- if .x }}\nb: {{ .c }}\n{{- end }}\nd: 1\n"
    quoted = text('a: "b: {{ f \\"x\\" }}\\n"\n')
    assert quoted is not None
    assert quoted.text == 'b: {{ f \\"x\\" }}\n'


def test_a_place_of_the_text_is_told_as_that_of_the_file() -> None:
    found = text("a: 1\nb: |\n   x: 1\n   y: [2]\n")
    assert found is not None
    inner = found.read()
    root = inner.documents[0].root
    assert isinstance(root, MappingNode)
    assert [inner.where(value.start) for _, value in root.pairs] == ["x.yaml:3:7", "x.yaml:4:7"]
    with pytest.raises(RenderError, match="template") as caught:
        changed("a: |\n  - b: '{{ .c }}'\n", {"a[0].b": "x"})
    assert caught.value.where == "x.yaml:2:8"
    deep = text("b: |\n  c: |\n    x: 1\n")
    assert deep is not None
    root = deep.read().documents[0].root
    assert isinstance(root, MappingNode)
    inside = embedded_text(deep.read(), root.pairs[0][1])
    assert inside is not None
    found_root = inside.read().documents[0].root
    assert isinstance(found_root, MappingNode)
    assert inside.read().where(found_root.pairs[0][1].start) == "x.yaml:3:8"


def test_a_path_leads_into_a_text_and_every_other_character_stays() -> None:
    assert changed(APPLICATION, {TAG: "2.4.1"}) == APPLICATION.replace("1.0.0", "2.4.1")
    assert changed(APPLICATION, {TAG: "1.10"}) == APPLICATION.replace("1.0.0", '"1.10"')
    assert changed(
        APPLICATION, {"spec.helm.values.other[1]": "z", "spec.helm.x": "w", TAG: "2.4.1"}
    ) == (APPLICATION.replace("2]", "z]").replace("x: 1", "x: w").replace("1.0.0", "2.4.1"))


@pytest.mark.parametrize("style", ["|", "|-", "|+", "|2", "| # why", "&a !!str |"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_missing_key_is_added_beside_its_siblings_in_a_block_scalar(style: str, end: str) -> None:
    file = APPLICATION.replace("|", style).replace("\n", end)
    assert changed(file, {"spec.helm.values.image.digest": "d"}) == file.replace(
        f"# bump{end}", f"# bump{end}        digest: d{end}"
    )
    assert changed(file, {"spec.helm.values.last": "d"}) == file.replace(
        f"2]{end}", f"2]{end}      last: d{end}"
    )
    short = f"a: {style}{end}  b: 1"
    assert changed(short, {"a.c": "d"}) == f"{short}{end}  c: d"


@pytest.mark.parametrize(
    ("file", "path", "after"),
    [
        (
            'data:\n  values.yaml: "image:\\n  tag: old\\n"\n',
            r"data.values\.yaml.image.tag",
            'data:\n  values.yaml: "image:\\n  tag: n-1\\n"\n',
        ),
        (
            'data:\n  values.yaml: "image:\\n  tag: 1\\n"\n',
            "data.values.yaml.image.digest",
            'data:\n  values.yaml: "image:\\n  tag: 1\\n  digest: n-1\\n"\n',
        ),
        ('a: "b: 1\\r\\nc: 2\\r\\n"\n', "a.d", 'a: "b: 1\\r\\nc: 2\\r\\nd: n-1\\r\\n"\n'),
        ("a: 'image: {tag: ''1''}'\n", "a.image.tag", "a: 'image: {tag: ''n-1''}'\n"),
        ("a: 'image: {tag: 1}'\n", "a.image.digest", "a: 'image: {tag: 1, digest: n-1}'\n"),
        ("a: >-\n  {\n    'b': 1\n  }\n", "a.b", "a: >-\n  {\n    'b': n-1\n  }\n"),
        (
            "a: |\n  b: |-\n    c: 1 # x\n    d: 2\n  e: 3\n",
            "a.b.c",
            "a: |\n  b: |-\n    c: n-1 # x\n    d: 2\n  e: 3\n",
        ),
        (
            "a: |\n  b: |-\n    c: 1 # x\n    d: 2\n  e: 3\n",
            "a.b.z",
            "a: |\n  b: |-\n    c: 1 # x\n    d: 2\n    z: n-1\n  e: 3\n",
        ),
        ("a: |\n  b: \"c: '1'\\n\"\n", "a.b.c", "a: |\n  b: \"c: 'n-1'\\n\"\n"),
        (
            "p:\n- patch: |-\n    - op: replace\n      value: 1\n",
            "p[0].patch[op=replace].value",
            "p:\n- patch: |-\n    - op: replace\n      value: n-1\n",
        ),
        (
            "a: |\n  x: {{ .y }}\n  {{- if .z }}\n  b: 1\n  {{- end }}\n",
            "a.b",
            "a: |\n  x: {{ .y }}\n  {{- if .z }}\n  b: n-1\n  {{- end }}\n",
        ),
        (
            "a: |\n    {{- if .z }}\n  b: 1\n{{- end }}\n  c: 2\n",
            "a.c",
            "a: |\n    {{- if .z }}\n  b: 1\n{{- end }}\n  c: n-1\n",
        ),
        ("a: |\n  ---\n  x: 1\n  ---\n  y: 1\n", "a.y", "a: |\n  ---\n  x: 1\n  ---\n  y: n-1\n"),
        ("a: |\n  v: &v 1\n  x: 1\n  y: *v\n", "a.x", "a: |\n  v: &v 1\n  x: n-1\n  y: *v\n"),
        (
            "a: |\r\n  b: 1\r\n  c: >-\r\n    d\r\n\r\n      e\r\n\r\n# end",
            "a.c",
            "a: |\r\n  b: 1\r\n  c: >-\r\n    n-1\r\n\r\n# end",
        ),
        (
            "a: |\n  run: |\n    c\n    d\n\n\nb: 1\n",
            "a.z",
            "a: |\n  run: |\n    c\n    d\n  z: n-1\n\n\nb: 1\n",
        ),
    ],
)
def test_other_styles_and_texts_of_texts_are_edited_alike(file: str, path: str, after: str) -> None:
    assert changed(file, {path: "n-1"}) == after


@pytest.mark.parametrize(
    ("file", "path", "says"),
    [
        ("a: 'x: 1'\n", "a.b", "holds a text$"),
        ("a: just a text\n", "a.b", "holds a text$"),
        ("a: |\n  x: [1\n  y: 2\n", "a.y", "holds a text .it is not YAML: did not find"),
        ("a: |\n  ---\n  x: 1\n  ---\n  y: 1\n", "a.z", "could be added to 2"),
    ],
)
def test_a_text_that_is_no_yaml_is_not_written_over(file: str, path: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        changed(file, {path: "n"})


@pytest.mark.parametrize(
    ("file", "path", "says"),
    [
        ("a: 'b:\n\n  c: 1'\n", "a.d", "single quotes cannot"),
        ("a: |\n  v: &v 1\n  x: *v\n", "a.x", "behind the alias .v of the value in line 2"),
        ("a: >\n  b: 1\n\n  c: 2\n", "a.z", r"safely at a\.z"),
        ("a: |\n  b: |\n    c", "a.d", "safely at d"),
    ],
)
def test_what_a_style_cannot_hold_or_would_change_by_the_way_is_refused(
    file: str, path: str, says: str
) -> None:
    with pytest.raises(RenderError, match=says) as caught:
        changed(file, {path: "n"})
    assert caught.value.hint


def test_a_text_that_an_alias_repeats_changes_as_the_policy_says() -> None:
    file = "a: &a |\n  b: 1\nc: *a\n"
    for path in ("a.b", "c.b"):
        with pytest.raises(RenderError, match="alias"):
            changed(file, {path: "2"})
        assert changed(file, {path: "w"}, ALL) == file.replace("1", "w")


def test_the_text_of_a_source_is_read_without_its_own_positions() -> None:
    source: YamlSource = read_source("x.yaml", b"a: |\n  b: 1\n")
    root = source.documents[0].root
    assert isinstance(root, MappingNode)
    node = root.pairs[0][1]
    assert isinstance(node, ScalarNode)
    assert embedded_text(source, node) is not None
    assert embedded_text(source, root) is None
