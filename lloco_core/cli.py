"""`lloco`: look at a store, ask it, take it back to an earlier night, forget documents. Needs neither Prefect nor a cluster."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lloco_core.command_line import one_line_errors, prepare_streams
from lloco_core.errors import ConfigurationError
from lloco_core.observe.printable import printable

if TYPE_CHECKING:
    from lloco_core.store.forgetting.forgotten import Forgotten

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_show_locals=False)
prepare_streams()
console = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 200)

StoreOption = Annotated[str, typer.Option("--store", help="Folder or s3://bucket/prefix of the store.")]
NightOption = Annotated[str | None, typer.Option("--night", help="A published night; the newest by default.")]


@app.command()
def ask(
    question: str,
    store: StoreOption,
    group: Annotated[str | None, typer.Option(help="Search in this group only; its name, or that of its folder.")] = None,
    document: Annotated[str | None, typer.Option(help="Answer from the document with this id.")] = None,
    night: NightOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Answer a question from summary vectors, with sources."""
    from dataclasses import asdict

    from lloco_core.answer.question import check_question

    check_question(question)  # before the import, which takes seconds
    from lloco_core.answer.ask import Asker

    answer = Asker(store, night).ask(question, group, document)
    if as_json:
        typer.echo(json.dumps(asdict(answer), indent=2))
        return
    for line in (answer.text or "(the model gave no answer)").split("\n"):
        _print(line, style="bold")
    _print(f"group {answer.group}, adapter {answer.adapter_id or 'none'}, {answer.n_vectors} vectors")
    for source in answer.sources:
        page = f", page {source.page}" if source.page else ""
        _print(f"source: {source.uri}{page}, characters {source.char_start}..{source.char_end}")
        _print("  " + " ".join(source.quote.split())[:300])


@app.command()
def status(store: StoreOption) -> None:
    """Show nights, documents, groups, adapters, and quarantine of a store."""
    from lloco_core.store.status import store_status

    report = store_status(store)
    _print(f"store {report.root}")
    _print(f"summary vectors: {report.vectors}")
    _print_rows("nights", report.nights)
    _print_rows("groups of the newest night", report.groups)
    _print_rows("adapters", report.adapters)
    _print_rows("quarantine", report.quarantine)
    for line in report.warnings:
        _print(f"! {line}")


@app.command()
def inspect(
    document: Annotated[str, typer.Argument(help="Document id, URI, title, or the end of a URI.")],
    store: StoreOption,
    night: NightOption = None,
) -> None:
    """Show one document: identity, segments, passages."""
    from lloco_core.store.read import open_night
    from lloco_core.store.status import document_details

    details = document_details(open_night(store, night), document)
    _print_rows("document", [{"field": name, "value": value} for name, value in details.fields.items()])
    _print_rows("segments", details.segments)
    _print_rows("passages", details.passages)


@app.command()
def costs(
    store: StoreOption,
    since: Annotated[str | None, typer.Option(help="Count this night and later ones; by default all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the costs as JSON.")] = False,
) -> None:
    """Show device seconds and money per group: encoding shared out by encoded tokens, training by adapter."""
    from lloco_core.observe.terminal import cost_rows
    from lloco_core.store.costs import store_costs

    found = store_costs(store, since)
    if as_json:
        typer.echo(json.dumps({"store": store, "since": since, **found.as_json()}, indent=2))
        return
    _print_rows("costs" + (f" since {since}" if since else ""), cost_rows(found))
    if unpriced := found.total.as_json()["unpriced_seconds"]:
        console.print(f"{unpriced:,.1f} s are of runs without cluster.gpu_hour_price and not in the money", markup=False)


@app.command()
def doctor(
    store: Annotated[str | None, typer.Option("--store", help="Also check that this store can be written safely.")] = None,
    model: Annotated[str, typer.Option(help="Encoder checkpoint to check.")] = "reference",
) -> None:
    """Check versions, model files, Ray, and a store; exits 1 when something would fail a night."""
    from lloco_core.doctor import run_checks

    checks = run_checks(store, model)
    for check in checks:
        _print(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}", style=None if check.ok else "bold red")
    raise typer.Exit(0 if all(check.ok for check in checks) else 1)


@app.command()
def export(
    folder: Path,
    model: Annotated[str, typer.Option(help="Checkpoint to export.")] = "reference",
    layout: Annotated[str, typer.Option(help="base (for servers), safetensors, bin, int8, or delta.")] = "base",
    base: Annotated[str, typer.Option(help="Of layout delta: the base model that the encoder was trained from.")] = "smollm2",
    rank: Annotated[int, typer.Option(min=1, help="Of layout delta: the rank that changes of matrices are cut to.")] = 96,
    start: Annotated[str | None, typer.Option(help="Checkpoint that --model was trained from, for --share.")] = None,
    share: Annotated[float, typer.Option(help="How much of what training changed since --start to keep.")] = 1.0,
) -> None:
    """Write a checkpoint as servers of language models load it: the base model that the adapters belong to."""
    from lloco_core.compressor import load_encoder
    from lloco_core.compressor.export import export_checkpoint, export_delta
    from lloco_core.compressor.interpolation import interpolate

    if share != 1 and start is None:
        raise ConfigurationError(f"--share {share:g} needs --start: the checkpoint that {model} was trained from")
    encoder = load_encoder(model)
    encoder = interpolate(load_encoder(start), encoder, share) if start else encoder
    if layout == "delta":
        _print(f"rank {rank} keeps {export_delta(encoder, folder, base, rank).kept:.1%} of what training changed")
    else:
        export_checkpoint(encoder, folder, layout)
    _print(f"wrote {folder}")


def _print(line: str, style: str | None = None) -> None:
    console.print(printable(line), style=style, markup=False, emoji=False)


@app.command()
def rollback(night: Annotated[str, typer.Argument(help="A published night; `lloco status` lists them.")], store: StoreOption) -> None:
    """Make the newest state of a store equal to an earlier night."""
    from lloco_core.store.rollback import rollback as run
    from lloco_core.store.tables import Store

    _print(f"the newest night is now {run(Store(store), night)}")


@app.command()
def forget(
    store: StoreOption,
    documents: Annotated[list[str] | None, typer.Argument(help="Document ids, URIs, titles, or ends of URIs.")] = None,
    after_days: Annotated[float, typer.Option(min=0, help="How long old nights that hold the documents are kept.")] = 7.0,
    now: Annotated[bool, typer.Option("--now", help="The same as --after-days 0.")] = False,
    due: Annotated[bool, typer.Option("--due", help="Only finish what was begun: remove old versions that are due.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the reports as JSON.")] = False,
) -> None:
    """Remove documents from tables, indices, and objects, and later from old versions; report what held them."""
    from lloco_core.store.forgetting.forget import preview
    from lloco_core.store.forgetting.forgotten import describe_forgotten
    from lloco_core.store.forgetting.purge import forget_and_finish
    from lloco_core.store.tables import Store

    if bool(documents) == due:
        raise ConfigurationError("lloco forget takes documents, or --due without documents")
    opened = Store(store)
    found = [preview(opened, document, 0.0 if now else after_days) for document in documents or ()]
    if found and not yes:
        typer.echo("\n".join(describe_forgotten(item) for item in found), err=True)
        typer.confirm("Forget them?", abort=True, err=True)
    _print_forgotten(forget_and_finish(opened, found), as_json)


def _print_forgotten(items: list[Forgotten], as_json: bool) -> None:
    from dataclasses import asdict

    from lloco_core.store.forgetting.forgotten import describe_forgotten

    if as_json:
        typer.echo(json.dumps([asdict(item) for item in items], indent=2))
    elif not items:
        _print("nothing is due")
    for line in () if as_json else (line for item in items for line in describe_forgotten(item).splitlines()):
        _print(line)


def _print_rows(title: str, rows: list[dict[str, Any]]) -> None:
    if not rows:
        _print(f"{title}: none")
        return
    table = Table(title=title, title_justify="left", show_edge=False)
    for number, name in enumerate(rows[0]):
        table.add_column(name, overflow="fold", no_wrap=number == 0)  # ids are for copying
    for row in rows:
        table.add_row(*(Text(printable(str(value))) for value in row.values()))
    console.print(table)


def main() -> None:
    """Entry point: what the user can do something about is one line, not a traceback."""
    with one_line_errors():
        app()
