from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.engine.registry.clients import Pair, job
from tests.fakes.images import ImageParts, make_image, make_index, missing, put, refer_to
from tests.fakes.registry import FakeRegistry, Status, digest_of, on
from towline.errors import RegistryError
from towline.registry.copy import copy_images
from towline.registry.job import CopyReport


class Signed:
    """An index in the source with an SBOM of one child, a signature of that SBOM, attestations of the index, and cosign's older tags."""

    def __init__(self, source: FakeRegistry) -> None:
        self.index = make_index()
        self.sbom = refer_to(self.index.children[0])
        self.all = [self.sbom, refer_to(self.sbom, "application/vnd.example.signature"),
                    *(refer_to(self.index, "application/vnd.example.attestation", content=f"{number}".encode()) for number in range(5))]
        self.signature = make_image(seed=77)
        put(self.index, source, "app", "1")
        for referrer in self.all:
            put(referrer, source, "app")
        put(self.signature, source, "app", f"{self.index.digest.replace(':', '-')}.sig")


def list_by_tags(source: FakeRegistry, *referrers: ImageParts) -> None:
    """Keep the lists by tags, as clients do on registries without a list of their own."""
    lists: dict[str, list[ImageParts]] = {}
    for referrer in referrers:
        lists.setdefault(json.loads(referrer.manifest)["subject"]["digest"], []).append(referrer)
    for subject, several in lists.items():
        entries = [{"mediaType": one.media_type, "digest": one.digest, "size": len(one.manifest)} for one in several]
        body = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}).encode()
        put(ImageParts(manifest=body, media_type="application/vnd.oci.image.index.v1+json", digest=digest_of(body)), source, "app", subject.replace(":", "-"))


def copy(pair: Pair, source: FakeRegistry, target: FakeRegistry) -> CopyReport:
    return copy_images([replace(job(source, target, "app:1", "team/app:1"), referrers=True)], pair.copying())[0]


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("lists", [True, False])
def test_all_that_refers_to_an_image_travels_with_it(source: FakeRegistry, target: FakeRegistry, pair: Pair, *, listed: bool, lists: bool) -> None:
    source.referrers, target.referrers = listed, lists
    signed = Signed(source)
    if not listed:
        list_by_tags(source, *signed.all)
    report = copy(pair, source, target)
    assert [missing(parts, target, "team/app") for parts in (signed.index, signed.signature, *signed.all)] == [()] * 9
    assert target.storage["team/app"].tags[f"{signed.index.digest.replace(':', '-')}.sig"] == signed.signature.digest
    assert {entry.digest for entry in pair.target.referrers("team/app", signed.index.digest)} == {one.digest for one in signed.all[2:]}
    assert [entry.digest for entry in pair.target.referrers("team/app", signed.sbom.digest)] == [signed.all[1].digest]
    assert len(report.referrers) == 8
    assert not copy(pair, source, target).changed


def test_a_list_that_is_kept_by_hand_keeps_what_it_has_and_says_what_each_is(source: FakeRegistry, target: FakeRegistry, pair: Pair) -> None:
    source.referrers = True
    signed = Signed(source)
    other = refer_to(signed.index, "application/vnd.example.other")
    put(signed.index, target, "team/app")
    put(other, target, "team/app")
    entry = {"mediaType": other.media_type, "digest": other.digest, "size": len(other.manifest)}
    body = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry], "annotations": {"a": "b"}}).encode()
    put(ImageParts(manifest=body, media_type="application/vnd.oci.image.index.v1+json", digest=digest_of(body)), target, "team/app",
        signed.index.digest.replace(":", "-"))
    copy(pair, source, target)
    index = json.loads(target.manifest("team/app", signed.index.digest.replace(":", "-"))[2])
    assert index["annotations"] == {"a": "b"}
    first, *rest = index["manifests"]
    assert first == entry
    assert {one["digest"]: one["artifactType"] for one in rest} == {one.digest: "application/vnd.example.attestation" for one in signed.all[2:]}
    assert rest[0]["annotations"] == {"example": "application/vnd.example.attestation"}


def test_they_stay_where_they_are_unless_they_are_asked_for(source: FakeRegistry, target: FakeRegistry, pair: Pair) -> None:
    source.referrers = True
    signed = Signed(source)
    pair.copy("app:1", "team/app:1")
    assert set(target.storage["team/app"].tags) == {"1"}
    assert not source.seen("GET", "referrers")
    assert signed.sbom.digest not in target.storage["team/app"].manifests


def test_a_source_that_is_gone_is_no_fault_where_the_image_is_there(source: FakeRegistry, target: FakeRegistry, pair: Pair) -> None:
    signed = Signed(source)
    put(signed.index, target, "team/app", "1")
    source.stop()
    wanted = replace(job(source, target, "app:1", "team/app:1", digest=signed.index.digest), referrers=True)
    assert not copy_images([wanted], pair.copying())[0].changed
    source.start()


def test_a_list_that_goes_on_at_another_host_is_not_followed(source: FakeRegistry, target: FakeRegistry, pair: Pair) -> None:
    body = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}).encode()
    headers = {"Content-Type": "application/vnd.oci.image.index.v1+json", "Link": f'<{target.url}/v2/app/referrers/x>; rel="next"'}
    source.fault = on("GET", "referrers", Status(code=200, headers=headers, body=body))
    with pytest.raises(RegistryError, match="goes on at another host"):
        pair.source.referrers("app", make_image().digest)
    assert target.requests == ()


def test_a_list_without_an_end_is_given_up(source: FakeRegistry, pair: Pair) -> None:
    body = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}).encode()
    headers = {"Content-Type": "application/vnd.oci.image.index.v1+json", "Link": '<?n=1>; rel="next"'}
    source.fault = on("GET", "referrers", Status(code=200, headers=headers, body=body), times=999)
    with pytest.raises(RegistryError, match="more than 50 pages"):
        pair.source.referrers("app", make_image().digest)
