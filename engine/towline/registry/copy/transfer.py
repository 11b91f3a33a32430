"""Performs plans: blobs in parallel, then manifests, level by level, then tags.

A blob is streamed from the source to all its targets. A tag is set when everything else is there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import groupby

from towline.errors import DigestMismatch, RegistryError, RegistryUnreachable, TowlineError
from towline.http.client import Transport, sleep_unless
from towline.image import Registry, Repository
from towline.record import replace
from towline.registry.client import RegistryClient
from towline.registry.copy.abandoned_uploads import (
    SECONDS_AFTER_FAULT,
    SECONDS_AFTER_SUCCESS,
    AbandonedUploads,
)
from towline.registry.copy.early_uploads import EarlyUploads
from towline.registry.copy.job import COPIED, MOUNTED, SKIPPED, BlobOutcome
from towline.registry.copy.manifest_store import ManifestStore
from towline.registry.copy.plan import CopyBlob, CopyPlan, PutManifest
from towline.registry.copy.progress import Progress
from towline.registry.copy.referrers import REFERRER_FAULTS, concerns_image
from towline.registry.copy.stream import BlobStream, read_ahead
from towline.registry.errors import ASK_OFFSET, SAME_OFFSET, ManifestIncomplete, TransferInterrupted
from towline.registry.manifest import Descriptor
from towline.registry.parallel import JOBS, Cancelled, Slots, deadline_check, in_parallel
from towline.registry.source import ImageSource
from towline.registry.uploads import UploadSession
from towline.retry import ATTEMPTS, backoff

_MOST_LESSONS = 20  # attempts, in all, that only taught what the registry requires


class Attempts:
    """The attempts to upload one blob; `failed` counts those in a row without a byte more.

    An upload that gets further, if only a little, is bounded by copyDeadline alone.
    """

    def __init__(self) -> None:
        self.failed = 0
        self._best = self._lessons = 0

    def may_retry(self, reached: int, *, taught: bool = False, rested: bool = False) -> bool:
        """Whether to try again after an attempt that got as far as the byte `reached`.

        `taught`: it showed how the next one is to be made. `rested`: the host asked for a pause;
        without a byte more such an attempt does not count, since copyDeadline bounds it too.
        """
        if rested and reached <= self._best:
            return True
        gained, self._best = reached - self._best, max(self._best, reached)
        self.failed = 0 if gained > 0 or taught else self.failed + 1
        self._lessons += gained <= 0 and taught
        return self.failed < ATTEMPTS and self._lessons <= _MOST_LESSONS


_Open = tuple[CopyBlob, UploadSession]  # a blob and its upload
_Broken = tuple[CopyBlob, UploadSession, TransferInterrupted]


class Transfer:
    """One run from `source` to `targets`, all on one `transport`; the first fault ends it.

    `refused` are the optional plans that were not performed. `faults` says why, by the references
    they are about, and has the faults of lists of referrers that could not be written.
    """

    def __init__(
        self,
        source: ImageSource,
        targets: Mapping[Registry, RegistryClient],
        transport: Transport,
        progress: Progress,
        *,
        early: EarlyUploads | None = None,
    ) -> None:
        self._source = source
        self._targets = targets
        self._transport = transport
        self._progress = progress
        self._early = early
        self._slots = self._slots_for(JOBS)
        self._stop = transport.ending
        self._check_deadline = deadline_check(transport)
        self._abandoned = AbandonedUploads(targets, transport)
        self._manifests = ManifestStore(targets, transport)
        self.refused: set[CopyPlan] = set()
        self.faults: dict[str, TowlineError] = {}

    def perform(self, plans: Sequence[CopyPlan]) -> Mapping[CopyBlob, BlobOutcome]:
        """Perform all plans; returns the outcome of each blob.

        Raises the errors of the registry family, DigestMismatch among them, and ManifestIncomplete
        if a manifest that is assumed to be present lacks something.
        """
        seconds = SECONDS_AFTER_FAULT
        try:
            moved = self._perform(plans)
            seconds = SECONDS_AFTER_SUCCESS
        except ManifestIncomplete:  # there will be new plans, on the same transport
            raise
        except BaseException as fault:
            # break off the uploads that are under way or pause, and only then cancel them
            self._transport.close()
            # the deadline came when no request was under way that could say so
            if isinstance(fault, Cancelled):
                raise self._late() from fault
            raise
        finally:
            self._abandoned.cancel(seconds)
        return moved

    def _perform(self, plans: Sequence[CopyPlan]) -> Mapping[CopyBlob, BlobOutcome]:
        required = [plan for plan in plans if not plan.optional]
        groups = _by_digest(required)
        # the request for a mount is small, and its answer comes late
        only_mounts = all(blob.mount_from for group in groups for blob in group)
        jobs = JOBS * 2 if only_mounts else JOBS
        self._slots = self._slots_for(jobs)
        outcomes = in_parallel(self._move, groups, stop=self._stop, tick=self._tick, jobs=jobs)
        manifests = sorted(
            {put for plan in required for put in plan.manifests}, key=lambda put: put.level
        )
        for _, level in groupby(manifests, key=lambda put: put.level):
            self._manifests.put(level)
        images = [put for plan in required if not plan.of_referrer for put in plan.tags]
        outcomes += self._copy_referrers(images, [plan for plan in plans if plan.of_referrer])
        self._manifests.put(images)
        self._list_referrers(required=True)
        return {blob: outcome for each in outcomes for blob, outcome in each.items()}

    def _tick(self) -> None:
        self._progress.tick()
        self._check_deadline()

    def _copy_referrers(
        self, images: Iterable[PutManifest], plans: Sequence[CopyPlan]
    ) -> list[Mapping[CopyBlob, BlobOutcome]]:
        """Copy the referrers when the images are stored by digest, before these get their tags."""
        if not plans:
            return []
        self._manifests.put(
            replace(put, reference=put.reference.repository.reference(put.manifest.digest))
            for put in images
            if not put.assumed_present
        )
        self._manifests.put(put for plan in plans if not plan.optional for put in plan.tags)
        optional = [plan for plan in plans if plan.optional]
        blobs = [blob for group in _by_digest(optional) for blob in group]
        # all blobs first: several plans share some, the empty configuration at least
        answers = in_parallel(self._try_to_move, blobs, tick=self._tick)
        faults = {
            (blob.repository, blob.digest): fault
            for blob, (_, fault) in zip(blobs, answers, strict=True)
            if fault
        }
        in_parallel(lambda plan: self._try_to_store(plan, faults), optional, tick=self._tick)
        self._list_referrers(required=not optional)
        return [outcomes for outcomes, _ in answers]

    def _try_to_move(
        self, blob: CopyBlob
    ) -> tuple[Mapping[CopyBlob, BlobOutcome], TowlineError | None]:
        """Move a blob of an optional plan; returns its outcome, or the fault that it met."""
        try:
            return self._move((blob,)), None
        except REFERRER_FAULTS as fault:
            if concerns_image(fault, self._source):
                raise
            return {}, fault

    def _try_to_store(
        self, plan: CopyPlan, faults: Mapping[tuple[Repository, str], TowlineError]
    ) -> None:
        """Store the manifests of an optional plan, if none of its blobs is in `faults`."""
        puts = (*plan.manifests, *plan.tags)
        try:
            for put in puts:
                for blob in put.manifest.blobs:
                    fault = faults.get((put.reference.repository, blob.digest))
                    if fault is not None:
                        raise fault
            for put in puts:
                incomplete = self._manifests.store(put)
                if incomplete is not None:
                    raise incomplete.fault
        except REFERRER_FAULTS as fault:
            if concerns_image(fault, self._source):
                raise
            self.refused.add(plan)
            names = (f"{put.reference.image.name}:{put.reference.target}" for put in plan.tags)
            self.faults[", ".join(names)] = fault

    def _list_referrers(self, *, required: bool) -> None:
        faults = self._manifests.list_referrers()
        if required and faults:
            raise next(iter(faults.values()))
        self.faults.update(faults)

    def _move(self, blobs: tuple[CopyBlob, ...]) -> Mapping[CopyBlob, BlobOutcome]:
        """Move one digest to all its repositories."""
        with self._slots:
            tally, started = self._transport.thread_counts, self._transport.clock.now()
            requests, retries = tally.requests, tally.retries
            moved = self._moved(blobs)
            if COPIED not in moved.values():
                self._progress.spared(blobs[0].digest)
            seconds = self._transport.clock.now() - started
            return {
                blob: BlobOutcome(
                    how=how,
                    seconds=seconds,
                    requests=tally.requests - requests,
                    retries=tally.retries - retries,
                )
                for blob, how in moved.items()
            }

    def _moved(self, blobs: tuple[CopyBlob, ...]) -> Mapping[CopyBlob, str]:
        """Move one digest; returns COPIED, MOUNTED or SKIPPED for each repository.

        The blob is read once, sent to each registry that lacks it, and mounted in the further
        repositories of that registry.
        """
        if self._early:
            blobs = tuple(sorted(blobs, key=self._early.has, reverse=True))
        firsts = {blob.repository.registry: blob for blob in reversed(blobs)}
        moved: dict[CopyBlob, str] = {}
        opened = []
        for first in firsts.values():
            upload = self._start(first, first.mount_from)
            if upload:
                moved[first] = COPIED
                opened.append((first, upload))
            else:
                moved[first] = MOUNTED if first.mount_from else SKIPPED
        if opened:
            self._deliver(opened)
        for blob in blobs:
            if blob not in moved:
                first = firsts[blob.repository.registry]
                upload = self._start(blob, blob.mount_from or first.repository)
                moved[blob] = COPIED if upload else MOUNTED
                if upload:
                    self._deliver([(blob, upload)])
        return moved

    def _start(self, blob: CopyBlob, mount_from: Repository | None = None) -> UploadSession | None:
        """The upload of a blob; None if the repository has the blob.

        The upload has all bytes already if it was an early one.
        """
        upload = self._early.take(blob) if self._early else None
        upload = upload or self._targets[blob.repository.registry].uploads.start(
            blob.repository, blob.digest, blob.size, mount_from
        )
        self._abandoned.given_up(blob)
        if upload:
            self._abandoned.goes_on(blob, upload)
        return upload

    def _deliver(self, opened: Sequence[_Open]) -> None:
        """Send one blob into several uploads.

        If its bytes do not match its digest, at the source or at a target, it is read and sent once
        more.
        """
        try:
            self._send(opened)
        except DigestMismatch:
            self._transport.thread_counts.retries += 1
            if self._resting(opened):  # a source that is damaged is found before the target's pause
                deque(self._stream(opened[0][0]).pieces(), 0)
            restarted = [(blob, self._start(blob)) for blob, _ in opened]
            self._send([(blob, upload) for blob, upload in restarted if upload])

    def _send(self, opened: Sequence[_Open]) -> None:
        """Send one blob into several uploads; those that break off are resumed until all are done.

        Uploads at the same offset share one read of the source. Raises the fault of an upload that
        has been tried often enough.
        """
        if not opened:
            return
        attempts = {blob: Attempts() for blob, _ in opened}
        stream = self._stream(opened[0][0])
        while opened:
            broken: list[_Broken] = []
            for _, same_offset in groupby(sorted(opened, key=_offset), key=_offset):
                broken += self._pour(stream, list(same_offset))
            opened = []
            for each in broken:
                upload = self._resumed(stream, each, attempts[each[0]])
                if upload:
                    opened.append((each[0], upload))

    def _stream(self, blob: CopyBlob) -> BlobStream:
        return BlobStream(
            self._source,
            blob.source,
            Descriptor(digest=blob.digest, size=blob.size),
            stop=self._stop,
            clock=self._transport.clock,
        )

    def _resting(self, opened: Iterable[_Open]) -> bool:
        """Whether one of the uploads has to wait for the pause that its host has asked for."""
        return any(self._transport.is_throttled(upload.url) for _, upload in opened)

    def _pour(self, stream: BlobStream, opened: Sequence[_Open]) -> list[_Broken]:
        """Read `stream` once into all uploads, which are at one offset; returns the broken ones."""
        broken: dict[CopyBlob, TransferInterrupted] = {}
        start = opened[0][1].offset
        ended = 0 < opened[0][0].size == start  # only an answer was lost: there is nothing to read
        with ExitStack() as stack:
            sinks = {
                blob: stack.enter_context(
                    self._targets[blob.repository.registry].uploads.send(
                        upload, blob.digest, blob.size
                    )
                )
                for blob, upload in opened
            }
            self._progress.moves(
                opened[0][0].digest, lambda: min(sink.delivered for sink in sinks.values())
            )
            try:
                pieces = stack.enter_context(
                    closing(read_ahead(stream.pieces(start), lambda: self._resting(opened)))
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
                    self._abandoned.goes_on(blob, sink.upload)
            if not broken:
                self._progress.reached(opened[0][0].digest, opened[0][0].size)
            for blob in sinks.keys() - broken.keys():
                self._abandoned.ended(blob)
            return [(blob, sinks[blob].upload, fault) for blob, fault in broken.items()]

    def _resumed(
        self, stream: BlobStream, broken: _Broken, attempts: Attempts
    ) -> UploadSession | None:
        """An upload that broke off, from the offset that the registry has, else from the beginning.

        None if the blob is there after all. Raises the fault that broke it off if it has been tried
        often enough, and the reason why nothing is sent any more.
        """
        (blob, upload, fault), clock = broken, self._transport.clock
        if fault.wait is None and not fault.taught:
            sleep_unless(self._stop, backoff(attempts.failed, clock), clock)
        self._transport.thread_counts.retries += 1
        try:
            state = upload if fault.resume == SAME_OFFSET else None
            if fault.resume == ASK_OFFSET:
                state = self._targets[blob.repository.registry].uploads.state(upload)
            if state and state.offset > stream.hashed:
                state = None
            if not attempts.may_retry(
                state.offset if state else 0,
                taught=fault.taught,
                rested=self._transport.is_uncounted(fault.wait),
            ):
                raise fault.fault from fault
            if state is None:
                return self._start(blob)
        # a registry with a full disk says so when bytes are sent, not when the offset is asked for
        except RegistryError as later:
            raise (
                later
                if self._stop.is_set() or isinstance(fault.fault, RegistryUnreachable)
                else fault.fault
            ) from fault
        self._abandoned.goes_on(blob, state)
        return state

    def _late(self) -> RegistryUnreachable:
        message = f"the copy from the {self._source} was stopped: {self._transport.why}"
        return RegistryUnreachable(
            message, where=str(self._source), hint="copyDeadline says how long a copy may take"
        )

    def _slots_for(self, jobs: int) -> Slots:
        return Slots(jobs, lambda: self._transport.throttled, self._transport.ending)


def _offset(opened: _Open) -> int:
    return opened[1].offset


def _by_digest(plans: Iterable[CopyPlan]) -> list[tuple[CopyBlob, ...]]:
    """The blobs of plans, the largest first, those of one digest together."""
    blobs = sorted(
        {blob for plan in plans for blob in plan.blobs}, key=lambda blob: (-blob.size, blob.digest)
    )
    return [tuple(group) for _, group in groupby(blobs, key=lambda blob: blob.digest)]
