"""From a question to an answer with sources: search, choose the group, load vectors and adapter, answer, cite."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lloco_core.answer.local import LocalAnswerer
from lloco_core.answer.question import check_length, check_question
from lloco_core.compressor import ContextEncoder, load_encoder
from lloco_core.corpus.groups import group_name
from lloco_core.errors import StorageError
from lloco_core.registry.download import download_adapter
from lloco_core.retrieval.embedder import Embedder
from lloco_core.retrieval.search import Hit, search_passages
from lloco_core.settings import cache_folder
from lloco_core.store.read import Night, open_night
from lloco_core.store.runs import load_config

if TYPE_CHECKING:
    from pathlib import Path

    from lloco_core.config import EncoderConfig, NightlyConfig


@dataclass(frozen=True, slots=True)
class Source:
    """Where an answer comes from: the passage that led to the document whose vectors were read."""

    doc_id: str
    uri: str
    title: str
    page: int | None
    char_start: int
    char_end: int
    quote: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with what it was made from."""

    question: str
    text: str
    group: str
    adapter_id: str | None
    n_vectors: int
    sources: list[Source]


class Asker:
    """Answers questions from one store; loads its models once, with the first question."""

    def __init__(self, store_uri: str, night: str | None = None) -> None:
        self.night: Night = open_night(store_uri, night)
        self.config: NightlyConfig = load_config(self.night.store.objects, self.night.name)

    @cached_property
    def encoder(self) -> ContextEncoder:
        """Of the night's configuration."""
        return load_encoder(self.config.encoder.model, *_device_and_dtype(self.config.encoder))

    @cached_property
    def embedder(self) -> Embedder:
        """Of the night's configuration."""
        return Embedder(self.config.retrieval.model)

    @cached_property
    def answerer(self) -> LocalAnswerer:
        """The encoder's model with adapters."""
        return LocalAnswerer(self.encoder, self.config.answer)

    def ask(self, question: str, group: str | None = None, doc_id: str | None = None) -> Answer:
        """Answer a question from the best documents, or from a given one.

        Args:
            question: in words.
            group: search in this one only; its name, or that of the folder or field it comes from.
            doc_id: answer from this document.

        Raises:
            QuestionError: the question is empty, too long, or not Unicode.
            StorageError: nothing in the store (or in the group) matches, or there is no such group or document.
        """
        check_question(question)
        check_length(question, self.config.retrieval.question_chars)
        hits = self._hits(question, group, doc_id)
        if not hits:
            raise StorageError(f"no passage of {self.night.store.root} matches; groups are {', '.join(self.night.groups()) or 'none'}")
        chosen = _best_documents(hits, self.config.answer.documents)
        vectors = np.concatenate([self.night.summaries(doc) for doc in chosen])
        adapter_id, folder = self.adapter(hits[0].group_id)
        text = self.answerer.answer(question, vectors, folder)
        sources = [self._source(next(hit for hit in hits if hit.doc_id == doc)) for doc in chosen]
        return Answer(question, text, hits[0].group_id, adapter_id, len(vectors), sources)

    def without_context(self, question: str) -> str:
        """What the base model says without any vectors: the control."""
        return self.answerer.answer(question, None)

    def adapter(self, group: str) -> tuple[str | None, Path | None]:
        """Id and local folder of the night's adapter of a group."""
        adapter_id = self.night.adapter(group)
        if adapter_id is None:
            return None, None
        return adapter_id, download_adapter(self.night.store, adapter_id, cache_folder() / "adapters")

    def _hits(self, question: str, group: str | None, doc_id: str | None) -> list[Hit]:
        if doc_id is not None and self.night.document(doc_id) is None:
            raise StorageError(f"night {self.night.name} of {self.night.store.root} has no document {doc_id!r}; `lloco inspect` finds ids")
        group = None if group is None else self._group(group)
        vector = self.embedder.embed([question])[0]
        hits = search_passages(self.night, question, vector, self.config.retrieval.top_k, group, doc_id)
        first = hits[0].group_id if hits else None
        return [hit for hit in hits if hit.group_id == first]  # one adapter, one group

    def _group(self, name: str) -> str:
        """The group of this name, or the one that a folder or field of this name became."""
        groups = self.night.groups()
        raw = name.strip().rstrip("/")
        for found in (name, raw, group_name(raw)):
            if found in groups:
                return found
        raise StorageError(f"{self.night.store.root} has no group {name!r}; groups are {', '.join(groups) or 'none'}")

    def _source(self, hit: Hit) -> Source:
        document = self.night.document(hit.doc_id)
        pages = [number for number, start in enumerate(document.page_starts, 1) if start <= hit.char_start]
        page = pages[-1] if pages else None
        return Source(hit.doc_id, document.uri, document.title, page, hit.char_start, hit.char_end, hit.text)


def _device_and_dtype(encoder: EncoderConfig) -> tuple[str, str]:
    """As the vectors were made, where this machine can; float32 on its CPU else."""
    import torch

    return ("cuda", encoder.dtype) if encoder.device == "cuda" and torch.cuda.is_available() else ("cpu", "float32")


def _best_documents(hits: list[Hit], limit: int) -> list[str]:
    """Documents in the order of their best passage: many middling passages do not outweigh a good one."""
    return list(dict.fromkeys(hit.doc_id for hit in hits))[:limit]
