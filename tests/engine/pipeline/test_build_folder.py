from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import pytest

from towline.pipeline.build_folder import open_folder


def made(folder: Path, mode: int = 0o755) -> Path:
    folder.mkdir()
    folder.chmod(mode)
    return folder


@pytest.mark.parametrize(
    ("mode", "is_open"),
    [(0o755, False), (0o700, False), (0o1777, False), (0o777, True), (0o2777, True), (0o703, True)],
)
def test_a_folder_on_the_way_that_others_write_to_is_found(
    tmp_path: Path, mode: int, *, is_open: bool
) -> None:
    there = made(tmp_path / "a", mode)
    for folder in (there, made(there / "b"), there / "b" / "none" / "yet"):
        assert open_folder(folder) == (there if is_open else None)


def test_a_link_counts_with_all_that_it_leads_through(tmp_path: Path) -> None:
    volume, safe = made(tmp_path / "volume", 0o777), made(tmp_path / "safe")
    made(safe / "x")
    (safe / "in").symlink_to("../volume/back")
    (volume / "back").symlink_to(safe)
    assert open_folder(safe / "in" / "x") == volume
    volume.chmod(0o755)
    assert open_folder(safe / "in" / "x") is None
    assert open_folder(safe / "in" / ".." / "volume") is None


def test_links_without_end_lead_nowhere_that_is_safe(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert open_folder(tmp_path / "a" / "x") == tmp_path / "a" / "x"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_another_user_owns_on_the_way_is_found_unless_he_is_known(tmp_path: Path) -> None:
    there = made(tmp_path / "a")
    (tmp_path / "link").symlink_to(made(tmp_path / "b"))
    os.chown(there, 12345, 0)
    os.chown(tmp_path / "link", 12345, 0, follow_symlinks=False)
    assert (open_folder(there), open_folder(tmp_path / "link")) == (there, tmp_path / "link")
    assert open_folder(there, frozenset({12345})) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_group_that_is_the_user_s_alone_is_nobody_else(tmp_path: Path) -> None:
    """With umask 002, all that a user creates is writable for the user's own group."""
    alone = [
        one
        for one in pwd.getpwall()
        if one.pw_uid
        and one.pw_gid in {group.gr_gid for group in grp.getgrall() if group.gr_name == one.pw_name}
    ]
    user = next(iter(alone), None)
    if user is None:
        pytest.skip("no user here has a group of its own")
    there = Path("/tmp", f"towline-{os.getpid()}")  # the folders of pytest are root's alone
    made(there, 0o775)
    try:
        os.chown(there, user.pw_uid, user.pw_gid)
        os.seteuid(user.pw_uid)
        assert open_folder(there) is None
        os.seteuid(0)
        os.chown(there, user.pw_uid, 0)
        os.seteuid(user.pw_uid)
        assert open_folder(there) == there
    finally:
        os.seteuid(0)
        there.rmdir()
