"""The lines of a copy that a person sees on a terminal."""

from __future__ import annotations

import pytest

from towline.registry.copy.progress import ProgressState
from towline.registry.copy.progress_lines import lines

MIB = 1024 * 1024


def state(name: str = "team/app:1", done: int = 30 * MIB, total: int = 120 * MIB) -> ProgressState:
    return ProgressState(
        name=name, done=done, total=total, rate=10.0 * MIB, rest=(total - done) / (10 * MIB)
    )


def test_a_line_has_name_bytes_rate_and_the_time_to_go() -> None:
    [line] = lines([state()], width=100)
    assert line.startswith("  team/app:1  25%|")
    assert line.endswith("| 30.0MiB/120MiB 10.0MiB/s 00:09 left")


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_line_fits_the_terminal_and_gives_up_the_name_first(width: int) -> None:
    for line in lines(
        [
            state(),
            state(
                "registry.example.com/a/very/long/name/of/an/image/app:1.0.0-rc.1+b",
                done=1023 * MIB,
                total=10000 * MIB,
            ),
        ],
        width=width,
    ):
        assert len(line) < width
        assert line.endswith(" left")


def test_a_terminal_that_is_too_narrow_for_it_gets_a_line_that_does_not_wrap() -> None:
    assert all(len(line) < 30 for line in lines([state()], width=30))


def test_a_long_name_keeps_its_end() -> None:
    [line] = lines([state("registry.example.com/a/very/long/name/of/an/image/app:1.0.0")], width=80)
    assert "image/app:1.0.0" in line


def test_only_images_on_their_way_have_a_line_and_of_many_the_first() -> None:
    states = [state("done:1", done=120 * MIB), *(state(f"app:{number}") for number in range(30))]
    shown = lines(states, width=80)
    assert len(shown) == 13
    assert shown[-1] == "  and 18 more"
    assert "done:1" not in "".join(shown)


def test_nothing_known_of_the_rate_is_no_fault() -> None:
    [line] = lines([ProgressState(name="app:1", done=0, total=MIB, rate=0.0, rest=None)], width=80)
    assert "0.00B/1.00MiB 0.00B/s ? left" in line
