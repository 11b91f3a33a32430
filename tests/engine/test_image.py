from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.errors import ConfigError
from towline.image import (
    Image,
    Platform,
    Reference,
    Registry,
    has_registry,
    is_loopback,
    parse_digest,
    parse_familiar,
    parse_image,
    parse_platform,
    parse_platforms,
    parse_reference,
    parse_registry,
    without_version,
)

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"

components = st.from_regex(r"[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}", fullmatch=True)
names = st.lists(components, min_size=1, max_size=4).map("/".join)
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True)
digests = st.from_regex(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("app", ("app", "", "")),
        ("team/app:1.0", ("team/app", "1.0", "")),
        ("a.b/c_d/e__f/g---h:_Tag", ("a.b/c_d/e__f/g---h", "_Tag", "")),
        (f"app@{DIGEST}", ("app", "", DIGEST)),
        (f"app:1@sha512:{HEX}{HEX}", ("app", "1", f"sha512:{HEX}{HEX}")),
        ("app:" + "t" * 128, ("app", "t" * 128, "")),
    ],
)
def test_an_image_is_read_into_its_parts(text: str, parts: tuple[str, str, str]) -> None:
    image = parse_image(text)
    assert (image.name, image.tag, image.digest) == parts
    assert str(image) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "App",
        "app:",
        "app:-x",
        "app:" + "t" * 129,
        "app@",
        "app:1@",
        "app@sha256:abc",
        "/app",
        "app/",
        "a//b",
        "a..b",
        "a_.b",
        "a___b",
        "-a",
        "a-",
        "app:1:2",
        "app\n",
        "app:1\n",
        "äpp",
        "../x",
        "a/../b",
        f"app@{DIGEST}\n",
        f"app@{DIGEST.upper()}",
    ],
)
def test_an_invalid_image_is_refused_with_the_expected_form(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_image(text)
    assert caught.value.hint.startswith("expected")


@given(names, st.just("") | tags, st.just("") | digests)
def test_a_written_image_is_read_back(name: str, tag: str, digest: str) -> None:
    image = Image(name=name, tag=tag, digest=digest)
    assert parse_image(str(image)) == image


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("App:1", "expected name, name:tag or name:tag@sha256:..., in lower case"),
        ("app:1.0+b", "expected up to 128 letters, digits,"),
        ("host:5000/app:1", "name the registry by its own parameter"),
        ("app:1@sha256:0", "expected sha256: and 64"),
    ],
)
def test_a_fault_says_which_part_is_meant(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_image(text)
    assert says in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 65,
        "sha256:" + "A" * 64,
        "sha512:" + "a" * 64,
        "md5:" + "a" * 32,
        "sha256-" + "a" * 64,
        " " + DIGEST,
        DIGEST + "\n",
        DIGEST + "/../x",
        "",
    ],
)
def test_a_digest_counts_only_as_a_whole(text: str) -> None:
    assert parse_digest(DIGEST) == DIGEST
    with pytest.raises(ConfigError, match="is not a digest"):
        parse_digest(text)


@pytest.mark.parametrize(
    ("text", "scheme", "host", "path"),
    [
        ("https://registry.example.com", "https", "registry.example.com", ""),
        ("registry.example.com", "https", "registry.example.com", ""),
        ("http://127.0.0.1:5000/", "http", "127.0.0.1:5000", ""),
        (
            "HTTPS://Registry.example.com:443/team/sub/",
            "https",
            "Registry.example.com:443",
            "team/sub",
        ),
        ("https://[::1]:5000/x", "https", "[::1]:5000", "x"),
        ("registry:65535", "https", "registry:65535", ""),
    ],
)
def test_a_registry_url_is_read_into_origin_and_path(
    text: str, scheme: str, host: str, path: str
) -> None:
    assert parse_registry(text) == (Registry(scheme=scheme, host=host), path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://",
        "ftp://host",
        "https://host:0",
        "https://host:65536",
        "https://host:999999",
        "https://host:",
        "https://ho st",
        "https://host/UPPER",
        "https://host/a?b=c",
        "https://host/a#b",
        "https://-host",
        "https://host/..",
        "https://host\n",
        "https://[:::]",
        "https://[1.2.3.4]",
        "file:///etc/passwd",
    ],
)
def test_an_invalid_registry_url_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a registry URL"):
        parse_registry(text)


def test_a_registry_url_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_registry("https://user:hunter2@host")
    assert "hunter2" not in caught.value.message + caught.value.hint + caught.value.where


@given(st.text(max_size=40))
def test_no_text_breaks_a_parser_in_any_other_way_than_a_clear_error(text: str) -> None:
    for parser in (parse_image, parse_digest, parse_registry, parse_reference, parse_platform):
        with contextlib.suppress(ConfigError):
            assert parser(text)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("registry.example.com/app", "latest"),
        ("localhost/app:1", "1"),
        (f"host:5000/team/app:1@{DIGEST}", DIGEST),
    ],
)
def test_a_reference_asks_for_its_digest_before_its_tag(text: str, target: str) -> None:
    reference = parse_reference(text)
    assert reference.target == target
    assert str(reference) == text


@pytest.mark.parametrize("text", ["app:1", "team/app:1", "host.example.com/", "host.example.com"])
def test_a_reference_must_name_its_registry(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_reference(text)


def test_a_reference_shows_no_scheme() -> None:
    registry = Registry(scheme="http", host="127.0.0.1:5000")
    assert (
        str(Reference(registry=registry, image=Image(name="app", tag="1")))
        == "127.0.0.1:5000/app:1"
    )
    assert str(registry) == "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:5000", "127.0.0.1", "127.8.9.10:80", "[::1]", "[::1]:5000"]
)
def test_literal_names_of_this_machine_are_loopback(host: str) -> None:
    assert is_loopback(host)
    assert Registry(scheme="http", host=host).loopback


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1.example.com",
        "localhost.example.com",
        "10.0.0.1",
        "[::2]:5000",
        "registry",
        "0.0.0.0:80",
        "127.1:5000",
    ],
)
def test_no_other_name_is_loopback(host: str) -> None:
    assert not is_loopback(host)
    assert not Registry(scheme="http", host=host).loopback


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", Platform(os="linux", architecture="amd64")),
        ("linux/arm/v7", Platform(os="linux", architecture="arm", variant="v7")),
        (
            "windows/amd64:10.0.17763.1040",
            Platform(os="windows", architecture="amd64", os_version="10.0.17763.1040"),
        ),
    ],
)
def test_a_platform_is_read_and_written_back(text: str, platform: Platform) -> None:
    assert parse_platform(text) == platform
    assert str(platform) == text


def test_platforms_have_commas_between_them() -> None:
    amd, arm = parse_platform("linux/amd64"), parse_platform("linux/arm/v7")
    assert parse_platforms("") == ()
    assert parse_platforms("linux/amd64") == (amd,)
    assert parse_platforms("linux/arm/v7, linux/amd64,linux/arm/v7") == (arm, amd)
    for text in (",", "linux/amd64,", "linux/amd64 linux/arm64/v8"):
        with pytest.raises(ConfigError, match="is not a platform"):
            parse_platforms(text)


@pytest.mark.parametrize("text", ["", "linux", "linux/", "/amd64", "linux//v7", "a/b/c/d"])
def test_an_invalid_platform_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a platform"):
        parse_platform(text)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("nginx:1", "docker.io/library/nginx:1"),
        ("team/app", "docker.io/team/app"),
        ("index.docker.io/nginx", "docker.io/library/nginx"),
        ("localhost/app:1", "localhost/app:1"),
        ("host:5000/app:1", "host:5000/app:1"),
        (f"a.b/c:1@{DIGEST}", f"a.b/c:1@{DIGEST}"),
    ],
)
def test_a_short_name_is_read_as_a_runtime_does(text: str, whole: str) -> None:
    assert str(parse_familiar(text)) == whole


@pytest.mark.parametrize(
    "text",
    ["", "App:1", "a.b/", "a b", "https://a.b/c:1", "a.b:99999/c", "{{ .x }}:1", "a.b/c:1/d"],
)
def test_an_invalid_reference_is_none(text: str) -> None:
    assert parse_familiar(text) is None


def test_a_registry_is_the_first_part_that_looks_like_a_host() -> None:
    assert [
        has_registry(text) for text in ("a.b/c", "a:1/c", "localhost/c", "a/c", "a.b", "localhost")
    ] == [True, True, True, False, False, False]


@pytest.mark.parametrize(
    "image",
    ["r.io:5000/a/b", "r.io:5000/a/b:1", "r.io:5000/a/b@sha256:00", "r.io:5000/a/b:1@sha256:00"],
)
def test_an_image_loses_its_tag_and_digest_alone(image: str) -> None:
    assert without_version(image) == "r.io:5000/a/b"
