"""The encoder's benchmark: what it counts, which documents it runs, and a small real run of every engine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import agreement, encode, engines, shapes, useful, workloads

ROOT = Path(__file__).resolve().parents[3]
LLAMA2_7B = useful.Cost(layer_parameters=6_476_005_376, layers=32, width=4096)
CEILING = 763e12
"""Matrix ceiling of the card on which the percentages below were stated."""


def test_cost_is_read_off_the_model():
    cost = useful.Cost.of(shapes.build_weights("llama2-7b", "meta", torch.bfloat16, 0).model)
    assert cost.layers == 32
    assert cost.width == 4096
    assert cost.layer_parameters == pytest.approx(6.476e9, rel=1e-3)


def test_grouped_queries_count_all_heads_and_fewer_parameters():
    cost = useful.Cost.of(shapes.build_weights("llama3.2-1b", "meta", torch.bfloat16, 0).model)
    assert (cost.layers, cost.width) == (16, 2048)
    attention, mlp = 2 * 2048 * 2048 + 2 * 2048 * 512, 3 * 2048 * 8192
    assert cost.layer_parameters == 16 * (attention + mlp + 2 * 2048)


@pytest.mark.parametrize(
    ("documents", "tokens_per_s", "share"),
    [
        ("6k", 31_600, 0.59),
        ("30k", 25_300, 0.48),
        ("128k", 10_800, 0.22),
        ("6k", 30_200, 0.56),
        ("30k", 29_700, 0.56),
        ("128k", 26_800, 0.54),
    ],
)
def test_useful_operations_give_the_shares_that_were_measured_elsewhere(documents: str, tokens_per_s: float, share: float):
    tokens = workloads.tokens_of(documents)
    operations = useful.useful_operations([tokens], LLAMA2_7B, 1536, 50)
    assert operations * tokens_per_s / tokens / CEILING == pytest.approx(share, abs=0.015)


def test_useful_operations_by_hand():
    cost = useful.Cost(layer_parameters=10, layers=2, width=3)
    first = 2 * 10 * (4 + 1) + 4 * 2 * 3 * (1 + 2 + 3 + 4 + 5)  # segment of 4, 1 summary token
    second = 2 * 10 * (1 + 4 + 1) + 4 * 2 * 3 * (1 + 2 + 3 + 4 + 5 + 6)  # with the first vector as input
    third = 2 * 10 * (1 + 2 + 1) + 4 * 2 * 3 * (2 + 3 + 4 + 5)  # the first vector is kept and seen by all
    assert useful.useful_operations([10], cost, 4, 1) == first + second + third
    assert useful.useful_operations([10, 4], cost, 4, 1) == 2 * first + second + third


def test_rows_of_equal_documents():
    lengths = [workloads.document_lengths(name, "ours", 1536, 0) for name in ("6k", "30k", "128k", "100")]
    assert [set(row) for row in lengths] == [{6144}, {30_720}, {131_072}, {100}]
    assert [len(row) for row in lengths[:3]] == [64, 24, 12]
    assert len(workloads.document_lengths("128k", "ours", 1536, 0, scale=0.25)) == 3
    assert workloads.document_lengths("1.5k", "ours", 1536, 0, scale=0.001, on_card=False) == [1536]


def test_mix_is_log_normal_and_the_same_every_time():
    lengths = np.array(workloads.document_lengths("mix", "ours-fp8", 1536, 17))
    assert lengths.tolist() == workloads.document_lengths("mix", "ours", 1536, 17)
    assert lengths.tolist() != workloads.document_lengths("mix", "ours", 1536, 18)
    assert len(lengths) == 512
    assert lengths.min() >= 256
    assert lengths.max() <= 131_072
    assert np.median(lengths) == pytest.approx(8192, rel=0.15)
    assert np.log(lengths).std() == pytest.approx(1.0, abs=0.1)


def test_slow_engines_get_the_first_documents_of_the_mix():
    subset = workloads.document_lengths("mix", "original", 1536, 17)
    assert subset == workloads.document_lengths("mix", "ours", 1536, 17)[:32]
    assert workloads.subset_of("mix", "original") == 512
    assert workloads.subset_of("mix", "ours") is None


def test_one_long_document_beside_short_ones():
    lengths = workloads.document_lengths("128k+short", "ours", 1536, 17)
    assert lengths.count(131_072) == 1
    assert len(lengths) == 201
    assert max(length for length in lengths if length != 131_072) <= 4000


def test_documents_do_not_depend_on_how_many_there_are():
    few, many = (workloads.random_documents([5, 7, 9][:count], 100, 3) for count in (2, 3))
    assert all((left == right).all() for left, right in zip(few, many, strict=False))
    assert min(document.min() for document in many) > 0


def test_split_by_tokens_is_even_and_complete():
    lengths = workloads.document_lengths("mix", "ours", 1536, 17)
    shares = workloads.split_by_tokens(lengths, 2)
    assert sorted(shares[0] + shares[1]) == list(range(512))
    first, second = (sum(lengths[order] for order in share) for share in shares)
    assert abs(first - second) <= min(lengths)


def test_random_weights_repeat_and_are_never_zero():
    first, again = (shapes.build_weights("tiny", "cpu", torch.float32, 5) for _ in range(2))
    for (name, left), right in zip(first.model.state_dict().items(), again.model.state_dict().values(), strict=True):
        assert torch.equal(left, right), name
        assert left.float().std() > 0.01 or "norm" in name, name
    rotary = first.model.get_decoder().rotary_emb
    torch.testing.assert_close(rotary.inv_freq, 10_000.0 ** (-torch.arange(0, 8, 2) / 8))


def test_compare_states_the_worst_vector():
    expected = [torch.eye(4), torch.eye(4)]
    moved = [torch.eye(4), torch.eye(4).roll(1, 0)]
    assert agreement.compare(expected, expected)["relative_error"] == 0
    figures = agreement.compare(moved, expected)
    assert (figures["cosine_mean"], figures["cosine_min"], figures["vectors"], figures["documents"]) == (0.5, 0.0, 8, 2)
    assert figures["relative_error"] == pytest.approx(1.0)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """A run of all engines on the CPU, which loads neither Ray nor Lance: a GPU machine may have the model libraries only."""
    out = tmp_path_factory.mktemp("encode")
    code = (
        "import sys\n"
        "from benchmarks import encode\n"
        f"code = encode.main(['--shape', 'tiny', '--device', 'cpu', '--documents', '40,100,mix,128k+short', '--documents-scale', '0.02', "
        f"'--out', {str(out)!r}, '--commit', 'abc'])\n"
        "print('loaded', sorted({'ray', 'lance', 'prefect', 'deepspeed'} & set(sys.modules)))\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "loaded []"
    (path,) = out.glob("encode-cpu-*-cores-tiny.json")
    return json.loads(path.read_text())


def test_every_engine_has_its_rows(result: dict):
    found = {(row["engine"], row["documents"]) for row in result["rows"]}
    everyone = {(engine, documents) for engine in ("original", "stock", "ours") for documents in ("40", "100", "mix")}
    assert found == everyone | {("ours", "128k+short")}
    assert result["errors"] == []
    assert result["commit"] == "abc"
    for row in result["rows"]:
        assert row["tokens_per_s"] == pytest.approx(row["tokens"] / row["seconds"])
        assert row["share_of_ceiling"] == pytest.approx(row["useful_tflops"] / result["ceiling_tflops"])
    assert result["ceiling_tflops"] == max(result["ceiling_before"], result["ceiling_after"])


def test_engines_agree_in_the_run(result: dict):
    assert {(pair["engine"], pair["against"]) for pair in result["agreement"]} == {("stock", "original"), ("ours", "original")}
    assert all(pair["largest_difference"] < 1e-4 for pair in result["agreement"])


@pytest.mark.parametrize("engine", ["stock", "ours"])
def test_vectors_equal_those_of_the_original_way(engine: str):
    lengths = [5, 16, 17, 100, 33, 64, 1, 90, 40, 16]
    weights = shapes.build_weights("tiny", "cpu", torch.float32, 5)
    documents = workloads.random_documents(lengths, weights.model.config.vocab_size, 0)
    expected = engines.build_engine("original", weights).encode(documents)
    found = engines.build_engine(engine, weights).encode(documents)
    assert [len(vectors) for vectors in found] == [4 * -(-length // 16) for length in lengths]
    for vectors, right in zip(found, expected, strict=True):
        torch.testing.assert_close(vectors, right, atol=1e-4, rtol=1e-4)


def test_a_failing_engine_does_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def no_memory(self, documents):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(engines.OriginalEngine, "encode", no_memory)
    options = ["--engines", "original,stock", "--documents", "20", "--documents-scale", "0.01", "--no-agreement"]
    code = encode.main(["--shape", "tiny", "--device", "cpu", *options, "--out", str(tmp_path)])
    (path,) = tmp_path.glob("*.json")
    found = json.loads(path.read_text())
    assert code == 1
    assert [row["engine"] for row in found["rows"]] == ["stock"]
    assert found["errors"] == ["original 20: RuntimeError: out of memory"]


@pytest.mark.real
def test_two_processes_share_the_mix(tmp_path: Path):
    options = ["--engines", "ours", "--devices", "2", "--documents-scale", "0.01"]
    code = encode.main(["--shape", "tiny", "--device", "cpu", *options, "--out", str(tmp_path)])
    assert code == 0
    (path,) = tmp_path.glob("*.json")
    alone, both = json.loads(path.read_text())["rows"]
    assert (alone["devices"], both["devices"]) == (1, 2)
    assert alone["tokens"] == both["tokens"]
    assert len(both["process_seconds"]) == 2
    assert both["speedup"] == pytest.approx(both["documents_per_s"] / alone["documents_per_s"])
    assert "without Ray" in both["note"]
