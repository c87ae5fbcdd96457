"""Finding documents for a question: passages and their embeddings, hybrid search, and the group to answer from."""
