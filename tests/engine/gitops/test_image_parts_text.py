from __future__ import annotations

import pytest

from towline.errors import RenderError
from towline.gitops.image_parts import (
    image_words,
    image_writer,
    replace_text,
    with_image,
    with_value,
)

IMAGE = "host.example:5000/team/web:2.4.1"
OTHER = f"host.example/team/cart@sha256:{'0' * 64}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "nginx",
        "IMAGE",
        "${IMAGE}",
        "$(params.image)",
        "<image>",
        "old.example/web:1",
        OTHER,
        "a/b",
        "host:1/x",
    ],
)
def test_a_text_that_is_one_word_becomes_the_image(text: str) -> None:
    assert with_image(text, IMAGE) == with_value(text, IMAGE) == IMAGE


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("web=", ""),
        ("--image=", ""),
        ("--set=image=", ""),
        ("docker://", ""),
        ("oci://", ""),
        ("--image=docker://", ""),
        (" ", "  "),
        ('"', '"'),
        ("'", "'"),
        ('--image="', '"'),
        ("[", "]"),
        ('["', '"]\n'),
        ("", "\n"),
        ("`", "`"),
    ],
)
@pytest.mark.parametrize("old", ["web:1", "old.example/team/web:1.0.0", OTHER, "${IMAGE}"])
def test_what_stands_around_the_image_stays(before: str, old: str, after: str) -> None:
    assert (
        with_image(before + old + after, IMAGE)
        == with_value(before + old + after, IMAGE)
        == before + IMAGE + after
    )
    assert with_image(before + IMAGE + after, IMAGE) == before + IMAGE + after


@pytest.mark.parametrize(
    "old",
    [
        "host.example:5000/team/web:1.0",
        "host.example:5000/team/web",
        "old.example/web:1.0@sha256:00",
        "team/web",
        "web:1",
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        "{},{}",
        "{}, {}",
        '["{}", "{}"]',
        "a={},b={}",
        "docker run {} && docker run {}",
        '{{"image":"{}","other":"{}"}}',
        "{}\n{}\n",
        "{}|{}",
        "docker://{} docker://{}",
    ],
)
def test_among_several_the_image_is_known_by_its_repository(text: str, old: str) -> None:
    assert with_image(text.format(old, OTHER), IMAGE) == text.format(IMAGE, OTHER)
    assert with_image(text.format(OTHER, old), IMAGE) == text.format(OTHER, IMAGE)


def test_one_repository_that_stands_twice_is_changed_twice_and_wins_over_a_like_one() -> None:
    assert with_image("a/web:1, b/cart:1, a/web:2", IMAGE) == f"{IMAGE}, b/cart:1, {IMAGE}"
    assert (
        with_image("host.example:5000/team/web:1,other.example/web:1", IMAGE)
        == f"{IMAGE},other.example/web:1"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("web,cart", "none of its words may be host.example:5000/team/web"),
        ("the web image", "none"),
        (f"{OTHER},a/web-2:1", "none"),
        ("a/web:1,b/web:1", "several"),
        ("${IMAGE:-a/web:1}", "holds more"),
        ("x" * 70 + ",y", r"'x{57}\.\.\.' holds"),
    ],
)
def test_a_text_that_leaves_it_open_is_refused(text: str, says: str) -> None:
    with pytest.raises(RenderError, match=says) as caught:
        with_image(text, IMAGE)
    assert "alone" in caught.value.hint


def test_a_part_of_an_image_takes_the_place_of_a_single_word_alone() -> None:
    assert with_value("docker://old/web", "new/web") == "docker://new/web"
    assert [with_value("--tag=1.0", "2.0"), with_value("1.0@sha256:00", "2.0")] == [
        "--tag=2.0",
        "2.0",
    ]
    with pytest.raises(RenderError, match="more than the value that is written"):
        with_value("1.0, 1.1", "2.0")
    assert replace_text(">=1.0, <2", "2.0") == "2.0"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("web:1.0", f"web={IMAGE}"),
        ("web", f"web={IMAGE}"),
        ("old.example:5000/web@sha256:00", f"old.example:5000/web={IMAGE}"),
        ("host.example:5000/team/web:1", IMAGE),
        ("web=old.example/web:1", f"web={IMAGE}"),
        ("web=*:1", f"web={IMAGE}"),
        ("", IMAGE),
    ],
)
def test_an_override_of_kustomize_keeps_the_name_that_it_is_for(old: str, new: str) -> None:
    for path in ("spec.source.kustomize.images[0]", "spec.sources[1].kustomize.images[3]"):
        assert image_writer(path)(old, IMAGE) == new
        assert image_writer(path)(new, IMAGE) == new
    assert image_writer("spec.images[0]") is image_writer("spec.image") is with_image


@pytest.mark.parametrize(
    "text",
    [
        IMAGE,
        f"web={IMAGE}",
        f'["{OTHER}", "{IMAGE}"]',
        f"docker://{IMAGE}",
        f"docker run {IMAGE} -p 1",
    ],
)
def test_a_text_names_the_images_that_are_words_of_it(text: str) -> None:
    assert IMAGE in image_words(text)
    assert IMAGE not in image_words(text.replace("2.4.1", "2.4.10"))
    assert IMAGE not in image_words(text.replace("/web", "/web-x"))
    assert "web:2.4.1" not in image_words(text)


@pytest.mark.parametrize(
    "text",
    ["a" * 300_000, "=" * 300_000, "a=" * 150_000, "a:/" * 100_000, "a," * 50_000, '"' * 300_000],
)
def test_a_long_text_is_read_once_through(text: str) -> None:
    assert IMAGE not in image_words(text)
