"""Prefect tasks: retries, timeouts, and artifacts around one call into lloco_core each."""
