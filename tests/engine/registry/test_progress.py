from __future__ import annotations

import io

from tests.fakes.clock import FakeClock
from towline.console import Console
from towline.registry.progress import Progress

MIB = 1024 * 1024


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


def test_a_build_log_gets_a_line_every_ten_seconds_while_bytes_move(time: FakeClock) -> None:
    log = io.StringIO()
    progress = Progress(Console(log), time.clock)
    progress.expect(100 * MIB)
    for second in range(40):
        if second < 25:
            progress.add(MIB)
        time.time += 1
        progress.tick()
    assert log.getvalue().splitlines() == [
        "  10.0 of 100.0 MiB, 1.0 MiB/s, about 90 s left", "  20.0 of 100.0 MiB, 1.0 MiB/s, about 80 s left",
        "  25.0 of 100.0 MiB, 0.8 MiB/s, about 90 s left",
    ]


def test_a_terminal_gets_one_line_that_renews_itself_and_goes(time: FakeClock) -> None:
    log = Terminal()
    console = Console(log)
    with Progress(console, time.clock) as progress:
        progress.expect(4 * MIB)
        for _ in range(2):
            progress.add(MIB)
            time.time += 1
            progress.tick()
        console.say("a line of the log")
    assert log.getvalue().count("\n") == 1
    assert [line.strip() for line in log.getvalue().replace("\n", "\r").split("\r\x1b[2K")] == [
        "", "1.0 of 4.0 MiB, 1.0 MiB/s, about 3 s left", "2.0 of 4.0 MiB, 1.0 MiB/s, about 2 s left", "a line of the log", "",
    ]


def test_nothing_is_said_where_nothing_moves_or_nobody_listens(time: FakeClock) -> None:
    log = Terminal()
    for console in (Console(log), None):
        with Progress(console, time.clock) as progress:
            progress.expect(0)
            time.time += 100
            progress.tick()
    assert log.getvalue() == ""
