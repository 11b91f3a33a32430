from __future__ import annotations

import pytest

from tests.engine.gitops.targets import targets
from towline.gitops.value_targets import candidate_of


@pytest.mark.parametrize(
    ("text", "parts", "image"),
    [
        ("a: {repository: r/x, tag: '1'}", {"a_tag": "tag"}, "r/x:1"),
        ("a: {registry: h.io, name: x}", {"a_tag": "tag"}, "h.io/x:latest"),
        ("a: {tag: '1'}", {"a_tag": "tag"}, ""),
        ("a: {here: 'x:1'}", {"a_here": "image"}, "x:1"),
        ("a: {registry: h.io, here: 'x:1'}", {"a_here": "image"}, "h.io/x:1"),
        ("a: {n: x, t: '3'}", {"a_n": "repository", "a_t": "tag"}, "x:3"),
        ("a: {other: 1}", {"a_image": "image"}, ""),
    ],
)
def test_what_stands_at_a_place_is_told_by_its_parts(
    text: str, parts: dict[str, str], image: str
) -> None:
    assert candidate_of(targets(text, **parts)).image == image


def test_a_place_in_a_text_belongs_to_the_resource_around() -> None:
    text = "kind: Application\nmetadata: {name: web}\nvalues: |\n  image:\n    tag: '1'\n"
    (target,) = targets(text, values_image_tag="tag")
    assert candidate_of([target]).resource == "Application/web"
    assert target.sibling_texts == {"tag": "1"}
