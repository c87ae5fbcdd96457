"""The encoder's engine: continuous batching of documents through the packed decoder.

`encode_documents` may be called from several threads. Their documents share the steps: one of the callers runs them, the others
wait, and everybody returns when the own documents are done; then another one goes on. On a GPU a step is only queued: the next
is put together while it runs, because what runs next depends on lengths alone.

Shape suffixes: M positions of a step, P carried vectors, S summary length, H hidden size.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from lloco_core.compressor.attention import Spans, to_device
from lloco_core.compressor.busy import DeviceClock
from lloco_core.compressor.decoder import PackedDecoder, PackedStep
from lloco_core.compressor.memory import KeyValueMemory, plan_positions
from lloco_core.compressor.schedule import Chunk, DocumentProgress, Schedule
from lloco_core.errors import ConfigurationError, EncodingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedModel

    from lloco_core.compressor.options import EngineOptions

logger = logging.getLogger(__name__)

POSITIONS_PER_MULTIPROCESSOR = 192
"""A multiple of a matrix product's tile, so that no multiprocessor idles at a product's end."""
CPU_STEP_TOKENS = 2048
WAIT_SECONDS = 0.05
"""After that a waiting caller looks again, in case that the one who ran the steps left without a word."""


@dataclass(slots=True, eq=False)
class DocumentWork:
    """A document for the engine: its segments, what stands before them, and its vectors so far."""

    order: int
    segments_T: list[np.ndarray]
    carried_PH: torch.Tensor | None
    newest_SH: torch.Tensor | None = None
    """Vectors of the last pass, on the device: the next one's prompt."""
    on_host_SH: list[torch.Tensor] = field(default_factory=list)
    """Vectors of all passes on the CPU, complete when the device has passed `ready`."""
    ready: torch.cuda.Event | None = None

    def result(self) -> torch.Tensor:
        """All vectors [S * segments, H] on the CPU."""
        if self.ready is not None:
            self.ready.synchronize()
        return torch.cat(self.on_host_SH)


class Engine:
    """Encodes the documents of all callers together."""

    def __init__(
        self,
        decoder: PreTrainedModel,
        summary_SH: torch.Tensor,
        accumulate: bool,
        options: EngineOptions,
    ) -> None:
        fp8 = options.quantization == "fp8"
        if fp8:
            _refuse_without_float8(summary_SH.device)
        self._summary_SH = summary_SH
        self._vocabulary = decoder.config.vocab_size
        self._accumulate = accumulate
        self.decoder = PackedDecoder(decoder, summary_SH, fp8)
        shape, device = self.decoder.shape, self.decoder.device
        self.step_tokens = max(options.batch_tokens or default_step_tokens(device), len(summary_SH))
        while (limit := plan_positions(shape, self.decoder.dtype, device, self.step_tokens, options.memory_fraction)) < self.step_tokens:
            self._halve_step()
        self.memory = KeyValueMemory(shape, self.decoder.dtype, device, limit)
        self._clock = DeviceClock(device)
        self._schedule = Schedule(self.memory)
        self._works: dict[DocumentProgress, DocumentWork] = {}
        self._inbox: deque[list[tuple[DocumentProgress, DocumentWork]]] = deque()
        self._stepping = threading.Lock()
        self._stepped = threading.Condition()

    def encode_documents(self, works: Sequence[DocumentWork]) -> None:
        """Encode documents; their vectors are what `result()` of each returns then.

        Raises:
            EncodingError: a document does not fit into the device's memory.
        """
        documents = [(self._progress(work), work) for work in works]
        self._inbox.append(documents)
        try:
            while not all(document.ended for document, _ in documents):
                self._step_or_wait()
        except BaseException:
            with self._stepping:
                self._withdraw(documents)
            raise
        self._raise_refused(documents)

    def _step_or_wait(self) -> None:
        if not self._stepping.acquire(blocking=False):
            with self._stepped:
                self._stepped.wait(WAIT_SECONDS)
            return
        try:
            self._step()
        finally:
            self._stepping.release()
            with self._stepped:
                self._stepped.notify_all()

    def _progress(self, work: DocumentWork) -> DocumentProgress:
        carried = 0 if work.carried_PH is None else len(work.carried_PH)
        return DocumentProgress([len(segment) for segment in work.segments_T], carried, len(self._summary_SH), self._accumulate)

    def _raise_refused(self, documents: Sequence[tuple[DocumentProgress, DocumentWork]]) -> None:
        refused = [(document, work) for document, work in documents if document.refused]
        for document, _ in refused:
            del self._works[document]
        for document, work in refused:
            raise EncodingError(
                f"document {work.order} needs keys and values of {document.capacity:,} positions, memory holds {self.memory.limit:,}; "
                "use a device with more memory, a larger encoder.memory_fraction, or split the document"
            )

    def _withdraw(self, documents: Sequence[tuple[DocumentProgress, DocumentWork]]) -> None:
        self._take_in()
        for document, _ in documents:
            self._schedule.withdraw(document)
            self._works.pop(document, None)

    def busy_seconds(self) -> float:
        """Seconds in which the device was executing steps; those under way are counted when they end."""
        return self._clock.busy_seconds()

    @torch.inference_mode()
    def _step(self) -> None:
        self._take_in()
        try:
            chunks = self._schedule.plan(self.step_tokens)
            if not chunks:
                return
            with self._clock.step():
                vectors_RH = self._run(chunks)
        except torch.OutOfMemoryError:
            self._halve_step()
            return
        self._hand_out(chunks, vectors_RH)
        self._schedule.advance(chunks)
        for chunk in chunks:
            if chunk.document.ended:
                del self._works[chunk.document]

    def _take_in(self) -> None:
        while self._inbox:
            for document, work in self._inbox.popleft():
                self._works[document] = work
                self._schedule.submit(document)

    def _halve_step(self) -> None:
        smaller = self.step_tokens // 2
        if smaller < len(self._summary_SH):
            raise EncodingError(
                f"the device has no memory even for a step of {self.step_tokens} positions; "
                "free it of other processes or use one with more memory"
            )
        logger.warning("no memory for a step of %s positions, going on with %s", f"{self.step_tokens:,}", f"{smaller:,}")
        self.step_tokens = smaller
        torch.cuda.empty_cache()

    def _run(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """Run the chunks; return the vectors [S * chunks that end, H]."""
        device, n_summary = self.decoder.device, len(self._summary_SH)
        layouts = [self._layout(chunk) for chunk in chunks]
        offsets = np.cumsum([0, *(chunk.n_positions for chunk in chunks)])
        rows = [end - n_summary + np.arange(n_summary) for chunk, end in zip(chunks, offsets[1:], strict=True) if chunk.ends]
        prompt_rows = [offset + np.arange(len(layout.prompt_PH)) for layout, offset in zip(layouts, offsets, strict=False)]
        indices = [
            np.concatenate([layout.token_ids for layout in layouts]),
            np.concatenate([layout.positions for layout in layouts]),
            np.concatenate([layout.positions + chunk.document.region for layout, chunk in zip(layouts, chunks, strict=True)]),
            np.concatenate([*rows, np.zeros(0, np.int64)]),
            np.concatenate(prompt_rows),
        ]
        on_device = to_device(np.concatenate(indices).astype(np.int64), device).split([len(index) for index in indices])
        token_ids_M, positions_M, slots_M, rows_R, prompt_rows_P = on_device
        prompt_PH = torch.cat([layout.prompt_PH for layout in layouts])
        spans = self._spans(chunks, layouts)
        return self.decoder(PackedStep(token_ids_M, prompt_rows_P, prompt_PH, positions_M, slots_M, rows_R, *spans), self.memory)

    def _spans(self, chunks: Sequence[Chunk], layouts: Sequence[_ChunkLayout]) -> tuple[Spans, Spans]:
        """All new positions as queries, and the summary tokens alone."""
        queries = [chunk.n_positions for chunk in chunks]
        starts = [chunk.document.region for chunk in chunks]
        keys = [int(layout.positions[-1]) + 1 for layout in layouts]
        ending = [index for index, chunk in enumerate(chunks) if chunk.ends]
        rows = [len(self._summary_SH)] * len(ending), [starts[index] for index in ending], [keys[index] for index in ending]
        return Spans(queries, starts, keys, self.decoder.device), Spans(*rows, self.decoder.device)

    def _layout(self, chunk: Chunk) -> _ChunkLayout:
        document, work = chunk.document, self._works[chunk.document]
        prompt, first, last = document.prompt(document.segment), chunk.first, chunk.first + chunk.n_positions
        segment = work.segments_T[document.segment]
        token_ids = np.zeros(chunk.n_positions, np.int64)
        tokens = segment[max(first - prompt, 0) : max(last - prompt, 0)]
        start = max(prompt - first, 0)
        token_ids[start : start + len(tokens)] = tokens
        if chunk.ends:
            token_ids[-len(self._summary_SH) :] = self._vocabulary + np.arange(len(self._summary_SH))
        vectors = work.newest_SH if document.segment else work.carried_PH
        prompt_PH = self._summary_SH[:0] if vectors is None else vectors[first : min(last, prompt)]
        return _ChunkLayout(token_ids, document.kept(document.segment) + np.arange(first, last), prompt_PH)

    def _hand_out(self, chunks: Sequence[Chunk], vectors_RH: torch.Tensor) -> None:
        on_host_RH = vectors_RH.to("cpu", non_blocking=True)  # to pinned memory, while the next step runs
        ready = None
        if vectors_RH.is_cuda:
            ready = torch.cuda.Event()
            ready.record()
        pieces = zip(vectors_RH.split(len(self._summary_SH)), on_host_RH.split(len(self._summary_SH)), strict=True)
        for chunk, (vectors_SH, host_SH) in zip([chunk for chunk in chunks if chunk.ends], pieces, strict=False):
            work = self._works[chunk.document]
            work.newest_SH = vectors_SH
            work.on_host_SH.append(host_SH)
            work.ready = ready


@dataclass(frozen=True, slots=True)
class _ChunkLayout:
    token_ids: np.ndarray
    positions: np.ndarray
    """Position of every new position in its document's pass, the kept ones counted."""
    prompt_PH: torch.Tensor
    """Vectors that are input of this chunk."""


def default_step_tokens(device: torch.device) -> int:
    """Positions of a step that keep the device busy."""
    if device.type != "cuda":
        return CPU_STEP_TOKENS
    return POSITIONS_PER_MULTIPROCESSOR * torch.cuda.get_device_properties(device).multi_processor_count


def _refuse_without_float8(device: torch.device) -> None:
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < (8, 9):
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        raise ConfigurationError(
            f"encoder.quantization is fp8, and {name} has no float8 products (compute capability 8.9 or later); set it to none"
        )
