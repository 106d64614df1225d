"""Memory stays bounded however many points go in and come out, measured as the peak of a process of its own."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import iotstore
from iotstore import Device, Point

url, count, batch = sys.argv[1], int(sys.argv[2]), 100_000
with iotstore.open(url) as store:
    store.devices.put(Device(key="a"))
    for first in range(0, count, batch):
        times = range(first * 1_000_000, (first + batch) * 1_000_000, 1_000_000)
        receipt = store.telemetry.write_columns("a", "m", times, [at * 0.5 for at in range(first, first + batch)])
        assert receipt.stored == batch
    total = sum(1 for point in store.telemetry.stream("a", "m") if point.value >= 0)
    assert total == count, total
with open("/proc/self/status") as status:
    peak = next(line for line in status if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024)
"""


def peak_megabytes(url: str, count: int) -> int:
    """Write and read back *count* points in a fresh process; return the most memory it ever had."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, url, str(count)], check=True, capture_output=True, text=True, timeout=1500
    )
    return int(done.stdout)


def test_writing_and_reading_five_times_as_many_points_takes_no_more_memory(tmp_path):
    few = peak_megabytes(f"sqlite:///{tmp_path}/few.db", 100_000)
    many = peak_megabytes(f"sqlite:///{tmp_path}/many.db", 500_000)
    assert many < few + 16


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_ten_million_points_go_in_and_come_out_in_less_than_200_megabytes(tmp_path):
    assert peak_megabytes(f"sqlite:///{tmp_path}/home.db", 10_000_000) < 200
