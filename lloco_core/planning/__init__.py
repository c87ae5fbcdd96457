"""What a night has to do: the listing (`listing`) against the store (`diff`), cut into shards (`shards`), as a `plan`."""

from __future__ import annotations

from lloco_core.planning.plan import Plan, plan_again, plan_corpus, preview_corpus

__all__ = ["Plan", "plan_again", "plan_corpus", "preview_corpus"]
