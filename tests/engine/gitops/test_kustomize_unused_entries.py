from __future__ import annotations

from typing import Any

import pytest

from towline.errors import ConfigError
from towline.gitops.kustomize import KustomizeImage


def said(
    files: dict[str, str], name: str, pattern: str = "k/kustomization.yaml", **given: Any
) -> list[str]:
    warnings: list[str] = []
    change = KustomizeImage(
        pattern=pattern, name=name, new_name="n", new_tag="1", warn=warnings.append, **given
    )
    contents = {path: text.encode() for path, text in files.items()}
    wanted = {path: contents[path] for path in change.wants(sorted(contents))}
    while more := set(change.context([], wanted)) & contents.keys() - wanted.keys():
        wanted |= {path: contents[path] for path in more}
    change.apply(wanted)
    return warnings


DEPLOYMENT = "spec: {template: {spec: {containers: [{name: a, image: 'webshop:1'}]}}}\n"


def test_an_entry_that_no_resource_needs_is_said_with_the_near_names() -> None:
    files = {
        "k/kustomization.yaml": "resources: [../b]\n",
        "b/kustomization.yaml": "resources: [d.yaml]\n",
        "b/d.yaml": DEPLOYMENT,
    }
    (text,) = said(files, "webshp")
    assert (
        text == "k/kustomization.yaml gets an entry for an image called webshp, which none of its"
        " resources runs; known images: webshop; did you mean webshop?"
    )
    assert said(files, "webshop") == []
    assert said(files, "webshp", check_use=False) == []


@pytest.mark.parametrize("entry", ["{name: webshp}", "{name: webshp, newName: n, newTag: '1'}"])
def test_so_is_one_that_was_there_whether_it_changes_or_not(entry: str) -> None:
    files = {
        "k/kustomization.yaml": f"images: [{entry}]\nresources: [d.yaml]\n",
        "k/d.yaml": DEPLOYMENT,
    }
    (text,) = said(files, "webshp")
    assert (
        text == "k/kustomization.yaml has an entry for an image called webshp, which none of its"
        " resources runs; known images: webshop; did you mean webshop?"
    )


def test_where_it_is_strict_the_next_image_for_such_an_entry_is_an_error() -> None:
    files = {
        "k/kustomization.yaml": "images: [{name: webshp, newTag: '0'}]\nresources: [d.yaml]\n",
        "k/d.yaml": DEPLOYMENT,
    }
    with pytest.raises(
        ConfigError, match="which none of its resources runs; known images: webshop"
    ) as caught:
        said(files, "webshp", strict=True)
    assert (caught.value.where, "imageCheck: warn" in caught.value.hint) == (
        "k/kustomization.yaml",
        True,
    )
    files["k/kustomization.yaml"] = (
        "images: [{name: webshp, newName: n, newTag: '1'}]\nresources: [d.yaml]\n"
    )
    assert len(said(files, "webshp", strict=True)) == 1  # a run that is made again
    assert len(said(files, "other", strict=True)) == 1  # an entry that is added
    files |= {
        "k/kustomization.yaml": "images: [{name: webshp}]\nresources: [d.yaml]\n",
        "l/kustomization.yaml": "resources: [../k]\nimages: [{name: webshop}]\n",
    }
    assert said(files, "webshop", "[kl]/kustomization.yaml", strict=True) == []
    files["l/kustomization.yaml"] = (
        "images: [{name: webshp}]\nresources: ['https://example.com/x']\n"
    )
    # the other kustomization may run it
    assert len(said(files, "webshp", "[kl]/kustomization.yaml", strict=True)) == 1
    # no image to compare with
    assert (
        len(said({"k/kustomization.yaml": "images: [{name: webshp}]\n"}, "webshp", strict=True))
        == 1
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            (
                "images: [{name: webshop, newName: mirror}, {name: mirror, newTag:"
                " '1'}]\nresources: [d.yaml]\n"
            ),
            "mirror",
        ),
        ("images: [{name: 'web.*'}]\nresources: [d.yaml]\n", "web.*"),
        ("images: [{name: 'webshop:1'}]\nresources: [d.yaml]\n", "webshop:1"),
        ("kind: Component\nimages: [{name: other}]\nresources: [d.yaml]\n", "other"),
        ("images: [{name: other}]\nresources: [d.yaml]\ncomponents: [../c]\n", "other"),
        ("images: [{name: other}]\nresources: [d.yaml]\npatches: [{patch: '[: '}]\n", "other"),
        ("images: [{name: other}]\nresources: [d.yaml, ../r]\n", "other"),
    ],
)
def test_what_an_entry_may_be_for_all_the_same_is_not_judged(text: str, name: str) -> None:
    files = {
        "k/kustomization.yaml": text,
        "k/d.yaml": DEPLOYMENT,
        "r/kustomization.yaml": "replacements: [{path: r.yaml}]\n",
        "c/kustomization.yaml": "kind: Component\nimages: [{name: webshop, newName: other}]\n",
    }
    assert said(files, name, strict=True) == []


OF_FLUX = """\
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps}
spec:
  path: ./apps
  images: [{name: webshp, newTag: '0'}]
"""


def test_an_entry_of_flux_is_a_warning_where_the_files_are_in_the_repository() -> None:
    files = {
        "k/kustomization.yaml": OF_FLUX,
        "apps/kustomization.yaml": "resources: [d.yaml]\n",
        "apps/d.yaml": DEPLOYMENT,
    }
    (text,) = said(files, "webshp", strict=True)
    assert text.endswith(
        "which none of its resources runs; known images: webshop; did you mean webshop?"
    )
    for other in (
        OF_FLUX.replace("webshp", "webshop"),
        OF_FLUX + "  patches: [{patch: x}]\n",
        OF_FLUX.replace("./apps", "../apps"),
    ):
        assert (
            said(
                files | {"k/kustomization.yaml": other},
                "webshop" if "webshop" in other else "webshp",
                strict=True,
            )
            == []
        )
    assert (
        said(
            files | {"apps/d.yaml": DEPLOYMENT.replace("webshop", "${registry}/webshop")}, "webshp"
        )
        == []
    )


def test_resources_that_cannot_be_read_say_nothing_but_for_a_near_entry() -> None:
    files = {"k/kustomization.yaml": "resources: ['https://example.com/d.yaml']\n"}
    assert said(files, "web") == []
    files["k/kustomization.yaml"] += "images: [{name: webshop}]\n"
    assert said(files, "webshp") == [
        (
            "k/kustomization.yaml has no entry for an image called webshp, and gets one; did you"
            " mean webshop?"
        )
    ]
    assert said({"k/kustomization.yaml": OF_FLUX.replace("images", "others")}, "web") == []
    (text,) = said(
        {
            "k/kustomization.yaml": (
                "resources: [gone.yaml]\nimages: [{name: placeholder, newName: n}]\n"
            )
        },
        "web",
    )
    assert text.endswith("did you mean placeholder?")
