"""Performs a plan: blobs in parallel, streamed from GET to PUT and hashed on the way; then manifests; tags only when all the rest is there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from threading import Event

from towline.errors import DigestMismatch
from towline.registry.client import Download, RegistryClient
from towline.registry.faults import BrokenOff
from towline.registry.parallel import Stopped, in_parallel
from towline.registry.plan import CopyBlob, Plan
from towline.retry import pause
from towline.transport import Upload, sleep_unless

ATTEMPTS = 4
_PIECE = 1024 * 1024


class Transfer:
    """One run from `source` to `target`; the first fault ends it."""

    def __init__(self, source: RegistryClient, target: RegistryClient) -> None:
        self._source = source
        self._target = target
        self._stop = Event()

    def perform(self, plans: Sequence[Plan]) -> Mapping[CopyBlob, bool]:
        """Do all of it; blob -> whether it was mounted. Raises the errors of the registry family, DigestMismatch among them."""
        blobs = sorted({blob for plan in plans for blob in plan.blobs}, key=lambda blob: (-blob.size, blob.digest, blob.repository))
        mounted = dict(zip(blobs, in_parallel(self._blob, blobs, stop=self._stop), strict=True))
        manifests = dict.fromkeys(put for plan in plans for put in plan.manifests)
        tags = dict.fromkeys(put for plan in plans for put in plan.tags)
        for put in (*manifests, *tags):
            self._target.put_manifest(put.repository, put.target, put.manifest)
        return mounted

    def _blob(self, blob: CopyBlob) -> bool:
        """Bring one blob over, from its beginning each time that it breaks off; returns whether it was mounted."""
        clock = self._target.clock
        for attempt in range(ATTEMPTS):
            try:
                return self._once(blob)
            except BrokenOff as broken:
                if attempt == ATTEMPTS - 1:
                    raise broken.fault from broken
                delay = pause(attempt, clock) if broken.wait is None else broken.wait
            self._go_on()
            sleep_unless(self._stop, delay, clock)
        raise AssertionError("unreachable")

    def _once(self, blob: CopyBlob) -> bool:
        self._go_on()
        upload = self._target.mount_or_start(blob.repository, blob.digest, blob.mount_from)
        if upload is None:
            return True
        with self._source.open_blob(blob.source, blob.digest) as download:
            pieces = self._pieces(blob, download)
            first = next(pieces, b"")  # before anything is sent: an empty or small blob is checked by now
            self._target.put_blob(upload, blob.digest, Upload(size=blob.size, pieces=chain((first,), pieces)))
        return False

    def _pieces(self, blob: CopyBlob, download: Download) -> Iterator[bytes | memoryview]:
        """The blob's pieces; the last one is handed out only when the digest of all of them is right."""
        view, left = memoryview(bytearray(min(_PIECE, blob.size))), blob.size
        hashed = hashlib.new(blob.digest.partition(":")[0])
        while left:
            self._go_on()
            got = download.readinto(view[:left])
            hashed.update(view[:got])
            left -= got
            if not got or not left:
                self._check(blob, hashed.hexdigest(), short=left, more=not left and bool(download.readinto(memoryview(bytearray(1)))))
            yield view[:got]
        if not blob.size:
            self._check(blob, hashed.hexdigest(), short=0, more=bool(download.readinto(memoryview(bytearray(1)))))

    def _check(self, blob: CopyBlob, found: str, *, short: int, more: bool) -> None:
        algorithm, _, wanted = blob.digest.partition(":")
        if found == wanted and not short and not more:
            return
        what = f"{short} bytes short" if short else "longer than its manifest says" if more else f"as {algorithm}:{found}"
        raise DigestMismatch(
            f"the {self._source.party} sent the blob {blob.digest} of {blob.source} {what}", where=str(self._source.registry),
            hint="nothing was stored; if it happens again, the registry or a proxy before it has damaged the image: build it anew",
        )

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise Stopped
