from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.errors import ConfigError
from towline.http.proxy import Proxies, bypasses_proxy


def found(where: str, **environ: str) -> str:
    proxy = Proxies(environ).find(where)
    return f"{proxy.host}:{proxy.port}" if proxy else ""


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ""),
        ({"HTTPS_PROXY": "http://one:3128"}, "one:3128"),
        ({"https_proxy": "http://one:3128"}, "one:3128"),
        ({"HTTPS_PROXY": "http://upper:1", "https_proxy": "http://lower:2"}, "lower:2"),
        ({"HTTPS_PROXY": "http://upper:1", "https_proxy": " "}, "upper:1"),
        ({"ALL_PROXY": "http://all:3"}, "all:3"),
        ({"all_proxy": "http://all:3", "HTTPS_PROXY": "http://one:1"}, "one:1"),
        ({"HTTP_PROXY": "http://plain:1"}, ""),
        ({"HTTPS_PROXY": "bare:8080"}, "bare:8080"),
        ({"HTTPS_PROXY": "http://noport/"}, "noport:1080"),
        ({"HTTPS_PROXY": "http://[fd00::1]:3128"}, "fd00::1:3128"),
    ],
)
def test_the_variables_are_read_as_curl_reads_them(environ: dict[str, str], expected: str) -> None:
    assert found("https://registry.example.com", **environ) == expected


def test_plain_http_has_its_own_variable() -> None:
    assert (
        found(
            "http://registry.example.com", HTTP_PROXY="http://plain:1", HTTPS_PROXY="http://one:1"
        )
        == "plain:1"
    )


@pytest.mark.parametrize(
    "where",
    ["http://127.0.0.1:5000", "https://localhost", "https://[::1]:5000", "http://2130706433"],
)
def test_this_machine_is_never_asked_for_through_a_proxy(where: str) -> None:
    assert found(where, ALL_PROXY="http://one:3128") == ""


@pytest.mark.parametrize(
    ("no_proxy", "host", "port"),
    [
        ("*", "registry.example.com", 443),
        ("example.com", "registry.example.com", 443),
        ("example.com", "example.com", 443),
        (".example.com", "example.com", 443),
        ("*.example.com", "registry.example.com", 443),
        ("a.org, example.com", "x.example.com", 443),
        ("a.org example.com", "x.example.com", 443),
        ("EXAMPLE.com", "X.example.COM.", 443),
        ("registry.example.com:5000", "registry.example.com", 5000),
        ("example.com:5000", "registry.example.com", 5000),
        ("10.1.2.3", "10.1.2.3", 80),
        ("10.0.0.0/8", "10.1.2.3", 80),
        ("10.1.2.3/8", "10.9.9.9", 80),
        ("fd00::/8", "fd12::1", 443),
        ("[fd00::1]", "fd00::1", 443),
        ("fd00::1", "fd00:0::1", 443),
        ("[fd00::1]:5000", "fd00::1", 5000),
        ("10.1.2.3:5000", "10.1.2.3", 5000),
        (",,*", "a", 1),
    ],
)
def test_no_proxy_names_hosts_by_suffix_address_network_and_port(
    no_proxy: str, host: str, port: int
) -> None:
    assert bypasses_proxy(host, port, no_proxy)


@pytest.mark.parametrize(
    ("no_proxy", "host", "port"),
    [
        ("", "registry.example.com", 443),
        ("ample.com", "example.com", 443),
        ("registry.example.com", "example.com", 443),
        ("example.com", "example.com.evil.org", 443),
        ("example.com:5000", "example.com", 443),
        ("10.0.0.0/8", "11.0.0.1", 80),
        ("10.0.0.0/8", "10.example.com", 80),
        ("10.0.0.0/99", "10.0.0.1", 80),
        ("1.2.3", "4.1.2.3", 80),
        ("fd00::/8", "10.0.0.1", 80),
        (".", "example.com", 443),
        ("example.com:", "example.com", 443),
        ("[fd00::1]:5000", "fd00::1", 443),
        ("0.1", "8.0.0.1", 443),
    ],
)
def test_no_proxy_names_no_other_host(no_proxy: str, host: str, port: int) -> None:
    assert not bypasses_proxy(host, port, no_proxy)


def test_no_proxy_is_obeyed_in_both_cases() -> None:
    assert found("https://a.example.com", HTTPS_PROXY="http://one:1", NO_PROXY="example.com") == ""
    assert (
        found(
            "https://a.example.com",
            HTTPS_PROXY="http://one:1",
            no_proxy="example.com",
            NO_PROXY="other",
        )
        == ""
    )


@given(
    st.text(max_size=40),
    st.sampled_from(["registry.example.com", "10.1.2.3", "fd00::1"]),
    st.integers(1, 65535),
)
def test_no_list_breaks_the_choice_and_only_a_star_or_a_name_makes_it(
    no_proxy: str, host: str, port: int
) -> None:
    if bypasses_proxy(host, port, no_proxy):
        assert any(text in no_proxy.lower() for text in ("*", "com", "/", host[-1]))


@pytest.mark.parametrize(
    "url",
    [
        "socks5://hunter2@one:1",
        "https://hunter2@one:3128",
        "http://",
        "http://one:hunter2",
        "http://one:0",
        "http://[::1",
        "http://hunter2 x",
    ],
)
def test_a_proxy_that_cannot_be_used_is_an_error_when_it_would_be_and_its_url_is_not_shown(
    url: str,
) -> None:
    proxies = Proxies({"HTTPS_PROXY": url})
    assert proxies.find("http://registry.example.com") is None
    with pytest.raises(ConfigError) as caught:
        proxies.find("https://registry.example.com")
    assert caught.value.where == "HTTPS_PROXY"
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_a_login_is_for_the_proxy_alone_and_is_not_shown() -> None:
    proxies = Proxies({"HTTPS_PROXY": "http://me:p%40ss%C3%BC@one:3128"})
    proxy = proxies.find("https://registry.example.com")
    assert proxy is not None
    assert base64.b64decode(proxy.authorization.removeprefix("Basic ")).decode() == "me:p@ss\u00fc"
    assert "one:3128 (from HTTPS_PROXY)" in str(proxy)
    assert proxy.authorization not in repr(proxy)
    assert set(proxies.secrets()) == {"p%40ss%C3%BC", "p@ss\u00fc"}
    assert set(Proxies({"HTTPS_PROXY": "http://one:3128"}).secrets()) == set()
