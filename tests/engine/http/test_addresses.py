from __future__ import annotations

import socket
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.http.addresses import may_reach, network_of, parse_address


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("8.8.8.8", "public"),
        ("2606:4700::1111", "public"),
        ("::ffff:8.8.8.8", "public"),
        ("127.0.0.1", "loopback"),
        ("127.9.9.9", "loopback"),
        ("::1", "loopback"),
        ("localhost", "loopback"),
        ("a.LOCALHOST.", "loopback"),
        ("10.1.2.3", "private"),
        ("192.168.1.1", "private"),
        ("172.31.0.1", "private"),
        ("100.64.0.1", "private"),
        ("fd00::1", "private"),
        ("168.63.129.16", "of a metadata service"),
        ("100.100.100.200", "of a metadata service"),
        ("192.0.0.192", "of a metadata service"),
        ("fd00:ec2::254", "of a metadata service"),
        ("fd00:ec2::23", "of a metadata service"),
        ("fd20:ce::254", "of a metadata service"),
        ("fd00:ec2::254%eth0", "of a metadata service"),
        ("168.63.129.17", "public"),
        ("100.100.100.201", "private"),
        ("fd00:ec3::254", "private"),
        ("169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("0.0.0.0", "nowhere"),
        ("::", "nowhere"),
        ("224.0.0.1", "nowhere"),
        ("ff02::1", "nowhere"),
        ("255.255.255.255", "nowhere"),
        ("registry.example.com", ""),
        ("10.example.com", ""),
        ("", ""),
        ("1.2.3.4.5", ""),
        ("256.1.1.1.", ""),
    ],
)
def test_every_address_is_of_one_network(name: str, expected: str) -> None:
    assert network_of(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2130706433", "loopback"),
        ("0x7f000001", "loopback"),
        ("0x7F.1", "loopback"),
        ("127.1", "loopback"),
        ("0177.0.0.1", "loopback"),
        ("0", "nowhere"),
        ("2852039166", "link-local"),
        ("0xa9fea9fe", "link-local"),
        ("10.1", "private"),
        ("0xC0.0xA8.257", "private"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:a9fe:a9fe", "link-local"),
        ("64:ff9b::10.0.0.1", "private"),
        ("2002:7f00:1::", "loopback"),
        ("2001:0:4136:e378:8000:63bf:80ff:fffe", "loopback"),
        ("::a9fe:a9fe", "link-local"),
        ("::7f00:1", "loopback"),
        ("::ffff:0:a9fe:a9fe", "link-local"),
        ("64:ff9b::a9fe:a9fe", "link-local"),
        ("2002:a9fe:a9fe::", "link-local"),
        ("64:ff9b::6464:64c8", "of a metadata service"),
        ("::ffff:168.63.129.16", "of a metadata service"),
        ("2822734096", "of a metadata service"),
        ("0xa83f8110", "of a metadata service"),
        ("0250.077.0201.020", "of a metadata service"),
        ("64:ff9b:1::a9fe:a9fe", "of a metadata service"),
        ("64:ff9b:1:a9fe:a9:fe00::", "of a metadata service"),
        ("64:ff9b:1:a9:fe:a9fe::", "of a metadata service"),
        ("64:ff9b:1:0:a9:fea9:fe00:0", "of a metadata service"),
        ("64:ff9b:1::808:808", "private"),
    ],
)
def test_guards_that_look_only_at_the_usual_form_are_not_enough(name: str, expected: str) -> None:
    """Facts section 4, "SSRF guards that look only at literal IPs": decimal, octal, hexadecimal
    and short forms, and IPv4 inside IPv6.
    """
    assert network_of(name) == expected


@given(
    st.lists(
        st.one_of(
            st.integers(0, 300).map(str),
            st.integers(0, 2**33).map(hex),
            st.integers(0, 400).map(lambda number: f"0{number:o}"),
        ),
        min_size=1,
        max_size=5,
    ).map(".".join)
)
def test_numbers_are_read_as_the_c_library_reads_them(name: str) -> None:
    try:
        expected = IPv4Address(socket.inet_aton(name))
    except OSError:
        expected = None
    assert parse_address(name) == expected


@given(st.text(max_size=40))
def test_no_name_breaks_it(name: str) -> None:
    assert network_of(name) in (
        "public",
        "private",
        "loopback",
        "link-local",
        "of a metadata service",
        "nowhere",
        "",
    )


@pytest.mark.parametrize(
    ("there", "own", "allowed"),
    [
        ("public", {"public"}, True),
        ("private", {"public"}, False),
        ("loopback", {"public"}, False),
        ("link-local", {"public"}, False),
        ("private", {"private"}, True),
        ("loopback", {"private"}, False),
        ("link-local", {"private"}, False),
        ("private", {"loopback"}, True),
        ("loopback", {"loopback"}, True),
        ("link-local", {"loopback"}, False),
        ("nowhere", {"loopback"}, False),
        ("link-local", {"link-local"}, False),
        ("of a metadata service", {"of a metadata service", "loopback"}, False),
        ("private", {"public", "private"}, True),
        ("public", {"loopback"}, True),
    ],
)
def test_a_host_sends_us_to_its_like_or_to_the_public(
    there: str, own: set[str], allowed: bool
) -> None:
    assert may_reach(there, own) == allowed
