"""Which files a change sees, and which of its edits are refused.

Refused are edits of links, folders, submodules and Git LFS pointers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.engine.gitops.updates import (
    TEXT,
    Replace,
    git,
    opened,
    serving,
    update,
)
from tests.fakes.git_server import GitServer
from towline.errors import ConfigError, RenderError
from towline.git.repository import GitRepository
from towline.gitops.update import UpdateOptions


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with serving(tmp_path) as running:
        yield running


@pytest.fixture
def repository(server: GitServer, tmp_path: Path) -> Iterator[GitRepository]:
    with opened(server, tmp_path) as repository:
        yield repository


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        (
            "apps/link.yaml",
            (b"demo.yaml", 0o120000),
            "apps/link.yaml is a symbolic link, not a file",
        ),
        (
            "apps/large.yaml",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
            "apps/large.yaml is kept in Git LFS",
        ),
    ],
)
def test_what_only_points_elsewhere_is_not_edited(
    server: GitServer,
    repository: GitRepository,
    path: str,
    content: bytes | tuple[bytes, int],
    message: str,
) -> None:
    server.add("demo", {path: content})
    with pytest.raises(ConfigError) as caught:
        update(repository, branch="main", change=Replace(paths=(path,)), text=TEXT)
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize("target", ["../base/values.yaml", "next", "./../base/../base/values.yaml"])
def test_a_link_is_read_as_the_file_that_it_leads_to(
    server: GitServer, repository: GitRepository, target: str
) -> None:
    server.add(
        "demo",
        {
            "base/values.yaml": b"a: 1\n",
            "apps/values.yaml": (target.encode(), 0o120000),
            "apps/next": (b"../base/values.yaml", 0o120000),
        },
    )
    read: dict[str, bytes] = {}

    class Chart(Replace):
        def apply(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
            read.update(files)
            return {"out.yaml": files["apps/values.yaml"]}

    # The target of the link is not fetched at first.
    options = UpdateOptions(within=("apps/*", "out.yaml"))
    assert update(
        repository,
        branch="main",
        change=Chart(paths=("apps/values.yaml",)),
        text=TEXT,
        options=options,
    ).files == ("out.yaml",)
    assert read == {"apps/values.yaml": b"a: 1\n"}
    assert git(server, "show", "main:out.yaml") == "a: 1\n"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("../../etc/passwd", "apps/link is a symbolic link that leads out of the repository"),
        ("/etc/passwd", "apps/link is a symbolic link that leads out"),
        ("../.git/config", "apps/link is a symbolic link that leads out"),
        ("gone", "apps/link is a symbolic link to apps/gone, which is not a file"),
        ("../base", "apps/link is a symbolic link to base, which is not a file"),
        ("link", "apps/link is a symbolic link, not a file"),
    ],
)
def test_a_link_that_leads_to_no_file_of_the_repository_is_refused(
    server: GitServer, repository: GitRepository, target: str, message: str
) -> None:
    server.add("demo", {"base/x": b"", "apps/link": (target.encode(), 0o120000)})
    with pytest.raises(ConfigError) as caught:
        update(
            repository,
            branch="main",
            change=Replace(paths=("apps/link",), besides={"x": b"x"}),
            text=TEXT,
        )
    assert caught.value.message.startswith(message)
    assert caught.value.where == repository.remote.url


def test_a_file_that_is_found_by_a_link_as_well_is_edited_once(
    server: GitServer, repository: GitRepository
) -> None:
    server.add("demo", {"apps/link.yaml": (b"demo.yaml", 0o120000)})
    assert update(
        repository,
        branch="main",
        change=Replace(paths=("apps/demo.yaml", "apps/link.yaml")),
        text=TEXT,
    ).files == ("apps/demo.yaml",)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("apps/link.yaml", "none of 5"),
        ("link/demo.yaml", "link is a symbolic link, not a folder"),
        ("sub/app.yaml", "sub is a submodule, not a folder"),
        ("apps", "apps is a folder, not a file"),
        ("apps/none.yaml", "none of 5"),
    ],
)
def test_a_path_that_a_change_does_not_find_is_told_from_one_that_it_is_not_shown(
    server: GitServer, repository: GitRepository, path: str, message: str
) -> None:
    class Choosy(Replace):
        def wants(self, listing: Sequence[str]) -> Sequence[str]:
            raise ConfigError(f"none of {len(listing)}")

    git(server, "read-tree", "main")
    git(
        server,
        "update-index",
        "--add",
        "--cacheinfo",
        f"160000,{git(server, 'rev-parse', 'main').strip()},sub",
    )
    tree = git(server, "write-tree").strip()
    git(
        server,
        "update-ref",
        "refs/heads/main",
        git(
            server, "-c", "user.name=x", "-c", "user.email=x", "commit-tree", tree, "-m", "Sub"
        ).strip(),
    )
    server.add("demo", {"apps/link.yaml": (b"demo.yaml", 0o120000), "link": (b"apps", 0o120000)})
    with pytest.raises(ConfigError) as caught:
        update(
            repository,
            branch="main",
            change=Choosy(),
            text=TEXT,
            options=UpdateOptions(within=(path,)),
        )
    assert (caught.value.message, caught.value.where) == (message, repository.remote.url)


@pytest.mark.parametrize("path", ["../x", ".git/config", "/x", "apps"])
def test_a_change_that_leads_out_of_the_files_is_refused_and_nothing_is_pushed(
    server: GitServer, repository: GitRepository, path: str
) -> None:
    with pytest.raises(ConfigError):
        update(repository, branch="main", change=Replace(besides={path: b"x"}), text=TEXT)
    assert git(server, "rev-list", "--count", "main") == "1\n"


def test_what_a_change_raises_goes_through(repository: GitRepository) -> None:
    class Broken(Replace):
        def apply(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
            raise RenderError(f"cannot edit {sorted(files)}")

    with pytest.raises(RenderError) as caught:
        update(repository, branch="main", change=Broken(), text=TEXT)
    assert caught.value.message == "cannot edit ['apps/demo.yaml']"
    assert caught.value.where == repository.remote.url


def test_a_change_chooses_among_files_and_what_stands_in_their_place(
    server: GitServer, repository: GitRepository
) -> None:
    class Listed(Replace):
        def wants(self, listing: Sequence[str]) -> Sequence[str]:
            raise RenderError(" ".join(listing))

    server.add(
        "demo",
        {
            "link": (b"apps", 0o120000),
            "apps/run": (b"#!/bin/sh\n", 0o755),
            '"caf\\351"': b"no text",
        },
    )
    with pytest.raises(RenderError) as caught:
        update(repository, branch="main", change=Listed(), text=TEXT)
    assert caught.value.message == "apps/demo.yaml apps/other.yaml apps/run link"


def test_a_wanted_file_that_is_not_there_is_left_to_the_change(repository: GitRepository) -> None:
    done = update(
        repository,
        branch="main",
        change=Replace(paths=("apps/demo.yaml", "apps/missing.yaml")),
        text=TEXT,
        options=UpdateOptions(dry_run=True),
    )
    assert done.files == ("apps/demo.yaml",)
