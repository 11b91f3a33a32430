from __future__ import annotations

from collections.abc import Mapping

import pytest

from towline.errors import ConfigError
from towline.gitops.helm_values import PathValues
from towline.gitops.image_parts import ImagePart, ImageParts

WEB = ImageParts(host="reg.io", name="team/web", tag="2", whole="reg.io/team/web:2")
USUAL = {f"image.{part}": ImagePart(image=WEB, part=part) for part in ("repository", "tag")}
PODS = "spec: {template: {spec: {containers: [{name: app, image: 'reg.io/team/web:1'}]}}}\n"
TAG = {"tag": USUAL["image.tag"]}
IN_ITEM = {"spec.template.spec.containers[0].img": ImagePart(image=WEB, part="image")}


def changed(text: str, values: Mapping[str, ImagePart], *, create: bool = False) -> str:
    change = PathValues(pattern="v.yaml", values=values, create=create)
    return change.apply({"v.yaml": text.encode()}).get("v.yaml", text.encode()).decode()


@pytest.mark.parametrize(
    ("text", "values", "there"),
    [
        (
            PODS,
            {"spec.image": ImagePart(image=WEB, part="image")},
            "spec.template.spec.containers[0].image",
        ),
        (PODS, IN_ITEM, "spec.template.spec.containers[0].image"),
        (
            "spec: {img: 'reg.io/team/web:1'}\n",
            {"spec.image": ImagePart(image=WEB, part="image")},
            "spec.img",
        ),
        (
            "web: {container: 'reg.io/team/web:1'}\n",
            {"web.image": ImagePart(image=WEB, part="image")},
            "web.container",
        ),
        (
            "webImage: reg.io/team/web:1\n",
            {"image": ImagePart(image=WEB, part="image")},
            "webImage",
        ),
        ("webVersion: '1'\nrepo: reg.io/team/web\n", TAG, "webVersion"),
        ("webImage: reg.io/team/web:1\n", TAG, "webImage"),
        (
            "web: {image: {repository: reg.io/team/web, tag: '1'}}\nport: 1\n",
            TAG,
            "web.image.repository",
        ),
        (
            "image: {pullPolicy: Always}\nwebImage: {repository: reg.io/team/web, tag: '1'}\n",
            USUAL,
            "webImage.repository",
        ),
    ],
)
def test_a_missing_key_is_refused_where_the_image_stands_under_another(
    text: str, values: Mapping[str, ImagePart], there: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        changed(text, values)
    assert f"is not in v.yaml, but the image stands at {there}" in caught.value.message
    assert caught.value.where.startswith("v.yaml:")
    assert "createPaths" in caught.value.hint
    assert changed(text, values, create=True) != text


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("repo: reg.io/team/web\npythonVersion: '3'\n", TAG),
        (
            "image: reg.io/team/web:1\n",
            {"image": ImagePart(image=WEB, part="image"), "tag": TAG["tag"]},
        ),
        (
            "web: {image: {tag: '1'}}\njob: {image: 'reg.io/team/web:1'}\n",
            {"web.image.repository": USUAL["image.repository"]},
        ),
        ("image: {pullPolicy: Always}\njob: {image: 'reg.io/team/cart:1'}\n", USUAL),
        (
            (
                "image: {pullPolicy: Always}\n---\nkind: ImageRepository\nspec: {image:"
                " reg.io/team/web}\n"
            ),
            USUAL,
        ),
    ],
)
def test_a_missing_key_is_added_where_the_image_is_known_to_belong(
    text: str, values: Mapping[str, ImagePart]
) -> None:
    assert changed(text, values) != text


def test_what_the_chart_beside_has_may_be_set_though_the_image_stands_elsewhere() -> None:
    files = {
        "c/Chart.yaml": b"name: c\n",
        "c/values.yaml": b"tag: a\n",
        "c/p.yaml": b"job: reg.io/team/web:1\n",
    }
    assert PathValues(pattern="c/p.yaml", values=TAG).apply(files) == {
        "c/p.yaml": b'job: reg.io/team/web:1\ntag: "2"\n'
    }


IMAGE = ImagePart(image=WEB, part="image")
OTHER = "{image: {repository: x, tag: '1'}}"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (f"kind: HelmRelease\nspec: {{values: {{web: {OTHER}}}}}\n", "spec.values.tag"),
        (f"shop: {OTHER}\n", "shop.tag"),
        ("shopImage: x:1\nport: 1\n", "tag"),
        ("spec: {sidecar: {image: 'x:1'}, replicas: 1}\n", "spec.tag"),
    ],
)
def test_a_missing_key_beside_nothing_of_an_image_is_refused_where_images_stand_elsewhere(
    text: str, path: str
) -> None:
    values = {path: TAG["tag"]}
    with pytest.raises(ConfigError, match="no other part of an image stands beside it") as caught:
        changed(text, values)
    assert caught.value.where.startswith("v.yaml:")
    assert "createPaths" in caught.value.hint
    assert changed(text, values, create=True) != text


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("replicas: 1\n", {"image": IMAGE}),
        ("spec: {replicas: 1}\n", {"spec.image": IMAGE}),
        (f"image: {{pullPolicy: Always}}\nside: {OTHER}\n", USUAL),
        (f"web: {{replicas: 1}}\nside: {OTHER}\n", {"web.tag": TAG["tag"]}),
        ("shop: {replicas: 1}\nside: {image: 'x:1'}\n", {"shop.image": IMAGE}),
        ("shop: {imageName: x}\nside: {image: 'x:1'}\n", {"shop.imageTag": TAG["tag"]}),
        ("cartImage: 'x:1'\n", {"webImage": IMAGE}),
        (
            "global: {a: 1}\nimage: {repository: web}\n",
            {"global.imageRegistry": ImagePart(image=WEB, part="registry")},
        ),
        (
            "shop: {version: '1'}\nside: {image: 'x:1'}\n",
            {"shop.version": TAG["tag"], "shop.path": USUAL["image.repository"]},
        ),
    ],
)
def test_a_missing_key_is_added_where_it_belongs_or_nothing_else_is_known(
    text: str, values: Mapping[str, ImagePart]
) -> None:
    assert changed(text, values) != text
