"""Debian's docker-registry behind a proxy that refuses large requests.

An upload continues at the URL that the registry named last, and at no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.engine.registry.clients import Pair
from tests.fakes.authority import Authority
from tests.fakes.docker_registry import DockerRegistry
from tests.fakes.faults import Choose, Fault, FaultProxy, Position
from tests.fakes.images import make_image, put
from tests.fakes.registry import CutAnswer, CutRequest, FakeRegistry, Record, Status
from towline.http.client import Transport
from towline.http.connection import Network
from towline.http.tls import Tls

MIB = 1024 * 1024
IMAGE = make_image(size=5 * MIB // 2, layers=8)
FAULTS: dict[str, Fault | None] = {
    "nothing else": None,
    "busy now and then": Status(code=503),
    "answers are lost now and then": CutAnswer(after=None),
    "cut now and then": CutRequest(after=MIB // 2),
}


@pytest.fixture
def target(tmp_path: Path) -> Iterator[DockerRegistry]:
    with DockerRegistry(tmp_path / "target") as running:
        yield running


def small_requests(fault: Fault | None) -> Choose:
    """Limit requests to 1 MiB; every seventh chunk has the fault as well."""
    chunks = count()

    def choose(_: Position, record: Record) -> Fault | None:
        if int(record.headers.get("content-length", "0")) > MIB:
            return Status(code=413, early=True)
        return fault if record.method == "PATCH" and next(chunks) % 7 == 3 else None

    return choose


@pytest.mark.parametrize("name", FAULTS)
def test_an_image_arrives_in_small_requests(target: DockerRegistry, name: str) -> None:
    with FakeRegistry() as source, FaultProxy(target) as proxy, Transport() as transport:
        put(IMAGE, source, "app", "1")
        proxy.break_by(small_requests(FAULTS[name]))
        Pair(source, proxy, transport).copy("app:1", "team/app:1")
        proxy.settle()
    assert target.manifest_digest("team/app", "1") == IMAGE.digest
    assert [target.blob(digest) for digest in IMAGE.blobs] == list(IMAGE.blobs.values())
    # the registry ends no upload at a place other than it has named last, and that was lost
    if not isinstance(FAULTS[name], CutAnswer | CutRequest):
        assert target.uploads() == []


def test_a_limit_is_learned_over_tls_although_the_proxy_hangs_up(
    target: DockerRegistry, tmp_path: Path
) -> None:
    """The proxy answers 413 before it hangs up.

    The answer is read, although the rest of the body could not be sent any more.
    """
    authority = Authority(tmp_path)
    network = Network(tls=Tls(authority.certificate.read_text()))
    image = make_image(size=20 * MIB, layers=3)
    with (
        FakeRegistry() as source,
        FaultProxy(target, tls=authority.issue("proxy", names="IP:127.0.0.1").server()) as proxy,
        Transport(network=network) as line,
    ):
        put(image, source, "app", "1")
        proxy.break_by(small_requests(None))
        Pair(source, proxy, line).copy("app:1", "team/app:1")
    assert target.manifest_digest("team/app", "1") == image.digest
