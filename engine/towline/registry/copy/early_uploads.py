"""Uploads that begin while their blob is still being packed, before anybody knows its digest, in the way in which docker pushes.

POST, a PATCH whose length is not known, and when the digest is, the PUT that names it: until then
nothing is stored. It is done for time alone: where anything goes wrong the upload is given up, and
the blob goes the usual way.

Uploads that a run has begun and not ended: when it is over, for whatever reason, their registries are told, so that none keeps half a blob for days.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from threading import Event, Lock
from typing import Self

from towline.errors import TowlineError, TransportError
from towline.http.messages import BodySender, HttpRequest
from towline.image import Repository
from towline.literals import load_json
from towline.parallel import GRACE, Cancelled, in_background
from towline.registry.client import RegistryClient
from towline.registry.copy.abandoned_uploads import AbandonedUploads
from towline.registry.copy.copying import Copying
from towline.registry.copy.job import CopyJob
from towline.registry.copy.plan import CopyBlob
from towline.registry.copy.stream import read_small
from towline.registry.local.growing import GrowingBlob, PackingSource
from towline.registry.manifest import Descriptor
from towline.registry.uploads import UploadSession
from towline.retry import Clock, Deadline

_WORTH = 4 * 1024 * 1024  # bytes: a smaller blob is packed before its upload has begun
_PIECE = 1024 * 1024
_LOOK = 0.2  # seconds
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)


class EarlyUploads:
    """What is sent early at the first place of each target registry; shared by threads.

    Outside its context nothing is begun, and left ones are given up.
    """

    def __init__(self, jobs: Sequence[CopyJob], copying: Copying) -> None:
        places = {
            target.registry: target.repository for job in jobs for target in reversed(job.targets)
        }
        tags = [target.image.tag for job in jobs for target in job.targets if target.image.tag]
        self._copying = copying
        self._packs = (
            copying.source
            if isinstance(copying.source, PackingSource) and not copying.dry_run
            else None
        )
        self._targets = {
            place: _Target(copying.targets[registry], place, tags)
            for registry, place in places.items()
        }
        self._lock = Lock()
        self._ways: list[_Way] = []
        self._began = False

    def begin(self, growing: GrowingBlob) -> None:
        """Packing of a layer begins."""
        for target in self._targets.values():
            way = _Way(growing, target)
            with self._lock:
                self._ways.append(way)
            self._began = True
            in_background(way.go)

    def take(self, blob: CopyBlob) -> UploadSession | None:
        """The upload that has all bytes of the blob, waited for while it gets further; None where there is none.

        It is the caller's then.

        Raises Cancelled where the run ends meanwhile: it stays here, and is given up with all others.
        """
        way = self._way(blob)
        if way is None:
            return None
        self._copying.progress.moves(blob.digest, lambda: way.come)
        upload = way.taken()
        with self._lock:
            self._ways.remove(way)
        return upload

    def has(self, blob: CopyBlob) -> bool:
        """Whether the blob may have been sent to its place."""
        return self._way(blob) is not None

    def _way(self, blob: CopyBlob) -> _Way | None:
        ways = self._all()
        return next(
            (
                way
                for way in ways
                if way.target.place == blob.repository
                and way.growing.packed
                and way.growing.packed.digest == blob.digest
            ),
            None,
        )

    def _all(self) -> list[_Way]:
        """Those of this moment: while one looks through them, others add theirs and take theirs away."""
        with self._lock:
            return list(self._ways)

    def __enter__(self) -> Self:
        if self._packs:
            self._packs.followers.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._packs:
            self._packs.followers.remove(self)
        ways, deadline = self._all(), Deadline.after(GRACE, Clock())
        for way in ways:
            way.drop()
        for way in ways:
            way.give_up(deadline.left)
        if self._began:  # who waited for one may have given it up just now
            AbandonedUploads(self._copying.targets, self._copying.transport).cancel()


class _Target:
    """A place, and what it is likely to have: the layers of the images that have the wanted tags there, and of the one with the last tag."""

    def __init__(self, client: RegistryClient, place: Repository, tags: Sequence[str]) -> None:
        self.client, self.place = client, place
        self._tags = tags
        self._lock = Lock()
        self._likely: tuple[frozenset[str], frozenset[str]] | None = None

    def likely(self, growing: GrowingBlob) -> bool:
        """Whether it probably has the layer: then its digest is waited for, and asked about, before anything is sent."""
        with self._lock:
            if self._likely is None:
                self._likely = self._found()
            configs, layers = self._likely
        return growing.config in configs or growing.plain in layers

    def _found(self) -> tuple[frozenset[str], frozenset[str]]:
        configs, layers = set[str](), set[str]()
        try:
            there = sorted(
                tag for tag in self.client.tags(self.place.name) or () if _TAG.fullmatch(tag)
            )
            for tag in dict.fromkeys([*self._tags, *there[-1:]]):
                manifest = self.client.find_manifest(self.place.name, tag)
                if manifest is not None and manifest.blobs:
                    configs.add(manifest.blobs[0].digest)
                    layers.update(self._layers(manifest.blobs[0]))
        except TowlineError:  # who cannot be asked is not known to have anything
            pass
        return frozenset(configs), frozenset(layers)

    def _layers(self, config: Descriptor) -> Sequence[str]:
        try:
            data = load_json(
                read_small(self.client, self.place.name, config, clock=self.client.transport.clock)
            )
            return [entry for entry in data["rootfs"]["diff_ids"] if isinstance(entry, str)]
        except (ValueError, KeyError, TypeError):
            return []


class _Way:
    """A layer on its way to a target."""

    def __init__(self, growing: GrowingBlob, target: _Target) -> None:
        self.growing, self.target = growing, target
        self._uploads, self._ending = target.client.uploads, target.client.transport.ending
        self._lock = Lock()
        self._started, self._wanted = False, True
        self._sending: BodySender | None = None
        self._over = Event()
        self._begun: UploadSession | None = None
        self._whole: UploadSession | None = None

    def go(self) -> None:
        """Send it as far as it is there, until it is there as a whole, or something speaks against it."""
        with self._lock:
            if not self._wanted:
                return
            self._started = True
        try:
            if self.growing.wait(_WORTH, self._ending) >= _WORTH and not self.target.likely(
                self.growing
            ):
                self._send()
        # the usual way will tell; ValueError: the spool was closed
        except (TowlineError, TransportError, Cancelled, ValueError):
            pass
        finally:
            self._over.set()

    @property
    def come(self) -> int:
        """How many bytes have come to the target."""
        return self._sending.come if self._sending else 0

    def taken(self) -> UploadSession | None:
        """The upload that has all bytes, when it has; raises Cancelled where that takes longer than GRACE seconds after the run has ended."""
        with self._lock:
            self._wanted = self._started
        if not self._wanted:
            return None
        while not self._over.wait(_LOOK):
            if self._ending.is_set() and not self._over.wait(GRACE):
                raise Cancelled
        if self._whole is None:
            self.give_up(0)
        return self._whole

    def drop(self) -> None:
        """Nobody wants it any more."""
        with self._lock:
            self._wanted = False

    def give_up(self, seconds: float) -> None:
        """Nobody goes on with its upload: when it has ended, or after so many seconds."""
        if self._started:
            self._over.wait(seconds)
        begun, self._begun = self._whole or self._begun, None
        if begun:
            self._uploads.give_up(begun)

    def _send(self) -> None:
        session, repository = self.target.client.uploads.session, self.target.place.name
        self._begun = upload = self._uploads.begin(repository)
        request = HttpRequest(
            method="PATCH",
            url=upload.url,
            named_by=upload.named_by,
            headers={"Content-Type": "application/octet-stream", "Transfer-Encoding": "chunked"},
        )
        view, position, asked = memoryview(bytearray(_PIECE)), 0, False
        with session.begin(request, None, (session.scope(repository),)) as sending:
            self._sending = sending
            while got := self.growing.readinto(view, position, self._ending):
                packed = self.growing.packed
                if packed and not asked and packed.size - position >= _WORTH:
                    asked = True
                    if self.target.client.has_blob(repository, packed.digest, packed.size):
                        return
                if not self._wanted or not sending.send(view[:got]):
                    return
                position += got
            if self.growing.packed is None:
                return
            with sending.finish() as response:
                following = self._uploads.following(upload, response, position)
                if response.status in (200, 201, 202, 204) and response.headers.get(
                    "Range", "0-"
                ).endswith(("-", f"-{position - 1}")):
                    self._whole = following
