"""An acknowledged write survives ``kill -9``; what was not acknowledged is whole or absent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

DRIVER = Path(__file__).with_name("kill_driver.py")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("cuts", "seed"), [(25, 1), pytest.param(200, 2, marks=pytest.mark.full)])
def test_no_acknowledged_batch_is_lost_and_none_is_torn_when_the_writer_is_killed(
    tmp_path: Path, cuts: int, seed: int
) -> None:
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(tmp_path), str(cuts), str(seed)],
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{cuts} cuts" in done.stdout
    assert "0 lost, 0 torn" in done.stdout
