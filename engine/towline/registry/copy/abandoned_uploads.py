"""Uploads that a run has begun and not ended.

When the run is over, for whatever reason, their registries are told, so that none keeps half a blob
for days.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from threading import Thread

from towline.errors import CredentialError, RegistryError
from towline.http.client import Transport
from towline.image import Registry
from towline.registry.client import RegistryClient
from towline.registry.copy.plan import CopyBlob
from towline.registry.parallel import in_parallel
from towline.registry.uploads import UploadSession

# seconds to cancel all of them: a run that was interrupted has to end within two seconds, a
# successful run has more time
SECONDS_AFTER_FAULT, SECONDS_AFTER_SUCCESS = 0.6, 5.0
_Upload = tuple[Registry, UploadSession]


class AbandonedUploads:
    """The uploads of a run to `targets` that have not ended; shared by threads."""

    def __init__(self, targets: Mapping[Registry, RegistryClient], transport: Transport) -> None:
        self._targets = targets
        self._transport = transport
        self._under_way: dict[CopyBlob, UploadSession] = {}
        self._given_up: list[_Upload] = []

    def goes_on(self, blob: CopyBlob, upload: UploadSession) -> None:
        """Note that the upload of `blob` has begun, or goes on at another URL.

        If that is a redirect, the upload at the earlier URL is abandoned.
        """
        earlier = self._under_way.get(blob)
        if earlier and upload.hops > earlier.hops:
            self._given_up.append((blob.repository.registry, earlier))
        self._under_way[blob] = upload

    def given_up(self, blob: CopyBlob) -> None:
        """Note that the upload of `blob`, if it has one, is abandoned."""
        earlier = self._under_way.pop(blob, None)
        if earlier:
            self._given_up.append((blob.repository.registry, earlier))

    def ended(self, blob: CopyBlob) -> None:
        """Note that the blob is stored."""
        self._under_way.pop(blob, None)

    def cancel(self, seconds: float = SECONDS_AFTER_FAULT) -> None:
        """Cancel all abandoned uploads at their registries, within so many seconds; raises nothing.

        Some of them were begun by a mount that the registry did not do. The request is that of
        distribution (its API's "Canceling an Upload"; the OCI specification has none). Distribution
        takes it at the offset that it named last, so not after a PUT that was cut. It goes by a
        transport of its own, since that of the run may be closed, and in a thread, since looking up
        a name has no time limit.
        """
        uploads: list[_Upload] = []
        for registry, client in self._targets.items():
            uploads += [(registry, upload) for upload in client.uploads.unused()]
        uploads += self._given_up
        for blob, upload in list(self._under_way.items()):
            uploads.append((blob.repository.registry, upload))
        if uploads:
            thread = Thread(target=self._cancel_all, args=(uploads, seconds), daemon=True)
            thread.start()
            thread.join(seconds)

    def _cancel_all(self, uploads: list[_Upload], seconds: float) -> None:
        with self._transport.short_lived(seconds) as transport:
            clients = {registry: self._targets[registry].by(transport) for registry, _ in uploads}
            in_parallel(lambda upload: _cancel(clients[upload[0]], upload[1]), uploads)


def _cancel(client: RegistryClient, upload: UploadSession) -> None:
    with contextlib.suppress(RegistryError, CredentialError):
        client.uploads.cancel(upload)
