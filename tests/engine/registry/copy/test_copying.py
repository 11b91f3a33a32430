from __future__ import annotations

from tests.engine.registry.clients import Pair, registry_of
from tests.fakes.registry import FakeRegistry, digest_of
from towline.image import Repository
from towline.record import replace
from towline.registry.copy.copying import PlannedBlobs
from towline.registry.manifest import Descriptor

BLOBS = tuple(Descriptor(digest=digest_of(data), size=len(data)) for data in (b"one", b"three"))
DIGESTS = frozenset(blob.digest for blob in BLOBS)


def test_a_blob_is_missing_until_a_plan_has_it_and_a_real_run_asks_no_registry(
    target: FakeRegistry, pair: Pair
) -> None:
    target.create("app").blobs[BLOBS[0].digest] = b"one"
    here, other = (Repository(registry=registry_of(target), name=name) for name in ("app", "b"))
    planned = PlannedBlobs(pair.copying())
    assert planned.missing(here, BLOBS[:1]) == {BLOBS[0].digest}
    assert planned.missing(here, BLOBS) == {BLOBS[1].digest}
    assert planned.missing(other, BLOBS) == DIGESTS
    assert target.requests == ()


def test_a_dry_run_asks_and_doubts_a_blob_of_another_size(target: FakeRegistry, pair: Pair) -> None:
    target.create("app").blobs[BLOBS[0].digest] = b"one"
    target.create("app").blobs[BLOBS[1].digest] = b"cut"
    here = Repository(registry=registry_of(target), name="app")
    copying = pair.copying(dry_run=True)
    assert PlannedBlobs(copying).missing(here, BLOBS) == frozenset()
    doubting = replace(copying, doubted=frozenset([here]))
    assert PlannedBlobs(doubting).missing(here, BLOBS) == {BLOBS[1].digest}
