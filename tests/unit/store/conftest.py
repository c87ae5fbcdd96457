"""The shared fixtures of the store, under their pytest names."""

from tests.unit.store.fixtures import store, store_uri

__all__ = ["store", "store_uri"]
