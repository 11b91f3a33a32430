from __future__ import annotations

from towline.gitops.yaml_lookup import (
    image_key_paths,
    map_texts,
    resource_at,
    scalar_text,
)
from towline.yaml.source import read_source

TEXT = """\
kind: List
items:
- kind: Deployment
  metadata: {name: web}
  spec:
    scaleTargetRef: {kind: Other, name: x}
    image: {<<: [*a, *b], tag: "1", map: {}}
- &c {kind: Pod}
"""
SOURCE = read_source(
    "f", ("x: [&a {registry: r, tag: '0'}, &b {registry: no, <<: {sha: s}}]\n" + TEXT).encode()
)


def test_texts_stand_beside_each_other_or_are_brought_in_by_merge_keys() -> None:
    place = ("items", 0, "spec", "image")
    assert map_texts(SOURCE, 0, place) == {"registry": "r", "tag": "1", "sha": "s"}
    assert scalar_text(SOURCE, 0, (*place, "tag")) == "1"
    assert scalar_text(SOURCE, 0, (*place, "none")) == ""
    assert map_texts(SOURCE, 0, ("items", 9)) == map_texts(SOURCE, 0, ("kind",)) == {}


def test_a_resource_is_named_with_its_namespace_if_it_says_one() -> None:
    source = read_source("f", b"kind: Pod\nmetadata: {name: web, namespace: shop}\n")
    assert resource_at(source, 0, ()) == "Pod/shop/web"


def test_a_resource_is_the_innermost_with_a_kind_and_a_name() -> None:
    assert (
        resource_at(SOURCE, 0, ("items", 0, "spec", "scaleTargetRef", "name")) == "Deployment/web"
    )
    assert resource_at(SOURCE, 0, ("items", 1, "spec")) == ""


def test_places_that_an_image_may_be_in_are_known_by_their_keys() -> None:
    text = (
        "web: {image: a, imageTag: b, imagePullPolicy: g, imageName: h}\nlist: [{repository: d,"
        " stage: e}]\nimage: {pullPolicy: f}\n"
    )
    assert image_key_paths(read_source("f", text.encode())) == [
        "web.image",
        "web.imageTag",
        "web.imageName",
        "list[0].repository",
    ]
