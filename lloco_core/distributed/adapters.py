"""From a group of documents to a candidate adapter: questions, training on the cluster, candidate in the store."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lloco_core.distributed.training import FinetuneJob, train_adapter
from lloco_core.finetune.rows import read_examples, write_examples
from lloco_core.registry.candidates import Candidate, save_candidate
from lloco_core.selfstudy.questions import collect_questions

if TYPE_CHECKING:
    from lloco_core.adapters import GroupWork
    from lloco_core.config import NightlyConfig
    from lloco_core.store.read import Night

logger = logging.getLogger(__name__)


def examples_uri(night: Night, work: GroupWork) -> str:
    """Where the training questions of an adapter lie."""
    return f"{night.store.root}/_training/{work.adapter_id}.parquet"


def prepare_examples(night: Night, work: GroupWork, config: NightlyConfig) -> tuple[int, dict[str, int]]:
    """Collect the training questions of a group and keep them beside its training run.

    Returns:
        How many there are, and how many were left out, by reason.
    """
    questions = collect_questions(night, work.documents, config)
    write_examples(examples_uri(night, work), questions.examples)
    return len(questions.examples), questions.left_out


def train_group(night: Night, work: GroupWork, config: NightlyConfig) -> Candidate:
    """Train a group's adapter on the prepared questions and put it into the store as a candidate."""
    with tempfile.TemporaryDirectory(prefix="lloco-adapter-") as folder:
        output = Path(folder, work.adapter_id)
        job = FinetuneJob(
            group=work.group,
            run_name=work.adapter_id,
            examples_uri=examples_uri(night, work),
            store_uri=night.store.root,
            night=night.name,
            encoder=config.encoder,
            recipe=config.finetune,
            answer=config.answer,
            output=str(output),
        )
        result = train_adapter(job, config.cluster)
        candidate = Candidate(
            adapter_id=work.adapter_id,
            group=work.group,
            night=night.name,
            encoder_fingerprint=work.documents[0].encoder_fingerprint,
            base_model=config.encoder.model,
            recipe=config.finetune.model_dump(mode="json"),
            metrics={
                "steps": result.steps,
                "loss_first": result.first_loss,
                "loss_last": result.last_loss,
                "holdout_loss_before": result.holdout_before,
                "holdout_loss_after": result.holdout_after,
                "tokens": result.tokens,
                "seconds": result.seconds,
            },
            documents={document.doc_id: document.version_id for document in work.documents},
            n_examples=len(read_examples(examples_uri(night, work))),
        )
        save_candidate(night.store.objects, candidate, output)
    return candidate
