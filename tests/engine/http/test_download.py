from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.names import OUTSIDE, Names
from tests.fakes.proxy import ProxyServer
from tests.fakes.serve import Answer, LoopbackServer, Request, Status, on
from towline.errors import ConfigError
from towline.http.download import TOKENS_VARIABLE, display_url, fetch, parse_tokens

TOKEN = "token-of-the-host"
LINE = ".pipeline/config.yml:3"


class Shelf(LoopbackServer):
    """Answers by path, and keeps the headers of the requests."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, Answer] = {}
        self.headers: list[Mapping[str, str]] = []

    def answer(self, request: Request) -> Answer:
        self.headers.append(request.headers)
        return self.answers.get(request.path, Answer(status=200, body=b"general: {}\n"))

    def moved(self, path: str, location: str, status: int = 302) -> None:
        self.answers[path] = Answer(status=status, headers={"Location": location})


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with Shelf() as server:
        yield server


def tokens(server: Shelf) -> str:
    return f'["other.example.com:wrong", "{server.host}:{TOKEN}"]'


def fault(url: str, known: str = "", clock: FakeClock | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        fetch(url, {TOKENS_VARIABLE: known}, where=LINE, clock=clock.clock if clock else None)
    assert caught.value.hint
    assert TOKEN not in caught.value.message + caught.value.where + caught.value.hint
    return caught.value


def test_a_document_is_fetched_as_it_is(shelf: Shelf) -> None:
    shelf.answers["/team/defaults.yml"] = Answer(status=200, body="general: {a: \u00fc}\n".encode())
    assert (
        fetch(f"{shelf.url}/team/defaults.yml?ref=main#part", {}, where=LINE)
        == "general: {a: \u00fc}\n"
    )
    assert "authorization" not in shelf.headers[0]
    assert shelf.requests[0].query == "ref=main"


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/repos/o/r/contents/d.yml", "application/vnd.github.v3.raw"),
        ("/repos/o/r/releases/assets/1", "application/octet-stream"),
    ],
)
def test_a_token_goes_to_its_host_the_way_a_code_host_wants_it(
    shelf: Shelf, path: str, accept: str
) -> None:
    fetch(shelf.url + path, {TOKENS_VARIABLE: tokens(shelf)}, where=LINE)
    assert (shelf.headers[0]["authorization"], shelf.headers[0]["accept"]) == (
        f"token {TOKEN}",
        accept,
    )


def test_a_token_goes_to_no_other_host(shelf: Shelf) -> None:
    fetch(
        f"{shelf.url}/d.yml",
        {TOKENS_VARIABLE: f'["{shelf.host}1:{TOKEN}", "127.0.0.1:{TOKEN}"]'},
        where=LINE,
    )
    assert "authorization" not in shelf.headers[0]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_without_the_token(shelf: Shelf, status: int) -> None:
    shelf.moved("/asset", "/storage/asset?signed=1", status)
    fetch(f"{shelf.url}/asset", {TOKENS_VARIABLE: tokens(shelf)}, where=LINE)
    assert [headers.get("authorization", "") for headers in shelf.headers] == [f"token {TOKEN}", ""]
    assert shelf.requests[1].path == "/storage/asset"


@pytest.mark.parametrize("location", ["", "ftp://127.0.0.1/x", "http://[::1", "file:///etc/passwd"])
def test_a_redirect_to_nowhere_is_not_followed(shelf: Shelf, location: str) -> None:
    shelf.moved("/d.yml", location)
    assert "does not follow" in fault(f"{shelf.url}/d.yml").message
    assert shelf.count("GET") == 1


def test_redirects_in_a_circle_end(shelf: Shelf) -> None:
    shelf.moved("/d.yml", "/d.yml")
    assert "more than 5 times" in fault(f"{shelf.url}/d.yml").message
    assert shelf.count("GET") == 6


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_names_the_line_that_asks_and_what_a_token_is_given_by(
    shelf: Shelf, status: int
) -> None:
    shelf.answers["/d.yml"] = Answer(status=status, body=b"SECRET PAGE")
    caught = fault(f"{shelf.url}/d.yml?token=hidden")
    assert caught.message == f"{shelf.url}/d.yml answers {status}"
    assert (caught.where, "PIPER_gitHubTokens" in caught.hint) == (LINE, True)
    assert "token" in fault(f"{shelf.url}/d.yml", tokens(shelf)).hint


def test_a_host_that_is_busy_is_asked_again(shelf: Shelf) -> None:
    clock = FakeClock()
    shelf.fault = on("GET", "d.yml", Status(code=503), times=2)
    assert fetch(f"{shelf.url}/d.yml", {}, where=LINE, clock=clock.clock) == "general: {}\n"
    assert len(clock.sleeps) == 2


def test_a_host_that_puts_us_off_for_too_long_is_given_up(shelf: Shelf) -> None:
    clock = FakeClock()
    shelf.fault = on("GET", "d.yml", Status(code=429, headers={"Retry-After": "50"}), times=9)
    assert "within 60 seconds" in fault(f"{shelf.url}/d.yml", clock=clock).message
    assert clock.sleeps == [50.0]


def test_a_host_that_is_not_there_is_named(shelf: Shelf) -> None:
    shelf.stop()
    caught = fault(f"{shelf.url}/d.yml", clock=FakeClock())
    assert caught.message.startswith(f"{shelf.url}/d.yml cannot be read: ")
    assert caught.where == LINE


def test_what_is_too_long_or_no_text_is_refused(shelf: Shelf) -> None:
    shelf.answers["/long"] = Answer(status=200, body=b"a" * (8 * 1024 * 1024 + 1))
    shelf.answers["/bytes"] = Answer(status=200, body=b"\xff\xfe")
    assert "longer than" in fault(f"{shelf.url}/long").message
    assert "UTF-8" in fault(f"{shelf.url}/bytes").message


def test_a_token_does_not_go_over_plain_http() -> None:
    caught = fault("http://github.example.com/d.yml", f'["github.example.com:{TOKEN}"]')
    assert (caught.message, caught.hint) == (
        "the token of github.example.com would go over plain http",
        "write https",
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://",
        "https://host:0/",
        "https://me:secret@host/x",
        "http://ho st/",
        "https://host/\u00e4",
    ],
)
def test_a_url_that_cannot_be_asked_is_named_without_what_is_secret(url: str) -> None:
    caught = fault(url)
    assert "cannot be read" in caught.message
    assert "secret" not in caught.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("[]", {}),
        ('["github.example.com:abc"]', {"github.example.com": "abc"}),
        (
            '["GitHub.example.com:8443:abc", "b.example.com:443:def"]',
            {"github.example.com:8443": "abc", "b.example.com": "def"},
        ),
        ('["[::1]:8080:abc"]', {"[::1]:8080": "abc"}),
    ],
)
def test_tokens_are_given_by_host_and_port(text: str, expected: dict[str, str]) -> None:
    assert parse_tokens(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[1]",
        "host:token",
        "[" * 100_000,
        '["host"]',
        '["host:"]',
        '[":abc"]',
        '["https://host:abc"]',
        '["host:a\\nb"]',
    ],
)
def test_tokens_that_cannot_be_read_are_a_fault_that_shows_none(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_tokens(text)
    assert caught.value.where == "PIPER_gitHubTokens"
    assert "abc" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://me:secret@host:8443/a/b.yml?token=x#y", "https://host:8443/a/b.yml"),
        ("http://[::1", "the URL"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(url: str, text: str) -> None:
    assert display_url(url) == text


def test_a_document_comes_through_the_proxy_of_the_environment(shelf: Shelf) -> None:
    with ProxyServer({"files.example.com:80": shelf.host}) as proxy:
        assert (
            fetch(
                "http://files.example.com/d.yml", {"http_proxy": f"http://{proxy.host}"}, where=LINE
            )
            == "general: {}\n"
        )
    assert proxy.lines == ["GET http://files.example.com/d.yml"]


def test_a_redirect_to_a_name_that_leads_inside_is_not_followed(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.moved("/d.yml", "http://inside.example.com/d.yml")
    names = Names(
        monkeypatch,
        {"files.example.com": OUTSIDE, "inside.example.com": "10.0.0.5"},
        port=shelf.port,
    )
    assert "its address is private" in fault("http://files.example.com/d.yml").message
    assert names.dialled == [OUTSIDE]
