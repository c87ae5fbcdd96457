"""The objective of an AutoCompressor (Chevalier et al. 2023, arXiv 2305.14788, sections 3.1 to 3.3).

A row is read substep by substep, each cut into segments at random places. Segment k runs as `[vectors so far ; segment ;
summary tokens]`; its last hidden states are the new vectors. Within a substep gradients flow through the vectors, between
substeps these are detached, and each substep is a loss of its own: one forward pass of the module, one backward pass.

Every position of a row predicts the next token, the last of a segment the first of the next one. The first token of a row
is nobody's target, and its last position predicts nothing. The loss of the text is the mean over all targets of the batch,
a substep's share is that of its targets; so are answers. Kinds of loss are weighted against each other per batch.

Beside the tokens of the text, predictions of a frozen model can be the targets: those it makes of plain rows (`kl_weight`), and those
it makes of a row where it reads the text itself in place of the vectors (`context_kl_weight`). The latter is context distillation (Askell
et al. 2021, arXiv 2112.00861, section 2), KL(p(X | text) || p(X | vectors)).
Shape suffixes: B rows, T tokens, P vectors, S summary length, H hidden size, N positions, M answers,
A supervised tokens.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.utils.checkpoint import checkpoint

from lloco_core.encoder_training.answers import Question, answer_inputs, answer_mask, answer_rows, count_targets, questions_of
from lloco_core.encoder_training.cross_entropy import summed_cross_entropy, summed_cross_entropy_and_divergence
from lloco_core.encoder_training.objective import Curve, Loss
from lloco_core.encoder_training.segments import cut_row
from lloco_core.errors import ConfigurationError
from lloco_core.training.engine import is_partitioned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn
    from transformers import PreTrainedModel

    from lloco_core.encoder_training.batch import Batch
    from lloco_core.encoder_training.module import AutoCompressorModule
    from lloco_core.encoder_training.recipe import AutoCompressorConfig


class Term(NamedTuple):
    """One kind of loss in one graph."""

    name: str
    share: float
    """Of its mean in the batch's loss."""
    n_tokens: int


class AutoCompressorObjective:
    """Losses of batches on an `AutoCompressorModule`, bare or inside a DeepSpeed engine.

    Args:
        first_model: the frozen language model that `kl_weight` and `context_kl_weight` hold the predictions to; on the device of the
            batches.
    """

    def __init__(self, config: AutoCompressorConfig, first_model: PreTrainedModel | None = None) -> None:
        if config.needs_first_model and first_model is None:
            raise ConfigurationError(
                f"kl_weight {config.kl_weight} and context_kl_weight {config.context_kl_weight} need the model that training starts from; "
                "pass first_model"
            )
        self.config = config
        self.first_model = first_model

    def losses(self, model: nn.Module, batch: Batch) -> Iterator[Loss]:
        """One loss per substep, then one for the plain rows if there are any."""
        config = self.config
        cuts = cut_row(batch.text_BT.shape[1], config)
        questions = questions_of(batch, cuts)
        n_text = batch.text_BT.numel() - len(batch.text_BT)
        n_answers = sum(map(count_targets, questions))
        plain_BT = _plain_pieces(batch.text_BT, config.plain_share, config.plain_tokens)
        first_BTH = self._read_as_text(batch.text_BT) if config.context_kl_weight else None
        plain_weight = (config.plain_weight + config.kl_weight) * bool(len(plain_BT))
        whole = config.lm_weight + config.context_kl_weight + config.answer_weight * bool(n_answers) + plain_weight

        # ZeRO-3 gathers weights on all workers or on none; looked up here, as in a forward pass touching a weight gathers it
        always_answer = any(is_partitioned(parameter) for parameter in model.parameters())
        vectors_BPH = None
        for cut, asked in zip(cuts, questions, strict=True):
            n_targets = len(batch.text_BT) * (min(cut[-1], batch.text_BT.shape[1] - 1) - cut[0])
            terms = [Term("lm", config.lm_weight / whole * n_targets / n_text, n_targets)]
            if config.context_kl_weight:
                terms.append(Term("context_kl", config.context_kl_weight / whole * n_targets / n_text, n_targets))
            if asked:
                terms.append(Term("answer", config.answer_weight / whole * count_targets(asked) / n_answers, count_targets(asked)))
            *means, vectors_BPH = model(self._substep, batch.text_BT, first_BTH, vectors_BPH, cut, asked, bool(asked) or always_answer)
            yield _joined("lm", terms, means)
        if len(plain_BT):
            n_targets = plain_BT.numel() - len(plain_BT)
            terms = [Term("plain", config.plain_weight / whole, n_targets)]
            if config.kl_weight:
                terms.append(Term("kl", config.kl_weight / whole, n_targets))
            yield _joined("plain", terms, model(self._plain, plain_BT, self._first_of_plain(plain_BT, first_BTH)))

    def _substep(
        self,
        module: AutoCompressorModule,
        text_BT: torch.Tensor,
        first_BTH: torch.Tensor | None,
        vectors_BPH: torch.Tensor | None,
        cut: list[int],
        questions: list[Question],
        with_answers: bool,
    ) -> tuple[torch.Tensor, ...]:
        """Mean loss of the text, its mean divergence from what the first model makes of it, mean loss of the answers, where these are
        wanted, and the vectors for the next substep, detached."""
        hidden_BTH, seen_BPH = self._read(module, text_BT, vectors_BPH, cut)
        target_BT = text_BT[:, cut[0] + 1 : cut[-1] + 1]
        n_targets = target_BT.shape[1]
        first_BTH = None if first_BTH is None else first_BTH[:, cut[0] : cut[0] + n_targets]
        ratio = self.config.context_kl_weight / self.config.lm_weight
        means = self._text_means(module, hidden_BTH[:, :n_targets], target_BT, first_BTH, ratio)
        if with_answers:
            device = text_BT.device
            # without questions it must not shift the dropout of what follows
            with torch.random.fork_rng([device] if device.type == "cuda" else [], enabled=not questions):
                means.append(self._answer(module, seen_BPH, questions))
        return *means, seen_BPH[-1].detach()

    def _read(
        self, module: AutoCompressorModule, text_BT: torch.Tensor, vectors_BPH: torch.Tensor | None, cut: list[int]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Hidden states [B, T, H] of a substep's tokens, and the vectors [B, P, H] that are seen after each segment."""
        hidden, seen = [], []
        for start, end in pairwise(cut):
            if self.config.segment_checkpointing and end != cut[-1]:
                text_BTH, new_BSH = checkpoint(module.read_segment, vectors_BPH, text_BT[:, start:end], use_reentrant=False)
            else:
                text_BTH, new_BSH = module.read_segment(vectors_BPH, text_BT[:, start:end])
            keep = self.config.accumulate and vectors_BPH is not None
            vectors_BPH = torch.cat([vectors_BPH, new_BSH], dim=1) if keep else new_BSH
            hidden.append(text_BTH)
            seen.append(vectors_BPH)
        return torch.cat(hidden, dim=1), seen

    def _answer(self, module: AutoCompressorModule, seen_BPH: list[torch.Tensor], questions: list[Question]) -> torch.Tensor:
        rows = answer_rows(questions, [vectors.shape[1] for vectors in seen_BPH], self.config.accumulate, seen_BPH[0].device)
        x_MNH = answer_inputs(module.model.embed_tokens(rows.token_ids_MN), seen_BPH, rows.groups)
        mask_M1NN = answer_mask(rows, x_MNH.dtype, getattr(module.config, "sliding_window", None))
        hidden_MNH = module.model(
            inputs_embeds=x_MNH, attention_mask=mask_M1NN, position_ids=rows.position_MN, use_cache=False
        ).last_hidden_state
        hidden_AH, n_targets = hidden_MNH.flatten(0, 1)[rows.predicts_A], max(1, len(rows.target_A))
        # in one piece: the number of calls of the output layer must not depend on what this worker is asked
        return summed_cross_entropy(module.lm_head, hidden_AH, rows.target_A, n_targets) / n_targets

    def _plain(self, module: AutoCompressorModule, text_BT: torch.Tensor, first_BTH: torch.Tensor | None) -> list[torch.Tensor]:
        """Mean loss of rows read without compression, and their mean divergence from the first model where that is given."""
        hidden_BTH = module.model(inputs_embeds=module.model.embed_tokens(text_BT), use_cache=False).last_hidden_state
        first_BTH = None if first_BTH is None else first_BTH[:, :-1]
        ratio = self.config.kl_weight / self.config.plain_weight
        return self._text_means(module, hidden_BTH[:, :-1], text_BT[:, 1:], first_BTH, ratio)

    def _first_of_plain(self, plain_BT: torch.Tensor, first_BTH: torch.Tensor | None) -> torch.Tensor | None:
        """What the first model makes of the plain rows, if that is wanted; where it has read these very rows already, that."""
        if not self.config.kl_weight:
            return None
        positions = self.first_model.config.max_position_embeddings
        if first_BTH is not None and plain_BT.shape[1] == first_BTH.shape[1] <= positions:
            return first_BTH[len(first_BTH) - len(plain_BT) :]
        return self._first_hidden(plain_BT)

    def _text_means(
        self, module: AutoCompressorModule, hidden_BTH: torch.Tensor, target_BT: torch.Tensor, first_BTH: torch.Tensor | None, ratio: float
    ) -> list[torch.Tensor]:
        """Mean cross entropy, and mean divergence from the predictions of the first model where its hidden states are given. The gradient
        of both, the divergence weighted by `ratio`, flows through the first."""
        hidden_NH, target_N, chunk = hidden_BTH.flatten(0, 1), target_BT.flatten(), self.config.logits_chunk
        if first_BTH is None:
            return [summed_cross_entropy(module.lm_head, hidden_NH, target_N, chunk) / len(target_N)]
        first_head = self.first_model.get_output_embeddings()
        sums = summed_cross_entropy_and_divergence(
            module.lm_head, hidden_NH, target_N, first_head, first_BTH.flatten(0, 1).contiguous(), ratio, chunk
        )
        return [total / len(target_N) for total in sums]

    def _read_as_text(self, text_BT: torch.Tensor) -> torch.Tensor:
        """Hidden states [B, T, H] of the first model, which reads rows beyond its positions in windows that overlap by half."""
        n_rows, n_tokens = text_BT.shape
        window = min(n_tokens, self.first_model.config.max_position_embeddings)
        starts = [*range(0, n_tokens - window, max(1, window // 2)), n_tokens - window]
        hidden_WBNH = self._first_hidden(torch.cat([text_BT[:, start : start + window] for start in starts])).unflatten(0, (-1, n_rows))
        ends = [0, *(start + window for start in starts)]
        return torch.cat([part_BNH[:, end - start :] for part_BNH, start, end in zip(hidden_WBNH, starts, ends, strict=False)], dim=1)

    @torch.no_grad()
    def _first_hidden(self, text_BT: torch.Tensor) -> torch.Tensor:
        return self.first_model.get_decoder()(input_ids=text_BT, use_cache=False).last_hidden_state


def _plain_pieces(text_BT: torch.Tensor, share: float, piece: int) -> torch.Tensor:
    """The last rows in pieces [B', T'] of at most `piece` tokens; no rows at all for a share of 0."""
    n_rows, n_tokens = text_BT.shape
    piece = min(piece, n_tokens)
    return text_BT[n_rows - math.ceil(share * n_rows) :, : n_tokens // piece * piece].reshape(-1, piece)


def _joined(name: str, terms: list[Term], means: list[torch.Tensor]) -> Loss:
    """Means of one graph as one loss."""
    weight = sum(term.share for term in terms)
    mean = sum(term.share / weight * mean for term, mean in zip(terms, means, strict=False))
    mean = mean + 0 * sum(means[len(terms) :])  # a loss that nobody asked for still runs backward, as on the other workers
    curves = tuple(Curve(term.name, mean.detach(), term.n_tokens) for term, mean in zip(terms, means, strict=False))
    return Loss(mean, weight, name, sum(term.n_tokens for term in terms), curves)
