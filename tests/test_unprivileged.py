"""The report on tests that run twice: which end differently for a user without rights."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import unprivileged

SUITE = (
    '<testsuites><testsuite><testcase classname="tests.a" name="test_x"/>'
    '<testcase classname="tests.a" name="test_y[1]"><skipped message="no mounts"/></testcase>'
    '<testcase classname="tests.b" name="test_z"><failure message="assert 1\n== 2"/></testcase>'
    "</testsuite></testsuites>"
)


def test_the_outcome_of_each_test_is_read(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    assert unprivileged.outcomes(report) == {}
    report.write_text(SUITE)
    assert unprivileged.outcomes(report) == {
        "tests.a::test_x": "passed",
        "tests.a::test_y[1]": "skipped: no mounts",
        "tests.b::test_z": "failure: assert 1 == 2",
    }


def test_what_ends_otherwise_is_told_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    root = {"x": "passed", "y": "passed", "z": "skipped: no clang", "only root's": "passed"}
    unprivileged.compare(root, {"x": "passed", "y": "skipped: no mounts", "z": "skipped: no clang"})
    assert (
        capsys.readouterr().out == "as nobody 2 tests end as they do as root, and these do not:\n"
        "    y: as root passed, as nobody skipped: no mounts\n"
    )
    unprivileged.compare(root, {"x": "passed"})
    assert capsys.readouterr().out == "as nobody 1 tests end as they do as root\n"


def test_every_file_that_is_chosen_is_there() -> None:
    files = {unprivileged.ROOT / test.split("::")[0] for test in unprivileged.chosen()}
    assert [path for path in files if not path.is_file()] == []
    assert len(files) > 30
