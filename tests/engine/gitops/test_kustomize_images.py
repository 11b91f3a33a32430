from __future__ import annotations

import pytest

from towline.gitops.kustomize_images import image_names, referenced_paths

POD = b"spec: {containers: [{name: a, image: %s}], initContainers: [{image: init:1}]}\n"
FILES = {
    "base/kustomization.yml": (
        b"resources: [d.yaml]\nimages: [{name: web, newName: reg.io/web}, {name: init, newTag:"
        b" '2'}]\n"
    ),
    "base/d.yaml": POD % b"web:1",
    "over/kustomization.yaml": (
        b"""\
resources: [../base, ./own.yaml]
components: [../part]
patchesStrategicMerge: [p.yaml, "spec: {containers: [{image: inline}]}\\n"]
patches:
- path: q.yaml
- patch: |-
    - {op: replace, path: /spec/containers/0/image, value: 'patched:5'}
"""
    ),
    "over/own.yaml": POD % b"reg.io:5000/team/own@sha256:00",
    "over/p.yaml": POD % b"p",
    "over/q.yaml": POD % b"q:1",
    "part/Kustomization": b"kind: Component\nresources: []\n",
}


def test_the_names_are_those_that_an_overlay_sees() -> None:
    assert image_names("over/kustomization.yaml", FILES) == {
        "reg.io/web",
        "init",
        "reg.io:5000/team/own",
        "inline",
        "patched",
        "p",
        "q",
    }
    assert image_names("base/kustomization.yml", FILES) == {"web", "init"}


def test_what_is_read_is_asked_for_step_by_step() -> None:
    first = {"over/kustomization.yaml": FILES["over/kustomization.yaml"]}
    asked = referenced_paths("over/kustomization.yaml", first)
    assert {
        "base",
        "base/kustomization.yml",
        "over/own.yaml",
        "part/Kustomization",
        "over/q.yaml",
    } <= asked
    more = first | {"base/kustomization.yml": FILES["base/kustomization.yml"]}
    assert referenced_paths("over/kustomization.yaml", more) - asked >= {"base/d.yaml"}
    assert referenced_paths("nowhere", {}) == set()


@pytest.mark.parametrize(
    "text",
    [
        "resources: ['https://example.com/x.yaml']\n",
        "resources: [github.com/a/b?ref=1]\n",
        "resources: ['git@host:a/b.git']\n",
        "resources: [missing.yaml]\n",
        "resources: [../over]\n",
        "helmCharts: [{name: a}]\nresources: [own.yaml]\n",
        "resources: [broken.yaml]\n",
        "a: 1\n---\nb: 2\n",
    ],
)
def test_what_cannot_be_read_as_a_whole_is_none(text: str) -> None:
    files = FILES | {"over/kustomization.yaml": text.encode(), "over/broken.yaml": b"a: ["}
    assert image_names("over/kustomization.yaml", files) is None


def test_a_circle_ends() -> None:
    files = {
        f"{one}/kustomization.yaml": f"resources: [../{other}]\n".encode()
        for one, other in ("ab", "ba")
    }
    assert image_names("a/kustomization.yaml", files) is None
    assert "b/kustomization.yaml" in referenced_paths("a/kustomization.yaml", files)


def test_a_base_that_many_take_in_is_read_once() -> None:
    files = {
        f"k{number}/kustomization.yaml": (
            f"resources: [../k{number + 1}, ../k{number + 1}]\n".encode()
        )
        for number in range(60)
    }
    files |= {"k60/kustomization.yaml": b"resources: [d.yaml]\n", "k60/d.yaml": POD % b"web:1"}
    assert image_names("k0/kustomization.yaml", files) == {"web", "init"}


def test_a_row_of_kustomizations_that_is_too_long_is_none() -> None:
    files = {
        f"k{number}/kustomization.yaml": f"resources: [../k{number + 1}]\n".encode()
        for number in range(2000)
    }
    files |= {"k2000/kustomization.yaml": b"resources: []\n"}
    assert image_names("k0/kustomization.yaml", files) is None


def test_aliases_are_read_once_and_in_a_circle_not_at_all() -> None:
    shared = "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    files = {
        "k/kustomization.yaml": b"resources: [d.yaml]\n",
        "k/d.yaml": f"a0: &a0 {{image: 'web:1'}}\n{shared}".encode(),
    }
    assert image_names("k/kustomization.yaml", files) == {"web"}
    endless = files | {"k/d.yaml": b"a: &a {b: *a, image: web}\n"}
    assert image_names("k/kustomization.yaml", endless) is None
