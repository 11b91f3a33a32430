from __future__ import annotations

import socket

import pytest

from tests.fakes.names import OUTSIDE, Names
from towline.http.addresses import AddressPolicy, PermanentTransportError


def test_what_a_pull_request_names_is_outside() -> None:
    assert AddressPolicy(outside=True).addresses(f"http://{OUTSIDE}") == [OUTSIDE]
    for inside in (
        "127.0.0.1",
        "10.0.0.5",
        "169.254.169.254",
        "0.0.0.0",
        "[::1]",
        "localhost",
        "168.63.129.16",
        "2130706433",
    ):
        with pytest.raises(PermanentTransportError, match="no public host of this name is known"):
            AddressPolicy(outside=True).addresses(f"http://{inside}:8080")


def test_who_may_not_ask_inside_does_not_learn_which_names_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Names(monkeypatch, {"wiki.corp": "10.0.0.5", "gone.corp": ""})
    answers = set()
    for host in ("wiki.corp", "gone.corp"):
        with pytest.raises(PermanentTransportError) as caught:
            AddressPolicy(outside=True).addresses(f"https://{host}")
        answers.add(str(caught.value).replace(host, "HOST"))
    assert len(answers) == 1


def test_a_resolver_that_is_busy_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", busy)
    with pytest.raises(socket.gaierror):
        AddressPolicy(outside=True).addresses("https://defaults.example")


def test_two_hosts_do_not_count_for_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target of a copy may be inside; its source still may not lead there."""
    Names(monkeypatch, {"registry.corp": "10.0.0.5", "registry.example.com": OUTSIDE})
    reach = AddressPolicy()
    assert reach.addresses("https://registry.corp") == ["10.0.0.5"]
    with pytest.raises(PermanentTransportError, match="its address is private"):
        reach.addresses("https://registry.corp", "https://registry.example.com")


def test_a_namer_of_whom_nothing_is_known_counts_as_outside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Names(monkeypatch, {"registry.corp": "10.0.0.5", "behind.example.com": ""})
    with pytest.raises(PermanentTransportError, match="its address is private"):
        AddressPolicy().addresses("https://registry.corp", "https://behind.example.com")


@pytest.mark.parametrize("met", ["", OUTSIDE])
def test_who_is_met_outside_is_outside_whatever_else_the_name_has(
    monkeypatch: pytest.MonkeyPatch, met: str
) -> None:
    Names(monkeypatch, {"both.example.com": f"{OUTSIDE} 10.0.0.5", "wiki.corp": "10.0.0.6"})
    reach = AddressPolicy()
    assert reach.addresses("http://both.example.com") == [OUTSIDE, "10.0.0.5"]
    if met:
        reach.met("http://both.example.com", met)
    with pytest.raises(PermanentTransportError, match="its address is private"):
        reach.addresses("http://wiki.corp", "http://both.example.com")


def test_who_is_met_inside_may_send_us_there_whatever_else_the_name_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Names(monkeypatch, {"both.corp": f"{OUTSIDE} 10.0.0.5", "wiki.corp": "10.0.0.6"})
    reach = AddressPolicy()
    reach.met("http://both.corp", "10.0.0.5")
    assert reach.addresses("http://wiki.corp", "http://both.corp") == ["10.0.0.6"]
