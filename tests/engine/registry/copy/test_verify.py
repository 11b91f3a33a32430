from __future__ import annotations

import json

import pytest

from tests.engine.registry.clients import Pair, job, repository_at, ways
from tests.fakes.clock import FakeClock
from tests.fakes.images import OCI_INDEX, ImageParts, make_image, make_index, missing, put, refer_to
from tests.fakes.registry import Answer, FakeRegistry, Record, Status, digest_of, on
from tests.fakes.serve import Request
from towline.errors import DigestMismatch, RegistryError, RegistryUnreachable
from towline.http.client import Transport
from towline.record import replace
from towline.registry.copy.images import copy_images
from towline.registry.copy.job import COPIED, OPTIONAL, REQUIRED, CopyReport
from towline.registry.copy.referrers import ReferrerLists, referrers_tag
from towline.registry.copy.verify import verify_images


class Copied:
    """An index that was copied and is read again; `warnings` are the warnings meanwhile."""

    def __init__(self, source: FakeRegistry, target: FakeRegistry, pair: Pair) -> None:
        self.index: ImageParts = make_index()
        put(self.index, source, "app", "1")
        self.jobs = [job(source, target, "app:1", "app:1", "b/app:2")]
        self.pair, self.warnings = pair, list[str]()
        self.copying = pair.copying(warn=self.warnings.append)
        self.reports = copy_images(self.jobs, self.copying)
        target.forget()
        source.forget()

    def verify(self) -> CopyReport:
        return verify_images(self.reports, self.copying)[0]


@pytest.fixture
def copied(source: FakeRegistry, target: FakeRegistry, pair: Pair) -> Copied:
    return Copied(source, target, pair)


def test_what_was_copied_is_read_again_and_every_blob_asked_for(
    copied: Copied, source: FakeRegistry, target: FakeRegistry
) -> None:
    assert copied.verify() == copied.reports[0]
    assert (target.count("GET", "manifests"), target.count("HEAD", "blobs")) == (6, 8)
    assert (target.count("PUT"), source.requests, copied.warnings) == (0, (), [])


def test_an_image_under_several_tags_of_a_place_is_walked_through_once(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    index = make_index()
    put(index, source, "app", "1")
    copying = pair.copying()
    reports = copy_images([job(source, target, "app:1", "app:1", "app:2", "app:3")], copying)
    target.forget()
    assert verify_images(reports, copying) == reports
    assert (target.count("GET", "manifests"), target.count("HEAD", "blobs")) == (
        3 + len(index.children),
        len(index.all_blobs()),
    )
    target.storage["app"].tags["3"] = other = put(make_image(seed=9), target, "app", "4")
    with pytest.raises(RegistryError, match=f"app:3 is {other}, not {index.digest}"):
        verify_images(reports, copying)


def test_a_list_of_referrers_that_is_seen_later_is_asked_for_itself(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, time: FakeClock
) -> None:
    source.referrers = True
    image = make_image()
    for one in (image, refer_to(image, content=b"sbom"), refer_to(image, content=b"other")):
        put(one, source, "app", "1" if one is image else "")
    copying = pair.copying()
    reports = copy_images(
        [replace(job(source, target, "app:1", "b/app:1"), referrers=OPTIONAL)], copying
    )
    target.forget()
    begun = time.time
    target.fault = lambda record: (
        Status(code=404)
        if record.path.endswith(referrers_tag(image.digest)) and time.time < begun + 2
        else None
    )
    assert verify_images(reports, copying) == tuple(reports)
    assert (target.count("GET", "tags/list"), target.count("GET", "/referrers/")) == (0, 1)


def test_a_tag_that_points_elsewhere_is_found(copied: Copied, target: FakeRegistry) -> None:
    other = put(make_image(seed=9), target, "b/app", "2")
    with pytest.raises(RegistryError, match=f"b/app:2 is {other}, not {copied.index.digest}"):
        copied.verify()
    assert target.storage["b/app"].tags == {"2": other}


def test_blobs_and_children_that_a_target_has_lost_come_back(
    copied: Copied, target: FakeRegistry
) -> None:
    again = copy_images(copied.jobs, copied.copying)
    assert not again[0].changed
    lost = next(iter(target.storage["app"].blobs))
    child = copied.index.children[1].digest
    del target.storage["app"].blobs[lost]
    del target.storage["app"].manifests[child]
    del target.storage["b/app"].manifests[child]
    [report] = verify_images(again, copied.copying)
    assert (missing(copied.index, target, "app"), missing(copied.index, target, "b/app")) == (
        (),
        (),
    )
    assert (report.changed, sum(ways(report))) == (True, 8)
    assert len(copied.warnings) == 2
    assert all(
        "lacks the manifest" in warning or "lacks the blob" in warning
        for warning in copied.warnings
    )
    assert copied.warnings[0].endswith(": it is copied again")


def test_a_repair_of_what_was_copied_just_now_counts_with_the_copy(
    copied: Copied, target: FakeRegistry
) -> None:
    lost = next(iter(target.storage["app"].blobs))
    del target.storage["app"].blobs[lost]
    report = copied.verify()
    copies, mounts, _ = ways(copied.reports[0])
    assert ways(report) == (copies + 1, mounts, 0)
    assert report.tags_set == copied.reports[0].tags_set


def test_a_blob_that_does_not_come_back_is_told(copied: Copied, target: FakeRegistry) -> None:
    lost = next(iter(target.storage["app"].blobs))
    target.fault = on("HEAD", f"/app/blobs/{lost}", Status(code=404), times=999)
    with pytest.raises(RegistryError, match=f"lacks the blob {lost} when it is read again$"):
        copied.verify()


def test_a_shorter_blob_is_sent_again_and_none_beside_it(
    copied: Copied, target: FakeRegistry
) -> None:
    lost = next(iter(target.storage["app"].blobs))
    whole = target.storage["app"].blobs[lost]
    target.storage["app"].blobs[lost] = whole[:-1]
    [report] = verify_images(copy_images(copied.jobs, copied.copying), copied.copying)
    assert (missing(copied.index, target, "app"), report.count(COPIED), report.size(COPIED)) == (
        (),
        1,
        len(whole),
    )
    [warning] = copied.warnings
    assert f"has {len(whole) - 1} bytes for the blob {lost}, not {len(whole)}" in warning


def test_a_shorter_blob_is_sent_even_where_it_could_be_mounted(
    target: FakeRegistry, pair: Pair
) -> None:
    image = make_image()
    put(image, target, "staging/app", "1")
    copying = replace(pair.copying(), source=pair.target)
    jobs = [job(target, target, "staging/app:1", "app:1")]
    copy_images(jobs, copying)
    lost = next(iter(target.storage["app"].blobs))
    target.storage["app"].blobs[lost] = target.storage["app"].blobs[lost][:-1]
    [report] = verify_images(copy_images(jobs, copying), copying)
    assert (missing(image, target, "app"), report.count(COPIED)) == ((), 1)


def test_a_blob_that_a_registry_keeps_as_it_is_cannot_be_healed_by_copying(
    copied: Copied, target: FakeRegistry
) -> None:
    lost = next(iter(target.storage["app"].blobs))
    short = target.storage["app"].blobs[lost][:-1]

    def keep(_: Record) -> None:
        target.storage["app"].blobs[lost] = short

    target.fault = keep
    with pytest.raises(
        DigestMismatch,
        match=f"has {len(short)} bytes for the blob {lost}, .*, although it was copied again",
    ) as caught:
        copied.verify()
    assert "copying cannot heal it" in caught.value.hint


def test_where_the_source_is_gone_both_faults_are_told(
    copied: Copied, source: FakeRegistry, target: FakeRegistry
) -> None:
    lost = next(iter(target.storage["app"].blobs))
    del target.storage["app"].blobs[lost]
    source.stop()
    with pytest.raises(
        RegistryUnreachable,
        match=(
            f"lacks the blob {lost} .* could not be copied again: the source registry .* cannot be"
            " reached"
        ),
    ):
        copied.verify()
    source.start()


def spoil(target: FakeRegistry, digest: str, repository: str = "app") -> None:
    """Replace the content of a manifest at the target."""
    media_type, body = target.storage[repository].manifests[digest]
    target.storage[repository].manifests[digest] = (media_type, body + b" ")


@pytest.mark.parametrize("part", ["root", "child"])
def test_a_manifest_with_other_content_is_brought_again(
    copied: Copied, target: FakeRegistry, part: str
) -> None:
    digest = copied.index.digest if part == "root" else copied.index.children[0].digest
    spoil(target, digest)
    again = copy_images(copied.jobs, copied.copying)
    [report] = verify_images(again, copied.copying)
    assert (missing(copied.index, target, "app"), report.changed) == ((), True)
    [warning] = copied.warnings
    assert f"has other content for the manifest {digest}" in warning
    assert warning.endswith(": it is copied again")


def test_a_manifest_that_a_registry_keeps_as_it_is_cannot_be_healed_by_copying(
    copied: Copied, target: FakeRegistry
) -> None:
    child = copied.index.children[0].digest
    spoil(target, child)
    kept = dict(target.storage["app"].manifests)

    def keep(_: Record) -> None:
        target.storage["app"].manifests[child] = kept[child]

    target.fault = keep
    with pytest.raises(
        DigestMismatch,
        match=f"other content for the manifest {child} .*, although it was copied again",
    ) as caught:
        copied.verify()
    assert "copying cannot heal it" in caught.value.hint


def test_what_is_seen_a_moment_after_it_was_stored_is_no_fault(
    copied: Copied, target: FakeRegistry, time: FakeClock
) -> None:
    begun = time.time
    target.fault = lambda record: (
        Status(code=404) if record.method in ("GET", "HEAD") and time.time < begun + 2 else None
    )
    assert copied.verify() == copied.reports[0]
    assert 2 <= sum(time.sleeps) < 4
    assert copied.warnings == []


def test_what_was_there_before_needs_no_moment(
    copied: Copied, target: FakeRegistry, time: FakeClock
) -> None:
    again = copy_images(copied.jobs, copied.copying)
    del target.storage["app"].blobs[next(iter(target.storage["app"].blobs))]
    verify_images(again, copied.copying)
    assert time.sleeps == []


def test_a_tag_that_stays_away_is_set_again(copied: Copied, target: FakeRegistry) -> None:
    target.storage["app"].tags.clear()
    copied.verify()
    assert target.storage["app"].tags == {"1": copied.index.digest}


@pytest.mark.parametrize("lists", [False, True])
def test_what_refers_to_the_image_is_read_again_too_and_must_be_listed(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, *, lists: bool
) -> None:
    source.referrers, target.referrers = True, lists
    image = make_image()
    sbom, other = (
        refer_to(image, content=b"sbom"),
        refer_to(image, "application/vnd.example.other", content=b"other"),
    )
    for one in (image, sbom, other):
        put(one, source, "app", "1" if one is image else "")
    copying = pair.copying()
    reports = copy_images(
        [replace(job(source, target, "app:1", "b/app:1"), referrers=OPTIONAL)], copying
    )
    assert verify_images(reports, copying) == reports
    if lists:
        del target.storage["b/app"].blobs[digest_of(b"sbom")]
    else:  # as another writer leaves it, who had read the list before
        list_of(target, "b/app", image, other)
    again = verify_images(copy_images([report.job for report in reports], copying), copying)
    assert missing(sbom, target, "b/app") == ()
    assert {
        entry.digest
        for entry in ReferrerLists(pair.target, repository_at(pair.target, "b/app")).referrers(
            [image.digest]
        )
    } == {
        sbom.digest,
        other.digest,
    }
    assert again[0].changed


@pytest.mark.parametrize("damage", ["lost child", "spoiled child", "lost blob", "short blob"])
def test_a_dry_run_says_what_would_be_brought_again_and_brings_nothing(
    copied: Copied, target: FakeRegistry, damage: str
) -> None:
    held, child = target.storage["app"], copied.index.children[0].digest
    lost = next(iter(held.blobs))
    if damage == "lost child":
        del held.manifests[child]
    elif damage == "spoiled child":
        spoil(target, child)
    elif damage == "lost blob":
        del held.blobs[lost]
    else:
        held.blobs[lost] = held.blobs[lost][:-1]
    dry = replace(copied.copying, dry_run=True)
    [report] = verify_images(copy_images(copied.jobs, dry), dry)
    assert {entry["digest"] for entry in report.plan} >= {child if "child" in damage else lost}
    assert {entry["repository"] for entry in report.plan} == {"app"}
    assert report.count(COPIED) == ("blob" in damage)
    assert {record.method for record in target.requests} <= {"GET", "HEAD"}
    [warning] = copied.warnings
    assert warning.endswith("when it is read again: it would be copied again")


def test_a_dry_run_does_not_read_again_what_it_would_bring_anyway(
    copied: Copied, target: FakeRegistry
) -> None:
    target.storage["app"].tags.clear()
    target.storage["app"].manifests.clear()
    target.storage["app"].blobs.clear()
    dry = replace(copied.copying, dry_run=True)
    planned = copy_images(copied.jobs, dry)
    assert verify_images(planned, dry) == planned
    assert planned[0].changed
    assert copied.warnings == []


class Dropping(FakeRegistry):
    """A registry that accepts referrers, and does not keep them."""

    def _put_manifest(self, request: Request, name: str, target: str) -> Answer:
        answer = super()._put_manifest(request, name, target)
        if b'"subject"' in request.body:
            del self.storage[name].manifests[target]
        return answer


@pytest.mark.parametrize("mode", [OPTIONAL, REQUIRED])
def test_a_target_that_takes_a_referrer_and_drops_it_is_a_warning_unless_it_is_required(
    source: FakeRegistry,
    transport: Transport,
    mode: str,
) -> None:
    source.referrers = True
    image = make_image()
    put(image, source, "app", "1")
    sbom = refer_to(image)
    put(sbom, source, "app")
    warnings = list[str]()
    with Dropping(referrers=True) as target:
        copying = Pair(source, target, transport).copying(warn=warnings.append)
        reports = copy_images(
            [replace(job(source, target, "app:1", "app:1"), referrers=mode)], copying
        )
        if mode == REQUIRED:
            with pytest.raises(RegistryError, match=f"lacks the manifest {sbom.digest}"):
                verify_images(reports, copying)
            return
        [report] = verify_images(reports, copying)
        assert (missing(image, target, "app"), target.storage["app"].tags, report.referrers) == (
            (),
            {"1": image.digest},
            (),
        )
    assert (
        f"was accepted, but is missing: {target.host}/app@{sbom.digest} lacks the manifest"
        f" {sbom.digest}" in warnings[-1]
    )


class Spoiling(FakeRegistry):
    """A registry that keeps other content for referrers."""

    def _put_manifest(self, request: Request, name: str, target: str) -> Answer:
        answer = super()._put_manifest(request, name, target)
        if b'"subject"' in request.body:
            spoil(self, target, name)
        return answer


def test_other_content_for_what_refers_to_the_image_is_an_error_in_any_case(
    source: FakeRegistry, transport: Transport
) -> None:
    source.referrers, image = True, make_image()
    sbom = refer_to(image)
    put(image, source, "app", "1")
    put(sbom, source, "app")
    with Spoiling(referrers=True) as target:
        copying = Pair(source, target, transport).copying()
        reports = copy_images(
            [replace(job(source, target, "app:1", "app:1"), referrers=OPTIONAL)], copying
        )
        with pytest.raises(DigestMismatch, match=f"other content for the manifest {sbom.digest}"):
            verify_images(reports, copying)


def list_of(
    target: FakeRegistry, repository: str, subject: ImageParts, *referrers: ImageParts
) -> None:
    entries = [
        {"mediaType": one.media_type, "digest": one.digest, "size": len(one.manifest)}
        for one in referrers
    ]
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    put(
        ImageParts(manifest=body, media_type=OCI_INDEX, digest=digest_of(body)),
        target,
        repository,
        referrers_tag(subject.digest),
    )
