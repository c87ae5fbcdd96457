"""Writing checkpoints: the published AutoCompressor layout, the stock base model for servers, and int8 per row.

int8 per row keeps one scale per matrix row; the reference checkpoint ships in it to stay small. Rounding is stochastic (Gupta et al. 2015,
"Deep learning with limited numerical precision", section 3): training that goes on from int8 moves most weights by less than half a level,
and rounding to the nearest would put them back. Up or down by chance, as near as each level is, what was learned stays in the mean.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from lloco_core.compressor.autocompressor import AutoCompressor
from lloco_core.compressor.checkpoint import SUMMARY_KEY, locate_checkpoint, read_weights, tokenizer_home, weights_digest
from lloco_core.compressor.delta import WEIGHTS as DELTA_WEIGHTS
from lloco_core.compressor.delta import DeltaRecord, delta_of
from lloco_core.errors import CheckpointError

if TYPE_CHECKING:
    from lloco_core.compressor.encoder import ContextEncoder


SPECIAL_IDS = ("bos_token_id", "eos_token_id")


def export_checkpoint(
    encoder: ContextEncoder,
    folder: Path,
    layout: Literal["safetensors", "bin", "int8", "base"] = "safetensors",
    max_shard_size: str = "5GB",
) -> None:
    """Write an encoder with its tokenizer.

    Args:
        encoder: the loaded encoder; its number format is kept (int8 aside).
        folder: created; must be empty, checkpoints are never overwritten.
        layout: `safetensors` or `bin` as published, `int8` per row, or `base`: the stock causal LM without the summary
            embedding, which any server of language models loads.
        max_shard_size: upper bound per weight file, as in transformers.

    Raises:
        CheckpointError: the folder is not empty, or the encoder is no AutoCompressor.
    """
    _begin(encoder, folder)
    weights = stored_tensors(encoder)
    if layout == "base":
        del weights[SUMMARY_KEY]
    if layout == "int8":
        weights = _int8_per_row(weights)
    _write_config(encoder, folder, layout)
    _write_shards(weights, folder, "bin" if layout == "bin" else "safetensors", max_shard_size)
    home = tokenizer_home(encoder.folder)
    for path in [*home.glob("tokenizer*"), *home.glob("chat_template*")]:
        shutil.copyfile(path, folder / path.name)


def export_delta(encoder: ContextEncoder, folder: Path, base: str, rank: int) -> DeltaRecord:
    """Write what training changed of a base model; see `delta` for the layout.

    Args:
        encoder: the loaded encoder.
        folder: created; must be empty.
        base: the checkpoint that it was trained from, by the name that readers will find it with.
        rank: of the change of every matrix.

    Raises:
        CheckpointError: the folder is not empty, the encoder is no AutoCompressor, or the base has other shapes.
    """
    from safetensors.torch import save_file

    _begin(encoder, folder)
    home = locate_checkpoint(base)
    try:
        delta, kept = delta_of(read_weights(home, torch.float32, "cpu"), stored_tensors(encoder), rank, whole=SUMMARY_KEY)
    except RuntimeError as error:
        raise CheckpointError(f"{encoder.folder} has other shapes than {base}: {error}; name the base it was trained from") from error
    record = DeltaRecord(base, weights_digest(home), rank, kept)
    save_file(delta, folder / DELTA_WEIGHTS, metadata={"format": "pt"})
    record.write(folder)
    _write_config(encoder, folder, "delta")
    return record


def _begin(encoder: ContextEncoder, folder: Path) -> None:
    if not isinstance(encoder, AutoCompressor):
        raise CheckpointError(f"{encoder.folder} is no AutoCompressor; an ICAE folder is its own published layout, copy it as it is")
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise CheckpointError(f"{folder} is not empty; checkpoints are never overwritten, choose a new folder")


def stored_tensors(encoder: AutoCompressor) -> dict[str, torch.Tensor]:
    """Published keys to tensors on the CPU."""
    weights = {key: tensor.contiguous().cpu() for key, tensor in encoder.model.state_dict().items()}
    if encoder.model.config.tie_word_embeddings:
        weights.pop("lm_head.weight", None)
    return weights | {SUMMARY_KEY: encoder.summary_SH.contiguous().cpu()}


def _int8_per_row(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    small, generator = {}, torch.Generator().manual_seed(0)  # the same weights give the same file
    for key, tensor in weights.items():
        if tensor.ndim != 2 or key == SUMMARY_KEY:
            small[key] = tensor.to(torch.bfloat16)
            continue
        scale = (tensor.float().abs().amax(dim=1) / 127).clamp_min(1e-12)
        levels = tensor.float() / scale[:, None]
        small[key] = (levels + torch.rand(levels.shape, generator=generator)).floor().clamp(-127, 127).to(torch.int8)
        small[f"{key}_scale"] = scale
    return small


def _write_config(encoder: AutoCompressor, folder: Path, layout: str) -> None:
    config = encoder.model.config.to_diff_dict()
    config |= {key: getattr(encoder.model.config, key) for key in SPECIAL_IDS}  # also where they are defaults: servers stop at them
    config.pop("_name_or_path", None)
    if layout == "base":
        for key in ("summary_length", "accumulate_summary", "segment_length", "segment_gradient_checkpointing"):
            config.pop(key, None)
        config["architectures"] = [type(encoder.model).__name__]
    else:
        config["architectures"] = [type(encoder.model).__name__.replace("ForCausalLM", "AutoCompressorModel")]
        config |= {"summary_length": encoder.summary_length, "accumulate_summary": encoder.accumulate}
        config["segment_length"] = encoder.segment_length
    config["dtype"] = str(encoder.summary_SH.dtype).removeprefix("torch.")
    (folder / "config.json").write_text(json.dumps(config, indent=2, default=str) + "\n")


def _write_shards(weights: dict[str, torch.Tensor], folder: Path, suffix: str, max_shard_size: str) -> None:
    from huggingface_hub import split_torch_state_dict_into_shards
    from safetensors.torch import save_file

    stem = "model" if suffix == "safetensors" else "pytorch_model"
    plan = split_torch_state_dict_into_shards(weights, filename_pattern=f"{stem}{{suffix}}.{suffix}", max_shard_size=max_shard_size)
    for name, keys in plan.filename_to_tensors.items():
        shard = {key: weights[key] for key in keys}
        if suffix == "safetensors":
            save_file(shard, folder / name, metadata={"format": "pt"})
        else:
            torch.save(shard, folder / name)
    if plan.is_sharded:
        index = {"metadata": plan.metadata, "weight_map": plan.tensor_to_filename}
        (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index, indent=2) + "\n")
