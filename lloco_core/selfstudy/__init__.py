"""Training questions: read from a file, made from the documents themselves, or written by a teacher model."""
