from __future__ import annotations

import contextlib
import stat
from pathlib import Path

import pytest

from towline import private_folder
from towline.commands.vault_secrets import secret_files
from towline.errors import MachineError


def test_a_file_holds_its_text_for_its_owner_alone_and_is_gone_afterwards() -> None:
    with secret_files({"config": "ü\n", "key": "k"}, {}) as paths:
        files = {name: Path(path) for name, path in paths.items()}
        assert files["config"].read_bytes() == "ü\n".encode()
        assert stat.S_IMODE(files["config"].stat().st_mode) == 0o600
        assert stat.S_IMODE(files["config"].parent.stat().st_mode) == 0o700
    assert not files["key"].parent.exists()


def test_the_files_are_gone_when_the_block_fails_too() -> None:
    with contextlib.suppress(ZeroDivisionError), secret_files({"config": "x"}, {}) as paths:
        folder = Path(paths["config"]).parent
        assert folder.exists()
        raise ZeroDivisionError
    assert not folder.exists()


def test_a_machine_without_a_folder_for_files_is_a_fault_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    monkeypatch.setattr(private_folder, "_MOUNTS", tmp_path / "missing")
    with pytest.raises(MachineError), secret_files({"config": "x"}, {}):
        pass
