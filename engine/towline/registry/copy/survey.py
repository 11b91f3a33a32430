"""What one job of a copy finds at its source and targets, and the plans that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from towline.errors import ConfigError, RegistryError, RegistryUnreachable
from towline.image import Reference, Repository
from towline.record import replace
from towline.registry.client import RegistryClient
from towline.registry.copy.copying import Copying, PlannedBlobs
from towline.registry.copy.job import (
    COPIED,
    MOUNTED,
    OPTIONAL,
    REQUIRED,
    SKIPPED,
    BlobOutcome,
    BlobReport,
    CopyJob,
    CopyReport,
)
from towline.registry.copy.plan import CopyBlob, CopyPlan, as_data, plan_copy, plan_tags
from towline.registry.copy.referrers import (
    REFERRER_FAULTS,
    ListsReferrers,
    ReferrerLists,
    ReferrersApi,
    concerns_image,
    referrer_jobs,
)
from towline.registry.copy.source_image import SourceImage
from towline.registry.manifest import IMAGES, INDEXES, Descriptor, Manifest
from towline.registry.parallel import in_parallel

# seconds for a source that is asked for nothing but the referrers of the image
_SECONDS_FOR_REFERRERS = 10.0


class Survey:
    """The questions of one job to its source and targets, as few and as late as possible.

    The reasons are in facts/registry.md, section 2.1. `api` is shared by all jobs of a copy.
    """

    def __init__(self, job: CopyJob, copying: Copying, api: ReferrersApi | None = None) -> None:
        self._job = job
        self._api = api
        self._settling = False  # all jobs have asked for their lists of referrers
        self._copying = copying
        self._image = SourceImage(job, copying)
        self._pending: tuple[Reference, ...] = ()  # targets that do not have the digest
        self._present: dict[Repository, Manifest] = {}  # repositories that have the image
        self._heads: dict[Reference, Descriptor | None] = {}
        source = copying.source
        repositories = {target.repository for target in job.targets}
        within = repositories == {job.source.repository}
        self._lists = (
            self._lists_of(source)
            if job.referrers and isinstance(source, ListsReferrers) and not within
            else None
        )
        self._referrers_found = False
        self.subjects: tuple[str, ...] = ()  # the digests whose referrers were looked for
        self.referrer_jobs: tuple[CopyJob, ...] = ()

    def __str__(self) -> str:
        return self._job.name

    def ask(self) -> None:
        """Find the digest, the targets that do not have it, and the image's referrers.

        A target that has the digest without the tag is assumed to have the whole image. The
        referrers are looked for at the same time as the manifests that the targets still need.
        """
        self._compare_targets()
        questions: list[Callable[[], object]] = [self._prepare]
        at_once = self._lists is not None and self._image.root is not None
        if at_once:
            questions.append(self._find_referrers)
        elif self._lists and self._pending:  # the manifest says which platforms there are
            questions.append(partial(self._lists.begin, self.digest))
        in_parallel(lambda question: question(), questions)
        if not at_once:
            self._find_referrers()

    def _compare_targets(self) -> None:
        """Ask for the digest of each target, and of the source if it is not known."""
        questions: list[Callable[[], object]] = [
            partial(self._ask_target, target) for target in self._job.targets
        ]
        if not self.digest or self._job.claimed:
            questions.append(self._image.find)
            if self._lists:
                questions.append(self._lists.read_tags)
        in_parallel(lambda question: question(), questions)
        self._drop_fuller_targets()
        doubted = self._copying.doubted
        self._pending = tuple(
            target
            for target in self._job.targets
            if self._digest_at(target) != self.digest or target.repository in doubted
        )
        for target in self._pending:
            _check_digest(target, self.digest)

    def _drop_fuller_targets(self) -> None:
        """Leave out the targets whose cosign tag holds more than the source's.

        Signatures of others are not replaced.
        """
        others = [
            target
            for target in self._job.targets
            if self._job.as_referrer
            and target.image.tag
            and self._digest_at(target) not in ("", self.digest)
        ]
        fuller = in_parallel(self._holds_more, others)
        dropped = {target for target, more in zip(others, fuller, strict=True) if more}
        kept = tuple(target for target in self._job.targets if target not in dropped)
        self._job = replace(self._job, targets=kept)

    def _holds_more(self, target: Reference) -> bool:
        """Whether the target has layers (each is a signature) that the source does not have.

        If the source has layers besides that the target does not have, that is a warning, or a
        RegistryError if the referrers are DEMANDED.
        """
        ours = self._copying.source.get_manifest(self._reference)
        theirs = self._copying.targets[target.registry].find_manifest(target)
        source_layers = {blob.digest for blob in ours.blobs[1:]}
        target_layers = {blob.digest for blob in theirs.blobs[1:]} if theirs else set()
        if target_layers <= source_layers:
            return False
        if not source_layers <= target_layers:
            message = f"{target} holds other content than {self._job.name}, and stays as it is"
            if self._job.as_referrer == REQUIRED:
                raise RegistryError(
                    message,
                    where=str(target.registry),
                    hint="copy it by hand, or leave it with copyReferrers: false",
                )
            self._copying.warn(message)
        return True

    def _prepare(self) -> None:
        """Find the repositories that have the image, and read it for those that do not."""
        asked = {
            target.repository
            for target in self._pending
            if target.target != self.digest
            and target.repository not in self._copying.doubted
            and not self._mounts(target.repository)
        }
        repositories = tuple(asked)
        manifests = in_parallel(self._manifest_at, repositories)
        self._present = {
            repository: manifest
            for repository, manifest in zip(repositories, manifests, strict=True)
            if manifest is not None
        }
        if any(target.repository not in self._present for target in self._pending):
            self._image.read()

    def _find_referrers(self) -> None:
        """Find the referrers of the image and its platforms at the source, if they are wanted."""
        if self._lists is None:
            return
        try:
            if self._pending or self._image.asked:
                self.referrer_jobs = self._find_jobs(self._lists)
            else:
                self.referrer_jobs = self._find_jobs_soon()
            self._referrers_found = True
        # if the staging registry is gone but still needed, another request fails and says so
        except RegistryUnreachable as fault:
            if self._pending and self._job.referrers == REQUIRED:
                raise
            self._warn("were not looked for", fault)
        except REFERRER_FAULTS as fault:
            if self._job.referrers == REQUIRED or concerns_image(fault, self._copying.source):
                raise
            self._warn("stay behind", fault)

    def settle_referrers(self) -> None:
        """Judge the lists of referrers that the source has refused; warn of what stays behind.

        Called when all jobs have asked: only then it is known whether the source gives other lists.
        A list that it refused is then asked for once more. Raises the errors of the registry
        family if the referrers are REQUIRED.
        """
        if self._lists is None or not self._referrers_found:
            return
        self._settling = True
        source = self._copying.source
        if self._lists.contradicted and isinstance(source, ListsReferrers):
            self._lists = self._lists_of(source)
            self._find_referrers()
        self._lists.check_forbidden()
        for kind, fault in self._lists.faults.items():
            how = "are copied in part" if kind else "stay behind, except those that a tag names"
            self._warn(how, fault)

    def _warn(self, what: str, fault: Exception) -> None:
        message = getattr(fault, "message", str(fault))
        self._copying.warn(
            f"the referrers of {self._job.name} (signatures, attestations, SBOMs) {what}: {message}"
        )

    def _lists_of(self, source: ListsReferrers) -> ReferrerLists:
        return ReferrerLists(
            source,
            self._job.source.repository,
            wanted=self._job.referrers,
            api=self._api,
            defers=not self._settling,
        )

    def _find_jobs_soon(self) -> tuple[CopyJob, ...]:
        """The jobs of the referrers, from a registry that nothing else is needed of.

        It is not waited for long.
        """
        assert self._lists is not None
        source = self._copying.source
        if not isinstance(source, RegistryClient):
            return self._find_jobs(self._lists)
        with source.transport.short_lived(_SECONDS_FOR_REFERRERS) as transport:
            self._lists = self._lists_of(source.by(transport))
            return self._find_jobs(self._lists)

    def _find_jobs(self, lists: ReferrerLists) -> tuple[CopyJob, ...]:
        self.subjects = self._find_subjects(lists)
        return referrer_jobs(self._job, self.subjects, lists)

    def _find_subjects(self, lists: ReferrerLists) -> tuple[str, ...]:
        """The digests of the image and of its platforms.

        Attestations inside an index have no referrers of their own: the index is what is signed.
        """
        media_types = [
            head.media_type
            for head in self._heads.values()
            if head is not None and head.digest == self.digest
        ]
        if not self._image.was_read and media_types and media_types[0] in IMAGES:
            return (self.digest,)
        root = self._image.root or next(iter(self._present.values()), None)
        if root is None and not self._job.platforms:
            root = lists.source.get_manifest(self._reference)
        if root is None or any(child.media_type in INDEXES for child in root.children):
            return tuple(manifest.digest for manifest, _ in self._image.read().manifests)
        platforms = [
            child.digest
            for child in root.children
            if child.platform is None or child.platform.os != "unknown"
        ]
        return (root.digest, *platforms)

    @property
    def current_repositories(self) -> frozenset[Repository]:
        """The repositories that have the image by its digest alone, as most referrers are."""
        return frozenset(
            target.repository
            for target in self._job.targets
            if target not in self._pending and not target.image.tag
        )

    def store_again(self, repository: Repository, subjects: Sequence[str]) -> None:
        """Store a referrer of one of `subjects` once more, so that its repository lists it."""
        self._image.read()
        if self._image.root and self._image.root.subject in subjects:
            self._pending += tuple(
                target for target in self._job.targets if target.repository == repository
            )

    def assume_nothing(self) -> None:
        """Plan from now on as if the pending targets had no part of the image."""
        self._present = {}
        if self._pending:
            self._image.read()

    def plans(self, planned: PlannedBlobs) -> tuple[CopyPlan, ...]:
        """A plan for each repository that lacks something."""
        targets: dict[Repository, list[Reference]] = {}
        for target in self._pending:
            targets.setdefault(target.repository, []).append(target)
        return tuple(self._plan(several, planned) for several in targets.values())

    def report(
        self, plans: Sequence[CopyPlan], moved: Mapping[CopyBlob, BlobOutcome]
    ) -> CopyReport:
        """The report on the job's plans; `moved` is empty if they were not performed."""
        blobs = [
            BlobReport(
                repository=blob.repository,
                digest=blob.digest,
                size=blob.size,
                outcome=moved.get(blob) or _at_no_cost(MOUNTED if blob.mount_from else COPIED),
            )
            for plan in plans
            for blob in plan.blobs
        ]
        repositories = dict.fromkeys(target.repository for target in self._pending)
        skipped = [
            BlobReport(
                repository=repository,
                digest=blob.digest,
                size=blob.size,
                outcome=_at_no_cost(SKIPPED),
            )
            for repository, plan in zip(repositories, plans, strict=True)
            for blob in plan.skipped
        ]
        root = self._image.root or next(iter(self._present.values()), None)
        return CopyReport(
            job=self._job,
            digest=self.digest,
            chosen_from=self._image.chosen_from,
            platforms=tuple(str(platform) for platform in (root.platforms if root else ())),
            blobs=(*blobs, *skipped),
            tags_set=tuple(
                f"{put.reference.image.name}:{put.reference.target}"
                for plan in plans
                for put in plan.tags
            ),
            source_asked=self._image.asked or self._referrers_found,
            plan=tuple(entry for plan in plans for entry in as_data(plan)),
        )

    @property
    def has_targets(self) -> bool:
        """Whether there is a target left."""
        return bool(self._job.targets)

    @property
    def optional(self) -> bool:
        """Whether this is a referrer that may stay behind if it cannot be copied."""
        return self._job.as_referrer == OPTIONAL

    @property
    def digest(self) -> str:
        """The digest that the targets are to have; empty as long as only the source knows it."""
        return self._image.digest

    @property
    def _reference(self) -> Reference:
        """The image in the source, by its digest."""
        return self._job.source.repository.reference(self.digest)

    def _plan(self, targets: Sequence[Reference], planned: PlannedBlobs) -> CopyPlan:
        """The plan for the targets of one repository."""
        repository = targets[0].repository
        if repository in self._present:
            tags = plan_tags(self._present[repository], targets, assumed_present=True)
            plan = CopyPlan(tags=tags)
        else:
            plan = plan_copy(
                self._image.read(),
                targets,
                source=self._job.source.repository,
                mounts=self._mounts(repository),
                planned=planned,
            )
        return replace(plan, of_referrer=bool(self._job.as_referrer), optional=self.optional)

    def _mounts(self, repository: Repository) -> bool:
        """Whether blobs can be mounted from the source, another repository of the same registry.

        Then one request for each blob is enough, whether it is there or not.
        """
        source = self._job.source.repository
        return source.registry == repository.registry and source != repository

    def _ask_target(self, target: Reference) -> None:
        self._heads[target] = self._copying.targets[target.registry].head_manifest(target)

    def _digest_at(self, target: Reference) -> str:
        """The digest that a target has now."""
        head = self._heads[target]
        return "" if head is None else head.digest

    def _manifest_at(self, repository: Repository) -> Manifest | None:
        """The image's manifest, if the repository has it, and all children of an index."""
        client = self._copying.targets[repository.registry]
        reference = repository.reference(self.digest)
        root = self._image.root
        if root is None:
            root = client.find_manifest(reference)
        elif client.head_manifest(reference) is None:
            root = None
        if root is None:
            return None
        children = [repository.reference(child.digest) for child in root.children]
        heads = in_parallel(client.head_manifest, children)
        return None if None in heads else root


def _check_digest(target: Reference, digest: str) -> None:
    """Raise ConfigError if a target names another digest than the image has, before anything moves.

    A digest of another algorithm may differ.
    """
    named = target.image.digest
    if named != digest and named.partition(":")[0] == digest.partition(":")[0]:
        raise ConfigError(
            f"the image has the digest {digest}, not that of {target}",
            hint="name the target by a tag, or by the image's own digest",
        )


def _at_no_cost(how: str) -> BlobOutcome:
    return BlobOutcome(how=how, seconds=0.0, requests=0, retries=0)
