from __future__ import annotations

import itertools
import random
import signal
import threading
from collections.abc import Callable
from contextlib import nullcontext
from urllib.parse import unquote, urlencode

import pytest

from tests.engine.registry.clients import Pair, client, repository_at
from tests.fakes.clock import FakeClock
from tests.fakes.images import ImageParts, make_image, make_index, missing, put
from tests.fakes.registry import (
    Answer,
    Corrupt,
    CutAnswer,
    CutRequest,
    FakeRegistry,
    Fault,
    Record,
    Status,
    digest_of,
    on,
)
from tests.fakes.serve import Request
from tests.fakes.slow_line import SlowLine
from towline.errors import (
    ConfigError,
    DigestMismatch,
    Interrupted,
    MachineError,
    RegistryError,
    RegistryUnreachable,
)
from towline.http.client import Transport
from towline.image import Reference, Repository
from towline.record import replace
from towline.registry.client import Download
from towline.registry.copy.job import COPIED, MOUNTED, SKIPPED, BlobOutcome
from towline.registry.copy.plan import CopyBlob, CopyPlan
from towline.registry.copy.progress import Progress
from towline.registry.copy.transfer import Transfer
from towline.registry.manifest import Manifest
from towline.registry.parallel import JOBS
from towline.retry import ATTEMPTS

BIG = 3 * 1024 * 1024


def perform(pair: Pair, *plans: CopyPlan) -> dict[CopyBlob, BlobOutcome]:
    copying = pair.copying()
    return dict(
        Transfer(copying.source, copying.targets, pair.target.transport, copying.progress).perform(
            plans
        )
    )


def transfer(pair: Pair, *blobs: CopyBlob) -> dict[CopyBlob, str]:
    return {blob: way.how for blob, way in perform(pair, CopyPlan(blobs=blobs)).items()}


def blob_of(
    data: bytes, source: FakeRegistry, pair: Pair, *, claimed: str = "", size: int | None = None
) -> CopyBlob:
    digest = claimed or digest_of(data)
    source.create("app").blobs[digest] = data
    repository = Repository(registry=pair.target.registry, name="app")
    return CopyBlob(
        source=repository_at(pair.source, "app"),
        repository=repository,
        digest=digest,
        size=len(data) if size is None else size,
    )


def nothing_at(target: FakeRegistry, image: ImageParts) -> bool:
    """Whether no tag and no manifest came to the target."""
    held = target.storage.get("app")
    return held is None or (
        not held.tags
        and not held.manifests
        and not set(held.manifests) & {part.digest for part in image.walk()}
    )


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 1024 * 1024 + 1, BIG])
def test_a_blob_of_any_size_arrives_whole(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, size: int
) -> None:
    blob = blob_of(b"x" * size, source, pair)
    assert transfer(pair, blob) == {blob: COPIED}
    assert target.storage["app"].blobs == {blob.digest: b"x" * size}
    assert (source.count("GET"), target.count("POST"), target.count("PUT")) == (1, 1, 1)


def test_a_blob_by_sha512_arrives_whole(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    blob = blob_of(b"abc", source, pair, claimed=digest_of(b"abc", "sha512"))
    transfer(pair, blob)
    assert target.storage["app"].blobs == {blob.digest: b"abc"}


def test_eight_blobs_move_at_once(source: FakeRegistry, target: FakeRegistry, pair: Pair) -> None:
    together = threading.Barrier(JOBS, timeout=30)
    blobs = [blob_of(bytes([number]) * 10, source, pair) for number in range(JOBS)]

    def gather(record: Record) -> Fault | None:
        if record.method == "GET":
            together.wait()
        return None

    source.fault = gather
    transfer(pair, *blobs)
    assert len(target.storage["app"].blobs) == JOBS


def test_twice_as_many_blobs_are_mounted_at_once(target: FakeRegistry, pair: Pair) -> None:
    together = threading.Barrier(JOBS * 2, timeout=30)
    repository = Repository(registry=pair.target.registry, name="app")
    contents = [bytes([number]) * 10 for number in range(JOBS * 2)]
    target.create("base").blobs.update({digest_of(data): data for data in contents})

    def gather(record: Record) -> Fault | None:
        if record.method == "POST":
            together.wait()
        return None

    target.fault = gather
    transfer(
        pair,
        *(
            CopyBlob(
                source=repository_at(pair.source, "base"),
                repository=repository,
                digest=digest_of(data),
                size=10,
                mount_from=repository_at(pair.target, "base"),
            )
            for data in contents
        ),
    )
    assert len(target.storage["app"].blobs) == JOBS * 2


@pytest.mark.parametrize("at", [0, -1])
def test_a_wrong_byte_from_the_source_never_completes_an_upload(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, at: int
) -> None:
    image = make_image(size=BIG)
    put(image, source, "app", "1")
    source.fault = on("GET", "blobs", Corrupt(at=at), times=99)
    with pytest.raises(DigestMismatch) as caught:
        pair.copy("app:1", "app:1")
    digests = {digest for digest in image.blobs if digest in caught.value.message}
    assert len(digests) == 1
    assert f"came from the source registry {source.host} as sha256:" in caught.value.message
    assert source.count("GET", digests.pop()) == 2  # the blob is read a second time
    assert nothing_at(target, image)
    assert target.storage["app"].blobs == {}
    assert {record.status for record in target.seen("PUT")} <= {0}


@pytest.mark.parametrize("at", [0, BIG // 2, -1])
def test_a_byte_that_is_wrong_once_is_read_once_more(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, at: int
) -> None:
    blob = blob_of(random.Random(1).randbytes(BIG), source, pair)
    source.fault = on("GET", "", Corrupt(at=at))
    assert transfer(pair, blob) == {blob: COPIED}
    assert digest_of(target.storage["app"].blobs[blob.digest]) == blob.digest
    assert (source.count("GET"), target.count("POST"), target.storage["app"].uploads) == (2, 2, {})


@pytest.mark.parametrize("times", [1, 2])
def test_a_target_that_finds_right_bytes_wrong_gets_them_once_more(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, times: int
) -> None:
    blob = blob_of(random.Random(1).randbytes(BIG), source, pair)
    wrong = Status(
        code=400,
        body=b'{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match"}]}',
    )
    target.fault = on("PUT", "", wrong, times=times)
    if times == 1:
        assert transfer(pair, blob) == {blob: COPIED}
    else:
        with pytest.raises(DigestMismatch, match="DIGEST_INVALID: provided digest did not match"):
            transfer(pair, blob)
    assert (target.count("PUT"), target.storage["app"].uploads) == (2, {})


@pytest.mark.parametrize("wrong", [0, 1])
def test_of_two_targets_the_one_that_finds_right_bytes_wrong_gets_them_once_more(
    source: FakeRegistry,
    target: FakeRegistry,
    pair: Pair,
    wrong: int,
) -> None:
    blob = blob_of(random.Random(1).randbytes(BIG), source, pair)
    with FakeRegistry() as other:
        (target, other)[wrong].fault = on(
            "PUT", "", Status(code=400, body=b'{"errors":[{"code":"DIGEST_INVALID"}]}')
        )
        to_both(pair, blob, other)
        for server in (target, other):
            assert {
                digest: digest_of(data) for digest, data in server.storage["app"].blobs.items()
            } == {blob.digest: blob.digest}
            assert server.storage["app"].uploads == {}
    assert source.count("GET") == 2


def test_bytes_that_are_wrong_when_they_are_read_again_for_the_rest_of_an_upload_are_found(
    source: FakeRegistry,
    target: FakeRegistry,
    pair: Pair,
) -> None:
    """They are not hashed again: the target finds them, and all of it is read and sent once
    more.
    """
    target.resumes = True
    blob = blob_of(random.Random(2).randbytes(BIG), source, pair)
    target.fault = on("PUT", "", CutRequest(after=1000))
    source.fault = lambda record: Corrupt(at=5) if "range" in record.headers else None
    assert transfer(pair, blob) == {blob: COPIED}
    assert digest_of(target.storage["app"].blobs[blob.digest]) == blob.digest


def test_an_empty_blob_that_should_not_be_is_not_stored(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    with pytest.raises(DigestMismatch):
        transfer(pair, blob_of(b"", source, pair, claimed=digest_of(b"x")))
    assert target.count("PUT") == 0


@pytest.mark.parametrize(
    ("size", "known_as", "what"),
    [
        (4, b"12345", "longer than its manifest says"),
        (4, b"1234", "longer than its manifest says"),
        (6, b"12345", "1 bytes short"),
    ],
)
def test_a_blob_of_another_size_than_announced_is_not_stored(
    source: FakeRegistry,
    target: FakeRegistry,
    pair: Pair,
    *,
    size: int,
    known_as: bytes,
    what: str,
) -> None:
    with pytest.raises(DigestMismatch, match=what):
        transfer(pair, blob_of(b"12345", source, pair, claimed=digest_of(known_as), size=size))
    assert target.storage["app"].blobs == {}


@pytest.mark.parametrize(
    ("after", "ranges"), list(itertools.product([BIG // 2, 10], [True, False]))
)
def test_a_download_that_is_cut_goes_on_into_the_same_upload(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, *, after: int, ranges: bool
) -> None:
    source.ranges = ranges
    blob = blob_of(bytes(range(256)) * (BIG // 256), source, pair)
    source.fault = on("GET", "", CutAnswer(after=after), times=2)
    transfer(pair, blob)
    assert digest_of(target.storage["app"].blobs[blob.digest]) == blob.digest
    assert (target.count("POST"), target.count("PUT")) == (1, 1)
    asked = [record.headers.get("range", "") for record in source.seen("GET")]
    assert (
        asked == ["", f"bytes={after}-", f"bytes={2 * after if ranges else after}-"][: len(asked)]
    )
    assert len(asked) == (2 if ranges and after == BIG // 2 else 3)


@pytest.mark.parametrize(
    "fault", [CutRequest(after=BIG // 2), CutRequest(after=0), Status(code=503), Status(code=404)]
)
def test_an_upload_that_is_lost_is_begun_again(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, fault: Fault
) -> None:
    blob = blob_of(bytes(BIG), source, pair)
    target.fault = on("PUT", "", fault)
    transfer(pair, blob)
    assert target.storage["app"].blobs[blob.digest] == bytes(BIG)
    assert target.count("POST") == 2


def test_an_upload_that_is_cut_goes_on_from_what_the_registry_has(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    target.resumes = True
    blob = blob_of(random.Random(1).randbytes(BIG), source, pair)
    target.fault = on("PUT", "", CutRequest(after=BIG - 1000))
    assert transfer(pair, blob) == {blob: COPIED}
    assert digest_of(target.storage["app"].blobs[blob.digest]) == blob.digest
    (patch,) = target.seen("PATCH")
    kept = int(patch.headers["content-range"].partition("-")[0])
    assert 0 < kept <= BIG - 1000
    assert patch.bytes_in == BIG - kept
    assert source.seen("GET")[-1].headers["range"] == f"bytes={kept}-"
    assert target.count("POST") == 1


def test_a_registry_that_says_to_have_more_than_was_sent_gets_all_of_it_anew(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    blob = blob_of(random.Random(1).randbytes(BIG), source, pair)
    target.fault = lambda record: (
        CutRequest(after=0)
        if record.method == "PUT" and target.count("PUT") == 1
        else Status(code=204, headers={"Range": f"0-{2 * BIG}"})
        if record.method == "GET"
        else None
    )
    transfer(pair, blob)
    assert digest_of(target.storage["app"].blobs[blob.digest]) == blob.digest
    assert (target.count("POST"), target.count("PATCH")) == (2, 0)
    assert not any("range" in record.headers for record in source.requests)


def test_a_stored_blob_whose_answer_was_lost_is_not_sent_again(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    target.fault = on("PUT", "", CutAnswer(after=None))
    transfer(pair, blob_of(bytes(BIG), source, pair))
    assert (target.count("PUT"), source.count("GET")) == (1, 1)


@pytest.mark.parametrize("largest", [5 * 1024 * 1024, 1024 * 1024])
def test_a_proxy_that_takes_only_smaller_bodies_gets_chunks(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, largest: int
) -> None:
    blob = blob_of(random.Random(2).randbytes(7 * 1024 * 1024 + 1), source, pair)
    target.largest_body = largest
    transfer(pair, blob)
    assert digest_of(target.storage["app"].blobs[blob.digest]) == blob.digest
    stored = [record for record in target.seen("PATCH") if record.status == 202]
    assert {record.bytes_in <= largest for record in stored} == {True}
    assert [record.bytes_in // 1024**2 for record in stored] == (
        [1, 4, 2] if largest > 4 * 1024 * 1024 else [1] * 7 + [0]
    )


class Winding(FakeRegistry):
    """Redirects every part of an upload once."""

    def answer(self, request: Request) -> Answer:
        if (
            request.method in ("PATCH", "PUT")
            and "/uploads/" in request.path
            and not request.asks("moved")
        ):
            query = urlencode(
                {**{name: values[0] for name, values in request.query.items()}, "moved": "1"}
            )
            return Answer(status=307, headers={"Location": f"{request.path}?{query}"})
        return super().answer(request)


@pytest.mark.parametrize("largest", [0, 1024 * 1024])
@pytest.mark.parametrize("kind", [FakeRegistry, Winding])
def test_each_byte_is_read_once_from_the_source_once_a_target_is_known(
    source: FakeRegistry,
    transport: Transport,
    kind: type[FakeRegistry],
    largest: int,
) -> None:
    """Several blobs at once, each for two registries; what is learned by the first one costs
    that one alone.
    """
    with kind() as one, kind() as other:
        targets = [client(registry, "target", transport) for registry in (one, other)]
        pair = Pair(source, one, transport)
        run = Transfer(
            pair.source,
            {target.registry: target for target in targets},
            transport,
            Progress(None, transport.clock),
        )

        def plan(*numbers: int) -> CopyPlan:
            found = [
                blob_of(random.Random(number).randbytes(3 * 1024**2 + number), source, pair)
                for number in numbers
            ]
            repositories = [Repository(registry=target.registry, name="app") for target in targets]
            return CopyPlan(
                blobs=tuple(
                    replace(blob, repository=repository)
                    for blob in found
                    for repository in repositories
                )
            )

        one.largest_body = other.largest_body = largest
        first, rest = plan(0), plan(*range(1, 9))
        run.perform([first])
        # both targets get the rest together
        assert source.count("GET", "blobs") == (1 if kind is FakeRegistry and not largest else 2)
        source.forget()
        run.perform([rest])
        assert {digest: len(data) for digest, data in one.storage["app"].blobs.items()} == {
            blob.digest: blob.size for blob in (*first.blobs, *rest.blobs)
        }
        assert other.storage["app"].blobs == one.storage["app"].blobs
        assert source.count("GET", "blobs") == 8
        assert sum(record.bytes_out for record in source.requests) == sum(
            {blob.digest: blob.size for blob in rest.blobs}.values()
        )


def test_a_limit_costs_each_layer_at_most_what_was_under_way_and_all_of_them_one_trial(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    target.largest_body = 1024 * 1024
    blobs = [
        blob_of(random.Random(number).randbytes(6 * 1024**2), source, pair) for number in range(4)
    ]
    transfer(pair, *blobs)
    assert target.storage["app"].blobs.keys() == {blob.digest for blob in blobs}
    assert source.count("GET") <= 2 * len(blobs) + 1
    assert len([record for record in target.seen("PATCH") if record.status == 413]) <= 1


@pytest.mark.parametrize(("layers", "largest"), [(5, 5), (3, 1), (20, 1)])
def test_any_number_of_layers_learns_the_largest_body_at_once(
    source: FakeRegistry,
    target: FakeRegistry,
    pair: Pair,
    *,
    layers: int,
    largest: int,
) -> None:
    mib = 1024 * 1024
    blobs = [
        blob_of(
            random.Random(number).randbytes(5 * mib // 2 if largest == 1 else 6 * mib), source, pair
        )
        for number in range(layers)
    ]
    target.largest_body = largest * mib
    together = threading.Barrier(min(layers, JOBS), timeout=30)
    first = iter(range(min(layers, JOBS)))

    def gather(record: Record) -> Fault | None:
        if (
            record.method == "PUT"
            and int(record.headers["content-length"]) > target.largest_body
            and next(first, None) is not None
        ):
            together.wait()  # none of them knows yet
        return None

    target.fault = gather
    transfer(pair, *blobs)
    assert {digest: digest_of(data) for digest, data in target.storage["app"].blobs.items()} == {
        blob.digest: blob.digest for blob in blobs
    }
    assert (
        max(record.bytes_in for record in target.seen("PATCH") if record.status == 202)
        == (4 if largest == 5 else 1) * mib
    )
    # what was refused has not been heard: the same upload takes the pieces
    assert target.count("POST") == layers
    assert target.storage["app"].uploads == {}


def test_a_limit_that_falls_while_layers_are_on_their_way_is_learned_again(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    blobs = [blob_of(random.Random(number).randbytes(BIG * 2), source, pair) for number in range(4)]
    target.largest_body = 5 * 1024 * 1024

    def fall(record: Record) -> Fault | None:
        if any(one.bytes_in > 1024 * 1024 and one.status == 202 for one in target.seen("PATCH")):
            target.largest_body = 1024 * 1024
        return None

    target.fault = fall
    transfer(pair, *blobs)
    assert set(target.storage["app"].blobs) == {blob.digest for blob in blobs}
    assert {
        record.bytes_in > 1024 * 1024 for record in target.seen("PATCH") if record.status == 202
    } == {True, False}


def test_an_upload_of_which_only_the_answer_was_lost_is_finished_without_the_source(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    target.resumes = True
    blob = blob_of(random.Random(5).randbytes(BIG), source, pair)
    cut, lost = on("PUT", "", CutRequest(after=BIG // 3)), on("PATCH", "", CutAnswer(after=None))
    target.fault = lambda record: cut(record) or lost(record)
    transfer(pair, blob)
    assert digest_of(target.storage["app"].blobs[blob.digest]) == blob.digest
    assert [(record.bytes_in > 0, record.status) for record in target.seen("PUT")] == [
        (True, 0),
        (False, 201),
    ]
    assert source.count("GET") == 2
    assert target.count("POST") == 1


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_the_steps_of_learning_are_no_failures(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, chunk: int
) -> None:
    size = 7 * 1024 * 1024 // 2
    blob = blob_of(random.Random(6).randbytes(size), source, pair)
    target.largest_body = 1024 * 1024
    lost = on("PATCH", "", CutAnswer(after=None), times=ATTEMPTS - 1)

    def lose(record: Record) -> Fault | None:
        if record.method != "PATCH" or int(record.headers["content-length"]) > target.largest_body:
            return None
        came = max(len(upload.data) for upload in target.storage["app"].uploads.values())
        return lost(record) if came == (chunk - 1) * 1024 * 1024 else None

    target.fault = lose
    transfer(pair, blob)
    assert digest_of(target.storage["app"].blobs[blob.digest]) == blob.digest


def test_a_large_layer_arrives_over_a_line_that_is_cut_again_and_again(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    target.resumes = True
    blob = blob_of(random.Random(7).randbytes(20 * 1024 * 1024), source, pair)
    piece = 600_000
    target.fault = lambda record: (
        CutRequest(after=piece) if int(record.headers.get("content-length", "0")) > piece else None
    )
    transfer(pair, blob)
    assert digest_of(target.storage["app"].blobs[blob.digest]) == blob.digest
    assert target.count("PATCH") + target.count("PUT") > 25


def test_a_registry_that_takes_no_rest_of_an_upload_gets_it_anew(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    target.resumes = True
    blob = blob_of(random.Random(8).randbytes(BIG), source, pair)
    cut, refused = (
        on("PUT", "", CutRequest(after=BIG // 2)),
        on("PATCH", "", Status(code=416), times=99),
    )
    target.fault = lambda record: cut(record) or refused(record)
    transfer(pair, blob)
    assert digest_of(target.storage["app"].blobs[blob.digest]) == blob.digest
    assert (target.count("PATCH"), target.count("POST"), target.storage["app"].uploads) == (
        1,
        2,
        {},
    )


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_redirected_upload_is_read_again_from_where_it_was(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, method: str
) -> None:
    blob = blob_of(random.Random(9).randbytes(BIG), source, pair)
    if method == "PATCH":
        target.largest_body = 1024 * 1024
    left = iter(range(2))

    def move(record: Record) -> Fault | None:
        if (
            record.method != method
            or int(record.headers["content-length"]) > (target.largest_body or BIG)
            or next(left, None) is None
        ):
            return None
        return Status(code=307, headers={"Location": f"{record.path}?{record.query}"})

    target.fault = move
    transfer(pair, blob)
    assert digest_of(target.storage["app"].blobs[blob.digest]) == blob.digest
    assert len([record for record in target.requests if record.status == 307]) == 2


def test_a_proxy_that_takes_nothing_is_given_up(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    target.largest_body = 1000
    with pytest.raises(RegistryError, match="answers 413"):
        transfer(pair, blob_of(bytes(BIG), source, pair))


def test_a_registry_that_gets_a_little_further_each_time_has_all_of_it_in_the_end(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    target.resumes = True
    blob = blob_of(random.Random(3).randbytes(100_000), source, pair)
    target.fault = lambda record: (
        CutRequest(after=1000) if int(record.headers.get("content-length", "0")) > 1000 else None
    )
    transfer(pair, blob)
    assert digest_of(target.storage["app"].blobs[blob.digest]) == blob.digest
    assert target.count("PATCH") + target.count("PUT") >= 100


def test_a_registry_that_loses_every_upload_is_given_up(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    target.fault = on("PUT", "", Status(code=502), times=99)
    with pytest.raises(RegistryError, match="answers 502 when asked to store"):
        transfer(pair, blob_of(b"x", source, pair))
    assert target.count("PUT") == ATTEMPTS


def test_what_ended_an_upload_is_told_although_the_registry_says_less_when_it_is_asked_again(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    blob, full = (
        blob_of(b"x", source, pair),
        Status(code=500, body=b'{"errors": [{"code": "UNKNOWN", "detail": {"Err": 28}}]}'),
    )
    target.fault = lambda record: (
        full if record.method == "PUT" else Status(code=500) if target.count("PUT") else None
    )
    with pytest.raises(RegistryError, match=r"asked to store .*: its disk is full"):
        transfer(pair, blob)


def test_what_a_registry_says_when_it_is_asked_again_is_told_after_a_broken_line(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    target.fault = lambda record: (
        CutRequest(after=0)
        if record.method == "PUT"
        else Status(code=500)
        if target.count("PUT")
        else None
    )
    with pytest.raises(RegistryError, match="answers 500 when asked"):
        transfer(pair, blob_of(b"x", source, pair))


def test_a_source_that_always_breaks_off_is_given_up(source: FakeRegistry, pair: Pair) -> None:
    source.fault = on("GET", "", CutAnswer(after=0), times=99)
    with pytest.raises(RegistryUnreachable, match="the source registry"):
        transfer(pair, blob_of(b"xyz", source, pair))
    assert source.count("GET") == ATTEMPTS


def test_the_pause_that_a_target_asks_for_during_an_upload_is_kept(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, time: FakeClock
) -> None:
    target.fault = on("PUT", "", Status(code=429, headers={"Retry-After": "9"}))
    transfer(pair, blob_of(b"x", source, pair))
    assert time.sleeps == [9.0]


def test_the_pauses_grow_where_an_upload_breaks_off_and_nothing_is_asked_for(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, time: FakeClock
) -> None:
    target.fault = on("PUT", "", CutRequest(after=0), times=3)
    transfer(pair, blob_of(b"x", source, pair))
    assert time.sleeps == [0.2, 0.4, 0.8]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_target_that_asks_for_a_rest_again_and_again_gets_it_while_there_is_time(
    source: FakeRegistry,
    target: FakeRegistry,
    time: FakeClock,
    method: str,
) -> None:
    target.fault = on(method, "", Status(code=429, headers={"Retry-After": "30"}), times=12)
    with Transport(clock=time.clock, limit=3600.0) as transport:
        pair = Pair(source, target, transport)
        blob = blob_of(b"x", source, pair)
        transfer(pair, blob)
    assert list(target.storage["app"].blobs) == [blob.digest]
    assert time.sleeps == [30.0] * 12


@pytest.mark.parametrize("there", [True, False])
def test_several_uploads_learn_together_that_redirected_ones_take_no_parts(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, *, there: bool
) -> None:
    """Each of them is asked for its first part before one of them hears that there are none:
    here, or where the redirect leads.
    """
    blobs = [blob_of(random.Random(number).randbytes(BIG), source, pair) for number in range(3)]
    together = threading.Barrier(len(blobs), timeout=20)

    def refuse(record: Record) -> Fault | None:
        if record.method != "PATCH":
            return None
        together.wait()
        return Status(code=405)

    with FakeRegistry() as elsewhere:
        elsewhere.storage = target.storage

        def choose(record: Record) -> Fault | None:
            if record.method == "PUT" or (there and record.method == "PATCH"):
                return Status(
                    code=307, headers={"Location": f"{elsewhere.url}{record.path}?{record.query}"}
                )
            return refuse(record)

        target.fault, elsewhere.fault = choose, refuse
        transfer(pair, *blobs)
    assert set(target.storage["app"].blobs) == {blob.digest for blob in blobs}


def test_the_first_fault_cancels_the_rest(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    blobs = [blob_of(bytes([number]) * 100, source, pair) for number in range(100)]
    target.fault = on("POST", "", Status(code=400), times=999)
    with pytest.raises(RegistryError, match="answers 400"):
        transfer(pair, *blobs)
    # how many had started by then is the scheduler's choice
    assert target.count("POST") < len(blobs)


@pytest.mark.parametrize("refusal", [None, Status(code=405), Status(code=500)])
def test_a_fault_leaves_no_upload_behind_and_is_told_whatever_the_registry_says_to_that(
    source: FakeRegistry,
    target: FakeRegistry,
    pair: Pair,
    refusal: Fault | None,
) -> None:
    blobs = [blob_of(bytes([number]) * BIG, source, pair) for number in range(3)]
    source.fault = on("GET", blobs[0].digest, Corrupt(at=0), times=99)
    if refusal:
        target.fault = on("DELETE", "", refusal, times=99)
    with pytest.raises(DigestMismatch):
        transfer(pair, *blobs)
    assert target.count("DELETE") >= 1
    assert refusal or not target.storage["app"].uploads


def test_an_upload_that_is_not_gone_on_with_is_cancelled_although_the_copy_succeeds(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    target.fault = on("PUT", "", CutRequest(after=BIG // 2))
    transfer(pair, blob_of(bytes(BIG), source, pair))
    assert (target.count("POST"), target.count("DELETE"), target.storage["app"].uploads) == (
        2,
        1,
        {},
    )


def test_what_a_question_has_begun_is_cancelled_where_the_blob_is_there(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    target.mount = False
    blobs = [blob_of(bytes([number]), source, pair) for number in range(20)]
    target.create("app").blobs.update({blob.digest: b"x" for blob in blobs})
    assert set(transfer(pair, *blobs).values()) == {SKIPPED}
    assert target.storage["app"].uploads == {}


def test_an_upload_that_somebody_else_has_made_needless_is_cancelled(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    blob = blob_of(b"x" * 100, source, pair)

    def overtake(record: Record) -> Fault | None:
        if record.method != "PUT":
            return None
        target.storage["app"].blobs[blob.digest] = b"x" * 100
        return CutRequest(after=0)

    target.fault = overtake
    transfer(pair, blob)
    assert (target.count("PUT"), target.storage["app"].uploads) == (1, {})


def test_an_upload_in_chunks_is_cancelled_at_the_place_that_was_named_last(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    target.largest_body = 1024 * 1024
    blob = blob_of(bytes(BIG), source, pair)
    source.fault = on("GET", "", Status(code=500), times=99)
    third = threading.Event()

    def fail_later(record: Record) -> Fault | None:
        chunks = [one for one in target.seen("PATCH") if one.status == 202]
        if len(chunks) == 2:
            third.set()
        return Status(code=418) if third.is_set() and record.method == "PATCH" else None

    source.fault, target.fault = None, fail_later
    with pytest.raises(RegistryError, match="answers 418"):
        transfer(pair, blob)
    last = next(record for record in target.requests if record.status == 418)
    assert last.query in [record.query for record in target.seen("DELETE")]
    assert target.storage["app"].uploads == {}


def test_a_mounted_blob_moves_no_byte(target: FakeRegistry, pair: Pair) -> None:
    target.create("base").blobs[digest_of(b"x")] = b"x"
    blob = CopyBlob(
        source=repository_at(pair.source, "base"),
        repository=Repository(registry=pair.target.registry, name="app"),
        digest=digest_of(b"x"),
        size=1,
        mount_from=repository_at(pair.target, "base"),
    )
    assert transfer(pair, blob) == {blob: MOUNTED}
    assert target.storage["app"].blobs == {digest_of(b"x"): b"x"}


def test_tags_come_after_all_the_rest(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    index = make_index()
    put(index, source, "app", "1")
    pair.copy("app:1", "app:1", "app:latest")
    puts = [record.path.rpartition("/")[2] for record in target.seen("PUT")]
    assert set(puts[-4:-2]) == {child.digest for child in index.children}
    assert set(puts[-2:]) == {"1", "latest"}
    assert not missing(index, target, "app")


def test_no_tag_is_set_when_a_manifest_is_refused(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    index = make_index()
    put(index, source, "app", "1")
    target.fault = on("PUT", index.children[1].digest, Status(code=400))
    with pytest.raises(RegistryError):
        pair.copy("app:1", "app:1")
    assert target.storage["app"].tags == {}


def test_a_token_that_ends_while_an_upload_runs_costs_one_more_try(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    target.auth = "bearer"
    plain, expired = target.answer, threading.Event()

    def forgetful(request: Request) -> Answer:
        if request.method == "PUT" and not expired.is_set():
            expired.set()
            target.expire_tokens()
        return plain(request)

    target.answer = forgetful  # type: ignore[method-assign]
    blob = blob_of(b"x" * 100, source, pair)
    transfer(pair, blob)
    assert target.storage["app"].blobs == {blob.digest: b"x" * 100}
    assert len([scopes for scopes in target.scopes if "delete" not in str(scopes)]) == 2


def test_a_blob_that_is_there_is_skipped_by_the_one_question(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    blob = blob_of(b"x" * 100, source, pair)
    target.create("app").blobs[blob.digest] = b"x" * 100
    assert transfer(pair, blob) == {blob: SKIPPED}
    assert ([record.method for record in target.requests], source.count("GET")) == (["POST"], 0)


def test_what_a_blob_took_is_told(source: FakeRegistry, target: FakeRegistry, pair: Pair) -> None:
    blob = blob_of(b"x" * 100, source, pair)
    target.fault = on("POST", "", Status(code=503))
    (way,) = perform(pair, CopyPlan(blobs=(blob,))).values()
    assert (way.how, way.requests, way.retries) == (COPIED, 4, 1)
    assert way.seconds > 0


@pytest.mark.parametrize("mounts", [True, False])
def test_several_repositories_of_a_registry_get_a_blob_by_one_upload_where_it_mounts(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, *, mounts: bool
) -> None:
    target.mount = mounts
    blob = blob_of(b"x" * 100, source, pair)
    others = [replace(blob, repository=replace(blob.repository, name=name)) for name in ("b", "c")]
    ways = transfer(pair, *others, blob)
    assert sorted(ways.values()) == [COPIED, *[MOUNTED if mounts else COPIED] * 2]
    assert source.count("GET") == target.count("PUT") == (1 if mounts else 3)
    assert all(
        target.storage[name].blobs == {blob.digest: b"x" * 100} for name in ("app", "b", "c")
    )


def to_both(pair: Pair, blob: CopyBlob, other: FakeRegistry) -> None:
    """Copy a blob to the target of the pair, and to another registry."""
    second = client(other, "target", pair.target.transport)
    further = replace(blob, repository=Repository(registry=second.registry, name="app"))
    copying = pair.copying()
    Transfer(
        copying.source,
        {**copying.targets, second.registry: second},
        second.transport,
        copying.progress,
    ).perform([CopyPlan(blobs=(blob, further))])


@pytest.mark.parametrize("fault", [CutRequest(after=BIG // 2), Status(code=503, early=True)])
def test_several_registries_get_a_blob_that_is_read_once(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, fault: Fault
) -> None:
    # more bytes than a connection buffers, so the interruption shows at once
    data = random.Random(4).randbytes(6 * BIG)
    blob = blob_of(data, source, pair)
    with FakeRegistry() as other:
        # one upload is interrupted, and the other goes on
        target.fault = on("PUT", "", fault)
        to_both(pair, blob, other)
        assert other.storage["app"].blobs == target.storage["app"].blobs == {blob.digest: data}
        assert (other.count("PUT"), other.count("POST")) == (1, 1)
    assert source.count("GET") == 2


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
def test_registries_that_broke_off_at_other_bytes_go_on_each_at_its_own(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, first: int, second: int
) -> None:
    data = random.Random(4).randbytes(BIG)
    blob = blob_of(data, source, pair)
    with FakeRegistry(resumes=True) as other:
        target.resumes = True
        target.fault = on("PUT", "", CutRequest(after=first * BIG // 3))
        other.fault = on("PUT", "", CutRequest(after=second * BIG // 3))
        to_both(pair, blob, other)
        assert other.storage["app"].blobs == target.storage["app"].blobs == {blob.digest: data}
        assert [
            (server.count("POST"), [record.status for record in server.seen("PATCH")])
            for server in (target, other)
        ] == [(1, [202])] * 2
    assert source.count("GET") == 3


def test_a_host_that_asks_for_rest_gets_it_from_everybody(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, time: FakeClock
) -> None:
    blobs = [blob_of(bytes([number]) * 10, source, pair) for number in range(20)]
    target.fault = on("POST", "", Status(code=429, headers={"Retry-After": "30"}))
    transfer(pair, *blobs)
    assert len(target.storage["app"].blobs) == 20
    assert sum(time.sleeps) >= 30
    assert pair.target.transport.throttled == 1


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_line_that_takes_longer_than_any_wait_brings_every_byte_once(
    source: FakeRegistry, target: FakeRegistry, side: str
) -> None:
    """Each of eight blobs takes five seconds on a line that they share, and no wait may take
    more than two.
    """
    target.relative_location = True
    slow = source if side == "source" else target
    with SlowLine(slow.host, rate=128 * 1024) as line, Transport(read=2.0) as transport:
        pair = Pair(
            line if side == "source" else source, line if side == "target" else target, transport
        )
        blobs = [
            blob_of(random.Random(number).randbytes(80 * 1024), source, pair)
            for number in range(JOBS)
        ]
        assert set(transfer(pair, *blobs).values()) == {COPIED}
        assert (transport.total.retries, source.count("GET"), target.count("PUT")) == (
            0,
            JOBS,
            JOBS,
        )
        assert (
            sum(blob.size for blob in blobs)
            < line.moved
            < sum(blob.size for blob in blobs) + 20_000
        )
    assert target.storage["app"].blobs == source.storage["app"].blobs


def test_progress_counts_what_stays(source: FakeRegistry, target: FakeRegistry, pair: Pair) -> None:
    target.resumes = True
    moved, there = (
        blob_of(random.Random(5).randbytes(BIG), source, pair),
        blob_of(b"there", source, pair),
    )
    target.create("app").blobs[there.digest] = b"there"
    target.fault = on("PUT", "", CutRequest(after=BIG - 1000))
    copying, positions = pair.copying(), list[int]()
    copying.progress.expect({"app:1": {blob.digest: blob.size for blob in (moved, there)}})
    real = copying.progress.moves

    def noted(digest: str, come: Callable[[], int]) -> None:
        positions.append(copying.progress.whole.done)
        real(digest, come)
        positions.append(copying.progress.whole.done)

    copying.progress.moves = noted  # type: ignore[method-assign]  # what it would have shown
    Transfer(copying.source, copying.targets, pair.target.transport, copying.progress).perform(
        [CopyPlan(blobs=(moved, there))]
    )
    assert (
        max(positions)
        == positions[-1]
        == copying.progress.whole.done
        == copying.progress.whole.total
        == BIG
    )
    again = int(target.seen("PATCH")[0].headers["content-range"].partition("-")[0])
    assert again in positions  # the progress went back to the offset of the retry


class Stuck:
    """A source on a disk that has stopped answering."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def head_manifest(self, reference: Reference) -> None:
        raise NotImplementedError

    def get_manifest(self, reference: Reference) -> Manifest:
        raise NotImplementedError

    def open_blob(self, repository: Repository, digest: str, *, start: int = 0) -> Download:
        self.over.wait(60)
        raise ConfigError("over")


def test_a_disk_that_hangs_ends_with_the_deadline(
    source: FakeRegistry, target: FakeRegistry
) -> None:
    with Transport(limit=0.3) as transport:
        pair, stuck = Pair(source, target, transport), Stuck()
        copying = pair.copying()
        with pytest.raises(MachineError, match="the time limit of"):
            Transfer(stuck, copying.targets, transport, copying.progress).perform(
                [CopyPlan(blobs=(blob_of(b"x", source, pair),))]
            )
        stuck.over.set()


@pytest.mark.parametrize("blobs", [1, 4])
@pytest.mark.parametrize("rests", [False, True])
def test_a_target_that_is_slow_ends_with_the_deadline_which_is_told(
    source: FakeRegistry, target: FakeRegistry, blobs: int, *, rests: bool
) -> None:
    over = threading.Event()

    def slow(record: Record) -> Fault | None:
        if record.method == "PUT":
            return (
                Status(code=503, headers={"Retry-After": "60"})
                if rests
                else Status(code=400)
                if over.wait(30)
                else None
            )
        return None

    target.fault = slow
    with Transport(limit=0.3) as transport:
        pair = Pair(source, target, transport)
        with pytest.raises(
            RegistryUnreachable,
            match=(
                r"target registry .* cannot be reached: the time limit of 0 seconds"
                r" is exceeded"
            ),
        ) as caught:
            transfer(
                pair, *(blob_of(bytes([number]) * 100, source, pair) for number in range(blobs))
            )
        over.set()
    assert caught.value.where == target.url


class Late(Stuck):
    """A source that answers after the deadline."""

    def __init__(self, transport: Transport) -> None:
        super().__init__()
        self.over = transport.ending

    def __str__(self) -> str:
        return "slow box"

    def open_blob(self, repository: Repository, digest: str, *, start: int = 0) -> Download:
        assert self.over.wait(30)
        return nullcontext()  # type: ignore[return-value]  # nothing is read from it


def test_a_time_that_is_over_between_two_pieces_of_a_blob_is_told(
    source: FakeRegistry, target: FakeRegistry, time: FakeClock
) -> None:
    with Transport(clock=time.clock, limit=0.3) as transport:
        pair = Pair(source, target, transport)
        copying = pair.copying()
        with pytest.raises(
            RegistryUnreachable,
            match=(
                "the copy from the slow box was stopped: the time limit of 0 seconds is exceeded"
            ),
        ) as caught:
            Transfer(Late(transport), copying.targets, transport, copying.progress).perform(
                [CopyPlan(blobs=(blob_of(b"x", source, pair),))]
            )
    assert (caught.value.where, "copyDeadline" in caught.value.hint) == ("slow box", True)


def test_a_fault_does_not_wait_for_what_rests(source: FakeRegistry, target: FakeRegistry) -> None:
    """The damaged blob is found while its own target rests as well: nothing of it has been sent."""
    with Transport() as transport:
        pair = Pair(source, target, transport)
        blobs = [blob_of(bytes([number]) * BIG, source, pair) for number in range(3)]
        reading, resting = threading.Event(), threading.Event()

        def rest(record: Record) -> Fault | None:
            if record.method != "POST" or blobs[1].digest not in unquote(record.query):
                return None
            assert reading.wait(30)
            resting.set()
            return Status(code=429, headers={"Retry-After": "600"})

        def damage(record: Record) -> Fault | None:
            if not record.path.endswith(blobs[0].digest):
                return None
            reading.set()
            assert resting.wait(30)
            return Corrupt(at=0)

        target.fault, source.fault = rest, damage
        with pytest.raises(DigestMismatch):
            transfer(pair, *blobs)


def interrupter(ready: threading.Event) -> threading.Thread:
    """A thread that interrupts the main thread by a signal when `ready` is set."""

    def interrupt() -> None:
        if ready.wait(30):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    return threading.Thread(target=interrupt, daemon=True)


@pytest.mark.parametrize(("side", "method"), [("source", "GET"), ("target", "PUT")])
def test_an_interruption_ends_the_workers_that_wait(
    source: FakeRegistry,
    target: FakeRegistry,
    side: str,
    method: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Transport() as opened:
        blobs = [
            blob_of(bytes([number]) * 10, source, Pair(source, target, opened))
            for number in range(3)
        ]
    busy = source if side == "source" else target
    busy.fault = on(method, "", Status(code=503, headers={"Retry-After": "60"}), times=999)
    asleep = threading.Event()
    real = threading.Event.wait

    def noticed(event: threading.Event, timeout: float | None = None) -> bool:
        if timeout is not None and 50 < timeout <= 60:  # the rest that the host has asked for
            asleep.set()
        return real(event, timeout)

    def interrupted(*_: object) -> None:
        raise Interrupted(signal.SIGTERM)

    monkeypatch.setattr(threading.Event, "wait", noticed)
    before = set(threading.enumerate())
    old = signal.signal(signal.SIGUSR1, interrupted)
    try:
        interrupter(asleep).start()
        with pytest.raises(Interrupted), Transport() as transport:
            transfer(Pair(source, target, transport), *blobs)
    finally:
        signal.signal(signal.SIGUSR1, old)
    workers = [
        thread
        for thread in set(threading.enumerate()) - before
        if thread.name.startswith("registry") and thread.ident
    ]
    for thread in workers:
        thread.join(30)  # else it rests for sixty seconds
    assert not any(thread.is_alive() for thread in workers)
    assert 1 <= busy.count(method) <= len(blobs)
