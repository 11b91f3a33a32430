from __future__ import annotations

from typing import Any

import pytest

from towline.gitops.helm.image_values import (
    ImageValues,
    image_keys,
    images_over_defaults,
    is_other_image,
    unused_keys,
    values_for_images,
)

WEB = ImageValues(repository="h.io/team/web", tag="2")


@pytest.mark.parametrize(
    ("base", "result"),
    [
        ({}, {"repository": "h.io/team/web", "tag": "2"}),
        (
            {"image": {"registry": "docker.io", "repository": "team/web"}},
            {"registry": "h.io", "repository": "team/web", "tag": "2"},
        ),
        (
            {"image": {"digest": "sha256:0"}},
            {"repository": "h.io/team/web", "tag": "2", "digest": ""},
        ),
        ({"image": {"registry": "", "digest": ""}}, {"repository": "h.io/team/web", "tag": "2"}),
        (
            {"global": {"imageRegistry": "h.io"}, "image": {"repository": "old"}},
            {"repository": "team/web", "tag": "2"},
        ),
        ({"image": "old:1"}, "h.io/team/web:2"),
        ({"image": ""}, {"repository": "h.io/team/web", "tag": "2"}),
    ],
)
def test_an_image_takes_the_form_that_the_chart_has(base: dict[str, Any], result: object) -> None:
    assert values_for_images({"image": WEB}, base) == {"image": result}


@pytest.mark.parametrize(
    ("text", "another"),
    [
        ("h.io/team/cart:1", True),
        ("h.io/team/web:1", False),
        ("h.io/other/web:1", False),
        ("staging.h.io/team/cart:1", False),  # as a chart has it before its first deployment
        ("nginx:1", False),
    ],
)
def test_an_image_of_the_same_registry_by_another_name_is_another_one(
    text: str, another: object
) -> None:
    assert is_other_image(WEB, text) is another


def test_the_other_form_has_the_registry_apart_or_in_the_repository() -> None:
    apart = {"image": {"registry": "docker.io", "repository": "team/web"}}
    assert values_for_images({"image": WEB}, apart, ["image"]) == {
        "image": {"registry": "", "repository": "h.io/team/web", "tag": "2"}
    }
    assert values_for_images({"image": WEB}, {}, ["image"]) == {
        "image": {"registry": "h.io", "repository": "team/web", "tag": "2"}
    }


def test_keys_below_each_other_come_together() -> None:
    side = ImageValues(repository="h.io/side", tag="3", digest="sha256:1")
    assert values_for_images({"a.image": WEB, "a.side.image": side}, {}) == {
        "a": {
            "image": {"repository": "h.io/team/web", "tag": "2"},
            "side": {"image": {"repository": "h.io/side", "tag": "3", "digest": "sha256:1"}},
        }
    }


def test_what_nothing_names_is_told_by_its_key() -> None:
    rendered = b"kind: Pod\nspec: {containers: [{name: a, image: h.io/team/web:2}]}\n"
    assert unused_keys(
        {"image": WEB, "side": ImageValues(repository="h.io/side", tag="1")}, rendered
    ) == ["side"]


def test_a_text_beside_a_container_that_runs_another_version_is_no_image_that_is_named() -> None:
    rendered = b"kind: Pod\nspec: {containers: [{name: a, image: docker.io/h.io/team/web:2}]}\n"
    note = b"---\nkind: ConfigMap\ndata: {web: 'h.io/team/web:2'}\n"
    assert unused_keys({"image": WEB}, rendered + note) == ["image"]


def test_keys_that_images_seem_to_be_called_by_are_known() -> None:
    files = {
        "c/values.yaml": (
            b"web: {image: {repository: a, tag: b}, sideImage: 'x:1', n: 1}\nimage: {pullPolicy:"
            b" Always}\n"
        ),
        "c/charts/sub/values.yaml": b"image: {registry: a}\n",
        "c/templates/x.yaml": b"no: {repository: a}\n",
    }
    assert image_keys(files) == ["sub.image", "web.image", "web.sideImage"]


def test_values_that_aliases_repeat_are_looked_through_once() -> None:
    shared = "".join(f"a{n}: &a{n} {{l: *a{n - 1}, r: *a{n - 1}}}\n" for n in range(1, 60))
    text = f"a0: &a0 {{image: {{repository: a}}}}\n{shared}"
    assert image_keys({"values.yaml": text.encode()}) == ["a0.image"]


def test_what_aliases_multiply_in_a_chart_s_own_values_is_looked_at_once() -> None:
    lines = [
        f"a{n}: &a{n}"
        f" {{{f'l: *a{n - 1}, r: *a{n - 1}' if n else 'repository: h.io/web, tag: %s'}}}\n"
        for n in range(60)
    ]
    weak, strong = ("".join(lines).replace("%s", text).encode() for text in ("'1'", "'2'"))
    files = {"Chart.yaml": b"name: web\n", "values.yaml": weak, "prod.yaml": strong}
    assert {one.text for one in images_over_defaults("prod.yaml", files, {"web"})} == {"h.io/web:2"}
