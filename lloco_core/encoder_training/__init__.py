"""Training of context encoders: objectives, batches, and the DeepSpeed loop. Imports nothing by itself."""
