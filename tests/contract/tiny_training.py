"""A language model of two layers with a real tokenizer, some text, and runs of encoder training that take seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lloco_core.encoder_training.run import EncoderRunConfig
from tests.tiny_models import copy_tokenizer, random_lm
from tests.unit.text.texts import story

SEGMENT = 24


def write_base(folder: Path) -> Path:
    """A random LLaMA with the reference tokenizer."""
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 8192}
    model = random_lm("llama", 0, **shape, max_position_embeddings=1024, initializer_range=0.1, tie_word_embeddings=True)
    model.save_pretrained(folder)
    copy_tokenizer(folder)
    return folder


def write_text(path: Path, documents: int = 12, sentences: int = 40) -> Path:
    lines = [json.dumps({"id": f"story {number}", "text": story(str(number), sentences)}) for number in range(documents)]
    path.write_text("\n".join(lines) + "\n")
    return path


def run_config(folder: Path, output: str, **changes: Any) -> EncoderRunConfig:
    """A run on the base and text that lie in a folder."""
    values: dict[str, Any] = {
        "start": str(folder / "base"),
        "output": output,
        "autocompressor": {"summary_length": 3, "substep_tokens": 24},
        "lora": {"r": 4, "dropout": 0.1},
        "icae": {"memory_tokens": 4, "segment_length": 12, "r": 4, "alpha": 8},
        "segment_length": SEGMENT,
        "training": {"learning_rate": 3e-3, "warmup_steps": 0, "steps": 6, "batches_per_step": 2, "checkpoint_steps": 2},
        "text": {
            "files": [str(folder / "text.jsonl")],
            "cache": str(folder / "cache"),
            "rows": [{"kind": "packed", "row_tokens": 48, "with_answers": 0.5}],
            "batch_tokens": 96,
            "curriculum": {"tokens_per_answer": 24, "segment_tokens": [12]},
            "validation": 0.3,
        },
        "validation": {"windows": 6, "following": 16, "every_steps": 4},
        "device": "cpu",
        "cluster": {"object_store_mb": 100},
    }
    for name, value in changes.items():
        values[name] = values[name] | value if isinstance(value, dict) and isinstance(values.get(name), dict) else value
    return EncoderRunConfig.model_validate(values)
