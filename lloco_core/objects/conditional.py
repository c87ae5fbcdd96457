"""The start-up check of a store: does it honour create-only writes? Without them two committers overwrite each other's commits."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from lloco_core.errors import StorageError

if TYPE_CHECKING:
    from lloco_core.objects.interface import Objects


def check_conditional_writes(objects: Objects) -> str:
    """Create one probe object twice, and delete it; a store that accepts both cannot be committed to safely.

    Raises:
        StorageError: the store is unreachable or ignores `If-None-Match`.
    """
    key = f"_leases/probe-{uuid.uuid4().hex}"
    first, second = objects.create(key, b"1"), objects.create(key, b"2")
    objects.delete(key)
    if not first or second:
        raise StorageError(
            f"{objects.root} ignores create-only writes (`If-None-Match: *`): two runs at once would overwrite each other's commits "
            "and lose rows. Use a store that honours them (AWS S3, Ceph RGW, MinIO), or enable them; "
            "store.check_conditional_writes: false accepts the loss"
        )
    return f"{objects.root} honours create-only writes"
