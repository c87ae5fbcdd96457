"""Answering a question from summary vectors and the group's adapter; the source text is never sent to the model."""
