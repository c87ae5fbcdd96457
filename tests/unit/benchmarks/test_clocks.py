"""What is read from `nvidia-smi` while something runs."""

from __future__ import annotations

from benchmarks.clocks import summarize

SAMPLES = """1980, 640.20, 55, 0x0000000000000000
1500, 699.50, 61, 0x0000000000000004
1410, 700.10, 63, 0x0000000000000084
[N/A]
"""


def test_medians_and_the_share_of_every_reason():
    assert summarize(SAMPLES) == {
        "sm_mhz": 1500.0,
        "power_w": 699.5,
        "celsius": 61.0,
        "clock_held_down": {"power cap": 0.667, "power brake": 0.333},
    }


def test_nothing_seen_is_none():
    assert summarize("") is None
