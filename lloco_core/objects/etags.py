"""What names the state of a local file: `<mtime>-<size>.<inode>.<ctime>`, in hexadecimal.

Tools that keep times (`rsync -t`, `tar`, `cp -p`) replace a file by one of equal size and time; its inode or ctime tells. Both also
change where the content does not: `chmod`, a rename, another hard link, a copy of the folder. Then the file is read again, once.
"""

from __future__ import annotations

import os
import re

PLACE = r"\.[0-9a-f]+\.[0-9a-f]+"
"""The part of a local etag that changes with the file's place and rights too; etags of S3 have none. DuckDB uses it as well."""


def local_etag(status: os.stat_result) -> str:
    """The etag of a file."""
    return f"{status.st_mtime_ns:x}-{status.st_size:x}.{status.st_ino:x}.{status.st_ctime_ns:x}"


def without_place(etag: str) -> str:
    """The part of an etag that a renamed or copied file keeps: time and size of a local file; an etag of S3 as it is."""
    return re.sub(PLACE, "", etag, count=1)
