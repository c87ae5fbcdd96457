"""One adapter per condition: LoRA on what a model reads before a question, asked about other documents in the same way.

| reads | what comes before the question |
|---|---|
| `vectors` | the document's vectors |
| `none` | nothing |
| `cut_text` | the first 1/`CUT` of the text: about as many tokens as it has vectors |
| `full_text` | the text, or as much of its beginning as the model has positions for |

The row of training and the question of the test get their context from one place, so that they cannot differ.
Legend: T tokens, P vectors, H hidden size.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lloco_core.answer.local import LocalAnswerer
from lloco_core.config import ANSWER_SLOT, QUESTION_SLOT
from lloco_core.encoder_training.text.tokens import TextTokenizer
from lloco_core.evaluation.asking import answer_in_batches
from lloco_core.finetune.loop import finetune
from lloco_core.finetune.lora import attach_lora, save_adapter
from lloco_core.finetune.rows import Row

if TYPE_CHECKING:
    from pathlib import Path

    from lloco_core.compressor import ContextEncoder
    from lloco_core.config import AnswerConfig, FinetuneConfig
    from lloco_core.evaluation.datasets.example import Example

Reads = Literal["vectors", "none", "cut_text", "full_text"]
Contexts = Mapping[str, np.ndarray | None]
"""By document id: vectors [P, H] float16, token ids [T], or None."""

CUT = 30
"""1,536 tokens to 50 vectors are 30.7 to 1."""
ROOM = 256
"""Positions left for question and answer behind a text."""
LONG = 1024
"""Positions from which on a context counts as a whole text."""
NO_GRADIENT = 4
"""Times as many texts fit one forward pass when nothing is kept for a backward pass."""


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions and their documents."""

    examples: Sequence[Example]
    tokens: Mapping[str, np.ndarray]
    """Token ids [T] by document id."""


class AdapterRows:
    """Questions behind their contexts, as the finetuning loop takes them; an answer is the first reference."""

    def __init__(self, questions: QuestionSet, contexts: Contexts, encoder: ContextEncoder, wording: AnswerConfig) -> None:
        tokenizer, examples = TextTokenizer.of(encoder.tokenizer), questions.examples
        self._documents = [example.document_id for example in examples]
        self._prompts = tokenizer.encode_wording(wording.question_template, QUESTION_SLOT, [example.question for example in examples])
        self._answers = tokenizer.encode_wording(wording.answer_template, ANSWER_SLOT, [example.references[0] for example in examples])
        self._end = tokenizer.end_id
        self._contexts = contexts
        self._encoder = encoder

    def __len__(self) -> int:
        return len(self._documents)

    def __getitem__(self, index: int) -> Row:
        context, prompt = self._contexts[self._documents[index]], self._prompts[index].tolist()
        vectors_PH = np.zeros((0, self._encoder.hidden_size), np.float16)
        if context is not None and context.ndim == 1:
            prompt = [*context.tolist(), *prompt]
        elif context is not None:
            vectors_PH = self._encoder.soft_prompt(context).astype(np.float16, copy=False)
        return Row(vectors_PH, prompt, [*self._answers[index].tolist(), self._end])


class Reader:
    """An encoder and the model that reads its vectors: contexts, adapters, answers."""

    def __init__(self, encoder: ContextEncoder, wording: AnswerConfig, device: str, batch: int, text_batch: int) -> None:
        """Answer `batch` questions at once, and train on `text_batch` whole texts at once."""
        self.encoder = encoder
        self._wording = wording
        self._device = device
        self._batch, self._text_batch = batch, text_batch
        self._untouched = copy.deepcopy(encoder.model)  # adapters of the answering model are loaded into the other
        self._answerer = LocalAnswerer(encoder, wording)

    @property
    def text_limit(self) -> int:
        """Tokens of a text that can be read with a question behind them."""
        return max(1, self.encoder.model.config.max_position_embeddings - ROOM)

    def contexts(self, reads: Reads, questions: QuestionSet) -> Contexts:
        """What comes before the questions, by document."""
        tokens = questions.tokens
        if reads == "none":
            return dict.fromkeys(tokens)
        if reads == "cut_text":
            return {name: ids_T[: max(1, len(ids_T) // CUT)] for name, ids_T in tokens.items()}
        if reads == "full_text":
            return {name: ids_T[: self.text_limit] for name, ids_T in tokens.items()}
        found = self.encoder.encode(list(tokens.values()))
        return {name: vectors_PH.half().numpy() for name, vectors_PH in zip(tokens, found, strict=True)}

    def train(self, questions: QuestionSet, contexts: Contexts, recipe: FinetuneConfig, folder: Path) -> dict[str, Any]:
        """Train an adapter into a folder; returns the losses."""
        rows = AdapterRows(questions, contexts, self.encoder, self._wording)
        if _are_long(contexts):
            recipe = recipe.model_copy(update={"micro_batch": self._text_batch})
        model = attach_lora(copy.deepcopy(self._untouched), recipe)
        result = finetune(model, rows, (), recipe, report=_ignore, device=self._device)
        save_adapter(model, folder, self.encoder.folder.name)
        return {name: round(value, 3) for name, value in asdict(result).items() if value is not None} | {"rows": len(rows)}

    def answers(self, questions: QuestionSet, contexts: Contexts, adapter: Path | None) -> dict[str, str]:
        """Answers by question id; with None those of the model as it is."""
        asked, chosen = questions.examples, [contexts[example.document_id] for example in questions.examples]
        batch = NO_GRADIENT * self._text_batch if _are_long(contexts) else self._batch
        found = answer_in_batches(self._answerer, [example.question for example in asked], chosen, batch, adapter)
        return {example.question_id: answer for example, answer in zip(asked, found, strict=True)}


def _are_long(contexts: Contexts) -> bool:
    return max(0 if context is None else len(context) for context in contexts.values()) > LONG


def _ignore(progress: object, folder: object) -> None:
    """Checkpoints are not kept: an adapter takes seconds."""
