"""Uploads that begin while their layer is still being packed, before its digest is known.

Docker pushes so, too: POST, a PATCH of unknown length, and the PUT that names the digest as soon as
that is known; until then nothing is stored. This only saves time: if anything goes wrong, the
upload is abandoned, and the blob is uploaded the usual way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from threading import Event, Lock
from typing import Self

from towline.errors import TowlineError, TransportError
from towline.http.messages import BodySender, HttpRequest
from towline.image import Registry, Repository
from towline.literals import load_json
from towline.registry.client import RegistryClient
from towline.registry.copy.abandoned_uploads import AbandonedUploads
from towline.registry.copy.copying import Copying
from towline.registry.copy.job import CopyJob
from towline.registry.copy.plan import CopyBlob
from towline.registry.copy.stream import read_small
from towline.registry.local.growing_blob import GrowingBlob, PackingSource
from towline.registry.manifest import Descriptor
from towline.registry.parallel import GRACE, Cancelled, in_background
from towline.registry.uploads import UploadSession
from towline.retry import Clock, Deadline

_SMALLEST = 4 * 1024 * 1024  # bytes; a smaller blob is packed before its upload has begun
_PIECE = 1024 * 1024
_POLL = 0.2  # seconds
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)


class EarlyUploads:
    """The early uploads of a run, to the first repository of each target; shared by threads.

    Leaving the context abandons those that are left.
    """

    def __init__(self, jobs: Sequence[CopyJob], copying: Copying) -> None:
        repositories: dict[Registry, Repository] = {}
        tags = []
        for job in jobs:
            for target in reversed(job.targets):
                repositories[target.registry] = target.repository
            tags += [target.image.tag for target in job.targets if target.image.tag]
        self._copying = copying
        self._packing = (
            copying.source
            if isinstance(copying.source, PackingSource) and not copying.dry_run
            else None
        )
        self._targets = {
            repository: _EarlyTarget(copying.targets[registry], repository, tags)
            for registry, repository in repositories.items()
        }
        self._lock = Lock()
        self._uploads: list[_EarlyUpload] = []
        self._began = False

    def begin(self, growing: GrowingBlob) -> None:
        """Packing of a layer begins."""
        for target in self._targets.values():
            upload = _EarlyUpload(growing, target)
            with self._lock:
                self._uploads.append(upload)
            self._began = True
            in_background(upload.run)

    def take(self, blob: CopyBlob) -> UploadSession | None:
        """The upload that has all bytes of a blob, for the caller to finish; None without one.

        Waits while bytes are sent. Raises Cancelled if the run ends meanwhile: then the upload is
        abandoned with all others.
        """
        early = self._of(blob)
        if early is None:
            return None
        self._copying.progress.moves(blob.digest, lambda: early.delivered)
        upload = early.taken()
        with self._lock:
            self._uploads.remove(early)
        return upload

    def has(self, blob: CopyBlob) -> bool:
        """Whether the blob may have been sent to its repository."""
        return self._of(blob) is not None

    def _of(self, blob: CopyBlob) -> _EarlyUpload | None:
        for upload in self._all():
            packed = upload.growing.packed
            if (
                upload.target.repository == blob.repository
                and packed
                and packed.digest == blob.digest
            ):
                return upload
        return None

    def _all(self) -> list[_EarlyUpload]:
        """A copy of the list, since other threads add to it and remove from it meanwhile."""
        with self._lock:
            return list(self._uploads)

    def __enter__(self) -> Self:
        if self._packing:
            self._packing.observers.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._packing:
            self._packing.observers.remove(self)
        uploads, deadline = self._all(), Deadline.after(GRACE, Clock())
        for upload in uploads:
            upload.stop()
        for upload in uploads:
            upload.give_up(deadline.left)
        if self._began:  # `taken` may have given one up as well
            AbandonedUploads(self._copying.targets, self._copying.transport).cancel()


class _EarlyTarget:
    """A repository, and the layers that it is likely to have.

    These are the layers of the images that have the wanted tags there, and of the last tag.
    """

    def __init__(self, client: RegistryClient, repository: Repository, tags: Sequence[str]) -> None:
        self.client, self.repository = client, repository
        self._tags = tags
        self._lock = Lock()
        self._likely: tuple[frozenset[str], frozenset[str]] | None = None

    def likely(self, growing: GrowingBlob) -> bool:
        """Whether the repository probably has the layer.

        Then the layer's digest is waited for, and asked about, before anything is sent.
        """
        with self._lock:
            if self._likely is None:
                self._likely = self._found()
            configs, layers = self._likely
        return growing.config in configs or growing.plain in layers

    def _found(self) -> tuple[frozenset[str], frozenset[str]]:
        configs, layers = set[str](), set[str]()
        try:
            existing = sorted(
                tag for tag in self.client.tags(self.repository) or () if _TAG.fullmatch(tag)
            )
            for tag in dict.fromkeys([*self._tags, *existing[-1:]]):
                manifest = self.client.find_manifest(self.repository.reference(tag))
                if manifest is not None and manifest.blobs:
                    configs.add(manifest.blobs[0].digest)
                    layers.update(self._layers(manifest.blobs[0]))
        except TowlineError:  # nothing is likely at a target that does not answer
            pass
        return frozenset(configs), frozenset(layers)

    def _layers(self, config: Descriptor) -> Sequence[str]:
        try:
            data = load_json(
                read_small(self.client, self.repository, config, clock=self.client.transport.clock)
            )
            return [entry for entry in data["rootfs"]["diff_ids"] if isinstance(entry, str)]
        except (ValueError, KeyError, TypeError):
            return []


class _EarlyUpload:
    """The early upload of one layer to one target."""

    def __init__(self, growing: GrowingBlob, target: _EarlyTarget) -> None:
        self.growing, self.target = growing, target
        self._uploads, self._ending = target.client.uploads, target.client.transport.ending
        self._lock = Lock()
        self._started, self._wanted = False, True
        self._sending: BodySender | None = None
        self._over = Event()
        self._begun: UploadSession | None = None
        self._whole: UploadSession | None = None

    def run(self) -> None:
        """Send the layer as it is packed, until all of it is sent or the upload is not wanted."""
        with self._lock:
            if not self._wanted:
                return
            self._started = True
        try:
            if self.growing.wait(_SMALLEST, self._ending) >= _SMALLEST and not self.target.likely(
                self.growing
            ):
                self._send()
        # the usual upload meets the same fault; ValueError: the spool was closed
        except (TowlineError, TransportError, Cancelled, ValueError):
            pass
        finally:
            self._over.set()

    @property
    def delivered(self) -> int:
        """How many bytes have arrived at the target."""
        return self._sending.delivered if self._sending else 0

    def taken(self) -> UploadSession | None:
        """The upload with all bytes, once it has them; None if it does not get them.

        Raises Cancelled if it takes longer than GRACE seconds after the end of the run.
        """
        with self._lock:
            self._wanted = self._started
        if not self._wanted:
            return None
        while not self._over.wait(_POLL):
            if self._ending.is_set() and not self._over.wait(GRACE):
                raise Cancelled
        if self._whole is None:
            self.give_up(0)
        return self._whole

    def stop(self) -> None:
        """Send nothing more: the upload is not wanted any more."""
        with self._lock:
            self._wanted = False

    def give_up(self, seconds: float) -> None:
        """Abandon the upload, once sending has ended, or after so many seconds."""
        if self._started:
            self._over.wait(seconds)
        begun, self._begun = self._whole or self._begun, None
        if begun:
            self._uploads.abandon(begun)

    def _send(self) -> None:
        session, repository = self.target.client.uploads.session, self.target.repository
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
                if packed and not asked and packed.size - position >= _SMALLEST:
                    asked = True
                    if self.target.client.has_blob(repository, packed.digest, packed.size):
                        return
                if not self._wanted or not sending.send(view[:got]):
                    return
                position += got
            if self.growing.packed is None:
                return
            with sending.finish() as response:
                following = self._uploads.next_step(upload, response, position)
                if response.status in (200, 201, 202, 204) and response.headers.get(
                    "Range", "0-"
                ).endswith(("-", f"-{position - 1}")):
                    self._whole = following
