from __future__ import annotations

import pytest

from tests.engine.registry.clients import Pair, job
from tests.fakes.clock import FakeClock
from tests.fakes.images import make_image, make_index, put
from tests.fakes.registry import FakeRegistry, Status
from towline.errors import ConfigError, RegistryError
from towline.image import parse_platforms
from towline.record import replace
from towline.registry.copy.job import CopyJob
from towline.registry.copy.source_image import SourceImage


def chosen(job_of_all: CopyJob, platforms: str, digest: str = "") -> CopyJob:
    return replace(job_of_all, platforms=parse_platforms(platforms), chosen=digest)


def test_an_image_that_a_build_has_just_pushed_may_be_shown_later(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, time: FakeClock
) -> None:
    digest, begun = put(make_image(), source, "app"), time.time
    source.fault = lambda _: Status(code=404) if time.time < begun + 2 else None
    image = SourceImage(job(source, target, "app:1", "app:1", digest=digest), pair.copying())
    assert image.read().root.digest == digest
    missing = job(source, target, "app:1", "app:1", digest=make_index(seed=9).digest)
    with pytest.raises(RegistryError, match="does not exist on the source"):
        SourceImage(missing, pair.copying()).find()
    assert sum(time.sleeps) == pytest.approx(6, abs=1)


def test_the_digest_is_known_before_the_source_is_asked_unless_platforms_are_selected(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    index = make_index()
    put(index, source, "app", "1")
    by_digest = job(source, target, "app:1", "app:1", digest=index.digest)
    arm = index.children[1].digest
    for wanted, digest in (
        (job(source, target, "app:1", "app:1"), ""),
        (by_digest, index.digest),
        (chosen(by_digest, "linux/arm64"), ""),
        (chosen(by_digest, "linux/arm64", arm), arm),
    ):
        assert SourceImage(wanted, pair.copying()).digest == digest
    assert source.requests == ()


def test_one_platform_is_its_image_and_several_are_an_index_of_them(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    index = make_index(["linux/amd64", "linux/arm64", "linux/s390x"])
    put(index, source, "app", "1")
    everything = job(source, target, "app:1", "app:1")
    one = SourceImage(chosen(everything, "linux/arm64"), pair.copying())
    assert (one.read().root.digest, one.chosen_from) == (index.children[1].digest, index.digest)
    two = SourceImage(chosen(everything, "linux/amd64,linux/s390x"), pair.copying())
    assert [child.digest for child in two.read().root.children] == [
        index.children[0].digest,
        index.children[2].digest,
    ]
    assert two.chosen_from == index.digest
    whole = SourceImage(everything, pair.copying())
    assert (whole.read().root.digest, whole.chosen_from) == (index.digest, "")


def test_an_image_for_another_platform_than_its_configuration_says_is_refused(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    put(make_image("linux/amd64"), source, "app", "1")
    with pytest.raises(ConfigError, match="linux/arm64"):
        SourceImage(
            chosen(job(source, target, "app:1", "app:1"), "linux/arm64"), pair.copying()
        ).find()


def test_a_whole_image_is_read_once(source: FakeRegistry, target: FakeRegistry, pair: Pair) -> None:
    put(make_index(), source, "app", "1")
    image = SourceImage(job(source, target, "app:1", "app:1"), pair.copying())
    assert not image.was_read
    assert image.read() == image.read()
    assert (image.was_read, source.count("GET", "manifests")) == (True, 3)
