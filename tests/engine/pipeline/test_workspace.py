from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from towline.errors import ConfigError
from towline.file_patterns import match_files
from towline.pipeline.workspace import FolderEntry, WorkspaceFiles


def tree(root: Path, *names: str) -> Path:
    """Files below `root`; a name that ends in a slash is a folder."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.write_text("")
    return root


class MadeUp:
    """One entry of a made-up folder, as a scan returns it."""

    def __init__(self, name: str, *, folder: bool) -> None:
        self.name, self._folder = name, folder

    def is_dir(self, *, follow_symlinks: bool) -> bool:
        assert not follow_symlinks
        return self._folder


class Counting:
    """Lists folders as os.scandir does and counts how often each is read; with `folders`,
    made-up ones of so many files each below every real one.
    """

    def __init__(self, root: Path, folders: int = 0, files: int = 0) -> None:
        self.reads: Counter[str] = Counter()
        self._root, self._folders, self._files = root.resolve(), folders, files

    @contextmanager
    def __call__(self, path: Path) -> Iterator[Iterable[FolderEntry]]:
        self.reads[path.relative_to(self._root).as_posix()] += 1
        made_up: list[MadeUp] = []
        if path == self._root:
            made_up = [MadeUp(f"d{index}", folder=True) for index in range(self._folders)]
        elif not path.exists():
            made_up = [MadeUp(f"f{index}.js", folder=False) for index in range(self._files)]
        if made_up:
            yield made_up
        else:
            with os.scandir(path) as entries:
                yield entries


FILES = (
    "sonar-project.properties",
    "src/a.py",
    "src/b/c.py",
    "src/.hidden/d.py",
    ".config/e.yml",
    "docs/",
    "integration-tests/pom.xml",
    "[id].tsx",
)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("sonar-project.properties", "sonar-project.properties"),
        ("**/sonar-project.properties", "sonar-project.properties"),
        ("./sonar-project.properties", "sonar-project.properties"),
        ("**/c.py", "src/b/c.py"),
        ("src/**/c.py", "src/b/c.py"),
        ("src/*.py", "src/a.py"),
        ("src/*/c.py", "src/b/c.py"),
        ("*/c.py", ""),
        ("src/**", "src/.hidden"),
        ("**/*.js", ""),
        ("**/d.py", "src/.hidden/d.py"),
        (".config/*", ".config/e.yml"),
        ("**/.hidden", "src/.hidden"),
        ("docs", "docs"),
        ("docs/", "docs"),
        ("d?cs", "docs"),
        ("{docs,src}/a.py", "src/a.py"),
        ("{x,src/b}/c.p[xyz]", "src/b/c.py"),
        ("{docs,src/{x,b}}/c.??", "src/b/c.py"),
        ("src/[!b]*.py", "src/a.py"),
        ("[id].tsx", "[id].tsx"),
        ("integration-tests/pom.xml", "integration-tests/pom.xml"),
        ("src/a.py/x", ""),
        ("src/a.py/*", ""),
        ("gone/**/x", ""),
        ("gone", ""),
    ],
)
def test_a_glob_finds_files_and_folders_hidden_ones_too(
    tmp_path: Path, pattern: str, found: str
) -> None:
    assert WorkspaceFiles(tree(tmp_path, *FILES)).find(pattern) == found


@pytest.mark.parametrize(
    "pattern",
    [
        "/etc/passwd",
        "../x",
        "a/../../x",
        "**/../x",
        "",
        ".git/config",
        "a\\b",
        "x\0",
        "a//b",
        "a" * 5000,
        "http://x.example.com/y",
    ],
)
def test_a_pattern_that_leads_out_of_the_workspace_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ConfigError) as caught:
        WorkspaceFiles(tmp_path).find(pattern)
    assert caught.value.hint


def test_the_folder_of_git_is_never_looked_into(tmp_path: Path) -> None:
    tree(tmp_path, ".git/sonar-project.properties", "sub/.git/sonar-project.properties")
    scan = Counting(tmp_path)
    assert WorkspaceFiles(tmp_path, scan=scan).find("**/sonar-project.properties") == ""
    assert set(scan.reads) == {".", "sub"}


def test_what_an_installation_brings_fits_no_glob_that_does_not_name_it(tmp_path: Path) -> None:
    root = tree(tmp_path, "node_modules/a/conf.js", "app/node_modules/b/karma.conf.js")
    assert [
        WorkspaceFiles(root).find(pattern)
        for pattern in ("**/conf.js", "**/karma.conf.js", "*/a/conf.js")
    ] == ["", "", ""]
    assert WorkspaceFiles(root).find("node_modules/*/conf.js") == "node_modules/a/conf.js"
    assert WorkspaceFiles(root).find("**/node_modules/b/*.js") == "app/node_modules/b/karma.conf.js"


def test_a_link_out_of_the_workspace_counts_for_nothing(tmp_path: Path) -> None:
    outside = tree(tmp_path / "outside", "secret.txt", "folder/secret.txt")
    root = tree(tmp_path / "workspace", "own.md")
    (root / "link.txt").symlink_to(outside / "secret.txt")
    (root / "folder").symlink_to(outside / "folder")
    files = WorkspaceFiles(root)
    assert [
        files.find(pattern)
        for pattern in (
            "link.txt",
            "*.txt",
            "**/*.txt",
            "folder/secret.txt",
            "folder/*.txt",
            "folder/**",
            "folder",
        )
    ] == [""] * 7


def test_a_link_inside_of_the_workspace_counts_and_is_not_walked_into(tmp_path: Path) -> None:
    root = tree(tmp_path, "real/a.txt")
    (root / "link.md").symlink_to("real/a.txt")
    (root / "circle").symlink_to(".")
    (root / "dead.md").symlink_to("gone")
    scan = Counting(root)
    files = WorkspaceFiles(root, scan=scan)
    found = {
        pattern: files.find(pattern)
        for pattern in ("*.md", "link.md", "circle/real/a.txt", "dead.*", "**/b.txt")
    }
    assert found == {
        "*.md": "link.md",
        "link.md": "link.md",
        "circle/real/a.txt": "circle/real/a.txt",
        "dead.*": "",
        "**/b.txt": "",
    }
    assert set(scan.reads) == {".", "real"}


def test_a_glob_may_begin_with_a_link_inside_of_the_workspace(tmp_path: Path) -> None:
    root = tree(tmp_path, "real/a.txt", "real/sub/b.txt")
    (root / "link").symlink_to("real")
    files = WorkspaceFiles(root)
    assert [files.find(pattern) for pattern in ("link/*.txt", "link/**/b.*", "li*/a.txt")] == [
        "link/a.txt",
        "link/sub/b.txt",
        "",
    ]


def test_nothing_outside_of_the_workspace_is_read(tmp_path: Path) -> None:
    outside = tree(tmp_path / "outside", "secret.txt")
    root = tree(tmp_path / "workspace", "own.md")
    (root / "folder").symlink_to(outside)
    scan = Counting(root)
    assert WorkspaceFiles(root, scan=scan).find("folder/*.txt") == ""
    assert scan.reads == {}


def test_links_in_a_circle_and_names_that_are_too_long_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    files = WorkspaceFiles(tmp_path)
    assert [files.find(pattern) for pattern in ("a", "?", "n" * 1000)] == ["", "", ""]


def test_a_workspace_that_is_reached_by_a_link_is_a_workspace(tmp_path: Path) -> None:
    tree(tmp_path / "real", "a/b.txt")
    (tmp_path / "link").symlink_to("real")
    assert WorkspaceFiles(tmp_path / "link").find("a/*.txt") == "a/b.txt"


def test_a_name_that_is_no_text_is_found_and_can_be_printed(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"a\xff.txt")).write_text("")
    except OSError:
        pytest.skip("this file system knows text only")
    assert WorkspaceFiles(tmp_path).find("*.txt") == "a?.txt"


def test_a_folder_that_cannot_be_read_holds_nothing(tmp_path: Path) -> None:
    tree(tmp_path, "a/x.txt", "b/y.txt")

    @contextmanager
    def scan(path: Path) -> Iterator[Iterable[FolderEntry]]:
        if path.name == "a":
            raise PermissionError
        with os.scandir(path) as entries:
            yield entries

    files = WorkspaceFiles(tmp_path, scan=scan)
    assert [files.find(pattern) for pattern in ("**/x.*", "**/y.*")] == ["", "b/y.txt"]


def test_a_file_that_this_user_may_not_read_is_there(tmp_path: Path) -> None:
    tree(tmp_path, "k.key", "sub/Dockerfile")
    for name in ("k.key", "sub/Dockerfile"):
        (tmp_path / name).chmod(0)
    files = WorkspaceFiles(tmp_path)
    assert (files.find("*.key"), files.find("**/Dockerfile")) == ("k.key", "sub/Dockerfile")


def test_the_nearest_file_that_fits_is_found(tmp_path: Path) -> None:
    assert WorkspaceFiles(tree(tmp_path, "a/x", "b/b/x")).find("**/x") == "a/x"
    assert WorkspaceFiles(tree(tmp_path, "c/c/y", "d/y")).find("**/y") == "d/y"


def test_a_glob_means_what_it_means_in_a_gitops_repository(tmp_path: Path) -> None:
    root = tree(tmp_path, *FILES)
    listing = sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))
    for pattern in (
        "**",
        "*",
        "**/*.py",
        "src/**/?.py",
        "{src,docs}/**",
        "**/[a-c].py",
        "*.*",
        "**/b/**",
        "src/b*/c.py",
        "**/.*",
    ):
        found = WorkspaceFiles(root).find(pattern)
        assert (
            (found in match_files(pattern, listing)) if found else not match_files(pattern, listing)
        ), pattern


# ---- one walk


def test_a_tree_of_100_000_files_is_walked_once_whatever_is_asked_for(tmp_path: Path) -> None:
    scan = Counting(tmp_path, folders=1000, files=100)
    files = WorkspaceFiles(tmp_path, scan=scan)
    patterns = [
        "**/sonar-project.properties",
        "**/*.bats",
        "**/[xyz]*.js",
        "**/{conf,wdio}.*.js",
        "d7/**/x",
        "*/y.js",
        "**/sonar-project.properties",
    ]
    assert [files.find(pattern) for pattern in patterns] == [""] * len(patterns)
    assert files.find_script("test", []) == ""
    assert len(scan.reads) == 1001
    assert set(scan.reads.values()) == {1}


def test_a_literal_path_reads_no_folder(tmp_path: Path) -> None:
    scan = Counting(tmp_path, folders=1000, files=100)
    assert WorkspaceFiles(tmp_path, scan=scan).find("integration-tests/pom.xml") == ""
    assert scan.reads == {}


def test_a_pattern_that_begins_with_a_folder_reads_no_other(tmp_path: Path) -> None:
    tree(tmp_path, "a/b/c/d.txt", "a/x/y.txt", "z/q.txt")
    scan = Counting(tmp_path)
    assert WorkspaceFiles(tmp_path, scan=scan).find("a/b/**/gone.*") == ""
    assert set(scan.reads) == {"a/b", "a/b/c"}


def test_a_pattern_without_two_stars_reads_no_deeper_than_it_is(tmp_path: Path) -> None:
    tree(tmp_path, "a/b/c/d.txt", "e/f/g.txt")
    scan = Counting(tmp_path)
    assert WorkspaceFiles(tmp_path, scan=scan).find("*/gone.*") == ""
    assert set(scan.reads) == {".", "a", "e"}


def test_a_walk_ends_with_the_first_file_that_fits(tmp_path: Path) -> None:
    scan = Counting(tree(tmp_path, "a.txt", "deep/er/b.txt"))
    assert WorkspaceFiles(tmp_path, scan=scan).find("**/*.txt") == "a.txt"
    assert set(scan.reads) == {"."}


def test_a_workspace_without_end_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towline.pipeline.workspace._MOST", 1000)

    @contextmanager
    def scan(_: Path) -> Iterator[Iterable[FolderEntry]]:
        yield [MadeUp(str(index), folder=True) for index in range(10)]

    with pytest.raises(ConfigError) as caught:
        WorkspaceFiles(tmp_path, scan=scan).find("**/x")
    assert "1000 files" in caught.value.message


# ---- npm scripts


def package(root: Path, name: str, text: str = '{"scripts": {"test": "jest"}}') -> None:
    path = root / name / "package.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_a_script_is_found_in_any_package_of_the_project(tmp_path: Path) -> None:
    package(tmp_path, ".", '{"scripts": {"build": "tsc"}}')
    package(tmp_path, "apps/web")
    files = WorkspaceFiles(tmp_path)
    assert [files.find_script(name, []) for name in ("build", "test", "lint")] == [
        "package.json",
        "apps/web/package.json",
        "",
    ]


@pytest.mark.parametrize(
    "folder", ["node_modules/x", "a/node_modules", "gen", "a/gen/b", "tmp", "a/tmp", ".git/x"]
)
def test_packages_that_others_made_do_not_count_however_broken_they_are(
    tmp_path: Path, folder: str
) -> None:
    package(tmp_path, folder)
    package(tmp_path, f"{folder}/broken", "{")
    scan = Counting(tmp_path)
    assert WorkspaceFiles(tmp_path, scan=scan).find_script("test", []) == ""
    assert folder not in scan.reads


def test_packages_that_the_project_excludes_do_not_count(tmp_path: Path) -> None:
    package(tmp_path, "old/app")
    package(tmp_path, "new")
    files = WorkspaceFiles(tmp_path)
    assert files.find_script("test", ["old/**", "**/new/package.json"]) == ""
    assert files.find_script("test", ["new/**"]) == "old/app/package.json"


@pytest.mark.parametrize(
    "text", ["{}", '{"scripts": null}', '{"scripts": []}', '{"scripts": {"Test": "x"}}']
)
def test_a_package_without_the_script_is_none(tmp_path: Path, text: str) -> None:
    package(tmp_path, ".", text)
    assert WorkspaceFiles(tmp_path).find_script("test", []) == ""


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "", "[" * 100_000])
def test_a_package_that_is_not_an_object_is_a_fault_that_names_it(
    tmp_path: Path, text: str
) -> None:
    package(tmp_path, "a", text)
    with pytest.raises(ConfigError) as caught:
        WorkspaceFiles(tmp_path).find_script("test", [])
    assert caught.value.where == "a/package.json"
    assert "npmScriptsPackageJSONExcludes" in caught.value.hint


def test_a_package_of_absurd_size_is_a_fault(tmp_path: Path) -> None:
    package(tmp_path, ".", " " * (8 * 1024 * 1024 + 1))
    with pytest.raises(ConfigError) as caught:
        WorkspaceFiles(tmp_path).find_script("test", [])
    assert "larger" in caught.value.message


def test_a_package_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    package(tmp_path, ".", '\ufeff{"scripts": {"test": ""}}')
    assert WorkspaceFiles(tmp_path).find_script("test", []) == "package.json"


def test_a_package_outside_of_the_workspace_or_no_file_is_not_read(tmp_path: Path) -> None:
    package(tmp_path, "outside")
    root = tree(tmp_path / "workspace", "b/package.json/")
    (root / "package.json").symlink_to(tmp_path / "outside" / "package.json")
    os.mkfifo(root / "b" / "package.json" / "package.json")
    assert WorkspaceFiles(root).find_script("test", []) == ""
