from __future__ import annotations

import pytest

from towline.errors import ConfigError
from towline.gitops.candidates import Candidate, Choice

NEW = "reg.io/team/web:2"


def chosen(*images: str, past: tuple[str, ...] = (), resource: str = "") -> list[int]:
    """The numbers of the chosen files."""
    candidates = [
        Candidate(file=f"{number}.yaml", resource=f"Deployment/{number}", image=image)
        for number, image in enumerate(images)
    ]
    kept = Choice(resource=resource, deployed_before=lambda: past).select(
        "container 'app'", candidates, NEW
    )
    return [number for number, keep in enumerate(kept) if keep]


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (("old.io/x:1",), [0]),
        (("old.io/x:1", "old.io/x:2", "old.io/x@sha256:" + "0" * 64), [0, 1, 2]),
        (("old.io/x:1", "", "app", "team/app"), [0, 1, 2, 3]),
        (("x:1", "docker.io/library/x:2", "index.docker.io/x:3"), [0, 1, 2]),
        (("", ""), [0, 1]),
        (("reg.io/team/web:1", "reg.io/team/cart:1"), [0]),
        (("reg.io/team/web:1", "reg.io/team/cart:1", "old.io/web:1", "web"), [0, 3]),
        (("reg.io/team/web:1", "quay.io/vendor/web:3"), [0]),
        (("mirror.io/team/web:1", "quay.io/vendor/web:3"), [0]),
        (("mirror.io/team/web:1", "old.io/team/web:3", "team/web"), [0, 1, 2]),
        (("quay.io/vendor/web:3", "web"), [0, 1]),
        (("web", "cart"), [0]),
        (("web", "cart", "", "old.io/cart:1"), [0]),
        (("web", ""), [0, 1]),
        (("reg.io/team/web:1", "cart", "team/cart", "CHANGE_ME", ""), [0]),
        (("--x=reg.io/team/web:1", "reg.io/team/cart:1"), [0]),
        (("reg.io/team/web:1", "reg.io/other/web:1", "reg.io/cart:1"), [0]),
        (("reg.io/other/web:1", "reg.io/cart:1"), [0]),
        (("reg.io/team/website:1", "reg.io/team/cart:1", "reg.io/team/web:1"), [2]),
    ],
)
def test_all_are_meant_that_run_one_image_else_those_that_run_ours(
    images: tuple[str, ...], expected: list[int]
) -> None:
    assert chosen(*images) == expected


def test_what_was_deployed_here_tells_if_nothing_else_does() -> None:
    images = ("reg.io/shop:1", "reg.io/cart:1")
    assert chosen(*images, past=("reg.io/shop:0@sha256:" + "0" * 64,)) == [0]
    assert chosen(*images, "reg.io/web:1", past=("reg.io/shop:0",)) == [2]


def test_a_place_that_cannot_be_told_is_an_error_that_names_them_and_the_parameter() -> None:
    with pytest.raises(ConfigError) as caught:
        chosen("reg.io/shop:1", "reg.io/cart:1", past=("reg.io/other:1",))
    assert (
        caught.value.message
        == "container 'app' stands in 2 places with different images, and none of them"
        " belongs to reg.io/team/web:2: Deployment/0 in 0.yaml (reg.io/shop:1), Deployment/1 in"
        " 1.yaml (reg.io/cart:1)"
    )
    assert caught.value.hint == "resource: kind/name chooses one of them"


def test_two_images_of_one_registry_with_the_same_last_part_are_not_told_apart_by_it() -> None:
    images = ("reg.io/a/web:1", "reg.io/b/web:1")
    with pytest.raises(ConfigError, match="stands in 2 places"):
        chosen(*images)
    assert chosen(*images, past=("reg.io/b/web:0",)) == [1]


def test_an_earlier_place_of_our_image_is_ours_beside_the_present_one() -> None:
    images = ("reg.io/team/web:1", "old.io/shop/web:1", "quay.io/vendor/web:3")
    assert chosen(*images, past=("old.io/shop/web:1",)) == [0, 1]


def test_other_registries_with_the_last_part_in_common_are_not_told_apart_by_it() -> None:
    images = ("old.io/shop/web:1", "quay.io/vendor/web:3")
    with pytest.raises(ConfigError, match="stands in 2 places"):
        chosen(*images)
    assert chosen(*images, past=("old.io/shop/web:0",)) == [0]


def test_the_resource_chooses_whatever_stands_there() -> None:
    images = ("reg.io/shop:1", "reg.io/cart:1", "reg.io/team/web:1")
    assert chosen(*images, resource="deployment/1") == [1]
    with pytest.raises(ConfigError, match="is not in Deployment/9") as caught:
        chosen(*images, resource="Deployment/9")
    assert "did you mean 'Deployment/" in caught.value.hint


def of_namespaces(resource: str, *images: str) -> list[int]:
    candidates = [
        Candidate(file="d.yaml", resource=f"Deployment/{namespace}/web", image=image)
        for namespace, image in zip("ab", images, strict=True)
    ]
    kept = Choice(resource=resource).select("container 'app'", candidates, NEW)
    return [number for number, keep in enumerate(kept) if keep]


def test_a_resource_is_named_with_its_namespace_or_in_all_of_them() -> None:
    images = ("reg.io/team/web:1", "reg.io/cart:1")
    assert of_namespaces("Deployment/b/web", *images) == [1]
    assert of_namespaces("Deployment/web", *images) == [0]  # the images choose, as without it
    assert of_namespaces("Deployment/web", "x.io/y:1", "x.io/y:2") == [0, 1]
    with pytest.raises(ConfigError, match="stands in 2 places with different images") as caught:
        of_namespaces("Deployment/web", "reg.io/shop:1", "reg.io/cart:1")
    assert caught.value.hint == "resource: kind/namespace/name chooses one of them"
    with pytest.raises(ConfigError, match="is not in Deployment/c/web") as caught:
        of_namespaces("Deployment/c/web", *images)
    assert "did you mean 'Deployment/" in caught.value.hint


def test_what_tells_places_apart_is_named_only_where_it_does() -> None:
    for files, hint in (("ab", "a filePath that fits one file"), ("aa", "put each into a file")):
        candidates = [
            Candidate(file=file, resource="Deployment/web", image=image)
            for file, image in zip(files, ("reg.io/shop:1", "reg.io/cart:1"), strict=True)
        ]
        with pytest.raises(ConfigError) as caught:
            Choice(resource="Deployment/web").select("container 'app'", candidates, NEW)
        assert caught.value.hint.startswith(hint)


def test_what_is_left_alone_is_said() -> None:
    said: list[str] = []
    candidates = [Candidate(file="a", resource="", image=image) for image in (NEW, "x.io/y:1")]
    Choice(say=said.append).select("image.tag", candidates, NEW)
    assert said == ["  image.tag is left alone where another image stands: a (x.io/y:1)"]


def untold(**charts: str) -> str:
    """The warnings about files (with _ for a slash) that are in charts of these names."""
    said: list[str] = []
    candidates = [
        Candidate(file=f"{name.replace('_', '/')}.yaml", resource="", image="", chart=chart)
        for name, chart in charts.items()
    ]
    Choice(warn=said.append).warn_unidentified("image.tag", candidates, NEW)
    return "".join(said)


@pytest.mark.parametrize(
    "charts",
    [
        {"apps_web_values": "", "apps_cart_values": ""},
        {"apps_web": "", "apps_web-worker": "", "apps_cart": ""},
        {"a_values": "a", "b_values": "b"},
    ],
)
def test_files_that_seem_to_be_of_several_services_are_told(charts: dict[str, str]) -> None:
    said = untold(**charts)
    assert said.startswith(
        f"image.tag stands in {len(charts)} places without the image's name,"
        " and all of them are written: "
    )
    assert said.endswith("; filePath can name the right files")


@pytest.mark.parametrize(
    "charts",
    [
        {"envs_dev": "", "envs_prod": ""},
        {"web_dev": "", "web_prod": ""},
        {"eu_web": "", "us_web": ""},
        {"dev_values": "umbrella", "prod_values": "umbrella"},
    ],
)
def test_files_that_are_those_of_one_service_in_several_places_are_not(
    charts: dict[str, str],
) -> None:
    assert untold(**charts) == ""
