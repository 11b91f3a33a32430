"""What travels with an image: referrers (OCI distribution-spec 1.1, "Listing Referrers") and cosign's older tags, as further jobs of the same copy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from towline.errors import RegistryError
from towline.image import Image, Reference
from towline.registry.client import RegistryClient
from towline.registry.job import CopyJob
from towline.registry.manifest import OCI_INDEX, Manifest, parse_manifest
from towline.registry.parallel import in_parallel

_SUFFIXES = ("sig", "att", "sbom")
_DEPTH, _MOST = 3, 1000


def companions(job: CopyJob, digests: Iterable[str], source: RegistryClient) -> tuple[CopyJob, ...]:
    """A job for everything that the source has about the manifests `digests` of a job's image, and about what was found so, to all places of the job.

    Raises the errors of the registry family, RegistryError where there is no end of it.
    """
    found: dict[str, CopyJob] = {}
    level = list(dict.fromkeys(digests))
    for _ in range(_DEPTH):
        listed = in_parallel(lambda digest: source.referrers(job.repository, digest), level)
        fresh = [entry.digest for entries in listed for entry in entries if entry.digest not in found]
        found.update({digest: _job(job, digest, "") for digest in fresh})
        tags = [f"{digest.replace(':', '-')}.{suffix}" for digest in level for suffix in _SUFFIXES]
        heads = in_parallel(lambda tag: source.head_manifest(job.repository, tag), tags)
        found.update({tag: _job(job, head.digest, tag) for tag, head in zip(tags, heads, strict=True) if head is not None})
        if len(found) > _MOST:
            raise RegistryError(f"more than {_MOST} referrers are listed for the image", where=f"{source.registry}/{job.repository}")
        level = list(dict.fromkeys(fresh))
        if not level:
            break
    return tuple(found.values())


def _job(job: CopyJob, digest: str, tag: str) -> CopyJob:
    """The job for one of them: by its digest, and under its tag where it has one."""
    places = dict.fromkeys((target.registry, target.image.name) for target in job.targets)
    targets = tuple(Reference(registry=registry, image=Image(name=name, tag=tag, digest="" if tag else digest)) for registry, name in places)
    return replace(job, target=digest, digest=digest, name=f"{job.name}, {tag or digest}", targets=targets, platforms=(), chosen="", referrers=False)


def list_under_tag(client: RegistryClient, repository: str, subject: str, referrers: Sequence[Manifest]) -> None:
    """Add `referrers` to the index under the tag that stands for the list of a subject's referrers, on a registry that keeps no such list itself.

    (distribution-spec 1.1, "Referrers Tag Schema".) Raises the errors of the registry family.
    """
    tag = subject.replace(":", "-")
    held = client.find_manifest(repository, tag)
    index: dict[str, Any] = json.loads(held.body) if held is not None and held.media_type == OCI_INDEX else {"schemaVersion": 2, "mediaType": OCI_INDEX}
    entries: list[Any] = index.get("manifests") or []
    known = {entry["digest"] for entry in entries}
    fresh = [_entry(referrer) for referrer in referrers if referrer.digest not in known]
    if fresh:
        body = json.dumps({**index, "manifests": entries + fresh}).encode()
        client.put_manifest(repository, tag, parse_manifest(body, OCI_INDEX))


def _entry(referrer: Manifest) -> Mapping[str, object]:
    """How the index names a referrer: with its artifact type and annotations, by which clients choose."""
    data = json.loads(referrer.body)
    config = data.get("config")
    kind = data.get("artifactType") or (config.get("mediaType") if isinstance(config, dict) else None)
    more = {"artifactType": kind, "annotations": data.get("annotations")}
    return {"mediaType": referrer.media_type, "digest": referrer.digest, "size": len(referrer.body), **{key: value for key, value in more.items() if value}}
