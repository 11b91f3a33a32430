from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.registry.auth.tokens import Challenge, choose_challenge, parse_challenges

HUB = (
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",'
    'scope="repository:library/app:pull,push repository:b:pull"'
)

words = st.from_regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", fullmatch=True)
values = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20)


def test_a_bearer_challenge_gives_realm_service_and_scopes() -> None:
    (challenge,) = parse_challenges(HUB)
    assert challenge.scheme == "bearer"
    assert challenge.parameters["realm"] == "https://auth.docker.io/token"
    assert challenge.parameters["service"] == "registry.docker.io"
    assert challenge.scopes == ("repository:library/app:pull,push", "repository:b:pull")


@pytest.mark.parametrize(
    ("header", "schemes"),
    [
        ('Negotiate, Basic realm="x"', ["negotiate", "basic"]),
        ("Negotiate YII=, Basic", ["negotiate", "basic"]),
        ('Basic realm="a, Bearer realm=b", Bearer realm="c"', ["basic", "bearer"]),
        (
            'Digest realm="x", qop="auth, auth-int", nonce=1, bearer REALM="https://r"',
            ["digest", "bearer"],
        ),
        ("", []),
        (" , ,", []),
        ("Basic", ["basic"]),
    ],
)
def test_several_challenges_stand_in_one_header(header: str, schemes: list[str]) -> None:
    assert [challenge.scheme for challenge in parse_challenges(header)] == schemes


@pytest.mark.parametrize(
    ("header", "realm"),
    [
        ('Bearer realm="a\\"b\\\\c"', 'a"b\\c'),
        ("Bearer realm = plain", "plain"),
        ('Bearer  realm="first", realm="second"', "first"),
        ('Bearer Realm="x",error="invalid_token"', "x"),
        ('Bearer ,realm=""', ""),
    ],
)
def test_parameters_are_read_as_the_specification_has_them(header: str, realm: str) -> None:
    assert parse_challenges(header)[0].parameters["realm"] == realm


@given(words, st.dictionaries(words.map(str.lower), values, max_size=4))
def test_what_is_written_is_read_back(scheme: str, parameters: dict[str, str]) -> None:
    quoted = ", ".join(
        f'{name}="' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for name, value in parameters.items()
    )
    assert parse_challenges(f"{scheme} {quoted}") == (
        Challenge(scheme=scheme.lower(), parameters=parameters),
    )


@given(st.text(max_size=80) | st.text('Bearer,="\\ \tx', max_size=80))
def test_no_header_breaks_the_reader(header: str) -> None:
    assert all(challenge.scheme for challenge in parse_challenges(header))


@pytest.mark.parametrize(
    "header",
    [
        'Bearer realm="' + "\\" * 200_000,
        "Bearer " + "a=b " * 60_000,
        '"' * 200_000,
        "," * 200_000,
        "Bearer " + " " * 200_000 + "=",
        '"a"' * 5_000 + '"\\',
        'Bearer a="b"c,' * 20_000,
        'Bearer a="' + ',a="' * 50_000,
    ],
)
def test_an_endless_header_is_read_to_a_limit_and_in_linear_time(header: str) -> None:
    assert len(parse_challenges(header)) < 20_000
    assert len(parse_challenges(header)) == len(parse_challenges(header[: 16 * 1024]))


def test_bearer_comes_before_basic_whatever_their_order() -> None:
    chosen = choose_challenge(["Negotiate", 'Basic realm="x"', HUB])
    assert chosen is not None
    assert chosen.scheme == "bearer"


def test_a_bearer_challenge_without_a_realm_leaves_basic() -> None:
    chosen = choose_challenge(['Bearer service="x"', "Basic"])
    assert chosen is not None
    assert chosen.scheme == "basic"


def test_schemes_that_are_not_for_us_are_left() -> None:
    assert choose_challenge(["Negotiate", "Digest realm=x", ""]) is None
