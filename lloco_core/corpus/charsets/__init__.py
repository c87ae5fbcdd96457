"""Character encodings: what a label names, what bytes without one are, and whether a reading of them is plausible.

`decoding.py` decides between them. Beside it, only `corpus.encoding` (labels) and the readers of pages (what they declare) use these
modules.
"""
