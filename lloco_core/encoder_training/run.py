"""What a run of encoder training is asked to do, and its name.

Imports neither torch nor transformers at module level: flows load it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from lloco_core.config import REFERENCE_MODEL, ClusterConfig, Concern, Uri
from lloco_core.encoder_training.recipe import AutoCompressorConfig, EncoderTrainingConfig, IcaeRecipe, LoraRecipe
from lloco_core.encoder_training.text.config import TextConfig
from lloco_core.objects import canonical_root

TEXT_INPUTS = {"rows", "batch_tokens", "curriculum", "validation", "seed", "questions"}
"""Settings of the text that decide about the batches; what decides about the tokens is in the name of their cache."""


class ValidationConfig(Concern):
    """Perplexity of held-out text behind 0 to 3 compressed segments, measured while training goes on."""

    windows: int = Field(128, ge=2)
    """Places in documents of the validation share; fewer where these do not hold as many."""
    following: int = Field(512, ge=2)
    """Tokens behind the segments."""
    every_steps: int = Field(1000, ge=1)
    """Optimizer steps between measurements; another one follows the last step."""
    base: bool = True
    """Measure what training starts from beside it; of an ICAE that is its decoder, so there is nothing more to measure."""


class EncoderRunConfig(Concern):
    """A run of encoder training: from a checkpoint and text to an encoder."""

    start: str = Field(min_length=1)
    """What training starts from: `reference`, a folder, or a hub name. A language model, an AutoCompressor, or, for `kind: icae`, an
    ICAE."""
    output: Uri
    """A folder or s3:// prefix that receives the encoder; the checkpoints of the run lie below it. Must not hold another encoder."""
    kind: Literal["autocompressor", "icae"] = "autocompressor"
    """What is trained."""
    autocompressor: AutoCompressorConfig = AutoCompressorConfig()
    """Of kind `autocompressor`."""
    lora: LoraRecipe | None = LoraRecipe()
    """Of kind `autocompressor`: train adapters and the summary embedding; null trains every parameter."""
    icae: IcaeRecipe = IcaeRecipe()
    """Of kind `icae`."""
    segment_length: int = Field(1536, ge=1)
    """Of kind `autocompressor`: tokens per segment that the encoder is used with by default."""
    training: EncoderTrainingConfig
    text: TextConfig
    validation: ValidationConfig | None = ValidationConfig()
    """Changes nothing of what is trained; null leaves it out. Its documents are the share `text.validation`."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes GPUs where the cluster has them."""
    cluster: ClusterConfig = ClusterConfig()
    """Of it, `train_workers` and the settings of a local cluster matter here."""

    @model_validator(mode="after")
    def _muon_moves_whole_matrices(self) -> EncoderRunConfig:
        if self.training.muon_learning_rate is not None and (self.kind == "icae" or self.lora is not None):
            raise ValueError(
                "training.muon_learning_rate is for whole matrices, but adapters are trained; leave it out, or set lora to null (not icae)"
            )
        return self

    def public(self) -> dict[str, Any]:
        """The configuration as plain data for records. It holds no secrets by construction."""
        return self.model_dump(mode="json")


def with_absolute_paths(config: EncoderRunConfig) -> EncoderRunConfig:
    """The same run with its folders as workers find them, which do not share the driver's working directory."""
    start = Path(config.start).expanduser()
    is_folder = config.start != REFERENCE_MODEL and start.is_dir()
    text = config.text
    paths = {
        "files": tuple(canonical_root(uri) for uri in text.files),
        "drop": canonical_root(text.drop) if text.drop else None,
        "cache": str(Path(text.cache).expanduser().absolute()),
    }
    if text.questions:
        files = tuple(canonical_root(uri) for uri in text.questions.files)
        paths["questions"] = text.questions.model_copy(update={"files": files})
    return config.model_copy(update={"start": str(start.absolute()) if is_folder else config.start, "text": text.model_copy(update=paths)})


def run_name(config: EncoderRunConfig) -> str:
    """`<kind>--<sha12>` over everything that decides about the trained weights: equal inputs resume, others do not.

    Raises:
        CheckpointError: there is no checkpoint to start from.
        StorageError: the text cannot be found.
    """
    from lloco_core.compressor.checkpoint import checkpoint_digest, locate_checkpoint
    from lloco_core.compressor.icae_checkpoint import icae_digest, is_icae
    from lloco_core.compressor.loading import tokenizer_folder
    from lloco_core.compressor.tokenizing import load_tokenizer
    from lloco_core.encoder_training.text.files import find_files
    from lloco_core.encoder_training.text.stream import read_ids
    from lloco_core.encoder_training.text.tokenising import fingerprint
    from lloco_core.encoder_training.text.tokens import TextTokenizer
    from lloco_core.fingerprint import digest

    folder, text = locate_checkpoint(config.start), config.text
    tokenizer = TextTokenizer.of(load_tokenizer(tokenizer_folder(config.start)))
    own = {"autocompressor": {"autocompressor", "lora", "segment_length"}, "icae": {"icae"}}[config.kind]
    inputs = {
        "start": icae_digest(folder) if is_icae(folder) else checkpoint_digest(folder),
        "tokens": fingerprint(find_files(text.files), read_ids(text.drop), text, tokenizer),
        "text": text.model_dump(mode="json", include=TEXT_INPUTS),
        "questions": [(file.uri, file.etag, file.size) for file in find_files(text.questions.files)] if text.questions else [],
        "training": config.training.model_dump(mode="json", exclude={"checkpoint_steps"}),
        "kind": config.model_dump(mode="json", include={"kind", *own}),
        "workers": config.cluster.train_workers,
    }
    return f"{config.kind}--{digest(inputs, 12)}"
