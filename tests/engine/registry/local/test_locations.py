from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.errors import ConfigError
from towline.registry.local.locations import (
    DaemonImage,
    DockerArchiveFile,
    ImageLocation,
    LocalPath,
    OciArchive,
    OciFolder,
    RegistryLocation,
    local_name,
    parse_local_location,
    parse_location,
)

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"
LOCAL = [
    ("oci:build/image", OciFolder(path="build/image")),
    ("oci:/abs/image:1.0", OciFolder(path="/abs/image", target="1.0")),
    (
        "oci:image:docker.io/library/app:1.0",
        OciFolder(path="image", target="docker.io/library/app:1.0"),
    ),
    ("oci-archive:image.tar", OciArchive(path="image.tar")),
    ("oci-archive:image.tar:1.0", OciArchive(path="image.tar", target="1.0")),
    ("docker-archive:image.tar", DockerArchiveFile(path="image.tar")),
    ("docker-archive:image.tar:app", DockerArchiveFile(path="image.tar", target="app:latest")),
    (
        "docker-archive:image.tar:docker.io/library/app:1",
        DockerArchiveFile(path="image.tar", target="app:1"),
    ),
    (
        "docker-archive:image.tar:localhost:5000/team/app:1",
        DockerArchiveFile(path="image.tar", target="localhost:5000/team/app:1"),
    ),
    ("docker-daemon:app", DaemonImage(name="app:latest")),
    ("docker-daemon:registry.example/team/app:1", DaemonImage(name="registry.example/team/app:1")),
    (f"docker-daemon:app@{DIGEST}", DaemonImage(name=f"app@{DIGEST}")),
    (f"docker-daemon:{DIGEST}", DaemonImage(name=DIGEST)),
]
REGISTRY = [
    ("docker://registry.example/app:1", "https", "registry.example", "app:1"),
    ("registry.example:5000/team/app", "https", "registry.example:5000", "team/app"),
    ("localhost/app:1", "http", "localhost", "app:1"),
    (f"registry.example/app@{DIGEST}", "https", "registry.example", f"app@{DIGEST}"),
    (f"docker://registry.example/app:1@{DIGEST}", "https", "registry.example", f"app:1@{DIGEST}"),
    ("http://127.0.0.1:5000/app:1", "http", "127.0.0.1:5000", "app:1"),
    ("https://registry.example/team/app:1", "https", "registry.example", "team/app:1"),
]


@pytest.mark.parametrize(("text", "place"), LOCAL)
def test_local_places_are_read_by_their_prefix(text: str, place: ImageLocation) -> None:
    assert parse_location(text) == place
    assert parse_local_location(text) == place
    assert parse_location(str(place)) == place


@pytest.mark.parametrize(("text", "scheme", "host", "image"), REGISTRY)
def test_registries_are_read_with_and_without_a_prefix(
    text: str, scheme: str, host: str, image: str
) -> None:
    place = parse_location(text)
    assert isinstance(place, RegistryLocation)
    reference = place.reference
    assert (reference.registry.scheme, reference.registry.host, str(reference.image)) == (
        scheme,
        host,
        image,
    )
    assert place.target == (image.partition("@")[2] or image.partition(":")[2] or "latest")
    assert str(place) == f"docker://{host}/{image}"


@pytest.mark.parametrize(
    "text",
    ["image.tar", "build/image", "/abs/image", "./oci:image", "a b", "ä.tar", "odd:name.tar"],
)
def test_without_a_prefix_a_local_place_is_a_path(text: str) -> None:
    place = parse_local_location(text)
    assert place == LocalPath(path=text)
    assert str(place) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("app", "docker://host/name:tag"),
        ("app:1", "docker://host/name:tag"),
        ("", "docker://host/name:tag"),
        ("./image.tar", "oci-archive:FILE"),
        ("/abs/image", "oci:FOLDER"),
        ("dir:image", "oci:FOLDER"),
        ("containers-storage:app:1", "docker-daemon:name:tag"),
        ("docker:app", "docker://"),
        ("docker://app:1", "docker.io/library/name"),
        ("library/app:1", "docker.io/library/name"),
        ("docker://", "docker.io/library/name"),
        ("docker://registry.example/App:1", "lower case"),
        ("http://user:word@registry.example/app:1", "parameters of their own"),
        ("https://registry.example", "name:tag"),
        ("oci:", "oci:FOLDER"),
        ("oci::1", "oci:FOLDER"),
        ("oci:image:", "oci:FOLDER:tag"),
        ("oci:image:-x", "oci:FOLDER:tag"),
        ("oci:im\0age", "oci:FOLDER"),
        ("oci-archive:a.tar:../x", "oci:FOLDER:tag"),
        ("docker-archive:", "docker-archive:FILE"),
        ("docker-archive:a.tar:", "name:tag"),
        ("docker-archive:a.tar:App", "lower case"),
        (f"docker-archive:a.tar:app@{DIGEST}", "name:tag"),
        ("docker-daemon:", "name:tag"),
        ("docker-daemon:../../version", "expected"),
        ("docker-daemon:app?x=1", "lower case"),
    ],
)
def test_what_is_no_place_is_refused_and_says_what_is(text: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_location(text)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "docker://registry.example/app:1",
        "https://registry.example/app:1",
        "dir:image",
        "a\0b",
        "oci:",
    ],
)
def test_what_is_no_local_place_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_local_location(text)
    assert "oci:FOLDER" in caught.value.hint
    assert "docker://" not in caught.value.hint


def test_a_password_in_a_url_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_location("https://user:hunter2@registry.example/app:1")
    assert "hunter2" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("app", "app:latest"),
        ("app:1", "app:1"),
        ("docker.io/library/app:1", "app:1"),
        ("index.docker.io/library/app", "app:latest"),
        ("library/app:1", "app:1"),
        ("docker.io/team/app:1", "team/app:1"),
        ("team/app:1", "team/app:1"),
        ("registry.example/library/app:1", "registry.example/library/app:1"),
        ("localhost/app", "localhost/app:latest"),
        (f"app@{DIGEST}", f"app@{DIGEST}"),
    ],
)
def test_all_spellings_of_a_name_have_one_form(text: str, name: str) -> None:
    assert local_name(text) == name
    assert local_name(name) == name


paths = st.text(min_size=1, max_size=30).filter(lambda path: ":" not in path and "\0" not in path)
tags = st.from_regex(r"[A-Za-z0-9]{1,9}([-._@+][A-Za-z0-9]{1,9}){0,3}", fullmatch=True)
images = st.from_regex(
    r"[a-z0-9]{1,6}(/[a-z0-9]{1,6}){0,2}:[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True
)


@given(paths, st.just("") | tags, images.map(local_name))
def test_what_is_written_is_read_back(path: str, tag: str, name: str) -> None:
    for place in (
        OciFolder(path=path, target=tag),
        OciArchive(path=path, target=tag),
        DockerArchiveFile(path=path, target=name),
        DaemonImage(name=name),
    ):
        assert parse_location(str(place)) == place


prefixes = st.sampled_from(
    ["", "oci:", "oci-archive:", "docker-archive:", "docker-daemon:", "docker://", "http://"]
)


@given(st.tuples(prefixes, st.text(max_size=40)).map("".join))
def test_no_text_at_all_breaks_it(text: str) -> None:
    for parse in (parse_location, parse_local_location):
        with contextlib.suppress(ConfigError):
            assert "\0" not in str(parse(text))
