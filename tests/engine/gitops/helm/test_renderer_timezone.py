from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from towline.gitops.helm.renderer import timezone_file


@pytest.mark.parametrize("seconds", [82_861, -82_861, 0])
def test_programs_take_it_for_their_local_time(tmp_path: Path, seconds: int) -> None:
    (tmp_path / "zone").write_bytes(timezone_file(seconds))
    program = "import time; print(time.localtime(0).tm_gmtoff)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"TZ": str(tmp_path / "zone")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == seconds
