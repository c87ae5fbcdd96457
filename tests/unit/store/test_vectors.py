"""Formats of stored vectors: what is lost, what is refused, and the same night from each of them."""

from typing import get_args

import lance
import numpy as np
import pyarrow as pa
import pytest
import torch
from pydantic import ValidationError

from lloco_core.config import StoreConfig, VectorFormat
from lloco_core.errors import CommitError, EncodingError, StorageError
from lloco_core.store.nights import publish_night
from lloco_core.store.read import open_night
from lloco_core.store.schema import segments_schema
from lloco_core.store.status import document_details, store_status
from lloco_core.store.tables import Store
from lloco_core.store.vectors import CONTINUABLE, LARGEST, STORED_DTYPES, bytes_per_vector, format_of, pack, unpack
from tests.unit.store.fixtures import DIMENSION, HIDDEN, SUMMARY, document, ingest, rows, shard, vectors_of

FORMATS = get_args(VectorFormat)
QUANTISED = tuple(LARGEST)
HALF_ERROR = 2.0**-11
"""Largest relative error of rounding to float16; below its normal numbers the error is at most 2**-25."""
LONG = "one two three four five six seven eight nine"


def vectors(n=64, hidden=96, seed=0):
    """Vectors [n, hidden] float16 of very different magnitudes, each with one outlier."""
    rng = np.random.default_rng(seed)
    found = rng.standard_normal((n, hidden)) * np.logspace(-3, 3, n)[:, None]
    found[np.arange(n), rng.integers(0, hidden, n)] *= 8
    return found.astype(np.float16)


def error_bounds(found, scales, form):
    """How far what is read back may be from [S, H] vectors, per number."""
    exact = np.abs(found.astype(np.float64))
    if form == "int8":
        lost = np.broadcast_to(scales[:, None] / 2, exact.shape)
    else:  # half a step: 1/16 of a number, or of the smallest number with a full mantissa
        lost = np.maximum(exact / 16, scales[:, None] * 2.0**-10)
    return lost * (1 + 1e-5) + (exact + lost) * HALF_ERROR + 2.0**-25


@pytest.mark.parametrize("form", QUANTISED)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_quantised_vectors_come_back_within_half_a_step(form, dtype):
    found = vectors().astype(dtype)
    values, scales = pack(found, form)
    assert (values.dtype, values.shape) == (STORED_DTYPES[form], found.shape)
    assert (scales.dtype, scales.shape) == (np.float32, (len(found),))
    back = unpack(values, scales, form)
    assert (back.dtype, back.shape) == (np.float16, found.shape)
    assert np.all(np.abs(back.astype(np.float64) - found) <= error_bounds(found, scales, form))
    assert not np.array_equal(back, found)


@pytest.mark.parametrize("form", QUANTISED)
def test_every_vector_has_a_scale_of_its_own(form):
    """A vector a million times smaller than its neighbour keeps its precision, and its largest number comes back exactly."""
    small = vectors(1, 64, seed=1).astype(np.float32) * 1e-2
    found = np.concatenate([small, small * 1e6]).astype(np.float16)
    values, scales = pack(found, form)
    back = unpack(values, scales, form)
    np.testing.assert_allclose(scales, np.abs(found).max(axis=1).astype(np.float32) / LARGEST[form], rtol=1e-6)
    largest = np.arange(2), np.abs(found).argmax(axis=1)
    assert np.array_equal(back[largest], found[largest])
    assert np.array_equal(np.abs(unpack(values, np.ones(2, np.float32), form)).max(axis=1), [LARGEST[form]] * 2)


def test_float16_comes_back_bit_for_bit():
    found = vectors()
    values, scales = pack(found, "float16")
    assert scales is None
    assert unpack(values, None, "float16").tobytes() == found.tobytes()


@pytest.mark.parametrize("form", QUANTISED)
def test_halfway_numbers_round_to_even(form):
    largest = LARGEST[form]
    halfway = [0.5, 1.5, 2.5, -0.5, -1.5] if form == "int8" else [17, 19, 21, -17, -19]
    even = [0, 2, 2, 0, -2] if form == "int8" else [16, 20, 20, -16, -20]
    values, scales = pack(np.array([[largest, *halfway]], np.float16), form)
    assert unpack(values, scales, form)[0].tolist() == [largest, *even]


@pytest.mark.parametrize("form", FORMATS)
def test_zero_vectors_come_back_as_zeros(form):
    found = np.zeros((3, 8), np.float16)
    found[1] = 1
    with np.errstate(all="raise"):
        back = unpack(*pack(found, form), form)
    assert np.array_equal(back, found)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("magnitude", [np.finfo(np.float16).max, np.finfo(np.float16).tiny, np.finfo(np.float16).smallest_subnormal])
def test_extreme_magnitudes_neither_overflow_nor_vanish(form, magnitude):
    found = np.array([[magnitude, -magnitude, 0, magnitude / 2]], np.float16)
    with np.errstate(all="raise", under="ignore"):
        back = unpack(*pack(found, form), form)
    assert back[0, :3].tolist() == found[0, :3].tolist()
    assert np.isfinite(back).all()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 70_000.0])
def test_numbers_without_a_float16_are_refused(form, bad):
    found = np.ones((4, 8), np.float32)
    found[2, 3] = bad
    with pytest.raises(EncodingError, match="1 of 4 vectors, the first at 2, are not finite in float16"):
        pack(found, form)


def test_bytes_of_float8_are_those_of_torch():
    codes = np.arange(256, dtype=np.uint8)[None]
    ours = unpack(codes, np.ones(1, np.float32), "float8_e4m3")[0].astype(np.float32)
    theirs = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn).float().numpy()
    np.testing.assert_array_equal(ours, theirs)  # nan where theirs is


@pytest.mark.parametrize(
    ("form", "numbers", "has_scales"), [("float16", pa.float16(), False), ("int8", pa.int8(), True), ("float8_e4m3", pa.uint8(), True)]
)
def test_columns_of_a_format(form, numbers, has_scales):
    schema = segments_schema(SUMMARY, HIDDEN, form)
    assert schema.field("summary").type == pa.list_(numbers, SUMMARY * HIDDEN)
    assert ("summary_scale" in schema.names) == has_scales
    assert not has_scales or schema.field("summary_scale").type == pa.list_(pa.float32(), SUMMARY)
    assert schema.metadata == {b"summary_length": b"2", b"hidden_size": b"8", b"vectors": form.encode()}
    assert segments_schema(SUMMARY, HIDDEN) == segments_schema(SUMMARY, HIDDEN, "float16")


def quantised_store(uri, form):
    store = Store(uri)
    store.create_tables(SUMMARY, HIDDEN, DIMENSION, form)
    return store


@pytest.mark.parametrize("form", FORMATS)
def test_a_night_gives_float16_whatever_is_stored(store_uri, form):
    store = quantised_store(store_uri, form)
    found = [document("a.txt", LONG), document("b.txt", "two words"), document("c.txt", "three words now")]
    ingest(store, shard("p1", 0, found[:2]), shard("p1", 1, found[2:]))
    ingest(store, shard("p2", 0, [document("b.txt", "other words", etag="e2")], known=[found[1]]), run_id="run-2")
    publish_night(store, "run-2")
    night = open_night(store_uri)
    for item, n_segments in ((found[0], 3), (document("b.txt", "other words"), 1), (found[2], 1)):
        exact = vectors_of(item.text, n_segments).reshape(-1, HIDDEN)
        back = night.summaries(item.doc_id)
        assert back.dtype == np.float16
        assert back.tobytes() == unpack(*pack(exact, form), form).tobytes()
        np.testing.assert_allclose(back, exact, atol=np.abs(exact).max() / 16 if form in LARGEST else 0)
    stored = store.dataset("segments").to_table()
    assert stored["summary"].type.value_type == pa.from_numpy_dtype(STORED_DTYPES[form])
    per_segment = sum(
        stored[name].combine_chunks().flatten().nbytes for name in ("summary", "summary_scale") if name in stored.column_names
    )
    assert per_segment == stored.num_rows * SUMMARY * bytes_per_vector(HIDDEN, form)


@pytest.mark.parametrize(("has", "wants"), [("float16", "int8"), ("int8", "float8_e4m3"), ("float8_e4m3", "float16")])
def test_another_format_is_refused_with_both_and_the_next_step(tmp_path, has, wants):
    store = quantised_store(str(tmp_path), has)
    store.create_tables(SUMMARY, HIDDEN, DIMENSION, has)
    with pytest.raises(CommitError) as caught:
        store.create_tables(SUMMARY, HIDDEN, DIMENSION, wants)
    for part in (store.root, f"as {has},", f"store.vectors '{wants}'", f"set store.vectors to '{has}'", "a new store"):
        assert part in str(caught.value)
    with pytest.raises(CommitError, match="this run writes"):  # of an equal format the shape is compared as ever
        store.create_tables(SUMMARY, HIDDEN * 2, DIMENSION, has)


def test_a_table_without_the_metadata_holds_float16(tmp_path):
    """As made before there was a choice: it is read, written to, and refused to other formats as float16."""
    store = Store(str(tmp_path))
    old = segments_schema(SUMMARY, HIDDEN)
    old = old.with_metadata({key: value for key, value in old.metadata.items() if key != b"vectors"})
    lance.write_dataset(old.empty_table(), store.table_uri("segments"), schema=old, mode="create")
    store.create_tables(SUMMARY, HIDDEN, DIMENSION)
    assert b"vectors" not in store.dataset("segments").schema.metadata
    with pytest.raises(CommitError, match=r"as float16, this run has store.vectors 'int8'"):
        store.create_tables(SUMMARY, HIDDEN, DIMENSION, "int8")
    found = document("a.txt", LONG)
    ingest(store, shard("p1", 0, [found]))
    publish_night(store, "run-1")
    assert open_night(store.root).summaries(found.doc_id).tobytes() == vectors_of(LONG, 3).tobytes()
    assert store_status(store.root).vectors == "float16, 16 bytes each"
    assert len(rows(store, "segments")) == 3


def test_a_format_of_a_newer_version_is_named(tmp_path):
    with pytest.raises(StorageError, match="stored as 'int4', this version reads float16, int8, float8_e4m3; install a newer one"):
        format_of(pa.schema([], metadata={"vectors": "int4"}))


@pytest.mark.parametrize(("form", "shown"), [("int8", "int8, 12 bytes each"), ("float8_e4m3", "float8_e4m3, 12 bytes each")])
def test_status_and_inspect_show_format_and_size(tmp_path, form, shown):
    store = quantised_store(str(tmp_path), form)
    ingest(store, shard("p1", 0, [document("a.txt", LONG)]))
    publish_night(store, "run-1")
    assert store_status(store.root).vectors == shown
    assert document_details(open_night(store.root), "a.txt").fields["vectors"] == shown


def test_sixteen_bits_are_the_default_and_alone_continue():
    assert StoreConfig(uri="store").vectors == "float16"
    assert StoreConfig(uri="store", vectors="int8").vectors == "int8"
    with pytest.raises(ValidationError, match="vectors"):
        StoreConfig(uri="store", vectors="int4")
    assert CONTINUABLE == ("float16",)
