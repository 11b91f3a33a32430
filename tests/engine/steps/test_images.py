from __future__ import annotations

from typing import Any

import pytest

from tests.engine.steps.push_workspace import PushWorkspace
from tests.fakes.images import ImageParts, make_image, put


def there(place: PushWorkspace, name: str, parts: ImageParts) -> bool:
    return dict(place.target.storage[name].blobs) == parts.all_blobs()


def test_target_images_rename_and_a_tag_and_latest_are_one_copy(place: PushWorkspace) -> None:
    place.push(
        parameters={
            "targetImages": {"team/app": "shop"},
            "targetImageTag": "2.0",
            "tagLatest": True,
        }
    )
    assert place.target.storage["shop"].tags == {
        "2.0": place.image.digest,
        "latest": place.image.digest,
    }
    assert place.staging.count("GET", r"/blobs/") == len(place.image.all_blobs())


def test_a_name_that_target_images_lacks_is_an_error_with_its_line(place: PushWorkspace) -> None:
    place.configure(place.target.url, "    targetImages:\n      other: shop\n")
    ending = place.push()
    assert ending.code == 3
    assert "team/app" in ending.message
    assert ending.where == ".pipeline/config.yml:4"


def test_a_platform_that_is_none_is_an_error_with_its_line(place: PushWorkspace) -> None:
    place.configure(place.target.url, "    targetArchitecture: linux/amd64,arm64\n")
    ending = place.push()
    assert (ending.code, ending.where) == (3, ".pipeline/config.yml:4")
    assert ending.message == "'arm64' is not a platform"


def test_name_tags_are_pushed_as_they_are_with_latest_beside_them(place: PushWorkspace) -> None:
    ending = place.push(
        parameters={
            "useImageNameTags": True,
            "tagLatest": True,
            "targetImageNameTags": ["shop:2.0+1"],
        }
    )
    assert ending.code == 0, ending.err
    assert place.target.storage["shop"].tags == {
        "2.0-1": place.image.digest,
        "latest": place.image.digest,
    }


def test_name_tags_of_different_number_are_an_error(place: PushWorkspace) -> None:
    ending = place.push(
        parameters={"useImageNameTags": True, "targetImageNameTags": ["a:1", "b:1"]}
    )
    assert ending.code == 3
    assert "2 entries for 1" in ending.message


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"sourceImages": ["team/app", "b"], "targetImages": {"team/app": "shop", "b": "shop"}},
            "both team/app:1.0.0-7 and b:1.0.0-7 would become shop:1.0.0-7",
        ),
        (
            {"useImageNameTags": True, "sourceImageNameTags": ["a:1+0", "a:2"], "tagLatest": True},
            "both a:1-0 and a:2 would become a:latest",
        ),
        (
            {
                "useImageNameTags": True,
                "sourceImageNameTags": ["a:1", "b:2"],
                "targetImageNameTags": ["c:1", "c:1"],
            },
            "both a:1 and b:2 would become c:1",
        ),
    ],
)
def test_two_images_under_one_name_are_an_error_and_nothing_is_pushed(
    place: PushWorkspace, parameters: dict[str, object], message: str
) -> None:
    ending = place.push(parameters=parameters)
    assert (ending.code, ending.message) == (3, message), ending.err
    assert not place.target.storage


def test_one_image_named_twice_is_pushed_all_the_same(place: PushWorkspace) -> None:
    assert place.push(parameters={"sourceImages": ["team/app", "team/app"]}).code == 0


@pytest.mark.parametrize("missing", ["container/imageNames", "container/registryUrl"])
def test_an_image_or_a_registry_that_nobody_knows_is_an_error(
    place: PushWorkspace, missing: str
) -> None:
    assert place.push(**{missing: None}).code == 3


def test_latest_alone_is_one_tag_even_where_it_is_the_images_own(place: PushWorkspace) -> None:
    put(place.image, place.staging, "team/app", "latest")
    place.push(
        parameters={
            "useImageNameTags": True,
            "tagLatest": True,
            "sourceImageNameTags": ["team/app:latest"],
        }
    )
    assert place.target.storage["team/app"].tags == {"latest": place.image.digest}


def test_digests_of_another_number_than_the_images_are_left_out_with_a_warning(
    place: PushWorkspace,
) -> None:
    environment: dict[str, Any] = {
        "container/imageDigests": [place.image.digest, place.image.digest]
    }
    ending = place.push(**environment)
    assert ending.code == 0
    assert "2 digests are known for 1 images" in ending.err


def test_what_is_no_digest_is_told_by_its_place(place: PushWorkspace) -> None:
    environment: dict[str, Any] = {"container/imageDigests": ["sha256:abc"]}
    ending = place.push(**environment)
    assert (ending.code, ending.where) == (3, "container/imageDigests in the pipeline environment")


@pytest.mark.parametrize(
    "parameters",
    [
        {"sourceImageTag": "0.9"},
        {"useImageNameTags": True, "sourceImageNameTags": ["team/app:0.9"]},
    ],
)
def test_the_builds_digest_is_not_taken_for_another_image(
    place: PushWorkspace, parameters: dict[str, object]
) -> None:
    older = make_image("linux/amd64", seed=5)
    put(older, place.staging, "team/app", "0.9")
    place.push(parameters={**parameters, "targetImageTag": "0.9"})
    assert place.target.storage["team/app"].tags == {"0.9": older.digest}
