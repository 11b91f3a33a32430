"""What travels with an image: referrers (OCI distribution-spec 1.1, "Listing Referrers") and cosign's older tags, as further jobs of the same copy."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar, runtime_checkable

from towline.errors import (
    ConfigError,
    CredentialError,
    DigestMismatch,
    RegistryError,
    RegistryUnreachable,
    TowlineError,
)
from towline.image import Image, Reference
from towline.parallel import in_parallel
from towline.record import replace
from towline.registry.client import RegistryClient
from towline.registry.copy.job import DEMANDED, LEFT, TAKEN, CopyJob
from towline.registry.copy.plan import ImageSource
from towline.registry.errors import ManifestIncomplete, NoReferrersApi
from towline.registry.manifest import OCI_INDEX, Descriptor, Manifest, parse_manifest
from towline.retry import poll_attempts

_SUFFIXES = ("sig", "att", "sbom")
_DEPTH, _MOST = 3, 1000
_FEWER = "remove what is not needed, or leave out copyReferrers: true, then that is a warning"
# writes of a list that others write too; seconds in which one who has read it before has written it
_ROUNDS, _REST = 8, 0.6
# what may be wrong with one that refers to an image
AMISS = (RegistryError, CredentialError, ConfigError)
_T = TypeVar("_T")
_Answer = tuple[Descriptor, ...] | TowlineError | None  # to the question what refers to a manifest


@runtime_checkable
class ListsReferrers(ImageSource, Protocol):
    """A source that knows what refers to its manifests: a registry, or an OCI layout."""

    def find_manifest(self, repository: str, target: str) -> Manifest | None:
        """The manifest of a tag or digest, checked; None where it is not there."""

    def referrers(self, repository: str, digest: str) -> tuple[Descriptor, ...] | None:
        """What the source itself lists as referrers of a manifest, None where it has no such list; raises NoReferrersApi where it keeps none."""

    def tags(self, repository: str) -> frozenset[str] | None:
        """All tags, None where that is not known."""


def spoils(fault: TowlineError, source: ImageSource) -> bool:
    """Whether a fault (one of AMISS) of one that refers to an image and may stay behind speaks against the copy of the image itself.

    A registry that is not reached, or sends other content than a digest says, does so; a damaged
    file of a layout speaks for that file alone.
    """
    return isinstance(fault, RegistryUnreachable) or (
        isinstance(fault, DigestMismatch) and isinstance(source, RegistryClient)
    )


class ReferrerLists:
    """What a repository of `source` says about its manifests: its own list of referrers, the tags that stand for one, and cosign's tags.

    Asked as little as can be: one answer with all tags says which of those there are. Shared by
    threads. `wanted` says what becomes of that which the source shows and does not give: DEMANDED
    raises it, LEFT passes over it, and TAKEN goes on with the rest and keeps the reasons in
    `amiss`, of a list that is refused under "".
    """

    def __init__(self, source: ListsReferrers, repository: str, *, wanted: str = LEFT) -> None:
        self.source = source
        self._repository = repository
        self._tags: frozenset[str] | None = None
        self._read = False
        self._keeps: bool | None = None  # lists of its own, for all that is known
        self._wanted = wanted
        self.amiss: dict[str, TowlineError] = {}
        self._begun: dict[str, _Answer] = {}

    def read_tags(self) -> None:
        """Ask which tags there are, once."""
        if not self._read:
            self._tags, self._read = self.source.tags(self._repository), True

    def begin(self, digest: str) -> None:
        """Ask for what is known to be wanted, beside other questions; what fails here is asked for again when it is wanted."""
        with contextlib.suppress(*AMISS):
            self._begun[digest] = self._asked([digest])[digest]

    def referrers(self, digests: Sequence[str]) -> list[Descriptor]:
        """What refers to any of these, by the registry's list or the tag that stands for it; raises the errors of the registry family."""
        answers = self._asked(digests)
        self._keeps = self._keeps or any(isinstance(answer, tuple) for answer in answers.values())
        for answer in answers.values():
            if isinstance(answer, NoReferrersApi) and self._keeps:
                self.miss(
                    "",
                    RegistryError(
                        f"{answer.message}, and lists what refers to others", where=answer.where
                    ),
                )
            elif isinstance(answer, TowlineError) and not isinstance(answer, NoReferrersApi):
                self.miss("", answer)
        lacking = [
            tag
            for digest, answer in answers.items()
            if not isinstance(answer, tuple) and self._has(tag := tag_of(digest))
        ]
        by_tag = self._tagged(self.source.find_manifest, lacking)
        own = [
            entry for answer in answers.values() if isinstance(answer, tuple) for entry in answer
        ]
        return own + [entry for found in by_tag.values() for entry in found.children]

    def keeps(self, digest: str) -> bool:
        """Whether the registry keeps lists of referrers itself, asked for one."""
        return self._own(digest) is not None

    def now(self, digest: str) -> Sequence[Descriptor]:
        """What refers to one at this moment; its tag is asked for itself, since one of just now is in no list that was read before."""
        own = self._own(digest)
        if own is not None:
            return own
        found = self.source.find_manifest(self._repository, tag_of(digest))
        return found.children if found else ()

    def tagged(self, digests: Sequence[str]) -> Mapping[str, str]:
        """Cosign's tags that there are for these, each with its digest."""
        tags = [
            tag
            for digest in digests
            for suffix in _SUFFIXES
            if self._has(tag := f"{tag_of(digest)}.{suffix}")
        ]
        return {
            tag: head.digest for tag, head in self._tagged(self.source.head_manifest, tags).items()
        }

    def miss(self, about: str, fault: TowlineError) -> None:
        """Do what is wanted where something stays behind."""
        if self._wanted == DEMANDED:
            raise fault
        if self._wanted == TAKEN:
            self.amiss.setdefault(about, fault)

    def _asked(self, digests: Sequence[str]) -> Mapping[str, _Answer]:
        """The registry's own lists, unless it is known to keep none, which for one may be a proxy's word."""
        unasked = [
            digest
            for digest in dict.fromkeys(digests)
            if digest not in self._begun and self._keeps is not False
        ]
        questions: list[Callable[[], _Answer]] = [
            self.read_tags,
            *(partial(self._listed, digest) for digest in unasked),
        ]
        _, *answers = in_parallel(lambda question: question(), questions)
        found = {**self._begun, **dict(zip(unasked, answers, strict=True))}
        return {digest: found.get(digest) for digest in digests}

    def _own(self, digest: str) -> tuple[Descriptor, ...] | None:
        answer = None if self._keeps is False else self._listed(digest)
        found = answer if isinstance(answer, tuple) else None
        if isinstance(answer, TowlineError) and not isinstance(answer, NoReferrersApi):
            self.miss("", answer)
        self._keeps = self._keeps or found is not None
        return found

    def _listed(self, digest: str) -> _Answer:
        try:
            return self._tried(partial(self.source.referrers, self._repository, digest))
        except NoReferrersApi as fault:
            return fault

    def _tagged(
        self, question: Callable[[str, str], _T | None], tags: Sequence[str]
    ) -> Mapping[str, _T]:
        """What a question about each of these tags brings; one that the source lists is there, or it is missed."""
        found: dict[str, _T] = {}
        answers = in_parallel(
            lambda tag: self._tried(partial(question, self._repository, tag)), tags
        )
        for tag, answer in zip(tags, answers, strict=True):
            if isinstance(answer, TowlineError):
                self.miss(tag, answer)
            elif answer is not None:
                found[tag] = answer
            elif self._tags is not None:
                self.miss(
                    tag,
                    RegistryError(f"the {self.source} lists the tag {tag}, and does not have it"),
                )
        return found

    def _tried(self, question: Callable[[], _T]) -> _T | TowlineError:
        """The answer, or what is wrong with it where the rest goes on without."""
        try:
            return question()
        except AMISS as fault:
            if self._wanted != TAKEN or spoils(fault, self.source):
                raise
            return fault

    def _has(self, tag: str) -> bool:
        """Whether the tag may be there."""
        return self._tags is None or tag in self._tags


def tag_of(digest: str) -> str:
    """The tag that stands for the list of a manifest's referrers (distribution-spec 1.1, "Referrers Tag Schema")."""
    return digest.replace(":", "-")


def companions(job: CopyJob, digests: Iterable[str], lists: ReferrerLists) -> tuple[CopyJob, ...]:
    """A job for everything that the source has about the manifests `digests` of a job's image, and about what was found so, to all places of the job.

    Raises the errors of the registry family, RegistryError where there is no end of it.
    """
    found: dict[str, CopyJob] = {}
    level = list(dict.fromkeys(digests))
    for _ in range(_DEPTH):
        fresh = [entry.digest for entry in lists.referrers(level) if entry.digest not in found]
        found.update({digest: _job(job, digest, "") for digest in fresh})
        found.update({tag: _job(job, digest, tag) for tag, digest in lists.tagged(level).items()})
        if len(found) > _MOST:
            raise RegistryError(
                f"more than {_MOST} referrers are listed for the image", where=job.name, hint=_FEWER
            )
        level = list(dict.fromkeys(fresh))
        if not level:
            return tuple(found.values())
    deeper = [
        *(entry.digest for entry in lists.referrers(level) if entry.digest not in found),
        *lists.tagged(level),
    ]
    if deeper:
        what = (
            f"no more than {_DEPTH} levels of what refers to one another travel, and {deeper[0]}"
            " lies deeper"
        )
        lists.miss("deeper", RegistryError(what, where=job.name, hint=_FEWER))
    return tuple(found.values())


def _job(job: CopyJob, digest: str, tag: str) -> CopyJob:
    """The job for one of them: by its digest, and under its tag where it has one."""
    places = dict.fromkeys((target.registry, target.image.name) for target in job.targets)
    targets = tuple(
        Reference(registry=registry, image=Image(name=name, tag=tag, digest="" if tag else digest))
        for registry, name in places
    )
    return replace(
        job,
        target=digest,
        digest=digest,
        claimed=False,
        name=f"{job.name}, {tag or digest}",
        targets=targets,
        platforms=(),
        chosen="",
        referrers=LEFT,
        refers=job.referrers,
    )


def list_under_tag(
    client: RegistryClient, repository: str, subject: str, referrers: Sequence[Manifest]
) -> None:
    """Add `referrers` to the index under the tag that stands for the list of a subject's referrers, on a registry that keeps no such list itself.

    Registries do not compare what they replace: it is looked at again, and written again where
    somebody else has written it without these. Raises the errors of the registry family.
    """
    tag = tag_of(subject)
    held = client.find_manifest(repository, tag)
    for _ in range(_ROUNDS):
        index, entries = _index_of(held, client, tag)
        known = {entry["digest"] for entry in entries}
        fresh = [_entry(referrer) for referrer in referrers if referrer.digest not in known]
        if not fresh:
            return
        _write(
            client,
            repository,
            tag,
            parse_manifest(json.dumps({**index, "manifests": entries + fresh}).encode(), OCI_INDEX),
        )
        held = _seen(client, repository, tag, held)
    raise RegistryError(
        f"the list of referrers of {subject} in {repository} does not keep what is added to it on"
        f" the {client}",
        where=str(client.registry),
        hint="others write it all the time; run it again",
    )


def _index_of(
    held: Manifest | None, client: RegistryClient, tag: str
) -> tuple[dict[str, Any], list[Any]]:
    """The list as it is, and its entries."""
    if held is None:
        return {"schemaVersion": 2, "mediaType": OCI_INDEX}, []
    if held.media_type != OCI_INDEX:
        raise RegistryError(
            f"the tag {tag} on the {client} is no list of referrers, and stays as it is",
            where=str(client.registry),
        )
    index: dict[str, Any] = json.loads(held.body)
    return index, index.get("manifests") or []


def _write(client: RegistryClient, repository: str, tag: str, index: Manifest) -> None:
    """Store the list; what it names may need a moment to be seen."""
    missing: ManifestIncomplete | None = None
    for _ in poll_attempts(client.transport.clock, sleep=client.transport.wait):
        try:
            client.put_manifest(repository, tag, index)
        except ManifestIncomplete as fault:
            missing = fault
        else:
            return
    assert missing is not None
    raise missing.fault from missing


def _seen(client: RegistryClient, repository: str, tag: str, before: Manifest | None) -> Manifest:
    """What the tag names after it was written, once that is seen, and when those who had read it before have written it too."""
    clock = client.transport.clock
    for _ in poll_attempts(clock, sleep=client.transport.wait):
        found = client.find_manifest(repository, tag)
        if found is not None and (before is None or found.digest != before.digest):
            client.transport.wait(clock.uniform(_REST / 2, _REST))
            return client.find_manifest(repository, tag) or found
    raise RegistryError(
        f"the tag {tag} of {repository} was written, and the {client} does not show it",
        where=str(client.registry),
    )


def _entry(referrer: Manifest) -> Mapping[str, object]:
    """How the index names a referrer: with its artifact type and annotations, by which clients choose."""
    data = json.loads(referrer.body)
    config = data.get("config")
    kind = data.get("artifactType") or (
        config.get("mediaType") if isinstance(config, dict) else None
    )
    more = {"artifactType": kind, "annotations": data.get("annotations")}
    return {
        "mediaType": referrer.media_type,
        "digest": referrer.digest,
        "size": len(referrer.body),
        **{key: value for key, value in more.items() if value},
    }
