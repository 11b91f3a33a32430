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
from towline.parallel import in_parallel
from towline.registry.client import RegistryClient
from towline.registry.copy.plan import CopyBlob
from towline.registry.uploads import UploadSession

# seconds for all of them: a run that was interrupted ends within two seconds, one that has done its
# work has more time
SECONDS_AFTER_FAULT, SECONDS_AFTER_SUCCESS = 0.6, 5.0
_Left = tuple[Registry, UploadSession]


class AbandonedUploads:
    """What is under way at `targets`; shared by threads."""

    def __init__(self, targets: Mapping[Registry, RegistryClient], transport: Transport) -> None:
        self._targets = targets
        self._transport = transport
        self._under_way: dict[CopyBlob, UploadSession] = {}
        self._given_up: list[_Left] = []

    def goes_on(self, blob: CopyBlob, upload: UploadSession) -> None:
        """The upload of `blob` has begun, or goes on there; at the place that redirects it nothing more comes."""
        earlier = self._under_way.get(blob)
        self._given_up += (
            [(blob.repository.registry, earlier)] if earlier and upload.hops > earlier.hops else []
        )
        self._under_way[blob] = upload

    def given_up(self, blob: CopyBlob) -> None:
        """The upload of `blob` is not gone on with, where it had one."""
        earlier = self._under_way.pop(blob, None)
        self._given_up += [(blob.repository.registry, earlier)] if earlier else []

    def ended(self, blob: CopyBlob) -> None:
        """The blob is stored."""
        self._under_way.pop(blob, None)

    def cancel(self, seconds: float = SECONDS_AFTER_FAULT) -> None:
        """Tell the registries, those too whose questions have begun an upload that nobody needs, as far as they hear it in time; raises nothing.

        The request is distribution's (its API's "Canceling an Upload"; the OCI spec has none); that
        takes it at the offset which it has named last, so not after a PUT that was cut. By a
        transport of its own, since that of the run may be closed; in a thread, since looking up a
        name has no time limit.
        """
        unused = [
            (registry, upload)
            for registry, client in self._targets.items()
            for upload in client.uploads.unused()
        ]
        left = [
            *unused,
            *self._given_up,
            *((blob.repository.registry, upload) for blob, upload in list(self._under_way.items())),
        ]
        if left:
            thread = Thread(target=self._tell, args=(left, seconds), daemon=True)
            thread.start()
            thread.join(seconds)

    def _tell(self, left: list[_Left], seconds: float) -> None:
        with self._transport.afresh(seconds) as transport:
            clients = {registry: self._targets[registry].by(transport) for registry, _ in left}
            in_parallel(lambda one: _cancel(clients[one[0]], one[1]), left)


def _cancel(client: RegistryClient, upload: UploadSession) -> None:
    with contextlib.suppress(RegistryError, CredentialError):
        client.uploads.cancel(upload)
