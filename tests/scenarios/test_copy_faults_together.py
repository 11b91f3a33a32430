"""Copies on a worse day: two images with a layer in common are copied at once, and several of
their uploads break, or one of them breaks twice.

`copy_world` has the rules for the result; the number of requests is bounded. After a copy that
failed, the next copy, without faults, pushes everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import TypeVar

import pytest

from tests.fakes.faults import STRANGER, Choose, Expired, Fault, Forgotten, Position
from tests.fakes.images import make_image
from tests.fakes.registry import Record
from tests.scenarios.copy_world import (
    FAULTS,
    PASSING,
    Make,
    World,
    heals,
    unhurried,
)
from towline.errors import TowlineError
from towline.registry import chunk_size

APP, SIDE = make_image(size=20_000, layers=3), make_image(size=20_000, layers=1)
SIZES = {digest: len(data) for image in (APP, SIDE) for digest, data in image.blobs.items()}
LAYERS = [digest for digest, size in SIZES.items() if size > 20_000]
# whose upload breaks twice, beside those of the other layers and of two small configurations
OF = {
    "a layer of both images": next(digest for digest in LAYERS if digest in SIDE.blobs),
    "a layer of one image": next(digest for digest in LAYERS if digest not in SIDE.blobs),
}
LIMIT, CHUNK = 8 * 1024, 4 * 1024
TARGETS: dict[str, dict[str, object]] = {
    "a target that forgets what was cut": {},
    "a target that keeps what was cut": {"resumes": True},
    "a target behind a proxy for small requests": {"largest_body": LIMIT},
    "one that mounts nothing as well": {
        "largest_body": LIMIT,
        "resumes": True,
        "mount": False,
        "relative_location": True,
    },
}
Wants = Callable[[str, Record], bool]
T = TypeVar("T")
SECONDS = 240.0  # that a copy may wait on the clock of all its uploads
KINDS: dict[str, Wants] = {
    "an upload is begun": lambda side, record: side == "target" and record.method == "POST",
    "a blob is looked for": (
        lambda side, record: (
            side == "target" and record.method == "HEAD" and "/blobs/" in record.path
        )
    ),
    "a blob is sent": (
        lambda side, record: (
            side == "target" and record.method == "PUT" and "/blobs/uploads/" in record.path
        )
    ),
    "a chunk is sent": lambda side, record: side == "target" and record.method == "PATCH",
    "a blob is read": (
        lambda side, record: (
            side == "source" and record.method == "GET" and "/blobs/" in record.path
        )
    ),
}
# What hides a blob hides it from the one manifest: hidden together they are too many. And one clock
# is that of all: where a request is late by it, the answers
# to others that are under way come too late as well, and nobody can give up an upload whose answer
# he did not hear.
OF_ONE = {name for name in FAULTS if name.startswith(("not seen", "late by"))}
UPLOAD = re.compile("/blobs/uploads/.")
FORGOTTEN = "upload forgotten"
FOUND_WRONG = "400 for another digest than was sent"
TWICE = FAULTS | {
    FORGOTTEN: lambda record: (
        Forgotten() if UPLOAD.search(record.path) and record.method != "DELETE" else None
    )
}
NAMES = (
    "cut before the answer",
    "cut before the request's body",
    "cut near the end of the request",
    FORGOTTEN,
    "429 with seconds",
    "503 before the body is read",
    "token expired",
    "307 to the same place",
    FOUND_WRONG,
    "middle byte of the request wrong",
    "cut in the middle of the answer",
    "401",
    "404",
    "413",
    "413 before the body is read",
    "416",
    "201 without a word",
)


def sized(record: Record, position: Position) -> Record:
    """A request that has just arrived, with the known sizes of its body and its answer."""
    digest = position.what.rpartition(" ")[2].rpartition("/")[2]
    asks = SIZES.get(digest, 0) if record.method == "GET" and "/uploads/" not in record.path else 0
    return replace(
        record, bytes_in=int(record.headers.get("content-length", "0")), bytes_out=asks, status=202
    )


class AtOnce:
    """Breaks the first request of a kind for each blob."""

    def __init__(self, wants: Wants, make: Make) -> None:
        self.struck: list[tuple[str, Position, Fault]] = []
        self._wants, self._make = wants, make

    def at(self, side: str) -> Choose:
        """The function that chooses the requests to break at one side."""

        def choose(position: Position, record: Record) -> Fault | None:
            if position.nth or position.what == STRANGER or not self._wants(side, record):
                return None
            fault = self._make(sized(record, position))
            # the others come with the token that has ended already; a new one each time is another
            # fault
            if isinstance(fault, Expired) and self.struck:
                return None
            self.struck += [(side, position, fault)] if fault else []
            return fault

        return choose


class Twice:
    """Breaks two requests about one blob, at either side: the request after `before` others,
    and then the request after `between` more.
    """

    def __init__(self, digest: str, makes: Sequence[Make], before: int, between: int) -> None:
        self.struck: list[tuple[str, Position, Fault]] = []
        self._digest, self._makes, self._left = digest, makes, [before, between]
        self._lock = Lock()

    def at(self, side: str) -> Choose:
        """The function that chooses the requests to break at one side."""

        def choose(position: Position, record: Record) -> Fault | None:
            with self._lock:
                # an upload is not ended if its end is refused
                if self._digest not in position.what or record.method == "DELETE" or not self._left:
                    return None
                if self._left[0]:
                    self._left[0] -= 1
                    return None
                fault = self._makes[-len(self._left)](sized(record, position))
                self._left.pop(0)
                if fault is None:
                    self._left.clear()  # that is another case
                else:
                    self.struck.append((side, position, fault))
                return fault

        return choose


@dataclass(frozen=True, kw_only=True)
class AtOnceCase:
    """One fault at the first request of a kind of each blob."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"when {self.kind}: {self.name}"

    def tried(self, world: World) -> tuple[TowlineError | None, str]:
        """How the copy ended, and the fault in that; empty if there is none."""
        chooser = AtOnce(KINDS[self.kind], FAULTS[self.name])
        ended = broken(world, chooser.at)
        passes = self.name in PASSING or all(heals(*struck) for struck in chooser.struck)
        return ended, world.wrong(ended, passes=passes, in_blobs=True)


@dataclass(frozen=True, kw_only=True)
class TwiceCase:
    """Two faults at requests about one blob."""

    of: str
    names: tuple[str, str]
    before: int
    between: int

    def __str__(self) -> str:
        return (
            f"{self.of}: {self.names[0]} after {self.before}, {self.names[1]} {self.between} later"
        )

    def tried(self, world: World) -> tuple[TowlineError | None, str]:
        """How the copy ended, and the fault in that; empty if there is none."""
        makes = [TWICE[name] for name in self.names]
        chooser = Twice(OF[self.of], makes, self.before, self.between)
        ended = broken(world, chooser.at)
        healed = [heals(*struck) for struck in chooser.struck]
        struck = self.names[: len(healed)]
        damaged = sum(healed) + struck.count(FOUND_WRONG)
        passing = all(
            whole or name in PASSING or name == FORGOTTEN
            for whole, name in zip(healed, struck, strict=True)
        )
        return ended, world.wrong(ended, passes=passing and damaged < 2, in_blobs=True)


def broken(world: World, at: Callable[[str], Choose]) -> TowlineError | None:
    """The end of a copy under faults."""
    for side, proxy in world.proxies.items():
        proxy.break_by(at(side))
    return world.copy()


# Pairs that once went wrong, or have been thought of, at the first request that brings bytes.
KNOWN = [
    TwiceCase(of="a layer of one image", names=names, before=2, between=0)
    for names in (
        ("413", "cut near the end of the request"),
        ("cut near the end of the request", "cut before the answer"),
        ("429 with seconds", "413"),
        ("cut before the answer", FORGOTTEN),
        (FORGOTTEN, "cut before the request's body"),
        ("401", "cut near the end of the request"),
        ("token expired", "cut before the answer"),
        # a piece must be as small as the one wants and the other takes
        ("307 to the same place", "429 with seconds"),
        ("307 to the same place", "413"),
    )
]


@pytest.fixture(params=TARGETS)
def options(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    unhurried(monkeypatch)
    monkeypatch.setattr(chunk_size, "SMALLEST_CHUNK", CHUNK)
    return TARGETS[request.param]


@pytest.fixture
def world(options: dict[str, object]) -> Iterator[World]:
    with World(APP, SIDE, **options) as running:
        yield running


def check(
    world: World,
    cases: Sequence[AtOnceCase] | Sequence[TwiceCase],
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended, _, calm = counted(world, world.copy)
    assert ended is None
    wrong, failed = list[str](), 0
    for case in cases:
        (ended, what), seconds, requests = counted(world, partial(case.tried, world))
        failed += ended is not None
        if seconds > SECONDS or requests > 3 * calm:
            what = what or f"it takes {requests} requests and waits for {seconds} seconds"
        if ended and not what:
            what = wrong_again(world)
        wrong += [f"{case}: {what}"] if what else []
    with capsys.disabled():
        print(
            f"\ncopy under faults together: {len(cases)} tried, {len(cases) - failed} ended well,"
            f" {failed} with a clear error"
        )
    assert not wrong, "\n".join(wrong)


def wrong_again(world: World) -> str:
    """The fault of the next copy, without faults in its requests, after a copy that failed."""
    for proxy in world.proxies.values():
        proxy.clear()
    found = world.wrong(world.copy(again=True), passes=True)
    return f"the next copy: {found}" if found else ""


def counted(world: World, work: Callable[[], T]) -> tuple[T, float, int]:
    """The cost of one copy: the seconds that it waits, and its requests."""
    for proxy in world.proxies.values():
        proxy.clear()
    started = world.time.time
    found = work()
    requests = sum(len(proxy.requests) for proxy in world.proxies.values())
    return found, world.time.time - started, requests


@pytest.mark.parametrize("every", [31, pytest.param(1, marks=pytest.mark.extra)])
def test_several_uploads_that_break_at_once_arrive_whole_or_not_at_all(
    world: World, every: int, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = [
        AtOnceCase(kind=kind, name=name) for kind in KINDS for name in FAULTS if name not in OF_ONE
    ]
    check(world, cases[::every], capsys)


@pytest.mark.parametrize("every", [401, pytest.param(5, marks=pytest.mark.extra)])
def test_an_upload_that_breaks_twice_beside_others_arrives_whole_or_not_at_all(
    world: World, every: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of all pairs of faults at pairs of requests: steps that are prime to the numbers of names,
    places and layers leave out none of them.
    """
    cases = [
        TwiceCase(of=of, names=(first, second), before=before, between=between)
        for of in OF
        for before in range(7 if world.target.largest_body else 3)
        for first in NAMES
        for second in NAMES
        for between in range(3)
    ]
    check(world, [*KNOWN, *cases[::every]], capsys)
