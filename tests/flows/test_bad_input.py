"""Bad input costs one document, never a night, and every refusal is one clear message."""

from __future__ import annotations

from pathlib import Path

import pytest

from lloco_core.config import NightlyConfig
from lloco_core.errors import ConfigurationError, QuarantineExceeded, StorageError
from lloco_core.store.read import open_night
from lloco_core.store.tables import Store
from tests.conftest import BUCKET, S3_SECRET
from tests.flows.conftest import small_night

EXPECTED_REASONS = {
    "zero.txt": "empty",
    "binary.txt": "binary",
    "truncated.pdf": "pdf_damaged",
    "huge.txt": "too_large",
    "long.txt": "too_long",
    "picture.png": "unknown_format",
    "damaged.docx": "docx_damaged",
    "damaged.txt.gz": "archive_damaged",
}


def _write_bad_files(folder: Path, truncated_pdf: bytes) -> None:
    folder.mkdir()
    (folder / "zero.txt").write_bytes(b"")
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 40)
    (folder / "truncated.pdf").write_bytes(truncated_pdf)
    (folder / "huge.txt").write_bytes(b"word " * 10_000_000)  # 50 MB in one line
    (folder / "long.txt").write_text("seven words make one very long line " * 4000)
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (folder / "damaged.docx").write_bytes(b"PK\x03\x04 nothing that follows is a zip archive")
    (folder / "damaged.txt.gz").write_bytes(b"\x1f\x8b\x08\x00 no stream")


def _write_odd_but_good_files(folder: Path) -> None:
    folder.mkdir()
    (folder / "a name with späces & ünïcode ☂.txt").write_text("The weather in Nürnberg is fine. " * 5, encoding="utf-8")
    (folder / "invalid-utf8.txt").write_bytes(b"A line that is fine.\nA line with a bad byte \xff in it, and more words after it.\n" * 20)
    (folder / "specials.txt").write_text("Models write </s> at the end and <s> at the start; <unk> is rare.")
    (folder / "twin-1.txt").write_text("The same words stand in two files.")
    (folder / "twin-2.txt").write_text("The same words stand in two files.")


@pytest.mark.timeout(400)
def test_bad_documents_are_quarantined_and_the_rest_is_stored(prefect_server, open_ray, tmp_path: Path):
    from flows.ingest_corpus import ingest_corpus
    from lloco_core.corpus.demo_pdf import text_pdf

    corpus = tmp_path / "corpus"
    corpus.mkdir()
    pdf = text_pdf("A page of text that is cut off.", "cut")
    _write_bad_files(corpus / "bad", pdf[: len(pdf) * 2 // 3])
    _write_odd_but_good_files(corpus / "good")
    settings_of_night = small_night(str(corpus), str(tmp_path / "store"))
    settings_of_night["corpus"]["max_tokens"] = 4096
    config = NightlyConfig.model_validate(settings_of_night)

    with pytest.raises(QuarantineExceeded) as summary:
        ingest_corpus(config)

    assert "8 of 13 documents are in quarantine, allowed are 1" in str(summary.value)
    assert "lloco status --store" in str(summary.value)
    rows = Store(config.store.uri).dataset("quarantine").to_table().to_pylist()
    assert {row["uri"].rpartition("/")[2]: row["code"] for row in rows} == EXPECTED_REASONS
    assert all(row["message"] and row["attempts"] == 1 for row in rows)

    night = open_night(config.store.uri)
    stored = {document.uri.rpartition("/")[2]: document for document in night.documents()}
    assert len(stored) == 5
    twins = [stored["twin-1.txt"], stored["twin-2.txt"]]
    assert twins[0].doc_id != twins[1].doc_id
    assert twins[0].content_hash == twins[1].content_hash
    assert "</s> at the end and <s> at" in night.text(stored["specials.txt"].doc_id)
    umbrella = next(document for name, document in stored.items() if "%E2%98%82" in name)
    assert night.text(umbrella.doc_id).startswith("The weather in Nürnberg")
    for document in stored.values():
        assert night.summaries(document.doc_id).shape == (50 * document.n_segments, 512)


def test_an_empty_folder_is_refused(prefect_server, open_ray, tmp_path: Path):
    from flows.ingest_corpus import ingest_corpus

    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="no documents found"):
        ingest_corpus(NightlyConfig.model_validate(small_night(str(tmp_path / "empty"), str(tmp_path / "store"))))


@pytest.mark.parametrize("s3", ["moto"], indirect=True)
def test_unreachable_buckets_are_named(prefect_server, open_ray, s3):
    from flows.ingest_corpus import ingest_corpus

    with pytest.raises(StorageError, match=r"s3://absent.*NoSuchBucket.*create the bucket") as refusal:
        ingest_corpus(NightlyConfig.model_validate(small_night("s3://absent/texts", f"s3://{BUCKET}/store")))
    assert S3_SECRET not in str(refusal.value)
