"""Listings from an S3 Inventory or a table: the same objects as a listing gives."""

import gzip
import json
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from lloco_core.config import CorpusConfig
from lloco_core.corpus.sources import list_corpus
from lloco_core.errors import ConfigurationError
from lloco_core.planning.listing import LISTING, listing_batches
from tests.conftest import BUCKET

ROOT = "inventory-docs"
KEYS = [f"{ROOT}/{name}" for name in ("a.txt", "north/b c+d.txt", "north/ü.txt", ".hidden", "folder/")] + ["inventory-elsewhere/x.txt"]


@pytest.fixture
def client(s3):
    for key in KEYS:
        s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    return s3


def objects(client):
    contents = client.list_objects_v2(Bucket=BUCKET)["Contents"]
    return [(item["Key"], item["Size"], item["ETag"].strip('"')) for item in contents if item["Key"] in KEYS]


def listed(config):
    rows = listing_batches(config).read_all().to_pylist()
    return sorted((row["uri"], row["etag"], row["size"], row["relative_path"]) for row in rows)


def by_listing(config):
    return sorted((source.uri, source.etag, source.size, source.relative_path) for source in list_corpus(config))


def put_inventory(client, form, columns, data, suffix):
    client.put_object(Bucket=BUCKET, Key=f"inventory/data/1{suffix}", Body=data)
    manifest = {
        "sourceBucket": BUCKET,
        "destinationBucket": f"arn:aws:s3:::{BUCKET}",
        "version": "2016-11-30",
        "fileFormat": form,
        "fileSchema": columns,
        "files": [{"key": f"inventory/data/1{suffix}", "size": len(data)}],
    }
    client.put_object(Bucket=BUCKET, Key="inventory/manifest.json", Body=json.dumps(manifest).encode())
    return f"s3://{BUCKET}/inventory/manifest.json"


def test_a_csv_inventory_lists_what_a_listing_lists(client):
    lines = [f'"{BUCKET}","{quote_plus(key, safe="/")}","true","false","{size}","{etag}"' for key, size, etag in objects(client)]
    lines.append(f'"{BUCKET}","{ROOT}/old.txt","false","false","7","0123"')  # a version that is not the latest
    lines.append(f'"{BUCKET}","{ROOT}/gone.txt","true","true","",""')
    data = gzip.compress("\n".join(lines).encode())
    inventory = put_inventory(client, "CSV", "Bucket, Key, IsLatest, IsDeleteMarker, Size, ETag", data, ".csv.gz")
    config = CorpusConfig(uri=f"s3://{BUCKET}/{ROOT}")
    found = listed(config.model_copy(update={"inventory": inventory}))
    assert found == by_listing(config)
    assert [path for *_, path in found] == ["a.txt", "north/b c+d.txt", "north/ü.txt"]


def test_a_parquet_inventory_lists_what_a_listing_lists(client):
    keys, sizes, etags = zip(*objects(client), strict=True)
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(pa.table({"bucket": [BUCKET] * len(keys), "key": keys, "size": sizes, "e_tag": etags}), sink)
    inventory = put_inventory(client, "Parquet", "message s3.inventory {...}", sink.getvalue().to_pybytes(), ".parquet")
    config = CorpusConfig(uri=f"s3://{BUCKET}/{ROOT}", include=("north/**",))
    assert listed(config.model_copy(update={"inventory": inventory})) == by_listing(config) != []


@pytest.mark.parametrize("name", ["listing.parquet", "listing.csv"])
def test_a_table_lists_a_folder(tmp_path, name):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("one")
    table = pa.table({"key": ["a.txt", ".hidden"], "size": [3, 1], "etag": ["e1", "e2"]})
    (pa.parquet.write_table if name.endswith(".parquet") else pa.csv.write_csv)(table, tmp_path / name)
    config = CorpusConfig(uri=str(tmp_path / "docs"), inventory=str(tmp_path / name))
    [(uri, etag, size, path)] = listed(config)
    assert (uri, etag, size, path) == (f"file://{tmp_path}/docs/a.txt", "e1", 3, "a.txt")
    assert listing_batches(config).schema == LISTING


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"key": ["a"], "size": [1]}, r"has no column \['etag'\]"),
        ({"key": [".a"], "size": [1], "etag": ["e"]}, "1 files listed, none kept"),
    ],
)
def test_an_inventory_that_does_not_fit_is_refused(tmp_path, columns, message):
    pa.csv.write_csv(pa.table(columns), tmp_path / "listing.csv")
    with pytest.raises(ConfigurationError, match=message):
        listing_batches(CorpusConfig(uri=str(tmp_path), inventory=str(tmp_path / "listing.csv"))).read_all()


def test_a_file_that_is_no_inventory_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text('{"files": []}')
    with pytest.raises(ConfigurationError, match=r"no manifest of S3 Inventory \(KeyError: 'fileFormat'\)"):
        listing_batches(CorpusConfig(uri=str(tmp_path), inventory=str(tmp_path / "manifest.json"))).read_all()
