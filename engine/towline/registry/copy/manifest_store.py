"""Stores manifests and tags in their registries, and lists referrers if a registry does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from towline.errors import CredentialError, DigestMismatch, RegistryError, RegistryUnreachable
from towline.http.client import Transport
from towline.image import Registry, Repository
from towline.registry.client import RegistryClient
from towline.registry.copy.plan import PutManifest
from towline.registry.copy.referrers_index import add_to_referrers_index
from towline.registry.errors import ManifestIncomplete
from towline.registry.manifest import Manifest
from towline.registry.parallel import deadline_check, in_parallel
from towline.retry import poll_attempts


class ManifestStore:
    """Stores the manifests of one run in `targets`; shared by threads."""

    def __init__(self, targets: Mapping[Registry, RegistryClient], transport: Transport) -> None:
        self._targets = targets
        self._transport = transport
        self._unlisted: list[PutManifest] = []

    def put(self, puts: Iterable[PutManifest]) -> None:
        """Store manifests that do not name one another.

        Raises the errors of the registry family, and ManifestIncomplete if a manifest that is
        assumed to be present lacks something. That is raised after all were tried, so that the run
        can go on.
        """
        for incomplete in in_parallel(
            self.store, tuple(dict.fromkeys(puts)), tick=deadline_check(self._transport)
        ):
            if incomplete:
                raise incomplete

    def list_referrers(self) -> Mapping[str, RegistryError | CredentialError]:
        """List the referrers that were stored since the last call, if their registry does not.

        Returns the faults by the list that they are about.
        """
        lists: dict[tuple[Repository, str], list[Manifest]] = {}
        puts, self._unlisted = self._unlisted, []
        for put in puts:
            lists.setdefault((put.reference.repository, put.manifest.subject), []).append(
                put.manifest
            )
        faults = in_parallel(
            lambda key: self._list(*key, lists[key]),
            tuple(lists),
            tick=deadline_check(self._transport),
        )
        return {
            f"the list of {subject} in {repository.name}": fault
            for (repository, subject), fault in zip(lists, faults, strict=True)
            if fault
        }

    def _list(
        self, repository: Repository, subject: str, referrers: Sequence[Manifest]
    ) -> RegistryError | CredentialError | None:
        try:
            add_to_referrers_index(
                self._targets[repository.registry], repository, subject, referrers
            )
        except (RegistryError, CredentialError) as fault:
            return fault
        return None

    def store(self, put: PutManifest) -> ManifestIncomplete | None:
        """Store one manifest; raises as `put`, but returns ManifestIncomplete."""
        client, missing = self._targets[put.reference.registry], None
        for _ in poll_attempts(self._transport.clock, sleep=self._transport.wait):
            try:
                listed = client.put_manifest(put.reference, put.manifest)
            # the registry may need a moment to see the blobs that the manifest names
            except ManifestIncomplete as fault:
                if put.assumed_present:
                    return fault
                missing = fault
            except (RegistryError, CredentialError) as fault:
                _check_refused(client, put, fault)
                return None
            else:
                if put.manifest.subject and not listed:
                    self._unlisted.append(put)
                return None
        assert missing is not None
        raise missing.fault from missing


def _check_refused(
    client: RegistryClient, put: PutManifest, fault: RegistryError | CredentialError
) -> None:
    """Raise the fault of a PUT that was refused, unless the tag has the image already.

    If the tag has another image, the error says so: ECR refuses both alike (facts 3.3).
    """
    if (
        isinstance(fault, RegistryUnreachable | DigestMismatch)
        or put.reference.target == put.manifest.digest
    ):
        raise fault
    head = client.head_manifest(put.reference)
    if head is not None and head.digest == put.manifest.digest:
        return
    if head is None or isinstance(fault, CredentialError):
        raise fault
    raise RegistryError(
        f"the tag {put.reference.target} of {put.reference.image.name} holds {head.digest} on the"
        f" {client} and was not moved to {put.manifest.digest}: {fault.message}",
        where=str(client.registry),
        hint=(
            "tags are probably immutable there: push under a tag of its own, or delete the old one"
        ),
    ) from fault
