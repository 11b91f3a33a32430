"""Puts manifests and tags into their registries, each when what it names is there, and lists referrers where a registry does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from towline.errors import CredentialError, DigestMismatch, RegistryError, RegistryUnreachable
from towline.http.client import Transport
from towline.image import Registry, Repository
from towline.parallel import in_parallel
from towline.registry.client import RegistryClient
from towline.registry.copy.deadline import deadline_check
from towline.registry.copy.plan import PutManifest
from towline.registry.copy.referrers_index import add_to_referrers_index
from towline.registry.errors import ManifestIncomplete
from towline.registry.manifest import Manifest
from towline.retry import poll_attempts


class ManifestStore:
    """The manifests of one run on their way to `targets`; shared by threads."""

    def __init__(self, targets: Mapping[Registry, RegistryClient], transport: Transport) -> None:
        self._targets = targets
        self._transport = transport
        self._unlisted: list[PutManifest] = []

    def put(self, puts: Iterable[PutManifest]) -> None:
        """Store these, which do not name one another.

        Raises the registry family, and ManifestIncomplete for a believed one that is not whole.

        That comes when all of them are done with: the run may go on after it.
        """
        for incomplete in in_parallel(
            self.store, tuple(dict.fromkeys(puts)), tick=deadline_check(self._transport)
        ):
            if incomplete:
                raise incomplete

    def list_referrers(self) -> Mapping[str, RegistryError | CredentialError]:
        """Keep the lists of referrers by hand on registries that do not keep them, for all that was put since; those that it failed for."""
        lists: dict[tuple[Repository, str], list[Manifest]] = {}
        puts, self._unlisted = self._unlisted, []
        for put in puts:
            lists.setdefault((put.reference.repository, put.manifest.subject), []).append(
                put.manifest
            )
        faults = in_parallel(
            lambda one: self._list(*one, lists[one]),
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
                self._targets[repository.registry], repository.name, subject, referrers
            )
        except (RegistryError, CredentialError) as fault:
            return fault
        return None

    def store(self, put: PutManifest) -> ManifestIncomplete | None:
        """Store one manifest; raises likewise, and returns ManifestIncomplete."""
        client, missing = self._targets[put.reference.registry], None
        for _ in poll_attempts(self._transport.clock, sleep=self._transport.wait):
            try:
                listed = client.put_manifest(
                    put.reference.image.name, put.reference.target, put.manifest
                )
            except ManifestIncomplete as fault:  # what it names may need a moment to be seen
                if put.assumed_present:
                    return fault
                missing = fault
            except (RegistryError, CredentialError) as fault:
                _settle(client, put, fault)
                return None
            else:
                self._unlisted += [put] if put.manifest.subject and not listed else []
                return None
        assert missing is not None
        raise missing.fault from missing


def _settle(
    client: RegistryClient, put: PutManifest, fault: RegistryError | CredentialError
) -> None:
    """A tag that was refused may hold the image all the same, or another one for good: its registry is asked which (ECR refuses both alike, facts 3.3)."""
    if (
        isinstance(fault, RegistryUnreachable | DigestMismatch)
        or put.reference.target == put.manifest.digest
    ):
        raise fault
    head = client.head_manifest(put.reference.image.name, put.reference.target)
    if head is not None and head.digest == put.manifest.digest:
        return
    if head is None or isinstance(fault, CredentialError):
        raise fault
    raise RegistryError(
        f"the tag {put.reference.target} of {put.reference.image.name} holds {head.digest} on the {client} and"
        f" was not moved to {put.manifest.digest}: {fault.message}",
        where=str(client.registry),
        hint=(
            "tags are probably immutable there: push under a tag of its own, or delete the old one"
        ),
    ) from fault
