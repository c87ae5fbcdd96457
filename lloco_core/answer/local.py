"""Greedy answers by a model in this process: `[summary vectors ; question]` -> answer (LLoCO, section 4).

Of an ICAE the model is its frozen base, and the control token FT stands between vectors and question.
"""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from lloco_core.compressor.tokenizing import wording_ids
from lloco_core.config import QUESTION_SLOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lloco_core.compressor import ContextEncoder
    from lloco_core.config import AnswerConfig

logger = logging.getLogger(__name__)


class LocalAnswerer:
    """The encoder's own model with the adapters loaded so far; adapters are switched, never merged.

    An adapter is in effect during an answer only: the encoder shares the model and must not see it.
    """

    def __init__(self, encoder: ContextEncoder, config: AnswerConfig) -> None:
        self.encoder = encoder
        self.config = config
        self._model: Any = encoder.model
        self._adapters: dict[Path, str] = {}

    def answer(self, question: str, vectors_PH: np.ndarray | None, adapter: Path | None = None) -> str:
        """Answer from vectors [P, H] (None: from the question alone) with the adapter in a folder (None: the base model)."""
        return self.answer_all([question], [vectors_PH], adapter)[0]

    @torch.inference_mode()
    def answer_all(self, questions: Sequence[str], contexts: Sequence[np.ndarray | None], adapter: Path | None = None) -> list[str]:
        """Answer several questions at once, as `answer` would one by one; shorter prompts are padded on the left.

        Args:
            questions: of this batch.
            contexts: per question vectors [P, H], token ids [T] of a text, or None.
            adapter: folder of the adapter for all of them.
        """
        prompts = [self._prompt(question, context) for question, context in zip(questions, contexts, strict=True)]
        self._warn_beyond_positions(max(map(len, prompts)))
        mask_BT = pad_sequence([torch.ones(len(prompt_TH), dtype=torch.long) for prompt_TH in prompts], True, padding_side="left")
        with self._using(adapter):
            ids_BT = self._model.generate(
                inputs_embeds=pad_sequence(prompts, True, padding_side="left"),
                attention_mask=mask_BT.to(prompts[0].device),
                max_new_tokens=self.config.max_new_tokens,
                do_sample=False,
                use_cache=True,  # models that were saved in training often say not to
                pad_token_id=self.encoder.tokenizer.eos_token_id,
                eos_token_id=self.encoder.tokenizer.eos_token_id,  # as in training; config.json may leave it out
            )
        return [text.strip() for text in self.encoder.tokenizer.batch_decode(ids_BT, skip_special_tokens=True)]

    def _prompt(self, question: str, context: np.ndarray | None) -> torch.Tensor:
        """Embeddings [T, H] of context and question."""
        prompt_ids = wording_ids(self.encoder.tokenizer, self.config.question_template, QUESTION_SLOT, question)
        if context is None:
            return self._embed(prompt_ids)
        if context.ndim == 1:
            return self._embed(np.concatenate([context, prompt_ids]))
        embedded_TH = self._embed(prompt_ids)
        return torch.cat([torch.as_tensor(self.encoder.soft_prompt(context).copy()).to(embedded_TH), embedded_TH])

    def _warn_beyond_positions(self, longest: int) -> None:
        """Rotary models go on beyond the positions they were made for, and answer worse."""
        limit, room = self.encoder.model.config.max_position_embeddings, self.config.max_new_tokens
        if longest + room > limit:
            logger.warning(
                "a prompt of %d positions and an answer of up to %d exceed the %d that the model was made for; ask about shorter or fewer "
                "documents (answer.documents)",
                *(longest, room, limit),
            )

    def _embed(self, ids_T: np.ndarray) -> torch.Tensor:
        return self.encoder.model.get_input_embeddings()(torch.as_tensor(ids_T, dtype=torch.long, device=self.encoder.summary_SH.device))

    @contextmanager
    def _using(self, adapter: Path | None) -> Iterator[None]:
        if adapter is None:
            yield
            return
        name = self._load(adapter.resolve())
        self._model.set_adapter(name)
        self._model.base_model.enable_adapter_layers()
        try:
            yield
        finally:
            self._model.base_model.disable_adapter_layers()

    def _load(self, adapter: Path) -> str:
        from peft import PeftModel

        if adapter in self._adapters:
            return self._adapters[adapter]
        name = f"adapter{len(self._adapters)}"  # not the folder's: peft takes no dots, and two folders may share a name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft reads an attribute that transformers 6 renames
            if self._adapters:
                self._model.load_adapter(adapter, adapter_name=name)
            else:
                self._model = PeftModel.from_pretrained(self._model, adapter, adapter_name=name).eval()
        self._model.base_model.disable_adapter_layers()
        self._adapters[adapter] = name
        return name
