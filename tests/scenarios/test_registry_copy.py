"""The copy against Debian's docker-registry, a server by other authors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.engine.registry.clients import Pair, image_at, job, repository_at, ways
from tests.fakes.docker_registry import DockerRegistry
from tests.fakes.images import (
    ImageParts,
    index_of,
    make_attested,
    make_image,
    make_index,
    put,
    refer_to,
)
from tests.fakes.registry import FakeRegistry
from tests.fakes.token_server import TokenServer
from towline.errors import CredentialError, DigestMismatch, RegistryUnreachable
from towline.http.client import Transport
from towline.image import parse_platforms
from towline.record import replace
from towline.registry.copy.images import copy_images
from towline.registry.copy.job import REQUIRED
from towline.registry.copy.referrers import referrers_tag
from towline.registry.copy.verify import verify_images
from towline.registry.errors import ManifestIncomplete
from towline.registry.parallel import in_parallel
from towline.secret import Login

SOURCE = Login(
    username="builder", password="staging-pass-word", origin="CPE container/repositoryPassword"
)
TARGET = Login(
    username="pusher", password="target-pass-wörd", origin="PIPER_targetRegistryPassword"
)
KINDS = ("plain", "htpasswd", "token")

Start = Callable[[str, Login], DockerRegistry]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a registry of a kind with a login; all are stopped at the end."""
    with ExitStack() as stack:

        def started(kind: str, login: Login) -> DockerRegistry:
            folder = tmp_path / login.username
            if kind == "token":
                tokens = stack.enter_context(
                    TokenServer(folder / "token", username=login.username, password=login.password)
                )
                return stack.enter_context(
                    DockerRegistry(
                        folder, token_realm=tokens.realm, token_certificate=tokens.certificate
                    )
                )
            username, password = (
                (login.username, login.password) if kind == "htpasswd" else ("", "")
            )
            return stack.enter_context(DockerRegistry(folder, username=username, password=password))

        yield started


@pytest.fixture
def transport() -> Iterator[Transport]:
    with Transport() as opened:
        yield opened


def staged(server: DockerRegistry, image: ImageParts, name: str = "app", tag: str = "1") -> str:
    return put(
        image,
        server.url,
        name,
        tag,
        login=(SOURCE.username, SOURCE.password) if server.username else None,
    )


def log(server: DockerRegistry, method: str, status: str = "") -> int:
    """The number of requests of a method that the registry has answered, by its own log."""
    lines = server.log.read_text(encoding="utf-8").splitlines()
    return sum(1 for line in lines if f'"{method} /v2/' in line and f'" {status}' in line)


def arrived(image: ImageParts, target: DockerRegistry) -> bool:
    """Whether every byte is in the target's storage."""
    wanted = {**{part.digest: part.manifest for part in image.walk()}, **image.all_blobs()}
    return all(target.blob(digest) == data for digest, data in wanted.items())


@pytest.mark.parametrize("kind", ["plain", "htpasswd"])
@pytest.mark.parametrize("docker", [False, True])
def test_an_index_arrives_and_the_second_time_nothing_moves(
    start: Start, transport: Transport, kind: str, *, docker: bool
) -> None:
    source, target, index = (
        start(kind, SOURCE),
        start(kind, TARGET),
        make_index(size=2_000_000, layers=2, docker=docker),
    )
    digest = staged(source, index)
    pair = Pair(source, target, transport, (SOURCE, TARGET))
    first = pair.copy("app:1", "team/app:1", "team/app:latest", digest=digest)
    assert arrived(index, target)
    assert (
        target.manifest_digest("team/app", "1")
        == target.manifest_digest("team/app", "latest")
        == digest
    )
    assert (ways(first), first.platforms) == ((6, 0, 0), ("linux/amd64", "linux/arm64"))
    puts = log(target, "PUT")
    source.stop()
    second = pair.copy("app:1", "team/app:1", "team/app:latest", digest=digest)
    assert (second.changed, second.source_asked) == (False, False)
    assert log(target, "PUT") == puts


def test_a_token_of_a_real_token_server_opens_both_registries(
    start: Start, transport: Transport
) -> None:
    plain, target, index = start("plain", SOURCE), start("token", TARGET), make_index()
    staged(plain, index)
    Pair(plain, target, transport, (None, TARGET)).copy("app:1", "team/app:1")
    assert arrived(index, target)
    back = Pair(target, plain, transport, (TARGET, None)).copy("team/app:1", "back/app:1")
    assert plain.manifest_digest("back/app", "1") == back.digest == index.digest


@pytest.mark.parametrize("kind", KINDS)
def test_within_one_registry_nothing_but_manifests_moves(
    start: Start, transport: Transport, kind: str
) -> None:
    target, source, index = start(kind, TARGET), start("plain", SOURCE), make_index()
    staged(source, index)
    Pair(source, target, transport, (None, TARGET)).copy("app:1", "team/app:1")
    report = Pair(target, target, transport, (TARGET, TARGET)).copy("team/app:1", "released/app:1")
    assert ways(report) == (0, 4, 0)
    assert target.manifest_digest("released/app", "1") == index.digest


def test_only_missing_blobs_move_and_each_tag_is_one_put(
    start: Start, transport: Transport
) -> None:
    source, target = start("htpasswd", SOURCE), start("plain", TARGET)
    old, new = make_index(), make_index(["linux/amd64", "linux/s390x"])
    for tag, index in (("1", old), ("2", new)):
        staged(source, index, tag=tag)
    pair = Pair(source, target, transport, (SOURCE, None))
    pair.copy("app:1", "app:1")
    report = pair.copy("app:2", "app:2")
    assert ways(report) == (2, 0, 2)
    puts = log(target, "PUT")
    pair.copy("app:2", "app:2", "app:latest")
    assert log(target, "PUT") == puts + 1


def test_an_index_of_indexes_arrives(start: Start, transport: Transport) -> None:
    source, target, outer = (
        start("plain", SOURCE),
        start("plain", TARGET),
        index_of([make_index(), make_image("linux/s390x", layers=3)]),
    )
    staged(source, outer)
    Pair(source, target, transport).copy("app:1", "app:1")
    assert arrived(outer, target)


def test_chosen_platforms_arrive_as_an_index_of_their_own(
    start: Start, transport: Transport
) -> None:
    source, target, index = (
        start("plain", SOURCE),
        start("htpasswd", TARGET),
        make_attested(["linux/amd64", "linux/arm64", "linux/s390x"]),
    )
    staged(source, index)
    pair = Pair(source, target, transport, (None, TARGET))
    report = pair.copy("app:1", "app:1", platforms=parse_platforms("linux/amd64,linux/s390x"))
    assert target.manifest_digest("app", "1") == report.digest != index.digest
    kept = [index.children[position] for position in (0, 2, 3, 5)]
    assert [entry["digest"] for entry in json.loads(target.blob(report.digest))["manifests"]] == [
        child.digest for child in kept
    ]
    assert all(arrived(child, target) for child in kept)
    with pytest.raises(FileNotFoundError):
        target.blob(index.children[1].digest)
    assert not pair.copy(
        "app:1", "app:1", platforms=parse_platforms("linux/amd64,linux/s390x")
    ).changed


def test_several_images_go_in_one_run(start: Start, transport: Transport) -> None:
    source, target = start("plain", SOURCE), start("htpasswd", TARGET)
    images = {
        name: make_image(seed=number, layers=3)
        for number, name in enumerate(("web", "worker", "db"))
    }
    for name, image in images.items():
        staged(source, image, name)
    pair = Pair(source, target, transport, (None, TARGET))
    copy_images(
        [job(source, target, f"{name}:1", f"team/{name}:1") for name in images], pair.copying()
    )
    assert all(arrived(image, target) for image in images.values())
    assert {name: target.manifest_digest(f"team/{name}", "1") for name in images} == {
        name: image.digest for name, image in images.items()
    }


@pytest.mark.parametrize("kind", ["htpasswd", "token"])
def test_a_wrong_password_names_registry_user_and_origin(
    start: Start, transport: Transport, kind: str
) -> None:
    source, target = start("plain", SOURCE), start(kind, TARGET)
    staged(source, make_image())
    wrong = Login(
        username="pusher", password="wrong-pass-word", origin="PIPER_targetRegistryPassword"
    )
    with pytest.raises(CredentialError) as caught:
        Pair(source, target, transport, (None, wrong)).copy("app:1", "app:1")
    told = caught.value.message + caught.value.hint + caught.value.where
    assert (
        f"target registry {target.host} refuses user 'pusher' (from PIPER_targetRegistryPassword)"
        in told
    )
    assert "wrong-pass-word" not in told
    assert target.manifest_digest("app", "1") == ""


def test_a_wrong_byte_at_the_source_leaves_no_tag_and_no_manifest(
    start: Start, transport: Transport
) -> None:
    source, target, image = (
        start("plain", SOURCE),
        start("plain", TARGET),
        make_image(size=3_000_000),
    )
    staged(source, image)
    damaged = max(image.blobs, key=lambda digest: len(image.blobs[digest]))
    path = next(source.folder.glob(f"storage/**/{damaged.partition(':')[2]}/data"))
    path.write_bytes(image.blobs[damaged][:-1] + b"?")
    with pytest.raises(
        DigestMismatch,
        match=f"the blob {damaged} of app came from the source registry {source.host} as",
    ):
        Pair(source, target, transport).copy("app:1", "app:1")
    assert target.manifest_digest("app", "1") == ""
    assert log(target, "PUT", "201") <= len(image.blobs) - 1
    with pytest.raises(FileNotFoundError):
        target.blob(damaged)
    with pytest.raises(FileNotFoundError):
        target.blob(image.digest)


def test_a_manifest_whose_blobs_the_target_lost_is_refused_in_its_words(
    start: Start, transport: Transport
) -> None:
    source, target = start("plain", SOURCE), start("plain", TARGET)
    staged(source, make_image())
    pair = Pair(source, target, transport)
    with pytest.raises(ManifestIncomplete, match="MANIFEST_BLOB_UNKNOWN"):
        pair.target.put_manifest(
            image_at(pair.target, "app", "1"),
            pair.source.get_manifest(image_at(pair.source, "app", "1")),
        )


def test_a_source_that_is_gone_says_that_build_has_to_run_again(
    start: Start, transport: Transport
) -> None:
    source, target = start("plain", SOURCE), start("plain", TARGET)
    digest = staged(source, make_image())
    source.stop()
    with pytest.raises(RegistryUnreachable) as caught:
        Pair(source, target, transport).copy("app:1", "app:1", digest=digest)
    assert "Build has to run again" in caught.value.hint


def test_the_fake_and_the_real_registry_understand_each_other(
    start: Start, transport: Transport
) -> None:
    real, index = start("htpasswd", TARGET), make_index(layers=2)
    with FakeRegistry(username=SOURCE.username, password=SOURCE.password, auth="bearer") as fake:
        put(index, fake, "app", "1")
        Pair(fake, real, transport, (SOURCE, TARGET)).copy("app:1", "team/app:1")
        report = Pair(real, fake, transport, (TARGET, SOURCE)).copy("team/app:1", "back/app:1")
        assert ways(report) == (6, 0, 0)
        assert fake.storage["back/app"].tags == {"1": index.digest}
    assert arrived(index, real)


def test_what_refers_to_an_image_is_listed_by_a_tag_and_two_copies_at_once_both_find_theirs(
    tmp_path: Path, transport: Transport
) -> None:
    image = make_image(size=1000)
    about = [
        refer_to(image, f"application/vnd.example.{number}", content=f"{number}".encode())
        for number in range(2)
    ]
    with (
        FakeRegistry(referrers=True) as one,
        FakeRegistry(referrers=True) as other,
        DockerRegistry(tmp_path / "target") as target,
    ):
        for source, referrer in zip((one, other), about, strict=True):
            put(image, source, "app", "1")
            put(referrer, source, "app")
        pairs = [Pair(source, target, transport) for source in (one, other)]
        wishes = [
            replace(job(source, target, "app:1", "app:1"), referrers=REQUIRED)
            for source in (one, other)
        ]
        in_parallel(lambda number: copy_images([wishes[number]], pairs[number].copying()), [0, 1])
        index = json.loads(target.blob(target.manifest_digest("app", referrers_tag(image.digest))))
        assert {entry["digest"] for entry in index["manifests"]} == {
            referrer.digest for referrer in about
        }
        assert all(
            not copy_images([wish], pair.copying())[0].changed
            for wish, pair in zip(wishes, pairs, strict=True)
        )


def test_a_blob_that_the_registry_has_lost_comes_back_where_the_copy_is_verified(
    tmp_path: Path, transport: Transport
) -> None:
    index = make_index(size=1000)
    with FakeRegistry() as source, DockerRegistry(tmp_path / "target") as target:
        put(index, source, "app", "1")
        pair = Pair(source, target, transport)
        pair.copy("app:1", "app:1")
        lost = next(iter(index.all_blobs()))
        with closing(HTTPConnection(target.host, timeout=60)) as connection:
            connection.request("DELETE", f"/v2/app/blobs/{lost}")
            assert connection.getresponse().status == 202
        again = copy_images([job(source, target, "app:1", "app:1")], pair.copying())
        assert (
            again[0].changed,
            pair.target.has_blob(repository_at(pair.target, "app"), lost),
        ) == (False, False)
        [report] = verify_images(again, pair.copying())
        assert (report.changed, pair.target.has_blob(repository_at(pair.target, "app"), lost)) == (
            True,
            True,
        )
