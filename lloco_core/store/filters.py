"""Lists of values in the filters of Lance."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Item = TypeVar("Item")

IN_LIST_LIMIT = 500
"""Values of one `in (...)`."""


def sql_list(values: Sequence[str]) -> str:
    """Values as the inside of a SQL `in (...)`, quoted."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)


def parts(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Pieces of which each fits into one filter."""
    for start in range(0, len(items), IN_LIST_LIMIT):
        yield items[start : start + IN_LIST_LIMIT]
