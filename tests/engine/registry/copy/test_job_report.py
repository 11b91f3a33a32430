from __future__ import annotations

from typing import Any

from tests.engine.registry.copy.test_job import report
from towline.record import replace
from towline.registry.copy.job import COPIED, MOUNTED, SKIPPED, outputs, report_line, summary


def test_a_line_says_what_moved_and_what_did_not() -> None:
    whole = replace(
        report(COPIED, MOUNTED, SKIPPED, SKIPPED, plan=True),
        platforms=("linux/amd64", "linux/arm64"),
    )
    assert (
        report_line(whole, dry_run=False)
        == "registry.example/app:1: sha256:0 (linux/amd64, linux/arm64): 10 bytes moved, 20 skipped"
        " (1 blobs copied, 1 mounted, 2 skipped)"
    )
    assert report_line(whole, dry_run=True).endswith(
        ": 10 bytes to move, 20 to skip (1 blobs to copy, 1 to mount, 2 to skip)"
    )


def test_what_was_chosen_out_of_an_index_is_said() -> None:
    part = replace(report(COPIED, plan=True), platforms=("linux/arm64",), chosen_from="sha256:1")
    assert "sha256:0 (linux/arm64), chosen from sha256:1: 10 bytes moved" in report_line(
        part, dry_run=False
    )
    images: Any = outputs([part, report()], dry_run=False)["images"]
    assert [image.get("chosenFrom") for image in images] == ["sha256:1", None]


def test_an_image_that_is_there_is_no_work() -> None:
    assert (
        report_line(report(), dry_run=False)
        == "registry.example/app:1: sha256:0: the target holds it already"
    )
    assert report_line(replace(report(), source_asked=False), dry_run=False).endswith(
        "the target holds it already, the source was not asked"
    )
    assert report_line(report(plan=True), dry_run=False).endswith(
        "the target got the tag, it holds the image already"
    )


def test_what_refers_to_an_image_is_named_with_it() -> None:
    signed = report(COPIED, plan=True, referrers=(report(COPIED, plan=True),))
    assert ", with 1 referrer: 20 bytes moved" in report_line(signed, dry_run=False)
    image: Any = outputs([signed], dry_run=False)["images"][0]  # type: ignore[index]
    assert [len(one["blobs"]) for one in (image, *image["referrers"])] == [1, 1]


def test_several_images_are_counted() -> None:
    several = [report(COPIED, plan=True), report(), report(SKIPPED, plan=True)]
    assert summary(several, dry_run=False) == "2 of 3 images pushed, 10 bytes moved, 10 skipped"
    assert summary(several, dry_run=True) == "2 of 3 images to push, 10 bytes to move, 10 to skip"
    assert summary(several[:1], dry_run=False) == report_line(several[0], dry_run=False)


def test_the_outputs_hold_every_blob_and_under_a_dry_run_the_plan() -> None:
    done = outputs([report(COPIED, SKIPPED, plan=True)], dry_run=False)
    assert (done["bytes"], done["blobs"]) == (
        {"moved": 10, "skipped": 10},
        {"copied": 1, "mounted": 0, "skipped": 1},
    )
    assert "plan" not in done
    assert outputs([report(plan=True)], dry_run=True)["plan"] == [{"do": "put tag"}]
