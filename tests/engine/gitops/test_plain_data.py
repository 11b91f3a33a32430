from __future__ import annotations

import pytest

from towline.gitops.plain_data import load, load_template


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        (
            "tag: 1.10\nother: 0x1F\nday: 2026-01-02\non: yes\nnone: ~\nempty:\n",
            [
                {
                    "tag": "1.10",
                    "other": "0x1F",
                    "day": "2026-01-02",
                    "on": "yes",
                    "none": None,
                    "empty": None,
                }
            ],
        ),
        ("a: 1\n---\n---\n- b\n", [{"a": "1"}, ["b"]]),
        (
            "x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\n",
            [{"x": {"a": "1", "b": "2"}, "y": {"a": "1", "b": "3"}}],
        ),
        (
            "x: !Sub ${a}\ny: !!int 010\nz: !thing {a: b}\n",
            [{"x": "${a}", "y": "010", "z": {"a": "b"}}],
        ),
        ('{"a": null, "b": 1.50}', [{"a": None, "b": "1.50"}]),
    ],
)
def test_every_text_is_as_it_is_written(text: str, documents: list[object]) -> None:
    assert load(text.encode()) == documents


@pytest.mark.parametrize("data", [b"a: [", b"\xff", b"{{ if .x }}\na: b\n", b"? {a: b}\n: c\n"])
def test_what_cannot_be_read_is_none(data: bytes) -> None:
    assert load(data) is None


def test_a_template_is_read_with_words_in_its_place() -> None:
    documents = load_template(b"{{- if .x }}\na: {{ .Values.a }}:1\nb: c/d:2\n{{- end }}\n")
    assert documents is not None
    assert documents[0]["b"] == "c/d:2"
    assert load_template(b"a: {{\nb: }}c\n") is None
    assert load_template(b"\xff") is None
