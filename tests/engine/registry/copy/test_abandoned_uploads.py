from __future__ import annotations

import threading

import pytest

from tests.engine.registry.clients import TARGET_LOGIN, client, repository_at
from tests.fakes.registry import CutAnswer, FakeRegistry, Fault, Record, Status, on
from towline.http.client import Transport
from towline.image import Registry, Repository
from towline.record import replace
from towline.registry.copy.abandoned_uploads import AbandonedUploads
from towline.registry.copy.plan import CopyBlob
from towline.registry.uploads import UploadSession


class Begun:
    """Uploads of made-up blobs that a registry has begun, and their AbandonedUploads."""

    def __init__(self, target: FakeRegistry, transport: Transport) -> None:
        self.target, self.client = target, client(target, "target", transport, TARGET_LOGIN)
        self.leftovers = AbandonedUploads({self.client.registry: self.client}, transport)

    def begin(self, number: int) -> tuple[CopyBlob, UploadSession]:
        blob = blob_of(self.client.registry, number)
        upload = self.client.uploads.start(
            repository_at(self.client.uploads, "app"), blob.digest, blob.size
        )
        assert upload is not None
        self.leftovers.goes_on(blob, upload)
        return blob, upload

    def left(self) -> int:
        """The number of uploads that the registry still has."""
        return len(self.target.storage["app"].uploads)


def blob_of(registry: Registry, number: int) -> CopyBlob:
    return CopyBlob(
        source=Repository(registry=registry, name="app"),
        repository=Repository(registry=registry, name="app"),
        digest=f"sha256:{number:064}",
        size=1,
    )


@pytest.fixture
def begun(target: FakeRegistry, transport: Transport) -> Begun:
    return Begun(target, transport)


def test_what_has_begun_and_not_ended_is_cancelled_with_the_login(begun: Begun) -> None:
    begun.target.username, begun.target.password, begun.target.auth = (
        TARGET_LOGIN.username,
        TARGET_LOGIN.password,
        "bearer",
    )
    begun.begin(1)
    begun.begin(2)
    begun.leftovers.cancel()
    assert (begun.left(), [record.status for record in begun.target.seen("DELETE")].count(204)) == (
        0,
        2,
    )


def test_what_has_ended_is_left_alone_and_without_anything_left_nothing_is_asked(
    begun: Begun,
) -> None:
    blob, _ = begun.begin(1)
    begun.leftovers.ended(blob)
    begun.leftovers.cancel()
    assert begun.target.count("DELETE") == 0


def test_an_upload_that_is_given_up_is_cancelled_although_another_of_the_same_blob_ends(
    begun: Begun,
) -> None:
    blob, _ = begun.begin(1)
    begun.leftovers.given_up(blob)
    begun.leftovers.given_up(blob)
    begun.begin(1)
    begun.leftovers.ended(blob)
    begun.leftovers.cancel()
    assert (begun.left(), begun.target.count("DELETE")) == (1, 1)


def test_what_a_question_has_begun_and_nobody_needs_is_cancelled_once(begun: Begun) -> None:
    begun.target.mount = False
    blob = blob_of(begun.client.registry, 1)
    begun.target.create("app").blobs[blob.digest] = b"x"
    assert (
        begun.client.uploads.start(
            repository_at(begun.client.uploads, "app"), blob.digest, blob.size
        )
        is None
    )
    assert begun.left() == 1
    begun.leftovers.cancel()
    begun.leftovers.cancel()
    assert (begun.left(), begun.target.count("DELETE")) == (0, 1)


def test_an_upload_is_cancelled_where_it_has_gone_on(begun: Begun) -> None:
    blob, upload = begun.begin(1)
    moved = replace(upload, url=f"{upload.url}&step=2", offset=5)
    begun.leftovers.goes_on(blob, moved)
    begun.leftovers.cancel()
    assert [record.query.endswith("&step=2") for record in begun.target.seen("DELETE")] == [True]


def test_an_upload_that_is_redirected_is_cancelled_where_it_has_begun_although_it_ends_elsewhere(
    begun: Begun,
) -> None:
    blob, upload = begun.begin(1)
    begun.leftovers.goes_on(blob, replace(upload, url=f"{begun.target.url}/elsewhere", hops=1))
    begun.leftovers.ended(blob)
    begun.leftovers.cancel()
    assert (begun.left(), begun.target.count("DELETE")) == (0, 1)


def test_it_works_although_the_run_s_own_transport_is_closed(
    begun: Begun, transport: Transport
) -> None:
    begun.begin(1)
    transport.close()
    begun.leftovers.cancel()
    assert begun.left() == 0


@pytest.mark.parametrize(
    "fault",
    [Status(code=404), Status(code=405), Status(code=401), Status(code=403), CutAnswer(after=None)],
)
def test_a_registry_that_does_not_want_it_is_no_fault(begun: Begun, fault: Fault) -> None:
    begun.begin(1)
    begun.target.fault = on("DELETE", "", fault, times=99)
    begun.leftovers.cancel()
    assert begun.target.count("DELETE") >= 1


def test_a_registry_that_is_gone_is_no_fault(begun: Begun) -> None:
    begun.begin(1)
    begun.target.stop()
    begun.leftovers.cancel()
    begun.target.start()


def test_a_registry_that_does_not_answer_is_not_waited_for(begun: Begun) -> None:
    over, waited = threading.Event(), []

    def held(record: Record) -> Fault | None:
        if record.method == "DELETE":
            waited.append(over.wait(60))
        return None

    begun.begin(1)
    begun.target.fault = held
    begun.leftovers.cancel()
    over.set()
    begun.target.settle()
    assert set(waited) == {True}
