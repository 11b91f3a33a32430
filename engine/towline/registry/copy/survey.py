"""What one job of a copy finds at its source and targets, and what is to be done about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from towline.console import silent
from towline.errors import ConfigError, RegistryError, RegistryUnreachable, placed
from towline.http.client import Transport
from towline.image import Reference, Registry
from towline.parallel import in_parallel
from towline.record import compact, field, frozen, mutable, replace
from towline.registry.client import RegistryClient
from towline.registry.copy.job import (
    COPIED,
    DEMANDED,
    MOUNTED,
    SKIPPED,
    TAKEN,
    BlobReport,
    CopyJob,
    CopyReport,
    Moved,
)
from towline.registry.copy.plan import (
    CopyBlob,
    CopyPlan,
    ImageSource,
    ManifestTree,
    Route,
    TargetRepository,
    as_data,
    plan_copy,
    plan_tags,
    read_tree,
)
from towline.registry.copy.progress import Progress
from towline.registry.copy.referrers import AMISS, ListsReferrers, ReferrerLists, companions, spoils
from towline.registry.copy.stream import read_small
from towline.registry.manifest import (
    IMAGES,
    INDEXES,
    Descriptor,
    Manifest,
    check_platform,
    choose,
    select,
)
from towline.retry import poll_attempts

_SEEN = 4.0  # seconds until what a build has pushed is seen in its registry, at the latest
# seconds for a source that is needed for nothing but the question what refers to an image
_BRIEF = 10.0


@frozen
class Copying:
    """Between whom: the source, and the target registries by their origin; all requests go by the targets' one transport.

    `doubted` places get all of an image, whatever their tags say; `warn` takes a line for people.
    """

    source: ImageSource
    targets: Mapping[Registry, RegistryClient]
    progress: Progress
    dry_run: bool = False
    doubted: frozenset[TargetRepository] = frozenset()
    warn: Callable[[str], None] = silent

    @property
    def transport(self) -> Transport:
        """The targets' one transport."""
        return next(iter(self.targets.values())).transport


@mutable
class Holdings:
    """What is still to be brought to a place.

    A real run lets the registries say what they have when they are asked to take it; a dry run
    asks.
    """

    copying: Copying
    promised: set[tuple[TargetRepository, str]] = field(default_factory=set)

    def missing(self, place: TargetRepository, blobs: Sequence[Descriptor]) -> frozenset[str]:
        """Those that no plan has asked for yet, and that a dry run does not find; a doubted place has none of another size."""
        wanted = [blob for blob in blobs if (place, blob.digest) not in self.promised]
        if self.copying.dry_run:
            client, doubted = self.copying.targets[place.registry], place in self.copying.doubted
            there = in_parallel(
                lambda blob: client.has_blob(
                    place.repository, blob.digest, blob.size if doubted else -1
                ),
                wanted,
            )
            wanted = [blob for blob, known in zip(wanted, there, strict=True) if not known]
        self.promised.update((place, blob.digest) for blob in wanted)
        return frozenset(blob.digest for blob in wanted)


class Survey:
    """What one job finds at its source and targets, asked as late and as little as can be (facts/registry.md section 2.1)."""

    def __init__(self, job: CopyJob, copying: Copying) -> None:
        self._job = job
        self._copying = copying
        self._known = job.digest or (job.target if ":" in job.target else "")  # at the source
        self._root: Manifest | None = None
        self._tree: ManifestTree | None = None
        self._pending: tuple[Reference, ...] = ()
        self._held: dict[TargetRepository, Manifest] = {}
        self._heads: dict[Reference, Descriptor | None] = {}
        source, home = copying.source, {repository_of(target) for target in job.targets}
        within = isinstance(source, RegistryClient) and home == {
            TargetRepository(registry=source.registry, repository=job.repository)
        }
        self._lists = (
            self._lists_of(source)
            if job.referrers and isinstance(source, ListsReferrers) and not within
            else None
        )
        self._referred = False
        self.subjects: tuple[str, ...] = ()  # whose referrers were looked for
        self.companions: tuple[CopyJob, ...] = ()
        self.asked = False

    def __str__(self) -> str:
        return self._job.name

    def ask(self) -> None:
        """Find out the digest, and which targets do not have it; those that have the image but not the tag are believed to have all of it.

        Then what refers to the image, beside the questions that the image itself still needs.
        """
        self._look()
        beside: list[Callable[[], object]] = []
        now = self._lists is not None and self._root is not None
        if now:
            beside = [self._refer]
        elif self._lists and self._pending:  # which platforms there are says the manifest
            beside = [partial(self._lists.begin, self.digest)]
        in_parallel(lambda question: question(), [self._prepare, *beside])
        if not now:
            self._refer()

    def _look(self) -> None:
        questions: list[Callable[[], object]] = [
            partial(self._at_target, target) for target in self._job.targets
        ]
        if not self.digest or self._job.claimed:
            questions += [self._at_source, *([self._lists.read_tags] if self._lists else [])]
        in_parallel(lambda question: question(), questions)
        self._leave()
        doubted = self._copying.doubted
        self._pending = tuple(
            target
            for target in self._job.targets
            if self._digest_at(target) != self.digest or repository_of(target) in doubted
        )
        for target in self._pending:
            _check_digest(target, self.digest)

    def _leave(self) -> None:
        """Let targets have what they hold under a tag of cosign's, where that is more than what the source has: signatures of others are not replaced."""
        others = [
            target
            for target in self._job.targets
            if self._job.refers
            and target.image.tag
            and self._digest_at(target) not in ("", self.digest)
        ]
        left = {
            target
            for target, lost in zip(others, in_parallel(self._would_lose, others), strict=True)
            if lost
        }
        self._job = replace(
            self._job, targets=tuple(target for target in self._job.targets if target not in left)
        )

    def _would_lose(self, target: Reference) -> bool:
        """Whether the target's manifest has layers (each a signature) that the source's has not; told, unless the source's has nothing more."""
        ours = self._copying.source.get_manifest(self._job.repository, self.digest)
        theirs = self._copying.targets[target.registry].find_manifest(
            target.image.name, target.target
        )
        mine, there = (
            {blob.digest for blob in manifest.blobs[1:]} if manifest else set()
            for manifest in (ours, theirs)
        )
        if there <= mine:
            return False
        if not mine <= there:
            what = f"{target} holds other content than {self._job.name}, and stays as it is"
            if self._job.refers == DEMANDED:
                raise RegistryError(
                    what,
                    where=str(target.registry),
                    hint="copy it by hand, or leave it with copyReferrers: false",
                )
            self._copying.warn(what)
        return True

    def _prepare(self) -> None:
        """Read what the pending targets need."""
        believed = [
            target
            for target in self._pending
            if target.target != self.digest and repository_of(target) not in self._copying.doubted
        ]
        places = {place for target in believed if not self._mounts(place := repository_of(target))}
        self._held = {
            place: manifest
            for place, manifest in zip(
                places, in_parallel(self._holding, tuple(places)), strict=True
            )
            if manifest is not None
        }
        if any(repository_of(target) not in self._held for target in self._pending):
            self._read()

    def _refer(self) -> None:
        """Find what refers to the image and its parts at the source, where that is to travel with it."""
        if self._lists is None:
            return
        try:
            if self._pending or self.asked:
                self.companions = self._found(self._lists)
            else:
                self.companions = self._briefly()
            self._referred = True
            for about, fault in self._lists.amiss.items():
                how = "goes along in part" if about else "stays behind, except what a tag names"
                self._copying.warn(
                    f"what refers to {self._job.name} (signatures, attestations, SBOMs) {how}:"
                    f" {fault.message}"
                )
        # a staging registry that is gone is a fault where something of it is needed, and that will
        # tell
        except RegistryUnreachable as fault:
            if self._pending and self._job.referrers == DEMANDED:
                raise
            self._copying.warn(
                f"what refers to {self._job.name} (signatures, attestations, SBOMs) was not looked"
                f" for: {fault.message}"
            )
        except AMISS as fault:
            if self._job.referrers == DEMANDED or spoils(fault, self._copying.source):
                raise
            self._copying.warn(
                f"what refers to {self._job.name} (signatures, attestations, SBOMs) stays behind:"
                f" {fault.message}"
            )

    def _lists_of(self, source: ListsReferrers) -> ReferrerLists:
        return ReferrerLists(source, self._job.repository, wanted=self._job.referrers)

    def _briefly(self) -> tuple[CopyJob, ...]:
        """The same where the source is needed for nothing else: a registry is not waited for long."""
        assert self._lists is not None
        source = self._copying.source
        if not isinstance(source, RegistryClient):
            return self._found(self._lists)
        with source.transport.afresh(_BRIEF) as transport:
            self._lists = self._lists_of(source.by(transport))
            return self._found(self._lists)

    def _found(self, lists: ReferrerLists) -> tuple[CopyJob, ...]:
        self.subjects = self._subjects()
        return companions(self._job, self.subjects, lists)

    def _subjects(self) -> tuple[str, ...]:
        """The digests of the image and of its platforms; attestations inside an index are signed with that."""
        known = [
            head.media_type
            for head in self._heads.values()
            if head is not None and head.digest == self.digest
        ]
        if self._tree is None and known and known[0] in IMAGES:
            return (self.digest,)
        root = self._root or next(iter(self._held.values()), None)
        if root is None and not self._job.platforms:
            assert self._lists is not None
            root = self._lists.source.get_manifest(self._job.repository, self.digest)
        if root is None or any(child.media_type in INDEXES for child in root.children):
            self._read()
            assert self._tree is not None
            return tuple(manifest.digest for manifest, _ in self._tree.manifests)
        return (
            root.digest,
            *(
                child.digest
                for child in root.children
                if child.platform is None or child.platform.os != "unknown"
            ),
        )

    @property
    def settled(self) -> frozenset[TargetRepository]:
        """The places that have what the job brings by its digest alone, as what refers to another is stored."""
        return frozenset(
            repository_of(target)
            for target in self._job.targets
            if target not in self._pending and not target.image.tag
        )

    def renew(self, place: TargetRepository, subjects: Sequence[str]) -> None:
        """Bring it to a place once more, if it refers to one of these: then it is listed there for that."""
        self._read()
        if self._root and self._root.subject in subjects:
            self._pending += tuple(
                target for target in self._job.targets if repository_of(target) == place
            )

    def doubt(self) -> None:
        """Believe no target any more to have what it does not say that it has."""
        self._held = {}
        if self._pending:
            self._read()

    def plans(self, holdings: Holdings) -> tuple[CopyPlan, ...]:
        """What is to be done at each place that lacks something."""
        targets: dict[TargetRepository, list[str]] = {}
        for target in self._pending:
            targets.setdefault(repository_of(target), []).append(target.target)
        return tuple(
            self._plan(place, tuple(dict.fromkeys(wanted)), holdings)
            for place, wanted in targets.items()
        )

    def report(self, plans: Sequence[CopyPlan], moved: Mapping[CopyBlob, Moved]) -> CopyReport:
        """What the plans came to; `moved` is empty where they were not performed."""
        blobs = [
            _reported(
                blob.place,
                blob.digest,
                blob.size,
                moved.get(blob) or _way(MOUNTED if blob.mount_from else COPIED),
            )
            for plan in plans
            for blob in plan.blobs
        ]
        places = [repository_of(target) for target in self._pending]
        root = self._root or next(iter(self._held.values()), None)
        skipped = [
            _reported(place, blob.digest, blob.size, _way(SKIPPED))
            for place, plan in zip(dict.fromkeys(places), plans, strict=True)
            for blob in plan.skipped
        ]
        return CopyReport(
            job=self._job,
            digest=self.digest,
            whole=self._known if self._known != self.digest else "",
            platforms=tuple(str(platform) for platform in (root.platforms if root else ())),
            blobs=(*blobs, *skipped),
            tags_set=tuple(
                f"{put.place.repository}:{put.target}" for plan in plans for put in plan.tags
            ),
            source_asked=self.asked or self._referred,
            plan=tuple(entry for plan in plans for entry in as_data(plan)),
        )

    @property
    def goes(self) -> bool:
        """Whether there is a target for it."""
        return bool(self._job.targets)

    @property
    def optional(self) -> bool:
        """Whether it refers to an image, and that goes without it where it must."""
        return self._job.refers == TAKEN

    @property
    def digest(self) -> str:
        """The digest that the targets are to have; empty where only the source knows."""
        return (
            self._root.digest
            if self._root is not None
            else self._job.chosen or ("" if self._job.platforms else self._known)
        )

    def _plan(
        self, place: TargetRepository, targets: tuple[str, ...], holdings: Holdings
    ) -> CopyPlan:
        if place in self._held:
            plan = CopyPlan(tags=plan_tags(self._held[place], place, targets, believed=True))
        else:
            assert self._tree is not None
            plan = plan_copy(
                self._tree,
                Route(
                    source=self._job.repository,
                    place=place,
                    targets=targets,
                    mounts=self._mounts(place),
                ),
                holdings,
            )
        return replace(plan, refers=bool(self._job.refers), optional=self.optional)

    def _mounts(self, place: TargetRepository) -> bool:
        """Whether blobs can come from another repository of the place's own registry: then one question to each is all that is needed."""
        source = self._copying.source
        return (
            isinstance(source, RegistryClient)
            and source.registry == place.registry
            and self._job.repository != place.repository
        )

    def _at_target(self, target: Reference) -> None:
        self._heads[target] = self._copying.targets[target.registry].head_manifest(
            target.image.name, target.target
        )

    def _digest_at(self, target: Reference) -> str:
        """The digest that a target has now."""
        head = self._heads[target]
        return "" if head is None else head.digest

    def _at_source(self) -> None:
        """Find the source's image, of the wanted platforms."""
        self.asked = True
        source, job = self._copying.source, self._job
        root = self._wanted()
        self._known = root.digest
        with placed(job.name):
            if len(job.platforms) == 1 and root.children:
                root = source.get_manifest(job.repository, select(root, job.platforms[0]).digest)
            elif job.platforms and root.children:
                root = choose(root, job.platforms)
            elif job.platforms:
                self._check_platforms(root)
        self._root = root

    def _wanted(self) -> Manifest:
        """What the source has of that name; what a build has pushed just now, and is known by its digest, may need a moment to be seen."""
        source, job = self._copying.source, self._job
        if job.digest and not job.refers and isinstance(source, RegistryClient):
            for _ in poll_attempts(
                source.transport.clock, seconds=_SEEN, sleep=source.transport.wait
            ):
                if (found := source.find_manifest(job.repository, self._known)) is not None:
                    return found
        return source.get_manifest(job.repository, self._known or job.target)

    def _holding(self, place: TargetRepository) -> Manifest | None:
        """The image's manifest where the target has it, with its children where it is an index."""
        client = self._copying.targets[place.registry]
        if self._root is None:
            root = client.find_manifest(place.repository, self.digest)
        else:
            root = (
                self._root
                if client.head_manifest(place.repository, self.digest) is not None
                else None
            )
        children = root.children if root is not None else ()
        if not all(
            in_parallel(
                lambda child: client.head_manifest(place.repository, child.digest) is not None,
                children,
            )
        ):
            return None
        return root

    def _read(self) -> None:
        """The image with all that hangs on it, from the source."""
        if self._tree is None:
            if not self.asked:
                self._at_source()
            assert self._root is not None
            self._tree = read_tree(
                _Manifests(self._copying.source), self._job.repository, self._root
            )

    def _check_platforms(self, root: Manifest) -> None:
        """Raises ConfigError where an image is not for the wanted platforms, as far as its configuration says what it is for."""
        config = self._config(root)
        for platform in self._job.platforms:
            check_platform(config, platform)

    def _config(self, root: Manifest) -> bytes:
        config = root.blobs[0]
        blob = CopyBlob(
            source=self._job.repository,
            place=TargetRepository(registry=self._job.targets[0].registry, repository=""),
            digest=config.digest,
            size=config.size,
        )
        return read_small(blob, self._copying.source, clock=self._copying.transport.clock)


@compact
class _Manifests:
    """Several manifests of a source at once."""

    source: ImageSource

    def find_manifests(self, repository: str, digests: Sequence[str], /) -> Sequence[Manifest]:
        """Those of the digests, in their order."""
        return in_parallel(lambda digest: self.source.get_manifest(repository, digest), digests)


def _check_digest(target: Reference, digest: str) -> None:
    """Raises ConfigError for a target that names a digest other than the one that the image has, before anything moves; of another algorithm it may."""
    named = target.image.digest
    if named != digest and named.partition(":")[0] == digest.partition(":")[0]:
        raise ConfigError(
            f"the image has the digest {digest}, not that of {target}",
            hint="name the target by a tag, or by the image's own digest",
        )


def repository_of(target: Reference) -> TargetRepository:
    """The repository of a target."""
    return TargetRepository(registry=target.registry, repository=target.image.name)


def _way(how: str) -> Moved:
    return Moved(how=how, seconds=0.0, requests=0, retries=0)


def _reported(place: TargetRepository, digest: str, size: int, way: Moved) -> BlobReport:
    return BlobReport(
        registry=place.registry.host, repository=place.repository, digest=digest, size=size, way=way
    )
