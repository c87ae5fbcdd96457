"""Prefect flows, one file per deployment: what runs, in which order, and what is reported."""

import sys

from lloco_core.interruption import interruption

if sys.argv[0] == "-m":  # `python -m flows.nightly`, whose imports take seconds, during which a signal ends it as it does later
    interruption()
