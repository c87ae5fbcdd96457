"""Prefect flows, one file per deployment: what runs, in which order, and what is reported."""
