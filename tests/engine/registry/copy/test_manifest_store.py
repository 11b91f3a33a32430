from __future__ import annotations

import pytest

from tests.engine.registry.clients import Pair
from tests.fakes.clock import FakeClock
from tests.fakes.images import ImageParts, make_image, put
from tests.fakes.registry import FakeRegistry, Status
from towline.errors import RegistryError
from towline.image import Repository
from towline.registry.copy.manifest_store import ManifestStore
from towline.registry.copy.plan import PutManifest
from towline.registry.errors import ManifestIncomplete
from towline.registry.manifest import parse_manifest


def put_of(
    image: ImageParts, pair: Pair, target: str = "1", *, assumed_present: bool = False
) -> PutManifest:
    manifest = parse_manifest(image.manifest, image.media_type)
    return PutManifest(
        reference=Repository(registry=pair.target.registry, name="app").reference(target),
        manifest=manifest,
        assumed_present=assumed_present,
    )


def store(pair: Pair, *puts: PutManifest) -> None:
    ManifestStore({pair.target.registry: pair.target}, pair.target.transport).put(puts)


def test_a_registry_that_does_not_see_its_blobs_at_once_is_given_a_moment(
    target: FakeRegistry, pair: Pair, time: FakeClock
) -> None:
    image = make_image()
    put(image, target, "app")
    begun = time.time
    unknown = Status(code=404, body=b'{"errors":[{"code":"BLOB_UNKNOWN"}]}')
    target.fault = lambda record: (
        unknown if record.method == "PUT" and time.time < begun + 2 else None
    )
    store(pair, put_of(image, pair))
    assert target.storage["app"].tags == {"1": image.digest}
    assert 2 <= sum(time.sleeps) < 4


def test_a_manifest_whose_parts_stay_away_is_given_up(
    target: FakeRegistry, pair: Pair, time: FakeClock
) -> None:
    with pytest.raises(RegistryError, match="MANIFEST_BLOB_UNKNOWN"):
        store(pair, put_of(make_image(), pair))
    assert sum(time.sleeps) == pytest.approx(10)
    with pytest.raises(ManifestIncomplete):
        store(pair, put_of(make_image(), pair, assumed_present=True))


def test_an_immutable_tag_with_the_same_image_is_done_and_with_another_a_clear_error(
    target: FakeRegistry, pair: Pair
) -> None:
    image, other = make_image(seed=1), make_image(seed=2)
    put(other, target, "app")
    put(image, target, "app", "1")
    target.immutable_tags = True
    store(pair, put_of(image, pair))
    with pytest.raises(
        RegistryError,
        match=f"the tag 1 of app holds {image.digest} .* was not moved to {other.digest}",
    ) as caught:
        store(pair, put_of(other, pair))
    assert "immutable" in caught.value.hint
    assert target.storage["app"].tags == {"1": image.digest}
