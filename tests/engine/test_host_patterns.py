from __future__ import annotations

import pytest

from towline.host_patterns import matches_any, parse


@pytest.mark.parametrize(
    ("entry", "host", "scheme"),
    [
        ("registry.example.com", "registry.example.com", "https"),
        ("registry.example.com", "REGISTRY.example.com", "https"),
        ("Registry.Example.com.", "registry.example.com", "https"),
        ("registry.example.com", "registry.example.com:443", "https"),
        ("registry.example.com:443", "registry.example.com", "https"),
        ("registry.example.com", "registry.example.com:80", "http"),
        ("git.example.com", "git.example.com:22", "ssh"),
        ("registry.example.com:5000", "registry.example.com:5000", "https"),
        ("*.example.com", "registry.example.com", "https"),
        ("*.example.com", "a.b.example.com", "https"),
        ("*.example.com:8443", "git.example.com:8443", "https"),
        ("localhost:5000", "localhost:5000", "http"),
        ("[::1]:5000", "[0:0::1]:5000", "http"),
        ("10.0.0.7", "10.0.0.7", "https"),
        ("a_b", "a_b", "https"),
    ],
)
def test_an_entry_names_its_host(entry: str, host: str, scheme: str) -> None:
    assert matches_any(["other", entry], host, scheme)


@pytest.mark.parametrize(
    ("entry", "host", "scheme"),
    [
        ("registry.example.com", "registry.example.com:5000", "https"),
        ("registry.example.com", "registry.example.com:80", "https"),
        ("registry.example.com:443", "registry.example.com", "ssh"),
        ("registry.example.com:5000", "registry.example.com", "https"),
        ("*.example.com", "example.com", "https"),
        ("*.example.com", "evilexample.com", "https"),
        ("*.example.com", "example.com.evil.org", "https"),
        ("*.example.com", "git.example.com:8443", "https"),
        ("example.com", "git.example.com", "https"),
        ("git.example.com", "git.example.com@evil.org", "https"),
        ("git.example.com", "*.example.com", "https"),
        ("*.example.com", "*.example.com", "https"),
        ("git.example.com", "", "https"),
    ],
)
def test_it_names_no_other(entry: str, host: str, scheme: str) -> None:
    assert not matches_any([entry], host, scheme)


@pytest.mark.parametrize(
    ("entry", "hint"),
    [
        ("https://registry.example.com", "without scheme"),
        ("registry.example.com/team", "without scheme and path"),
        ("me@git.example.com", "without a user"),
        ("*", "below a domain"),
        ("git*.example.com", "below a domain"),
        ("*example.com", "below a domain"),
        ("a.*.example.com", "below a domain"),
        ("", "write host"),
        (" a", "write host"),
        ("a b", "write host"),
        ("a..b", "write host"),
        (".example.com", "write host"),
        ("a:0", "write host"),
        ("a:65536", "write host"),
        ("a:b", "write host"),
        ("*.10.0.0.7", "nothing below it"),
        ("*.[::1]", "below a domain"),
        ("bücher.example", "write host"),
        ("-a", "write host"),
        ("[::g]", "write host"),
        ("[1:2]", "write host"),
    ],
)
def test_an_entry_that_no_host_can_match_is_an_error(entry: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        parse(entry)
    with pytest.raises(ValueError, match=hint):
        matches_any([entry], "a", "https")
