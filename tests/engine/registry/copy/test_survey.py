from __future__ import annotations

import pytest

from tests.engine.registry.clients import Pair, job
from tests.fakes.images import ImageParts, make_image, make_index, put, refer_to
from tests.fakes.registry import FakeRegistry, Status, on
from towline.errors import ConfigError, RegistryUnreachable
from towline.image import parse_platforms
from towline.record import replace
from towline.registry.copy.copying import PlannedBlobs
from towline.registry.copy.job import OPTIONAL, REQUIRED, CopyJob
from towline.registry.copy.plan import CopyPlan
from towline.registry.copy.survey import Survey

INDEX = make_index()


@pytest.fixture
def image(source: FakeRegistry, target: FakeRegistry) -> ImageParts:
    """An index that both sides have under the tag 1."""
    for server in (source, target):
        put(INDEX, server, "app", "1")
    return INDEX


def planned(look: Survey, pair: Pair) -> tuple[CopyPlan, ...]:
    look.ask()
    return look.plans(PlannedBlobs(pair.copying()))


def wanted(
    source: FakeRegistry,
    target: FakeRegistry,
    *images: str,
    digest: str = "",
    referrers: str = OPTIONAL,
) -> CopyJob:
    return replace(job(source, target, *images, digest=digest), referrers=referrers)


@pytest.mark.usefixtures("image")
def test_what_is_there_needs_no_plan(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    assert planned(Survey(job(source, target, "app:1", "app:1"), pair.copying()), pair) == ()


def test_what_is_there_under_another_name_needs_its_tag_alone(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, image: ImageParts
) -> None:
    [plan] = planned(Survey(job(source, target, "app:1", "app:1", "app:2"), pair.copying()), pair)
    assert (
        plan.blobs,
        plan.manifests,
        [(put.reference.target, put.manifest.digest, put.assumed_present) for put in plan.tags],
    ) == ((), (), [("2", image.digest, True)])


def test_a_doubted_place_gets_all_of_it_whatever_its_tag_says(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, image: ImageParts
) -> None:
    wish = job(source, target, "app:1", "app:1", "app:2")
    doubting = replace(
        pair.copying(), doubted=frozenset(target.repository for target in wish.targets)
    )
    [plan] = planned(Survey(wish, doubting), pair)
    assert ({blob.digest for blob in plan.blobs}, len(plan.manifests)) == (
        set(image.all_blobs()),
        2,
    )
    assert [(put.reference.target, put.assumed_present) for put in plan.tags] == [
        ("1", False),
        ("2", False),
    ]


@pytest.mark.usefixtures("image")
def test_after_doubt_nothing_is_believed_of_what_is_pending(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    look = Survey(job(source, target, "app:1", "app:2"), pair.copying())
    look.ask()
    look.assume_nothing()
    [plan] = look.plans(PlannedBlobs(pair.copying()))
    assert len(plan.blobs) == 4


def test_what_refers_to_an_image_and_its_platforms_becomes_jobs(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, image: ImageParts
) -> None:
    source.referrers = True
    about = [refer_to(image), refer_to(image.children[1], "application/vnd.example.signature")]
    for one in about:
        put(one, source, "app")
    for digest in ("", image.digest):
        look = Survey(
            wanted(source, target, "app:1", "team/app:1", "app:1", digest=digest), pair.copying()
        )
        look.ask()
        assert {found.digest for found in look.referrer_jobs} == {one.digest for one in about}
        assert {found.as_referrer for found in look.referrer_jobs} == {OPTIONAL}
        assert [str(target.image) for target in look.referrer_jobs[0].targets] == [
            f"{name}@{look.referrer_jobs[0].digest}" for name in ("team/app", "app")
        ]


@pytest.mark.parametrize("known", [False, True])
def test_each_manifest_is_asked_about_once(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, image: ImageParts, *, known: bool
) -> None:
    source.referrers = True
    put(refer_to(image), source, "app")
    look = Survey(
        wanted(source, target, "app:1", "team/app:1", digest=image.digest if known else ""),
        pair.copying(),
    )
    look.ask()
    subjects = [record.path.rpartition("/")[2] for record in source.seen("GET", "referrers")]
    assert sorted(subjects) == sorted(
        [image.digest, *(child.digest for child in image.children), look.referrer_jobs[0].digest]
    )
    assert (source.count("GET", "tags/list"), source.count("GET", "manifests")) == (1, 3)


def test_one_platform_is_asked_about_alone(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, image: ImageParts
) -> None:
    source.referrers = True
    for one in (
        refer_to(image),
        sbom := refer_to(image.children[1], "application/vnd.example.signature"),
    ):
        put(one, source, "app")
    look = Survey(
        replace(wanted(source, target, "app:1", "app:2"), platforms=parse_platforms("linux/arm64")),
        pair.copying(),
    )
    look.ask()
    assert [found.digest for found in look.referrer_jobs] == [sbom.digest]


def test_a_source_that_is_gone_is_no_fault_where_the_image_is_there(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, image: ImageParts
) -> None:
    source.stop()
    for referrers in (OPTIONAL, REQUIRED):
        assert (
            planned(
                Survey(
                    wanted(
                        source, target, "app:1", "app:1", digest=image.digest, referrers=referrers
                    ),
                    pair.copying(),
                ),
                pair,
            )
            == ()
        )
        with pytest.raises(RegistryUnreachable):
            planned(
                Survey(
                    wanted(
                        source, target, "app:1", "b:1", digest=image.digest, referrers=referrers
                    ),
                    pair.copying(),
                ),
                pair,
            )
    source.start()


def test_a_list_that_cannot_be_had_is_told(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    put(make_image(), source, "app", "1")
    source.fault = on("GET", "referrers", Status(code=401), times=9)
    warnings = list[str]()
    survey = Survey(wanted(source, target, "app:1", "app:1"), pair.copying(warn=warnings.append))
    survey.ask()
    survey.settle_referrers()
    assert len(warnings) == 1
    assert "stay behind, except those that a tag names: the source registry" in warnings[0]


def test_a_target_by_another_digest_is_refused(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, image: ImageParts
) -> None:
    with pytest.raises(ConfigError, match=f"the image has the digest {image.digest}, not that of"):
        Survey(job(source, target, "app:1", f"app@sha256:{'0' * 64}"), pair.copying()).ask()
