"""Performs plans: blobs in parallel, streamed from source to targets; then manifests, level by level; tags only when all the rest is there.

How often something that breaks off is tried again: as long as it gets further, or another try is
another one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import groupby

from towline.errors import DigestMismatch, RegistryError, RegistryUnreachable, TowlineError
from towline.http.client import Transport, sleep_unless
from towline.image import Registry
from towline.parallel import JOBS, Slots, Stopped, in_parallel
from towline.record import replace
from towline.registry.client import RegistryClient
from towline.registry.copy.deadline import in_time
from towline.registry.copy.early import PATIENTLY, SOON, AbandonedUploads, Early
from towline.registry.copy.job import COPIED, MOUNTED, SKIPPED, Moved
from towline.registry.copy.plan import (
    CopyBlob,
    CopyPlan,
    ImageSource,
    PutManifest,
    TargetRepository,
)
from towline.registry.copy.progress import Progress
from towline.registry.copy.referrers import AMISS, spoils
from towline.registry.copy.storing import Storing
from towline.registry.copy.stream import BlobStream, ahead
from towline.registry.errors import ASK_OFFSET, SAME_OFFSET, ManifestIncomplete, TransferInterrupted
from towline.registry.uploads import UploadSession
from towline.retry import backoff

ATTEMPTS = 5  # in a row that brought nothing
_LESSONS = 20  # in all that brought nothing but a lesson


class Attempts:
    """The tries of one blob; `failed` counts those in a row that brought nothing.

    What gets further, if only a little, is bounded by the copy's time.
    """

    def __init__(self) -> None:
        self.failed = 0
        self._best = self._lessons = 0

    def again(self, reached: int, *, taught: bool = False, rested: bool = False) -> bool:
        """Whether to try again after a try that got as far as the byte `reached`, or `taught` how the next one is to be made.

        One that ended with a rest which the host had asked for counts for nothing: it is bounded by
        the copy's time, too.
        """
        if rested and reached <= self._best:
            return True
        gained, self._best = reached - self._best, max(self._best, reached)
        self.failed = 0 if gained > 0 or taught else self.failed + 1
        self._lessons += gained <= 0 and taught
        return self.failed < ATTEMPTS and self._lessons <= _LESSONS


_Broken = tuple[CopyBlob, UploadSession, TransferInterrupted]


class Transfer:
    """One run from `source` to `targets`, all on one `transport`; the first fault ends it.

    `left` are the optional plans that were not done, `refused` says why, and which lists of
    referrers could not be kept.
    """

    def __init__(
        self,
        source: ImageSource,
        targets: Mapping[Registry, RegistryClient],
        transport: Transport,
        progress: Progress,
        *,
        early: Early | None = None,
    ) -> None:
        self._source = source
        self._targets = targets
        self._transport = transport
        self._progress = progress
        self._early = early
        self._slots = self._slots_for(JOBS)
        self._stop = transport.ending
        self._in_time = in_time(transport)
        self._leftovers = AbandonedUploads(targets, transport)
        self._storing = Storing(targets, transport)
        self.left: set[CopyPlan] = set()
        self.refused: dict[str, TowlineError] = {}

    def perform(self, plans: Sequence[CopyPlan]) -> Mapping[CopyBlob, Moved]:
        """Do all of it.

        Raises the errors of the registry family, DigestMismatch among them, and ManifestIncomplete where a
        believed manifest is not whole.
        """
        patience = SOON
        try:
            moved = self._perform(plans)
            patience = PATIENTLY
        except ManifestIncomplete:  # planned anew, by the same transport
            raise
        except BaseException as fault:
            # what is under way or rests breaks off, and only then is given up
            self._transport.close()
            # the time was over while no request was under way that says so
            if isinstance(fault, Stopped):
                raise self._late() from fault
            raise
        finally:
            self._leftovers.cancel(patience)
        return moved

    def _perform(self, plans: Sequence[CopyPlan]) -> Mapping[CopyBlob, Moved]:
        firm = [plan for plan in plans if not plan.optional]
        groups = _by_digest(firm)
        # a question is small, and the answer comes late
        jobs = JOBS * 2 if all(blob.mount_from for group in groups for blob in group) else JOBS
        self._slots = self._slots_for(jobs)
        moved = in_parallel(self._bring, groups, stop=self._stop, tick=self._look_on, jobs=jobs)
        manifests = sorted(
            {put for plan in firm for put in plan.manifests}, key=lambda put: put.level
        )
        for _, level in groupby(manifests, key=lambda put: put.level):
            self._storing.put(level)
        images = [put for plan in firm if not plan.refers for put in plan.tags]
        moved += self._refer(images, [plan for plan in plans if plan.refers])
        self._storing.put(images)
        self._list(demanded=True)
        return {blob: way for ways in moved for blob, way in ways.items()}

    def _look_on(self) -> None:
        self._progress.tick()
        self._in_time()

    def _refer(
        self, images: Iterable[PutManifest], plans: Sequence[CopyPlan]
    ) -> list[Mapping[CopyBlob, Moved]]:
        """What refers to the images, when these are there by their digests, and before they get their tags."""
        if not plans:
            return []
        self._storing.put(
            replace(put, target=put.manifest.digest) for put in images if not put.believed
        )
        self._storing.put(put for plan in plans if not plan.optional for put in plan.tags)
        optional = [plan for plan in plans if plan.optional]
        blobs = [blob for group in _by_digest(optional) for blob in group]
        # all of them first: several share theirs, the empty configuration at least
        tried = in_parallel(self._try, blobs, tick=self._look_on)
        lacking = {
            (blob.place, blob.digest): fault
            for blob, (_, fault) in zip(blobs, tried, strict=True)
            if fault
        }
        in_parallel(lambda plan: self._offer(plan, lacking), optional, tick=self._look_on)
        self._list(demanded=not optional)
        return [moved for moved, _ in tried]

    def _try(self, blob: CopyBlob) -> tuple[Mapping[CopyBlob, Moved], TowlineError | None]:
        """Bring a blob of an optional plan, or say why not."""
        try:
            return self._bring((blob,)), None
        except AMISS as fault:
            if spoils(fault, self._source):
                raise
            return {}, fault

    def _offer(
        self, plan: CopyPlan, lacking: Mapping[tuple[TargetRepository, str], TowlineError]
    ) -> None:
        """Store what an optional plan brings, as far as its target lets it, unless a blob of it is lacking."""
        puts = (*plan.manifests, *plan.tags)
        try:
            for fault in (
                lacking.get((put.place, blob.digest)) for put in puts for blob in put.manifest.blobs
            ):
                if fault:
                    raise fault
            for put in puts:
                if incomplete := self._storing.store(put):
                    raise incomplete.fault
        except AMISS as fault:
            if spoils(fault, self._source):
                raise
            self.left.add(plan)
            self.refused[", ".join(f"{put.place.repository}:{put.target}" for put in plan.tags)] = (
                fault
            )

    def _list(self, *, demanded: bool) -> None:
        faults = self._storing.list_referrers()
        for fault in faults.values() if demanded else ():
            raise fault
        self.refused.update(faults)

    def _bring(self, blobs: tuple[CopyBlob, ...]) -> Mapping[CopyBlob, Moved]:
        """One digest to all its places, with what it took."""
        with self._slots:
            tally, started = self._transport.tally, self._transport.clock.now()
            requests, retries = tally.requests, tally.retries
            ways = self._ways(blobs)
            if COPIED not in ways.values():
                self._progress.spared(blobs[0].digest)
            seconds = self._transport.clock.now() - started
            return {
                blob: Moved(
                    how=how,
                    seconds=seconds,
                    requests=tally.requests - requests,
                    retries=tally.retries - retries,
                )
                for blob, how in ways.items()
            }

    def _ways(self, blobs: tuple[CopyBlob, ...]) -> Mapping[CopyBlob, str]:
        """Read once, sent to each registry that lacks it, mounted in that registry's further repositories; how each place came to it."""
        if self._early:
            blobs = tuple(sorted(blobs, key=self._early.has, reverse=True))
        firsts = {blob.place.registry: blob for blob in reversed(blobs)}
        ways: dict[CopyBlob, str] = {}
        opened = []
        for first in firsts.values():
            upload = self._start(first, first.mount_from)
            ways[first] = COPIED if upload else MOUNTED if first.mount_from else SKIPPED
            opened += [(first, upload)] if upload else []
        if opened:
            self._deliver(opened)
        for blob in blobs:
            if blob not in ways:
                upload = self._start(
                    blob, blob.mount_from or firsts[blob.place.registry].place.repository
                )
                ways[blob] = COPIED if upload else MOUNTED
                if upload:
                    self._deliver([(blob, upload)])
        return ways

    def _start(self, blob: CopyBlob, mount_from: str = "") -> UploadSession | None:
        """An upload of a blob, which has all its bytes already where it was sent early; None where it is there."""
        upload = self._early.take(blob) if self._early else None
        upload = upload or self._targets[blob.place.registry].uploads.start(
            blob.place.repository, blob.digest, blob.size, mount_from
        )
        self._leftovers.given_up(blob)
        if upload:
            self._leftovers.goes_on(blob, upload)
        return upload

    def _deliver(self, opened: Sequence[tuple[CopyBlob, UploadSession]]) -> None:
        """One blob into several uploads; read and sent once more where its bytes did not fit its digest, on either side."""
        try:
            self._send(opened)
        except DigestMismatch:
            self._transport.tally.retries += 1
            if self._resting(opened):  # what the source has now does not wait for the target
                deque(self._stream(opened[0][0]).pieces(), 0)
            self._send([(blob, upload) for blob, _ in opened if (upload := self._start(blob))])

    def _send(self, opened: Sequence[tuple[CopyBlob, UploadSession]]) -> None:
        """Those that have as many bytes, of a blob that was sent early all, together; so are those that break off, until all are there.

        Raises what broke one of them off in the end.
        """
        attempts = {blob: Attempts() for blob, _ in opened}
        stream = self._stream(opened[0][0]) if opened else None
        while opened and stream:
            broken = [
                one
                for _, alike in groupby(sorted(opened, key=_offset), key=_offset)
                for one in self._pour(stream, list(alike))
            ]
            opened = [
                (one[0], upload)
                for one in broken
                if (upload := self._next(stream, one, attempts[one[0]]))
            ]

    def _stream(self, blob: CopyBlob) -> BlobStream:
        return BlobStream(blob, self._source, stop=self._stop, clock=self._transport.clock)

    def _resting(self, opened: Iterable[tuple[CopyBlob, UploadSession]]) -> bool:
        """Whether one of the uploads has to wait for the rest that its host has asked for."""
        return any(self._transport.rests(upload.url) for _, upload in opened)

    def _pour(
        self, stream: BlobStream, opened: Sequence[tuple[CopyBlob, UploadSession]]
    ) -> list[_Broken]:
        """Read `stream` once, from where the uploads are, which is the same for all, into all of them; those that broke off come back."""
        broken: dict[CopyBlob, TransferInterrupted] = {}
        start = opened[0][1].offset
        ended = 0 < opened[0][0].size == start  # only an answer was lost: nothing is to be read
        with ExitStack() as stack:
            sinks = {
                blob: stack.enter_context(
                    self._targets[blob.place.registry].uploads.send(upload, blob.digest, blob.size)
                )
                for blob, upload in opened
            }
            self._progress.moves(
                opened[0][0].digest, lambda: min(sink.come for sink in sinks.values())
            )
            try:
                pieces = stack.enter_context(
                    closing(ahead(stream.pieces(start), lambda: self._resting(opened)))
                )
                for piece in () if ended else pieces:
                    for blob in sinks.keys() - broken.keys():
                        try:
                            sinks[blob].send(piece)
                        except TransferInterrupted as fault:
                            broken[blob] = fault
                    if len(broken) == len(sinks):
                        break
                for blob in sinks.keys() - broken.keys():
                    try:
                        sinks[blob].finish()
                    except TransferInterrupted as fault:
                        broken[blob] = fault
            finally:
                for blob, sink in sinks.items():
                    self._leftovers.goes_on(blob, sink.upload)
            if not broken:
                self._progress.reached(opened[0][0].digest, opened[0][0].size)
            for blob in sinks.keys() - broken.keys():
                self._leftovers.ended(blob)
            return [(blob, sinks[blob].upload, fault) for blob, fault in broken.items()]

    def _next(
        self, stream: BlobStream, broken: _Broken, attempts: Attempts
    ) -> UploadSession | None:
        """Where an upload that broke off goes on: where the registry has it, else from the beginning; None where the blob is there after all.

        Raises what broke it off where it has been tried often enough, and where nothing is sent any
        more, why not.
        """
        (blob, upload, fault), clock = broken, self._transport.clock
        if fault.wait is None and not fault.taught:
            sleep_unless(self._stop, backoff(attempts.failed, clock), clock)
        self._transport.tally.retries += 1
        try:
            state = (
                self._targets[blob.place.registry].uploads.state(upload)
                if fault.then == ASK_OFFSET
                else upload
                if fault.then == SAME_OFFSET
                else None
            )
            state = state if state and state.offset <= stream.hashed else None
            if not attempts.again(
                state.offset if state else 0,
                taught=fault.taught,
                rested=self._transport.bears(fault.wait),
            ):
                raise fault.fault from fault
            if state is None:
                return self._start(blob)
        # a full disk is said when bytes are sent, and no longer when they are asked for
        except RegistryError as later:
            raise (
                later
                if self._stop.is_set() or isinstance(fault.fault, RegistryUnreachable)
                else fault.fault
            ) from fault
        self._leftovers.goes_on(blob, state)
        return state

    def _late(self) -> RegistryUnreachable:
        message = f"the copy from the {self._source} was stopped: {self._transport.why}"
        return RegistryUnreachable(
            message, where=str(self._source), hint="copyDeadline says how long a copy may take"
        )

    def _slots_for(self, jobs: int) -> Slots:
        return Slots(jobs, lambda: self._transport.pressure, self._transport.ending)


def _offset(opened: tuple[CopyBlob, UploadSession]) -> int:
    return opened[1].offset


def _by_digest(plans: Iterable[CopyPlan]) -> list[tuple[CopyBlob, ...]]:
    """The blobs of plans, the largest first, those of one digest together."""
    blobs = sorted(
        {blob for plan in plans for blob in plan.blobs}, key=lambda blob: (-blob.size, blob.digest)
    )
    return [tuple(group) for _, group in groupby(blobs, key=lambda blob: blob.digest)]
