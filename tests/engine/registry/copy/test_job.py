from __future__ import annotations

from tests.engine.registry.clients import Server, job, registry_of
from towline.image import Repository
from towline.registry.copy.job import (
    COPIED,
    SKIPPED,
    BlobOutcome,
    BlobReport,
    CopyReport,
    target_repositories,
)


class Somewhere:
    """A server that gets no request."""

    url = "https://registry.example"


def report(*ways: str, plan: bool = False, referrers: tuple[CopyReport, ...] = ()) -> CopyReport:
    place: Server = Somewhere()
    blobs = tuple(
        BlobReport(
            repository=Repository(registry=registry_of(place), name="app"),
            digest=f"sha256:{number}",
            size=10,
            outcome=BlobOutcome(how=how, seconds=1.0, requests=3, retries=0),
        )
        for number, how in enumerate(ways)
    )
    return CopyReport(
        job=job(place, place, "app:1", "app:1"),
        digest="sha256:0",
        chosen_from="",
        platforms=(),
        blobs=blobs,
        tags_set=(),
        source_asked=True,
        plan=({"do": "put tag"},) if plan else (),
        referrers=referrers,
    )


def test_what_refers_to_an_image_counts_with_it() -> None:
    whole = report(COPIED, SKIPPED, referrers=(report(COPIED), report(COPIED, SKIPPED)))
    assert (whole.count(COPIED), whole.count(SKIPPED), whole.size(COPIED)) == (3, 2, 30)


def test_an_image_has_changed_where_something_was_to_be_done_for_it_or_for_what_refers_to_it() -> (
    None
):
    assert not report(referrers=(report(),)).changed
    assert report(plan=True).changed
    assert report(referrers=(report(), report(plan=True))).changed


def test_the_repositories_that_a_registry_gets_are_those_of_all_jobs_each_once() -> None:
    place: Server = Somewhere()
    jobs = [
        job(place, place, "app:1", "b:1", "a/app:1", "b:2"),
        job(place, place, "web:1", "a/app:2"),
    ]
    assert target_repositories(jobs) == {
        registry_of(place): tuple(
            Repository(registry=registry_of(place), name=name) for name in ("b", "a/app")
        )
    }
