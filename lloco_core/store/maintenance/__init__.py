"""Keeping a store small and fast, beside running ingests and readers: compaction, retention of nights, sweeps."""
