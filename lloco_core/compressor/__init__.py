"""Text to summary vectors: the context encoder. No storage and no network besides fetching a checkpoint by name.

Start reading at `autocompressor` (what is computed) and `engine` (how a batch is computed fast).
"""

from lloco_core.compressor.autocompressor import AutoCompressor, load_encoder
from lloco_core.compressor.checkpoint import checkpoint_fingerprint, locate_checkpoint

__all__ = ["AutoCompressor", "checkpoint_fingerprint", "load_encoder", "locate_checkpoint"]
