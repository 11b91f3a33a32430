from __future__ import annotations

import json

import pytest

from tests.engine.registry.clients import (
    SECRET,
    SOURCE_LOGIN,
    TARGET_LOGIN,
    Pair,
    client,
    image_at,
    job,
    ways,
)
from tests.fakes.images import index_of, make_attested, make_image, make_index, missing, put
from tests.fakes.registry import FakeRegistry, Status, on
from towline.errors import ConfigError, CredentialError, RegistryError, RegistryUnreachable
from towline.http.client import Transport
from towline.image import parse_platforms
from towline.record import replace
from towline.registry.copy.images import copy_images
from towline.registry.copy.job import COPIED, SKIPPED
from towline.secret import Login


@pytest.mark.parametrize("docker", [False, True])
@pytest.mark.parametrize("auth", ["none", "basic", "bearer"])
def test_an_index_arrives_with_all_that_hangs_on_it(
    transport: Transport, auth: str, docker: bool
) -> None:
    index = make_index(layers=2, docker=docker)
    with (
        FakeRegistry(username="builder", password=SECRET, auth=auth) as source,
        FakeRegistry(username="pusher", password=SECRET, auth=auth) as target,
    ):
        put(index, source, "staged/app", "1")
        report = Pair(source, target, transport, (SOURCE_LOGIN, TARGET_LOGIN)).copy(
            "staged/app:1", "team/app:1"
        )
        assert missing(index, target, "team/app") == ()
        assert target.storage["team/app"].tags == {"1": index.digest}
        assert target.manifest("team/app", "1")[1] == index.media_type
    assert (report.digest, report.platforms) == (index.digest, ("linux/amd64", "linux/arm64"))
    assert ways(report) == (6, 0, 0)
    assert (report.size(COPIED), report.size(SKIPPED)) == (
        sum(map(len, index.all_blobs().values())),
        0,
    )
    assert (report.tags_set, report.source_asked, report.changed) == (("team/app:1",), True, True)


@pytest.mark.parametrize("code", [307, 308])
def test_an_image_arrives_where_all_writes_are_sent_to_and_no_login_goes_there(
    transport: Transport, code: int
) -> None:
    """K12: a registry that has moved, and answers only reads itself."""
    index = make_index(layers=2)
    with (
        FakeRegistry() as source,
        FakeRegistry(username="pusher", password=SECRET, auth="bearer") as old,
        FakeRegistry(relative_location=True) as new,
    ):
        put(index, source, "app", "1")
        new.storage = old.storage
        old.fault = lambda record: (
            Status(
                code=code,
                headers={"Location": f"{new.url}{record.path}?{record.query}"},
                early=True,
            )
            if (record.method in ("POST", "PUT", "PATCH"))
            else None
        )
        report = Pair(source, old, transport, (None, TARGET_LOGIN)).copy("app:1", "app:1")
        assert (missing(index, old, "app"), report.tags_set) == ((), ("app:1",))
        assert {record.authorization for record in new.requests} == {""}
        assert {record.method for record in new.requests} == {"POST", "PUT"}
        assert sum(record.bytes_in for record in old.requests) == 0


def test_an_image_of_one_platform_arrives(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    image = make_image(layers=3)
    put(image, source, "app", "1")
    report = pair.copy("app:1", "app:1")
    assert missing(image, target, "app") == ()
    assert (report.count(COPIED), report.platforms) == (4, ())


@pytest.mark.parametrize("known", [False, True])
def test_the_second_time_nothing_moves(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, known: bool
) -> None:
    index = make_index()
    put(index, source, "app", "1")
    digest = index.digest if known else ""
    pair.copy("app:1", "app:1", "app:latest", digest=digest)
    for server in (source, target):
        server.forget()
    report = pair.copy("app:1", "app:1", "app:latest", digest=digest)
    assert not report.changed
    assert report.source_asked is not known
    assert [record.method for record in target.requests] == ["HEAD", "HEAD"]
    assert [record.method for record in source.requests] == ([] if known else ["GET"])


def test_a_known_digest_needs_no_source_when_the_target_holds_it(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    index = make_index()
    put(index, source, "app", "1")
    pair.copy("app:1", "app:1", digest=index.digest)
    source.stop()
    report = pair.copy("app:1", "app:1", digest=index.digest)
    assert (report.changed, report.source_asked) == (False, False)
    source.start()


def test_a_new_tag_for_what_the_target_holds_is_one_put_and_needs_no_source(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    digest = put(make_index(), target, "app", "1")
    source.stop()
    report = pair.copy("app:1", "app:1", "app:2", "app:latest", digest=digest)
    assert sorted(record.path for record in target.seen("PUT")) == [
        "/v2/app/manifests/2",
        "/v2/app/manifests/latest",
    ]
    assert target.storage["app"].tags == dict.fromkeys(("1", "2", "latest"), digest)
    assert (report.tags_set, report.source_asked, report.platforms) == (
        ("app:2", "app:latest"),
        False,
        ("linux/amd64", "linux/arm64"),
    )
    source.start()


def test_each_further_tag_is_one_more_put(source: FakeRegistry, transport: Transport) -> None:
    put(make_index(), source, "app", "1")
    counts = []
    for tags in (["app:1"], ["app:1", "app:2"], ["app:1", "app:2", "app:3"]):
        with FakeRegistry() as target:
            Pair(source, target, transport).copy("app:1", *tags)
            counts.append(target.count("PUT"))
    assert counts == [counts[0], counts[0] + 1, counts[0] + 2]


@pytest.mark.parametrize("validates", [True, False])
def test_a_target_that_lost_a_child_gets_it_back_before_a_tag_is_set(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, *, validates: bool
) -> None:
    target.validates = validates
    index = make_index()
    put(index, source, "app", "1")
    put(index, target, "app", "1")
    del target.storage["app"].manifests[index.children[0].digest]
    lost = next(iter(index.children[0].blobs))
    del target.storage["app"].blobs[lost]
    report = pair.copy("app:1", "app:2", digest=index.digest)
    assert missing(index, target, "app") == ()
    assert (report.changed, ways(report)) == (True, (1, 0, 3))


@pytest.mark.parametrize("known", [False, True])
def test_blobs_that_the_target_has_lost_come_back_before_a_tag_is_set(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, known: bool
) -> None:
    parts = make_index()
    put(parts, source, "app", "1")
    put(parts, target, "app", "1")
    lost = next(iter(target.storage["app"].blobs))
    del target.storage["app"].blobs[lost]
    target.storage["app"].manifests.pop(parts.digest)  # else no answer shows that blobs are missing
    report = pair.copy("app:1", "app:2", digest=parts.digest if known else "")
    assert (report.count(COPIED), report.source_asked) == (1, True)
    assert lost in target.storage["app"].blobs
    assert target.storage["app"].tags["2"] == parts.digest


def test_a_registry_that_misses_what_its_manifest_names_gets_it_before_the_tag(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    image = make_image(layers=2)
    put(image, source, "app", "1")
    put(image, target, "app", "1")
    lost = next(iter(image.blobs))
    del target.storage["app"].blobs[lost]
    report = pair.copy("app:1", "app:2", digest=image.digest)
    assert ways(report) == (1, 0, 2)
    assert missing(image, target, "app") == ()
    assert target.storage["app"].tags["2"] == image.digest
    assert [record.status for record in target.seen("PUT", "manifests")] == [400, 201]


def test_only_missing_blobs_move(source: FakeRegistry, target: FakeRegistry, pair: Pair) -> None:
    image = make_image(layers=4)
    put(image, source, "app", "1")
    there = dict(list(image.blobs.items())[:3])
    target.create("app").blobs.update(there)
    report = pair.copy("app:1", "app:1")
    assert ways(report) == (2, 0, 3)
    assert report.size(SKIPPED) == sum(map(len, there.values()))
    assert {record.path.rpartition("/")[2] for record in source.seen("GET", "blobs")} == set(
        image.blobs
    ) - set(there)


def test_a_tag_that_moved_on_does_not_matter_when_the_digest_is_known(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    wanted = put(make_image(seed=1), source, "app", "1")
    put(make_image(seed=2), source, "app", "1")
    assert pair.copy("app:1", "app:1", digest=wanted).digest == wanted
    assert target.storage["app"].tags == {"1": wanted}


def test_a_digest_in_the_sources_name_is_a_known_digest(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    wanted = put(make_image(), source, "app")
    pair.copy(f"app@{wanted}", "app:1")
    assert target.storage["app"].tags == {"1": wanted}


def test_a_tag_that_points_elsewhere_is_moved(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    wanted = put(make_image(seed=1), source, "app", "1")
    put(make_image(seed=2), target, "app", "1")
    assert pair.copy("app:1", "app:1").tags_set == ("app:1",)
    assert target.storage["app"].tags == {"1": wanted}


def test_one_platform_is_taken_out_of_an_index(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    index = make_index()
    put(index, source, "app", "1")
    report = pair.copy(
        "app:1", "app:1", digest=index.digest, platforms=parse_platforms("linux/arm64")
    )
    assert report.digest == index.children[1].digest == target.storage["app"].tags["1"]
    assert set(target.storage["app"].manifests) == {report.digest}
    assert not pair.copy("app:1", "app:1", platforms=parse_platforms("linux/arm64")).changed


def test_several_platforms_are_an_index_of_those_alone_with_their_attestations(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    index = make_attested(["linux/amd64", "linux/arm64", "linux/s390x"])
    put(index, source, "app", "1")
    wanted = parse_platforms("linux/s390x,linux/amd64")
    report = pair.copy("app:1", "app:1", "app:latest", digest=index.digest, platforms=wanted)
    there = target.storage["app"]
    assert there.tags == dict.fromkeys(("1", "latest"), report.digest)
    children = [index.children[position] for position in (2, 0, 3, 5)]
    assert [
        entry["digest"] for entry in json.loads(there.manifests[report.digest][1])["manifests"]
    ] == [child.digest for child in children]
    assert set(there.manifests) == {report.digest, *(child.digest for child in children)}
    assert set(there.blobs) == {digest for child in children for digest in child.blobs}
    assert (report.chosen_from, report.platforms) == (index.digest, ("linux/s390x", "linux/amd64"))
    again = pair.copy("app:1", "app:1", "app:latest", digest=index.digest, platforms=wanted)
    assert (again.changed, again.digest) == (False, report.digest)


def test_what_was_chosen_before_needs_no_source_and_is_chosen_again_where_the_target_has_lost_it(
    source: FakeRegistry,
    target: FakeRegistry,
    transport: Transport,
) -> None:
    index = make_attested(["linux/amd64", "linux/arm64", "linux/s390x"])
    put(index, source, "app", "1")
    for wanted in map(parse_platforms, ("linux/arm64", "linux/arm64,linux/amd64")):
        pair = Pair(source, target, transport)
        first = pair.copy("app:1", "app:1", digest=index.digest, platforms=wanted)
        known = replace(first.job, chosen=first.digest)
        source.stop()
        (second,) = copy_images([known], pair.copying())
        assert (second.changed, second.source_asked, second.chosen_from) == (
            False,
            False,
            index.digest,
        )
        source.start()
        target.storage.clear()
        (third,) = copy_images([known], Pair(source, target, transport).copying())
        assert (third.digest, target.storage["app"].tags) == (first.digest, {"1": first.digest})


def test_all_platforms_of_an_index_are_the_index_itself(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    index = make_attested()
    put(index, source, "app", "1")
    report = pair.copy("app:1", "app:1", platforms=parse_platforms("linux/amd64,linux/arm64"))
    assert (report.digest, report.chosen_from, missing(index, target, "app")) == (
        index.digest,
        "",
        (),
    )


def test_a_target_by_another_digest_is_refused_before_anything_moves(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    index = make_index()
    put(index, source, "app", "1")
    for image, platforms in (
        (f"app@sha256:{'0' * 64}", ""),
        (f"app@{index.digest}", "linux/arm64,linux/amd64"),
    ):
        with pytest.raises(ConfigError, match="not that of"):
            pair.copy("app:1", image, platforms=parse_platforms(platforms))
    assert target.storage == {}
    assert pair.copy("app:1", f"app@{index.digest}").changed


def test_a_platform_that_is_not_there_lists_those_that_are(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    put(make_index(), source, "app", "1")
    with pytest.raises(ConfigError) as caught:
        pair.copy("app:1", "app:1", platforms=parse_platforms("linux/amd64,linux/s390x"))
    assert "linux/amd64, linux/arm64" in caught.value.hint
    assert target.storage == {}


def test_an_image_without_an_index_is_taken_where_it_is_for_the_platform(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    digest = put(make_image("linux/arm64/v8"), source, "app", "1")
    assert pair.copy("app:1", "app:1", platforms=parse_platforms("linux/arm64")).digest == digest
    with pytest.raises(
        ConfigError, match="is for the platform linux/arm64/v8, not for linux/amd64"
    ) as caught:
        pair.copy("app:1", "app:2", platforms=parse_platforms("linux/amd64"))
    assert caught.value.where.endswith("app:1"), "of several images the one that it is"


def test_an_index_of_indexes_arrives(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    outer = index_of([make_index(), make_image("linux/s390x")])
    put(outer, source, "app", "1")
    pair.copy("app:1", "app:1")
    assert missing(outer, target, "app") == ()


# Several jobs


def test_what_two_jobs_share_moves_once(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    first, second = (
        make_index(["linux/amd64", "linux/arm64"]),
        make_index(["linux/amd64", "linux/s390x"]),
    )
    put(first, source, "app", "1")
    put(second, source, "app", "2")
    jobs = [
        job(source, target, "app:1", "app:1"),
        job(source, target, "app:2", "app:2"),
        job(source, target, "app:1", "app:one"),
    ]
    reports = copy_images(jobs, pair.copying())
    assert [report.count(COPIED) for report in reports] == [4, 2, 0]
    assert target.count("PUT", "uploads") == target.count("POST") == 6
    assert target.count("PUT", first.children[0].digest) == 1
    assert target.storage["app"].tags == {
        "1": first.digest,
        "2": second.digest,
        "one": first.digest,
    }


def test_no_tag_of_any_job_is_set_when_one_of_them_fails(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    good, bad = make_image(seed=1), make_image(seed=2)
    put(good, source, "good", "1")
    put(bad, source, "bad", "1")
    source.fault = on("GET", next(iter(bad.blobs)), Status(code=400))
    with pytest.raises(RegistryError):
        copy_images(
            [job(source, target, "good:1", "good:1"), job(source, target, "bad:1", "bad:1")],
            pair.copying(),
        )
    assert all(not held.tags for held in target.storage.values())


def test_one_image_goes_to_several_repositories(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    image = make_image()
    put(image, source, "app", "1")
    report = pair.copy("app:1", "a/app:1", "b/app:1", "a/app:2")
    assert report.tags_set == ("a/app:1", "a/app:2", "b/app:1")
    assert (missing(image, target, "a/app"), missing(image, target, "b/app")) == ((), ())


def test_within_one_registry_blobs_are_mounted(source: FakeRegistry, transport: Transport) -> None:
    image = make_image()
    put(image, source, "app", "1")
    report = Pair(source, source, transport).copy("app:1", "released/app:1")
    assert (ways(report), report.size(COPIED)) == ((0, 2, 0), 0)
    assert missing(image, source, "released/app") == ()


def test_a_mount_into_another_repository_asks_each_blob_once(
    source: FakeRegistry, transport: Transport
) -> None:
    image = make_image(layers=3)
    put(image, source, "app", "1")
    source.forget()
    Pair(source, source, transport).copy("app:1", "released/app:1")
    assert sorted(record.method for record in source.requests) == [
        "GET",
        "HEAD",
        *["POST"] * 4,
        "PUT",
    ]
    assert not Pair(source, source, transport).copy("app:1", "released/app:1").changed


def test_a_tag_in_the_same_repository_asks_no_blob(
    source: FakeRegistry, transport: Transport
) -> None:
    put(make_image(layers=3), source, "app", "1")
    source.forget()
    Pair(source, source, transport).copy("app:1", "app:2")
    assert sorted(record.method for record in source.requests) == ["GET", "HEAD", "HEAD", "PUT"]


def test_where_mounts_are_declined_the_bytes_move(
    source: FakeRegistry, transport: Transport
) -> None:
    source.mount = False
    put(make_image(), source, "app", "1")
    report = Pair(source, source, transport).copy("app:1", "released/app:1")
    assert ways(report) == (2, 0, 0)


# Dry run


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    index = make_index()
    put(index, source, "app", "1")
    dry = pair.copy("app:1", "app:1", "app:2", dry_run=True)
    assert target.storage == {}
    assert {record.method for record in target.requests} == {"HEAD"}
    assert [entry["do"] for entry in dry.plan] == ["copy blob"] * 4 + ["put manifest"] * 2 + [
        "put tag"
    ] * 2
    real = pair.copy("app:1", "app:1", "app:2")
    assert (ways(dry), dry.size(COPIED), dry.tags_set, dry.plan) == (
        ways(real),
        real.size(COPIED),
        real.tags_set,
        real.plan,
    )


# What goes wrong


def test_a_source_that_is_gone_hints_that_staging_is_short_lived(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    digest = put(make_image(), source, "app", "1")
    source.stop()
    with pytest.raises(
        RegistryUnreachable, match=f"the source registry {source.host} cannot be reached"
    ) as caught:
        pair.copy("app:1", "app:1", digest=digest)
    assert "Build has to run again" in caught.value.hint
    source.start()


def test_a_source_that_lost_the_image_says_which(pair: Pair) -> None:
    with pytest.raises(
        RegistryError, match="the image app:1 does not exist on the source registry"
    ):
        pair.copy("app:1", "app:1")


def test_a_target_repository_that_is_not_there_is_named(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    put(make_image(), source, "app", "1")
    target.create_on_push = False
    with pytest.raises(
        RegistryError, match="the repository 'team/app' does not exist on the target registry"
    ):
        pair.copy("app:1", "team/app:1")
    assert target.storage == {}


@pytest.mark.parametrize("auth", ["basic", "bearer"])
@pytest.mark.parametrize("wrong", ["source", "target"])
def test_a_wrong_password_names_registry_user_and_origin(
    transport: Transport, auth: str, wrong: str
) -> None:
    logins = [
        (
            Login(username=login.username, password="guess-me-not", origin=login.origin)
            if role == wrong
            else login
        )
        for role, login in (("source", SOURCE_LOGIN), ("target", TARGET_LOGIN))
    ]
    with (
        FakeRegistry(username="builder", password=SECRET, auth=auth) as source,
        FakeRegistry(username="pusher", password=SECRET, auth=auth) as target,
    ):
        put(make_image(), source, "app", "1")
        with pytest.raises(CredentialError) as caught:
            Pair(source, target, transport, (logins[0], logins[1])).copy("app:1", "app:1")
        told = caught.value.message + caught.value.hint + caught.value.where
        expected = {"source": (source.host, SOURCE_LOGIN), "target": (target.host, TARGET_LOGIN)}[
            wrong
        ]
        assert expected[0] in told
        assert repr(expected[1].username) in told
        assert expected[1].origin in told
        assert "guess-me-not" not in told
        assert target.storage == {}


def test_a_realm_on_a_foreign_host_gets_no_credential_of_the_copy(
    source: FakeRegistry, target: FakeRegistry, transport: Transport
) -> None:
    put(make_image(), source, "app", "1")
    source.auth, source.realm = "bearer", target.url + "/token"
    login = Login(username="u", password="p", origin="o", hosts=(source.host,))
    puller = client(source, "source", transport, login)
    with pytest.raises(CredentialError, match=f"no credential may be sent to {target.host}"):
        puller.head_manifest(image_at(puller, "app", "1"))
    assert target.requests == ()
