"""Copies images from a source into registries, doing only what is not done yet.

Both steps and `towline copy` use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from towline.record import replace
from towline.registry.copy.copying import Copying, PlannedBlobs
from towline.registry.copy.early_uploads import EarlyUploads
from towline.registry.copy.job import OPTIONAL, BlobOutcome, CopyJob, CopyReport
from towline.registry.copy.plan import CopyBlob, CopyPlan
from towline.registry.copy.referrers import (
    REFERRER_FAULTS,
    ReferrerLists,
    ReferrersApi,
    concerns_image,
)
from towline.registry.copy.survey import Survey
from towline.registry.copy.transfer import Transfer
from towline.registry.errors import ManifestIncomplete
from towline.registry.parallel import deadline_check, in_parallel

_Plans = Sequence[tuple[CopyPlan, ...]]  # the plans of each survey


def copy_images(jobs: Sequence[CopyJob], copying: Copying) -> tuple[CopyReport, ...]:
    """Plan all jobs, then perform them as one; returns a report on each.

    A blob that several jobs need is moved once, and no tag is set before everything else is there.
    The referrers of an image come before its tag; one that is OPTIONAL and cannot be copied is a
    warning. Raises RegistryUnreachable, CredentialError, DigestMismatch, RegistryError, ConfigError
    (the image has no such platform) and the errors of the source.
    """
    with EarlyUploads(jobs, copying) as early:
        return _copied(jobs, copying, early)


def _copied(
    jobs: Sequence[CopyJob], copying: Copying, early: EarlyUploads
) -> tuple[CopyReport, ...]:
    api, check = ReferrersApi(), deadline_check(copying.transport)
    surveys = [Survey(job, copying, api) for job in jobs]
    in_parallel(Survey.ask, surveys, tick=check)
    in_parallel(Survey.settle_referrers, surveys, tick=check)
    referrers = [[Survey(job, copying) for job in survey.referrer_jobs] for survey in surveys]
    all_referrers = [referrer for several in referrers for referrer in several]
    answers = in_parallel(
        lambda referrer: _can_be_copied(referrer, copying), all_referrers, tick=check
    )
    copied = {referrer for referrer, can in zip(all_referrers, answers, strict=True) if can}
    in_parallel(
        lambda pair: _list_again(pair[0], [each for each in pair[1] if each in copied], copying),
        tuple(zip(surveys, referrers, strict=True)),
        tick=check,
    )
    everything = [*surveys, *(referrer for referrer in all_referrers if referrer in copied)]
    plans, moved, refused = _performed(everything, copying, early)
    reports = {
        survey: survey.report(several, moved)
        for survey, several in zip(everything, plans, strict=True)
        if not refused & set(several)
    }
    return tuple(
        replace(
            reports[survey],
            referrers=tuple(reports[each] for each in several if each in reports),
        )
        for survey, several in zip(surveys, referrers, strict=True)
    )


def _can_be_copied(referrer: Survey, copying: Copying) -> bool:
    """Whether a referrer can be copied with its image; if not, and it is OPTIONAL, warn."""
    try:
        referrer.ask()
    except REFERRER_FAULTS as fault:
        if not referrer.optional or concerns_image(fault, copying.source):
            raise
        copying.warn(f"{referrer} is not copied: {fault.message}")
        return False
    return referrer.has_targets


def _list_again(image: Survey, referrers: Sequence[Survey], copying: Copying) -> None:
    """Have referrers stored again if their repository has them, and no list there names them.

    A run that ended between storing and listing leaves a registry so that keeps no lists itself;
    nobody would find the referrer there. A registry that fails when it is asked for its lists says
    whether it keeps them when the referrer is stored, as in the first run.
    """
    repositories = {
        repository for referrer in referrers for repository in referrer.current_repositories
    }
    for repository in repositories:
        client = copying.targets[repository.registry]
        lists = ReferrerLists(client, repository, wanted=OPTIONAL)
        subjects = [*image.subjects, *(referrer.digest for referrer in referrers)]
        unknown = f"whether {repository.name} lists the referrers of {image} was not found out"
        try:
            stored = [each for each in referrers if repository in each.current_repositories]
            if lists.keeps(subjects[0]):
                stored = []
            listed = {entry.digest for entry in lists.referrers(subjects)} if stored else set()
            for fault in lists.faults.values():
                copying.warn(f"{unknown}: {fault.message}")
            for referrer in stored:
                if referrer.digest not in listed:
                    referrer.store_again(repository, subjects)
        except REFERRER_FAULTS as fault:
            if not referrers[0].optional or concerns_image(fault, copying.source):
                raise
            copying.warn(f"{unknown}: {fault.message}")


def _performed(
    surveys: Sequence[Survey], copying: Copying, early: EarlyUploads
) -> tuple[_Plans, Mapping[CopyBlob, BlobOutcome], set[CopyPlan]]:
    """The plans that were performed, the outcomes of their blobs, and the refused plans.

    Only optional plans can be refused by a target.
    """
    plans = _planned(surveys, copying)
    if copying.dry_run:
        return plans, {}, set()
    try:
        return plans, *_perform(surveys, plans, copying, early)
    # a target has lost blobs that its manifests name, so nothing is assumed present any more
    except ManifestIncomplete:
        in_parallel(Survey.assume_nothing, surveys, tick=deadline_check(copying.transport))
        plans = _planned(surveys, copying)
        return plans, *_perform(surveys, plans, copying, early)


def _perform(
    surveys: Iterable[Survey], plans: _Plans, copying: Copying, early: EarlyUploads
) -> tuple[Mapping[CopyBlob, BlobOutcome], set[CopyPlan]]:
    """What became of the blobs of `plans`, and the plans that were refused."""
    every = [plan for several in plans for plan in several]
    if not any(plan.blobs or plan.manifests or plan.tags for plan in every):
        return {}, set()
    transfer = Transfer(
        copying.source, copying.targets, copying.transport, copying.progress, early=early
    )
    with copying.progress:
        copying.progress.expect(_sizes(surveys, plans))
        moved = transfer.perform(every)
    for name, fault in transfer.faults.items():
        copying.warn(
            "the referrers of the image (signatures, attestations, SBOMs) are not complete,"
            f" {name}: {fault.message}"
        )
    return moved, transfer.refused


def _sizes(surveys: Iterable[Survey], plans: _Plans) -> Mapping[str, Mapping[str, int]]:
    """The sizes of the blobs that may have to move, by the source's name for the image."""
    sizes: dict[str, dict[str, int]] = {}
    for survey, several in zip(surveys, plans, strict=True):
        blobs = {blob.digest: blob.size for plan in several for blob in plan.blobs}
        sizes.setdefault(str(survey), {}).update(blobs)
    return sizes


def _planned(surveys: Iterable[Survey], copying: Copying) -> list[tuple[CopyPlan, ...]]:
    """The plans of each survey; a blob that one plan copies is there for the next."""
    planned = PlannedBlobs(copying)
    return [survey.plans(planned) for survey in surveys]
