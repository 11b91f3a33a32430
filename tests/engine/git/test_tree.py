from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from towline.errors import ConfigError
from towline.git.tree import (
    TreeEntry,
    check_path,
    is_pointer,
    link_target,
    parse_listing,
    rewrite_tree,
)


def blob(path: str, oid: str = "b0", mode: str = "100644") -> TreeEntry:
    return TreeEntry(mode=mode, kind="blob", oid=oid, path=path)


def tree(path: str, oid: str = "t0") -> TreeEntry:
    return TreeEntry(mode="040000", kind="tree", oid=oid, path=path)


class Store:
    """A stand-in for git mktree: gives every folder a number, and remembers its lines."""

    def __init__(self) -> None:
        self.made: list[list[str]] = []

    def __call__(self, folders: Sequence[Iterable[TreeEntry]]) -> Sequence[str]:
        first = len(self.made)
        self.made += [
            sorted(f"{entry.mode} {entry.oid} {entry.path}" for entry in folder)
            for folder in folders
        ]
        return [f"new{number}" for number in range(first, len(self.made))]


ENTRIES = (
    blob("README"),
    tree("a"),
    blob("a/run", mode="100755"),
    tree("a/deep"),
    blob("a/deep/x"),
    tree("b"),
    blob("b/y"),
    blob("link", mode="120000"),
    TreeEntry(mode="160000", kind="commit", oid="c0", path="module"),
)


def test_a_listing_is_read_with_any_name_in_it() -> None:
    data = (
        b"100644 blob aa\tone two\n.txt\x00040000 tree bb\td\x00160000 commit cc\td/sub\x00100755"
        b" blob dd\tcaf\xe9\x00"
    )
    first, folder, module, odd = parse_listing(data)
    assert (first.mode, first.kind, first.oid, first.path) == (
        "100644",
        "blob",
        "aa",
        "one two\n.txt",
    )
    assert [
        entry.has_text_name
        for entry in (first, folder, module, odd, *parse_listing(b"120000 blob ee\tlink\0"))
    ] == [True, False, True, False, True]
    assert odd.path.encode("utf-8", "surrogateescape") == b"caf\xe9"


@pytest.mark.parametrize(
    ("link", "target", "path"),
    [("a/b", b"c", "a/c"), ("a/b", b"../c/./d", "c/d"), ("b", b"c//d/", "c/d")],
)
def test_a_link_leads_somewhere(link: str, target: bytes, path: str) -> None:
    assert link_target(link, target) == path


@pytest.mark.parametrize("target", [b"", b"/c", b"../../c", b"..", b"../.GIT/config", b"caf\xe9"])
def test_a_link_does_not_lead_out(target: bytes) -> None:
    with pytest.raises(ConfigError, match="leads out of the repository"):
        link_target("a/b", target)


def test_only_folders_on_the_way_are_made_anew_the_deepest_first() -> None:
    store = Store()
    assert rewrite_tree(ENTRIES, {"a/deep/x": "n1"}, store) == "new2"
    assert store.made == [
        ["100644 n1 a/deep/x"],
        ["040000 new0 a/deep", "100755 b0 a/run"],
        ["040000 new1 a", "040000 t0 b", "100644 b0 README", "120000 b0 link", "160000 c0 module"],
    ]


def test_a_mode_stays_and_a_new_file_in_new_folders_is_plain() -> None:
    store = Store()
    rewrite_tree(ENTRIES, {"a/run": "n1", "c/d/e": "n2"}, store)
    assert store.made[0] == ["100644 n2 c/d/e"]
    assert ["040000 t0 a/deep", "100755 n1 a/run"] in store.made
    assert ["040000 new0 c/d"] in store.made


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("link", "link is a symbolic link, not a file"),
        ("module", "module is a submodule, not a file"),
        ("a", "a is a folder, not a file"),
        ("link/x", "link is a symbolic link, not a folder"),
        ("module/x", "module is a submodule, not a folder"),
        ("README/x", "README is a file, not a folder"),
        ("a/run/x/y", "a/run is a file, not a folder"),
    ],
)
def test_what_stands_in_the_way_is_named(path: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rewrite_tree(ENTRIES, {path: "n1"}, Store())
    assert caught.value.message == message


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "a//b",
        "a/",
        "./a",
        "a/./b",
        "..",
        "a/../../b",
        ".git/config",
        "a/.GIT/hooks/x",
        ".git. /x",
        ".git::$INDEX_ALLOCATION/x",
        "git~1/x",
        "GIT~1/config",
        "a/.g\u200cit/x",
        "a\\b",
        "a\nb",
        "a\0b",
        " /x",
        "...",
    ],
)
def test_a_path_that_is_dangerous_somewhere_is_refused(path: str) -> None:
    with pytest.raises(ConfigError):
        check_path(path)
    with pytest.raises(ConfigError):
        rewrite_tree(ENTRIES, {path: "n1"}, Store())


@pytest.mark.parametrize(
    "path", ["a", ".github/x.yml", ".gitignore", "a/b c/d-é.yaml", "..a", "git~2", "a.git/x"]
)
def test_an_ordinary_path_passes(path: str) -> None:
    assert check_path(path) == path


def test_a_pointer_of_large_file_storage_is_known() -> None:
    assert is_pointer(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    assert not is_pointer(b"# version https://git-lfs.github.com/spec/v1\n")
