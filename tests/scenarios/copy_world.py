"""Copies under faults: the faults, the outcomes, and a source and a target behind proxies."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import pytest

from tests.engine.registry.clients import SECRET, SOURCE_LOGIN, TARGET_LOGIN, Pair, job
from tests.fakes.clock import FakeClock
from tests.fakes.faults import (
    STRANGER,
    CorruptRequest,
    Expired,
    Fault,
    FaultProxy,
    Late,
    Located,
    Moved,
    Position,
    Short,
    Unseen,
)
from tests.fakes.images import ImageParts, make_index, missing, put
from tests.fakes.registry import Corrupt, CutAnswer, CutRequest, FakeRegistry, Record, Status
from towline.errors import RegistryError, TowlineError
from towline.http.client import Transport
from towline.registry import parallel
from towline.registry.copy import transfer
from towline.registry.copy.images import copy_images

NEW, OLD = make_index(size=20_000), make_index(seed=1)
REPOSITORY = "team/app"
REPOSITORIES = (REPOSITORY, "team/side")  # one for each image
BEFORE = {"1": "", "latest": OLD.digest}  # the target's tags: one is new, one exists and is moved
PORTAL = Status(code=200, headers={"Content-Type": "text/html"}, body=b"<html>Please log in</html>")

_HANGS = 60.0  # seconds of the real clock

Make = Callable[[Record], Fault | None]


def always(fault: Fault) -> Make:
    return lambda _: fault


def status(code: int, *, early: bool = False, **headers: str) -> Make:
    return always(
        Status(
            code=code,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            early=early,
        )
    )


def in_answer(make: Callable[[int], Fault]) -> Make:
    """A fault of the answer's body, made from its size; None if it has no body."""
    return lambda record: make(record.bytes_out) if record.bytes_out else None


def in_request(make: Callable[[int], Fault]) -> Make:
    return lambda record: make(record.bytes_in) if record.bytes_in else None


def found_wrong(record: Record) -> Fault | None:
    """The error says that the bytes that arrived are not those that were sent."""
    return (
        Status(code=400, body=b'{"errors":[{"code":"DIGEST_INVALID"}]}')
        if record.method == "PUT"
        else None
    )


def located(form: str) -> Make:
    return lambda record: (
        Located(form=form) if record.method == "POST" and record.status == 202 else None
    )


# Faults that pass by themselves: no copy may fail because of them.
PASSING: dict[str, Make] = {
    "cut before the answer": always(CutAnswer(after=None)),
    "cut after the answer's head": in_answer(lambda _: CutAnswer(after=0)),
    "cut in the middle of the answer": in_answer(lambda size: CutAnswer(after=size // 2)),
    "cut before the request's body": in_request(lambda _: CutRequest(after=0)),
    "cut in the middle of the request": in_request(lambda size: CutRequest(after=size // 2)),
    "cut near the end of the request": in_request(lambda size: CutRequest(after=size - 1)),
    "late by 90 seconds": always(Late(seconds=90)),
    "408": status(408),
    "429": status(429),
    "429 with seconds": status(429, Retry_After="7"),
    "429 with a date": status(429, Retry_After="Tue, 14 Nov 2023 22:13:40 GMT"),
    "500": status(500),
    "502": status(502),
    "503": status(503),
    "503 with seconds": status(503, Retry_After="30"),
    "503 before the body is read": status(503, early=True),
    "504": status(504),
    "token expired": lambda record: Expired() if record.authorization == "Bearer" else None,
    "not seen for a moment": lambda record: Unseen() if record.method == "PUT" else None,
    "not seen for three moments": lambda record: (
        Unseen(times=3) if record.method == "PUT" else None
    ),
    "307 to the same place": lambda record: Moved() if record.path.startswith("/v2/") else None,
    "400 for another digest than was sent": found_wrong,
    "location relative": located("relative"),
    "location absolute": located("absolute"),
}
# Faults that stay, or that end the one request.
LASTING: dict[str, Make] = {
    "answer short by a byte": in_answer(lambda _: Short(by=1)),
    "half an answer": in_answer(lambda size: Short(by=(size + 1) // 2)),
    "first byte of the answer wrong": in_answer(lambda _: Corrupt(at=0)),
    "middle byte of the answer wrong": in_answer(lambda size: Corrupt(at=size // 2)),
    "last byte of the answer wrong": in_answer(lambda _: Corrupt(at=-1)),
    "first byte of the request wrong": in_request(lambda _: CorruptRequest(at=0)),
    "middle byte of the request wrong": in_request(lambda size: CorruptRequest(at=size // 2)),
    "last byte of the request wrong": in_request(lambda _: CorruptRequest(at=-1)),
    "302 to nowhere": status(302, Location="https://nowhere.invalid/"),
    "200 of somebody else": always(PORTAL),
    "201 without a word": status(201),
    **{str(code): status(code) for code in (400, 401, 403, 404, 405, 406, 409, 412, 413, 416, 501)},
    "413 before the body is read": status(413, early=True),
}
FAULTS = PASSING | LASTING


@dataclass(frozen=True, kw_only=True)
class Case:
    """One fault at one request of one side."""

    side: str
    position: Position
    name: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.side}: {self.name} at {self.position}"


class World:
    """A source and a target, each with a token server and behind a fault proxy.

    The clock stands still except for waits. One copy takes all `images`, each to its own
    repository.
    """

    def __init__(self, *images: ImageParts, **options: object) -> None:
        self.images = dict(zip(REPOSITORIES, images or (NEW,), strict=False))
        self.source = FakeRegistry(username=SOURCE_LOGIN.username, password=SECRET, auth="bearer")
        self.target = FakeRegistry(
            username=TARGET_LOGIN.username,
            password=SECRET,
            auth="bearer",
            **options,  # type: ignore[arg-type]
        )
        self.time = FakeClock()
        servers, sleep = {"source": self.source, "target": self.target}, self.time.clock.sleep
        self.proxies = {
            side: FaultProxy(server, sleep=sleep, login=True) for side, server in servers.items()
        }
        self._running = (self.source, self.target, *self.proxies.values())

    def __enter__(self) -> Self:
        for server in self._running:
            server.start()
        for repository, image in self.images.items():
            put(image, self.source, repository, "1")
        return self

    def __exit__(self, *_: object) -> None:
        for server in reversed(self._running):
            server.stop()

    def copy(self, *, again: bool = False) -> TowlineError | None:
        """Copy once and give the error that it ended with.

        The target has its earlier content, or with `again` the content that the last copy has left.
        """
        if not again:
            self.target.storage.clear()
            for repository in self.images:
                put(OLD, self.target, repository, "latest")
        source, target = self.proxies["source"], self.proxies["target"]
        with Transport(clock=self.time.clock, limit=_HANGS) as transport:
            pair = Pair(source, target, transport, (SOURCE_LOGIN, TARGET_LOGIN))
            jobs = [
                job(source, target, f"{name}:1", *(f"{name}:{tag}" for tag in BEFORE))
                for name in self.images
            ]
            try:
                copy_images(jobs, pair.copying())
            except TowlineError as fault:
                return fault
        return None

    def cases(self, faults: dict[str, Make]) -> list[Case]:
        """Each of the faults at each request that a copy makes without faults."""
        for proxy in self.proxies.values():
            proxy.clear()
        assert self.copy() is None
        records = {
            side: {
                position: record
                for position, record in proxy.records.items()
                if position.what != STRANGER or not position.nth
            }
            # whether a second request without a login comes depends on the threads
            for side, proxy in self.proxies.items()
        }
        made = [
            (side, position, name, make(record))
            for side in records
            for position, record in sorted(records[side].items())
            for name, make in faults.items()
        ]
        return [
            Case(side=side, position=position, name=name, fault=fault)
            for side, position, name, fault in made
            if fault is not None
        ]

    def tried(self, case: Case) -> tuple[TowlineError | None, str]:
        """How the copy ended under the fault, and the fault in that; empty if there is none."""
        for proxy in self.proxies.values():
            proxy.clear()
        self.proxies[case.side].hit(case.position, case.fault)
        ended = self.copy()
        if not self.proxies[case.side].struck:
            return ended, "the request never came"
        passes = case.name in PASSING or heals(case.side, case.position, case.fault)
        return ended, self.wrong(ended, passes=passes)

    def wrong(self, ended: TowlineError | None, *, passes: bool, in_blobs: bool = False) -> str:
        """The fault in the end of a copy or in the content that it left; empty if there is none.

        `passes`: the copy has no reason to fail. `in_blobs`: only requests for blobs were broken,
        so a copy that fails has moved no tag.
        """
        if ended and passes:
            return f"a copy must live with that: {ended.message}"
        if _threads_left():
            return "a thread is left"
        for repository, image in self.images.items():
            for tag, before in BEFORE.items():
                fits = (
                    {image.digest}
                    if not ended
                    else {before}
                    if in_blobs
                    else {before, image.digest}
                )
                if found := self._wrong_at(repository, tag, fits):
                    return found
            if left := self.proxies["target"].told & self.target.storage[repository].uploads.keys():
                return f"{len(left)} uploads are left in {repository}"
        return _unclear(ended) if ended else ""

    def _wrong_at(self, repository: str, tag: str, fits: set[str]) -> str:
        """The fault of a tag that has to point to one of `fits`; empty if there is none."""
        now = self.target.storage[repository].tags.get(tag, "")
        if now not in fits:
            return f"the tag {tag} of {repository} is {now or 'not there'}"
        image = self.images[repository]
        absent = missing(image, self.target, repository) if now == image.digest else ()
        return f"the tag {tag} shows an image without {', '.join(absent)}" if absent else ""


def unhurried(patch: pytest.MonkeyPatch) -> None:
    """Give the work that is under way when a copy fails the time to end.

    Registries can be told about the uploads that it leaves, however busy the machine is.
    """
    patch.setattr(parallel, "GRACE", 10.0)
    patch.setattr(transfer, "SECONDS_AFTER_FAULT", 10.0)


def heals(side: str, position: Position, fault: Fault) -> bool:
    """Whether damaged bytes are found by their digest, and read or sent once more."""
    if side == "source":
        return (
            isinstance(fault, Corrupt | Short)
            and position.method == "GET"
            and position.what.startswith("/v2/")
        )
    return isinstance(fault, CorruptRequest) and "/blobs/uploads/" in position.what


def _threads_left() -> int:
    """The number of threads of a copy that do not end."""
    threads = [thread for thread in threading.enumerate() if thread.name == "registry"]
    for thread in threads:
        thread.join(_HANGS)
    return sum(thread.is_alive() for thread in threads)


def _unclear(ended: TowlineError) -> str:
    told = f"{ended.message} {ended.hint} {ended.where}"
    if SECRET in told:
        return "the password is in the error"
    if "the time limit of" in told:
        return "it hangs"
    return (
        ""
        if isinstance(ended, RegistryError) or ended.exit_code == 4
        else f"it ends as {type(ended).__name__}: {told}"
    )
