from __future__ import annotations

import pytest

from towline.git.remote import host_and_path, public_url


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://git.example.com/a@b.git", "https://git.example.com/a@b.git"),
        ("https://user:S3cr3t@git.example.com/a.git", "https://git.example.com/a.git"),
        ("https://user:S3c@r3t@git.example.com/a.git", "https://git.example.com/a.git"),
        ("ssh://git@git.example.com:7999/a.git", "ssh://git.example.com:7999/a.git"),
        ("https://git.example.com/a.git?private_token=S3cr3t", "https://git.example.com/a.git"),
        ("https://git.example.com/a.git#S3cr3t", "https://git.example.com/a.git"),
        ("git@git.example.com:team/a.git", "git.example.com:team/a.git"),
        ("user:S3cr3t@git:src.git", "git:src.git"),
        ("user:S3c@r3t@git:src.git", "git:src.git"),
        ("git@git:team@home/src.git", "git:team@home/src.git"),
        ("git:src.git?token=S3cr3t", "git:src.git"),
        ("../src.git", "../src.git"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_what_opens_it(given: str, kept: str) -> None:
    assert public_url(given) == kept


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ("https://git.example.com/Team/a.git", "git.example.com/team/a"),
        ("ssh://git@GIT.example.com:7999/team/a/", "git.example.com/team/a"),
        ("git@git.example.com:team/a.git", "git.example.com/team/a"),
        ("git.example.com:team/a", "git.example.com/team/a"),
        ("https://git.example.com/team/a%20b", "git.example.com/team/a b"),
        ("../a.git", ""),
        ("https://[::1/a", ""),
        ("https://git.example.com/", ""),
        ("", ""),
    ],
)
def test_a_repository_is_one_however_it_is_reached(given: str, same: str) -> None:
    assert host_and_path(given) == same
