from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.errors import ConfigError
from towline.file_patterns import clean_path, match_files, select_files

LISTING = (
    "README.md",
    "app/.hidden.yaml",
    "app/a.yaml",
    "app/b.yml",
    "app/sub/a.yaml",
    "app/sub/deep/a1.yaml",
    "app/x[1].yaml",
    "other/a.yaml",
)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("app/a.yaml", ["app/a.yaml"]),
        ("./app/./a.yaml", ["app/a.yaml"]),
        ("app/*.yaml", ["app/.hidden.yaml", "app/a.yaml", "app/x[1].yaml"]),
        ("*", ["README.md"]),
        ("**/a.yaml", ["app/a.yaml", "app/sub/a.yaml", "other/a.yaml"]),
        ("app/**", [path for path in LISTING if path.startswith("app/")]),
        ("app/**/a*.yaml", ["app/a.yaml", "app/sub/a.yaml", "app/sub/deep/a1.yaml"]),
        ("**/deep/**/a?.yaml", ["app/sub/deep/a1.yaml"]),
        ("app/?.y{a,}ml", ["app/a.yaml", "app/b.yml"]),
        ("{app/{a,sub/a},other/a}.yaml", ["app/a.yaml", "app/sub/a.yaml", "other/a.yaml"]),
        ("**/a[0-9].yaml", ["app/sub/deep/a1.yaml"]),
        ("app/[!a].y*ml", ["app/b.yml"]),
        ("app/[^a].y*ml", ["app/b.yml"]),
        ("app/x[1].yaml", ["app/x[1].yaml"]),
        ("app/x[[]1].yaml", ["app/x[1].yaml"]),
        ("app/[]b].y*", ["app/b.yml"]),
        ("app/[!]ab.y*ml", []),
        ("app/[a&&b].y*", ["app/a.yaml", "app/b.yml"]),
        ("App/a.yaml", []),
        ("app", []),
        ("app/(a|b).yaml", []),
        ("app/a[.yaml", []),
    ],
)
def test_a_pattern_is_matched_against_the_listing(pattern: str, expected: list[str]) -> None:
    assert list(match_files(pattern, LISTING)) == expected


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "./.",
        "/etc/passwd",
        "../up",
        "a/../b",
        "a//b",
        "a/",
        "a\\b",
        "a\0b",
        "a\nb",
        ".git/config",
        "a/.GIT/x",
        ".git.",
        ".git . ",
        "GIT~1/x",
        ".git::$DATA",
        ".g\u200cit/x",
    ],
)
def test_a_path_that_could_leave_the_repository_is_refused(path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        clean_path(path)
    assert caught.value.hint


@pytest.mark.parametrize(
    "path", ["a", "a/b c/ü.yaml", ".github/x", "a..b", ".gitignore", "*/[a]/{b,c}", "git~2"]
)
def test_an_ordinary_path_is_itself(path: str) -> None:
    assert clean_path(path) == path


def test_patterns_are_checked_like_paths() -> None:
    with pytest.raises(ConfigError):
        match_files("**/../*.yaml", LISTING)


def test_a_pattern_with_a_range_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(ConfigError, match="not a file pattern"):
        match_files("[z-a]", LISTING)


def test_braces_that_multiply_are_bounded() -> None:
    with pytest.raises(ConfigError, match="alternatives"):
        match_files("{a,b}" * 12, LISTING)
    with pytest.raises(ConfigError, match="alternatives"):
        match_files("{" + ",".join("a" * 257) + "}", LISTING)
    assert match_files("{" + ",".join(["a"] * 256) + "}", ["a"]) == ("a",)


@pytest.mark.parametrize(
    "pattern", ["*" * 256 * 1024, "{" + ",".join("a" * 200) + "}" + "*a" * 400]
)
def test_a_pattern_is_as_long_as_paths_are(pattern: str) -> None:
    match_files(pattern, LISTING)
    with pytest.raises(ConfigError, match="is too long") as caught:
        match_files(f"{pattern}{'*a' * 500}", LISTING)
    assert caught.value.hint == "all its alternatives together may have 262144 characters"


def test_many_stars_are_not_slow() -> None:
    assert match_files("*a" * 40 + "b", ["a" * 200]) == ()


@pytest.mark.parametrize(
    ("pattern", "near"),
    [
        ("app/a.yml", "did you mean 'app/a.yaml'?"),
        ("ap/b.yml", "did you mean 'app/b.yml'?"),
        ("none", "known: README.md"),
    ],
)
def test_a_pattern_without_a_match_gets_near_names(pattern: str, near: str) -> None:
    with pytest.raises(ConfigError) as caught:
        select_files(pattern, LISTING)
    assert pattern in caught.value.message
    assert near in caught.value.hint


@given(st.text("ab*?[]!{},-/.^\\|()+$~&", max_size=20))
def test_any_pattern_matches_or_is_refused(pattern: str) -> None:
    try:
        found = match_files(pattern, LISTING)
    except ConfigError:
        found = ()
    assert set(found) <= set(LISTING)
