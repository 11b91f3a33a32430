"""The fake registry keeps to the distribution specification, records requests, and
fails as a test tells it to.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

import pytest

from tests.fakes.images import (
    OCI_INDEX,
    OCI_MANIFEST,
    index_of,
    make_image,
    make_index,
    missing,
    put,
)
from tests.fakes.registry import (
    Corrupt,
    CutAnswer,
    CutRequest,
    FakeRegistry,
    Fault,
    Repository,
    Status,
    at,
    digest_of,
    on,
)

DATA = bytes(range(256)) * 8
DIGEST = digest_of(DATA)


@dataclass(frozen=True, kw_only=True)
class Got:
    """An answer as the client saw it."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The first error code of the body."""
        code = json.loads(self.body)["errors"][0]["code"]
        assert isinstance(code, str)
        return code


def call(
    registry: FakeRegistry, method: str, target: str, body: bytes = b"", **headers: str
) -> Got:
    """One request on a connection of its own."""
    with closing(http.client.HTTPConnection(registry.host, timeout=60)) as connection:
        connection.request(
            method,
            target,
            body=body or None,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        answer = connection.getresponse()
        return Got(status=answer.status, headers=dict(answer.headers.items()), body=answer.read())


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def open_upload(registry: FakeRegistry, name: str = "team/app") -> str:
    return (
        call(registry, "POST", f"/v2/{name}/blobs/uploads/")
        .headers["Location"]
        .removeprefix(registry.url)
    )


# Pushing


@pytest.mark.parametrize("relative", [False, True])
def test_an_index_that_is_pushed_is_in_the_storage(*, relative: bool) -> None:
    index = index_of([make_index(layers=2), make_image("linux/s390x")])
    with FakeRegistry(relative_location=relative) as registry:
        put(index, registry.url, "team/app", "1.0")
        assert missing(index, registry, "team/app") == ()
        assert registry.manifest("team/app", "1.0") == (index.digest, OCI_INDEX, index.manifest)
        assert (
            registry.count("POST", "/blobs/uploads/$")
            == registry.count("PUT", "/blobs/uploads/")
            == len(index.all_blobs())
        )


def test_a_blob_may_come_in_chunks_and_each_location_carries_a_new_state() -> None:
    with FakeRegistry() as registry:
        first = open_upload(registry)
        answer = call(registry, "PATCH", first, DATA[:1000], Content_Range="0-999")
        second = answer.headers["Location"].removeprefix(registry.url)
        assert (answer.status, answer.headers["Range"], first != second) == (202, "0-999", True)
        wrong = call(registry, "PATCH", second, DATA[1001:], Content_Range=f"1001-{len(DATA) - 1}")
        assert (wrong.status, wrong.headers["Range"]) == (416, "0-999")
        status = call(registry, "GET", second)
        assert (status.status, status.headers["Range"]) == (204, "0-999")
        assert call(registry, "PUT", f"{second}&digest={DIGEST}", DATA[1000:]).status == 201
        assert registry.storage["team/app"].blobs == {DIGEST: DATA}
        assert call(registry, "GET", second).code == "BLOB_UPLOAD_UNKNOWN"


def test_a_location_without_its_state_is_refused() -> None:
    with FakeRegistry() as registry:
        place = open_upload(registry).partition("?")[0]
        assert call(registry, "PUT", f"{place}?digest={DIGEST}", DATA).code == "BLOB_UPLOAD_INVALID"


def test_a_chunked_body_is_read_to_its_end() -> None:
    with (
        FakeRegistry() as registry,
        closing(http.client.HTTPConnection(registry.host, timeout=60)) as connection,
    ):
        connection.request(
            "PUT",
            f"{open_upload(registry)}&digest={DIGEST}",
            body=iter([DATA[:5], DATA[5:]]),
            encode_chunked=True,
        )
        assert connection.getresponse().status == 201


def test_a_wrong_digest_is_refused_and_the_upload_is_gone() -> None:
    with FakeRegistry() as registry:
        place = open_upload(registry)
        assert call(registry, "PUT", f"{place}&digest={DIGEST}", DATA[1:]).code == "DIGEST_INVALID"
        assert registry.storage["team/app"] == Repository()


def test_an_upload_can_be_given_up() -> None:
    with FakeRegistry() as registry:
        place = open_upload(registry)
        assert [call(registry, "DELETE", place).status, call(registry, "GET", place).status] == [
            204,
            404,
        ]


def test_a_manifest_with_missing_parts_is_refused_and_every_part_is_named() -> None:
    image, index = make_image(layers=2), make_index()
    with FakeRegistry() as registry:
        refused = call(
            registry, "PUT", "/v2/a/manifests/1", image.manifest, Content_Type=OCI_MANIFEST
        )
        named = {error["detail"]["digest"] for error in json.loads(refused.body)["errors"]}
        assert (refused.status, refused.code, named) == (
            400,
            "MANIFEST_BLOB_UNKNOWN",
            set(image.blobs),
        )
        refused = call(registry, "PUT", "/v2/a/manifests/1", index.manifest, Content_Type=OCI_INDEX)
        assert {error["detail"]["digest"] for error in json.loads(refused.body)["errors"]} == {
            child.digest for child in index.children
        }
        registry.validates = False
        assert (
            call(
                registry, "PUT", "/v2/a/manifests/1", index.manifest, Content_Type=OCI_INDEX
            ).status
            == 201
        )


@pytest.mark.parametrize(
    ("reference", "media_type", "body", "code"),
    [
        ("1.0", OCI_MANIFEST, b"{", "MANIFEST_INVALID"),
        ("1.0", OCI_MANIFEST, b'{"config": {}}', "MANIFEST_INVALID"),
        ("1.0", OCI_MANIFEST, b"[]", "MANIFEST_INVALID"),
        ("1.0", OCI_MANIFEST, b'{"mediaType": "application/json"}', "MANIFEST_INVALID"),
        (digest_of(b"{ }"), OCI_MANIFEST, b"{}", "DIGEST_INVALID"),
        ("-1", OCI_MANIFEST, b"{}", "TAG_INVALID"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused(
    reference: str, media_type: str, body: bytes, code: str
) -> None:
    with FakeRegistry() as registry:
        refused = call(
            registry, "PUT", f"/v2/a/manifests/{reference}", body, Content_Type=media_type
        )
        assert (refused.status, refused.code) == (400, code)


def test_an_immutable_tag_refuses_even_the_same_digest() -> None:
    with FakeRegistry(immutable_tags=True) as registry:
        image = make_image()
        put(image, registry, "a", "1")
        assert (
            call(
                registry, "PUT", "/v2/a/manifests/1", image.manifest, Content_Type=OCI_MANIFEST
            ).code
            == "TAG_INVALID"
        )
        assert (
            call(
                registry,
                "PUT",
                f"/v2/a/manifests/{image.digest}",
                image.manifest,
                Content_Type=OCI_MANIFEST,
            ).status
            == 201
        )


def test_without_create_on_push_an_unknown_repository_is_refused_until_it_is_created() -> None:
    with FakeRegistry(create_on_push=False) as registry:
        assert call(registry, "POST", "/v2/a/blobs/uploads/").code == "NAME_UNKNOWN"
        assert (
            call(registry, "PUT", "/v2/a/manifests/1", b"{}", Content_Type=OCI_MANIFEST).code
            == "NAME_UNKNOWN"
        )
        assert registry.storage == {}
        registry.create("a")
        put(make_image(), registry.url, "a", "1")


@pytest.mark.parametrize(
    ("allowed", "source", "digest", "status"),
    [
        (True, "from/here", DIGEST, 201),
        (True, "to/there", DIGEST, 202),
        (True, "from/here", digest_of(b""), 202),
        (True, "nowhere", DIGEST, 202),
        (False, "from/here", DIGEST, 202),
    ],
)
def test_a_blob_is_mounted_where_the_source_holds_it(
    source: str, digest: str, status: int, *, allowed: bool
) -> None:
    with FakeRegistry(mount=allowed) as registry:
        registry.create("from/here").blobs[DIGEST] = DATA
        assert (
            call(
                registry, "POST", f"/v2/to/there/blobs/uploads/?mount={digest}&from={source}"
            ).status
            == status
        )
        assert (DIGEST in registry.storage["to/there"].blobs) == (status == 201)
        assert call(
            registry, "POST", f"/v2/from/here/blobs/uploads/?mount={DIGEST}&from=from/here"
        ).status == (201 if allowed else 202)


# Pulling


def test_a_manifest_is_found_by_tag_and_digest_for_whoever_accepts_its_type() -> None:
    index = make_index()
    with FakeRegistry() as registry:
        put(index, registry, "a", "1")
        for reference in ("1", index.digest):
            got = call(
                registry,
                "GET",
                f"/v2/a/manifests/{reference}",
                Accept=f"{OCI_MANIFEST}, {OCI_INDEX};q=0.5",
            )
            assert (
                got.status,
                got.body,
                got.headers["Docker-Content-Digest"],
                got.headers["Content-Type"],
            ) == (200, index.manifest, index.digest, OCI_INDEX)
        head = call(registry, "HEAD", "/v2/a/manifests/1", Accept=OCI_INDEX)
        assert (head.status, head.body, head.headers["Content-Length"]) == (
            200,
            b"",
            str(len(index.manifest)),
        )
        assert (
            call(registry, "GET", "/v2/a/manifests/1", Accept=OCI_MANIFEST).code
            == "MANIFEST_UNKNOWN"
        )
        assert (
            call(registry, "GET", "/v2/a/manifests/2", Accept=OCI_INDEX).code == "MANIFEST_UNKNOWN"
        )
        assert call(registry, "GET", "/v2/b/manifests/1", Accept=OCI_INDEX).code == "NAME_UNKNOWN"


def test_repeated_accept_headers_are_joined() -> None:
    with (
        FakeRegistry() as registry,
        closing(http.client.HTTPConnection(registry.host, timeout=60)) as connection,
    ):
        put(make_index(), registry, "a", "1")
        connection.putrequest("GET", "/v2/a/manifests/1")
        connection.putheader("Accept", OCI_INDEX)
        connection.putheader("Accept", OCI_MANIFEST)
        connection.endheaders()
        assert connection.getresponse().status == 200


@pytest.mark.parametrize(
    ("asked", "status", "part", "shown"),
    [
        ("", 200, DATA, None),
        ("bytes=10-19", 206, DATA[10:20], "bytes 10-19/2048"),
        ("bytes=2000-", 206, DATA[2000:], "bytes 2000-2047/2048"),
        ("bytes=2040-9999", 206, DATA[2040:], "bytes 2040-2047/2048"),
        ("bytes=2048-", 416, None, "bytes */2048"),
    ],
)
def test_a_blob_is_answered_whole_or_in_the_range_asked_for(
    asked: str, status: int, part: bytes | None, shown: str | None
) -> None:
    with FakeRegistry() as registry:
        registry.create("a").blobs[DIGEST] = DATA
        got = call(registry, "GET", f"/v2/a/blobs/{DIGEST}", Range=asked)
        assert (got.status, got.headers.get("Content-Range")) == (status, shown)
        assert part is None or got.body == part
        registry.ranges = False
        assert call(registry, "GET", f"/v2/a/blobs/{DIGEST}", Range=asked).body == DATA


def test_blobs_may_be_answered_from_elsewhere() -> None:
    with FakeRegistry() as store, FakeRegistry(redirect_blobs_to=store.url) as registry:
        registry.create("a").blobs[DIGEST] = DATA
        store.storage = registry.storage
        got = call(registry, "GET", f"/v2/a/blobs/{DIGEST}")
        assert (got.status, got.headers["Location"]) == (307, f"{store.url}/v2/a/blobs/{DIGEST}")
        assert call(registry, "HEAD", f"/v2/a/blobs/{DIGEST}").status == 200
        assert call(store, "GET", f"/v2/a/blobs/{DIGEST}").body == DATA


def test_tags_are_listed_page_by_page() -> None:
    with FakeRegistry() as registry:
        registry.create("a").tags.update(dict.fromkeys(("3", "1", "2"), DIGEST))
        page = call(registry, "GET", "/v2/a/tags/list?n=2")
        assert (json.loads(page.body), page.headers["Link"]) == (
            {"name": "a", "tags": ["1", "2"]},
            '</v2/a/tags/list?n=2&last=2>; rel="next"',
        )
        page = call(registry, "GET", "/v2/a/tags/list?n=2&last=2")
        assert (json.loads(page.body)["tags"], "Link" in page.headers) == (["3"], False)


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/v2/", 200),
        ("GET", "/v1/", 404),
        ("DELETE", "/v2/a/manifests/1", 405),
        ("GET", "/v2/A/tags/list", 400),
        ("GET", "/v2/a/tags/list?n=x", 400),
        ("GET", "/v2/a/tags/list", 404),
        ("GET", "/v2/a/referrers/sha256:0", 404),
    ],
)
def test_other_requests_get_the_status_of_the_specification(
    method: str, target: str, status: int
) -> None:
    with FakeRegistry() as registry:
        assert call(registry, method, target).status == status


# Authorization


def test_basic_credentials_are_asked_for_and_checked() -> None:
    with FakeRegistry(username="me", password="pä:ss") as registry:
        refused = call(registry, "GET", "/v2/")
        assert (refused.status, refused.code, refused.headers["WWW-Authenticate"]) == (
            401,
            "UNAUTHORIZED",
            'Basic realm="fake registry"',
        )
        assert call(registry, "GET", "/v2/", Authorization=basic("me", "wrong")).status == 401
        assert call(registry, "GET", "/v2/", Authorization="Basic ?").status == 401
        assert call(registry, "GET", "/v2/", Authorization=basic("me", "pä:ss")).status == 200
        assert [record.authorization for record in registry.requests] == [
            "",
            "Basic",
            "Basic",
            "Basic",
        ]
        assert all("authorization" not in record.headers for record in registry.requests)


def _token(registry: FakeRegistry, *scopes: str, authorization: str = "") -> str:
    query = "&".join(f"scope={scope}" for scope in scopes)
    got = call(
        registry,
        "GET",
        f"/token?service={registry.host}&{query}",
        Authorization=authorization or basic("me", "secret"),
    )
    assert got.status == 200, got
    return "Bearer " + str(json.loads(got.body)["token"])


def test_a_token_opens_its_scopes_and_no_other() -> None:
    with FakeRegistry(username="me", password="secret", auth="bearer") as registry:
        registry.create("a/b").blobs[DIGEST] = DATA
        challenge = call(registry, "GET", f"/v2/a/b/blobs/{DIGEST}").headers["WWW-Authenticate"]
        assert (
            challenge == "Bearer"
            f' realm="{registry.url}/token",service="{registry.host}",scope="repository:a/b:pull"'
        )
        pull = _token(registry, "repository:a/b:pull")
        assert call(registry, "GET", f"/v2/a/b/blobs/{DIGEST}", Authorization=pull).status == 200
        assert call(registry, "GET", "/v2/", Authorization=pull).status == 200
        refused = call(registry, "POST", "/v2/a/b/blobs/uploads/", Authorization=pull)
        assert refused.headers["WWW-Authenticate"].endswith(
            'scope="repository:a/b:pull,push",error="insufficient_scope"'
        )
        assert registry.scopes == [("repository:a/b:pull",)]


def test_a_mount_needs_a_pull_of_its_source() -> None:
    with FakeRegistry(username="me", password="secret", auth="bearer") as registry:
        registry.create("src").blobs[DIGEST] = DATA
        target = f"/v2/dst/blobs/uploads/?mount={DIGEST}&from=src"
        refused = call(
            registry, "POST", target, Authorization=_token(registry, "repository:dst:pull,push")
        )
        assert (
            'scope="repository:dst:pull,push repository:src:pull"'
            in refused.headers["WWW-Authenticate"]
        )
        assert (
            call(
                registry,
                "POST",
                target,
                Authorization=_token(registry, "repository:dst:pull,push", "repository:src:pull"),
            ).status
            == 201
        )


@pytest.mark.parametrize("end", ["expired", "taken back"])
def test_a_token_that_is_over_is_refused(end: str) -> None:
    with FakeRegistry(auth="bearer", token_seconds=0 if end == "expired" else 300) as registry:
        token = _token(registry, "repository:a:pull", authorization="none")
        if end == "taken back":
            assert call(registry, "GET", "/v2/", Authorization=token).status == 200
            registry.expire_tokens()
        assert (
            call(registry, "GET", "/v2/a/tags/list", Authorization=token)
            .headers["WWW-Authenticate"]
            .endswith('error="invalid_token"')
        )


def test_the_token_endpoint_checks_the_password_and_is_not_there_for_post() -> None:
    with FakeRegistry(
        username="me", password="secret", auth="bearer", realm="http://elsewhere.example/token"
    ) as registry:
        assert (
            call(
                registry,
                "GET",
                "/token?scope=repository:a:pull",
                Authorization=basic("me", "wrong"),
            ).status
            == 401
        )
        assert call(registry, "POST", "/token", b"grant_type=password").status == 404
        assert (
            'realm="http://elsewhere.example/token"'
            in call(registry, "GET", "/v2/").headers["WWW-Authenticate"]
        )


# Breaking, recording, stopping


def test_a_status_replaces_the_handling_of_one_request() -> None:
    with FakeRegistry() as registry:
        registry.fault = on(
            "POST",
            "/uploads/$",
            Status(code=429, headers={"Retry-After": "3"}, body=b"slow down"),
            times=2,
        )
        got = [call(registry, "POST", "/v2/a/blobs/uploads/") for _ in range(3)]
        assert [answer.status for answer in got] == [429, 429, 202]
        assert (got[0].headers["Retry-After"], got[0].body) == ("3", b"slow down")
        assert len(registry.storage["a"].uploads) == 1


def test_an_early_status_does_not_wait_for_the_body() -> None:
    with (
        FakeRegistry() as registry,
        closing(http.client.HTTPConnection(registry.host, timeout=60)) as connection,
    ):
        registry.fault = at(0, Status(code=413, early=True))
        connection.putrequest("PUT", "/v2/a/manifests/1")
        connection.putheader("Content-Length", "1000")
        connection.endheaders(b"only the beginning")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (413, "close")
        assert registry.requests[0].bytes_in == 0


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (CutAnswer(after=None), http.client.RemoteDisconnected),
        (CutAnswer(after=0), http.client.IncompleteRead),
        (CutAnswer(after=100), http.client.IncompleteRead),
    ],
)
def test_a_cut_answer_ends_where_it_is_told_to(fault: Fault, outcome: type[Exception]) -> None:
    with FakeRegistry() as registry:
        registry.create("a").blobs[DIGEST] = DATA
        registry.fault = at(0, fault)
        with pytest.raises(outcome) as caught:
            call(registry, "GET", f"/v2/a/blobs/{DIGEST}")
        assert isinstance(fault, CutAnswer)
        assert len(getattr(caught.value, "partial", b"")) == (fault.after or 0)
        assert call(registry, "GET", f"/v2/a/blobs/{DIGEST}").body == DATA


def test_a_request_whose_answer_was_lost_has_been_performed() -> None:
    with FakeRegistry() as registry:
        registry.fault = on("PUT", "/uploads/", CutAnswer(after=None))
        with pytest.raises(http.client.RemoteDisconnected):
            call(registry, "PUT", f"{open_upload(registry)}&digest={DIGEST}", DATA)
        assert (registry.storage["team/app"].blobs, registry.requests[-1].status) == (
            {DIGEST: DATA},
            0,
        )


@pytest.mark.parametrize("size", [0, 1, 1000, len(DATA)])
def test_a_cut_request_is_not_performed_but_a_patch_leaves_what_had_come(size: int) -> None:
    with FakeRegistry() as registry:
        place = open_upload(registry)
        registry.fault = lambda record: (
            CutRequest(after=size) if record.method in {"PATCH", "PUT"} else None
        )
        for method in ("PATCH", "PUT"):
            with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
                call(registry, method, place, DATA)
        assert [bytes(upload.data) for upload in registry.storage["team/app"].uploads.values()] == [
            DATA[:size]
        ]
        assert [record.bytes_in for record in registry.requests[1:]] == [size, size]


def test_a_client_that_goes_away_leaves_what_it_had_sent() -> None:
    with FakeRegistry() as registry:
        place = open_upload(registry)
        with socket.create_connection(("127.0.0.1", registry.port)) as client:
            client.sendall(
                f"PATCH {place} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n".encode()
                + DATA[:300]
            )
            client.shutdown(socket.SHUT_WR)
            assert client.recv(100) == b""
        assert call(registry, "GET", place).headers["Range"] == "0-299"


def test_a_corrupt_answer_differs_in_one_byte() -> None:
    with FakeRegistry() as registry:
        registry.create("a").blobs[DIGEST] = DATA
        registry.fault = at(0, Corrupt(at=-1))
        got = call(registry, "GET", f"/v2/a/blobs/{DIGEST}").body
        assert (got[:-1], got[-1]) == (DATA[:-1], DATA[-1] ^ 0xFF)
        assert registry.storage["a"].blobs[DIGEST] == DATA


def test_each_request_is_recorded_with_its_sizes() -> None:
    with FakeRegistry() as registry:
        place = open_upload(registry, "a")
        call(registry, "PUT", f"{place}&digest={DIGEST}", DATA)
        call(registry, "GET", f"/v2/a/blobs/{DIGEST}", Range="bytes=0-9")
        shown = [(r.number, r.method, r.status, r.bytes_in, r.bytes_out) for r in registry.requests]
        assert shown == [
            (0, "POST", 202, 0, 0),
            (1, "PUT", 201, len(DATA), 0),
            (2, "GET", 206, 0, 10),
        ]
        assert re.fullmatch(r"_state=.*&digest=.*", registry.seen("PUT")[0].query)
        assert registry.requests[2].headers["range"] == "bytes=0-9"
        registry.forget()
        assert registry.requests == ()


def test_many_clients_at_once_are_all_answered_and_recorded() -> None:
    with FakeRegistry() as registry:
        images = [make_image(seed=seed, layers=3) for seed in range(8)]
        threads = [
            threading.Thread(target=put, args=(image, registry.url, f"team/app-{number}", "1"))
            for number, image in enumerate(images)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [
            missing(image, registry, f"team/app-{number}") for number, image in enumerate(images)
        ] == [()] * 8
        assert sorted(record.number for record in registry.requests) == list(range(8 * 9))


def test_stopping_ends_idle_connections_and_threads_and_starting_again_takes_the_same_port() -> (
    None
):
    before = set(threading.enumerate())
    registry = FakeRegistry().start()
    with closing(http.client.HTTPConnection(registry.host, timeout=60)) as connection:
        connection.request("GET", "/v2/")
        assert connection.getresponse().read() == b"{}"
        url = registry.url
        registry.stop()
        registry.stop()
        assert set(threading.enumerate()) <= before
        with pytest.raises(OSError, match="refused"):
            call(registry, "GET", "/v2/")
    with registry:
        assert (registry.url, call(registry, "GET", "/v2/").status) == (url, 200)


class _Broken(FakeRegistry):
    def _known(self, name: str) -> Repository:
        raise ZeroDivisionError(name)


def test_a_crash_of_the_fake_comes_up_when_it_stops() -> None:
    registry = _Broken().start()
    got = call(registry, "GET", "/v2/a/tags/list")
    assert (got.status, b"ZeroDivisionError: a" in got.body) == (500, True)
    with pytest.raises(RuntimeError, match="crashed"):
        registry.stop()


def test_a_crash_of_what_chooses_the_faults_comes_up_too() -> None:
    registry = FakeRegistry().start()
    registry.fault = lambda record: Status(code=record.number // 0)
    with pytest.raises(http.client.RemoteDisconnected):
        call(registry, "GET", "/v2/")
    with pytest.raises(RuntimeError, match="crashed"):
        registry.stop()


def test_a_registry_settles_when_its_clients_have_left_and_serves_the_next() -> None:
    with (
        FakeRegistry() as registry,
        closing(http.client.HTTPConnection(registry.host, timeout=60)) as idle,
    ):
        idle.request("GET", "/v2/")
        idle.getresponse().read()
        registry.settle()
        assert idle.sock.recv(1) == b""
        assert call(registry, "GET", "/v2/").status == 200
