"""`--verbose` shows the requests to hosts and programs, and no secret."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.engine.echo import Echo
from towline.console import detail, send_to
from towline.http.client import Transport
from towline.http.messages import HttpRequest
from towline.process import run


@pytest.fixture
def lines() -> Iterator[list[str]]:
    taken: list[str] = []
    send_to(taken.append)
    yield taken
    send_to(None)


def test_a_line_is_made_only_if_somebody_wants_it(lines: list[str]) -> None:
    detail(lambda: "one")
    send_to(None)
    detail(lambda: pytest.fail("made for nobody"))
    assert lines == ["one"]


def test_a_request_is_shown_with_its_answer_and_without_its_query(lines: list[str]) -> None:
    with Echo() as server, Transport() as transport:
        transport.request(
            HttpRequest(method="GET", url=f"{server.url}/v2/app/blobs/x?_state=token")
        ).close()
    assert len(lines) == 1
    assert lines[0].startswith(f"GET {server.url}/v2/app/blobs/x -> 200")


def test_an_upload_is_shown_too(lines: list[str]) -> None:
    with Echo() as server, Transport() as transport:
        sending = transport.begin(
            HttpRequest(method="PUT", url=f"{server.url}/v2/app/blobs/uploads/x?digest=sha256:1"), 3
        )
        sending.send(b"abc")
        sending.finish().close()
    assert [line.partition(" -> ")[0] for line in lines] == [
        f"PUT {server.url}/v2/app/blobs/uploads/x"
    ]


def test_a_program_is_shown_with_its_words_and_its_exit_code(lines: list[str]) -> None:
    run([sys.executable, "-c", "pass"], environment={})
    assert lines == [f"{sys.executable} -c pass -> exit code 0"]
