from __future__ import annotations

import pytest

from towline.errors import RenderError
from towline.record import replace
from towline.yaml.marks import MappingNode, ScalarNode, YamlLimits, descendants
from towline.yaml.source import mask_templates, read_source


def shown(text: str) -> list[str]:
    source = read_source("x.yaml", text.encode())
    return [
        source.shown(node)
        for document in source.documents
        if document.root
        for node in descendants(document.root)
        if isinstance(node, ScalarNode)
    ]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("a: {{ .x }}\n", "a: xxxxxxxx\n"),
        ("{{- if .x }}\na: 1\n  {{ end -}}  \n", " " * 12 + "\na: 1\n" + " " * 14 + "\n"),
        ("\ufeff{{ .x }} {{ .y }}\r\na: 1", "\ufeff                 \r\na: 1"),
        ('a: {{ "}}" }}', "a: xxxxxxxxxx"),
        ('a: {{ "\\"}}" | quote }}', "a: " + "x" * 20),
        ("a: {{ `}}` }}{{ .b }}", "a: " + "x" * 18),
        ('{{/* it"s\nmore */}}\na: 1', " " * 9 + "\n" + " " * 9 + "\na: 1"),
        ("a: {b: {c: 1}}\n", "a: {b: {c: 1}}\n"),
        ("a: '{{ x'\n", "a: '{{ x'\n"),
        ("a: {{ {b} }}", "a: xxxxxxxxx"),
        ("a: '{{ f\n  (.b) -}}'\n", "a: 'xxxx\n  " + "x" * 8 + "'\n"),
        ("{{ `b: 1\n# c` }}\n", " " * 8 + "\n" + " " * 7 + "\n"),
        ('a: "{{ f \\"%s\\" .b }}" # {{ .c }}\n', 'a: "' + "x" * 17 + '" # xxxxxxxx\n'),
        ("{{/* a\n*/}} {{ if .b }}\na: 1\n", " " * 6 + "\n" + " " * 16 + "\na: 1\n"),
    ],
)
def test_templates_are_masked_by_as_many_characters(text: str, masked: str) -> None:
    source = read_source("x.yaml", text.encode())
    assert source.masked == masked
    assert len(masked) == len(text)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("a: |\n  {{- if .x }}\n  b\n  {{- end }}\n", "a: |\n  xxxxxxxxxxxx\n  b\n            \n"),
        ("a: >-\n  {{- if .x }}\n  b\nc: 1\n", "a: >-\n  xxxxxxxxxxxx\n  b\nc: 1\n"),
        ("a: |\r\n  {{ if .xxxxx }}\r\n  b\r\n", "a: |\r\n  xxxxxxxxxxxxxxx\r\n  b\r\n"),
        (
            "a:\n  b: |-  # why\n{{ if .xxx }}\n      {{ with .y }}\n    c\n",
            "a:\n  b: |-  # why\n    xxxxxxxxx\n      xxxxxxxxxxxxx\n    c\n",
        ),
        # for a program without templates, the text begins in column 3
        ("a: |\n  {{ if .x }}\n      b\n", "a: |\n  xxxxxxxxxxx\n      b\n"),
        ("- |\n  {{/* a\n  b */}}\n  c\n", "- |\n  xxxxxx\n  xxxxxx\n  c\n"),
        (
            "- k: &x !!str |\n     {{ .xxxxx }}\n\n     c\n",
            "- k: &x !!str |\n     xxxxxxxxxxxx\n\n     c\n",
        ),
        ("'a # b': |\n {{ .x }}\n c\n", "'a # b': |\n xxxxxxxx\n c\n"),
        ("a:\n  b: |\n    {{ .x }}\n  c: 1\n", "a:\n  b: |\n            \n  c: 1\n"),
        ("a: |2\n     {{ .x }}\n  b\n", "a: |2\n             \n  b\n"),
        ("# a: |\n  {{ .x }}\n  b: 1\n", "# a: |\n          \n  b: 1\n"),
        ("a: |-{{ .b | nindent 2 }}\nc: 1\n", f"a: |-{' ' * 20}\nc: 1\n"),
        ("- a:{{ .b | nindent 4 }}\n  c: d:{{ .e }}\n", f"- a:{' ' * 20}\n  c: d:xxxxxxxx\n"),
    ],
)
def test_a_template_that_leads_a_block_scalar_leaves_it_one(text: str, masked: str) -> None:
    assert read_source("x.yaml", text.encode()).masked == masked


def test_blanks_that_reach_farther_than_a_block_scalar_are_no_yaml_without_a_template_either() -> (
    None
):
    with pytest.raises(RenderError, match="not YAML"):
        read_source("x.yaml", b"a: |\n      \n  b\nc: {{ .d }}\n")


def test_a_value_with_a_template_is_shown_as_written() -> None:
    assert shown("a: \"{{ .x }}\"\n'b': c {{ .y }}\n") == ["a", '"{{ .x }}"', "b", "c {{ .y }}"]


@pytest.mark.parametrize(
    ("text", "newline"),
    [("a: 1\r\nb: 2\n", "\r\n"), ("a: 1\n", "\n"), ("a: 1", "\n"), ("a: 1\rb: 2", "\r")],
)
def test_the_first_line_end_is_the_files_own(text: str, newline: str) -> None:
    assert read_source("x.yaml", text.encode()).newline == newline


@pytest.mark.parametrize(
    ("data", "where", "says"),
    [
        (b"a: [1\nb: 2\n", "dir/x.yaml:2:2", "not YAML"),
        (b"a: *b\n", "dir/x.yaml:1:4", "no anchor"),
        (b"a: \xff\n", "dir/x.yaml", "not UTF-8"),
        ("a: 1".encode("utf-16"), "dir/x.yaml", "not UTF-8"),
        (b"a: {{ .x\n", "dir/x.yaml:2:1", "not YAML"),
        (b"a: \x00\n", "dir/x.yaml:1:4", r"U\+0000"),
        (b"[" * 500, "dir/x.yaml:1:101", "deeper"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(data: bytes, where: str, says: str) -> None:
    with pytest.raises(RenderError, match=says) as caught:
        read_source("dir/x.yaml", data)
    assert caught.value.where == where
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "# " + "{{" * 100_000,
        "# " + "{{/*" * 50_000,
        "# " + "{{ .a }}" * 25_000,
        "{{ .a }} " * 25_000,
        "{{ .a }}\n" * 25_000,
        "# {{" + '"' * 200_000,
        "# {{/*" + "*/ " * 70_000,
        "# {{" + "\\" * 200_000,
        "# {{" + "`" * 200_000,
        "# {{" + " " * 200_000,
        "a: '{{" + '\\"' * 100_000 + "\n}}'",
        "a: |\n  {{ .x }}\n" * 25_000 + "  b",
        "a: |\n" + "  \n" * 100_000 + "  {{ .x }}\n  b",
        "# {{ .a }}\n#" + ": | " * 50_000,
    ],
)
def test_a_large_file_is_read_once_through(text: str) -> None:
    assert len(read_source("x.yaml", text.encode()).masked) == len(text)


def test_the_size_is_checked_before_any_template_is_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("towline.yaml.source.FILE_LIMITS", YamlLimits(10, 10))
    with pytest.raises(RenderError, match="longer than 10 characters"):
        read_source("x.yaml", b"# {{ a\n---\n# }}\n")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: 1\n# use {{ here\n---\na: 2\n# closing }}\n---\na: 3\n", "x.yaml:2:7"),
        ("a: 1\n# use {{ here\nb: 2\n# closing }}\n", "x.yaml:2:7"),
        ("a: 1\n# use {{/* here\nb: 2\n# closing */}}\n", "x.yaml:2:7"),
        ("{{/* a\n---\nb: 1 */}}\n", "x.yaml:1:1"),
        ("a: {{ `\n---\nb: 1` }}\n", "x.yaml:1:4"),
        ("# {{ a }} {{/* here\nb: 2\n# closing */}}\n", "x.yaml:1:11"),
        ("a: |\n  {{ b\nc: {{ .d }}\n", "x.yaml:2:3"),
        ("a: |\n  {{ b\nc:\n  - d\n# }}\n", "x.yaml:2:3"),
        ("a:\n- {{ b\n- c }}\n", "x.yaml:2:3"),
        ('a: |\n  {{ b\n\n{"c":"d"}\n}}\n', "x.yaml:2:3"),
        ("a: '{{ \"b'\nc: '{{ .d }}'\n", "x.yaml:1:5"),
        ("# {{ `\na: '{{ .b }}'\n", "x.yaml:1:3"),
    ],
)
def test_a_template_that_is_not_closed_hides_nothing(text: str, where: str) -> None:
    with pytest.raises(RenderError, match="not closed") as caught:
        read_source("x.yaml", text.encode())
    assert caught.value.where == where
    assert caught.value.hint


def test_a_file_without_aliases_has_none_to_follow() -> None:
    source = read_source("x.yaml", b"a: &x 1\nb: 2\n")
    assert source.targets(source.documents[0].root) == source.targets(None) == {}
    source = read_source("x.yaml", b"a: &x 1\nb: *x\n")
    assert list(source.targets(source.documents[0].root)) == [11]


def test_the_line_of_a_place_is_that_of_the_file_around() -> None:
    source = read_source("x.yaml", b"a: 1\nb: 2\n")
    root = source.documents[0].root
    assert isinstance(root, MappingNode)
    mark = root.pairs[1][1].start
    assert source.line(mark) == 2
    assert replace(source, around=lambda _: "dir:1/x.yaml:7:3").line(mark) == 7


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("s: |\n  x {{ a\n    b\n  }} y\nz: 1\n", "s: |\n  x xxxx\n    x\n  xx y\nz: 1\n"),
        ("y: {{ dict\n  'a' 1 }}\nz: 1\n", "y: xxxxxxx\n  xxxxxxxx\nz: 1\n"),
    ],
)
def test_lines_of_a_template_keep_their_indentation(text: str, hidden: str) -> None:
    assert mask_templates("v.yaml", text) == hidden
    assert len(read_source("v.yaml", text.encode()).documents) == 1
