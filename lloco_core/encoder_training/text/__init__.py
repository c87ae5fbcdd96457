"""Text for training: from files to batches.

`open_token_cache` tokenises once, `TextSource` names the rows of every step, `TextLoader` has the batches ready.
"""
