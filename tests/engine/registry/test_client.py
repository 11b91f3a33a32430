from __future__ import annotations

import contextlib
import gzip
import json
import threading
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import towline.registry.client as module
from tests.engine.registry.clients import (
    SECRET,
    SOURCE_LOGIN,
    TARGET_LOGIN,
    client,
    image_at,
    registry_of,
    repository_at,
)
from tests.fakes.clock import FakeClock
from tests.fakes.images import OCI_MANIFEST, make_image, make_index, put, refer_to
from tests.fakes.registry import (
    Answer,
    Corrupt,
    CutAnswer,
    FakeRegistry,
    Fault,
    Status,
    digest_of,
    on,
)
from tests.fakes.serve import LoopbackServer, Request
from towline.errors import CredentialError, DigestMismatch, RegistryError, RegistryUnreachable
from towline.http.client import Transport
from towline.image import Registry
from towline.registry import session as allowance
from towline.registry.client import RegistryClient
from towline.registry.errors import Endpoint, ManifestIncomplete, TransferInterrupted
from towline.registry.manifest import Manifest, parse_manifest

BLOB = b"layer" * 1000
DIGEST = digest_of(BLOB)
PRINTED = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


@pytest.fixture
def pusher(target: FakeRegistry, transport: Transport) -> RegistryClient:
    return client(target, "target", transport, TARGET_LOGIN)


@pytest.fixture
def puller(source: FakeRegistry, transport: Transport) -> RegistryClient:
    return client(source, "source", transport)


def manifest_of(seed: int = 0) -> Manifest:
    parts = make_image(seed=seed)
    return parse_manifest(parts.manifest, parts.media_type)


def read_all(puller: RegistryClient, digest: str) -> bytes:
    view, taken = memoryview(bytearray(700)), b""
    with puller.open_blob(repository_at(puller, "app"), digest) as download:
        while got := download.readinto(view):
            taken += view[:got]
    return taken


# Manifests


@pytest.mark.parametrize("docker", [False, True])
def test_a_manifest_is_known_by_tag_and_by_digest(
    source: FakeRegistry, puller: RegistryClient, docker: bool
) -> None:
    parts = make_index(docker=docker)
    put(parts, source, "app", "1")
    for target in ("1", parts.digest):
        head = puller.head_manifest(image_at(puller, "app", target))
        found = puller.get_manifest(image_at(puller, "app", target))
        assert head == found.descriptor
        assert (found.body, found.media_type, found.digest) == (
            parts.manifest,
            parts.media_type,
            parts.digest,
        )


def test_a_manifest_that_is_not_there_is_none_or_says_so(
    source: FakeRegistry, puller: RegistryClient
) -> None:
    assert puller.head_manifest(image_at(puller, "app", "1")) is None
    assert puller.find_manifest(image_at(puller, "app", "1")) is None
    with pytest.raises(
        RegistryError, match="the image app:1 does not exist on the source registry"
    ) as caught:
        puller.get_manifest(image_at(puller, "app", "1"))
    assert "Build has to run again" in caught.value.hint


@pytest.mark.parametrize("gone", ["Docker-Content-Digest", "Content-Length"])
def test_a_head_without_what_is_needed_becomes_a_get(
    puller: RegistryClient, source: FakeRegistry, gone: str
) -> None:
    parts = make_image()
    put(parts, source, "app", "1")
    plain = source.answer

    def poorer(request: Request) -> Answer:
        answer = plain(request)
        headers = {name: value for name, value in answer.headers.items() if name != gone}
        return replace(
            answer,
            headers={
                **headers,
                **(
                    {"Content-Length": ""}
                    if gone == "Content-Length" and request.method == "HEAD"
                    else {}
                ),
            },
        )

    source.answer = poorer  # type: ignore[method-assign]
    head = puller.head_manifest(image_at(puller, "app", "1"))
    assert head is not None
    assert head.digest == parts.digest


def test_a_registry_without_head_is_asked_by_get(
    source: FakeRegistry, puller: RegistryClient
) -> None:
    digest = put(make_image(), source, "app", "1")
    source.fault = on("HEAD", "", Status(code=405))
    head = puller.head_manifest(image_at(puller, "app", "1"))
    assert head is not None
    assert head.digest == digest


@pytest.mark.parametrize("by_tag", [True, False])
def test_a_manifest_with_a_wrong_byte_is_read_once_more_and_then_refused(
    source: FakeRegistry, puller: RegistryClient, *, by_tag: bool
) -> None:
    digest = put(make_image(), source, "app", "1")
    target = "1" if by_tag else digest
    source.fault = on("GET", "manifests", Corrupt(at=-1))
    assert puller.get_manifest(image_at(puller, "app", target)).digest == digest
    source.fault = on("GET", "manifests", Corrupt(at=-1), times=2)
    with pytest.raises(DigestMismatch, match=digest):
        puller.get_manifest(image_at(puller, "app", target))
    assert source.count("GET") == 4


def test_a_digest_that_the_registry_says_of_a_tag_may_be_of_another_algorithm_or_none(
    source: FakeRegistry, puller: RegistryClient
) -> None:
    image = make_image()
    for said in (digest_of(image.manifest, "sha512"), "nonsense", ""):
        source.fault = on(
            "GET",
            "",
            Status(
                code=200,
                headers={"Content-Type": image.media_type, "Docker-Content-Digest": said},
                body=image.manifest,
            ),
        )
        assert puller.get_manifest(image_at(puller, "app", "1")).digest == image.digest


def test_a_manifest_of_schema_1_is_told_as_that_though_its_digest_is_of_something_else(
    source: FakeRegistry, puller: RegistryClient
) -> None:
    headers = {
        "Content-Type": "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "Docker-Content-Digest": DIGEST,
    }
    source.fault = on("GET", "", Status(code=200, headers=headers, body=b'{"schemaVersion": 1}'))
    with pytest.raises(RegistryError, match="schema 1"):
        puller.get_manifest(image_at(puller, "app", "1"))


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate"])
def test_a_manifest_that_comes_packed_is_read_and_known_by_the_digest_of_its_content(
    source: FakeRegistry, puller: RegistryClient, coding: str
) -> None:
    """Whether or not the client asked for compression (crane, skopeo and regctl read it too)."""
    image = make_image()
    packed = zlib.compress(image.manifest) if coding == "deflate" else gzip.compress(image.manifest)
    headers = {
        "Content-Type": image.media_type,
        "Docker-Content-Digest": image.digest,
        "Content-Encoding": coding,
    }
    source.fault = lambda _: Status(code=200, headers=headers, body=packed)
    for target in ("1", image.digest):
        assert puller.get_manifest(image_at(puller, "app", target)).body == image.manifest
        assert (
            puller.head_manifest(image_at(puller, "app", target))
            == puller.get_manifest(image_at(puller, "app", target)).descriptor
        )


def test_a_packing_that_is_not_known_is_told(source: FakeRegistry, puller: RegistryClient) -> None:
    source.fault = on(
        "GET",
        "",
        Status(
            code=200, headers={"Content-Type": OCI_MANIFEST, "Content-Encoding": "br"}, body=b"xyz"
        ),
    )
    with pytest.raises(RegistryError, match="Content-Encoding 'br'"):
        puller.find_manifest(image_at(puller, "app", "1"))


def test_all_tags_are_those_of_one_answer(source: FakeRegistry, puller: RegistryClient) -> None:
    for tag in ("1", "2"):
        put(make_image(), source, "app", tag)
    assert puller.tags(repository_at(puller, "app")) == frozenset({"1", "2"})
    for body in (b'{"name": "app", "tags": null}', b'{"tags": [null, 5]}'):
        source.fault = on("GET", "tags/list", Status(code=200, body=body))
        assert puller.tags(repository_at(puller, "app")) == frozenset()


@pytest.mark.parametrize(
    "fault",
    [
        Status(code=404),
        Status(code=500),
        Status(code=401),
        Status(code=200, headers={"Link": '<?n=1>; rel="next"'}, body=b"{}"),
        Status(code=200, body=b"[1"),
        Status(code=200, body=b" " * (4 * 1024 * 1024 + 1)),
        CutAnswer(after=None),
    ],
)
def test_a_list_of_tags_that_cannot_be_had_is_asked_for_once(
    source: FakeRegistry, puller: RegistryClient, time: FakeClock, fault: Fault
) -> None:
    source.fault = on("GET", "tags/list", fault, times=9)
    assert puller.tags(repository_at(puller, "app")) is None
    assert (source.count("GET", "tags/list"), time.sleeps) == (1, [])


def test_a_list_of_tags_that_takes_long_is_not_waited_for(
    source: FakeRegistry, puller: RegistryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towline.registry.client._SECONDS_FOR_TAGS", 0.2)
    enough = threading.Event()
    plain = source.answer

    def slow(request: Request) -> Answer:
        if request.path.endswith("tags/list"):
            enough.wait(30)
        return plain(request)

    source.answer = slow  # type: ignore[method-assign]
    digest = put(make_image(), source, "app", "1")
    assert puller.tags(repository_at(puller, "app")) is None
    assert not enough.is_set()
    enough.set()
    assert puller.get_manifest(image_at(puller, "app", "1")).digest == digest


def test_a_list_whose_next_page_is_missing_is_none_that_ends_there(
    source: FakeRegistry, puller: RegistryClient
) -> None:
    source.referrers, image = True, make_image()
    for number in range(3):
        put(refer_to(image, f"application/vnd.example.{number}"), source, "app")
    assert len(puller.referrers(repository_at(puller, "app"), image.digest) or ()) == 3
    source.fault = lambda record: Status(code=404) if "from=2" in record.query else None
    with pytest.raises(RegistryError, match="answers 404 when asked for the referrers of"):
        puller.referrers(repository_at(puller, "app"), image.digest)


def test_a_list_of_null_has_no_referrers(source: FakeRegistry, puller: RegistryClient) -> None:
    kind = "application/vnd.oci.image.index.v1+json"
    source.fault = on(
        "GET",
        "referrers",
        Status(
            code=200,
            headers={"Content-Type": kind},
            body=b'{"schemaVersion": 2, "manifests": null}',
        ),
    )
    assert puller.referrers(repository_at(puller, "app"), DIGEST) == ()


def test_a_manifest_over_four_mebibytes_is_refused(
    source: FakeRegistry, puller: RegistryClient
) -> None:
    source.create("app").manifests[DIGEST] = (OCI_MANIFEST, b" " * (4 * 1024 * 1024 + 1))
    with pytest.raises(RegistryUnreachable, match="longer than 4194304 bytes"):
        puller.find_manifest(image_at(puller, "app", DIGEST))


def test_a_target_that_forbids_questions_has_nothing_and_a_source_refuses(
    source: FakeRegistry,
    target: FakeRegistry,
    puller: RegistryClient,
    pusher: RegistryClient,
) -> None:
    for server in (source, target):
        server.fault = lambda record: Status(code=403) if record.method in ("HEAD", "GET") else None
    assert pusher.head_manifest(image_at(pusher, "app", "1")) is None
    assert pusher.find_manifest(image_at(pusher, "app", "1")) is None
    assert not pusher.has_blob(repository_at(pusher, "app"), DIGEST)
    for question in (
        lambda: puller.head_manifest(image_at(puller, "app", "1")),
        lambda: puller.find_manifest(image_at(puller, "app", "1")),
        lambda: puller.has_blob(repository_at(puller, "app"), DIGEST),
    ):
        with pytest.raises(CredentialError):
            question()


def test_a_stored_manifest_keeps_its_bytes_and_type(
    target: FakeRegistry, pusher: RegistryClient
) -> None:
    target.validates = False
    manifest = manifest_of()
    pusher.put_manifest(image_at(pusher, "app", "1"), manifest)
    pusher.put_manifest(image_at(pusher, "app", manifest.digest), manifest)
    assert target.manifest("app", "1") == (manifest.digest, manifest.media_type, manifest.body)
    assert target.count("PUT") == 2


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(("code", "named"), [(200, False), (200, True), (201, False)])
def test_an_answer_that_may_be_somebody_else_s_is_asked_about(
    target: FakeRegistry, pusher: RegistryClient, *, code: int, named: bool, before: bool
) -> None:
    """The tag may still point to the image from before."""
    manifest = manifest_of()
    if before:
        put(make_image(seed=1), target, "app", "1")
    headers = {"Docker-Content-Digest": manifest.digest} if named else {}
    target.fault = on("PUT", "", Status(code=code, headers=headers))
    with pytest.raises(
        RegistryError, match=f"answered {code} when app, manifest 1 was stored, but does not have"
    ):
        pusher.put_manifest(image_at(pusher, "app", "1"), manifest)


@pytest.mark.parametrize("after", [0, 10])
def test_a_manifest_that_is_cut_is_asked_for_again(
    source: FakeRegistry, puller: RegistryClient, time: FakeClock, after: int
) -> None:
    digest = put(make_image(), source, "app", "1")
    source.fault = on("GET", "manifests", CutAnswer(after=after), times=3)
    assert puller.get_manifest(image_at(puller, "app", "1")).digest == digest
    assert len(time.sleeps) == 3


def test_a_registry_that_stores_something_else_is_caught(
    target: FakeRegistry, pusher: RegistryClient
) -> None:
    target.fault = on(
        "PUT", "", Status(code=201, headers={"Docker-Content-Digest": DIGEST}), times=2
    )
    with pytest.raises(DigestMismatch, match=f"as {DIGEST}"):
        pusher.put_manifest(image_at(pusher, "app", "1"), manifest_of())


@pytest.mark.parametrize(
    "fault",
    [
        Status(code=201, headers={"Docker-Content-Digest": DIGEST}),
        Status(code=400, body=b'{"errors":[{"code":"DIGEST_INVALID"}]}'),
        Status(code=400, body=b'{"errors":[{"code":"SIZE_INVALID"}]}'),
    ],
)
def test_a_manifest_that_did_not_arrive_as_it_was_sent_is_sent_once_more(
    target: FakeRegistry, pusher: RegistryClient, fault: Status
) -> None:
    image = make_image()
    put(image, target, "app")
    target.forget()
    target.fault = on("PUT", "", fault)
    pusher.put_manifest(
        image_at(pusher, "app", "1"), parse_manifest(image.manifest, image.media_type)
    )
    assert (target.storage["app"].tags, target.count("PUT")) == ({"1": image.digest}, 2)


def test_a_manifest_that_never_arrives_as_it_was_sent_is_a_mismatch(
    target: FakeRegistry, pusher: RegistryClient
) -> None:
    target.fault = on(
        "PUT", "", Status(code=400, body=b'{"errors":[{"code":"DIGEST_INVALID"}]}'), times=9
    )
    with pytest.raises(DigestMismatch, match="DIGEST_INVALID") as caught:
        pusher.put_manifest(image_at(pusher, "app", "1"), manifest_of())
    assert (target.count("PUT"), caught.value.hint.startswith("the bytes were correct")) == (
        2,
        True,
    )


def test_an_incomplete_manifest_is_refused_in_the_registrys_words(
    target: FakeRegistry, pusher: RegistryClient
) -> None:
    with pytest.raises(
        ManifestIncomplete, match="does not take app, manifest 1: MANIFEST_BLOB_UNKNOWN"
    ):
        pusher.put_manifest(image_at(pusher, "app", "1"), manifest_of())


def test_an_immutable_tag_is_refused_in_the_registrys_words(
    target: FakeRegistry, pusher: RegistryClient
) -> None:
    target.validates, target.immutable_tags = False, True
    pusher.put_manifest(image_at(pusher, "app", "1"), manifest_of())
    with pytest.raises(RegistryError, match="TAG_INVALID"):
        pusher.put_manifest(image_at(pusher, "app", "1"), manifest_of(seed=1))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("NAME_UNKNOWN", "'app' does not exist"),
        ("", "'app' does not exist"),
        ("BLOB_UNKNOWN", "does not take app"),
    ],
)
def test_a_404_for_a_manifest_is_told_apart(
    target: FakeRegistry, pusher: RegistryClient, code: str, message: str
) -> None:
    target.fault = on(
        "PUT",
        "",
        Status(
            code=404,
            body=json.dumps({"errors": [{"code": code, "message": "x"}] if code else []}).encode(),
        ),
    )
    with pytest.raises((RegistryError, ManifestIncomplete), match=message):
        pusher.put_manifest(image_at(pusher, "app", "1"), manifest_of())


def test_a_blob_is_read_as_it_is(source: FakeRegistry, puller: RegistryClient) -> None:
    source.create("app").blobs[DIGEST] = BLOB
    assert read_all(puller, DIGEST) == BLOB
    assert source.requests[0].headers["accept-encoding"] == "identity"


def test_a_blob_behind_a_redirect_is_read_without_authorization(
    source: FakeRegistry, target: FakeRegistry, transport: Transport
) -> None:
    source.username, source.password, source.auth = TARGET_LOGIN.username, SECRET, "basic"
    source.create("app").blobs[DIGEST] = target.create("app").blobs[DIGEST] = BLOB
    source.redirect_blobs_to = target.url
    assert read_all(client(source, "source", transport, TARGET_LOGIN), DIGEST) == BLOB
    assert [record.authorization for record in target.requests] == [""]


def test_a_blob_that_is_not_there_is_a_registry_error(
    puller: RegistryClient, source: FakeRegistry
) -> None:
    source.create("app")
    with pytest.raises(RegistryError, match=r"answers 404 .* BLOB_UNKNOWN"):
        puller.open_blob(repository_at(puller, "app"), DIGEST)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_blob_is_read_from_where_it_was_cut(
    source: FakeRegistry, puller: RegistryClient, ranges: bool
) -> None:
    source.ranges = ranges
    source.create("app").blobs[DIGEST] = BLOB
    view = memoryview(bytearray(len(BLOB)))
    with puller.open_blob(repository_at(puller, "app"), DIGEST, start=1234) as download:
        assert bytes(view[: download.readinto(view)]) == BLOB[1234:]


@pytest.mark.parametrize("served", ["bytes 0-4999/5000", "bytes 1235-4999/5000", "nonsense"])
def test_another_range_than_was_asked_for_is_not_taken_for_it(
    source: FakeRegistry, puller: RegistryClient, served: str
) -> None:
    source.fault = on("GET", "", Status(code=206, headers={"Content-Range": served}, body=BLOB))
    with pytest.raises(RegistryError, match="answers 206"):
        puller.open_blob(repository_at(puller, "app"), DIGEST, start=1234)


def test_no_content_range_makes_bytes_of_another_place_pass(
    source: FakeRegistry, puller: RegistryClient
) -> None:
    numbers = st.integers(0, 10**20).map(str) | st.just("1234") | st.just("*")

    @settings(max_examples=60, deadline=None)
    @given(st.builds("bytes {}-{}/{}".format, numbers, numbers, numbers) | PRINTED)
    def holds(served: str) -> None:
        source.fault = on(
            "GET", "", Status(code=206, headers={"Content-Range": served}, body=BLOB[1234:])
        )
        with (
            contextlib.suppress(RegistryError),
            puller.open_blob(repository_at(puller, "app"), DIGEST, start=1234),
        ):
            assert served.startswith("bytes 1234-")

    holds()


def test_a_list_of_referrers_goes_on_at_this_host_or_not_at_all(
    source: FakeRegistry, target: FakeRegistry, puller: RegistryClient
) -> None:
    empty = (
        b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
    )
    where = (
        st.sampled_from(
            [
                "/v2/app/referrers/x",
                "?n=2",
                f"{target.url}/v2/app",
                f"//{target.host}/v2",
                "http://[::1",
                "https://example.com/",
            ]
        )
        | PRINTED
    )

    @settings(max_examples=60, deadline=None)
    @given(
        st.builds("<{}>; rel={}".format, where, st.sampled_from(["next", '"next"', "last"]))
        | PRINTED
    )
    def holds(link: str) -> None:
        page = Status(
            code=200,
            headers={"Link": link, "Content-Type": "application/vnd.oci.image.index.v1+json"},
            body=empty,
        )
        source.fault = on("GET", "referrers", page)
        with contextlib.suppress(RegistryError):
            assert puller.referrers(repository_at(puller, "app"), DIGEST) == ()

    holds()
    assert target.requests == ()


def test_a_stored_manifest_says_whether_the_registry_lists_referrers(
    target: FakeRegistry, pusher: RegistryClient
) -> None:
    target.validates = False
    assert not pusher.put_manifest(image_at(pusher, "app", "1"), manifest_of())
    target.fault = on("PUT", "", Status(code=201, headers={"OCI-Subject": DIGEST}))
    assert pusher.put_manifest(image_at(pusher, "app", "1"), manifest_of())


def test_a_blob_that_breaks_off_may_be_begun_again(
    source: FakeRegistry, puller: RegistryClient
) -> None:
    source.create("app").blobs[DIGEST] = BLOB
    source.fault = on("GET", "", CutAnswer(after=1000))
    with pytest.raises(TransferInterrupted) as caught:
        read_all(puller, DIGEST)
    assert isinstance(caught.value.fault, RegistryUnreachable)
    assert read_all(puller, DIGEST) == BLOB


# Who may not


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_a_wrong_password_names_registry_user_and_origin_but_never_itself(
    target: FakeRegistry, transport: Transport, auth: str
) -> None:
    target.auth, target.username, target.password = auth, TARGET_LOGIN.username, "right"
    pusher = client(target, "target", transport, TARGET_LOGIN)
    with pytest.raises(CredentialError) as caught:
        pusher.head_manifest(image_at(pusher, "app", "1"))
    told = caught.value.message + caught.value.hint + caught.value.where + repr(caught.value)
    assert target.host in told
    assert "'pusher' (from PIPER_targetRegistryPassword)" in told
    assert SECRET not in told


def test_a_password_does_not_go_over_plain_http_to_another_machine(transport: Transport) -> None:
    class Challenger(LoopbackServer):
        def answer(self, request: Request) -> Answer:
            return Answer(status=401, headers={"WWW-Authenticate": "Basic"})

    with Challenger() as server:
        registry = Registry(scheme="http", host=server.host.replace("127.0.0.1", "0"))
        session = RegistryClient(
            Endpoint(registry=registry, role="target", login=TARGET_LOGIN), transport=transport
        )
        with pytest.raises(CredentialError, match="over plain http"):
            session.has_blob(repository_at(session, "app"), DIGEST)
        assert {record.authorization for record in server.requests} == {""}


def test_docker_hubs_own_images_have_a_prefix(transport: Transport) -> None:
    hub = RegistryClient(
        Endpoint(registry=Registry(scheme="https", host="docker.io"), role="source", login=None),
        transport=transport,
    )
    alpine = repository_at(hub, "alpine")
    assert (
        hub._session.url(alpine, "manifests/3")
        == "https://registry-1.docker.io/v2/library/alpine/manifests/3"
    )
    assert [hub._session.scope(each) for each in (alpine, repository_at(hub, "team/app"))] == [
        "repository:library/alpine:pull",
        "repository:team/app:pull",
    ]


def test_a_client_says_which_registry_it_is_for(
    target: FakeRegistry, pusher: RegistryClient, time: FakeClock
) -> None:
    assert pusher.registry == registry_of(target)
    assert pusher.transport.clock is time.clock
    assert str(pusher) == f"target registry {target.host}"


def test_a_client_by_another_transport_has_the_same_login(
    target: FakeRegistry, transport: Transport
) -> None:
    target.username, target.password, target.auth = TARGET_LOGIN.username, SECRET, "basic"
    mine = client(target, "target", transport, TARGET_LOGIN)
    transport.close()
    with Transport() as other:
        assert mine.by(other).head_manifest(image_at(mine.by(other), "app", "1")) is None


def test_a_leave_for_the_storage_that_has_ended_is_asked_for_again(
    source: FakeRegistry, puller: RegistryClient
) -> None:
    """Facts 3.3: a redirect to storage is signed for some minutes; what storage answers after
    them says nothing about the login.
    """
    source.create("app").blobs[DIGEST] = BLOB
    with FakeRegistry() as storage:
        storage.create("app").blobs[DIGEST] = BLOB
        source.redirect_blobs_to = storage.url
        storage.fault = on(
            "GET", "", Status(code=403, body=b"<Error><Code>AccessDenied</Code></Error>")
        )
        with pytest.raises(TransferInterrupted) as caught:
            puller.open_blob(repository_at(puller, "app"), DIGEST)
        assert f"stores it at {storage.url}, which answers 403" in caught.value.fault.message
        assert read_all(puller, DIGEST) == BLOB


def test_storage_that_may_be_asked_by_get_alone_is_asked_so(
    target: FakeRegistry, pusher: RegistryClient
) -> None:
    """A signature of S3 is for one method; a HEAD that is sent on to it is refused whatever is
    there.
    """
    target.create("app").blobs[DIGEST] = BLOB
    with FakeRegistry() as storage:
        storage.create("app").blobs[DIGEST] = BLOB
        target.fault = lambda record: (
            Status(code=307, headers={"Location": f"{storage.url}{record.path}"})
            if "blobs" in record.path
            else None
        )
        storage.fault = lambda record: Status(code=403) if record.method == "HEAD" else None
        assert pusher.blob_size(repository_at(pusher, "app"), DIGEST) == len(BLOB)
        storage.storage.clear()
        assert not pusher.has_blob(repository_at(pusher, "app"), DIGEST)
        storage.fault = lambda _: Status(code=403)
        with pytest.raises(RegistryError, match=f"stores it at {storage.url}, which answers 403"):
            pusher.has_blob(repository_at(pusher, "app"), DIGEST)


def test_a_list_of_too_many_referrers_ends_at_the_page_that_has_them(
    source: FakeRegistry, puller: RegistryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_REFERRERS", 2)
    source.referrers, image = True, make_image()
    for number in range(6):
        put(refer_to(image, f"application/vnd.example.{number}"), source, "app")
    before = len(source.requests)
    with pytest.raises(RegistryError, match=f"lists more than 2 referrers of {image.digest}"):
        puller.referrers(repository_at(puller, "app"), image.digest)
    assert len(source.requests) - before < 4


def test_what_a_registry_sends_is_bounded_in_sum_over_all_its_clients(
    source: FakeRegistry, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = make_image()
    put(parts, source, "app", "1")
    monkeypatch.setattr(allowance, "MANIFEST_BYTES", 2 * len(parts.manifest))
    puller = client(source, "source", transport)
    assert (
        puller.get_manifest(image_at(puller, "app", "1")).digest
        == puller.by(transport).get_manifest(image_at(puller.by(transport), "app", "1")).digest
        == parts.digest
    )
    with pytest.raises(RegistryError, match=r"sends more than .* of manifests and lists"):
        puller.get_manifest(image_at(puller, "app", "1"))
    with pytest.raises(RegistryError, match="sends more than"):
        puller.by(transport).get_manifest(image_at(puller.by(transport), "app", "1"))


def test_a_client_by_another_transport_has_the_logins_of_the_repositories_too(
    target: FakeRegistry, pusher: RegistryClient
) -> None:
    target.auth, target.owners = "basic", {"a": (SOURCE_LOGIN.username, SECRET)}
    target.create("a/app").blobs[DIGEST] = b""
    app = repository_at(pusher, "a/app")
    pusher.log_in({app: SOURCE_LOGIN})
    with Transport() as other:
        assert pusher.by(other).has_blob(app, DIGEST)
