"""Character encodings: what a label names, what bytes without one are, and whether a reading of them is plausible.

`decoding.py` decides between them; nothing else calls these modules but the check of `corpus.encoding` and the HTML reader.
"""
