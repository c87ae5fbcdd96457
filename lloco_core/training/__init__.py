"""DeepSpeed as every training loop of this package drives it. Imports nothing by itself."""
