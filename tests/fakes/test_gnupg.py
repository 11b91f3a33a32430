from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest

from tests.fakes.gnupg import GnuPG, agents


def test_its_agent_has_ended_when_the_home_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    with GnuPG() as gnupg:
        gnupg.make_key()
        assert agents(gnupg.home) != []
    assert agents(gnupg.home) == []
    assert not gnupg.home.exists()


def test_its_key_signs_where_the_clock_was_set_back_by_an_hour() -> None:
    with GnuPG() as gnupg:
        gnupg.make_key()
        past = f"--faked-system-time={int(time.time()) - 3600}"
        signed = gnupg.run(past, "--detach-sign", "--armor", stdin="text")
        assert "BEGIN PGP SIGNATURE" in signed


def test_the_names_of_its_sockets_are_short_in_whatever_folder_tests_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ("long" * 25)).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("long" * 25)))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with GnuPG() as gnupg:
        assert gnupg.make_key()
