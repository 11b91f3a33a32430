"""Copies on a worse day: several uploads that break at once, and one upload that breaks twice.

What has to come of them is what `copy_world` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from threading import Lock

import pytest

from tests.fakes.faults import STRANGER, Choose, Expired, Fault, Position
from tests.fakes.images import make_image
from tests.fakes.registry import Record
from tests.scenarios.copy_world import FAULTS, PASSING, Make, World, heals, unhurried
from towline.errors import TowlineError
from towline.registry import chunk_size

SEVERAL, ONE = make_image(size=20_000, layers=6), make_image(size=20_000, layers=1)
LAYER = max(ONE.blobs, key=lambda digest: len(ONE.blobs[digest]))
SIZES = {digest: len(data) for image in (SEVERAL, ONE) for digest, data in image.blobs.items()}
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
FOUND_WRONG = "400 for another digest than was sent"
TWICE = (
    "cut before the answer",
    "cut before the request's body",
    "cut in the middle of the request",
    "cut near the end of the request",
    "429 with seconds",
    "503 before the body is read",
    "500",
    "token expired",
    "307 to the same place",
    FOUND_WRONG,
    "middle byte of the request wrong",
    "middle byte of the answer wrong",
    "404",
    "405",
    "413",
    "416",
    "201 without a word",
)


def sized(record: Record, position: Position) -> Record:
    """A request that has just arrived, with what is known of the bytes that it brings and asks
    for.
    """
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
        """What chooses at one side."""

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
    """Breaks the first request of a kind for the layer, and then the one that comes `after` so
    many others about it, at either side.
    """

    def __init__(self, wants: Wants, first: Make, second: Make, after: int) -> None:
        self.struck: list[tuple[str, Position, Fault]] = []
        self._wants, self._makes, self._left = wants, [first, second], after
        self._lock = Lock()

    def at(self, side: str) -> Choose:
        """What chooses at one side."""

        def choose(position: Position, record: Record) -> Fault | None:
            with self._lock:
                if (
                    LAYER not in position.what
                    or len(self.struck) == 2
                    or not (self.struck or self._wants(side, record))
                ):
                    return None
                # where the end of an upload is refused it is not ended
                if record.method == "DELETE":
                    return None
                if self.struck and self._left:
                    self._left -= 1
                    return None
                fault = self._makes[len(self.struck)](sized(record, position))
                self.struck += [(side, position, fault)] if fault else []
                return fault

        return choose


@dataclass(frozen=True, kw_only=True)
class Case:
    """Faults by name, at requests of a kind."""

    kind: str
    names: tuple[str, ...]
    after: int = 0

    def __str__(self) -> str:
        return f"when {self.kind}: {', then '.join(self.names)}" + (
            f" ({self.after} later)" if self.after else ""
        )

    def chooser(self) -> AtOnce | Twice:
        """What breaks the requests of one copy."""
        wants, makes = KINDS[self.kind], [FAULTS[name] for name in self.names]
        return (
            AtOnce(wants, makes[0])
            if len(makes) == 1
            else Twice(wants, makes[0], makes[1], self.after)
        )

    def tried(self, world: World) -> tuple[TowlineError | None, str]:
        """How the copy ended, and what is wrong with that; empty where nothing is."""
        chooser = self.chooser()
        for side, proxy in world.proxies.items():
            proxy.break_by(chooser.at(side))
        ended = world.copy()
        healed = [heals(*struck) for struck in chooser.struck]
        damaged = sum(healed) + self.names.count(FOUND_WRONG) if len(self.names) == 2 else 0
        passing = all(
            whole or name in PASSING
            for whole, name in zip(healed, self.names * len(healed), strict=False)
        )
        return ended, world.wrong(ended, passes=passing and damaged < 2)


# Where a host redirects and a proxy limits, a piece must be as small as the one wants and the other
# takes: once it was asked the same for ever.
LEARNT = [
    Case(kind="a blob is sent", names=("307 to the same place", "429 with seconds"), after=after)
    for after in range(3)
]


@pytest.fixture(params=TARGETS)
def options(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    unhurried(monkeypatch)
    monkeypatch.setattr(chunk_size, "SMALLEST", CHUNK)
    return TARGETS[request.param]


@pytest.fixture
def several(options: dict[str, object]) -> Iterator[World]:
    with World(SEVERAL, **options) as running:
        yield running


@pytest.fixture
def one(options: dict[str, object]) -> Iterator[World]:
    with World(ONE, **options) as running:
        yield running


def check(world: World, cases: list[Case], capsys: pytest.CaptureFixture[str]) -> None:
    assert world.copy() is None
    tried = [(case, *case.tried(world)) for case in cases]
    with capsys.disabled():
        failed = sum(ended is not None for _, ended, _ in tried)
        print(
            f"\ncopy under faults together: {len(cases)} tried, {len(cases) - failed} ended well,"
            f" {failed} with a clear error"
        )
    wrong = [f"{case}: {what}" for case, _, what in tried if what]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("every", [31, pytest.param(1, marks=pytest.mark.extra)])
def test_several_uploads_that_break_at_once_arrive_whole_or_not_at_all(
    several: World, every: int, capsys: pytest.CaptureFixture[str]
) -> None:
    check(
        several,
        [Case(kind=kind, names=(name,)) for kind in KINDS for name in FAULTS if name not in OF_ONE][
            ::every
        ],
        capsys,
    )


@pytest.mark.parametrize("every", [211, pytest.param(1, marks=pytest.mark.extra)])
def test_an_upload_that_breaks_twice_arrives_whole_or_not_at_all(
    one: World, every: int, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = (
        ("a blob is sent", "a chunk is sent") if one.target.largest_body else ("a blob is sent",)
    )
    cases = [
        Case(kind=kind, names=(first, second), after=after)
        for kind in kinds
        for first in TWICE
        for second in TWICE
        for after in range(3)
    ]
    check(one, [*cases[::every], *(LEARNT if every > 1 else ())], capsys)
