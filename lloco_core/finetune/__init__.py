"""Adapters from summary vectors: training rows, batches, LoRA, and the DeepSpeed loop. Imports nothing by itself."""
