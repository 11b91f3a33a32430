from __future__ import annotations

import pytest

from tests.engine.registry.clients import Pair, job
from tests.fakes.clock import FakeClock
from tests.fakes.images import ImageParts, make_image, make_index, put, refer_to
from tests.fakes.registry import FakeRegistry, Status, on
from towline.errors import ConfigError, RegistryError, RegistryUnreachable
from towline.image import parse_platforms
from towline.record import replace
from towline.registry.copy.job import DEMANDED, TAKEN, CopyJob
from towline.registry.copy.plan import CopyPlan
from towline.registry.copy.survey import Holdings, Survey, repository_of

INDEX = make_index()


@pytest.fixture
def image(source: FakeRegistry, target: FakeRegistry) -> ImageParts:
    """An index that both sides have under the tag 1."""
    for server in (source, target):
        put(INDEX, server, "app", "1")
    return INDEX


def planned(look: Survey, pair: Pair) -> tuple[CopyPlan, ...]:
    look.ask()
    return look.plans(Holdings(copying=pair.copying()))


def wanted(
    source: FakeRegistry,
    target: FakeRegistry,
    *images: str,
    digest: str = "",
    referrers: str = TAKEN,
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
        [(put.target, put.manifest.digest, put.believed) for put in plan.tags],
    ) == ((), (), [("2", image.digest, True)])


def test_a_doubted_place_gets_all_of_it_whatever_its_tag_says(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, image: ImageParts
) -> None:
    wish = job(source, target, "app:1", "app:1", "app:2")
    doubting = replace(pair.copying(), doubted=frozenset(map(repository_of, wish.targets)))
    [plan] = planned(Survey(wish, doubting), pair)
    assert ({blob.digest for blob in plan.blobs}, len(plan.manifests)) == (
        set(image.all_blobs()),
        2,
    )
    assert [(put.target, put.believed) for put in plan.tags] == [("1", False), ("2", False)]


@pytest.mark.usefixtures("image")
def test_after_doubt_nothing_is_believed_of_what_is_pending(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    look = Survey(job(source, target, "app:1", "app:2"), pair.copying())
    look.ask()
    look.doubt()
    [plan] = look.plans(Holdings(copying=pair.copying()))
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
        assert {found.digest for found in look.companions} == {one.digest for one in about}
        assert {found.refers for found in look.companions} == {TAKEN}
        assert [str(target.image) for target in look.companions[0].targets] == [
            f"{name}@{look.companions[0].digest}" for name in ("team/app", "app")
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
        [image.digest, *(child.digest for child in image.children), look.companions[0].digest]
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
    assert [found.digest for found in look.companions] == [sbom.digest]


def test_a_source_that_is_gone_is_no_fault_where_the_image_is_there(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, image: ImageParts
) -> None:
    source.stop()
    for referrers in (TAKEN, DEMANDED):
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


def test_what_a_build_has_pushed_just_now_may_need_a_moment_to_be_seen(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, time: FakeClock
) -> None:
    digest, begun = put(make_image(), source, "app"), time.time
    source.fault = lambda _: Status(code=404) if time.time < begun + 2 else None
    [plan] = planned(
        Survey(job(source, target, "app:1", "app:1", digest=digest), pair.copying()), pair
    )
    assert plan.tags[0].manifest.digest == digest
    with pytest.raises(RegistryError, match="does not exist on the source"):
        planned(
            Survey(
                job(source, target, "app:1", "app:1", digest=make_index(seed=9).digest),
                pair.copying(),
            ),
            pair,
        )
    assert sum(time.sleeps) == pytest.approx(6, abs=1)


def test_a_list_that_cannot_be_had_is_told(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    put(make_image(), source, "app", "1")
    source.fault = on("GET", "referrers", Status(code=401), times=9)
    warnings = list[str]()
    Survey(wanted(source, target, "app:1", "app:1"), pair.copying(warn=warnings.append)).ask()
    assert len(warnings) == 1
    assert "stays behind, except what a tag names: the source registry" in warnings[0]


def test_a_target_by_another_digest_is_refused(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, image: ImageParts
) -> None:
    with pytest.raises(ConfigError, match=f"the image has the digest {image.digest}, not that of"):
        Survey(job(source, target, "app:1", f"app@sha256:{'0' * 64}"), pair.copying()).ask()
