"""Text to summary vectors: the context encoder. No storage and no network besides fetching a checkpoint by name.

Start reading at `encoder` (what is computed) and `engine` (how a batch is computed fast).
"""

from lloco_core.compressor.autocompressor import AutoCompressor
from lloco_core.compressor.checkpoint import locate_checkpoint
from lloco_core.compressor.encoder import ContextEncoder
from lloco_core.compressor.icae import Icae
from lloco_core.compressor.loading import load_encoder

__all__ = ["AutoCompressor", "ContextEncoder", "Icae", "load_encoder", "locate_checkpoint"]
