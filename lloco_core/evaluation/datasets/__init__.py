"""Data sets of questions about documents, one module each, as `example.Example` rows."""
