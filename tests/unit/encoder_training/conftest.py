"""Quiet, single-threaded training in this process."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: two threads on a busy core are 10 times slower
os.environ.setdefault("DS_ACCELERATOR", "cpu")
