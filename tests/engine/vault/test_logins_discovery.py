from __future__ import annotations

from pathlib import Path

import pytest

from towline.vault import logins
from towline.vault.logins import (
    ID_TOKEN_URL,
    JWT_FILE,
    PODS_FILE,
    ROLE_ID,
    SECRET_ID,
    SERVICE_ACCOUNT,
    available_sources,
)


def test_available_sources_are_set_variables_and_the_file_of_a_pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "service_account", tmp_path / "token")
    assert available_sources({ROLE_ID: "a", SECRET_ID: " ", ID_TOKEN_URL: "x", "OTHER": "x"}) == {
        ROLE_ID,
        ID_TOKEN_URL,
    }
    (tmp_path / "token").touch()
    assert available_sources({}) == {SERVICE_ACCOUNT}


def test_a_file_that_is_the_one_of_a_pod_is_known_by_any_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pods, run = tmp_path / "var" / "serviceaccount", tmp_path / "run"
    (pods / "..data").mkdir(parents=True)
    (pods / "..data" / "token").touch()
    (pods / "token").symlink_to("..data/token")
    run.symlink_to("var")
    (tmp_path / "other").touch()
    monkeypatch.setattr(logins, "service_account", pods / "token")
    for path in (
        pods / "token",
        run / "serviceaccount" / "token",
        pods / "..data" / ".." / "token",
    ):
        assert available_sources({JWT_FILE: f"{path} "}) == {JWT_FILE, SERVICE_ACCOUNT, PODS_FILE}
    for name in (str(tmp_path / "other"), str(tmp_path / "none"), "a\0b"):
        assert available_sources({JWT_FILE: name}) == {JWT_FILE, SERVICE_ACCOUNT}


def test_a_folder_that_may_not_be_looked_into_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as little as one without rights
    monkeypatch.setattr(logins, "service_account", tmp_path / ("n" * 300))
    assert available_sources({}) == frozenset()
