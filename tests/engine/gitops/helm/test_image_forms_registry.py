from __future__ import annotations

from towline.gitops.helm.image_forms import (
    keeps_other_images,
    paths_with_text,
    registry_prefixes,
    with_registry,
)
from towline.gitops.manifest_images import FoundImage
from towline.image import parse_reference

WEB = parse_reference("h.io/team/web:2")


def test_what_stands_before_the_name_is_known() -> None:
    texts = (
        "docker.io/team/web:2",
        "quay.io/x/h.io/team/web:2",
        "docker.io/team/web:1",
        "h.io/team/web:2",
    )
    found = [FoundImage(location="", text=text) for text in texts]
    assert registry_prefixes(found, WEB) == ["docker.io", "quay.io/x"]
    assert registry_prefixes([FoundImage(location="", text="team/web:2")], WEB) == []


def test_the_values_that_hold_a_text_are_found_those_called_registry_first() -> None:
    values = {"hub": "q.io/", "n": 1, "global": {"imageRegistry": "q.io", "l": ["q.io"]}}
    assert paths_with_text(values, "q.io") == [("global", "imageRegistry"), ("hub",)]
    assert with_registry(values, ("hub",), "h.io") == {"hub": "h.io/"}
    assert with_registry(values, ("global", "imageRegistry"), "h.io") == {
        "global": {"imageRegistry": "h.io"}
    }


def test_another_image_that_moves_is_noticed() -> None:
    before = "image: q.io/team/web:2\nimage: q.io/redis:7\n"
    after = "image: h.io/team/web:2\nimage: q.io/redis:7\n"
    assert keeps_other_images(before, after, "q.io", [WEB])
    assert not keeps_other_images(before, after.replace("q.io", "h.io"), "q.io", [WEB])
    assert not keeps_other_images(
        f"{before}registry: q.io\n", f"{after}registry: h.io\n", "q.io", [WEB]
    )


def test_a_long_word_is_looked_through_once() -> None:
    """Charts render certificates and files in base64; quadratic time would take hours."""
    text = f"data: {'ab/team/we' * 100_000}\nimage: q.io/team/web:2\n"
    assert keeps_other_images(text, text.replace("q.io", "h.io"), "q.io", [WEB])
