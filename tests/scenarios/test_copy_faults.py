"""A copy with one fault at each of its requests in turn.

It ends with the right image or with a clear error, and no tag ever points to half an image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.engine.registry.clients import Pair
from tests.fakes.authority import Authority
from tests.fakes.faults import FaultProxy, Located
from tests.fakes.images import missing, put
from tests.fakes.registry import FakeRegistry
from tests.scenarios.copy_world import FAULTS, NEW, REPOSITORY, Case, World, unhurried
from towline.http.client import Transport


def say(capsys: pytest.CaptureFixture[str], cases: Sequence[Case], failed: int) -> None:
    positions, names = {(case.side, case.position) for case in cases}, {case.name for case in cases}
    with capsys.disabled():
        print(
            f"\ncopy under faults: {len(cases)} tried ({len(positions)} requests, {len(names)}"
            f" faults): {len(cases) - failed} ended well, {failed} with a clear error"
        )


@pytest.fixture(
    params=[True, False], ids=["the target checks manifests", "the target takes any manifest"]
)
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    unhurried(monkeypatch)
    with World(validates=request.param) as running:
        yield running


@pytest.mark.parametrize("every", [19, pytest.param(1, marks=pytest.mark.extra)])
def test_a_fault_leaves_the_whole_image_or_none(
    world: World, every: int, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = world.cases(FAULTS)[::every]
    tried = [(case, *world.tried(case)) for case in cases]
    say(capsys, cases, failed=sum(ended is not None for _, ended, _ in tried))
    wrong = [f"{case}: {what}" for case, _, what in tried if what]
    assert not wrong, "\n".join(wrong)


def test_the_same_copy_makes_the_same_requests(world: World) -> None:
    assert [str(case) for case in world.cases(FAULTS)] == [
        str(case) for case in world.cases(FAULTS)
    ]


def test_an_upload_that_a_proxy_places_at_http_stays_with_https(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    context = authority.issue("localhost", names="IP:127.0.0.1").server()
    with (
        FakeRegistry() as source,
        FakeRegistry() as target,
        FaultProxy(target, tls=context) as proxy,
        Transport() as transport,
    ):
        put(NEW, source, "app", "1")
        Pair(source, proxy, transport).copy("app:1", f"{REPOSITORY}:1")
        begins = next(position for position in proxy.positions if position.method == "POST")
        target.storage.clear()
        proxy.hit(begins, Located(form="downgraded"))
        Pair(source, proxy, transport).copy("app:1", f"{REPOSITORY}:1")
        assert (proxy.struck, missing(NEW, target, REPOSITORY)) == (True, ())
