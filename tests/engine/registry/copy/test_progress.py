from __future__ import annotations

import io
import re

from tests.fakes.clock import FakeClock
from towline.console import Console
from towline.registry.copy.progress import Progress, ProgressState

MIB = 1024 * 1024


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def images(*sizes: int) -> dict[str, dict[str, int]]:
    """Images of one blob each, of so many MiB."""
    return {
        f"app-{number}:1": {f"sha256:{number}": size * MIB} for number, size in enumerate(sizes)
    }


def test_a_build_log_gets_a_line_every_ten_seconds_while_bytes_move(time: FakeClock) -> None:
    log = io.StringIO()
    progress = Progress(Console(log), time.clock)
    progress.expect(images(100))
    for second in range(40):
        if second < 25:
            progress.reached("sha256:0", (second + 1) * MIB)
        time.time += 1
        progress.tick()
    assert log.getvalue().splitlines() == [
        "  10.0 of 100.0 MiB, 1.0 MiB/s, about 90 s left",
        "  20.0 of 100.0 MiB, 1.0 MiB/s, about 80 s left",
        "  25.0 of 100.0 MiB, 0.8 MiB/s, about 90 s left",
    ]


def test_a_terminal_gets_a_line_for_each_image_that_renews_itself_and_goes(time: FakeClock) -> None:
    log = Terminal()
    console = Console(log)
    with Progress(console, time.clock) as progress:
        progress.expect(images(4, 4))
        for number in range(2):
            for image in range(2):
                progress.reached(f"sha256:{image}", (number + 1) * MIB)
            time.time += 1
            progress.tick()
        console.say("a line of the log")
    shown = log.getvalue()
    assert shown.count("app-0:1 ") == shown.count("app-1:1 ") == 2
    # back up over the line of the second image, and once more for the log's
    assert [part.count("\x1b[1A") for part in shown.split("app-0:1")] == [0, 1, 1]
    assert screen(shown) == ["a line of the log", ""]


def screen(written: str) -> list[str]:
    """The lines of a terminal after `written`."""
    rows, at = [""], 0
    for piece in re.findall(r"\x1b\[2K|\x1b\[1A|\r|\n|[^\x1b\r\n]+", written):
        if piece == "\x1b[2K":
            rows[at] = ""
        elif piece == "\x1b[1A":
            at -= 1
        elif piece == "\n":
            at += 1
            rows += [""] * (at == len(rows))
        elif piece != "\r":
            rows[at] += piece
    return rows[: at + 1]


def test_nothing_is_said_where_nothing_moves_or_nobody_listens(time: FakeClock) -> None:
    log = Terminal()
    for console in (Console(log), None):
        with Progress(console, time.clock) as progress:
            progress.expect({})
            time.time += 100
            progress.tick()
    assert log.getvalue() == ""


def test_every_image_has_its_own_state(time: FakeClock) -> None:
    progress = Progress(None, time.clock)
    progress.expect(
        {"a": {"1": 100, "shared": 50}, "b": {"shared": 50, "2": 10}, "c": {"shared": 50}}
    )
    progress.reached("shared", 50)
    progress.reached("1", 10)
    time.time += 2
    assert progress.images() == (
        ProgressState(name="a", done=60, total=150, rate=30.0, rest=3.0),
        ProgressState(name="b", done=0, total=10, rate=0.0, rest=None),
    )
    assert progress.whole == ProgressState(name="", done=60, total=160, rate=30.0, rest=100 / 30)


def test_bytes_that_are_sent_again_do_not_count_twice_and_lost_ones_do_not_count(
    time: FakeClock,
) -> None:
    progress = Progress(None, time.clock)
    progress.expect({"a": {"1": 100}})
    time.time += 1
    for position, rest in ((80, 0.25), (40, 1.5), (60, 40 / 60), (100, 0.0)):
        progress.reached("1", position)
        assert (progress.whole.done, progress.whole.rest) == (position, rest)


def test_what_need_not_move_is_neither_done_nor_to_do(time: FakeClock) -> None:
    progress = Progress(None, time.clock)
    progress.expect({"a": {"1": 100, "2": 10}, "b": {"3": 7}})
    progress.reached("1", 50)
    for digest in ("2", "3", "nobody's"):
        progress.spared(digest)
    progress.reached("3", 7)
    assert [(state.name, state.done, state.total) for state in progress.images()] == [
        ("a", 50, 100)
    ]


def test_what_moves_says_itself_how_far_it_has_come(time: FakeClock) -> None:
    progress, come = Progress(None, time.clock), [30]
    progress.expect({"a": {"1": 100}})
    progress.moves("1", lambda: come[0])
    assert progress.whole.done == 30
    come[0] = 108  # heads of chunks and all
    assert progress.whole.done == 100
    progress.reached("1", 5)
    assert progress.whole.done == 5
