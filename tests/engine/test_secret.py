from __future__ import annotations

import pytest

from towline.secret import Login, is_secret


@pytest.mark.parametrize("key", [
    "container/repositoryPassword", "githubToken", "custom/CLIENT_SECRET", "githubAppPrivateKey", "ssh_private-key", "pass_word", "PIPER_password",
])
def test_a_key_whose_last_part_names_a_secret_is_one(key: str) -> None:
    assert is_secret(key)


@pytest.mark.parametrize("key", ["container/repositoryUsername", "passwords/count", "artifactVersion", "PATH"])
def test_other_keys_are_not(key: str) -> None:
    assert not is_secret(key)


def test_a_login_does_not_show_its_password() -> None:
    assert "hunter2hunter2" not in repr(Login(username="anna", password="hunter2hunter2", origin="PIPER_password"))
