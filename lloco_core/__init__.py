"""LLoCO pipeline core: long documents to summary vectors, adapters, and answers.

A plain library. It never imports prefect; ray is imported in `lloco_core.distributed` only.
"""

__version__ = "0.1.0"
