from __future__ import annotations

import json
from collections.abc import Callable

import pytest

import towline.registry.copy.referrers as module
from tests.engine.registry.clients import Pair, job, put_list, repository_at
from tests.fakes.images import (
    ImageParts,
    make_attested,
    make_image,
    make_index,
    missing,
    put,
    refer_to,
)
from tests.fakes.registry import (
    Answer,
    Corrupt,
    CutAnswer,
    FakeRegistry,
    Status,
    digest_of,
    on,
)
from tests.fakes.serve import Request
from towline.errors import CredentialError, DigestMismatch, RegistryError, RegistryUnreachable
from towline.http.client import Transport
from towline.record import replace
from towline.registry.copy.images import copy_images
from towline.registry.copy.job import NOT_COPIED, OPTIONAL, REQUIRED, CopyReport
from towline.registry.copy.referrers import ReferrerLists, referrers_tag
from towline.registry.copy.verify import verify_images


class Signed:
    """An index in the source with an SBOM of one child, a signature of that SBOM, attestations
    of the index, and cosign's older tags.
    """

    def __init__(self, source: FakeRegistry) -> None:
        self.index = make_index()
        self.sbom = refer_to(self.index.children[0])
        self.all = [
            self.sbom,
            refer_to(self.sbom, "application/vnd.example.signature"),
            *(
                refer_to(
                    self.index, "application/vnd.example.attestation", content=f"{number}".encode()
                )
                for number in range(5)
            ),
        ]
        self.signature = make_image(seed=77)
        put(self.index, source, "app", "1")
        for referrer in self.all:
            put(referrer, source, "app")
        put(self.signature, source, "app", f"{self.index.digest.replace(':', '-')}.sig")


def list_by_tags(source: FakeRegistry, *referrers: ImageParts) -> None:
    """Keep lists of referrers under tags, as clients do if a registry has no referrers API."""
    lists: dict[str, list[ImageParts]] = {}
    for referrer in referrers:
        lists.setdefault(json.loads(referrer.manifest)["subject"]["digest"], []).append(referrer)
    for subject, several in lists.items():
        entries = [
            {"mediaType": one.media_type, "digest": one.digest, "size": len(one.manifest)}
            for one in several
        ]
        body = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.index.v1+json",
                "manifests": entries,
            }
        ).encode()
        put(
            ImageParts(
                manifest=body,
                media_type="application/vnd.oci.image.index.v1+json",
                digest=digest_of(body),
            ),
            source,
            "app",
            subject.replace(":", "-"),
        )


def copy(
    pair: Pair,
    source: FakeRegistry,
    target: FakeRegistry,
    *,
    referrers: str = REQUIRED,
    warn: Callable[[str], None] = print,
) -> CopyReport:
    return copy_images(
        [replace(job(source, target, "app:1", "team/app:1"), referrers=referrers)],
        pair.copying(warn=warn),
    )[0]


def asked(server: FakeRegistry) -> list[str]:
    """The requests to a server, each as a method and a kind of object."""
    return sorted(f"{record.method} {record.path.split('/')[-2]}" for record in server.requests)


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("lists", [True, False])
def test_all_that_refers_to_an_image_travels_with_it(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, *, listed: bool, lists: bool
) -> None:
    source.referrers, target.referrers = listed, lists
    signed = Signed(source)
    if not listed:
        list_by_tags(source, *signed.all)
    report = copy(pair, source, target)
    assert [
        missing(parts, target, "team/app")
        for parts in (signed.index, signed.signature, *signed.all)
    ] == [()] * 9
    assert (
        target.storage["team/app"].tags[f"{signed.index.digest.replace(':', '-')}.sig"]
        == signed.signature.digest
    )
    assert {
        entry.digest
        for entry in ReferrerLists(pair.target, repository_at(pair.target, "team/app")).referrers(
            [signed.index.digest]
        )
    } == {one.digest for one in signed.all[2:]}
    assert [
        entry.digest
        for entry in ReferrerLists(pair.target, repository_at(pair.target, "team/app")).referrers(
            [signed.sbom.digest]
        )
    ] == [signed.all[1].digest]
    assert len(report.referrers) == 8
    assert not copy(pair, source, target).changed


def test_a_list_that_is_kept_by_hand_keeps_what_it_has_and_says_what_each_is(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    source.referrers = True
    signed = Signed(source)
    other = refer_to(signed.index, "application/vnd.example.other")
    put(signed.index, target, "team/app")
    put(other, target, "team/app")
    entry = {"mediaType": other.media_type, "digest": other.digest, "size": len(other.manifest)}
    body = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entry],
            "annotations": {"a": "b"},
        }
    ).encode()
    put(
        ImageParts(
            manifest=body,
            media_type="application/vnd.oci.image.index.v1+json",
            digest=digest_of(body),
        ),
        target,
        "team/app",
        signed.index.digest.replace(":", "-"),
    )
    copy(pair, source, target)
    index = json.loads(target.manifest("team/app", signed.index.digest.replace(":", "-"))[2])
    assert index["annotations"] == {"a": "b"}
    first, *rest = index["manifests"]
    assert first == entry
    assert {one["digest"]: one["artifactType"] for one in rest} == {
        one.digest: "application/vnd.example.attestation" for one in signed.all[2:]
    }
    assert rest[0]["annotations"] == {"example": "application/vnd.example.attestation"}


@pytest.mark.parametrize("lists", [False, True])
def test_they_are_there_and_listed_before_the_image_gets_its_tag(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, *, lists: bool
) -> None:
    source.referrers, target.referrers = True, lists
    signed = Signed(source)
    copy(pair, source, target)
    puts = [record.path.rpartition("/")[2] for record in target.seen("PUT", "manifests")]
    assert puts[-1] == "1"
    assert puts.index(signed.index.digest) < min(puts.index(one.digest) for one in signed.all)


@pytest.mark.parametrize(
    ("lists", "known", "expected"),
    [
        (True, False, ["GET manifests", "GET referrers", "GET tags"]),
        (False, False, ["GET manifests", "GET referrers", "GET tags"]),
        (True, True, ["GET referrers", "GET tags"]),
        (False, True, ["GET referrers", "GET tags"]),
    ],
)
def test_where_there_are_none_they_cost_two_requests(
    source: FakeRegistry,
    target: FakeRegistry,
    pair: Pair,
    *,
    lists: bool,
    known: bool,
    expected: list[str],
) -> None:
    """The list of referrers, and the list of tags: it answers for the tag that stands for the
    former, and for cosign's.
    """
    source.referrers = lists
    image = make_image()
    put(image, source, "app", "1")
    wanted = replace(
        job(source, target, "app:1", "team/app:1", digest=image.digest if known else ""),
        referrers=OPTIONAL,
    )
    assert copy_images([wanted], pair.copying())[0].changed
    for server in (source, target):
        server.forget()
    assert not copy_images([wanted], pair.copying())[0].changed
    assert (asked(source), asked(target)) == (expected, ["HEAD manifests"])


@pytest.mark.parametrize("referrers", [True, False])
def test_of_an_index_each_platform_is_asked_for(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, *, referrers: bool
) -> None:
    """One list of referrers for the index and for each of its N platforms, and the list of tags;
    held already, the index is read for that.
    """
    source.referrers = True
    index = make_index()
    put(index, source, "app", "1")
    wanted = replace(
        job(source, target, "app:1", "team/app:1", digest=index.digest),
        referrers=OPTIONAL if referrers else NOT_COPIED,
    )
    copy_images([wanted], pair.copying())
    along = ["GET referrers"] * (len(index.children) + 1) + ["GET tags"] if referrers else []
    assert [one for one in asked(source) if one.split()[1] in ("referrers", "tags")] == along
    source.forget()
    assert not copy_images([wanted], pair.copying())[0].changed
    assert asked(source) == (["GET manifests", *along] if referrers else [])


def test_an_index_is_asked_about_with_each_of_its_platforms_and_without_its_attestations(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    source.referrers = True
    index = make_attested()
    put(index, source, "app", "1")
    copy(pair, source, target)
    subjects = {record.path.rpartition("/")[2] for record in source.seen("GET", "referrers")}
    assert subjects == {index.digest, *(child.digest for child in index.children[:2])}


def test_within_one_repository_they_are_there_already(
    source: FakeRegistry, transport: Transport
) -> None:
    source.referrers = True
    signed = Signed(source)
    pair = Pair(source, source, transport)
    copy_images(
        [replace(job(source, source, "app:1", "app:2"), referrers=OPTIONAL)], pair.copying()
    )
    assert not source.seen("GET", "referrers|tags")
    copy_images([replace(job(source, source, "app:1", "b:2"), referrers=OPTIONAL)], pair.copying())
    assert missing(signed.sbom, source, "b") == ()


@pytest.mark.parametrize(
    "answer",
    [
        Status(code=404),
        Status(code=200, headers={"Link": '<?n=1000&last=x>; rel="next"'}, body=b'{"tags": ["1"]}'),
        Status(code=500),
        Status(code=403),
        Status(code=200, body=b"[]"),
        Status(code=200, body=b'{"tags": 5}'),
    ],
)
def test_without_a_whole_list_of_tags_each_of_them_is_asked_for(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, answer: Status
) -> None:
    signed = Signed(source)
    list_by_tags(source, *signed.all)
    source.fault = on("GET", "tags/list", answer, times=9)
    assert len(copy(pair, source, target).referrers) == 8


def refuses_referrers(target: FakeRegistry, *, lists: bool = False) -> None:
    """A target that refuses manifests with a subject, or the list of referrers."""
    plain = target.answer

    def refusing(request: Request) -> Answer:
        of_subject = (
            b'"subject"' in request.body and request.method == "PUT" and "manifests" in request.path
        )
        if (not lists and of_subject) or (
            lists
            and request.method == "PUT"
            and request.path.rpartition("/")[2].startswith("sha256-")
        ):
            return Answer(
                status=400,
                headers={"Content-Type": "application/json"},
                body=b'{"errors":[{"code":"MANIFEST_INVALID","message":"not here"}]}',
            )
        return plain(request)

    target.answer = refusing  # type: ignore[method-assign]


@pytest.mark.parametrize("lists", [False, True])
def test_a_target_that_refuses_them_gets_the_image_with_a_warning(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, *, lists: bool
) -> None:
    source.referrers, image = True, make_image()
    sbom = refer_to(image)
    put(image, source, "app", "1")
    put(sbom, source, "app")
    refuses_referrers(target, lists=lists)
    warnings = list[str]()
    report = copy(pair, source, target, referrers=OPTIONAL, warn=warnings.append)
    assert target.storage["team/app"].tags["1"] == image.digest
    assert missing(image, target, "team/app") == ()
    assert len(report.referrers) == int(lists)
    [warning] = warnings
    assert "MANIFEST_INVALID: not here" in warning
    assert (image.digest if lists else sbom.digest) in warning


@pytest.mark.parametrize("lists", [False, True])
def test_where_they_are_demanded_that_is_an_error(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, *, lists: bool
) -> None:
    source.referrers, image = True, make_image()
    put(image, source, "app", "1")
    put(refer_to(image), source, "app")
    refuses_referrers(target, lists=lists)
    with pytest.raises(RegistryError, match="MANIFEST_INVALID: not here"):
        copy(pair, source, target)
    assert "1" not in target.storage["team/app"].tags


def test_one_that_is_refused_does_not_keep_the_others_back(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    source.referrers = target.referrers = True
    signed = Signed(source)
    target.fault = on("PUT", signed.sbom.digest, Status(code=415), times=9)
    warnings = list[str]()
    report = copy(pair, source, target, referrers=OPTIONAL, warn=warnings.append)
    assert [
        missing(parts, target, "team/app") == ()
        for parts in (signed.index, signed.signature, *signed.all)
    ] == [True, True, False, *[True] * 6]
    assert (len(report.referrers), len(warnings)) == (7, 1)


@pytest.mark.parametrize("validates", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_what_several_share_arrives_where_one_of_them_cannot(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, *, first: bool, validates: bool
) -> None:
    """All of them have the empty configuration; whichever is to bring it may fail before, or
    wait for long. A target that takes any manifest gets none whose content is missing.
    """
    source.referrers, target.validates = True, validates
    image, several = (
        make_image(),
        [refer_to(make_image(), content=f"what is in {number}".encode()) for number in range(4)],
    )
    put(image, source, "app", "1")
    for one in several:
        put(one, source, "app")
    shown = ReferrerLists(pair.source, repository_at(pair.source, "app")).referrers([image.digest])
    failing = next(one for one in several if one.digest == shown[0 if first else -1].digest)
    del source.storage["app"].blobs[
        max(failing.blobs, key=lambda digest: len(failing.blobs[digest]))
    ]
    warnings = list[str]()
    report = copy(pair, source, target, referrers=OPTIONAL, warn=warnings.append)
    assert {one.digest for one in report.referrers} == {one.digest for one in several} - {
        failing.digest
    }
    assert [missing(one, target, "team/app") == () for one in several] == [
        one is not failing for one in several
    ]
    assert failing.digest not in target.storage["team/app"].manifests
    assert len(warnings) == 1


def test_what_is_there_and_in_no_list_since_a_run_ended_before_is_listed_by_the_next(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    source.referrers = True
    signed = Signed(source)
    for one in (signed.index, *signed.all):
        put(one, target, "team/app", "1" if one is signed.index else "")
    assert copy(pair, source, target).changed
    for subject, several in (
        (signed.index, signed.all[2:]),
        (signed.index.children[0], signed.all[:1]),
        (signed.sbom, signed.all[1:2]),
    ):
        assert {
            entry.digest
            for entry in ReferrerLists(
                pair.target, repository_at(pair.target, "team/app")
            ).referrers([subject.digest])
        } == {one.digest for one in several}
    target.forget()
    assert not copy(pair, source, target).changed
    lists = [record.path for record in target.seen("GET", "manifests/sha256-")]
    assert (len(target.seen("GET", "referrers")), len(lists), target.count("PUT")) == (1, 3, 0)


@pytest.mark.parametrize("keeps", [False, True])
def test_a_target_that_always_fails_to_list_them_gets_them_twice_as_once(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, *, keeps: bool
) -> None:
    source.referrers, target.referrers = True, keeps
    signed, warnings = Signed(source), list[str]()
    target.fault = on("GET", "/referrers/", Status(code=500), times=999)
    assert copy(pair, source, target).changed
    target.forget()
    report = copy(pair, source, target, warn=warnings.append)
    assert report.changed == keeps
    assert len(report.referrers) == len(signed.all) + 1
    puts = [record.path for record in target.seen("PUT")]
    assert len(puts) == (len(signed.all) if keeps else 0), (
        "a registry that keeps lists says so on storing alone"
    )
    assert all("/manifests/" in path for path in puts)
    assert len(set(warnings)) == 1
    assert "answers 500 when asked for the referrers of" in warnings[0]
    assert not any(
        "manifests/sha256-" in record.path and record.method == "PUT" for record in target.requests
    )


def test_what_a_list_names_without_referring_to_it_is_brought_once(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    image, plain, stranger = make_image(), make_image(seed=5), refer_to(make_image(seed=6))
    put(image, source, "app", "1")
    for one in (plain, stranger):
        put(one, source, "app")
    put_list(source, image, plain, stranger)
    assert len(copy(pair, source, target).referrers) == 2
    assert not copy(pair, source, target).changed


def test_what_several_share_is_waited_for(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    source.referrers = True
    image, several = (
        make_image(),
        [refer_to(make_image(), content=f"what is in {number}".encode()) for number in range(4)],
    )
    put(image, source, "app", "1")
    for one in several:
        put(one, source, "app")
    waits = Status(code=429, headers={"Retry-After": "60"})
    once = iter([waits])
    target.fault = lambda record: (
        next(once, None)
        if record.method == "PUT" and digest_of(b"{}").rpartition(":")[2] in record.query
        else None
    )
    warnings = list[str]()
    assert len(copy(pair, source, target, referrers=OPTIONAL, warn=warnings.append).referrers) == 4
    assert warnings == []


def test_one_that_is_listed_and_not_there_stays_behind(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    image = make_image()
    sbom, gone = refer_to(image), refer_to(image, "application/vnd.example.gone")
    put(image, source, "app", "1")
    put(sbom, source, "app")
    list_by_tags(source, sbom, gone)
    warnings = list[str]()
    report = copy(pair, source, target, referrers=OPTIONAL, warn=warnings.append)
    assert [one.digest for one in report.referrers] == [sbom.digest]
    assert len(warnings) == 1
    assert gone.digest in warnings[0]
    with pytest.raises(RegistryError, match="does not exist on the source"):
        copy(pair, source, target)


def signatures(*names: str) -> ImageParts:
    """The image that cosign keeps under its tag, with a layer for each signature."""
    singles = [make_image(files={name: name.encode()}) for name in names]
    layers = [layer for single in singles for layer in json.loads(single.manifest)["layers"]]
    body = json.dumps({**json.loads(singles[0].manifest), "layers": layers}).encode()
    blobs = {digest: data for single in singles for digest, data in single.blobs.items()}
    return ImageParts(
        manifest=body, media_type=singles[0].media_type, digest=digest_of(body), blobs=blobs
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "kept", "told"),
    [
        (("a",), ("a",), "same", False),
        (("a", "b"), ("a",), "ours", False),
        (("a",), ("a", "b"), "theirs", False),
        (("a",), ("b",), "theirs", True),
    ],
)
def test_signatures_that_the_target_has_more_of_are_not_replaced(
    source: FakeRegistry,
    target: FakeRegistry,
    pair: Pair,
    *,
    ours: tuple[str, ...],
    theirs: tuple[str, ...],
    kept: str,
    told: bool,
) -> None:
    image = make_image()
    tag = f"{referrers_tag(image.digest)}.sig"
    put(image, source, "app", "1")
    put(signatures(*ours), source, "app", tag)
    put(signatures(*theirs), target, "team/app", tag)
    warnings = list[str]()
    report = copy(pair, source, target, referrers=OPTIONAL, warn=warnings.append)
    expected = {
        "same": signatures(*ours),
        "ours": signatures(*ours),
        "theirs": signatures(*theirs),
    }[kept]
    assert target.storage["team/app"].tags == {"1": image.digest, tag: expected.digest}
    assert [f"{tag} holds other content" in one for one in warnings] == [True] * told
    assert verify_images([report], pair.copying()) == (report,)
    if told:
        with pytest.raises(RegistryError, match="holds other content than"):
            copy(pair, source, target)


def test_a_source_that_cannot_say_is_a_warning_and_an_error_where_they_are_demanded(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    put(make_image(), source, "app", "1")
    source.fault = on("GET", "referrers", Status(code=500), times=99)
    warnings = list[str]()
    assert copy(pair, source, target, referrers=OPTIONAL, warn=warnings.append).changed
    assert len(warnings) == 1
    assert "answers 500 when asked for the referrers of" in warnings[0]
    with pytest.raises(RegistryError, match="answers 500 when asked for the referrers of"):
        copy(pair, source, target)


def test_a_proxy_that_cuts_the_question_off_does_not_keep_the_image_back(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    put(make_image(), source, "app", "1")
    source.fault = lambda record: (
        CutAnswer(after=None) if "referrers" in record.path or "tags/list" in record.path else None
    )
    warnings = list[str]()
    assert copy(pair, source, target, referrers=OPTIONAL, warn=warnings.append).changed
    assert len(warnings) == 1
    assert "were not looked for: the source registry" in warnings[0]
    with pytest.raises(RegistryUnreachable):
        copy_images(
            [replace(job(source, target, "app:1", "b:1"), referrers=REQUIRED)], pair.copying()
        )


def test_a_damaged_one_is_an_error_in_any_case(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    source.referrers, image = True, make_image()
    sbom = refer_to(image, content=b"content")
    put(image, source, "app", "1")
    put(sbom, source, "app")
    source.fault = on("GET", digest_of(b"content"), Corrupt(), times=99)
    with pytest.raises(DigestMismatch):
        copy(pair, source, target, referrers=OPTIONAL)


def test_a_dry_run_counts_them(source: FakeRegistry, target: FakeRegistry, pair: Pair) -> None:
    source.referrers = True
    Signed(source)
    dry = copy_images(
        [replace(job(source, target, "app:1", "team/app:1"), referrers=OPTIONAL)],
        pair.copying(dry_run=True),
    )[0]
    assert (len(dry.referrers), target.storage) == (8, {})


def test_they_stay_where_they_are_unless_they_are_asked_for(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    source.referrers = True
    signed = Signed(source)
    pair.copy("app:1", "team/app:1")
    assert set(target.storage["team/app"].tags) == {"1"}
    assert not source.seen("GET", "referrers")
    assert signed.sbom.digest not in target.storage["team/app"].manifests


def test_a_source_that_is_gone_is_no_fault_where_the_image_is_there(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    signed = Signed(source)
    put(signed.index, target, "team/app", "1")
    source.stop()
    wanted = replace(
        job(source, target, "app:1", "team/app:1", digest=signed.index.digest), referrers=REQUIRED
    )
    assert not copy_images([wanted], pair.copying())[0].changed
    source.start()


def _empty_page(*, next_page: str) -> Status:
    """An answer with no referrers, whose `Link` header leads to `next_page`."""
    index = "application/vnd.oci.image.index.v1+json"
    body = json.dumps({"schemaVersion": 2, "mediaType": index, "manifests": []}).encode()
    headers = {"Content-Type": index, "Link": f'<{next_page}>; rel="next"'}
    return Status(code=200, headers=headers, body=body)


def test_a_list_that_goes_on_at_another_host_is_not_followed(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    page = _empty_page(next_page=f"{target.url}/v2/app/referrers/x")
    source.fault = on("GET", "referrers", page)
    with pytest.raises(RegistryError, match="goes on at another host"):
        pair.source.referrers(repository_at(pair.source, "app"), make_image().digest)
    assert target.requests == ()


def test_a_list_without_an_end_is_given_up(source: FakeRegistry, pair: Pair) -> None:
    source.fault = on("GET", "referrers", _empty_page(next_page="?n=1"), times=999)
    with pytest.raises(RegistryError, match="more than 50 pages"):
        pair.source.referrers(repository_at(pair.source, "app"), make_image().digest)


@pytest.mark.parametrize("status", [400, 403])
def test_a_target_that_does_not_support_artifacts_is_not_told_as_a_login(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, status: int
) -> None:
    source.referrers = True
    image = make_image()
    put(image, source, "app", "1")
    sbom = refer_to(image)
    put(sbom, source, "app")
    words = json.dumps(
        {"errors": [{"code": "MANIFEST_INVALID", "message": "artifact not supported"}]}
    ).encode()
    target.fault = on(
        "PUT",
        f"/manifests/{sbom.digest}",
        Status(code=status, headers={"Content-Type": "application/json"}, body=words),
    )
    with pytest.raises(
        RegistryError,
        match=(
            f"answers {status} .*the registry does not support it: MANIFEST_INVALID: artifact not"
            " supported"
        ),
    ) as caught:
        copy(pair, source, target)
    assert "user" not in caught.value.hint
    assert target.storage["team/app"].tags == {}


@pytest.mark.parametrize("status", [401, 500])
@pytest.mark.parametrize("mode", [OPTIONAL, REQUIRED])
def test_where_the_list_of_referrers_is_refused_cosigns_tags_travel_all_the_same(
    source: FakeRegistry,
    target: FakeRegistry,
    pair: Pair,
    status: int,
    mode: str,
) -> None:
    source.referrers = True
    signed = Signed(source)
    source.fault = on("GET", "referrers", Status(code=status), times=999)
    warnings = list[str]()
    if mode == REQUIRED:
        with pytest.raises((RegistryError, CredentialError)):
            copy(pair, source, target, referrers=mode)
        assert target.storage.get("team/app") is None
        return
    report = copy(pair, source, target, referrers=mode, warn=warnings.append)
    assert missing(signed.signature, target, "team/app") == ()
    assert set(target.storage["team/app"].tags) == {
        "1",
        f"{referrers_tag(signed.index.digest)}.sig",
    }
    assert len(report.referrers) == 1
    [warning] = warnings
    assert "stay behind, except those that a tag names: the source registry" in warning


def in_both_modes(
    pair: Pair,
    source: FakeRegistry,
    target: FakeRegistry,
    expected: str,
) -> CopyReport:
    """The report of a copy with optional referrers, which warns once.

    A copy with required referrers fails before, without a tag.
    """
    with pytest.raises(RegistryError, match=expected):
        copy(pair, source, target)
    assert "1" not in target.create("team/app").tags
    warnings = list[str]()
    report = copy(pair, source, target, referrers=OPTIONAL, warn=warnings.append)
    assert [expected in one for one in warnings] == [True]
    assert "1" in target.storage["team/app"].tags
    return report


@pytest.mark.parametrize("tagged", [False, True])
def test_what_lies_deeper_than_the_levels_that_travel_is_told(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, *, tagged: bool
) -> None:
    source.referrers = True
    chain = [make_image()]
    for number in range(3):
        chain.append(refer_to(chain[-1], content=f"{number}".encode()))
    for one in chain:
        put(one, source, "app", "1" if one is chain[0] else "")
    assert len(copy(pair, source, target).referrers) == 3
    deeper = make_image(seed=9) if tagged else refer_to(chain[-1], content=b"deeper")
    put(deeper, source, "app", f"{referrers_tag(chain[-1].digest)}.sig" if tagged else "")
    target.storage.clear()
    named = f"{referrers_tag(chain[-1].digest)}.sig" if tagged else deeper.digest
    report = in_both_modes(
        pair,
        source,
        target,
        f"at most 3 levels of referrers are copied, and {named} is deeper",
    )
    assert len(report.referrers) == 3


@pytest.mark.parametrize("suffix", ["", ".sig"])
@pytest.mark.parametrize("status", [404, 500])
def test_a_tag_that_is_listed_and_not_there_is_told_and_the_others_travel(
    source: FakeRegistry,
    target: FakeRegistry,
    pair: Pair,
    suffix: str,
    status: int,
) -> None:
    signed = Signed(source)
    list_by_tags(source, *signed.all)
    gone = f"{referrers_tag(signed.index.digest)}{suffix}"
    source.fault = lambda record: (
        Status(code=status) if record.path.endswith(f"/manifests/{gone}") else None
    )
    expected = (
        f"lists the tag {gone}, but has no such tag"
        if status == 404
        else f"answers 500 when asked for app, manifest {gone}"
    )
    report = in_both_modes(pair, source, target, expected)
    assert len(report.referrers) == (7 if suffix else 3)


PAGE = Status(
    code=200, headers={"Content-Type": "text/html"}, body=b"<html><title>Sign in</title></html>"
)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("answer", [Status(code=403), Status(code=400), PAGE])
def test_one_list_that_is_not_given_is_told_where_the_registry_gives_others(
    source: FakeRegistry,
    target: FakeRegistry,
    pair: Pair,
    answer: Status,
    *,
    known: bool,
) -> None:
    source.referrers = True
    signed = Signed(source)
    source.fault = lambda record: (
        answer if record.path.endswith(f"/referrers/{signed.index.digest}") else None
    )
    wanted = replace(
        job(source, target, "app:1", "team/app:1", digest=signed.index.digest if known else ""),
        referrers=OPTIONAL,
    )
    warnings = list[str]()
    [report] = copy_images([wanted], pair.copying(warn=warnings.append))
    what = "another content" if answer.code == 200 else str(answer.code)
    expected = (
        f"answers {what} when asked for the referrers of {signed.index.digest}, and lists the"
        " referrers of others"
    )
    assert [expected in one for one in warnings] == [True]
    assert {one.digest for one in report.referrers} == {
        signed.signature.digest,
        *(one.digest for one in signed.all[:2]),
    }
    target.storage.clear()
    with pytest.raises(RegistryError, match=expected):
        copy_images([replace(wanted, referrers=REQUIRED)], pair.copying())


def test_a_target_that_lists_a_tag_that_it_lost_gets_it_again(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    """A copy repairs what is missing at a target."""
    source.referrers = True
    signed = Signed(source)
    copy(pair, source, target)
    gone = target.storage["team/app"].tags[referrers_tag(signed.index.digest)]
    del target.storage["team/app"].manifests[gone]
    assert copy(pair, source, target).changed
    assert {
        entry.digest
        for entry in ReferrerLists(pair.target, repository_at(pair.target, "team/app")).referrers(
            [signed.index.digest]
        )
    } == {one.digest for one in signed.all[2:]}


@pytest.mark.parametrize("mode", [OPTIONAL, REQUIRED])
def test_a_registry_that_has_no_list_for_what_nothing_refers_to_is_none_that_refuses_one(
    source: FakeRegistry,
    target: FakeRegistry,
    pair: Pair,
    mode: str,
) -> None:
    source.referrers = True
    signed = Signed(source)
    unsigned = signed.index.children[1].digest
    source.fault = lambda record: (
        Status(code=404) if record.path.endswith(f"/referrers/{unsigned}") else None
    )
    warnings = list[str]()
    report = copy(pair, source, target, referrers=mode, warn=warnings.append)
    assert (len(report.referrers), warnings) == (8, [])


@pytest.mark.parametrize("answer", [Status(code=403), Status(code=405), PAGE])
@pytest.mark.parametrize("mode", [OPTIONAL, REQUIRED])
def test_a_registry_that_keeps_no_list_in_whatever_way_it_says_so_is_asked_for_its_tags(
    source: FakeRegistry,
    target: FakeRegistry,
    pair: Pair,
    answer: Status,
    mode: str,
) -> None:
    signed = Signed(source)
    list_by_tags(source, *signed.all)
    source.fault = on("GET", "referrers", answer, times=99)
    warnings = list[str]()
    report = copy(pair, source, target, referrers=mode, warn=warnings.append)
    assert (len(report.referrers), warnings) == (8, [])


def test_more_of_them_than_can_travel_are_told(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_REFERRERS", 3)
    source.referrers, image = True, make_image()
    put(image, source, "app", "1")
    for number in range(3):
        put(refer_to(image, content=f"{number}".encode()), source, "app")
    assert len(copy(pair, source, target).referrers) == 3
    put(refer_to(image, content=b"more"), source, "app")
    target.storage.clear()
    in_both_modes(pair, source, target, "more than 3 referrers are listed for the image")
