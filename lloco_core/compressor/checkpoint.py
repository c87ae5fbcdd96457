"""Reading AutoCompressor checkpoints without executing anything from them.

Layouts, recognised from the files and keys:
- stock causal LM keys plus a top-level `embed_summary.weight`, as published: safetensors or `.bin`, sharded or not;
- the same with matrices as int8 with one scale per row (`<key>` int8 and `<key>_scale`), as the reference model ships.
`weight_files` says which files are taken; `.bin` files are read with `weights_only=True`. Writing is in `export`, the ICAE layout in
`icae_checkpoint`.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lloco_core.compressor import gguf
from lloco_core.compressor.bases import KNOWN_BASES, packaged_base
from lloco_core.compressor.delta import WEIGHTS as DELTA_WEIGHTS
from lloco_core.compressor.delta import add_delta, is_delta, read_record
from lloco_core.compressor.weight_files import NOT_FROM_HUB, wanted_from_hub, weight_files
from lloco_core.config import REFERENCE_MODEL
from lloco_core.errors import CheckpointError
from lloco_core.fingerprint import digest, file_digest

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

SUMMARY_KEY = "embed_summary.weight"
MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3")
ENCODING_VERSION = 1
"""Part of every fingerprint: raise it when a change of this package changes the vectors."""

_HUB_PATTERNS = ["config.json", "tokenizer*", "special_tokens_map.json", "generation_config.json", "*.index.json"]


def locate_checkpoint(name: str) -> Path:
    """Return the folder of a checkpoint: the packaged one, a known base, a local folder or GGUF file, or a snapshot from the hub.

    Raises:
        CheckpointError: no such folder, and the hub has or gives no such model.
    """
    if name == REFERENCE_MODEL:
        return Path(__file__).parent.parent / "models" / REFERENCE_MODEL
    if name in KNOWN_BASES:
        return packaged_base(name) or _known_base_of_hub(name)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.suffix == gguf.SUFFIX and folder.is_file():
        return gguf.converted_gguf(folder.resolve())
    if folder.is_absolute() or name.startswith(".") or name.count("/") != 1:
        raise CheckpointError(f"encoder.model {name!r} is neither a folder nor a hub name of the form owner/model")
    return _hub_snapshot(name)


def _known_base_of_hub(name: str) -> Path:
    base = KNOWN_BASES[name]
    try:
        return _hub_snapshot(base.hub_name)
    except CheckpointError as error:
        raise CheckpointError(f"encoder.model {name!r} is not installed, and {error}; run: {base.install}") from error


def _hub_snapshot(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, allow_patterns=_HUB_PATTERNS))  # without a connection, all that earlier calls fetched
        for patterns in wanted_from_hub(folder):
            if _has_weights(folder):
                break
            snapshot_download(name, allow_patterns=patterns, ignore_patterns=NOT_FROM_HUB)
        return folder
    except HFValidationError as error:
        raise CheckpointError(f"encoder.model {name!r} is neither a folder nor a hub name of the form owner/model: {error}") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise CheckpointError(f"encoder.model {name!r}: not in the local cache, and the hub answered: {error}") from error


def _has_weights(folder: Path) -> bool:
    try:
        return bool(weight_files(folder))
    except CheckpointError:
        return False


def read_config(folder: Path) -> PretrainedConfig:
    """Read and check config.json."""
    from transformers import AutoConfig

    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{folder} is no checkpoint: config.json is missing")
    try:
        model_type = json.loads(path.read_text()).get("model_type")
    except (ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} is not a JSON object: {error}") from error
    if model_type not in MODEL_TYPES:
        raise CheckpointError(f"{path}: model_type {model_type!r} is not supported; supported are {', '.join(MODEL_TYPES)}")
    return AutoConfig.from_pretrained(folder, trust_remote_code=False)


def summary_length_of(config: PretrainedConfig, folder: Path) -> int:
    """Summary vectors per segment, as config.json says.

    Raises:
        CheckpointError: it says nothing.
    """
    length = getattr(config, "summary_length", None)
    if not isinstance(length, int) or length < 1:
        raise CheckpointError(f"{folder}: config.json has summary_length {length!r}; set it to the number of rows of {SUMMARY_KEY}")
    return length


def load_model(folder: Path, dtype: torch.dtype, device: str) -> tuple[PreTrainedModel, torch.Tensor]:
    """Load the stock causal LM and the summary embedding [S, H].

    Raises:
        CheckpointError: keys are missing or unexpected, or shapes do not fit config.json.
    """
    config = read_config(folder)
    weights = read_weights(folder, dtype, device)
    if SUMMARY_KEY not in weights:
        raise CheckpointError(
            f"{folder} is not a context encoder: {SUMMARY_KEY} is missing among {len(weights)} tensors. "
            "A plain language model has to be trained as an AutoCompressor first"
        )
    summary = weights.pop(SUMMARY_KEY)
    model = build_causal_lm(config, weights, dtype, str(folder))
    if tuple(summary.shape) != (expected := (summary_length_of(config, folder), config.hidden_size)):
        raise CheckpointError(
            f"{folder}: {SUMMARY_KEY} has shape {tuple(summary.shape)}, config.json says {expected} (summary_length, hidden_size)"
        )
    return model, summary


def load_base(folder: Path, dtype: torch.dtype, device: str) -> PreTrainedModel:
    """Load the stock causal LM of a folder; the summary embedding of an AutoCompressor is left out.

    Raises:
        CheckpointError: keys are missing or unexpected, or shapes do not fit config.json.
    """
    weights = read_weights(folder, dtype, device)
    weights.pop(SUMMARY_KEY, None)
    return build_causal_lm(read_config(folder), weights, dtype, str(folder))


def build_causal_lm(config: PretrainedConfig, weights: dict[str, torch.Tensor], dtype: torch.dtype, source: str) -> PreTrainedModel:
    """The stock causal LM that `config` describes, frozen, around `weights`; they are taken over without a copy.

    Args:
        source: what the weights come from, for messages.

    Raises:
        CheckpointError: keys are missing or unexpected, or shapes do not fit.
    """
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa", trust_remote_code=False)
    try:
        missing, unexpected = model.load_state_dict(weights, strict=False, assign=True)
    except RuntimeError as error:
        raise CheckpointError(f"{source}: the weights do not fit config.json: {error}") from error
    model.tie_weights()
    _refuse_wrong_keys(source, model, missing, unexpected)
    decoder = model.get_decoder()
    decoder.rotary_emb = type(decoder.rotary_emb)(config=config).to(model.device)  # buffers are in no checkpoint
    return model.eval().requires_grad_(False)


def _refuse_wrong_keys(source: str, model: PreTrainedModel, missing: list[str], unexpected: list[str]) -> None:
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    missing = sorted(set(missing) - tied)
    if missing or unexpected:
        raise CheckpointError(
            f"{source}: missing keys {missing[:5]} ({len(missing)}), unexpected keys {unexpected[:5]} ({len(unexpected)})"
        )


def read_weights(folder: Path, dtype: torch.dtype, device: str) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint, int8 expanded, a delta added to its base.

    Raises:
        CheckpointError: a file is missing or damaged, or a delta's base is another one.
    """
    if is_delta(folder):
        base = read_weights(delta_base(folder), torch.float32, device)
        delta = {key: tensor.to(device) for key, tensor in read_tensors(folder / DELTA_WEIGHTS).items()}
        return {key: tensor.to(dtype) for key, tensor in add_delta(base, delta, str(folder)).items()}
    tensors: dict[str, torch.Tensor] = {}
    for path in weight_files(folder):
        tensors.update(read_tensors(path))
    weights = {}
    for key, tensor in tensors.items():
        if key.endswith("_scale") or key.endswith("rotary_emb.inv_freq"):
            continue
        if tensor.dtype == torch.int8:
            if f"{key}_scale" not in tensors:
                raise CheckpointError(f"{folder}: {key} is int8, and {key}_scale with one scale per row is missing")
            tensor = tensor.float() * tensors[f"{key}_scale"].float()[:, None]
        weights[key] = tensor.to(device=device, dtype=dtype)
    return weights


@cache
def delta_base(folder: Path) -> Path:
    """The folder of the base that a delta belongs to.

    Raises:
        CheckpointError: it cannot be had, or its weights are others.
    """
    record = read_record(folder)
    base = locate_checkpoint(record.base)
    if (found := weights_digest(base)) != record.base_sha256:
        raise CheckpointError(
            f"{folder} changes {record.base} with weights {record.base_sha256[:12]}, and {base} holds {found[:12]}; "
            "the vectors would be wrong: install the base that the encoder was trained from"
        )
    return base


@cache
def weights_digest(folder: Path) -> str:
    """Names the weights of a checkpoint alone, whatever its config.json says. Reads them once per process."""
    return digest({path.name: file_digest(path) for path in weight_files(folder)})


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a weight file.

    Raises:
        CheckpointError: the file is damaged, asks to run code, or holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (SafetensorError, RuntimeError, pickle.UnpicklingError, OSError, EOFError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}. It is damaged, incomplete, or asks to run code") from error
    if not isinstance(tensors, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in tensors.values()):
        raise CheckpointError(f"{path} holds no flat mapping from keys to tensors; save the model's state_dict itself")
    return tensors


def checkpoint_files(folder: Path) -> list[Path]:
    """The weight files of a checkpoint; of a delta those of its base and its own."""
    return [*weight_files(delta_base(folder)), folder / DELTA_WEIGHTS] if is_delta(folder) else weight_files(folder)


def tokenizer_home(folder: Path) -> Path:
    """The folder that holds a checkpoint's tokenizer."""
    return delta_base(folder) if is_delta(folder) else folder


@cache
def checkpoint_digest(folder: Path) -> str:
    """Hash of everything in a checkpoint that the vectors depend on, a delta's base included. Reads the weights once per process."""
    return digest({path.name: file_hash for path, file_hash in _hashes(folder)})


def _hashes(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in [folder / "config.json", tokenizer_home(folder) / "tokenizer.json", *checkpoint_files(folder)]:
        if path.is_file():
            yield path, file_digest(path)


def encoder_fingerprint(checkpoint: str, dtype: str, segment_length: int, quantization: str = "none") -> str:
    """Name of an encoder: 24 digits over a checkpoint's digest, number formats, segment length, and version of the encoding."""
    identity = {
        "checkpoint": checkpoint,
        "dtype": dtype,
        "segment_length": segment_length,
        "encoding_version": ENCODING_VERSION,
    }
    if quantization != "none":
        identity["quantization"] = quantization
    return digest(identity)
