from __future__ import annotations

import pytest

from towline.gitops.image_parts import flag_values, images_in_map, separate_keys
from towline.image import parse_reference

WEB = "reg.io/team/web"
DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("texts", "images"),
    [
        ({"baseImage": WEB, "version": "2"}, [f"{WEB}:2"]),
        ({"APP_IMAGE": WEB, "APP_TAG": "2", "PG_VERSION": "14"}, [f"{WEB}:2"]),
        ({"webImage": WEB, "webTag": "1", "version": "2"}, [f"{WEB}:1"]),
        ({"webImage": WEB, "appTag": "2"}, [f"{WEB}:2"]),
        ({"webImage": WEB, "appTag": "2", "dbTag": "9"}, []),
        ({"baseImage": WEB, "version": "2", "tag": "1"}, []),
        ({"baseImage": WEB, "version": "2", "tag": "2"}, [f"{WEB}:2"]),
        ({"baseImage": WEB, "version": "2", "sha": "a" * 64}, [f"{WEB}:2@{DIGEST}"]),
        ({"baseImage": WEB, "digest": DIGEST}, [f"{WEB}@{DIGEST}"]),
        ({"baseImage": WEB, "replicas": "2"}, []),
        ({"baseImage": WEB, "version": ""}, []),
        ({"baseImage": f"{WEB}:1", "version": "2"}, []),
        ({"name": "web", "version": "2"}, []),
    ],
)
def test_a_repository_gets_the_tag_that_belongs_to_it(
    texts: dict[str, str], images: list[str]
) -> None:
    assert list(images_in_map(texts)) == images


def test_flags_are_known_by_their_names() -> None:
    assert flag_values(["--image=a/b", "run", "-tag=1=2", "a=b", {}]) == {
        "image": "a/b",
        "tag": "1=2",
    }


def test_where_repository_and_tag_stand_is_told() -> None:
    image = parse_reference(f"{WEB}:2")
    text = f"spec: {{image: {{repo: {WEB}}}, version: '2', other: '22'}}\n"
    told = "repository and tag stand apart: the repository at "
    assert separate_keys(text.encode(), image) == f"{told}spec.image.repo, the tag at spec.version"
    env = f"data:\n  env: |\n    IMAGE={WEB}\n    TAG=1\n"
    assert separate_keys(env.encode(), image) == f"{told}data.env, its tag nowhere"
    assert separate_keys(f"a: &a [x-{WEB}]\nb: *a\n".encode(), image) == ""
    assert separate_keys(b"a: [", image) == ""
