"""The run report on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lloco_core.observe.cost import MICROSECONDS, money_text
from lloco_core.observe.printable import printable

if TYPE_CHECKING:
    from lloco_core.observe.cost import Cost, GroupCosts
    from lloco_core.observe.report import RunReport


def print_report(report: RunReport) -> None:
    """Print what a night did, how long it took, and what it can answer now."""
    console = Console(highlight=False)
    console.print()
    print_pairs("This night", report.facts(), console)
    seconds = [(name, f"{value:.1f}") for name, value in report.stages.seconds.items()]
    print_pairs("Seconds per stage", [*seconds, ("total", f"{report.seconds:.1f}")], console)
    print_pairs("Adapters", [(outcome.adapter_id, outcome.verdict) for outcome in report.adapters], console)
    if report.examples:
        console.print("Questions", style="bold")
    for example in report.examples:
        _print_example(console, example)
    console.print(printable(f'Ask your own: lloco ask "..." --store {report.config.store.uri}'), markup=False)


def cost_rows(costs: GroupCosts) -> list[dict[str, str]]:
    """Costs as the rows of a table, the total last."""
    return [_cost_row(group, costs.groups[group]) for group in sorted(costs.groups)] + [_cost_row("total", costs.total)]


def _cost_row(group: str, cost: Cost) -> dict[str, str]:
    return {
        "group": group,
        "encoded tokens": f"{cost.encoded_tokens:,}",
        "encoder seconds": f"{cost.encoder_microseconds / MICROSECONDS:,.1f}",
        "training seconds": f"{cost.training_microseconds / MICROSECONDS:,.1f}",
        "money": money_text(cost.money),
        "money per million tokens": money_text(cost.per_million_tokens()),
    }


def print_pairs(title: str, pairs: list[tuple[str, str]], console: Console | None = None) -> None:
    """Print a title and two columns; nothing where there are no pairs."""
    if not pairs:
        return
    console = console or Console(highlight=False)
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, show_edge=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name, Text(printable(value)))
    console.print(table)
    console.print()


def _print_example(console: Console, example: dict[str, Any]) -> None:
    if example.get("failure"):
        console.print(printable(f"  {example['question']}  failed: {example['failure']}"), markup=False, soft_wrap=True)
        return
    found = "these words stand in the source" if example["is_in_source"] else "not literally in the source"
    lines = [
        f"  {example['question']}",
        f"    from vectors: {example['answer']}  ({found})",
        f"    without vectors: {example['without_vectors']}",
    ]
    if example["expected"]:
        lines.append(f"    expected: {example['expected']}")
    lines.append(f"    source: {example['source_uri']}")
    for line in lines:
        console.print(printable(" ".join(line.split("\n"))), markup=False, soft_wrap=True)
