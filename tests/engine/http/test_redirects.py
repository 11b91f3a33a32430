from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.http.redirects import absolute_url, may_follow, may_log_in
from towline.image import Registry

PUBLIC = Registry(scheme="https", host="registry.example.com:8443")
PLAIN = Registry(scheme="http", host="registry.example.com")
LOCAL = Registry(scheme="http", host="127.0.0.1:5000")
INTRANET = Registry(scheme="https", host="10.1.2.3")


@pytest.mark.parametrize(
    ("url", "registry"),
    [
        ("https://cdn.example.net/blob?sig=x", PUBLIC),
        ("https://registry.example.com:8443/x", PUBLIC),
        ("https://8.8.8.8/x", PUBLIC),
        ("http://cdn.example.net/x", PLAIN),
        ("https://cdn.example.net/x", PLAIN),
        ("http://127.0.0.1:6000/x", LOCAL),
        ("http://localhost:6000/x", LOCAL),
        ("https://cdn.example.net/x", LOCAL),
        ("https://10.9.9.9/x", INTRANET),
        ("https://10.1.2.3/x", INTRANET),
    ],
)
def test_a_registry_may_send_us_to_hosts_like_itself_or_better(
    url: str, registry: Registry
) -> None:
    assert may_follow(url, registry)


@pytest.mark.parametrize(
    ("url", "registry"),
    [
        ("http://registry.example.com:8443/x", PUBLIC),
        ("http://cdn.example.net/x", PUBLIC),
        ("http://10.9.9.9/x", INTRANET),
        ("https://127.0.0.1/x", PUBLIC),
        ("https://localhost/x", PUBLIC),
        ("https://a.localhost/x", PUBLIC),
        ("https://[::1]/x", PUBLIC),
        ("https://169.254.169.254/latest", PUBLIC),
        ("https://192.168.1.1/x", PUBLIC),
        ("http://10.0.0.1/x", PLAIN),
        ("https://[fd00::1]/", PUBLIC),
        ("https://2130706433/x", PUBLIC),
        ("https://0x7f.1/x", PUBLIC),
        ("https://[::ffff:10.0.0.1]/x", PUBLIC),
        ("ftp://cdn.example.net/x", PUBLIC),
        ("file:///etc/passwd", LOCAL),
        ("/v2/", PUBLIC),
        ("", PUBLIC),
        ("https://[::1", PUBLIC),
        ("https:///x", PUBLIC),
    ],
)
def test_a_registry_may_not_send_us_down_to_http_or_into_a_private_network(
    url: str, registry: Registry
) -> None:
    """Facts section 4: a redirect, realm, upload location or layer URL that leads down or
    inside, as far as it is written out.
    """
    assert not may_follow(url, registry)


@pytest.mark.parametrize(
    ("realm", "registry"),
    [
        ("https://auth.example.net/token", PUBLIC),
        ("http://127.0.0.1:6000/token", LOCAL),
        ("http://127.0.0.1:5000/token", LOCAL),
        ("http://registry.example.com:9000/token", PLAIN),
        ("https://auth.example.net/token", LOCAL),
    ],
)
def test_a_password_may_go_to_these_realms(realm: str, registry: Registry) -> None:
    assert may_log_in(realm, registry)


@pytest.mark.parametrize(
    ("realm", "registry"),
    [
        ("http://auth.example.net/token", PUBLIC),
        ("http://auth.example.net/token", PLAIN),
        ("http://auth.example.net/token", LOCAL),
        ("http://127.0.0.1/token", PLAIN),
        ("http://127.0.0.1.example.net/token", LOCAL),
    ],
)
def test_a_password_may_not_go_to_these(realm: str, registry: Registry) -> None:
    assert not may_log_in(realm, registry)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (
            "/v2/a/blobs/uploads/1?_state=a%3D",
            "https://registry.example.com:8443/v2/a/blobs/uploads/1?_state=a%3D",
        ),
        ("https://registry.example.com:8443/u/1", "https://registry.example.com:8443/u/1"),
        ("http://registry.example.com/u/1?s=1", "https://registry.example.com:8443/u/1?s=1"),
        ("http://REGISTRY.example.com:8443/u/1", "https://registry.example.com:8443/u/1"),
        ("https://storage.example.net/u/1#frag", "https://storage.example.net/u/1"),
        ("http://storage.example.net/u/1", "http://storage.example.net/u/1"),
        ("1?x", "https://registry.example.com:8443/v2/a/blobs/uploads/1?x"),
        ("https://[::1/", ""),
    ],
)
def test_a_location_is_resolved_and_never_downgraded(location: str, expected: str) -> None:
    """Facts section 4, "upload Location pointing inside the network", and 3.3, a proxy that
    loses the scheme.
    """
    assert (
        absolute_url(location, "https://registry.example.com:8443/v2/a/blobs/uploads/", PUBLIC)
        == expected
    )


@given(st.text(max_size=40))
def test_no_location_breaks_the_rules(text: str) -> None:
    located = absolute_url(text, "https://registry.example.com:8443/v2/", PUBLIC)
    assert not may_follow(located, PUBLIC) or located.startswith("https://")
    with contextlib.suppress(ValueError):
        assert may_follow("https://" + text, PUBLIC) in (True, False)
