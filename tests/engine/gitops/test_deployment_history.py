from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from towline.gitops.commit_message import compose_message
from towline.gitops.deployment_history import (
    NewerDeployment,
    find_newer,
    is_deployment,
    is_plausible_time,
    needs_history,
)
from towline.gitops.provenance import Provenance
from towline.record import replace

JOB = "https://ci.example.com/job/shop/job/main"
OURS = Provenance(
    deployment="shop",
    stage="Release",
    images=("r.example/shop:1.1@sha256:11",),
    build=f"{JOB}/11/",
    build_number="11",
    source="https://git.example/shop.git",
    source_time="2026-01-02T10:00:00+01:00",
)
NEWER = replace(
    OURS,
    images=("r.example/shop:1.2@sha256:22",),
    build=f"{JOB}/12/",
    build_number="12",
    source_time="2026-01-03T10:00:00Z",
)
HOLDS = b"image: r.example/shop:1.2\n"
NOW = datetime(2026, 1, 10, tzinfo=UTC)


def superseded(
    *history: Provenance | str, ours: Provenance = OURS, files: tuple[bytes, ...] = (HOLDS,)
) -> bool:
    messages = [
        ("c" * 40, one if isinstance(one, str) else compose_message("Updated", one))
        for one in history
    ]
    return find_newer(messages, ours, files, now=NOW) is not None


def test_a_later_build_of_the_same_job_supersedes_and_says_which() -> None:
    found = find_newer([("c" * 40, compose_message("Updated", NEWER))], OURS, [HOLDS], now=NOW)
    assert found == NewerDeployment(deployment="shop", commit="c" * 40, provenance=NEWER)
    assert found.text == "shop is in place: build 12, commit cccccccccccc"
    theirs = replace(NEWER, build_number="", source_commit="d" * 40)
    assert (
        replace(found, provenance=theirs).text
        == "shop is in place: source commit dddddddddddd, commit cccccccccccc"
    )


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        (NEWER, True),
        (replace(NEWER, build=f"{JOB}/9/", build_number="9"), False),
        (replace(NEWER, build=OURS.build, build_number="11"), False),
        (replace(NEWER, stage="Acceptance"), False),
        (replace(NEWER, deployment="cart"), False),
        (replace(NEWER, deployment="cart, shop"), True),
        (replace(NEWER, build=f"{JOB}-fix/9/", build_number="9"), True),  # by time
        (replace(NEWER, build=f"{JOB}-fix/99/", build_number="99", source_time=""), False),
        (
            replace(
                NEWER,
                build=f"{JOB}-fix/99/",
                build_number="99",
                source_time="2026-01-02T09:30:00+01:00",
            ),
            False,
        ),
        (replace(NEWER, build="", build_number="", source="https://git.example/other.git"), False),
        (replace(NEWER, build="", build_number=""), True),
        (replace(NEWER, build="", build_number="", source_time="yesterday"), False),
        # a time without a zone is in UTC
        (replace(NEWER, build="", build_number="", source_time="2026-01-02T09:30:00"), True),
        # the URL does not end in the number
        (replace(NEWER, build=f"{JOB}/12/", build_number="7", source_time=""), False),
    ],
)
def test_what_is_later(theirs: Provenance, *, expected: bool) -> None:
    assert superseded(theirs) == expected


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ({}, True),
        # a later commit under a lower number: the counter has started again
        ({"source_time": "2026-01-03T10:00:01Z"}, False),
        # two builds of one commit: the higher number is the later build
        ({"source_time": "2026-01-03T10:00:00Z"}, True),
        ({"source_time": "2026-01-03T12:00:00+03:00"}, True),
        ({"source_time": ""}, True),
        ({"source_time": "2026-01-04T10:00:00Z", "source": ""}, True),
        # times of two sources cannot be compared
        ({"source_time": "2026-01-04T10:00:00Z", "source": "https://git.example/other.git"}, True),
        ({"source_time": "2026-01-04T10:00:00Z", "source": "git@GIT.example:shop.git"}, False),
        (
            {"source_time": "2026-01-04T10:00:00Z", "source": "ssh://git@git.example:7999/shop/"},
            False,
        ),
        ({"source_time": "2099-01-01T00:00:00Z"}, True),  # no clock has shown that yet
        ({"source_time": "9999-12-31T23:59:59-14:00"}, True),
        ({"source_time": "0001-01-01T00:00:00+14:00"}, True),
        ({"source_time": "2026-01-04T10:00:00Z", "build": f"{JOB}/1/", "build_number": "1"}, False),
        # a later build of an earlier commit is intended
        ({"build": f"{JOB}/13/", "build_number": "13"}, False),
        ({"build": f"{JOB}/12/", "build_number": "12"}, False),  # the same build again
    ],
)
def test_a_counter_that_has_started_again_does_not_supersede_what_comes_later(
    ours: dict[str, Any], *, expected: bool
) -> None:
    assert superseded(NEWER, ours=replace(OURS, **ours)) == expected


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ("2026-01-10T00:05:00Z", True),
        ("2026-01-10T00:11:00Z", False),
        ("2099-01-01T00:00:00Z", False),
        ("9999-12-31T23:59:59-14:00", False),
    ],
)
def test_a_time_in_the_future_supersedes_nobody(theirs: str, *, expected: bool) -> None:
    """Otherwise one commit with a wrong date could hold up all others for years."""
    assert superseded(replace(NEWER, build="", build_number="", source_time=theirs)) == expected
    assert is_plausible_time(theirs, NOW) == expected


def test_between_two_jobs_of_one_source_its_address_may_be_another() -> None:
    theirs = replace(NEWER, build="", build_number="")
    assert superseded(replace(theirs, source="git@git.example:shop"))
    assert superseded(replace(theirs, source="https://ann:secret@git.example:443/shop.git/"))
    assert not superseded(replace(theirs, source="git@git.example:shop/web.git"))
    assert not superseded(
        replace(theirs, source="https://[::1/shop"), ours=replace(OURS, source="https://[::2/shop")
    )


@pytest.mark.parametrize(
    ("job", "host", "expected"),
    [
        ("o/r/.github/workflows/ci.yml@refs/heads/main", "github.com", True),
        ("o/r/.github/workflows/ci.yml@refs/heads/fix", "github.com", False),
        ("o/r/.github/workflows/ci.yml@refs/heads/main", "github.example.com", False),
        ("", "github.com", False),
    ],
)
def test_a_job_whose_builds_have_other_numbers_in_their_urls_has_a_name(
    job: str, host: str, *, expected: bool
) -> None:
    ours = replace(
        OURS,
        job="o/r/.github/workflows/ci.yml@refs/heads/main",
        build="https://github.com/o/r/actions/runs/555",
        source_time="",
    )
    assert (
        superseded(replace(NEWER, job=job, build=f"https://{host}/o/r/actions/runs/444"), ours=ours)
        == expected
    )


def test_a_build_without_job_and_time_compares_with_nothing_and_reads_nothing() -> None:
    def read(_number: int) -> tuple[str, str]:
        raise AssertionError("nobody has to read it")

    assert (
        find_newer(
            map(read, range(9)), Provenance(deployment="shop", stage="Release"), [HOLDS], now=NOW
        )
        is None
    )


def test_the_last_deployment_decides_and_no_more_is_read() -> None:
    older = replace(OURS, build=f"{JOB}/10/", build_number="10")
    assert superseded("Somebody's own", replace(NEWER, deployment="cart"), NEWER, older)
    assert not superseded(older, NEWER)

    def history() -> Iterator[tuple[str, str]]:
        yield "a", compose_message("Updated", older)
        raise AssertionError("the one before has decided")

    assert find_newer(history(), OURS, [HOLDS], now=NOW) is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"image: r.example/shop:1.2", True),
        (b"tag: '1.2'", True),
        (b"digest: sha256:22", True),
        (b"image: r.example/shop:1.0", False),
        (b"tag: 1.2.3", False),
        (b"tag: 11.2", False),
        (b"tag: 1.2-rc", False),
    ],
)
def test_what_has_been_taken_back_since_is_not_in_place(data: bytes, *, expected: bool) -> None:
    assert superseded(NEWER, files=(b"", data)) == expected


def test_an_image_that_both_have_deployed_does_not_tell_that_the_newer_is_in_place() -> None:
    sidecar = "r.example/proxy:5"
    ours, theirs = (
        replace(OURS, images=(*OURS.images, sidecar)),
        replace(NEWER, images=(*NEWER.images, sidecar)),
    )
    assert not superseded(
        theirs, ours=ours, files=(b"image: r.example/shop:1.0\nimage: r.example/proxy:5\n",)
    )
    assert superseded(replace(NEWER, images=OURS.images), files=(b"",)), (
        "a chart's own change cannot be told by images"
    )


@pytest.mark.parametrize(
    ("last", "ours", "expected"),
    [
        (replace(OURS, deployment="cart"), OURS, True),
        (Provenance(), OURS, True),
        (NEWER, OURS, False),
        # the last deployment decides, even with few trailers
        (replace(OURS, build="", build_number="", source_time=""), OURS, False),
        # it cannot be compared with others
        (Provenance(), Provenance(deployment="shop", stage="Release"), False),
    ],
)
def test_the_past_is_needed_where_the_last_commit_does_not_decide(
    last: Provenance, ours: Provenance, *, expected: bool
) -> None:
    assert needs_history(compose_message("Updated", last), ours) == expected
    asked = []

    def history() -> Iterator[tuple[str, str]]:
        yield "c" * 40, compose_message("Updated", last)
        asked.append(True)

    find_newer(history(), ours, [HOLDS], now=NOW)
    assert bool(asked) == expected, "both read as far"


def deployed(source: str) -> str:
    return compose_message("Updated", Provenance(deployment="app", source_commit=source))


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], False),
        ([("b", "a person's"), ("a", "older")], False),
        ([("d", deployed("a")), ("a", "built")], True),
        ([("f", deployed("a")), ("e", deployed("a")), ("d", deployed("a")), ("a", "built")], True),
        ([("d", deployed("a")), ("b", "came in between, not built yet"), ("a", "built")], False),
        ([("b", "on top of it"), ("d", deployed("a")), ("a", "built")], False),
        ([("d", deployed("a"))], True),  # a shallow checkout
        ([("d", deployed("")), ("a", "built")], True),  # the source commit is not known
    ],
)
def test_a_commit_is_a_deployment_where_all_before_it_has_been_built(
    history: list[tuple[str, str]], expected: bool
) -> None:
    assert is_deployment(history) is expected
