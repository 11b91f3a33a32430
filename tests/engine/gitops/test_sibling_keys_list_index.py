from __future__ import annotations

import pytest

from towline.errors import ConfigError
from towline.gitops.helm_values import PathValues
from towline.gitops.image_parts import ImagePart, ImageParts, with_image

WEB = ImagePart(
    image=ImageParts(host="reg.io", name="team/web", tag="2", whole="reg.io/team/web:2"),
    part="image",
)
POD = "spec: {containers: [{name: proxy, image: 'istio/proxy:1'}, {name: app, image: '%s'}]}\n"
ARGO = "spec: {source: {kustomize: {images: [%s, %s]}}}\n"
FIRST = "spec.source.kustomize.images[0]"


def written(text: str, path: str) -> str:
    change = PathValues(pattern="v.yaml", values={path: WEB}, writers={path: with_image})
    return change.apply({"v.yaml": text.encode()})["v.yaml"].decode()


@pytest.mark.parametrize(
    ("text", "path", "there"),
    [
        (POD % "reg.io/team/web:1", "spec.containers[0].image", "spec.containers[1].image"),
        (ARGO % ("reg.io/team/cart:1", "reg.io/team/web:1"), FIRST, FIRST.replace("0", "1")),
        (ARGO % ("cart=reg.io/cart:1", "web=reg.io/team/web:1"), FIRST, FIRST.replace("0", "1")),
    ],
)
def test_an_index_that_leads_past_the_image_is_refused(text: str, path: str, there: str) -> None:
    with pytest.raises(ConfigError) as caught:
        written(text, path)
    told = f"{path} holds another image, and reg.io/team/web:2 belongs at {there}"
    assert caught.value.message == told
    assert caught.value.where.startswith("v.yaml:1:")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (POD % "reg.io/team/web:1", "spec.containers[1].image"),
        (POD % "reg.io/team/web:1", "spec.containers[name=proxy].image"),
        (POD % "reg.io/team/shop:1", "spec.containers[0].image"),
        ("a: [{image: placeholder}, {image: 'reg.io/team/web:1'}]\n", "a[0].image"),
        ("a: [{image: 'mirror.io/team/web:1'}, {image: 'reg.io/team/web:1'}]\n", "a[0].image"),
        ("a: [{image: 'x/y:1'}, {job: 'reg.io/team/web:1'}]\n", "a[0].image"),
        ("a: [{image: 'x/y:1'}]\nb: [{}, {image: 'reg.io/team/web:1'}]\n", "a[0].image"),
    ],
)
def test_any_other_place_is_written(text: str, path: str) -> None:
    assert "reg.io/team/web:2" in written(text, path)
