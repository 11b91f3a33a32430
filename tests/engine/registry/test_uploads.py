from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.registry.clients import SECRET, TARGET_LOGIN, client, repository_at
from tests.fakes.clock import FakeClock
from tests.fakes.registry import (
    Chooser,
    CutAnswer,
    CutRequest,
    FakeRegistry,
    Record,
    Status,
    digest_of,
    on,
)
from towline.errors import CredentialError, DigestMismatch, RegistryError, RegistryUnreachable
from towline.http.client import Transport
from towline.http.redirects import MAX_REGISTRY_REDIRECTS
from towline.record import replace
from towline.registry.client import RegistryClient
from towline.registry.errors import RESTART, SAME_OFFSET, TransferInterrupted
from towline.registry.uploads import Uploads, UploadSession

BLOB = b"layer" * 1000
DIGEST = digest_of(BLOB)
MIB = 1024 * 1024


@pytest.fixture
def pusher(target: FakeRegistry, transport: Transport) -> RegistryClient:
    return client(target, "target", transport, TARGET_LOGIN)


@pytest.fixture
def uploads(pusher: RegistryClient) -> Uploads:
    return pusher.uploads


def store(uploads: Uploads, body: bytes = BLOB, digest: str = DIGEST) -> None:
    upload = uploads.start(repository_at(uploads, "app"), digest, len(body))
    assert upload is not None
    send(uploads, upload, body, digest)


def send(uploads: Uploads, upload: UploadSession, body: bytes = BLOB, digest: str = DIGEST) -> None:
    with uploads.send(upload, digest, len(body)) as sink:
        sink.send(body[upload.offset :])
        sink.finish()


def broken(
    uploads: Uploads, upload: UploadSession, body: bytes = BLOB
) -> tuple[TransferInterrupted, UploadSession]:
    """The error of an interrupted send, and the state of the upload then."""
    with uploads.send(upload, digest_of(body), len(body)) as sink:
        try:
            sink.send(body[upload.offset :])
            sink.finish()
        except TransferInterrupted as fault:
            return fault, sink.upload
    raise AssertionError("it did not break off")


# Blobs


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("auth", ["none", "basic", "bearer"])
def test_a_blob_is_stored_in_one_piece(
    target: FakeRegistry, pusher: RegistryClient, auth: str, relative: bool
) -> None:
    target.auth, target.relative_location = auth, relative
    target.username, target.password = TARGET_LOGIN.username, TARGET_LOGIN.password
    assert not pusher.has_blob(repository_at(pusher, "app"), DIGEST)
    store(pusher.uploads)
    assert pusher.has_blob(repository_at(pusher, "app"), DIGEST)
    assert target.storage["app"].blobs == {DIGEST: BLOB}
    assert [record.bytes_in for record in target.seen("PUT")] == [len(BLOB)]


def test_a_blob_of_another_repository_is_mounted(
    target: FakeRegistry, pusher: RegistryClient
) -> None:
    target.auth, target.username, target.password = "bearer", TARGET_LOGIN.username, SECRET
    target.create("base").blobs[DIGEST] = BLOB
    assert (
        pusher.uploads.start(
            repository_at(pusher.uploads, "app"),
            DIGEST,
            len(BLOB),
            repository_at(pusher.uploads, "base"),
        )
        is None
    )
    assert target.storage["app"].blobs == {DIGEST: BLOB}
    assert target.scopes == [("repository:app:pull,push", "repository:base:pull")]


def test_a_mount_comes_with_a_token_that_may_pull_from_the_other_repository(
    target: FakeRegistry, pusher: RegistryClient
) -> None:
    """Without a mount, distribution answers 202, and all bytes would be sent."""
    target.auth, target.username, target.password = "bearer", TARGET_LOGIN.username, SECRET
    target.create("base").blobs[DIGEST] = BLOB
    assert not pusher.has_blob(repository_at(pusher, "app"), DIGEST)
    assert (
        pusher.uploads.start(
            repository_at(pusher.uploads, "app"),
            DIGEST,
            len(BLOB),
            repository_at(pusher.uploads, "base"),
        )
        is None
    )
    assert [record.status for record in target.seen("POST")] == [201]


def test_a_mount_that_is_declined_is_an_upload_without_another_request(
    target: FakeRegistry, pusher: RegistryClient
) -> None:
    target.mount = False
    upload = pusher.uploads.start(
        repository_at(pusher.uploads, "app"),
        DIGEST,
        len(BLOB),
        repository_at(pusher.uploads, "base"),
    )
    assert isinstance(upload, UploadSession)
    assert target.count("POST") == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
def test_a_mount_that_is_refused_is_an_upload_by_the_plain_way(
    target: FakeRegistry, pusher: RegistryClient, status: int
) -> None:
    target.fault = on("POST", "", Status(code=status))
    assert isinstance(
        pusher.uploads.start(
            repository_at(pusher.uploads, "app"),
            DIGEST,
            len(BLOB),
            repository_at(pusher.uploads, "base"),
        ),
        UploadSession,
    )
    assert [bool(record.query) for record in target.seen("POST")] == [True, False]


def test_a_mount_without_any_answer_is_no_refusal_of_it(
    target: FakeRegistry, pusher: RegistryClient
) -> None:
    target.fault = on("POST", "", CutAnswer(after=None), times=99)
    with pytest.raises(RegistryUnreachable):
        pusher.uploads.start(
            repository_at(pusher.uploads, "app"),
            DIGEST,
            len(BLOB),
            repository_at(pusher.uploads, "base"),
        )
    assert {record.method for record in target.requests} == {"POST"}


def test_a_repository_that_is_not_there_is_named(
    target: FakeRegistry, pusher: RegistryClient
) -> None:
    target.create_on_push = False
    with pytest.raises(
        RegistryError, match="the repository 'app' does not exist on the target registry"
    ) as caught:
        pusher.uploads.start(repository_at(pusher.uploads, "app"), DIGEST, len(BLOB))
    assert caught.value.hint.startswith("create it there")


@pytest.mark.parametrize(
    "location",
    [
        "",
        "ftp://example.com/x",
        "http://[::1",
        "/v2/app/blobs/uploads/1?a=b c",
        "http://user:word@127.0.0.1/x",
        "http://127.0.0.1:0/x",
        "http://127.0.0.1:99999/x",
    ],
)
def test_an_upload_without_a_usable_location_is_refused(
    target: FakeRegistry, pusher: RegistryClient, location: str
) -> None:
    target.fault = on(
        "POST", "", Status(code=202, headers={"Location": location} if location else {}), times=9
    )
    with pytest.raises(RegistryError, match="without a usable Location"):
        pusher.uploads.start(repository_at(pusher.uploads, "app"), DIGEST, len(BLOB))


def test_an_upload_at_another_host_carries_no_authorization(
    target: FakeRegistry, source: FakeRegistry, pusher: RegistryClient
) -> None:
    target.username, target.password, target.auth = TARGET_LOGIN.username, SECRET, "basic"
    pusher.has_blob(repository_at(pusher, "app"), DIGEST)
    source.fault = on("PUT", "", Status(code=201))
    target.create("app").blobs[DIGEST] = BLOB  # as the storage behind the other host has it then
    send(
        pusher.uploads,
        UploadSession(
            repository=repository_at(pusher.uploads, "app"), url=source.url + "/upload?x=1"
        ),
    )
    assert [(record.authorization, record.query) for record in source.requests] == [
        ("", "x=1&digest=" + DIGEST.replace(":", "%3A"))
    ]


def test_the_challenge_of_another_host_to_an_upload_is_not_answered(
    target: FakeRegistry, source: FakeRegistry, pusher: RegistryClient
) -> None:
    """Facts section 4, "credentials sent to a realm chosen by the registry": this one would be
    chosen by whoever it sends us to.
    """
    target.username, target.password, target.auth = TARGET_LOGIN.username, SECRET, "bearer"
    with FakeRegistry() as thief:
        challenge = f'Bearer realm="{thief.url}/token",service="x",scope="repository:app:pull,push"'
        source.fault = on("PUT", "", Status(code=401, headers={"WWW-Authenticate": challenge}))
        pusher.has_blob(repository_at(pusher, "app"), DIGEST)
        broken(
            pusher.uploads,
            UploadSession(
                repository=repository_at(pusher.uploads, "app"), url=source.url + "/upload?x=1"
            ),
        )
        assert (source.count("PUT"), thief.requests) == (1, ())
    pusher.has_blob(repository_at(pusher, "app"), DIGEST)  # the registry's own login is unchanged
    assert len(target.scopes) == 1


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        (f"_state=a%2fb&digest={DIGEST}&x", "_state=a%2fb&x&"),
        ("digest=sha256:" + "0" * 64, ""),
        ("", ""),
        ("a&&mydigest=1", "a&&mydigest=1&"),
    ],
)
def test_the_digest_stands_in_the_last_request_once(
    source: FakeRegistry, target: FakeRegistry, pusher: RegistryClient, query: str, sent: str
) -> None:
    source.fault = on("PUT", "", Status(code=201))
    target.create("app").blobs[DIGEST] = BLOB  # as the storage behind the other host has it then
    send(
        pusher.uploads,
        UploadSession(
            repository=repository_at(pusher.uploads, "app"),
            url=f"{source.url}/upload?{query}".removesuffix("?"),
        ),
    )
    assert [record.query for record in source.requests] == [
        sent + "digest=" + DIGEST.replace(":", "%3A")
    ]


def test_a_trial_of_larger_chunks_that_breaks_off_keeps_no_other_from_one(
    target: FakeRegistry, uploads: Uploads
) -> None:
    body = random.Random(1).randbytes(12 * MIB)
    uploads.chunks.refused(64 * MIB)
    uploads.chunks.taken(MIB)
    for fault in (CutRequest(after=2 * MIB), Status(code=503), Status(code=400)):
        target.fault = on("PATCH", "", fault)
        upload = uploads.start(repository_at(uploads, "app"), digest_of(body), len(body))
        assert upload is not None
        with contextlib.suppress(TransferInterrupted, RegistryError):
            send(uploads, upload, body, digest_of(body))
        assert uploads.chunks.of(len(body)) == 4 * MIB, "the next trial"
        uploads.chunks.broken(4 * MIB)


@pytest.mark.parametrize(
    "fault",
    [
        Status(code=503),
        Status(code=404),
        Status(code=416),
        CutRequest(after=10),
        CutAnswer(after=None),
    ],
)
def test_an_upload_that_is_lost_may_be_begun_again(
    target: FakeRegistry, pusher: RegistryClient, fault: Status | CutRequest | CutAnswer
) -> None:
    target.fault = on("PUT", "", fault)
    with pytest.raises(TransferInterrupted):
        store(pusher.uploads)
    assert target.count("PUT") == 1


def test_the_wait_that_a_registry_asks_for_is_passed_on(
    target: FakeRegistry, pusher: RegistryClient
) -> None:
    target.fault = on("PUT", "", Status(code=429, headers={"Retry-After": "7"}))
    with pytest.raises(TransferInterrupted) as caught:
        store(pusher.uploads)
    assert caught.value.wait == 7.0


def test_content_that_the_registry_finds_wrong_is_one_with_another_digest(
    target: FakeRegistry, pusher: RegistryClient
) -> None:
    with pytest.raises(DigestMismatch, match="DIGEST_INVALID") as caught:
        store(pusher.uploads, b"other")
    assert caught.value.hint.startswith("the bytes were correct when they were sent")


def test_a_429_is_waited_for_on_the_clock(
    target: FakeRegistry, pusher: RegistryClient, time: FakeClock
) -> None:
    target.fault = on("POST", "", Status(code=429, headers={"Retry-After": "3"}))
    assert isinstance(
        pusher.uploads.start(repository_at(pusher.uploads, "app"), DIGEST, len(BLOB)), UploadSession
    )
    assert time.sleeps == [3.0]


def test_a_denied_push_is_a_credential_error_in_the_registrys_words(
    target: FakeRegistry, pusher: RegistryClient
) -> None:
    target.fault = on(
        "POST",
        "",
        Status(code=403, body=b'{"errors":[{"code":"DENIED","message":"read only"}]}'),
        times=9,
    )
    with pytest.raises(CredentialError, match="DENIED: read only"):
        pusher.uploads.start(repository_at(pusher.uploads, "app"), DIGEST, len(BLOB))


def test_one_question_says_that_a_blob_is_there(target: FakeRegistry, uploads: Uploads) -> None:
    target.create("app").blobs[DIGEST] = BLOB
    assert uploads.start(repository_at(uploads, "app"), DIGEST, len(BLOB)) is None
    assert [record.method for record in target.requests] == ["POST"]


def test_a_registry_that_mounts_nothing_is_asked_whether_it_has_the_blob(
    target: FakeRegistry, uploads: Uploads
) -> None:
    target.mount = False
    target.create("app").blobs[DIGEST] = BLOB
    assert uploads.start(repository_at(uploads, "app"), DIGEST, len(BLOB)) is None
    assert [record.method for record in target.requests] == ["POST", "HEAD"]
    target.forget()
    assert uploads.start(repository_at(uploads, "app"), DIGEST, len(BLOB)) is None
    assert isinstance(
        uploads.start(repository_at(uploads, "app"), digest_of(b"other"), 5), UploadSession
    )
    # learned: this registry does not mount within a repository
    assert [record.method for record in target.requests] == ["HEAD", "HEAD", "POST"]


def test_a_blob_that_cannot_be_mounted_from_elsewhere_may_be_there_all_the_same(
    target: FakeRegistry, uploads: Uploads
) -> None:
    target.create("base")
    target.create("app").blobs[DIGEST] = BLOB
    assert (
        uploads.start(
            repository_at(uploads, "app"), DIGEST, len(BLOB), repository_at(uploads, "base")
        )
        is None
    )


def cut(target: FakeRegistry, uploads: Uploads, *, after: int) -> UploadSession:
    """An upload that was interrupted after `after` bytes, which the registry has kept."""
    target.resumes = True
    target.fault = on("PUT", "", CutRequest(after=after))
    upload = uploads.start(repository_at(uploads, "app"), DIGEST, len(BLOB))
    assert upload is not None
    with pytest.raises(TransferInterrupted):
        send(uploads, upload)
    return upload


def test_an_upload_that_broke_off_goes_on_where_the_registry_has_it(
    target: FakeRegistry, uploads: Uploads
) -> None:
    state = uploads.state(cut(target, uploads, after=3000))
    assert state is not None
    assert 0 < state.offset <= 3000
    send(uploads, state)
    assert target.storage["app"].blobs == {DIGEST: BLOB}
    assert [record.headers["content-range"] for record in target.seen("PATCH")] == [
        f"{state.offset}-{len(BLOB) - 1}"
    ]


@pytest.mark.parametrize(
    "answer",
    [
        Status(code=404),
        Status(code=204),
        Status(code=204, headers={"Range": "0-0"}),
        Status(code=204, headers={"Range": "bytes=0--1"}),
        Status(code=204, headers={"Range": "5-9"}),
        Status(code=400, headers={"Range": "0-9"}),
    ],
)
def test_an_upload_of_which_the_registry_has_nothing_is_to_be_begun_anew(
    target: FakeRegistry, uploads: Uploads, answer: Status
) -> None:
    upload = cut(target, uploads, after=3000)
    target.fault = on("GET", "uploads", answer)
    assert uploads.state(upload) is None


def test_a_state_in_the_form_of_quay_is_understood(target: FakeRegistry, uploads: Uploads) -> None:
    upload = cut(target, uploads, after=3000)
    target.fault = on("GET", "uploads", Status(code=204, headers={"Range": "bytes=0-99"}))
    state = uploads.state(upload)
    assert state == UploadSession(
        repository=repository_at(uploads, "app"), url=upload.url, offset=100
    )


@pytest.mark.parametrize("location", ["ftp://example.com/x", "http://[::1", "http://169.254.1.1/x"])
def test_an_upload_that_is_sent_where_it_may_not_go_on_stays_where_it_is(
    target: FakeRegistry, uploads: Uploads, location: str
) -> None:
    upload = cut(target, uploads, after=3000)
    answer = Status(code=204, headers={"Range": "0-99", "Location": location})
    target.fault = on("GET", "uploads", answer)
    assert uploads.state(upload) == replace(upload, offset=100)


def test_any_range_is_a_whole_number_of_bytes_from_the_first_on_or_nothing(
    target: FakeRegistry, uploads: Uploads
) -> None:
    upload = UploadSession(
        repository=repository_at(uploads, "app"), url=f"{target.url}/v2/app/blobs/uploads/1"
    )
    numbers = st.integers(-2, 10**20).map(str)

    @settings(max_examples=60, deadline=None)
    @given(
        st.builds(
            "{}{}-{}".format,
            st.sampled_from(["", "bytes=", "bytes "]),
            numbers | st.just("0"),
            numbers,
        )
        | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
    )
    def holds(said: str) -> None:
        target.fault = on("GET", "uploads", Status(code=204, headers={"Range": said}))
        state = uploads.state(upload)
        assert state is None or said.strip().removeprefix("bytes=") == f"0-{state.offset - 1}"

    holds()


@pytest.mark.parametrize("offset", [len(BLOB) - 1, len(BLOB)])
def test_bytes_beyond_the_end_of_a_blob_are_an_error(
    target: FakeRegistry, uploads: Uploads, offset: int
) -> None:
    upload = replace(uploads.begin(repository_at(uploads, "app")), offset=offset)
    target.fault = on("PATCH", "", Status(code=418))  # which goes on for ever otherwise
    with (
        uploads.send(upload, DIGEST, len(BLOB)) as sink,
        pytest.raises(RegistryError, match=f"more than the {len(BLOB)} bytes of the blob {DIGEST}"),
    ):
        sink.send(BLOB[offset:] + b"x")
    assert (target.count("PATCH"), target.count("PUT")) == (0, 0)


def test_a_body_that_is_too_large_makes_the_next_ones_smaller(
    target: FakeRegistry, uploads: Uploads
) -> None:
    body = random.Random(1).randbytes(5 * 1024 * 1024)
    target.largest_body = 1024 * 1024
    store(uploads, body, digest_of(body))
    assert target.storage["app"].blobs[digest_of(body)] == body
    assert [record.bytes_in for record in target.seen("PATCH") if record.status == 202] == [
        1024 * 1024
    ] * 5
    assert [record.bytes_in // 1024**2 for record in target.requests if record.status == 413] == [
        5,
        4,
    ]


def test_what_was_too_large_is_wanted_again_where_it_is_no_longer_at_hand(
    target: FakeRegistry, uploads: Uploads
) -> None:
    body = random.Random(1).randbytes(2 * 1024 * 1024)
    target.largest_body = 1024 * 1024
    upload = uploads.start(repository_at(uploads, "app"), digest_of(body), len(body))
    assert upload is not None
    with uploads.send(upload, digest_of(body), len(body)) as sink:
        sink.send(body[: 1024 * 1024])
        sink.send(body[1024 * 1024 :])
        with pytest.raises(TransferInterrupted) as caught:
            sink.finish()
        assert (caught.value.taught, caught.value.resume, sink.upload) == (
            True,
            SAME_OFFSET,
            upload,
        )


def test_what_fits_into_one_request_is_one_all_the_same(
    target: FakeRegistry, uploads: Uploads
) -> None:
    uploads.chunks.refused(5 * 1024 * 1024)
    store(uploads)
    assert (target.count("PUT"), target.count("PATCH")) == (1, 0)


def test_a_registry_says_how_small_chunks_may_be(target: FakeRegistry, uploads: Uploads) -> None:
    body = bytes(5 * 1024 * 1024)
    least = {"OCI-Chunk-Min-Length": str(2 * 1024 * 1024)}
    begun = UploadSession(
        repository=repository_at(uploads, "app"), url=f"{target.url}/v2/app/blobs/uploads/1"
    )
    target.fault = on("POST", "", Status(code=202, headers={"Location": begun.url, **least}))
    assert uploads.start(repository_at(uploads, "app"), digest_of(body), len(body)) == begun
    target.largest_body = 2 * 1024 * 1024 - 1
    with pytest.raises(RegistryError, match="answers 413"):
        store(uploads, body, digest_of(body))
    assert [
        int(record.headers["content-length"]) // 1024**2
        for record in target.requests
        if record.status == 413
    ] == [5, 2]


def test_a_registry_that_drops_a_chunk_is_noticed(target: FakeRegistry, uploads: Uploads) -> None:
    state = uploads.state(cut(target, uploads, after=3000))
    assert state is not None
    target.fault = on("PATCH", "", Status(code=202, headers={"Range": "0-99"}))
    with pytest.raises(TransferInterrupted, match="has 100 of 5000 bytes that it was sent"):
        send(uploads, state)


def test_an_upload_that_is_left_stores_nothing(target: FakeRegistry, uploads: Uploads) -> None:
    upload = uploads.start(repository_at(uploads, "app"), DIGEST, len(BLOB))
    assert upload is not None
    with uploads.send(upload, DIGEST, len(BLOB)) as sink:
        sink.send(BLOB[:-1])
    assert target.storage["app"].blobs == {}


def test_an_upload_that_expired_brings_a_new_token(target: FakeRegistry, uploads: Uploads) -> None:
    target.auth, target.username, target.password = "bearer", TARGET_LOGIN.username, SECRET
    upload = uploads.start(repository_at(uploads, "app"), DIGEST, len(BLOB))
    assert upload is not None
    target.expire_tokens()
    with pytest.raises(TransferInterrupted):
        send(uploads, upload)
    store(uploads)
    # no request uses the old token any more
    assert [record.status for record in target.requests if "/v2/" in record.path] == [
        *(401, 202),
        *(401, 202, 201),
    ]
    assert len(target.scopes) == 2


@pytest.mark.parametrize(
    "answer", [Status(code=201), Status(code=201, headers={"Location": "/welcome"})]
)
def test_a_201_that_does_not_name_the_blob_does_not_mean_that_it_is_there(
    target: FakeRegistry, uploads: Uploads, answer: Status
) -> None:
    target.fault = on("POST", "", answer)
    assert isinstance(
        uploads.start(repository_at(uploads, "app"), DIGEST, len(BLOB)), UploadSession
    )
    assert [record.method for record in target.requests] == ["POST", "HEAD", "POST"]


@pytest.mark.parametrize("code", [200, 201, 204])
def test_an_answer_to_an_upload_that_does_not_name_the_blob_is_asked_about(
    target: FakeRegistry, uploads: Uploads, code: int
) -> None:
    target.fault = on("PUT", "", Status(code=code))
    with pytest.raises(RegistryError, match=rf"answered {code} when the blob .* but does not have"):
        store(uploads)


def test_a_blob_that_an_answer_does_not_name_may_need_a_moment_to_be_seen(
    target: FakeRegistry, uploads: Uploads
) -> None:
    upload = uploads.begin(repository_at(uploads, "app"))
    target.storage["app"].blobs[DIGEST] = BLOB
    target.fault = lambda record: (
        Status(code=201)
        if record.method == "PUT"
        else Status(code=404)
        if target.count("HEAD") == 1
        else None
    )
    send(uploads, upload)
    assert target.count("HEAD") == 2


def test_a_blob_of_another_size_is_not_the_one_that_is_meant(
    target: FakeRegistry, uploads: Uploads
) -> None:
    target.mount = False
    target.create("app").blobs[DIGEST] = BLOB[:-1]
    assert isinstance(
        uploads.start(repository_at(uploads, "app"), DIGEST, len(BLOB)), UploadSession
    )


def test_an_upload_that_is_begun_elsewhere_goes_on_there(
    target: FakeRegistry, uploads: Uploads
) -> None:
    """K12: the registry has moved the repository; the location that it answers with is relative
    to where it has answered.
    """
    target.fault = on(
        "POST", "/app/", Status(code=307, headers={"Location": "/v2/real/app/blobs/uploads/"})
    )
    target.relative_location = True
    store(uploads)
    assert target.storage["real/app"].blobs == {DIGEST: BLOB}


def elsewhere(target: FakeRegistry, source: FakeRegistry, pusher: RegistryClient) -> None:
    """The registry begins uploads at another host, which keeps what it gets in the same storage
    and asks for no login.
    """
    target.username, target.password, target.auth = TARGET_LOGIN.username, SECRET, "basic"
    source.storage = target.storage
    pusher.has_blob(repository_at(pusher, "app"), DIGEST)
    target.forget()
    target.fault = on(
        "POST", "", Status(code=307, headers={"Location": source.url + "/v2/app/blobs/uploads/"})
    )


def test_an_upload_that_is_begun_at_another_host_is_placed_relative_to_that(
    target: FakeRegistry,
    source: FakeRegistry,
    pusher: RegistryClient,
) -> None:
    elsewhere(target, source, pusher)
    source.relative_location = True
    store(pusher.uploads)
    assert target.storage["app"].blobs == {DIGEST: BLOB}
    assert ([record.method for record in source.requests], target.count("PUT")) == (
        ["POST", "PUT"],
        0,
    )


def test_an_upload_that_another_host_places_back_home_carries_no_authorization(
    target: FakeRegistry,
    source: FakeRegistry,
    pusher: RegistryClient,
) -> None:
    elsewhere(target, source, pusher)
    source.fault = on(
        "POST", "", Status(code=202, headers={"Location": target.url + "/v2/app/manifests/latest"})
    )
    upload = pusher.uploads.start(repository_at(pusher.uploads, "app"), DIGEST, len(BLOB))
    assert upload is not None
    broken(pusher.uploads, upload)  # 401
    assert [record.authorization for record in target.seen("PUT")] == [""]


def test_a_step_of_an_upload_that_another_host_places_back_home_carries_no_authorization(
    target: FakeRegistry,
    source: FakeRegistry,
    pusher: RegistryClient,
) -> None:
    elsewhere(target, source, pusher)
    body = bytes(2 * 1024 * 1024)
    pusher.uploads.chunks.refused(len(body))
    source.fault = on(
        "PATCH", "", Status(code=202, headers={"Location": target.url + "/v2/app/blobs/uploads/1"})
    )
    upload = UploadSession(
        repository=repository_at(pusher.uploads, "app"), url=source.url + "/upload"
    )
    broken(pusher.uploads, upload, body)  # 401
    assert ([record.authorization for record in target.seen("PATCH")], source.count("PATCH")) == (
        [""],
        1,
    )


def test_every_step_of_an_upload_that_another_host_has_placed_at_home_is_without_authorization(
    target: FakeRegistry,
    source: FakeRegistry,
    pusher: RegistryClient,
) -> None:
    elsewhere(target, source, pusher)
    body, place = bytes(2 * MIB), {"Location": target.url + "/v2/app/blobs/uploads/1"}
    pusher.uploads.chunks.refused(len(body))
    source.fault = on("POST", "", Status(code=202, headers=place))
    upload = pusher.uploads.begin(repository_at(pusher.uploads, "app"))
    target.fault = on("PATCH", "", Status(code=202, headers=place), times=2)
    broken(pusher.uploads, upload, body)  # 401 to the last request
    assert [record.authorization for record in target.requests if "/1" in record.path] == [""] * 3


def moved(to: FakeRegistry, *methods: str, times: int = 1) -> Chooser:
    """Redirect the first uploads by these methods to the same path at this or another host."""
    left = iter(range(times))

    def choose(record: Record) -> Status | None:
        if record.method in methods and "/uploads/" in record.path and next(left, None) is not None:
            return Status(
                code=307, headers={"Location": f"{to.url}{record.path}?{record.query}"}, early=True
            )
        return None

    return choose


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("home", [False, True])
def test_the_bytes_of_an_upload_are_sent_again_to_where_it_is_redirected(
    target: FakeRegistry,
    source: FakeRegistry,
    pusher: RegistryClient,
    home: bool,
    chunked: bool,
) -> None:
    target.username, target.password, target.auth = TARGET_LOGIN.username, SECRET, "basic"
    source.storage = target.storage  # the same registry by another name
    body = BLOB * 500
    if chunked:
        pusher.uploads.chunks.refused(len(body))
    pusher.has_blob(repository_at(pusher, "app"), DIGEST)
    target.fault = moved(target if home else source, "PUT", "PATCH")
    upload = pusher.uploads.start(repository_at(pusher.uploads, "app"), digest_of(body), len(body))
    assert upload is not None
    send(pusher.uploads, upload, body, digest_of(body))
    assert target.storage["app"].blobs == {digest_of(body): body}
    assert {record.authorization for record in source.requests} == (set() if home else {""})
    assert pusher.uploads.unused() == [upload]  # the old location gets no more bytes


def test_an_upload_that_is_redirected_away_and_back_home_carries_no_authorization_there(
    target: FakeRegistry, source: FakeRegistry, pusher: RegistryClient
) -> None:
    target.username, target.password, target.auth = TARGET_LOGIN.username, SECRET, "basic"
    pusher.has_blob(repository_at(pusher, "app"), DIGEST)
    target.fault, source.fault = moved(source, "PUT"), moved(target, "PUT")
    upload = pusher.uploads.start(repository_at(pusher.uploads, "app"), DIGEST, len(BLOB))
    assert upload is not None
    broken(pusher.uploads, upload)  # 401
    assert [record.authorization for record in target.seen("PUT")] == ["Basic", ""]


@pytest.mark.parametrize("takes_parts", [True, False])
def test_a_blob_that_is_no_longer_at_hand_goes_in_parts_where_a_host_redirects_it(
    target: FakeRegistry,
    source: FakeRegistry,
    uploads: Uploads,
    *,
    takes_parts: bool,
) -> None:
    """Each part can be sent again; a registry that knows no PATCH (facts 3.3) gets all of it
    once more, at the other place.
    """
    source.storage = target.storage
    body = random.Random(1).randbytes(3 * 1024 * 1024)

    def choose(record: Record) -> Status | None:
        if record.method == "PATCH" and not takes_parts:
            return Status(code=405)
        return (
            Status(code=307, headers={"Location": f"{source.url}{record.path}?{record.query}"})
            if record.method == "PUT"
            else None
        )

    target.fault = choose
    upload, broke = uploads.start(repository_at(uploads, "app"), digest_of(body), len(body)), 0
    while upload:
        with uploads.send(upload, digest_of(body), len(body)) as sink:
            try:
                for start in range(upload.offset, len(body), 1024 * 1024):
                    sink.send(body[start : start + 1024 * 1024])
                sink.finish()
                break
            except TransferInterrupted as fault:
                upload, broke = (
                    (
                        sink.upload
                        if fault.resume == SAME_OFFSET
                        else uploads.start(
                            repository_at(uploads, "app"), digest_of(body), len(body)
                        )
                    ),
                    broke + 1,
                )
    assert target.storage["app"].blobs == {digest_of(body): body}
    assert (broke, source.count("PUT"), target.count("PATCH")) == (
        (1, 1, 3) if takes_parts else (3, 1, 1)
    )


def test_an_upload_that_is_sent_round_in_a_circle_is_given_up(
    target: FakeRegistry, uploads: Uploads
) -> None:
    target.fault = moved(target, "PUT", times=99)
    upload = uploads.start(repository_at(uploads, "app"), DIGEST, len(BLOB))
    assert upload is not None
    with pytest.raises(RegistryError, match="redirects an upload more than 10 times"):
        send(uploads, upload)
    assert target.count("PUT") == MAX_REGISTRY_REDIRECTS + 1


def test_an_upload_is_not_redirected_to_where_it_may_not(
    target: FakeRegistry, uploads: Uploads
) -> None:
    target.fault = on("PUT", "", Status(code=308, headers={"Location": "ftp://example.com/x"}))
    with pytest.raises(RegistryError, match="redirects to a URL that may not be followed"):
        store(uploads)


def test_the_rest_of_an_upload_that_is_refused_may_come_with_all_of_it(
    target: FakeRegistry, uploads: Uploads
) -> None:
    """GHCR refuses a range of more than 4 MiB (416), others know no PATCH: facts 3.3."""
    state = uploads.state(cut(target, uploads, after=3000))
    assert state is not None
    for code in (400, 403, 405, 416):
        target.fault = on("PATCH", "", Status(code=code))
        assert broken(uploads, state)[0].resume == RESTART


def test_what_has_begun_is_handed_over_where_the_question_after_it_fails(
    target: FakeRegistry, uploads: Uploads
) -> None:
    target.mount = False
    target.fault = on("HEAD", "", Status(code=400))
    with pytest.raises(RegistryError, match="answers 400"):
        uploads.start(repository_at(uploads, "app"), DIGEST, len(BLOB))
    assert len(uploads.unused()) == len(target.storage["app"].uploads) == 1


def test_what_a_question_has_begun_is_handed_over_once_where_nobody_needs_it(
    target: FakeRegistry, uploads: Uploads
) -> None:
    target.mount = False
    target.create("app").blobs[DIGEST] = BLOB
    assert uploads.start(repository_at(uploads, "app"), DIGEST, len(BLOB)) is None
    assert [upload.url.partition("?")[0].rpartition("/")[2] for upload in uploads.unused()] == list(
        target.storage["app"].uploads
    )
    assert uploads.unused() == []


@pytest.mark.parametrize("auth", ["none", "basic", "bearer"])
def test_an_upload_that_is_given_up_is_gone(
    target: FakeRegistry, uploads: Uploads, auth: str
) -> None:
    target.auth, target.username, target.password = auth, TARGET_LOGIN.username, SECRET
    upload = uploads.start(repository_at(uploads, "app"), DIGEST, len(BLOB))
    assert upload is not None
    uploads.cancel(upload)
    assert target.storage["app"].uploads == {}
    uploads.cancel(upload)  # the upload is gone already: not a fault
