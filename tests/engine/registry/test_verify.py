from __future__ import annotations

import pytest

from tests.engine.registry.clients import Pair, job
from tests.fakes.clock import FakeClock
from tests.fakes.images import ImageParts, make_image, make_index, put
from tests.fakes.registry import FakeRegistry, Status, on
from towline.errors import DigestMismatch, RegistryError
from towline.registry.copy import copy_images
from towline.registry.verify import verify_images


class Copied:
    """An index that was copied, to be read again."""

    def __init__(self, source: FakeRegistry, target: FakeRegistry, pair: Pair) -> None:
        self.index: ImageParts = make_index()
        put(self.index, source, "app", "1")
        self.jobs = [job(source, target, "app:1", "app:1", "b/app:2")]
        self.pair = pair
        self.reports = copy_images(self.jobs, pair.copying())
        target.forget()

    def verify(self) -> None:
        verify_images(self.jobs, self.reports, self.pair.copying().targets)


@pytest.fixture
def copied(source: FakeRegistry, target: FakeRegistry, pair: Pair) -> Copied:
    return Copied(source, target, pair)


def test_what_was_copied_is_read_again_and_every_blob_asked_for(copied: Copied, target: FakeRegistry) -> None:
    copied.verify()
    assert (target.count("GET", "manifests"), target.count("HEAD", "blobs")) == (6, 8)
    assert target.count("PUT") == 0


def test_a_tag_that_points_elsewhere_is_found(copied: Copied, target: FakeRegistry) -> None:
    other = put(make_image(seed=9), target, "b/app", "2")
    with pytest.raises(RegistryError, match=f"b/app:2 was pushed, but is {other}, not {copied.index.digest}"):
        copied.verify()


def test_a_blob_that_is_missing_or_shorter_is_found(copied: Copied, target: FakeRegistry) -> None:
    lost = next(iter(target.storage["app"].blobs))
    whole = target.storage["app"].blobs[lost]
    target.storage["app"].blobs[lost] = whole[:-1]
    with pytest.raises(RegistryError, match=f"has {len(whole) - 1} bytes for the blob {lost}"):
        copied.verify()
    del target.storage["app"].blobs[lost]
    with pytest.raises(RegistryError, match=f"lacks the blob {lost}"):
        copied.verify()


def test_a_child_with_other_bytes_is_found(copied: Copied, target: FakeRegistry) -> None:
    child = copied.index.children[0]
    target.storage["app"].manifests[child.digest] = (child.media_type, child.manifest + b" ")
    with pytest.raises(DigestMismatch):
        copied.verify()


def test_a_manifest_that_is_seen_a_moment_later_is_no_fault(copied: Copied, target: FakeRegistry, time: FakeClock) -> None:
    target.fault = on("GET", "manifests", Status(code=404), times=2)
    copied.verify()
    assert time.sleeps == [0.5, 1.0]


def test_a_manifest_that_stays_away_is(copied: Copied, target: FakeRegistry) -> None:
    target.storage["app"].tags.clear()
    with pytest.raises(RegistryError, match="lacks the manifest 1"):
        copied.verify()
