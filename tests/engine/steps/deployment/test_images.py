from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from towline.config.documents import ConfigDocuments, parse_document
from towline.config.layers import Inputs
from towline.config.metadata import load_schema
from towline.config.resolve import resolve
from towline.errors import ConfigError, DigestMismatch
from towline.pipeline.environment import PipelineEnvironment
from towline.steps.deployment.images import KnownImages

ONE, TWO, THREE = (f"sha256:{digit * 64}" for digit in "123")
PUSHED: dict[str, object] = {
    "container/targetRegistryUrl": "https://reg.example.com/team",
    "container/targetImageNameTag": "app:2.0",
    "container/targetImageNameTags": ["app:2.0", "tools/side:2.0"],
    "container/targetImageDigests": [ONE, TWO],
}


def images(environment: Mapping[str, object] | None = None, **parameters: Any) -> KnownImages:
    known = PUSHED if environment is None else environment
    given: dict[str, Any] = {
        "serverUrl": "https://git.example.com/r",
        "filePath": "f",
        "tool": "kubectl",
        "containerName": "c",
        **parameters,
    }
    documents = ConfigDocuments(
        defaults=(), project=parse_document("", ".pipeline/config.yml", trusted=False)
    )
    inputs = Inputs(
        stage="",
        documents=documents,
        pipeline_environment=known,
        environ={},
        parameters=given,
        flags={},
    )
    return KnownImages(
        settings=resolve(load_schema("gitOpsUpdateDeployment"), inputs), environment=known
    )


def fault(found: KnownImages, usual: str = "c") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        found.by_container(usual)
    assert caught.value.hint
    return caught.value


def test_one_image_is_the_usual_case() -> None:
    (image,) = images().by_container("c").values()
    assert (image.repository, image.tag, image.written, image.full) == (
        "reg.example.com/team/app",
        "2.0",
        "reg.example.com/team/app:2.0",
        f"reg.example.com/team/app:2.0@{ONE}",
    )


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        ({"containerRegistryUrl": "https://reg.example.com/other"}, "other"),
        ({"containerRegistryUrl": "http://reg.example.com/team"}, "team"),
        ({"containerRegistryUrl": "reg.example.com/other", "containers": {"web": "app"}}, "other"),
        ({"containerRegistryUrl": "reg.example.com/team"}, ""),
        ({"containerRegistryUrl": "https://other.example.com"}, ""),
        (
            {
                "containerRegistryUrl": "https://reg.example.com/other",
                "containerImageNameTag": "h.example.com/app:1",
                "containerImageNameTags": ["h.example.com/app:1"],
            },
            "",
        ),
        ({}, ""),
    ],
)
def test_a_path_of_the_registry_that_counts_for_nothing_is_known(
    parameters: dict[str, Any], path: str
) -> None:
    assert images(**parameters).ignored_path() == path


def test_a_path_that_a_builder_has_left_is_no_matter() -> None:
    assert (
        images(
            {
                "container/registryUrl": "https://reg.example.com/sub",
                "container/imageNameTag": "app:1",
            }
        ).ignored_path()
        == ""
    )


def test_several_are_given_to_their_containers_with_the_digests_that_were_pushed() -> None:
    found = images(containers={"web": "app", "proxy": "tools/side", "init": "side"}).by_container(
        "c"
    )
    assert {name: image.full for name, image in found.items()} == {
        "web": f"reg.example.com/team/app:2.0@{ONE}",
        "proxy": f"reg.example.com/team/tools/side:2.0@{TWO}",
        "init": f"reg.example.com/team/tools/side:2.0@{TWO}",
    }


def test_lists_of_the_configuration_stand_over_what_was_pushed() -> None:
    found = images(
        containers={"a": "first", "b": "y"},
        containerImageNameTags=["x:1", f"h.example.com:5000/y:2@{THREE}"],
        imageNames=["first", "second"],
        imageDigests=[TWO, ONE],
    ).by_container("c")
    assert {name: image.full for name, image in found.items()} == {
        "a": f"reg.example.com/team/x:1@{TWO}",
        "b": f"h.example.com:5000/y:2@{THREE}",
    }


def test_a_last_part_that_two_images_share_names_neither() -> None:
    assert (
        "no image is called 'x'"
        in fault(images(containers={"a": "x"}, containerImageNameTags=["a/x:1", "b/x:1"])).message
    )


def test_an_image_that_is_not_known_is_named_with_what_is() -> None:
    found = fault(images(containers={"a": "ap"}))
    assert (found.hint, "call" in found.where) == ("did you mean 'app'?", True)
    assert (
        "imagePushToRegistry"
        in fault(
            images({"container/registryUrl": "https://h.example.com"}, containers={"a": "ap"})
        ).hint
    )


@pytest.mark.parametrize("name", ["imageNames", "imageDigests"])
def test_lists_of_unequal_length_and_lists_that_nothing_uses_are_refused(name: str) -> None:
    given: dict[str, Any] = {name: [ONE]}
    assert (
        f"{name} has 1 entries for 2 images"
        in fault(images(containers={"a": "app"}, **given)).message
    )
    assert "containers is not" in fault(images(**given)).message


def test_a_pinned_digest_is_written_and_must_be_known() -> None:
    (image,) = images(pinDigest=True).by_container("c").values()
    assert image.written == f"reg.example.com/team/app:2.0@{ONE}"
    assert (
        "no digest of 'app:3' is known"
        in fault(images(pinDigest=True, containerImageNameTag="app:3")).message
    )


def test_the_builder_s_digest_counts_where_nothing_was_pushed_further() -> None:
    built: dict[str, object] = {
        "container/registryUrl": "https://build.example.com",
        "container/imageNameTag": "app:2.0",
        "container/imageNameTags": ["app:2.0"],
        "container/imageDigests": [THREE],
    }
    (image,) = images(built, pinDigest=True).by_container("c").values()
    assert image.written == f"build.example.com/app:2.0@{THREE}"
    both = {**PUSHED, "container/imageNameTags": ["app:3"], "container/imageDigests": [THREE]}
    (image,) = images(both, containerImageNameTag="app:3").by_container("c").values()
    assert image.digest == ""


NAMES, DIGESTS = "container/targetImageNameTags", "container/targetImageDigests"


@pytest.mark.parametrize(
    ("claimed", "digest"),
    [
        ({}, ONE),
        ({DIGESTS: [THREE, THREE]}, ONE),
        ({DIGESTS: []}, ONE),
        ({NAMES: "app:2.0"}, ONE),
        ({"container/targetRegistryUrl": None}, ONE),
        ({"container/targetImageNameTag": "app:3", NAMES: ["app:3"], DIGESTS: [THREE]}, THREE),
        ({"container/targetImageNameTag": "app:3"}, ""),
    ],
)
def test_the_digest_that_a_step_has_pushed_stands_over_what_the_workspace_says_by_now(
    claimed: dict[str, object], digest: str
) -> None:
    """For an image that no step has provably pushed, the digest of the workspace counts."""
    known = {key: value for key, value in {**PUSHED, **claimed}.items() if value is not None}
    found = images(
        PipelineEnvironment(known, PUSHED),
        containerRegistryUrl="reg.example.com/team",
        containerImageNameTags=[],
    )
    assert found.single().digest == digest


@pytest.mark.parametrize(
    "text", ["reg.example.com/team/app:2.0", "Reg.Example.com:443/team/app:2.0", f"app:2.0@{ONE}"]
)
def test_the_place_that_a_step_has_pushed_to_is_known_in_every_spelling(text: str) -> None:
    known = {**PUSHED, "container/targetImageNameTag": text, DIGESTS: [THREE, THREE]}
    found = images(PipelineEnvironment(known, PUSHED), containerImageNameTags=[])
    assert found.single().digest == ONE


@pytest.mark.parametrize(
    "text",
    ["other.example.com/team/app:2.0", "reg.example.com/app:2.0", "reg.example.com/team/app:3"],
)
def test_another_place_is_none_that_was_pushed_to(text: str) -> None:
    for facts in (PUSHED, {**PUSHED, NAMES: ["A:b:c", 7]}, {**PUSHED, DIGESTS: [ONE]}):
        found = images(
            PipelineEnvironment({**PUSHED, "container/targetImageNameTag": text}, facts),
            containerImageNameTags=[],
        )
        assert found.single().digest == ""


def test_another_digest_than_the_one_that_was_pushed_is_refused_where_the_workspace_says_it() -> (
    None
):
    """A digest in the configuration, or in the call, is intended."""
    text = f"app:2.0@{THREE}"
    with pytest.raises(
        DigestMismatch,
        match=f"is not the image that a step of this build has pushed there, which is {ONE}",
    ):
        images(
            PipelineEnvironment({**PUSHED, "container/targetImageNameTag": text}, PUSHED),
            containerImageNameTags=[],
        ).single()
    assert (
        images(
            PipelineEnvironment(PUSHED, PUSHED),
            containerImageNameTag=text,
            containerImageNameTags=[],
        )
        .single()
        .digest
        == THREE
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no image is known"),
        ("app", "neither a tag nor a digest"),
        ("app:1:2", "an invalid tag"),
        ("App:1", "not an image name"),
    ],
)
def test_a_text_that_is_no_image_is_refused(text: str, says: str) -> None:
    environment = {**PUSHED, "container/targetImageNameTag": ""}
    found = fault(images(environment, containerImageNameTag=text))
    assert says in found.message
    assert found.where == "parameter of the call"


def test_a_digest_alone_is_written_as_it_is() -> None:
    (image,) = images(containerImageNameTag=f"app@{TWO}").by_container("c").values()
    assert (image.tag, image.written) == ("", f"reg.example.com/team/app@{TWO}")
