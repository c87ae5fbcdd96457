"""Adapters as serving systems load them: immutable folders, a record per version, one active adapter per group."""
