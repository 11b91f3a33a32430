from __future__ import annotations

import pytest

from towline.gitops.argo_images import images_of_override, override_paths, overrides

URL = "https://git.example.com/ops.git"
APPLICATION = b"""\
apiVersion: argoproj.io/v1alpha1
kind: Application
spec:
  source:
    repoURL: %s
    path: apps/shop
    kustomize: {images: ["webshp=reg.io:5000/shop:2", "reg.io:5000/other@sha256:00", {no: text}]}
""" % URL.encode()
FILES = {
    "apps/shop/kustomization.yaml": b"resources: [d.yaml]\nimages: [{name: b, newName: c}]\n",
    "apps/shop/d.yaml": b"spec: {containers: [{name: a, image: 'webshop:1'}, {image: b}]}\n",
}


def is_ours(url: str) -> bool:
    return url == URL


def test_the_entries_are_read_with_the_names_that_they_are_for() -> None:
    found = overrides(APPLICATION, is_ours)
    assert [(one.name, one.image, one.folder) for one in found] == [
        ("webshp", "reg.io:5000/shop:2", "apps/shop"),
        ("reg.io:5000/other", "reg.io:5000/other@sha256:00", "apps/shop"),
    ]
    assert images_of_override(found[0], FILES) == {"webshop", "b", "c"}
    assert images_of_override(found[0], {}) is None


def test_what_they_are_for_is_looked_at_step_by_step() -> None:
    assert "apps/shop/kustomization.yaml" in override_paths(APPLICATION, {}, is_ours)
    assert "apps/shop/d.yaml" in override_paths(APPLICATION, FILES, is_ours)
    assert override_paths(b"kind: x\n", FILES, is_ours) == set()


def test_sets_and_several_sources_have_them_too() -> None:
    source = b"{repoURL: '%s', path: a, kustomize: {images: ['a=b:1']}}" % URL.encode()
    head = b"apiVersion: argoproj.io/v1alpha1\n"
    for text in (b"spec: {sources: [%s]}", b"spec: {template: {spec: {source: %s}}}"):
        assert [one.name for one in overrides(head + text % source, is_ours)] == ["a"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"git.example.com", b"elsewhere.example.com"),
        (b"apps/shop", b"'{{path}}'"),
        (b"kustomize: {", b"kustomize: {patches: [{patch: x}], "),
        (b"argoproj.io/v1alpha1", b"v1"),
        (b"spec:", b"other:"),
    ],
)
def test_what_is_for_others_or_not_known_has_none(old: bytes, new: bytes) -> None:
    assert overrides(APPLICATION.replace(old, new), is_ours) == []
