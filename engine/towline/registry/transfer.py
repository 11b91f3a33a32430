"""Performs plans: blobs in parallel, streamed from source to targets; then manifests, level by level; tags only when all the rest is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from threading import Event

from towline.errors import CredentialError, DigestMismatch, Interrupted, RegistryError, RegistryUnreachable
from towline.image import Registry
from towline.registry.client import RegistryClient
from towline.registry.faults import BrokenOff, Incomplete
from towline.registry.job import COPIED, MOUNTED, SKIPPED, Moved
from towline.registry.leftovers import Leftovers
from towline.registry.manifest import Manifest
from towline.registry.parallel import JOBS, Slots, in_parallel
from towline.registry.plan import CopyBlob, Place, Plan, PutManifest
from towline.registry.progress import Progress
from towline.registry.referrers import list_under_tag
from towline.registry.source import Source
from towline.registry.stream import BlobStream
from towline.registry.uploads import UploadSession
from towline.retry import pause
from towline.transport import Transport, sleep_unless

ATTEMPTS = 5
_TRIES = 20  # of one upload in all, however often it gets a little further


class Transfer:
    """One run from `source` to `targets`, all on one `transport`; the first fault ends it."""

    def __init__(self, source: Source, targets: Mapping[Registry, RegistryClient], transport: Transport, progress: Progress) -> None:
        self._source = source
        self._targets = targets
        self._transport = transport
        self._progress = progress
        self._jobs = JOBS
        self._slots = Slots(lambda: self._jobs >> transport.pressure)
        self._stop = Event()
        self._leftovers = Leftovers(targets, transport)
        self._unlisted: list[PutManifest] = []

    def perform(self, plans: Sequence[Plan]) -> Mapping[CopyBlob, Moved]:
        """Do all of it. Raises the errors of the registry family, DigestMismatch among them, and Incomplete where a believed manifest is not whole."""
        try:
            return self._perform(plans)
        except Interrupted:
            self._transport.close()  # what is under way breaks off, and only then is given up
            raise
        finally:
            self._leftovers.cancel()

    def _perform(self, plans: Sequence[Plan]) -> Mapping[CopyBlob, Moved]:
        blobs = sorted({blob for plan in plans for blob in plan.blobs}, key=lambda blob: (-blob.size, blob.digest))
        groups = [tuple(group) for _, group in groupby(blobs, key=lambda blob: blob.digest)]
        self._jobs = JOBS * 2 if all(blob.mount_from for blob in blobs) else JOBS  # a question is small, and the answer comes late
        self._progress.expect(sum(group[0].size for group in groups))
        moved = in_parallel(self._bring, groups, stop=self._stop, tick=self._progress.tick, jobs=self._jobs)
        manifests = sorted({put for plan in plans for put in plan.manifests}, key=lambda put: put.level)
        for _, level in groupby(manifests, key=lambda put: put.level):
            self._put(level)
        self._put(put for plan in plans for put in plan.tags)
        self._list()
        return {blob: way for ways in moved for blob, way in ways.items()}

    def _bring(self, blobs: tuple[CopyBlob, ...]) -> Mapping[CopyBlob, Moved]:
        """One digest to all its places, with what it took."""
        with self._slots:
            tally, started = self._transport.tally, self._transport.clock.now()
            requests, retries = tally.requests, tally.retries
            ways = self._ways(blobs)
            seconds = self._transport.clock.now() - started
            return {blob: Moved(how=how, seconds=seconds, requests=tally.requests - requests, retries=tally.retries - retries) for blob, how in ways.items()}

    def _ways(self, blobs: tuple[CopyBlob, ...]) -> Mapping[CopyBlob, str]:
        """Read once, sent to each registry that lacks it, mounted in that registry's further repositories; how each place came to it."""
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
                upload = self._start(blob, blob.mount_from or firsts[blob.place.registry].place.repository)
                ways[blob] = COPIED if upload else MOUNTED
                if upload:
                    self._deliver([(blob, upload)])
        return ways

    def _start(self, blob: CopyBlob, mount_from: str) -> UploadSession | None:
        upload = self._targets[blob.place.registry].uploads.start(blob.place.repository, blob.digest, blob.size, mount_from)
        if upload:
            self._leftovers.begun(blob, upload)
        return upload

    def _deliver(self, opened: Sequence[tuple[CopyBlob, UploadSession]]) -> None:
        """One blob into several uploads; each that breaks off is gone on with alone."""
        stream = BlobStream(opened[0][0], self._source, stop=self._stop, clock=self._transport.clock)
        for blob, upload, broken in self._pour(stream, opened):
            self._mend(stream, blob, upload, broken)

    def _pour(self, stream: BlobStream, opened: Sequence[tuple[CopyBlob, UploadSession]]) -> list[tuple[CopyBlob, UploadSession, BrokenOff]]:
        """Read `stream` once, from where the uploads are, into all of them; those that broke off come back."""
        with ExitStack() as stack:
            sinks = {
                blob: stack.enter_context(self._targets[blob.place.registry].uploads.send(upload, blob.digest, blob.size)) for blob, upload in opened
            }
            broken: dict[CopyBlob, BrokenOff] = {}
            for piece in stream.pieces(opened[0][1].offset):
                for blob in sinks.keys() - broken.keys():
                    try:
                        sinks[blob].send(piece)
                    except BrokenOff as fault:
                        broken[blob] = fault
                self._progress.add(len(piece))
                if len(broken) == len(sinks):
                    break
            for blob in sinks.keys() - broken.keys():
                try:
                    sinks[blob].finish()
                except BrokenOff as fault:
                    broken[blob] = fault
            for blob, sink in sinks.items():
                if blob in broken:
                    self._leftovers.goes_on(blob, sink.upload)
                else:
                    self._leftovers.ended(blob)
            return [(blob, sinks[blob].upload, fault) for blob, fault in broken.items()]

    def _mend(self, stream: BlobStream, blob: CopyBlob, upload: UploadSession, broken: BrokenOff) -> None:
        """Go on with an upload that broke off from where the registry has it, else begin it anew; ATTEMPTS times in a row without getting further."""
        client, failures, best = self._targets[blob.place.registry], 0, 0
        for _ in range(_TRIES):
            if broken.wait is None:
                sleep_unless(self._stop, pause(failures, self._transport.clock), self._transport.clock)
            self._transport.tally.retries += 1
            try:
                state = client.uploads.state(upload)
                if state is not None and state.offset <= stream.hashed:
                    self._leftovers.goes_on(blob, state)
                else:
                    state = self._start(blob, "")
            except RegistryError as fault:  # a full disk is said when bytes are sent, and no longer when they are asked for
                raise (fault if isinstance(broken.fault, RegistryUnreachable) else broken.fault) from broken
            if state is None:  # it is there: only the answer had been lost
                self._leftovers.ended(blob)
                return
            failures, best = (0, state.offset) if state.offset > best else (failures + 1, best)
            again = self._pour(stream, [(blob, state)])
            if not again:
                return
            _, upload, broken = again[0]
            if failures == ATTEMPTS - 1:
                break
        raise broken.fault from broken

    def _put(self, puts: Iterable[PutManifest]) -> None:
        in_parallel(self._store, tuple(dict.fromkeys(puts)))

    def _store(self, put: PutManifest) -> None:
        """Store one manifest; what it names may need a moment to be seen. Raises Incomplete for a believed one."""
        clock, client = self._transport.clock, self._targets[put.place.registry]
        for attempt in range(ATTEMPTS):
            try:
                listed = client.put_manifest(put.place.repository, put.target, put.manifest)
            except Incomplete as fault:
                if put.believed:
                    raise
                if attempt == ATTEMPTS - 1:
                    raise fault.fault from fault
                clock.sleep(pause(attempt, clock, base=0.5))
            except (RegistryError, CredentialError) as fault:
                return self._settle(client, put, fault)
            else:
                self._unlisted += [put] if put.manifest.subject and not listed else []
                return None
        return None

    def _list(self) -> None:
        """Keep the list of referrers by hand on registries that do not keep it."""
        lists: dict[tuple[Place, str], list[Manifest]] = {}
        for put in self._unlisted:
            lists.setdefault((put.place, put.manifest.subject), []).append(put.manifest)
        for (place, subject), referrers in lists.items():
            list_under_tag(self._targets[place.registry], place.repository, subject, referrers)

    def _settle(self, client: RegistryClient, put: PutManifest, fault: RegistryError | CredentialError) -> None:
        """A tag that was refused may hold the image all the same, or another one for good: its registry is asked which (ECR refuses both alike, facts 3.3)."""
        if isinstance(fault, RegistryUnreachable | DigestMismatch) or put.target == put.manifest.digest:
            raise fault
        head = client.head_manifest(put.place.repository, put.target)
        if head is not None and head.digest == put.manifest.digest:
            return
        if head is None or isinstance(fault, CredentialError):
            raise fault
        raise RegistryError(
            f"the tag {put.target} of {put.place.repository} holds {head.digest} on the {client} and was not moved to {put.manifest.digest}: {fault.message}",
            where=str(client.registry), hint="tags are probably immutable there: push under a tag of its own, or delete the old one",
        ) from fault
