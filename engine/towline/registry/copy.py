"""The verb that step, `copy` and `promote` share: bring images from one registry into another, doing only what is not done yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from towline.image import Platform, Reference
from towline.registry.client import RegistryClient
from towline.registry.manifest import Descriptor, Manifest, select
from towline.registry.parallel import in_parallel
from towline.registry.plan import CopyBlob, Plan, Route, Tree, as_data, plan_copy, plan_tags, read_tree
from towline.registry.transfer import Transfer


@dataclass(frozen=True, kw_only=True)
class CopyJob:
    """One image: where it is, and the references (of one registry, each with a tag) that it gets.

    `digest` is the one the source is known to have, where it is known: targets that have it need no source, and a tag that has moved on does not matter.
    `platform` takes one platform's image out of an index.
    """

    source: Reference
    targets: tuple[Reference, ...]
    digest: str = ""
    platform: Platform | None = None


@dataclass(frozen=True, kw_only=True)
class CopyReport:
    """What was done for one job (under `dry_run`: what would be); counts are of blobs, `bytes_*` of their bytes."""

    job: CopyJob
    digest: str
    platforms: tuple[str, ...]
    copied: int
    mounted: int
    skipped: int
    bytes_moved: int
    bytes_skipped: int
    tags_set: tuple[str, ...]
    source_asked: bool
    plan: tuple[Mapping[str, object], ...]

    @property
    def changed(self) -> bool:
        """Whether anything was to be done."""
        return bool(self.plan)


def copy_images(jobs: Sequence[CopyJob], *, source: RegistryClient, target: RegistryClient, dry_run: bool = False) -> tuple[CopyReport, ...]:
    """Plan all jobs, then perform them as one; blobs that several jobs need in one repository move once. No tag is set before everything else is there.

    Raises RegistryUnreachable, CredentialError, DigestMismatch, RegistryError, and ConfigError (the platform is not there).
    """
    holdings = _Holdings(target)
    prepared = [_Prepared(job, source, target, holdings) for job in jobs]
    plans = [plan for entry in prepared for plan in entry.plans]
    mounted = {} if dry_run else Transfer(source, target).perform(plans)
    return tuple(entry.report(mounted) for entry in prepared)


class _Wanted:
    """What one job is about; asks the source as late as it can, and remembers."""

    def __init__(self, job: CopyJob, source: RegistryClient) -> None:
        self._job = job
        self._source = source
        self._repository = job.source.image.name
        self._known = job.digest or job.source.image.digest
        self._tree: Tree | None = None
        self.asked = False

    def digest(self) -> str:
        """The digest that the targets are to have."""
        if self._job.platform is not None:
            return self.tree().root.digest
        if not self._known:
            self.asked = True
            head = self._source.head_manifest(self._repository, self._job.source.target)
            self._known = self._root(self._job.source.target).digest if head is None else head.digest
        return self._known

    def tree(self) -> Tree:
        """The image with all that hangs on it, from the source."""
        if self._tree is None:
            root = self._root(self._known or self._job.source.target)
            if self._job.platform is not None and root.children:
                root = self._root(select(root, self._job.platform).digest)
            tree = read_tree(_Strict(self._source), self._repository, root)
            assert tree is not None
            self._tree = tree
        return self._tree

    def _root(self, target: str) -> Manifest:
        self.asked = True
        return self._source.get_manifest(self._repository, target)


class _Strict:
    """Manifests of a source, where a missing one is a fault."""

    def __init__(self, source: RegistryClient) -> None:
        self._source = source

    def find_manifest(self, repository: str, target: str) -> Manifest:
        """The manifest, or RegistryError."""
        return self._source.get_manifest(repository, target)


class _Holdings:
    """What the target's repositories have, or will have when the plans so far are performed."""

    def __init__(self, target: RegistryClient) -> None:
        self._target = target
        self._promised: set[tuple[str, str]] = set()

    def missing(self, repository: str, digests: Sequence[str]) -> frozenset[str]:
        """Those that neither are there nor were asked for before."""
        open_questions = [digest for digest in digests if (repository, digest) not in self._promised]
        there = in_parallel(lambda digest: self._target.has_blob(repository, digest), open_questions)
        found = frozenset(digest for digest, known in zip(open_questions, there, strict=True) if not known)
        self._promised.update((repository, digest) for digest in found)
        return found


class _Prepared:
    """One job with its plans, one for each repository that it goes to."""

    def __init__(self, job: CopyJob, source: RegistryClient, target: RegistryClient, holdings: _Holdings) -> None:
        self._job = job
        self._target = target
        self._mounts = source.registry == target.registry
        self._wanted = _Wanted(job, source)
        self._root: Manifest | None = None
        self.plans = tuple(self._plan(route, holdings) for route in self._routes())

    def _routes(self) -> list[Route]:
        names = dict.fromkeys(target.image.name for target in self._job.targets)
        tags = {name: dict.fromkeys(t.image.tag for t in self._job.targets if t.image.name == name) for name in names}
        return [Route(source=self._job.source.image.name, repository=name, tags=tuple(tags[name]), mounts=self._mounts) for name in names]

    def _plan(self, route: Route, holdings: _Holdings) -> Plan:
        digest = self._wanted.digest()
        heads = {tag: self._target.head_manifest(route.repository, tag) for tag in route.tags}
        root = self._target.find_manifest(route.repository, digest)
        tree = None if root is None else read_tree(self._target, route.repository, root)
        if tree is None:
            tree = self._wanted.tree()
            self._root = tree.root
            return plan_copy(tree, route, holdings)
        self._root = tree.root
        pending = [tag for tag, head in heads.items() if head is None or head.digest != digest]
        repair = plan_copy(tree, route, holdings) if pending else Plan()  # a registry may have lost blobs and kept their manifests
        if repair.blobs:
            self._wanted.asked = True
            return repair
        return Plan(tags=plan_tags(tree.root, route.repository, pending), skipped=tree.blobs)

    def report(self, mounted: Mapping[CopyBlob, bool]) -> CopyReport:
        """What the plans came to; `mounted` says it of the blobs that were performed."""
        blobs = [blob for plan in self.plans for blob in plan.blobs]
        skipped: list[Descriptor] = [blob for plan in self.plans for blob in plan.skipped]
        copied = [blob for blob in blobs if not mounted.get(blob, bool(blob.mount_from))]
        return CopyReport(
            job=self._job, digest=self._wanted.digest(), platforms=tuple(str(platform) for platform in (self._root.platforms if self._root else ())),
            copied=len(copied), mounted=len(blobs) - len(copied), skipped=len(skipped),
            bytes_moved=sum(blob.size for blob in copied), bytes_skipped=sum(blob.size for blob in skipped),
            tags_set=tuple(f"{put.repository}:{put.target}" for plan in self.plans for put in plan.tags),
            source_asked=self._wanted.asked, plan=tuple(entry for plan in self.plans for entry in as_data(plan)),
        )
