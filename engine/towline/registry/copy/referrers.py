"""The referrers of an image: signatures, attestations and SBOMs, as further jobs of its copy.

They are found by the registry's lists (OCI distribution-spec 1.1, "Listing Referrers"), by the tags
that stand for such a list, and by cosign's older tags.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar, runtime_checkable

from towline.errors import (
    ConfigError,
    CredentialError,
    DigestMismatch,
    RegistryError,
    RegistryUnreachable,
    TowlineError,
)
from towline.image import Reference, Repository
from towline.record import mutable, replace
from towline.registry.client import RegistryClient
from towline.registry.copy.job import NOT_COPIED, OPTIONAL, REQUIRED, CopyJob
from towline.registry.errors import NoReferrersApi
from towline.registry.manifest import Descriptor, Manifest
from towline.registry.parallel import in_parallel
from towline.registry.source import ImageSource

_COSIGN_SUFFIXES = ("sig", "att", "sbom")
_LEVELS, _MOST_REFERRERS = 3, 1000
_HINT = "remove what is not needed, or leave out copyReferrers: true, then that is a warning"
_HINT_REFUSED = "run it again; if it stays so, see what the registry or a proxy before it refuses"
_HINT_FORBIDDEN = (
    "give the login the right to read referrers; if the registry does not support them, leave out"
    " copyReferrers: true, then that is a warning"
)
# the faults that a single referrer may have
REFERRER_FAULTS = (RegistryError, CredentialError, ConfigError)
_T = TypeVar("_T")
# the list of a manifest's referrers; None if there is no list, or the fault of the question
_Answer = tuple[Descriptor, ...] | TowlineError | None


@runtime_checkable
class ListsReferrers(ImageSource, Protocol):
    """A source that knows the referrers of its manifests: a registry, or an OCI layout."""

    def find_manifest(self, reference: Reference, /) -> Manifest | None:
        """The manifest of a reference, checked; None if it does not exist."""

    def referrers(self, repository: Repository, digest: str, /) -> tuple[Descriptor, ...] | None:
        """The source's own list of a manifest's referrers, None if it has none for this one.

        Raises NoReferrersApi if the source keeps no lists.
        """

    def tags(self, repository: Repository, /) -> frozenset[str] | None:
        """All tags, None if they are not known."""


def concerns_image(fault: TowlineError, source: ImageSource) -> bool:
    """Whether a referrer's fault (one of REFERRER_FAULTS) also stops the copy of the image.

    A registry does so that cannot be reached, or that sends other content than a digest says. A
    damaged file of a layout concerns that file alone.
    """
    return isinstance(fault, RegistryUnreachable) or (
        isinstance(fault, DigestMismatch) and isinstance(source, RegistryClient)
    )


@mutable
class ReferrersApi:
    """What the answers to all jobs of a copy have shown of the source's referrers API.

    Shared by the threads of a copy: a field is set to True, and never back.
    """

    works: bool = False  # the source has answered with the list of some manifest
    # a tag lists the referrers of a manifest whose own list was forbidden: 403 means "no such API"
    replaced_by_tags: bool = False


class ReferrerLists:
    """The lists of referrers in one repository of `source`, from all three places; thread-safe.

    As few questions as possible: one answer with all tags says which of the tags exist. `wanted`
    says what becomes of a referrer that is listed and cannot be read: REQUIRED raises the fault,
    NOT_COPIED ignores it, OPTIONAL keeps it in `faults`, under the tag it is about, or under "" for
    a list that the registry refuses. `api` is shared with the other lists of the same source. If a
    list is refused although the source gives others, that is a fault; `defers`: the caller looks at
    `contradicted` instead, once all lists of the source are asked for.
    """

    def __init__(
        self,
        source: ListsReferrers,
        repository: Repository,
        *,
        wanted: str = NOT_COPIED,
        api: ReferrersApi | None = None,
        defers: bool = False,
    ) -> None:
        self.source = source
        self._repository = repository
        self._tags: frozenset[str] | None = None
        self._tags_read = False
        self._api = api or ReferrersApi()
        self._defers = defers
        self._none_listed = False  # the questions so far brought no list
        self._assumed = False  # a list was refused, or not asked for, as if there were no API
        self._forbidden: list[NoReferrersApi] = []
        self._wanted = wanted
        self.faults: dict[str, TowlineError] = {}
        self._begun: dict[str, _Answer] = {}

    def read_tags(self) -> None:
        """Ask once which tags exist."""
        if not self._tags_read:
            self._tags, self._tags_read = self.source.tags(self._repository), True

    def begin(self, digest: str) -> None:
        """Ask for the referrers of a manifest in advance; a question that fails is asked again."""
        with contextlib.suppress(*REFERRER_FAULTS):
            self._begun[digest] = self._asked([digest])[digest]

    def referrers(self, digests: Sequence[str]) -> list[Descriptor]:
        """The referrers of these manifests, by the registry's lists or by tag.

        Raises the errors of the registry family.
        """
        answers = self._asked(digests)
        lists = [answer for answer in answers.values() if isinstance(answer, tuple)]
        self._note(has_list=bool(lists))
        for answer in answers.values():
            if isinstance(answer, NoReferrersApi):
                self._judge_refusal(answer)
            elif isinstance(answer, TowlineError):
                self.leave_behind("", answer)
        without = [digest for digest, answer in answers.items() if not isinstance(answer, tuple)]
        tags = [referrers_tag(digest) for digest in without]
        by_tag = self._by_tag(
            self.source.find_manifest, [tag for tag in tags if self._may_have(tag)]
        )
        self._note_forbidden(answers, by_tag)
        found = [entry for listed in lists for entry in listed]
        return found + [entry for manifest in by_tag.values() for entry in manifest.children]

    def keeps(self, digest: str) -> bool:
        """Whether the registry keeps lists of referrers itself; asks for that of `digest`."""
        return self._own_list(digest) is not None

    def now(self, digest: str) -> Sequence[Descriptor]:
        """The referrers of a manifest at this moment.

        The tag is always asked for: one that was just stored is not in the tags read before.
        """
        own = self._own_list(digest)
        if own is not None:
            return own
        found = self.source.find_manifest(self._repository.reference(referrers_tag(digest)))
        return found.children if found else ()

    def cosign_tags(self, digests: Sequence[str]) -> Mapping[str, str]:
        """The cosign tags of these manifests that exist, each with its digest."""
        tags = [
            f"{referrers_tag(digest)}.{suffix}" for digest in digests for suffix in _COSIGN_SUFFIXES
        ]
        heads = self._by_tag(
            self.source.head_manifest, [tag for tag in tags if self._may_have(tag)]
        )
        return {tag: head.digest for tag, head in heads.items()}

    @property
    def contradicted(self) -> bool:
        """Whether lists were given up as if there were no API, and the source has one."""
        return self._assumed and self._api.works

    def check_forbidden(self) -> None:
        """Leave behind the referrers whose list is forbidden (403) and that no tag lists either.

        Called when all jobs are answered: a registry without the API may answer 403 as well
        (facts 3.3), and shows that by a tag in place of a list that it has forbidden.
        """
        if self._forbidden and not self._api.replaced_by_tags:
            fault = self._forbidden[0]
            message = f"{fault.message}, and no tag lists them"
            self.leave_behind("", CredentialError(message, where=fault.where, hint=_HINT_FORBIDDEN))

    def leave_behind(self, about: str, fault: TowlineError) -> None:
        """Raise, keep or ignore the fault of a referrer that cannot be copied, as `wanted` says."""
        if self._wanted == REQUIRED:
            raise fault
        if self._wanted == OPTIONAL:
            self.faults.setdefault(about, fault)

    def _asked(self, digests: Sequence[str]) -> Mapping[str, _Answer]:
        """The registry's own lists, unless it is known to keep none.

        A single answer that it keeps none may come from a proxy.
        """
        unasked = [
            digest
            for digest in dict.fromkeys(digests)
            if digest not in self._begun and not self._skips_question()
        ]
        questions: list[Callable[[], _Answer]] = [
            self.read_tags,
            *(partial(self._list_of, digest) for digest in unasked),
        ]
        _, *answers = in_parallel(lambda question: question(), questions)
        found = {**self._begun, **dict(zip(unasked, answers, strict=True))}
        return {digest: found.get(digest) for digest in digests}

    def _own_list(self, digest: str) -> tuple[Descriptor, ...] | None:
        answer = None if self._skips_question() else self._list_of(digest)
        found = answer if isinstance(answer, tuple) else None
        if isinstance(answer, TowlineError) and not isinstance(answer, NoReferrersApi):
            self.leave_behind("", answer)
        self._note(has_list=found is not None)
        return found

    def _skips_question(self) -> bool:
        """Whether a list is not asked for, because the source seems to have no API."""
        if self._none_listed and not self._api.works:
            self._assumed = True
        return self._none_listed and not self._api.works

    def _note(self, *, has_list: bool) -> None:
        """Remember whether the source has answered with a list."""
        if has_list:
            self._api.works = True
        else:
            self._none_listed = True

    def _judge_refusal(self, answer: NoReferrersApi) -> None:
        """A fault if the source lists the referrers of other manifests, else "no such API"."""
        if self._api.works and not self._defers:
            message = f"{answer.message}, and lists the referrers of others"
            self.leave_behind("", RegistryError(message, where=answer.where, hint=_HINT_REFUSED))
        else:
            self._assumed = True

    def _note_forbidden(
        self, answers: Mapping[str, _Answer], by_tag: Mapping[str, Manifest]
    ) -> None:
        """Remember the lists that were forbidden, and whether a tag takes the place of one."""
        for digest, answer in answers.items():
            if isinstance(answer, NoReferrersApi) and answer.forbidden:
                self._forbidden.append(answer)
                if referrers_tag(digest) in by_tag:
                    self._api.replaced_by_tags = True

    def _list_of(self, digest: str) -> _Answer:
        try:
            return self._answer(partial(self.source.referrers, self._repository, digest))
        except NoReferrersApi as fault:
            return fault

    def _by_tag(
        self, question: Callable[[Reference], _T | None], tags: Sequence[str]
    ) -> Mapping[str, _T]:
        """The answers to a question about each of these tags; a tag that is listed has to exist."""
        found: dict[str, _T] = {}
        answers = in_parallel(
            lambda tag: self._answer(partial(question, self._repository.reference(tag))), tags
        )
        for tag, answer in zip(tags, answers, strict=True):
            if isinstance(answer, TowlineError):
                self.leave_behind(tag, answer)
            elif answer is not None:
                found[tag] = answer
            elif self._tags is not None:
                message = f"the {self.source} lists the tag {tag}, but has no such tag"
                self.leave_behind(tag, RegistryError(message))
        return found

    def _answer(self, question: Callable[[], _T]) -> _T | TowlineError:
        """The answer to a question, or its fault if the copy can go on without the answer."""
        try:
            return question()
        except REFERRER_FAULTS as fault:
            if self._wanted != OPTIONAL or concerns_image(fault, self.source):
                raise
            return fault

    def _may_have(self, tag: str) -> bool:
        """Whether the tag may exist."""
        return self._tags is None or tag in self._tags


def referrers_tag(digest: str) -> str:
    """The tag of the list of a manifest's referrers, in a registry that keeps no lists itself.

    Source: distribution-spec 1.1, "Referrers Tag Schema".
    """
    return digest.replace(":", "-")


def referrer_jobs(
    job: CopyJob, digests: Iterable[str], lists: ReferrerLists
) -> tuple[CopyJob, ...]:
    """A job for each referrer of the manifests `digests` of a job's image, and of these referrers.

    Each goes to all repositories of the job. Raises the errors of the registry family, and
    RegistryError for more than 1000 referrers.
    """
    found: dict[str, CopyJob] = {}
    level = list(dict.fromkeys(digests))
    for _ in range(_LEVELS):
        fresh = [entry.digest for entry in lists.referrers(level) if entry.digest not in found]
        found.update({digest: _job(job, digest, "") for digest in fresh})
        for tag, digest in lists.cosign_tags(level).items():
            found[tag] = _job(job, digest, tag)
        if len(found) > _MOST_REFERRERS:
            raise RegistryError(
                f"more than {_MOST_REFERRERS} referrers are listed for the image",
                where=job.name,
                hint=_HINT,
            )
        level = list(dict.fromkeys(fresh))
        if not level:
            return tuple(found.values())
    deeper = [entry.digest for entry in lists.referrers(level) if entry.digest not in found]
    deeper += lists.cosign_tags(level)
    if deeper:
        message = f"at most {_LEVELS} levels of referrers are copied, and {deeper[0]} is deeper"
        lists.leave_behind("deeper", RegistryError(message, where=job.name, hint=_HINT))
    return tuple(found.values())


def _job(job: CopyJob, digest: str, tag: str) -> CopyJob:
    """The job of a referrer: by its digest, and under its tag if it has one."""
    repositories = dict.fromkeys(target.repository for target in job.targets)
    return replace(
        job,
        source=job.source.repository.reference(digest),
        digest=digest,
        claimed=False,
        name=f"{job.name}, {tag or digest}",
        targets=tuple(repository.reference(tag or digest) for repository in repositories),
        platforms=(),
        chosen="",
        referrers=NOT_COPIED,
        as_referrer=job.referrers,
    )
