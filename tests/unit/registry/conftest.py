"""The shared fixtures of the store, under their pytest names."""

from tests.unit.store.fixtures import s3, s3_endpoint, store, store_uri

__all__ = ["s3", "s3_endpoint", "store", "store_uri"]
