"""The fault proxy passes a registry on unchanged, finds every request again by its position, and
breaks that one only.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.fakes.authority import Authority
from tests.fakes.docker_registry import DockerRegistry
from tests.fakes.faults import (
    STRANGER,
    CorruptRequest,
    Expired,
    Fault,
    FaultProxy,
    Forgotten,
    Late,
    Located,
    Moved,
    Position,
    Short,
    Unseen,
)
from tests.fakes.images import ImageParts, make_image, make_index, missing, put
from tests.fakes.registry import Corrupt, CutAnswer, CutRequest, FakeRegistry, Status, digest_of

DATA = b"some bytes of a layer"
DIGEST = digest_of(DATA)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as running:
        yield running


@pytest.fixture
def proxy(registry: FakeRegistry) -> Iterator[FaultProxy]:
    with FaultProxy(registry) as running:
        yield running


def call(
    proxy: FaultProxy, method: str, target: str, body: bytes = b"", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    with closing(http.client.HTTPConnection(proxy.host, timeout=60)) as connection:
        connection.request(
            method,
            target,
            body=body or None,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        answer = connection.getresponse()
        return answer, answer.read()


def upload(proxy: FaultProxy) -> str:
    """The URL of a new upload, with the digest of DATA."""
    answer, _ = call(proxy, "POST", "/v2/app/blobs/uploads/")
    return f"{answer.headers['Location'].removeprefix(proxy.url)}&digest={DIGEST}"


def blob_in(registry: FakeRegistry) -> Position:
    registry.create("app").blobs[DIGEST] = DATA
    return Position(method="GET", what=f"/v2/app/blobs/{DIGEST}")


# Passing on


def test_an_image_passes_whole_and_its_positions_are_the_same_the_second_time(
    registry: FakeRegistry, proxy: FaultProxy
) -> None:
    index = make_index(layers=2)
    put(index, proxy.url, "app", "1")
    assert missing(index, registry, "app") == ()
    first = proxy.positions
    proxy.clear()
    put(index, proxy.url, "app", "1")
    assert proxy.positions == first
    assert len(set(first)) == 6 + 6 + 3


def test_debians_registry_stands_behind_it_too(tmp_path: Path) -> None:
    image = make_image()
    with DockerRegistry(tmp_path) as real, FaultProxy(real) as proxy:
        put(image, proxy.url, "app", "1")
        assert real.manifest_digest("app", "1") == image.digest
        assert all(record.status in (201, 202) for record in proxy.requests)


def test_a_login_at_the_registry_goes_by_the_proxy() -> None:
    with FakeRegistry(auth="bearer") as registry, FaultProxy(registry) as proxy:
        blob_in(registry)
        answer, _ = call(proxy, "GET", f"/v2/app/blobs/{DIGEST}")
        assert (
            answer.status,
            f'realm="{proxy.url}/token"' in answer.headers["WWW-Authenticate"],
        ) == (401, True)


def test_which_request_comes_without_a_login_makes_no_difference() -> None:
    with FakeRegistry(auth="bearer") as registry, FaultProxy(registry, login=True) as proxy:
        for tag in ("1", "2"):
            proxy.clear()
            call(proxy, "HEAD", f"/v2/app/manifests/{tag}")
            call(proxy, "HEAD", "/v2/app/manifests/1", Authorization="Bearer x")
            assert proxy.positions == (
                Position(method="HEAD", what="/v2/app/manifests/1"),
                Position(method="HEAD", what=STRANGER),
            )


# Breaking


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (Status(code=503), 503, b""),
        (Corrupt(at=-1), 200, DATA[:-1] + bytes([DATA[-1] ^ 0xFF])),
        (Short(by=3), 200, DATA[:-3]),
    ],
)
def test_only_the_request_at_the_position_is_broken(
    registry: FakeRegistry, proxy: FaultProxy, fault: Fault, status: int, body: bytes
) -> None:
    position = blob_in(registry)
    proxy.hit(Position(method="GET", what=position.what, nth=1), fault)
    answers = [call(proxy, "GET", position.what) for _ in range(3)]
    assert [(answer.status, got) for answer, got in answers] == [
        (200, DATA),
        (status, body),
        (200, DATA),
    ]
    assert proxy.struck


@pytest.mark.parametrize("after", [None, 0, 4])
def test_an_answer_is_cut(registry: FakeRegistry, proxy: FaultProxy, after: int | None) -> None:
    position = blob_in(registry)
    proxy.hit(position, CutAnswer(after=after))
    with pytest.raises((http.client.IncompleteRead, http.client.RemoteDisconnected)):
        call(proxy, "GET", position.what)


def test_what_had_come_of_a_cut_upload_is_on_the_registry(
    registry: FakeRegistry, proxy: FaultProxy
) -> None:
    place = upload(proxy)
    proxy.hit(
        Position(method="PATCH", what=f"/v2/app/blobs/uploads/... {DIGEST}"), CutRequest(after=4)
    )
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        call(proxy, "PATCH", place, DATA)
    end = time.monotonic() + 30  # the registry's own thread sees the end when it comes to it
    while (
        not (
            found := [
                bytes(one.data) for one in registry.storage["app"].uploads.values() if one.data
            ]
        )
        and time.monotonic() < end
    ):
        time.sleep(0.01)
    assert found == [DATA[:4]]


def test_a_flipped_byte_in_an_upload_is_refused_by_the_registry(
    registry: FakeRegistry, proxy: FaultProxy
) -> None:
    place = upload(proxy)
    proxy.hit(
        Position(method="PUT", what=f"/v2/app/blobs/uploads/... {DIGEST}"), CorruptRequest(at=2)
    )
    assert call(proxy, "PUT", place, DATA)[0].status == 400
    assert registry.storage["app"].blobs == {}


def test_a_late_request_waits_on_the_clock_of_the_proxy(registry: FakeRegistry) -> None:
    position, slept = blob_in(registry), list[float]()
    with FaultProxy(registry, sleep=slept.append) as proxy:
        proxy.hit(position, Late(seconds=90))
        assert call(proxy, "GET", position.what)[1] == DATA
    assert slept == [90]


def test_a_token_is_worth_nothing_afterwards_and_another_one_is_good() -> None:
    with FakeRegistry(auth="bearer") as registry, FaultProxy(registry) as proxy:
        position = blob_in(registry)
        tokens = [
            json.loads(call(proxy, "GET", "/token?scope=repository:app:pull")[1])["token"]
            for _ in range(2)
        ]
        proxy.hit(position, Expired())
        answers = [
            call(proxy, "GET", position.what, Authorization=f"Bearer {tokens[number]}")[0]
            for number in (0, 0, 1)
        ]
        assert [answer.status for answer in answers] == [200, 401, 200]
        assert 'error="invalid_token"' in answers[1].headers["WWW-Authenticate"]


@pytest.mark.parametrize("needs", ["HEAD", "PUT"])
def test_a_blob_is_not_seen_for_a_moment_after_its_upload(
    registry: FakeRegistry, proxy: FaultProxy, needs: str
) -> None:
    manifest = json.dumps({"config": {"digest": DIGEST}}).encode()
    place = upload(proxy)
    proxy.hit(Position(method="PUT", what=f"/v2/app/blobs/uploads/... {DIGEST}"), Unseen())
    assert call(proxy, "PUT", place, DATA)[0].status == 201
    target, body = (
        ("/v2/app/manifests/1", manifest) if needs == "PUT" else (f"/v2/app/blobs/{DIGEST}", b"")
    )
    assert [call(proxy, needs, target, body, Content_Type="a/b")[0].status for _ in range(2)] == [
        404,
        201 if body else 200,
    ]


def test_an_upload_that_is_forgotten_is_unknown_from_then_on(
    registry: FakeRegistry, proxy: FaultProxy
) -> None:
    place, other = upload(proxy), upload(proxy)
    chunk = Position(method="PATCH", what=f"/v2/app/blobs/uploads/... {DIGEST}")
    proxy.break_by(lambda position, _: Forgotten() if position == chunk else None)
    assert [call(proxy, method, place)[0].status for method in ("PATCH", "GET", "PUT")] == [404] * 3
    assert call(proxy, "PUT", other, DATA)[0].status == 201
    assert len(registry.storage["app"].uploads) == 1
    assert not proxy.told & registry.storage["app"].uploads.keys()


@pytest.mark.parametrize("form", ["relative", "absolute"])
def test_a_location_comes_in_the_form_that_is_asked_for(proxy: FaultProxy, form: str) -> None:
    proxy.hit(Position(method="POST", what="/v2/app/blobs/uploads/"), Located(form=form))
    place = call(proxy, "POST", "/v2/app/blobs/uploads/")[0].headers["Location"]
    assert place.startswith({"relative": "/v2/app/", "absolute": f"{proxy.url}/v2/app/"}[form])
    assert (
        call(proxy, "PUT", f"{place.removeprefix(proxy.url)}&digest={DIGEST}", DATA)[0].status
        == 201
    )


def test_behind_tls_a_location_may_come_downgraded(registry: FakeRegistry, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = authority.issue("localhost", names="IP:127.0.0.1").server()
    with FaultProxy(registry, tls=context) as proxy:
        proxy.hit(
            Position(method="POST", what="/v2/app/blobs/uploads/"), Located(form="downgraded")
        )
        trusting = ssl.create_default_context(cafile=authority.certificate)
        with closing(
            http.client.HTTPSConnection(proxy.host, timeout=60, context=trusting)
        ) as connection:
            places = []
            for _ in range(2):
                connection.request("POST", "/v2/app/blobs/uploads/")
                answer = connection.getresponse()
                answer.read()
                places.append(answer.headers["Location"].partition("/v2/")[0])
        assert places == [f"http://{proxy.host}", f"https://{proxy.host}"]


def test_a_request_is_sent_to_where_it_is_already(
    registry: FakeRegistry, proxy: FaultProxy
) -> None:
    position = blob_in(registry)
    proxy.hit(position, Moved(code=308))
    answer, _ = call(proxy, "GET", f"{position.what}?x=1")
    assert (answer.status, answer.headers["Location"]) == (308, f"{position.what}?x=1")
    assert call(proxy, "GET", position.what)[0].status == 200


def test_what_comes_for_an_upload_is_about_the_blob_that_it_was_begun_for(
    registry: FakeRegistry, proxy: FaultProxy
) -> None:
    answer, _ = call(proxy, "POST", f"/v2/app/blobs/uploads/?mount={DIGEST}&from=app")
    place = answer.headers["Location"].removeprefix(proxy.url)
    call(proxy, "PATCH", place, DATA)
    assert [position.what for position in proxy.positions if position.method == "PATCH"] == [
        f"/v2/app/blobs/uploads/... {DIGEST}"
    ]
    assert proxy.told == registry.storage["app"].uploads.keys()


def test_an_upload_of_which_the_client_has_not_heard_is_known_as_one(
    registry: FakeRegistry, proxy: FaultProxy
) -> None:
    proxy.break_by(lambda position, _: CutAnswer(after=None) if position.method == "POST" else None)
    with pytest.raises((http.client.HTTPException, OSError)):
        call(proxy, "POST", "/v2/app/blobs/uploads/")
    assert (len(registry.storage["app"].uploads), proxy.told) == (1, frozenset())


def test_every_request_that_is_chosen_is_broken(registry: FakeRegistry, proxy: FaultProxy) -> None:
    position = blob_in(registry)
    proxy.break_by(lambda found, _: Status(code=503) if found.nth != 1 else None)
    assert [call(proxy, "GET", position.what)[0].status for _ in range(3)] == [503, 200, 503]


def test_a_position_names_the_digest_and_no_upload() -> None:
    with FakeRegistry() as registry, FaultProxy(registry) as proxy:
        image: ImageParts = make_image()
        put(image, proxy.url, "app", "1")
        told = {str(position) for position in proxy.positions}
        assert {f"PUT /v2/app/blobs/uploads/... {digest}" for digest in image.blobs} < told
        assert {
            "POST /v2/app/blobs/uploads/",
            "POST /v2/app/blobs/uploads/ again (1)",
            "PUT /v2/app/manifests/1",
        } < told
