"""The partial clone: what it fetches, how much, and how it works on older servers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fakes.git_server import GitServer
from towline.errors import ConfigError, GitError, GitUnreachable
from towline.git.partial_clone import MissingBranch, OutOfScope, PartialClone
from towline.git.program import GitProgram
from towline.git.remote import parse_remote
from towline.git.sparse import WHOLE_TREE, scope_of
from towline.retry import Clock, Deadline

FILES: Mapping[str, bytes | tuple[bytes, int]] = {
    "README": b"hello",
    "charts/app/Chart.yaml": b"name: app",
    "charts/app/templates/one.yaml": b"1",
    "charts/other/Chart.yaml": b"name: other",
    "out/stage/app.yaml": b"n: 1",
    "out/stage/link": (b"app.yaml", 0o120000),
    "out/prod/app.yaml": b"n: 2",
}


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def copy(
    server: GitServer,
    temporary: Path,
    environ: Mapping[str, str],
    slept: list[float],
    said: list[str],
) -> PartialClone:
    server.create("demo", FILES)
    remote = parse_remote(server.url("demo"))
    git = GitProgram(
        remote,
        folder=temporary,
        secrets=temporary,
        environ=environ,
        deadline=Deadline.after(60, Clock(sleep=slept.append)),
    )
    return PartialClone(git, remote, folder=temporary, say=said.append)


def paths(copy: PartialClone) -> list[str]:
    """The files that the copy lists."""
    return [entry.path for entry in copy.listing(copy.branches()["main"]) if entry.kind == "blob"]


def test_the_whole_is_listed_in_three_requests(server: GitServer, copy: PartialClone) -> None:
    copy.clone("", WHOLE_TREE)
    assert paths(copy) == sorted(FILES)
    assert len(server.requests) == 3


def test_a_files_folder_costs_one_fetch_more_and_shows_what_is_beside_it_and_above(
    server: GitServer, copy: PartialClone
) -> None:
    copy.clone("main", scope_of(["out/stage/app.yaml"]))
    assert paths(copy) == ["README", "out/stage/app.yaml", "out/stage/link"]
    listing = copy.listing(copy.branches()["main"])
    assert [entry.path for entry in listing] == sorted(entry.path for entry in listing)
    assert {entry.mode for entry in listing if entry.path == "out/stage/link"} == {"120000"}
    assert len(server.requests) == 5


def test_a_file_at_the_root_costs_nothing_more(server: GitServer, copy: PartialClone) -> None:
    copy.clone("", scope_of(["README"]))
    assert paths(copy) == ["README"]
    assert len(server.requests) == 3


def test_a_chart_comes_with_all_that_is_below_it(server: GitServer, copy: PartialClone) -> None:
    copy.clone("", scope_of(["charts/app/**", "out/stage/app.yaml", "values/new.yaml"]))
    assert paths(copy) == [
        "README",
        "charts/app/Chart.yaml",
        "charts/app/templates/one.yaml",
        "out/stage/app.yaml",
        "out/stage/link",
    ]
    assert len(server.requests) == 5


def test_a_folder_that_is_not_there_or_is_a_file_is_just_not_listed(copy: PartialClone) -> None:
    copy.clone("", scope_of(["README/x.yaml", "nowhere/at/all.yaml", "gone/**"]))
    assert paths(copy) == ["README"]


def test_a_submodule_and_a_name_that_is_no_text_are_listed_as_what_they_are(
    server: GitServer, copy: PartialClone
) -> None:
    bare = server.folder / "demo.git"
    commit = server.git("rev-parse", "main", repository=bare).strip()
    server.git("update-index", "--add", "--cacheinfo", f"160000,{commit},sub", repository=bare)
    server.add("demo", {'"caf\\351"': b"1"})
    copy.clone("", scope_of(["README"]))
    assert "caf\udce9" in paths(copy)


@pytest.mark.parametrize(
    "filters", ["uploadpackfilter.combine.allow", "uploadpackfilter.tree.allow"]
)
def test_a_server_that_leaves_out_only_files_is_asked_for_all_folders(
    server: GitServer, copy: PartialClone, filters: str, slept: list[float], said: list[str]
) -> None:
    server.git("config", filters, "false", repository=server.folder / "demo.git")
    copy.clone("", scope_of(["out/stage/app.yaml"]))
    assert "out/stage/app.yaml" in paths(copy)
    assert (slept, said) == ([], [])


def test_a_server_that_leaves_out_nothing_is_asked_for_all_and_it_is_said(
    server: GitServer, copy: PartialClone, slept: list[float], said: list[str]
) -> None:
    server.git("config", "uploadpackfilter.allow", "false", repository=server.folder / "demo.git")
    copy.clone("", scope_of(["out/stage/app.yaml"]))
    assert "out/stage/app.yaml" in paths(copy)
    assert slept == []
    assert len(said) == 1
    assert "does not support partial clones" in said[0]


def test_a_server_without_filters_at_all_sends_everything_and_it_is_said(
    server: GitServer, copy: PartialClone, said: list[str]
) -> None:
    server.git("config", "uploadpack.allowFilter", "false", repository=server.folder / "demo.git")
    copy.clone("", scope_of(["out/stage/app.yaml"]))
    server.requests.clear()
    entry = next(
        entry
        for entry in copy.listing(copy.branches()["main"])
        if entry.path == "out/stage/app.yaml"
    )
    copy.fetch_objects([entry.oid])
    assert copy.contents([entry.oid]) == {entry.oid: b"n: 1"}
    assert len(said) == 1
    assert server.requests == []


def test_an_old_server_that_gives_out_branches_only_is_out_of_scope_until_all_is_fetched(
    server: GitServer, copy: PartialClone
) -> None:
    copy.clone("", WHOLE_TREE)
    entry = next(entry for entry in copy.listing(copy.branches()["main"]) if entry.path == "README")
    # client and server fall back to this protocol
    (copy.path / "config").write_text(
        (copy.path / "config").read_text() + "[protocol]\n\tversion = 0\n"
    )
    with pytest.raises(OutOfScope, match="whole branches only"):
        copy.fetch_objects([entry.oid])
    copy.clone("", WHOLE_TREE)
    assert copy.contents([entry.oid]) == {entry.oid: b"hello"}


def test_a_branch_is_read_again_with_what_came_since(server: GitServer, copy: PartialClone) -> None:
    copy.clone("", scope_of(["out/stage/app.yaml"]))
    last = server.add("demo", {"out/stage/new.yaml": b"n: 3"})
    assert copy.fetch("refs/heads/main") == last
    assert "out/stage/new.yaml" in paths(copy)


def test_the_plain_repository_never_asks_for_what_was_left_out(
    server: GitServer, copy: PartialClone
) -> None:
    copy.clone("", scope_of(["out/stage/app.yaml"]))
    server.requests.clear()
    with pytest.raises(GitError):
        copy.plain.output("cat-file", "-e", "main:out/prod")
    commit = copy.branches()["main"]
    assert copy._read_objects(
        [f"{commit}:out/prod", f"{commit}:out", f"{commit}:nowhere at all"]
    ).keys() == {f"{commit}:out"}
    assert server.requests == []


MANY: Mapping[str, bytes | tuple[bytes, int]] = {
    **{f"apps/{number}/app.yaml": b"n: %d" % number for number in range(120)},
    "apps/7/large": os.urandom(20_000),
    "apps/7/below/app.yaml": b"below",
    "apps/8/below/deep/app.yaml": b"deep",
}


def oid(copy: PartialClone, path: str) -> str:
    """The object at `path`."""
    return next(entry.oid for entry in copy.listing(copy.branches()["main"]) if entry.path == path)


def test_of_many_folders_the_one_that_is_wanted_brings_its_small_files_along(
    server: GitServer, copy: PartialClone
) -> None:
    server.add("demo", MANY)
    copy.clone("", scope_of(["apps/7/app.yaml"]))
    small, large = oid(copy, "apps/7/app.yaml"), oid(copy, "apps/7/large")
    assert copy.contents([small]) == {small: b"n: 7"}
    assert len(server.requests) == 5
    assert sum(exchange.sent for exchange in server.requests) < 10_000
    assert "apps/7/below/app.yaml" not in paths(copy)
    assert len(copy.contents([small, large])[large]) == 20_000
    assert len(server.requests) == 7


def test_of_few_folders_the_files_come_when_they_are_wanted(
    server: GitServer, copy: PartialClone
) -> None:
    copy.clone("", scope_of(["out/stage/app.yaml"]))
    file = oid(copy, "out/stage/app.yaml")
    assert len(server.requests) == 5
    assert copy.contents([file]) == {file: b"n: 1"}
    assert len(server.requests) == 7


def test_a_server_that_does_not_look_at_sizes_is_asked_for_the_folder_alone(
    server: GitServer, copy: PartialClone, slept: list[float]
) -> None:
    server.add("demo", MANY)
    server.git(
        "config",
        "uploadpackfilter.blob:limit.allow",
        "false",
        repository=server.folder / "demo.git",
    )
    copy.clone("", scope_of(["apps/7/app.yaml"]))
    file = oid(copy, "apps/7/app.yaml")
    assert copy.contents([file]) == {file: b"n: 7"}
    assert slept == []


def test_an_object_that_nobody_has_is_a_fault(copy: PartialClone) -> None:
    copy.clone("", WHOLE_TREE)
    with pytest.raises(GitUnreachable):
        copy.fetch_objects(["12" * 20])
    with pytest.raises(GitUnreachable):
        copy.contents(["12" * 20])


def test_many_contents_come_apart_again(server: GitServer, copy: PartialClone) -> None:
    server.add("demo", {"empty": b"", "lines": b"\n\n a blob 3\n", "noise": os.urandom(1000)})
    copy.clone("", WHOLE_TREE)
    oids = {
        entry.path: entry.oid
        for entry in copy.listing(copy.branches()["main"])
        if entry.path in ("empty", "lines", "noise")
    }
    contents = copy.contents(oids.values())
    assert (contents[oids["empty"]], contents[oids["lines"]], len(contents[oids["noise"]])) == (
        b"",
        b"\n\n a blob 3\n",
        1000,
    )


def test_what_is_not_there_is_told_apart(server: GitServer, copy: PartialClone) -> None:
    with pytest.raises(MissingBranch, match="there is no branch 'stage'"):
        copy.clone("stage", WHOLE_TREE)
    server.git("symbolic-ref", "HEAD", "refs/heads/gone", repository=server.folder / "demo.git")
    copy.clone("", WHOLE_TREE)
    with pytest.raises(ConfigError, match="HEAD names a branch that does not exist"):
        copy.check_branch("")


def test_a_clone_that_fails_for_another_reason_is_not_put_down_to_the_branch(
    server: GitServer, copy: PartialClone, slept: list[float]
) -> None:
    # the pack breaks off, and the branches are listed
    answers: list[int | str | None] = [None, None, "cut", None, None]
    server.fault = lambda _method, _path: answers.pop(0) if answers else None
    assert list(copy.clone("", WHOLE_TREE)) == ["main"]
    assert len(slept) == 1


def test_an_empty_repository_names_the_branch_that_it_would_have(
    server: GitServer, copy: PartialClone
) -> None:
    server.git("update-ref", "-d", "refs/heads/main", repository=server.folder / "demo.git")
    server.git("symbolic-ref", "HEAD", "refs/heads/trunk", repository=server.folder / "demo.git")
    assert copy.clone("", WHOLE_TREE) == {}
    assert copy.unborn_branch() == "trunk"
