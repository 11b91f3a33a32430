from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.engine.registry.clients import Pair, local_image, registry_of, repository_at
from tests.fakes.archives import layout, tar_of, write
from tests.fakes.images import OCI_INDEX, ImageParts, make_image, make_index, missing, put, refer_to
from tests.fakes.registry import FakeRegistry, Status, digest_of, on
from towline.errors import ConfigError, RegistryError
from towline.image import Reference, parse_image, parse_platform
from towline.record import replace
from towline.registry.copy.images import copy_images
from towline.registry.copy.job import NOT_COPIED, OPTIONAL, REQUIRED, CopyJob, CopyReport
from towline.registry.copy.referrers import ReferrerLists, referrers_tag
from towline.registry.copy.verify import verify_images
from towline.registry.local.layout_index import LayoutEntry, LayoutReferrers
from towline.registry.local.locations import OciArchive, OciFolder
from towline.registry.local.open_local import open_source
from towline.registry.manifest import Descriptor, Manifest


def list_of(*referrers: ImageParts) -> ImageParts:
    """The list of referrers, an index under a tag."""
    entries = [
        {"mediaType": one.media_type, "digest": one.digest, "size": len(one.manifest)}
        for one in referrers
    ]
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    return ImageParts(
        manifest=body, media_type=OCI_INDEX, digest=digest_of(body), children=referrers
    )


class Signed:
    """An index with an SBOM of one child, a signature of that SBOM, attestations of the index,
    and cosign's older tag.
    """

    def __init__(self) -> None:
        self.index = make_index()
        self.sbom = refer_to(self.index.children[0])
        self.of_sbom = refer_to(self.sbom, "application/vnd.example.signature")
        self.attestations = [
            refer_to(
                self.index, "application/vnd.example.attestation", content=f"{number}".encode()
            )
            for number in range(3)
        ]
        self.signature = make_image(seed=77)
        self.all = [self.sbom, self.of_sbom, *self.attestations]
        self.old = (f"{referrers_tag(self.index.digest)}.sig", self.signature)

    def by_subject(self) -> dict[str, bytes]:
        """Every referrer as an entry of index.json, as oras writes them; the platforms of the
        index, too.
        """
        return layout(
            [("1", self.index), *(("", one) for one in (*self.index.children, *self.all)), self.old]
        )

    def by_lists(self) -> dict[str, bytes]:
        """The lists under their tags, and the referrers only in them, as regctl writes them."""
        lists = [
            (self.index, self.attestations),
            (self.index.children[0], [self.sbom]),
            (self.sbom, [self.of_sbom]),
        ]
        return layout(
            [
                ("1", self.index),
                *((referrers_tag(of.digest), list_of(*several)) for of, several in lists),
                self.old,
            ]
        )

    def nested(self) -> dict[str, bytes]:
        """All entries in one index below index.json."""
        whole = list_of(self.index, *self.all)
        return layout([("1", self.index), ("all", whole), self.old])


def copy(
    files: Mapping[str, bytes],
    target: FakeRegistry,
    pair: Pair,
    folder: Path,
    *,
    referrers: str = REQUIRED,
    shape: str = "folder",
    verify: bool = True,
    warn: Callable[[str], None] = print,
    dry_run: bool = False,
) -> CopyReport:
    """Copy the image of a layout; the copy is read again."""
    targets = (Reference(registry=registry_of(target), image=parse_image("team/app:1")),)
    job = CopyJob(source=local_image(), name="oci:app:1", targets=targets, referrers=referrers)
    if shape == "folder":
        place: OciFolder | OciArchive = OciFolder(
            path=str(write(folder / "app", files)), target="1"
        )
    else:
        (folder / "app.tar").write_bytes(tar_of(files))
        place = OciArchive(path=str(folder / "app.tar"), target="1")
    with ExitStack() as stack:
        copying = replace(
            pair.copying(warn=warn, dry_run=dry_run),
            source=stack.enter_context(open_source(place, environ={})),
        )
        reports = copy_images([job], copying)
        return verify_images(reports, copying)[0] if verify else reports[0]


@pytest.mark.parametrize("shape", ["folder", "tar"])
@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize("written", [Signed.by_subject, Signed.by_lists, Signed.nested])
def test_all_that_refers_to_an_image_of_a_layout_travels_with_it(
    target: FakeRegistry,
    pair: Pair,
    tmp_path: Path,
    written: Callable[[Signed], dict[str, bytes]],
    shape: str,
    *,
    lists: bool,
) -> None:
    target.referrers, signed = lists, Signed()
    report = copy(written(signed), target, pair, tmp_path, shape=shape)
    assert [
        missing(parts, target, "team/app")
        for parts in (signed.index, signed.signature, *signed.all)
    ] == [()] * 7
    assert target.storage["team/app"].tags[signed.old[0]] == signed.signature.digest
    assert target.storage["team/app"].tags["1"] == signed.index.digest
    there = ReferrerLists(pair.target, repository_at(pair.target, "team/app"))
    assert {entry.digest for entry in there.referrers([signed.index.digest])} == {
        one.digest for one in signed.attestations
    }
    assert [entry.digest for entry in there.referrers([signed.index.children[0].digest])] == [
        signed.sbom.digest
    ]
    assert [entry.digest for entry in there.referrers([signed.sbom.digest])] == [
        signed.of_sbom.digest
    ]
    assert len(report.referrers) == 6
    assert not copy(written(signed), target, pair, tmp_path, shape=shape).changed
    puts = [record.path.rpartition("/")[2] for record in target.seen("PUT", "manifests")]
    assert puts.index("1") > max(puts.index(one.digest) for one in signed.all)


def test_they_stay_where_they_are_where_they_are_not_wanted_and_a_dry_run_counts_them(
    target: FakeRegistry, pair: Pair, tmp_path: Path
) -> None:
    signed = Signed()
    dry = copy(signed.by_subject(), target, pair, tmp_path, dry_run=True, referrers=OPTIONAL)
    assert (len(dry.referrers), target.storage) == (6, {})
    assert copy(signed.by_subject(), target, pair, tmp_path, referrers=NOT_COPIED).referrers == ()
    assert set(target.storage["team/app"].tags) == {"1"}
    assert signed.sbom.digest not in target.storage["team/app"].manifests


def test_what_cosign_saved_travels_under_cosigns_tags(
    target: FakeRegistry, pair: Pair, tmp_path: Path
) -> None:
    image, signature, other = make_image(), make_image(seed=77), make_image(seed=78)
    files = layout([("1", image), ("1", signature), ("1", other)])
    index = json.loads(files["index.json"])
    for entry, kind in zip(index["manifests"], ("image", "sigs", "atts"), strict=True):
        entry["annotations"]["kind"] = f"dev.cosignproject.cosign/{kind}"
    copy({**files, "index.json": json.dumps(index).encode()}, target, pair, tmp_path)
    tags = {
        "1": image.digest,
        f"{referrers_tag(image.digest)}.sig": signature.digest,
        f"{referrers_tag(image.digest)}.att": other.digest,
    }
    assert target.storage["team/app"].tags == tags
    assert [missing(one, target, "team/app") for one in (image, signature, other)] == [()] * 3


def test_of_another_image_of_the_layout_nothing_travels(
    target: FakeRegistry, pair: Pair, tmp_path: Path
) -> None:
    image, other = make_image(), make_image(seed=5)
    theirs = refer_to(other)
    files = layout(
        [
            ("1", image),
            ("2", other),
            ("", theirs),
            (f"{referrers_tag(other.digest)}.sig", make_image(seed=77)),
            (referrers_tag(other.digest), list_of(theirs)),
        ]
    )
    assert copy(files, target, pair, tmp_path).referrers == ()
    assert set(target.storage["team/app"].manifests) == {image.digest}


def _path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


SBOM, IMAGE = refer_to(make_image(), content=b"what is in it"), make_image()
BLOB = digest_of(b"what is in it")


@pytest.mark.parametrize("demanded", [False, True])
@pytest.mark.parametrize("written", [("", SBOM), (referrers_tag(IMAGE.digest), list_of(SBOM))])
@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        (_path(SBOM.digest), None, "lacks the manifest"),
        (_path(SBOM.digest), b"{}", "is damaged: its manifest"),
        (_path(SBOM.digest), b"", "is damaged"),
        (_path(BLOB), None, "lacks the blob"),
        (_path(BLOB), b"what", "bytes short"),
        (_path(BLOB), b"what is at it", "came from the OCI layout"),
    ],
)
def test_one_that_is_lacking_or_damaged_is_a_warning_and_where_they_are_demanded_an_error(
    target: FakeRegistry,
    pair: Pair,
    tmp_path: Path,
    *,
    written: tuple[str, ImageParts],
    path: str,
    content: bytes | None,
    said: str,
    demanded: bool,
) -> None:
    whole, warnings = refer_to(IMAGE, "application/vnd.example.signature"), list[str]()
    files = layout([("1", IMAGE), written, ("", whole)])
    del files[path]
    files |= {} if content is None else {path: content}
    if demanded:
        with pytest.raises((ConfigError, RegistryError), match=said):
            copy(files, target, pair, tmp_path)
        assert "1" not in (target.storage["team/app"].tags if "team/app" in target.storage else {})
        return
    report = copy(files, target, pair, tmp_path, referrers=OPTIONAL, warn=warnings.append)
    assert [one.digest for one in report.referrers] == [whole.digest]
    assert target.storage["team/app"].tags["1"] == IMAGE.digest
    assert (missing(IMAGE, target, "team/app"), missing(whole, target, "team/app")) == ((), ())
    [warning] = warnings
    assert said in warning
    assert SBOM.digest in warning


def test_a_target_that_refuses_them_gets_the_image_with_a_warning(
    target: FakeRegistry, pair: Pair, tmp_path: Path
) -> None:
    target.fault = on("PUT", SBOM.digest, Status(code=415), times=9)
    warnings = list[str]()
    assert (
        copy(
            layout([("1", IMAGE), ("", SBOM)]),
            target,
            pair,
            tmp_path,
            referrers=OPTIONAL,
            warn=warnings.append,
        ).referrers
        == ()
    )
    assert len(warnings) == 1
    assert target.storage["team/app"].tags == {"1": IMAGE.digest}
    with pytest.raises(RegistryError):
        copy(layout([("1", IMAGE), ("", SBOM)]), target, pair, tmp_path)


def test_signatures_that_the_target_has_more_of_are_not_replaced(
    target: FakeRegistry, pair: Pair, tmp_path: Path
) -> None:
    ours, theirs = make_image(files={"a": b"a"}), make_image(files={"b": b"b"})
    put(theirs, target, "team/app", f"{referrers_tag(IMAGE.digest)}.sig")
    files, warnings = (
        layout([("1", IMAGE), (f"host/app:{referrers_tag(IMAGE.digest)}.sig", ours)]),
        list[str](),
    )
    copy(files, target, pair, tmp_path, referrers=OPTIONAL, warn=warnings.append)
    assert target.storage["team/app"].tags == {
        "1": IMAGE.digest,
        f"{referrers_tag(IMAGE.digest)}.sig": theirs.digest,
    }
    assert "holds other content than" in warnings[0]


def test_a_chosen_platform_takes_its_own_along(
    target: FakeRegistry, pair: Pair, tmp_path: Path
) -> None:
    signed = Signed()
    place = OciFolder(path=str(write(tmp_path, signed.by_subject())), target="1")
    targets = (Reference(registry=registry_of(target), image=parse_image("team/app:1")),)
    with open_source(place, environ={}) as source:
        job = CopyJob(
            source=local_image(),
            name="oci:app:1",
            targets=targets,
            referrers=REQUIRED,
            platforms=(parse_platform("linux/amd64"),),
        )
        report = copy_images([job], replace(pair.copying(), source=source))[0]
    assert report.digest == signed.index.children[0].digest
    assert {one.digest for one in report.referrers} == {signed.sbom.digest, signed.of_sbom.digest}


# What a layout answers


def asked(
    entries: Sequence[LayoutEntry], manifests: Mapping[str, Manifest], digest: str
) -> list[str]:
    return [
        one.digest
        for one in LayoutReferrers(entries, manifests.get, name="OCI layout app").of(digest)
    ]


def made(
    number: int, *, subject: int | None = None, children: Sequence[int] = ()
) -> tuple[str, Manifest]:
    digest = f"sha256:{number:064x}"
    named = tuple(Descriptor(digest=f"sha256:{child:064x}", size=1) for child in children)
    return digest, Manifest(
        body=b"",
        media_type="",
        digest=digest,
        children=named,
        subject="" if subject is None else f"sha256:{subject:064x}",
    )


def entry(number: int, name: str = "", *, lists: int | None = None) -> LayoutEntry:
    listed = "" if lists is None else f"sha256:{lists:064x}"
    return LayoutEntry(
        descriptor=Descriptor(digest=f"sha256:{number:064x}", size=1),
        name=name,
        lists=listed,
        is_referrer=bool(listed),
    )


def numbers(digests: Sequence[str]) -> list[int]:
    return sorted(int(digest.removeprefix("sha256:"), 16) for digest in digests)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([entry(1, "1")], []),
        ([entry(1, "1"), entry(2)], [2]),
        ([entry(1, "1"), entry(2, "2")], [2]),
        ([entry(1, "1"), entry(2), entry(2, "x")], [2]),
        ([entry(1, "1"), entry(5)], [2]),
        ([entry(1, "1"), entry(6, "list", lists=1)], [1, 9]),
        ([entry(1, "1"), entry(6, "list", lists=2)], []),
        ([entry(1, "1"), entry(9)], [9]),
        ([entry(1, "1"), entry(9, "tagged")], []),
        ([entry(1, "1"), entry(7, "loop")], [2]),
    ],
)
def test_referrers_are_found_by_their_subject_or_a_list_and_what_cannot_be_read_may_be_one(
    entries: Sequence[LayoutEntry], expected: Sequence[int]
) -> None:
    """1 is the image, 2 refers to it, 5 is an index of 2, 6 a list of the image and of 9, which
    is not there; 7 and 8 are indexes of each other and of 2.
    """
    several = (
        made(1),
        made(2, subject=1),
        made(5, children=[2]),
        made(6, children=[1, 9]),
        made(7, children=[8, 9]),
        made(8, children=[7, 2]),
    )
    assert numbers(asked(entries, dict(several), "sha256:" + "1".zfill(64))) == expected


def test_a_layout_without_an_end_is_given_up() -> None:
    def endless(digest: str) -> Manifest:
        number = int(digest.removeprefix("sha256:"), 16)
        return made(number, children=[number + 1])[1]

    with pytest.raises(ConfigError, match="more than 10000 manifests"):
        LayoutReferrers([entry(1)], endless, name="OCI layout app").of("sha256:" + "0" * 64)
