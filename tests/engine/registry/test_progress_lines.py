"""What a person sees of a copy on a terminal."""

from __future__ import annotations

import pytest

from towline.registry.progress import State
from towline.registry.progress_lines import lines

MIB = 1024 * 1024


def state(name: str = "team/app:1", done: int = 30 * MIB, total: int = 120 * MIB) -> State:
    return State(name=name, done=done, total=total, rate=10.0 * MIB, rest=(total - done) / (10 * MIB))


def test_a_line_has_name_bytes_rate_and_the_time_to_go() -> None:
    [line] = lines([state()], width=100)
    assert line.startswith("  team/app:1  25%|")
    assert line.endswith("| 30.0M/120MiB 10.0MiB/s 00:09 left")


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_line_fits_the_terminal(width: int) -> None:
    assert all(len(line) < width for line in lines([state(), state("registry.example.com/a/very/long/name/of/an/image/app:1.0.0-rc.1+b")], width=width))


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
    [line] = lines([State(name="app:1", done=0, total=MIB, rate=0.0, rest=None)], width=80)
    assert "0.00/1.00MiB" in line
