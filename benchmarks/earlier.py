"""What an earlier result file measured on the same text, where the weights are not at hand any more: a result takes it over and says so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lloco_core.errors import DatasetError

if TYPE_CHECKING:
    from lloco_core.evaluation.continuation import Window

ENCODERS = ("untrained", "icae")
NAMES = ("base", *ENCODERS)
"""What can be taken over: the language model's perplexities, and the tables of other encoders."""
ABOUT = ("command", "commit", "hardware", "versions", "scale", "dtype", "model")
"""What a result file says about its run."""
BASE = ("base_none", "base_text")
Table = dict[str, Any]


def read_earlier(given: Mapping[str, Path]) -> dict[str, Table]:
    """Result files by the name of what is taken from them."""
    return {name: json.loads(path.read_text()) for name, path in given.items()}


def check_windows(windows: Sequence[Window], kind: str, earlier: Table) -> None:
    """Refuse, before anything is measured, what `with_base` may not compare.

    Raises:
        DatasetError: the earlier file has other windows of this kind of text.
    """
    before = earlier["perplexity"]["by_kind"].get(kind, {})
    tokens = sum(len(window.following_F) - 1 for window in windows)  # the first of them is given
    documents = len({window.document_id for window in windows})
    if (before.get("tokens"), before.get("documents")) != (tokens, documents):
        raise DatasetError(
            f"the earlier result has {before.get('tokens')} tokens of {before.get('documents')} documents of {kind}, this one "
            f"{tokens} of {documents}; measure at the same scale, or pass --base"
        )


def with_base(perplexity: Table, kind: str, earlier: Table) -> Table:
    """The perplexities of one kind of text, with those of the language model on the same windows, and the ratios of both.

    Intervals of ratios need the losses of both on every window. `damage` has none; that of `kept_gain` is the interval of the share of the
    encoder's own gain, as if that gain and the language model's rose and fell together.
    """
    before = earlier["perplexity"]["by_kind"][kind]
    taken = {name: before[name] for name in BASE}
    found = perplexity | taken | {"intervals": perplexity["intervals"] | {name: before["intervals"][name] for name in BASE}}
    found["damage"] = round(found["none"] / found["base_none"], 4)
    of_base = (found["none"] - found["text"]) / (found["base_none"] - found["base_text"])
    found["kept_gain"] = round(found["kept_own_gain"] * of_base, 4)
    found["intervals"]["kept_gain"] = [round(bound * of_base, 4) for bound in found["intervals"]["kept_own_gain"]]
    return found


def table_of(name: str, earlier: Table) -> Table:
    """The table of an encoder, from a file that has it beside another's or is about it alone, and where it was measured."""
    table = earlier.get(name) or {key: value for key, value in earlier.items() if key not in (*ABOUT, *ENCODERS, "seconds")}
    return table | {"measured": {key: earlier[key] for key in ABOUT}}
