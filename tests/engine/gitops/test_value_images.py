from __future__ import annotations

import pytest

from towline.errors import ConfigError
from towline.gitops.dotted import find, parse_dotted
from towline.gitops.image_parts import ImagePart, ImageParts
from towline.gitops.source import read
from towline.gitops.value_images import Spot, by_site, candidate, placed_texts

WEB = ImageParts(
    host="reg.io", name="team/web", tag="2", digest="sha256:0", whole="reg.io/team/web:2"
)


def spots(text: str, **parts: str) -> list[Spot]:
    source = read("f", text.encode())
    asked = {
        path.replace("_", "."): ImagePart(image=WEB, part=part) for path, part in parts.items()
    }
    return [
        Spot(text=path, file=source, place=place, wanted=part)
        for path, part in asked.items()
        for place in find(source, parse_dotted(path))
    ]


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
    assert candidate(spots(text, **parts)).image == image


def test_a_place_in_a_text_belongs_to_the_resource_around() -> None:
    text = "kind: Application\nmetadata: {name: web}\nvalues: |\n  image:\n    tag: '1'\n"
    (spot,) = spots(text, values_image_tag="tag")
    assert candidate([spot]).resource == "Application/web"
    assert spot.beside == {"tag": "1"}


def test_spots_of_one_map_come_together_and_their_registry_is_set_once() -> None:
    text = "a: {registry: h.io, repository: x, tag: '1'}\nb: {repository: y}\n"
    groups = by_site(spots(text, a_repository="repository", b_repository="repository", a_tag="tag"))
    assert [[spot.text for spot in group] for _, group in groups] == [
        ["a.repository", "a.tag"],
        ["b.repository"],
    ]
    texts, more = placed_texts(groups[0][1], {})
    assert texts == {"a.repository": "team/web", "a.tag": "2"}
    assert [(one.old, one.edit.path, one.edit.value) for one in more] == [
        ("h.io", ("a", "registry"), "reg.io")
    ]


def test_a_registry_that_is_asked_for_itself_is_not_set_twice() -> None:
    group = spots(
        "a: {registry: h.io, repository: x}", a_repository="repository", a_registry="registry"
    )
    assert placed_texts(group, {}) == ({"a.repository": "team/web", "a.registry": "reg.io"}, [])


def test_the_chart_s_own_values_tell_the_form_where_the_file_does_not() -> None:
    base = {"a": {"registry": "docker.io", "repository": "old"}}
    texts, more = placed_texts(spots("a: {tag: '1'}", a_repository="repository"), base)
    assert texts == {"a.repository": "team/web"}
    assert [(one.old, one.edit.path, one.edit.value) for one in more] == [
        ("", ("a", "registry"), "reg.io")
    ]
    common = {"global": {"imageRegistry": "reg.io"}, "a": {"repository": "old"}}
    assert placed_texts(spots("a: {tag: '1'}", a_repository="repository"), common) == (
        {"a.repository": "team/web"},
        [],
    )


def test_a_registry_for_all_images_in_the_chart_s_own_values_is_refused_as_the_file_s() -> None:
    base = {"global": {"imageRegistry": "docker.io"}, "a": {"repository": "old"}}
    with pytest.raises(ConfigError, match=r"global.imageRegistry is docker.io") as caught:
        placed_texts(spots("a: {tag: '1'}", a_repository="repository"), base)
    assert caught.value.where == "f"


def test_parameters_of_a_list_are_a_map_by_their_names() -> None:
    values = {
        "image.registry": "a.io",
        "image.repository": "web",
        "x.registry": "b.io",
        "image.tag": "'1'",
    }
    text = "p:\n" + "".join(
        f"- {{name: {name}, value: {value}}}\n" for name, value in values.items()
    )
    source = read("f", text.encode())
    asked = {
        f"p[name=image.{part}].value": ImagePart(image=WEB, part=part)
        for part in ("repository", "tag")
    }
    group = [
        Spot(text=path, file=source, place=place, wanted=part)
        for path, part in asked.items()
        for place in find(source, parse_dotted(path))
    ]
    assert len(by_site(group)) == 1
    assert candidate(group).image == "a.io/web:1"
    texts, (registry,) = placed_texts(group, {})
    assert list(texts.values()) == ["team/web", "2"]
    assert registry.edit.path == ("p", 0, "value")


def test_a_registry_that_is_right_is_left() -> None:
    group = spots("a: {registry: reg.io, repository: x}", a_repository="repository")
    assert placed_texts(group, {}) == ({"a.repository": "team/web"}, [])
