from __future__ import annotations

import json

import pytest

from towline.registry.local.layout_index import LayoutEntry, read_entries
from towline.registry.manifest import OCI_INDEX, parse_manifest

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
IMAGE, SIGNATURES, ATTESTATIONS = (
    f"dev.cosignproject.cosign/{kind}" for kind in ("image", "sigs", "atts")
)


def entries(*several: dict[str, object]) -> tuple[LayoutEntry, ...]:
    listed = [
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1, **one}
        for one in several
    ]
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}).encode()
    return read_entries(body, parse_manifest(body, OCI_INDEX).children)


def named(name: object, digest: str = B, *, kind: str = "") -> dict[str, object]:
    return {
        "digest": digest,
        "annotations": {
            "org.opencontainers.image.ref.name": name,
            **({"kind": kind} if kind else {}),
        },
    }


@pytest.mark.parametrize(
    ("name", "expected", "lists", "along"),
    [
        ("1.0", "1.0", "", False),
        ("host/app:1.0", "host/app:1.0", "", False),
        (5, "", "", False),
        ("sha256-abc", "sha256-abc", "", False),
        (f"sha256-{'a' * 64}", f"sha256-{'a' * 64}", A, True),
        (f"host:5000/app:sha256-{'a' * 64}", f"sha256-{'a' * 64}", A, True),
        (f"sha512-{'a' * 128}", f"sha512-{'a' * 128}", f"sha512:{'a' * 128}", True),
        (f"sha512-{'a' * 64}", f"sha512-{'a' * 64}", "", False),
        (f"sha256-{'a' * 64}.sig", f"sha256-{'a' * 64}.sig", "", True),
        (f"app:sha256-{'a' * 64}.sbom", f"sha256-{'a' * 64}.sbom", "", True),
        (f"sha256-{'a' * 64}.exe", f"sha256-{'a' * 64}.exe", "", False),
        (f"sha256-{'a' * 64}\n", f"sha256-{'a' * 64}\n", "", False),
    ],
)
def test_a_tag_says_whether_it_stands_for_what_refers_to_another(
    name: object, expected: str, lists: str, *, along: bool
) -> None:
    [entry] = entries(named(name))
    assert (entry.name, entry.lists, entry.is_referrer, entry.artifact) == (
        expected,
        lists,
        along,
        False,
    )


def test_the_type_of_an_artifact_is_known() -> None:
    kinds: tuple[object, ...] = (
        "x/y",
        "",
        None,
        ["x/y"],
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    )
    several = entries({"digest": B}, *({"digest": A, "artifactType": kind} for kind in kinds))
    assert [entry.artifact for entry in several] == [False, True, False, False, True, False, False]


def test_what_cosign_saved_beside_an_image_gets_the_tag_that_it_has_in_a_registry() -> None:
    found = entries(
        named("host/app:1", A, kind=IMAGE),
        named("host/app:1", kind=SIGNATURES),
        named("host/app:1", kind=ATTESTATIONS),
    )
    assert [entry.name for entry in found] == [
        "host/app:1",
        f"sha256-{'a' * 64}.sig",
        f"sha256-{'a' * 64}.att",
    ]
    assert [entry.is_referrer for entry in found] == [False, True, True]


@pytest.mark.parametrize(
    "others",
    [
        (),
        (named("1", A, kind=IMAGE), named("1", "sha256:" + "c" * 64, kind=IMAGE)),
        (named("2", A, kind=IMAGE),),
    ],
)
def test_signatures_of_no_image_or_of_several_have_no_tag(
    others: tuple[dict[str, object], ...],
) -> None:
    *_, entry = entries(*others, named("1", kind=SIGNATURES))
    assert (entry.name, entry.is_referrer) == ("", True)


def test_an_index_without_entries_has_none() -> None:
    assert read_entries(b"{}", ()) == read_entries(b'{"manifests": null}', ()) == ()
