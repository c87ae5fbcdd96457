"""Making a cache of tokens: one reader, as many tokenising processes as wanted, one file written in the reader's order.

Whoever comes while the cache is being made waits for it; a maker that dies leaves only a folder that the next one replaces.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lloco_core.encoder_training.text.cache import DOCUMENTS, FORMAT, REPORT, SCHEMA, TOKENS, TokenCache, token_dtype
from lloco_core.encoder_training.text.files import TextFile, find_files
from lloco_core.encoder_training.text.processes import process_pool
from lloco_core.encoder_training.text.reading import Tally
from lloco_core.encoder_training.text.stream import place_of, read_documents, read_ids
from lloco_core.encoder_training.text.tokens import TextTokenizer
from lloco_core.errors import StorageError
from lloco_core.fingerprint import digest
from lloco_core.locks import only_one

if TYPE_CHECKING:
    from lloco_core.encoder_training.text.config import TextConfig
    from lloco_core.encoder_training.text.reading import TextDocument

logger = logging.getLogger(__name__)

BATCH_CHARACTERS = 2**20
"""Text handed to a process at a time; a longer document goes alone."""

AHEAD = 2
"""Batches per process that are read before the oldest is written."""

_Encoded = tuple[list[str], list[int], bytes]
"""Ids of documents, their lengths, and their tokens in the format of the cache."""


def open_token_cache(config: TextConfig, tokenizer: TextTokenizer) -> TokenCache:
    """Open the cache of a text, making it first where there is none.

    Raises:
        TrainingTextError: too many lines are damaged.
        StorageError: a file cannot be read, or the disk cannot be written.
    """
    files, dropped = find_files(config.files), read_ids(config.drop)
    folder = Path(config.cache) / fingerprint(files, dropped, config, tokenizer)
    if not folder.exists():
        try:
            with only_one(folder):
                if not folder.exists():
                    _make(folder, files, dropped, config, tokenizer)
        except OSError as error:
            raise StorageError(f"cannot write below {folder.parent}: {error}; check text.cache and free space") from error
    return TokenCache(folder)


def fingerprint(files: list[TextFile], dropped: frozenset[str], config: TextConfig, tokenizer: TextTokenizer) -> str:
    """Names everything that decides about the tokens and their order."""
    contents = [(file.uri, file.etag, file.size) for file in files]
    rules = [config.text_field, config.id_field, config.open_files, config.document_mb, sorted(dropped)]
    return digest([FORMAT, contents, rules, tokenizer.fingerprint])


def _make(folder: Path, files: list[TextFile], dropped: frozenset[str], config: TextConfig, tokenizer: TextTokenizer) -> None:
    making = folder.with_suffix(".making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    tally = Tally(config.damaged_rate)
    documents = read_documents(files, dropped, config, tally)
    n_tokens, contents = _write(making, encode_documents(documents, tokenizer, config.processes))
    report = {
        "dtype": token_dtype(tokenizer.size).name,
        "n_tokens": n_tokens,
        "contents": contents,
        "files": [{"uri": file.uri, "bytes": file.size} for file in files],
        "tokenizer": tokenizer.fingerprint,
        **asdict(tally),
        "damaged": [item._asdict() for item in tally.damaged],
    }
    (making / REPORT).write_text(json.dumps(report, indent=1))
    for item in tally.damaged:
        logger.warning("%s line %d: %s; left out", item.uri, item.line, item.reason)
    logger.info(
        "%s: %d tokens of %d documents, %d dropped, %d lines damaged", folder, n_tokens, tally.documents, tally.dropped, tally.n_damaged
    )
    making.rename(folder)


def _write(folder: Path, batches: Iterable[_Encoded]) -> tuple[int, str]:
    """Write tokens and documents; the number of tokens, and a hash of all that was written."""
    n_tokens, contents = 0, hashlib.sha256()
    with (folder / TOKENS).open("wb") as tokens, pq.ParquetWriter(folder / DOCUMENTS, SCHEMA) as documents:
        for ids, lengths, data in batches:
            tokens.write(data)
            rows = {"id": ids, "n_tokens": lengths, "place": [place_of(doc_id) for doc_id in ids]}
            documents.write_batch(pa.record_batch(rows, schema=SCHEMA))
            for part in (json.dumps([ids, lengths]).encode(), data):
                contents.update(part)
            n_tokens += sum(lengths)
    return n_tokens, contents.hexdigest()[:24]


def encode_documents(documents: Iterable[TextDocument], tokenizer: TextTokenizer, processes: int) -> Iterator[_Encoded]:
    """Tokenise batch by batch, in order; never more than `AHEAD` batches per process are held."""
    batches = _batches(documents)
    if processes == 1:
        yield from (_encode(tokenizer, batch) for batch in batches)
        return
    with process_pool(processes, _Worker.start, tokenizer) as pool:
        yield from _in_order(pool, _Worker.encode, batches, AHEAD * processes)


def _in_order(pool: Executor, call: Callable[..., _Encoded], batches: Iterable[list[TextDocument]], most: int) -> Iterator[_Encoded]:
    under_way: deque[Future[_Encoded]] = deque()
    for batch in batches:
        if len(under_way) == most:
            yield under_way.popleft().result()
        under_way.append(pool.submit(call, batch))
    while under_way:
        yield under_way.popleft().result()


def _batches(documents: Iterable[TextDocument]) -> Iterator[list[TextDocument]]:
    batch: list[TextDocument] = []
    characters = 0
    for document in documents:
        if batch and characters + len(document.text) > BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
        batch.append(document)
        characters += len(document.text)
    if batch:
        yield batch


def _encode(tokenizer: TextTokenizer, batch: list[TextDocument]) -> _Encoded:
    ids = tokenizer.encode([document.text for document in batch])
    data = np.concatenate(ids).astype(token_dtype(tokenizer.size)).tobytes()
    return [document.id for document in batch], [len(item) for item in ids], data


class _Worker:
    """What a tokenising process holds."""

    tokenizer: TextTokenizer

    @classmethod
    def start(cls, tokenizer: TextTokenizer) -> None:
        """Called once in every process."""
        cls.tokenizer = tokenizer

    @classmethod
    def encode(cls, batch: list[TextDocument]) -> _Encoded:
        """Called for every batch."""
        return _encode(cls.tokenizer, batch)
