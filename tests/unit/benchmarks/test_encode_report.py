"""Result files of the encoder's benchmark: merging, the README's table, and the profile's summary."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import encode, report
from benchmarks.kernels import Kernel, category, summary


def row(engine: str, documents: str, tokens_per_s: float, **more) -> dict:
    fixed = {"dtype": "bfloat16", "devices": 1, "share_of_ceiling": tokens_per_s / 50_000, "ceiling_tflops": 763.0, "subset_of": None}
    rest = {"n_documents": 64, "seconds": 1.0, "peak_memory_gb": 20.0, "useful_tflops": tokens_per_s / 50_000 * 763.0}
    rest["share_of_sustained_ceiling"] = tokens_per_s / 40_000
    return {"engine": engine, "documents": documents, "tokens_per_s": tokens_per_s} | fixed | rest | more


def result(*rows: dict, **more) -> dict:
    base = {"card": "h200", "shape": "llama2-7b", "dtype": "bfloat16", "hardware": {"name": "NVIDIA H200"}, "commit": "new", "errors": []}
    ceilings = {
        "command": "run",
        "ceiling_tflops": 763.0,
        "ceiling_sustained_tflops": 610.4,
        "ceiling_before": 763.0,
        "ceiling_after": 760.0,
        "ceiling_fp8_tflops": 1400.0,
    }
    return base | ceilings | {"rows": list(rows), "agreement": []} | more


def pair(cosine: float) -> dict:
    figures = {"cosine_mean": cosine, "cosine_min": cosine, "relative_error": 0.01, "vectors": 10}
    return {"engine": "ours-fp8", "against": "ours", "dtype": "bfloat16"} | figures


def test_merge_replaces_rows_that_were_measured_again():
    old = result(row("ours", "6k", 1000), row("stock", "6k", 500), agreement=[pair(0.5)], commit="old")
    merged = report.merge(old, result(row("ours", "128k", 900), row("ours", "6k", 2000), agreement=[pair(0.9)]))
    assert [(row["engine"], row["documents"], row["tokens_per_s"]) for row in merged["rows"]] == [
        ("stock", "6k", 500),
        ("ours", "6k", 2000),
        ("ours", "128k", 900),
    ]
    assert merged["commit"] == "new"
    assert merged["agreement"] == [pair(0.9)]


def test_every_row_keeps_the_share_of_its_own_run():
    """Runs on two cards have two ceilings."""
    slower = result(row("ours", "6k", 25_000, ceiling_tflops=700.0), ceiling_tflops=700.0)
    merged = report.merge(slower, result(row("ours", "128k", 25_000)))
    assert [(row["documents"], row["ceiling_tflops"], row["share_of_ceiling"]) for row in merged["rows"]] == [
        ("6k", 700.0, 0.5),
        ("128k", 763.0, 0.5),
    ]
    assert merged["ceiling_tflops"] == 763.0
    assert "the matrix ceiling of the same run, 700 to 763 TFLOP/s" in report.readme_table(merged, "some.json")
    assert merged["commands"] == ["run"]


def test_merge_keeps_other_formats_and_numbers_of_devices():
    old = result(row("ours", "mix", 1000), row("ours", "mix", 700, dtype="float32"))
    assert len(report.merge(old, result(row("ours", "mix", 1900, devices=2)))["rows"]) == 3


def test_merge_command_joins_files_of_several_runs(tmp_path: Path):
    paths = [report.save(tmp_path / name, result(row(name, "6k", 1000))) for name in ("stock", "ours")]
    assert encode.main(["--merge", *map(str, paths), "--out", str(tmp_path / "all")]) == 0
    (path,) = (tmp_path / "all").iterdir()
    assert path.name == "encode-h200-llama2-7b.json"
    assert [row["engine"] for row in json.loads(path.read_text())["rows"]] == ["stock", "ours"]


def test_readme_table(tmp_path: Path):
    long = row("ours", "128k+short", 30_000, n_documents=201, peak_memory_gb=41.6)
    both = row("ours", "mix", 60_000, devices=2, documents_per_s=4.5, speedup=1.94)
    subset = row("stock", "mix", 20_000, n_documents=32, subset_of=512)
    rows = [
        row("ours", "30k", 36_123.4),
        row("ours", "6k", 40_000),
        row("original", "6k", 20_000),
        row("ours", "mix", 31_000),
        subset,
        long,
        both,
    ]
    report.save(tmp_path, result(*rows, agreement=[pair(0.99912)]))
    lines = report.readme_block(tmp_path).splitlines()
    assert "`llama2-7b` on NVIDIA H200 in bfloat16" in lines[0]
    assert "763 TFLOP/s" in lines[0]
    assert "`benchmarks/results/encode-h200-llama2-7b.json`" in lines[0]
    assert lines[2] == "| tokens per document | 6k | 30k | 128k+short | mix |"
    assert lines[4].endswith("| 20,000 (40%) |  |  |  |")
    assert lines[6] == "| ours | 40,000 (80%) | 36,123 (72%) | 30,000 (60%) | 31,000 (62%) |"
    assert "- stock: 32 of the 512 documents of `mix`." in lines
    assert "- ours: 201 documents of `128k+short` take 42 GB at most." in lines
    assert "- ours, 64 documents of `mix` on 2 devices: 4.50 documents/s, 1.94 times one device (engine processes without Ray)." in lines
    assert "- ours: 75 % to 100 % of what the same run sustained over seconds." in lines
    assert lines[-1] == "| ours-fp8 | ours | 0.99912 | 0.99912 | 1.0e-02 |"


def test_what_is_read_from_the_vectors_is_in_the_table(tmp_path: Path):
    figures = {"needles_found": 68, "needles": 70, "perplexity": 52.551, "perplexity_without_vectors": 62.57}
    report.save(tmp_path, result(row("ours", "6k", 1), reading=[{"engine": "ours", "dtype": "bfloat16"} | figures]))
    assert "| ours | 68 of 70 | 52.55 |" in report.readme_block(tmp_path).splitlines()
    assert "62.57 without vectors" in report.readme_block(tmp_path)


def test_terminal_table_names_failures():
    text = report.text_table(result(row("ours", "6k", 40_000, busy_share=0.5), errors=["stock 6k: out of memory"]))
    assert "40,000  80.0%     20.0   50%" in text
    assert text.splitlines()[-1] == "FAILED stock 6k: out of memory"


def test_no_result_files_give_an_empty_block(tmp_path: Path):
    assert report.readme_block(tmp_path) == ""


def test_kernels_fall_into_categories():
    assert category("nvjet_tst_128x256_64x4_1x2_h_bz_coopA_NNT") == "matrix products"
    assert category("void flash::flash_fwd_kernel<cutlass::bfloat16_t>") == "attention"
    assert category("Memcpy DtoD (Device -> Device)") == "copies"
    assert category("triton_red_fused_add_cat_mean_mul_rsqrt_3") == "elementwise, norm, rotary"


def test_profile_summary_counts_idle_time_once():
    kernels = [Kernel("sm90_gemm", 0, 40_000_000), Kernel("flash_fwd", 30_000_000, 30_000_000), Kernel("sm90_gemm", 80_000_000, 20_000_000)]
    lines = summary(kernels).splitlines()
    assert lines[0].startswith("100.0 ms, 3 kernels")
    assert lines[2].split() == ["60.0", "ms", "60.0%", "matrix", "products"]
    assert lines[3].split() == ["30.0", "ms", "30.0%", "attention"]
    assert lines[4].split() == ["20.0", "ms", "20.0%", "idle"]
    assert summary([]) == "no kernels were recorded"
