"""What is trained, by kind: module and objective of a run, and the encoder that comes out of them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch

from lloco_core.compressor.checkpoint import load_base, locate_checkpoint, read_tensors
from lloco_core.compressor.export import export_checkpoint
from lloco_core.compressor.icae_checkpoint import check_tensors, is_icae, read_icae_config, weights_file
from lloco_core.compressor.loading import load_encoder, tokenizer_folder
from lloco_core.compressor.tokenizing import load_tokenizer
from lloco_core.compressor.weight_files import weight_files
from lloco_core.config import REFERENCE_MODEL
from lloco_core.encoder_training.attention import use_causal_attention
from lloco_core.encoder_training.autocompressor import AutoCompressorObjective
from lloco_core.encoder_training.compiling import compile_layers
from lloco_core.encoder_training.icae import IcaeObjective, IcaeObjectiveConfig
from lloco_core.encoder_training.icae_module import IcaeModule, published_tensors, save_icae
from lloco_core.encoder_training.module import merged_encoder, training_module
from lloco_core.errors import CheckpointError
from lloco_core.training.engine import gathered, is_first_rank

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from lloco_core.compressor.encoder import ContextEncoder
    from lloco_core.encoder_training.objective import Objective
    from lloco_core.encoder_training.run import EncoderRunConfig

BASE_FOLDER = "base"
"""Below an exported ICAE: its base model, where that has no hub name."""
MAX_SHARD_SIZE = "2GB"
"""Of exported weights: files are put to S3 in one request."""


class Trainee(Protocol):
    """One encoder in training on one rank."""

    module: nn.Module
    objective: Objective
    segment_length: int
    """Tokens per segment that the encoder is used with."""
    first_model: PreTrainedModel | None
    """What training started from, frozen, where that is wanted and another model than the one in training."""

    @contextmanager
    def encoder(self) -> Iterator[ContextEncoder | None]:
        """The encoder as it is now, on the device of the module; every rank must call it, the first one may get the only encoder."""
        ...

    def export(self, folder: Path) -> None:
        """Write the encoder as `load_encoder` reads it; every rank must call it, rank 0 writes."""
        ...


def build_trainee(config: EncoderRunConfig, dtype: torch.dtype, device: torch.device) -> Trainee:
    """Module and objective of a run, weights loaded.

    Raises:
        CheckpointError: the checkpoint to start from is missing, damaged, or does not fit the configuration.
    """
    return {"autocompressor": AutoCompressorTrainee, "icae": IcaeTrainee}[config.kind](config, dtype, device)


class AutoCompressorTrainee:
    """See `Trainee`."""

    def __init__(self, config: EncoderRunConfig, dtype: torch.dtype, device: torch.device) -> None:
        self._config = config
        self._device, self.segment_length = str(device), config.segment_length
        recipe = config.autocompressor
        self.module = training_module(config.start, recipe, config.lora, dtype, self._device, config.training.seed)
        is_compared = is_first_rank() and config.validation is not None and config.validation.base
        needs_first = recipe.needs_first_model or is_compared
        self.first_model = _first_model(config, dtype, device) if needs_first else None
        self.objective = AutoCompressorObjective(recipe, self.first_model)

    @contextmanager
    def encoder(self) -> Iterator[ContextEncoder | None]:
        """A copy with the adapters merged."""
        yield merged_encoder(self.module, self._config.start, self.segment_length, self._device)

    def export(self, folder: Path) -> None:
        """Adapters merged, in the published layout."""
        encoder = merged_encoder(self.module, self._config.start, self.segment_length)
        if is_first_rank():
            export_checkpoint(encoder, folder, max_shard_size=MAX_SHARD_SIZE)


def _first_model(config: EncoderRunConfig, dtype: torch.dtype, device: torch.device) -> PreTrainedModel:
    """What training starts from, frozen, and as fast as the model in training."""
    model = load_base(locate_checkpoint(config.start), dtype, str(device))
    use_causal_attention(model)
    if config.training.compiles_on(device.type):
        compile_layers(model)
    return model


class IcaeTrainee:
    """See `Trainee`."""

    def __init__(self, config: EncoderRunConfig, dtype: torch.dtype, device: torch.device) -> None:
        self._config, self._dtype, self._device = config, dtype, str(device)
        self.first_model, self.segment_length = None, config.icae.segment_length
        self._base_folder = tokenizer_folder(config.start)
        recipe = config.icae
        base = load_base(self._base_folder, dtype, str(device))
        self.module = IcaeModule(
            base, recipe.memory_tokens, recipe.r, recipe.alpha, recipe.dropout, recipe.segment_checkpointing, config.training.seed
        )
        if is_icae(folder := locate_checkpoint(config.start)):
            load_trained(self.module, folder)
        self.objective = IcaeObjective(
            IcaeObjectiveConfig(
                end_token=load_tokenizer(self._base_folder).eos_token_id,
                segment_length=recipe.segment_length,
                context_share=recipe.context_share,
                ae_weight=recipe.ae_weight,
                lm_weight=recipe.lm_weight,
                ft_weight=recipe.ft_weight,
                logits_chunk=recipe.logits_chunk,
            )
        )

    @contextmanager
    def encoder(self) -> Iterator[ContextEncoder | None]:
        """Written and loaded: under ZeRO-3 the base model in training is not whole."""
        with tempfile.TemporaryDirectory(prefix="lloco-icae-") as folder:
            self._save(Path(folder), str(self._base_folder.absolute()))
            name = str(self._dtype).removeprefix("torch.")
            yield load_encoder(folder, device=self._device, dtype=name) if is_first_rank() else None

    def export(self, folder: Path) -> None:
        """The published layout, and the base model beside it unless it has a hub name. LoRA has the numbers it was trained in."""
        name = hub_name_of_base(self._config.start)
        if is_first_rank() and not name:
            copy_base(self._base_folder, folder / BASE_FOLDER)
        self._save(folder, name or BASE_FOLDER)

    def _save(self, folder: Path, base_model: str) -> None:
        with gathered([parameter for parameter in self.module.parameters() if parameter.requires_grad]):
            if is_first_rank():
                save_icae(self.module, folder, base_model, self.segment_length, self._dtype)


def load_trained(module: IcaeModule, folder: Path) -> None:
    """Go on with the weights of an ICAE.

    Raises:
        CheckpointError: it has other memory tokens, another rank, or another alpha.
    """
    config, path = read_icae_config(folder), weights_file(folder)
    if config.lora_alpha != module.alpha:
        raise CheckpointError(f"{folder} has lora_alpha {config.lora_alpha:g}, not icae.alpha {module.alpha}; set it to that")
    tensors = read_tensors(path)
    check_tensors(str(path), tensors, module.base, module.memory_tokens)
    for key, weight in published_tensors(module).items():
        if weight.shape != tensors[key].shape:
            raise CheckpointError(f"{path}: {key} has shape {tuple(tensors[key].shape)}, icae.r makes it {tuple(weight.shape)}; set icae.r")
        weight.data.copy_(tensors[key])


def hub_name_of_base(start: str) -> str | None:
    """The hub name of the base model of a run; None where it is a folder."""
    folder = locate_checkpoint(start)
    name = read_icae_config(folder).base_model if is_icae(folder) else start
    is_folder = name == REFERENCE_MODEL or (folder / name).is_dir() or Path(name).expanduser().is_dir()
    return None if is_folder else name


def copy_base(source: Path, folder: Path) -> None:
    """Copy a base model: weights, config.json, tokenizer."""
    folder.mkdir(parents=True)
    small = [path for pattern in ("config.json", "generation_config.json", "tokenizer*", "*.index.json") for path in source.glob(pattern)]
    for path in {*small, *weight_files(source)}:
        shutil.copyfile(path, folder / path.name)
