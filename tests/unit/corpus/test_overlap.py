"""A store inside its corpus, and a corpus among the files of its store, are refused however they are spelled; neighbours are not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lloco_core.config import CorpusConfig
from lloco_core.corpus.overlap import refuse_overlap
from lloco_core.corpus.sources import list_corpus
from lloco_core.errors import ConfigurationError
from lloco_core.planning.listing import listing_batches
from lloco_core.store.forgetting.forget import preview
from lloco_core.store.forgetting.purge import forget_and_finish
from lloco_core.store.tables import Store
from tests.conftest import BUCKET
from tests.crash.loop import ingest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with two folders of documents and links to them."""
    for folder in ("docs/legal", "docs-old", "elsewhere", "store"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "docs" / "legal" / "a.txt").write_text("a text")
    (tmp_path / "link-to-docs").symlink_to("docs")
    (tmp_path / "link-into-docs").symlink_to("docs/legal")
    (tmp_path / "docs" / "link-out").symlink_to("../elsewhere")
    (tmp_path / "a b").symlink_to("docs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("corpus", "store"),
    [
        ("docs", "docs"),
        ("docs", "docs/store"),
        ("docs/", "docs/store/"),
        ("docs", "./docs/../docs//legal/deep/store"),
        ("./docs/.", "{here}/docs/store"),
        ("{here}/docs", "docs/store"),
        ("~/docs", "docs/store"),
        ("file://{here}/docs", "{here}/docs/store"),
        ("{here}/docs", "FILE://{here}/a%20b/store"),
        ("docs", "link-to-docs/store"),
        ("link-to-docs", "docs/store"),
        ("docs", "link-into-docs/store"),
        ("docs", "docs/legal"),
        ("docs", "docs/.lloco/store"),
        (".", ".lloco/store"),
        ("/", "store"),
        ("s3://bucket/docs", "s3://bucket/docs"),
        ("s3://bucket/docs/", "s3://bucket/docs/store"),
        ("s3://bucket/docs", "S3://bucket/docs//store/"),
        ("s3://bucket", "s3://bucket/store"),
        ("S3://bucket/", "s3://bucket/a/b/store"),
    ],
)
def test_a_store_inside_its_corpus(here: Path, corpus: str, store: str) -> None:
    corpus, store = corpus.format(here=here), store.format(here=here)
    with pytest.raises(ConfigurationError, match=r"lies inside corpus\.uri") as caught:
        refuse_overlap(CorpusConfig(uri=corpus), store)
    assert store in str(caught.value)
    assert corpus in str(caught.value)


@pytest.mark.parametrize(
    ("corpus", "store"),
    [
        ("docs", "store"),
        ("docs", "docs-old"),
        ("docs", "docs-store/x"),
        ("docs/legal", "docs/store"),
        ("docs", "docs/link-out/store"),  # links to folders are not listed
        ("missing", "missing-store"),
        ("docs", "s3://bucket/docs/store"),
        ("s3://bucket/docs", "docs/store"),
        ("s3://bucket/docs", "s3://bucket/docs-store"),
        ("s3://bucket/docs/", "s3://bucket/docs-store/"),
        ("s3://bucket/docs", "s3://bucket"),
        ("s3://bucket/docs", "s3://bucket-2/docs/store"),
        ("s3://bucket/docs", "s3://bucket/Docs/store"),
        ("docs/listed.jsonl", "docs/store"),  # the manifest's folder is not the corpus
        ("store/documents", "store"),
        (".lloco/corpus", ".lloco/store"),
    ],
)
def test_neighbours_are_taken(here: Path, corpus: str, store: str) -> None:
    refuse_overlap(CorpusConfig(uri=corpus), store)


@pytest.mark.parametrize(
    "part", ["_plans/p1", "_runs", "_forgotten", "_training/x/y", "documents.lance", "segments.lance/data", "adapters"]
)
@pytest.mark.parametrize("store", ["store", "s3://bucket/lloco", "s3://bucket"])
def test_a_corpus_among_the_files_of_its_store(here: Path, store: str, part: str) -> None:
    for corpus in (f"{store}/{part}", f"{store}/{part}/listed.jsonl"):
        with pytest.raises(ConfigurationError, match="among the files that the store writes and sweeps"):
            refuse_overlap(CorpusConfig(uri=corpus), store)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_folder_that_is_mounted_elsewhere(here: Path) -> None:
    """In a mount namespace of its own: the same folder under another path."""
    code = (
        "from lloco_core.config import CorpusConfig; from lloco_core.corpus.overlap import refuse_overlap\n"
        "refuse_overlap(CorpusConfig(uri='elsewhere/mounted'), 'docs/store')"
    )
    (here / "elsewhere" / "mounted").mkdir()
    command = f'mount --bind docs elsewhere/mounted && exec {sys.executable} -c "{code}"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", command], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr.strip()}")
    assert "ConfigurationError: store.uri docs/store lies inside" in done.stderr


@pytest.mark.parametrize("entry", ["_forgotten/x.txt", "documents.lance/data/1.lance", "x.txt", "_runs/r/shards/1.jsonl"])
@pytest.mark.parametrize("through", ["store", "link-to-store"])
def test_a_manifest_that_names_a_file_of_the_store(here: Path, entry: str, through: str) -> None:
    (here / "link-to-store").symlink_to("store")
    write_manifest(here / "listed.jsonl", "docs/legal/a.txt", f"{through}/{entry}")
    with pytest.raises(ConfigurationError, match=f"names file://.*{through}/{entry}, which lies among the files of store.uri"):
        listing_batches(CorpusConfig(uri=str(here / "listed.jsonl")), str(here / "store")).read_all()


def test_a_manifest_that_names_neighbours_of_the_store(here: Path) -> None:
    names = ["docs/legal/a.txt", "store-2/x.txt", "store/documents/b.txt"]
    write_manifest(here / "listed.jsonl", *names)
    listed = listing_batches(CorpusConfig(uri=str(here / "listed.jsonl")), str(here / "store")).read_all()
    assert listed["relative_path"].to_pylist() == sorted(names)


@pytest.mark.parametrize("s3", ["moto"], indirect=True)
def test_a_manifest_and_an_inventory_on_s3(s3, tmp_path: Path) -> None:
    for key in ("docs/a.txt", "lloco/_forgotten/b.txt"):
        s3.put_object(Bucket=BUCKET, Key=f"overlap/{key}", Body=b"text")
    rows = [{"uri": f"s3://{BUCKET}/overlap/{key}"} for key in ("docs/a.txt", "lloco/_forgotten/b.txt")]
    s3.put_object(Bucket=BUCKET, Key="overlap/listed.jsonl", Body="\n".join(map(json.dumps, rows)).encode())
    with pytest.raises(ConfigurationError, match=r"overlap/lloco/_forgotten/b\.txt, which lies among"):
        listing_batches(CorpusConfig(uri=f"s3://{BUCKET}/overlap/listed.jsonl"), f"s3://{BUCKET}/overlap/lloco").read_all()
    inventory = tmp_path / "inventory.csv"
    inventory.write_text("key,size,etag\noverlap/docs/a.txt,4,e1\noverlap/lloco/_forgotten/b.txt,4,e2\n")
    corpus = CorpusConfig(uri=f"s3://{BUCKET}/overlap", inventory=str(inventory))
    with pytest.raises(ConfigurationError, match=r"lies inside corpus\.uri"):
        refuse_overlap(corpus, f"s3://{BUCKET}/overlap/lloco")


def test_a_night_is_refused_before_anything_is_written(here: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"lies inside corpus\.uri"):
        ingest(here / "docs", str(here / "docs" / "store"), "n1")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PREFECT_HOME": str(here / "prefect")}
    code = (
        "import sys; from lloco_core.config import NightlyConfig\n"
        "from flows.nightly import nightly; from flows.ingest_corpus import ingest_corpus; from flows.plan_corpus import plan_corpus\n"
        "for flow in (nightly, ingest_corpus, plan_corpus):\n"
        "    try: flow.fn(NightlyConfig(corpus={'uri': 'docs'}, store={'uri': 'docs/new'}))\n"
        "    except Exception as error: print(flow.name, type(error).__name__, 'ray' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=here)
    refused = [f"{name} ConfigurationError False" for name in ("nightly", "ingest-corpus", "plan-corpus")]
    assert done.stdout.splitlines() == refused, done.stderr
    assert not (here / "docs" / "new").exists()


def test_the_report_of_a_forgotten_document_is_never_a_document(here: Path) -> None:
    """Neither in its own store nor where the store lies, or was copied to, inside the corpus of another one."""
    store = Store(str(here / "store"))
    for number in range(3):
        (here / "docs" / "legal" / f"{number}.txt").write_text(f"text number {number}")
    ingest(here / "docs", store.root, "n1")
    forget_and_finish(store, [preview(store, "1", 7.0)])
    reports = [item.key for item in store.objects.list("_forgotten/")]
    assert sorted(Path(key).suffix for key in reports) == [".json", ".txt"]
    kept = {source.relative_path for source in list_corpus(CorpusConfig(uri=str(here)))}
    assert not kept & {f"store/{key}" for key in reports}
    (here / "docs" / "_forgotten").mkdir()
    (here / "docs" / "_forgotten" / "letters.txt").write_text("a document of a folder that is called so")
    assert "docs/_forgotten/letters.txt" in {source.relative_path for source in list_corpus(CorpusConfig(uri=str(here)))}


def write_manifest(path: Path, *names: str) -> None:
    path.write_text("".join(json.dumps({"uri": name}) + "\n" for name in names))
