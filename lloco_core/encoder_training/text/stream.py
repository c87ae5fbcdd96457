"""All documents of a training text: several files in turns, without those whose ids are listed.

The order depends on the files alone. A document belongs to validation by its id, wherever it stands.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lloco_core.encoder_training.text.reading import TextDocument, read_file
from lloco_core.errors import ConfigurationError
from lloco_core.fingerprint import digest
from lloco_core.objects import open_at

if TYPE_CHECKING:
    from lloco_core.encoder_training.text.config import TextConfig
    from lloco_core.encoder_training.text.files import TextFile
    from lloco_core.encoder_training.text.reading import Tally


def read_documents(files: Sequence[TextFile], dropped: frozenset[str], config: TextConfig, tally: Tally) -> Iterator[TextDocument]:
    """One document of each open file in turn; a file that ends makes place for the next.

    Raises:
        TrainingTextError: too many lines are damaged.
        StorageError: a file cannot be read to its end.
    """
    waiting = deque(files)
    reading: deque[Iterator[TextDocument]] = deque()
    while waiting or reading:
        while waiting and len(reading) < config.open_files:
            reading.append(read_file(waiting.popleft(), config, tally))
        document = next(reading[0], None)
        if document is None:
            reading.popleft()
            continue
        reading.rotate(-1)
        if document.id in dropped:
            tally.dropped += 1
        else:
            tally.documents += 1
            yield document
    tally.check()


def read_ids(uri: str | None) -> frozenset[str]:
    """Ids of a list; see `TextConfig.drop`."""
    if uri is None:
        return frozenset()
    objects, key = open_at(uri)
    lines = objects.get(key).decode("utf-8").splitlines()
    if not key.endswith(".tsv"):
        return frozenset(line.strip() for line in lines if line.strip())
    rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    column = next((name for name in ("doc_id", "id") if name in (rows.fieldnames or ())), None)
    if column is None:
        raise ConfigurationError(f"{uri} has columns {rows.fieldnames}, neither doc_id nor id; correct its first line")
    return frozenset(row[column].strip() for row in rows if row[column])


def place_of(doc_id: str) -> float:
    """Where an id lies between 0 and 1; below the validation share it is validation."""
    return int(digest(["validation", doc_id], 12), 16) / 16**12
