"""Character encodings: what a label names, what bytes without one are, and whether a reading of them is plausible.

`decoding.py` decides between them; beside it, only `corpus.encoding` (labels) and the HTML reader use these modules.
"""
