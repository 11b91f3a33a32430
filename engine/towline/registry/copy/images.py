"""The verb that step, `copy` and `promote` share: bring images from a source into registries, doing only what is not done yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from towline.parallel import in_parallel
from towline.record import replace
from towline.registry.copy.deadline import in_time
from towline.registry.copy.early import Early
from towline.registry.copy.job import TAKEN, CopyJob, CopyReport, Moved
from towline.registry.copy.plan import CopyBlob, CopyPlan
from towline.registry.copy.referrers import AMISS, ReferrerLists, spoils
from towline.registry.copy.survey import Copying, Holdings, Survey
from towline.registry.copy.transfer import Transfer
from towline.registry.errors import ManifestIncomplete

_Plans = Sequence[tuple[CopyPlan, ...]]


def copy_images(jobs: Sequence[CopyJob], copying: Copying) -> tuple[CopyReport, ...]:
    """Look, plan all jobs, then perform them as one; what several need moves once.

    No tag is set before everything else is there.

    What refers to an image goes before its tag; where it may stay behind (TAKEN) that is a warning.
    Raises RegistryUnreachable, CredentialError, DigestMismatch, RegistryError, ConfigError (the
    platform is not there) and what the source raises.
    """
    with Early(jobs, copying) as early:
        return _copied(jobs, copying, early)


def _copied(jobs: Sequence[CopyJob], copying: Copying, early: Early) -> tuple[CopyReport, ...]:
    looks, check = [Survey(job, copying) for job in jobs], in_time(copying.transport)
    in_parallel(Survey.ask, looks, tick=check)
    along = [[Survey(job, copying) for job in look.companions] for look in looks]
    referring = [look for several in along for look in several]
    able = in_parallel(lambda look: _asked(look, copying), referring, tick=check)
    going = {look for look, there in zip(referring, able, strict=True) if there}
    in_parallel(
        lambda pair: _relist(pair[0], [one for one in pair[1] if one in going], copying),
        tuple(zip(looks, along, strict=True)),
        tick=check,
    )
    everything = [*looks, *(look for look in referring if look in going)]
    plans, moved, refused = _performed(everything, copying, early)
    reports = {
        look: look.report(plans[number], moved)
        for number, look in enumerate(everything)
        if not refused & set(plans[number])
    }
    return tuple(
        replace(reports[look], referrers=tuple(reports[one] for one in several if one in reports))
        for look, several in zip(looks, along, strict=True)
    )


def _asked(look: Survey, copying: Copying) -> bool:
    """Whether what refers to an image can travel with it."""
    try:
        look.ask()
    except AMISS as fault:
        if not look.optional or spoils(fault, copying.source):
            raise
        copying.warn(f"{look} stays behind: {fault.message}")
        return False
    return look.goes


def _relist(look: Survey, several: Sequence[Survey], copying: Copying) -> None:
    """Have what refers to an image stored again where a registry that keeps no lists itself has it and names it in none.

    A run that ended between the two leaves it so, and nobody would find it there. A registry that
    fails when it is asked for its lists says on storing whether it keeps them, as in the first run.
    """
    for place in {place for one in several for place in one.settled}:
        lists, subjects = (
            ReferrerLists(copying.targets[place.registry], place.repository, wanted=TAKEN),
            [
                *look.subjects,
                *(one.digest for one in several),
            ],
        )
        try:
            held = (
                () if lists.keeps(subjects[0]) else [one for one in several if place in one.settled]
            )
            listed = {entry.digest for entry in lists.referrers(subjects)} if held else set()
            for fault in lists.amiss.values():
                copying.warn(
                    f"whether {place.repository} lists what refers to {look} was not found out:"
                    f" {fault.message}"
                )
            for one in (one for one in held if one.digest not in listed):
                one.renew(place, subjects)
        except AMISS as fault:
            if several[0].optional and not spoils(fault, copying.source):
                copying.warn(
                    f"whether {place.repository} lists what refers to {look} was not found out:"
                    f" {fault.message}"
                )
            else:
                raise


def _performed(
    looks: Sequence[Survey], copying: Copying, early: Early
) -> tuple[_Plans, Mapping[CopyBlob, Moved], set[CopyPlan]]:
    """The plans that were performed, how their blobs moved, and the optional plans that a target has refused."""
    plans = _planned(looks, copying)
    if copying.dry_run:
        return plans, {}, set()
    try:
        return plans, *_perform(looks, plans, copying, early)
    # a target that has lost what its manifests name: nothing is believed any more
    except ManifestIncomplete:
        in_parallel(Survey.doubt, looks, tick=in_time(copying.transport))
        plans = _planned(looks, copying)
        return plans, *_perform(looks, plans, copying, early)


def _perform(
    looks: Iterable[Survey], plans: _Plans, copying: Copying, early: Early
) -> tuple[Mapping[CopyBlob, Moved], set[CopyPlan]]:
    every = [plan for entry in plans for plan in entry]
    if not any(plan.blobs or plan.manifests or plan.tags for plan in every):
        return {}, set()
    transfer = Transfer(
        copying.source, copying.targets, copying.transport, copying.progress, early=early
    )
    with copying.progress:
        copying.progress.expect(_sizes(looks, plans))
        moved = transfer.perform(every)
    for what, fault in transfer.refused.items():
        copying.warn(
            "what refers to the image (signatures, attestations, SBOMs) did not arrive as a whole,"
            f" {what}: {fault.message}"
        )
    return moved, transfer.left


def _sizes(looks: Iterable[Survey], plans: _Plans) -> Mapping[str, Mapping[str, int]]:
    """By what an image is called where it comes from, the blobs that may have to move."""
    sizes: dict[str, dict[str, int]] = {}
    for look, several in zip(looks, plans, strict=True):
        sizes.setdefault(str(look), {}).update(
            {blob.digest: blob.size for plan in several for blob in plan.blobs}
        )
    return sizes


def _planned(looks: Iterable[Survey], copying: Copying) -> list[tuple[CopyPlan, ...]]:
    """The plans of each job; what one plan brings, the next finds."""
    holdings = Holdings(copying=copying)
    return [look.plans(holdings) for look in looks]
