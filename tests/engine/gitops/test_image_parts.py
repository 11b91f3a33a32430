from __future__ import annotations

import pytest

from towline.gitops.image_parts import (
    ImagePart,
    ImageParts,
    digest_key_stem,
    global_registry_paths,
    is_digest,
    key_stem,
    parent_path,
    registry_before,
)

WEB = ImageParts(
    host="reg.io", name="team/web", tag="2", digest="sha256:0", whole="reg.io/team/web:2"
)


@pytest.mark.parametrize(
    ("repository", "registry", "common", "result"),
    [
        ("old", "", "", ("", "reg.io/team/web")),
        ("old/web", "docker.io", "", ("reg.io", "team/web")),
        ("", "docker.io", "", ("reg.io", "team/web")),
        ("old/web", "reg.io/team", "", ("reg.io/team", "web")),
        ("docker.io/old", "docker.io", "", ("reg.io", "reg.io/team/web")),
        ("quay.io/old", "docker.io", "", ("", "reg.io/team/web")),
        ("old/web", "", "reg.io", ("", "team/web")),
        ("reg.io/old", "", "reg.io", ("", "reg.io/team/web")),
        ("old/web", "docker.io", "reg.io", ("reg.io", "team/web")),
        ("old/web", "docker.io", "reg.io/team", ("reg.io/team", "web")),
    ],
)
def test_registry_and_repository_are_written_as_they_stand_there(
    repository: str, registry: str, common: str, result: tuple[str, str]
) -> None:
    assert WEB.split_for(repository, registry, common) == result


def test_each_part_is_a_text() -> None:
    parts = ("image", "repository", "registry", "name", "tag", "digest")
    assert [str(ImagePart(image=WEB, part=part)) for part in parts] == [
        "reg.io/team/web:2",
        "reg.io/team/web",
        "reg.io",
        "team/web",
        "2",
        "sha256:0",
    ]


@pytest.mark.parametrize(
    ("key", "called"),
    [
        *(
            (key, "")
            for key in ("digest", "sha", "sha256", "imageDigest", "image_sha", "tagDigest")
        ),
        *((key, "web") for key in ("webDigest", "webImageSha256", "web-digest")),
        ("digestAlgorithm", "algorithm"),
        ("shared", "red"),
        ("tag", None),
        ("hash", None),
    ],
)
def test_a_key_that_is_called_as_a_digest_says_of_what(key: str, called: str | None) -> None:
    assert digest_key_stem(key) == called


def test_the_parts_of_one_image_have_keys_of_one_stem() -> None:
    keys = ("webTag", "webImage", "web_image_tag", "webImageRepository", "web-url")
    assert {key_stem(key) for key in keys} == {"web"}
    assert {key_stem(key) for key in ("tag", "image", "imageName", "version")} == {""}


def test_a_digest_has_its_algorithm_or_not() -> None:
    assert [is_digest(text) for text in (f"sha256:{'0' * 64}", "0" * 64, "sha256:0", "abc")] == [
        True,
        True,
        False,
        False,
    ]


def test_one_registry_for_all_images_is_looked_for_upwards() -> None:
    assert global_registry_paths(("spec", "values", "image")) == [
        ("spec", "values", "global", "imageRegistry"),
        ("spec", "global", "imageRegistry"),
        ("global", "imageRegistry"),
    ]


@pytest.mark.parametrize(
    ("name", "registry", "common", "result"),
    [
        ("web", "", "", ""),
        ("web", "a.io", "", "a.io"),
        ("web", "a.io", "b.io", "b.io"),
        ("web", "", "b.io", "b.io"),
        ("c.io/web", "", "b.io", ""),
        ("c.io/web", "a.io", "b.io", "b.io"),
    ],
)
def test_the_registry_for_all_images_wins_where_a_chart_puts_one_before_a_name(
    name: str, registry: str, common: str, result: str
) -> None:
    assert registry_before(name, registry, common) == result


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("a.image.tag", "a.image"),
        ("tag", ""),
        ("p[name=image.tag].value", "p.image"),
        ("p[name=tag].value", "p"),
    ],
)
def test_the_map_of_a_path_is_known_by_its_place(path: str, place: str) -> None:
    assert parent_path(path) == place
