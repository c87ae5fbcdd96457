"""Training of context encoders."""
