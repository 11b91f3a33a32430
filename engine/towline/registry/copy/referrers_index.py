"""The index that lists the referrers of a manifest in a registry that keeps no such list itself.

It is stored under a tag that is made of the manifest's digest (OCI distribution-spec 1.1,
"Referrers Tag Schema").
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from towline.errors import RegistryError
from towline.image import Reference, Repository
from towline.registry.client import RegistryClient
from towline.registry.copy.referrers import referrers_tag
from towline.registry.errors import ManifestIncomplete
from towline.registry.manifest import OCI_INDEX, Manifest, parse_manifest
from towline.retry import poll_attempts

_ROUNDS = 8  # how often the index is written if others write it too
# seconds in which others who have read the index before have written it
_SECONDS_FOR_OTHERS = 0.6


def add_to_referrers_index(
    client: RegistryClient, repository: Repository, subject: str, referrers: Sequence[Manifest]
) -> None:
    """Add `referrers` to the index that lists the referrers of the manifest `subject`.

    Registries do not compare what they replace. So the index is read again after it was written,
    and written again if somebody else has written it without these referrers. Raises the errors of
    the registry family.
    """
    reference = repository.reference(referrers_tag(subject))
    index = client.find_manifest(reference)
    for _ in range(_ROUNDS):
        fields, entries = _content_of(index, client, reference)
        listed = {entry["digest"] for entry in entries}
        fresh = [_entry(referrer) for referrer in referrers if referrer.digest not in listed]
        if not fresh:
            return
        body = json.dumps({**fields, "manifests": entries + fresh}).encode()
        _write(client, reference, parse_manifest(body, OCI_INDEX))
        index = _read_again(client, reference, index)
    raise RegistryError(
        f"the list of referrers of {subject} in {repository.name} on the {client} was overwritten"
        " each time that Towline had written it",
        where=str(client.registry),
        hint="another writer is busy; run it again",
    )


def _content_of(
    index: Manifest | None, client: RegistryClient, reference: Reference
) -> tuple[dict[str, Any], list[Any]]:
    """The fields of the index as it is, and its entries."""
    if index is None:
        return {"schemaVersion": 2, "mediaType": OCI_INDEX}, []
    if index.media_type != OCI_INDEX:
        raise RegistryError(
            f"the tag {reference.target} on the {client} is not a list of referrers, and stays"
            " as it is",
            where=str(client.registry),
        )
    fields: dict[str, Any] = json.loads(index.body)
    return fields, fields.get("manifests") or []


def _write(client: RegistryClient, reference: Reference, index: Manifest) -> None:
    """Store the index; the registry may need a moment to see the manifests that it names."""
    missing: ManifestIncomplete | None = None
    for _ in poll_attempts(client.transport.clock, sleep=client.transport.wait):
        try:
            client.put_manifest(reference, index)
        except ManifestIncomplete as fault:
            missing = fault
        else:
            return
    assert missing is not None
    raise missing.fault from missing


def _read_again(client: RegistryClient, reference: Reference, before: Manifest | None) -> Manifest:
    """The index after it was written, once the registry shows it.

    Others who had read it before have written it then, too. Raises RegistryError if the registry
    does not show it.
    """
    clock = client.transport.clock
    for _ in poll_attempts(clock, sleep=client.transport.wait):
        found = client.find_manifest(reference)
        if found is not None and (before is None or found.digest != before.digest):
            client.transport.wait(clock.uniform(_SECONDS_FOR_OTHERS / 2, _SECONDS_FOR_OTHERS))
            return client.find_manifest(reference) or found
    raise RegistryError(
        f"the tag {reference.target} of {reference.image.name} was written, but the {client} does"
        " not show it",
        where=str(client.registry),
    )


def _entry(referrer: Manifest) -> Mapping[str, object]:
    """The entry of a referrer, with its artifact type and annotations, by which clients choose."""
    data = json.loads(referrer.body)
    config = data.get("config")
    config_type = config.get("mediaType") if isinstance(config, dict) else None
    more = {
        "artifactType": data.get("artifactType") or config_type,
        "annotations": data.get("annotations"),
    }
    return {
        "mediaType": referrer.media_type,
        "digest": referrer.digest,
        "size": len(referrer.body),
        **{key: value for key, value in more.items() if value},
    }
