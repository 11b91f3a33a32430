from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import towline.registry.copy.plan as module
from tests.fakes.images import ImageParts, index_of, make_image, make_index
from towline.errors import RegistryError
from towline.image import Reference, Registry, Repository
from towline.registry.copy.plan import (
    CopyBlob,
    CopyPlan,
    ManifestTree,
    PutManifest,
    as_data,
    plan_copy,
    plan_tags,
    read_tree,
)
from towline.registry.manifest import Descriptor, Manifest, parse_manifest


class Shelf:
    """A source whose manifests exist, and whose blobs do not."""

    def __init__(self, *images: ImageParts, missing: Sequence[str] | None = None) -> None:
        self.parts = {part.digest: part for image in images for part in image.walk()}
        self.asked: list[str] = []
        self._missing = missing

    def find_manifests(self, references: Sequence[Reference], /) -> Sequence[Manifest]:
        self.asked += [reference.target for reference in references]
        return [root_of(self.parts[reference.target]) for reference in references]

    def missing(self, repository: Repository, blobs: Sequence[Descriptor]) -> frozenset[str]:
        return frozenset(
            [blob.digest for blob in blobs] if self._missing is None else self._missing
        )


def root_of(parts: ImageParts) -> Manifest:
    return parse_manifest(parts.manifest, parts.media_type)


def tree_of(parts: ImageParts) -> ManifestTree:
    return read_tree(Shelf(parts), at("app"), root_of(parts))


def at(name: str) -> Repository:
    return Repository(registry=Registry(scheme="https", host="target.example"), name=name)


def planned(
    tree: ManifestTree, *targets: Reference, mounts: bool = False, missing: list[str] | None = None
) -> CopyPlan:
    """The plan that copies a tree from the repository `app`."""
    return plan_copy(tree, targets, source=at("app"), mounts=mounts, planned=Shelf(missing=missing))


def test_a_tree_has_children_before_parents_and_every_blob_once() -> None:
    inner = make_index(["linux/amd64", "linux/arm64"])
    outer = index_of([inner, make_image("linux/amd64"), make_image("linux/s390x", seed=3)])
    tree = tree_of(outer)
    position = {manifest.digest: number for number, (manifest, _) in enumerate(tree.manifests)}
    levels = {manifest.digest: level for manifest, level in tree.manifests}
    assert len(position) == len(tree.manifests) == 5
    assert all(
        position[child.digest] < position[part.digest]
        for part in outer.walk()
        for child in part.children
    )
    assert all(
        levels[child.digest] < levels[part.digest]
        for part in outer.walk()
        for child in part.children
    )
    assert tree.manifests[-1] == (tree.root, 2)
    assert sorted(blob.digest for blob in tree.blobs) == sorted(outer.all_blobs())


def test_a_child_that_two_indexes_share_is_read_once() -> None:
    child = make_image()
    outer = index_of([index_of([child]), index_of([child], docker=True)])
    shelf = Shelf(outer)
    read_tree(shelf, at("app"), root_of(outer))
    assert shelf.asked.count(child.digest) == 1


def test_an_index_that_goes_too_deep_is_refused() -> None:
    parts = make_image()
    for _ in range(4):
        parts = index_of([parts])
    assert tree_of(parts).blobs
    with pytest.raises(RegistryError, match="more than 4 levels"):
        tree_of(index_of([parts]))


def test_an_index_that_goes_too_wide_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MANIFESTS", 3)
    with pytest.raises(RegistryError, match="3 manifests"):
        tree_of(make_index([f"linux/a{number}" for number in range(4)]))


def test_a_plan_has_the_largest_blob_first_and_puts_the_root_by_its_tags_alone() -> None:
    index = make_index(layers=3)
    targets = [at("team/app").reference(tag) for tag in ("1", "latest")]
    plan = planned(tree_of(index), *targets)
    sizes = [blob.size for blob in plan.blobs]
    assert sizes == sorted(sizes, reverse=True)
    assert {blob.digest for blob in plan.blobs} == set(index.all_blobs())
    assert {(blob.source, blob.repository, blob.mount_from) for blob in plan.blobs} == {
        (at("app"), at("team/app"), None)
    }
    assert [put.reference for put in plan.manifests] == [
        at("team/app").reference(child.digest) for child in index.children
    ]
    assert [(put.reference, put.manifest.digest) for put in plan.tags] == [
        (target, index.digest) for target in targets
    ]


def test_blobs_that_are_there_are_skipped() -> None:
    image = make_image(layers=2)
    gone = next(iter(image.blobs))
    plan = planned(tree_of(image), at("app").reference("1"), missing=[gone])
    assert [blob.digest for blob in plan.blobs] == [gone]
    assert {blob.digest for blob in plan.skipped} == set(image.blobs) - {gone}


@pytest.mark.parametrize(
    ("mounts", "repository", "mount_from"),
    [(True, "team/app", at("app")), (False, "team/app", None)],
)
def test_blobs_are_mounted_between_repositories_of_one_registry(
    mounts: bool, repository: str, mount_from: Repository | None
) -> None:
    plan = planned(tree_of(make_image()), at(repository).reference("1"), mounts=mounts)
    assert {blob.mount_from for blob in plan.blobs} == {mount_from}


@given(st.lists(st.integers(min_value=0, max_value=50), unique=True, max_size=12), st.data())
def test_every_blob_is_either_brought_or_skipped(numbers: list[int], data: st.DataObject) -> None:
    blobs = tuple(Descriptor(digest=f"sha256:{number:064x}", size=number) for number in numbers)
    missing = data.draw(st.lists(st.sampled_from(blobs), unique=True)) if blobs else []
    tree = ManifestTree(root=tree_of(make_image()).root, manifests=(), blobs=blobs)
    plan = planned(tree, at("b").reference("1"), missing=[blob.digest for blob in missing])
    assert {blob.digest for blob in plan.blobs} == {blob.digest for blob in missing}
    assert {blob.digest for blob in plan.blobs} | {blob.digest for blob in plan.skipped} == {
        blob.digest for blob in blobs
    }


def test_a_plan_is_data_in_the_order_of_its_steps() -> None:
    root = tree_of(make_image()).root
    plan = CopyPlan(
        blobs=(
            CopyBlob(source=at("a"), repository=at("b"), digest="sha256:1", size=5),
            CopyBlob(
                source=at("a"), repository=at("b"), digest="sha256:2", size=4, mount_from=at("a")
            ),
        ),
        manifests=(PutManifest(reference=at("b").reference(root.digest), manifest=root),),
        tags=plan_tags(root, [at("b").reference("1")]),
    )
    assert [(entry["do"], entry.get("target"), entry["bytes"]) for entry in as_data(plan)] == [
        ("copy blob", None, 5),
        ("mount blob", None, 4),
        ("put manifest", root.digest, len(root.body)),
        ("put tag", "1", len(root.body)),
    ]


def test_planning_knows_no_network() -> None:
    tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} | {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert imported == {
        "__future__",
        "collections.abc",
        "typing",
        "towline.errors",
        "towline.image",
        "towline.registry.manifest",
        "towline.record",
    }


def test_manifests_that_are_too_large_together_are_refused_before_the_last_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index = make_index([f"linux/a{number}" for number in range(100)])
    shelf = Shelf(index)
    monkeypatch.setattr(module, "BYTES", len(index.manifest) + 40 * len(index.children[0].manifest))
    with pytest.raises(
        RegistryError, match=r"the manifests of the index have more than [0-9]+ bytes together"
    ):
        read_tree(shelf, at("app"), root_of(index))
    assert 40 < len(shelf.asked) < 100
    monkeypatch.setattr(module, "BYTES", sum(len(part.manifest) for part in index.walk()))
    assert len(tree_of(index).manifests) == 101
