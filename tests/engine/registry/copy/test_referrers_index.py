from __future__ import annotations

import itertools
import json
import threading

import pytest

from tests.engine.registry.clients import Pair, client, put_list, repository_at
from tests.fakes.clock import FakeClock
from tests.fakes.images import (
    DOCKER_LIST,
    ImageParts,
    make_image,
    put,
    refer_to,
)
from tests.fakes.registry import (
    FakeRegistry,
    Record,
    Status,
    on,
)
from towline.errors import RegistryError
from towline.http.client import Transport
from towline.registry.copy.referrers import referrers_tag
from towline.registry.copy.referrers_index import add_to_referrers_index
from towline.registry.manifest import Manifest, parse_manifest


def there(target: FakeRegistry, subject: ImageParts, kind: str = "ours") -> ImageParts:
    """The referrers of an image that exist without being listed."""
    referrer = refer_to(subject, f"application/vnd.example.{kind}")
    put(referrer, target, "app")
    return referrer


def listed_by_tag(target: FakeRegistry, subject: ImageParts) -> set[str]:
    return {
        entry["digest"]
        for entry in json.loads(target.manifest("app", referrers_tag(subject.digest))[2])[
            "manifests"
        ]
    }


def manifest_of(parts: ImageParts) -> Manifest:
    return parse_manifest(parts.manifest, parts.media_type)


def test_two_writers_of_a_list_both_find_theirs_in_it(
    target: FakeRegistry, transport: Transport, time: FakeClock
) -> None:
    """Both have read it before either writes it, and the later one replaces what the earlier
    wrote; both look at it after that.
    """
    image = make_image()
    both = [there(target, image, str(number)) for number in range(2)]
    together = threading.Barrier(2, timeout=20)
    reads = itertools.count()

    def gather(record: Record) -> None:
        if record.method == "GET" and next(reads) < 4:
            together.wait()

    target.fault = gather
    writers = [
        threading.Thread(
            target=add_to_referrers_index,
            args=(writer, repository_at(writer, "app"), image.digest, [manifest_of(one)]),
        )
        for one in both
        for writer in [client(target, "target", transport)]
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    assert listed_by_tag(target, image) == {one.digest for one in both}


def test_what_another_writer_has_replaced_is_written_again(
    target: FakeRegistry, pair: Pair, time: FakeClock
) -> None:
    image = make_image()
    ours, theirs = there(target, image), there(target, image, "theirs")
    reads = itertools.count()

    def replace_it(record: Record) -> None:
        if record.method == "GET" and next(reads) == 2:  # the first GET after the index was written
            put_list(target, image, theirs)

    target.fault = replace_it
    add_to_referrers_index(
        pair.target, repository_at(pair.target, "app"), image.digest, [manifest_of(ours)]
    )
    assert listed_by_tag(target, image) == {ours.digest, theirs.digest}


def test_a_list_that_is_seen_a_moment_after_it_was_written_is_written_once(
    target: FakeRegistry, pair: Pair, time: FakeClock
) -> None:
    image = make_image()
    begun = time.time
    target.fault = lambda record: (
        Status(code=404) if record.method == "GET" and time.time < begun + 2 else None
    )
    add_to_referrers_index(
        pair.target,
        repository_at(pair.target, "app"),
        image.digest,
        [manifest_of(there(target, image))],
    )
    assert (target.count("PUT"), 2 <= sum(time.sleeps) < 5) == (1, True)


def test_what_a_list_names_may_need_a_moment_to_be_seen_or_never_be(
    target: FakeRegistry, pair: Pair, time: FakeClock
) -> None:
    image, begun = make_image(), time.time
    unknown = Status(code=400, body=b'{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}')
    target.fault = lambda record: (
        unknown if record.method == "PUT" and time.time < begun + 2 else None
    )
    add_to_referrers_index(
        pair.target,
        repository_at(pair.target, "app"),
        image.digest,
        [manifest_of(there(target, image))],
    )
    target.fault = on("PUT", "", unknown, times=99)
    with pytest.raises(RegistryError, match="MANIFEST_BLOB_UNKNOWN"):
        add_to_referrers_index(
            pair.target,
            repository_at(pair.target, "app"),
            image.digest,
            [manifest_of(there(target, image, "other"))],
        )


def test_a_list_of_null_is_an_empty_one(target: FakeRegistry, pair: Pair) -> None:
    image = make_image()
    put_list(target, image)
    sbom = there(target, image)
    add_to_referrers_index(
        pair.target, repository_at(pair.target, "app"), image.digest, [manifest_of(sbom)]
    )
    assert listed_by_tag(target, image) == {sbom.digest}


def test_a_list_that_never_keeps_what_is_added_is_given_up(
    target: FakeRegistry, pair: Pair
) -> None:
    image = make_image()
    others = (there(target, image, str(number)) for number in itertools.count())

    def steal(record: Record) -> None:
        if record.method == "GET":
            put_list(target, image, next(others))

    target.fault = steal
    with pytest.raises(RegistryError, match="was overwritten each time"):
        add_to_referrers_index(
            pair.target,
            repository_at(pair.target, "app"),
            image.digest,
            [manifest_of(there(target, image))],
        )


def test_a_tag_that_is_no_list_stays_as_it_is(target: FakeRegistry, pair: Pair) -> None:
    image = make_image()
    put_list(target, image, image, kind=DOCKER_LIST)
    with pytest.raises(RegistryError, match="is not a list of referrers, and stays as it is"):
        add_to_referrers_index(
            pair.target,
            repository_at(pair.target, "app"),
            image.digest,
            [manifest_of(there(target, image))],
        )
    assert target.count("PUT") == 0
