"""A GGUF file of a LLaMA-family model as a checkpoint folder: converted once, kept in the cache, the same for all processes.

The weights are expanded to bfloat16. transformers reads the format with the package `gguf`, tokenizer and chat template included. The
folder is named by the file's SHA-256 and appears whole or not at all; `converted.json` holds the digests of what lies in it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lloco_core.errors import CheckpointError
from lloco_core.fingerprint import file_digest
from lloco_core.locks import only_one
from lloco_core.settings import cache_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SUFFIX = ".gguf"
RECORD = "converted.json"
CONVERSION = 2
"""Raise it when the same file would be converted to other weights."""


@cache
def converted_gguf(path: Path) -> Path:
    """The checkpoint folder of a GGUF file, made where there is none or where it is damaged.

    Raises:
        CheckpointError: the file cannot be read as a model, or the cache cannot be written.
    """
    try:
        folder = cache_folder() / "bases" / f"{path.stem}--{file_digest(path)[:16]}-{CONVERSION}"
        with only_one(folder):
            if not _is_whole(folder):
                _convert(path, folder)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be converted: {error}; check the file, and space and permissions of the cache") from error
    return folder


def _is_whole(folder: Path) -> bool:
    try:
        digests = json.loads((folder / RECORD).read_text())
        return all(file_digest(folder / name) == digest for name, digest in digests.items())
    except (OSError, ValueError, AttributeError):
        return False


def _convert(path: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as scratch:
        made = Path(scratch, "made")
        made.mkdir()
        try:
            _write(_read(path), path, made)
        except ImportError as error:
            raise CheckpointError(f"{path}: reading GGUF takes the package gguf ({error}); run: pip install gguf") from error
        except Exception as error:  # transformers raises anything on a damaged file or an architecture that it does not know
            raise CheckpointError(f"{path} cannot be read as a GGUF model ({type(error).__name__}: {error}); download it again") from error
        digests = {file.name: file_digest(file) for file in sorted(made.iterdir())}
        (made / RECORD).write_text(json.dumps(digests, indent=1) + "\n")
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)


def _read(path: Path) -> PreTrainedModel:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.bfloat16, trust_remote_code=False)


def _write(model: PreTrainedModel, path: Path, folder: Path) -> None:
    from safetensors.torch import save_file
    from transformers import AutoTokenizer

    weights = {key: tensor.contiguous() for key, tensor in sorted(model.state_dict().items())}
    if packed := [key for key, tensor in weights.items() if not tensor.is_floating_point()]:
        raise ValueError(f"this version of transformers leaves {len(packed)} tensors packed, first {packed[0]}")
    if model.config.tie_word_embeddings:
        weights.pop("lm_head.weight", None)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)  # a server may run as another user
    config = model.config.to_diff_dict()
    for key in ("quantization_config", "_name_or_path", "_model_name_or_path", "transformers_version"):
        config.pop(key, None)
    config |= {key: getattr(model.config, key) for key in ("bos_token_id", "eos_token_id")}
    config |= {"architectures": [type(model).__name__], "dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(config, indent=2, default=str) + "\n")
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, trust_remote_code=False)
    for role in ("bos", "eos", "pad", "unk"):  # versions of transformers differ in which tokens they take for these
        index = getattr(model.config, f"{role}_token_id", None)
        if index is not None:
            setattr(tokenizer, f"{role}_token", tokenizer.convert_ids_to_tokens(index))
    tokenizer.save_pretrained(folder)
