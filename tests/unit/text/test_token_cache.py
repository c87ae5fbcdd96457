from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import texts

from lloco_core.compressor.tokenizing import load_tokenizer
from lloco_core.encoder_training.text import tokenising
from lloco_core.encoder_training.text.cache import TOKENS, TokenCache, token_dtype
from lloco_core.encoder_training.text.reading import TextDocument
from lloco_core.encoder_training.text.tokenising import _in_order, open_token_cache
from lloco_core.encoder_training.text.tokens import TextTokenizer
from lloco_core.errors import ConfigurationError, StorageError, TrainingTextError


def documents_of(corpus: Path) -> dict[str, str]:
    rows = [json.loads(line) for path in sorted(corpus.iterdir()) for line in path.read_text().splitlines()]
    return {row["id"]: row["text"] for row in rows}


def tokens_of(cache: TokenCache) -> dict[str, list[int]]:
    return {doc_id: cache.tokens[cache.starts[n] : cache.starts[n + 1]].tolist() for n, doc_id in enumerate(cache.ids())}


def test_it_holds_every_document_as_it_is_tokenised_alone(corpus: Path, tokenizer: TextTokenizer, tmp_path: Path) -> None:
    cache = open_token_cache(texts.config(corpus, tmp_path / "cache"), tokenizer)
    assert tokens_of(cache) == {doc_id: tokenizer.encode([text])[0].tolist() for doc_id, text in documents_of(corpus).items()}
    assert cache.tokens.dtype == np.uint16
    assert not cache.tokens.flags.writeable
    assert cache.report["documents"] == 40


def test_ids_are_those_of_the_encoder(tokenizer: TextTokenizer) -> None:
    checkpoint = load_tokenizer(Path(tokenising.__file__).parents[2] / "models" / "reference")
    own = TextTokenizer.of(checkpoint)
    odd = ["", " ", "Plain.", "</s> and <s>", "naïve — “quoted” ☃ 한국어 12345", "tabs\tand\n\nlines ", texts.story("x", 30)]
    for text, ids in zip(odd, own.encode(odd), strict=True):
        assert ids.tolist() == checkpoint(text, add_special_tokens=False, split_special_tokens=True).input_ids
        assert b"".join(own.pieces[token] for token in ids) == text.encode()
    assert (own.fingerprint, own.end_id, own.size) == (tokenizer.fingerprint, checkpoint.eos_token_id, len(checkpoint))


def sentence_piece(text: str) -> TextTokenizer:
    """A small tokenizer of LLaMA 2's kind: spaces as a letter, unknown characters as bytes."""
    from tokenizers import Tokenizer, decoders, models, normalizers, trainers

    learned = Tokenizer(models.BPE(unk_token="<unk>"))
    learned.normalizer = normalizers.Replace(" ", "\u2581")
    learned.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    learned.train_from_iterator([text], trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>", "<s>", "</s>"]))
    definition = json.loads(learned.to_str())
    vocabulary = definition["model"]["vocab"]
    vocabulary.update({f"<0x{byte:02X}>": len(vocabulary) + byte for byte in range(256)})
    definition["model"]["byte_fallback"] = True
    return TextTokenizer(json.dumps(definition), end_id=2)


def test_tokens_of_a_sentencepiece_vocabulary_are_bytes_too() -> None:
    text = texts.story("y", 40)
    tokenizer = sentence_piece(text)
    for sample in (text, "☃ 한국어 is new, \n and so is Ω"):
        ids = tokenizer.encode([sample])[0]
        assert b"".join(tokenizer.pieces[token] for token in ids) == sample.encode()


def test_other_vocabularies_are_refused() -> None:
    from tokenizers import Tokenizer, models

    plain = TextTokenizer(Tokenizer(models.WordLevel({"a": 0, "</s>": 1}, unk_token="a")).to_str(), end_id=1)
    with pytest.raises(ConfigurationError, match="with_answers"):
        _ = plain.pieces


def test_large_vocabularies_take_four_bytes() -> None:
    assert (token_dtype(65_536), token_dtype(65_537)) == (np.uint16, np.uint32)


def test_it_is_made_once(corpus: Path, tokenizer: TextTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = texts.config(corpus, tmp_path / "cache")
    first = open_token_cache(config, tokenizer)
    with monkeypatch.context() as never:
        never.setattr(tokenising, "_make", None)
        assert open_token_cache(config, tokenizer).folder == first.folder
        assert open_token_cache(texts.config(corpus, tmp_path / "cache", seed=5, validation=0.5), tokenizer).folder == first.folder
    others = [
        open_token_cache(texts.config(corpus / "a.jsonl", tmp_path / "cache"), tokenizer),
        open_token_cache(config, TextTokenizer(tokenizer.definition, end_id=1)),
        open_token_cache(texts.config(corpus, tmp_path / "cache", drop=_ids(tmp_path, "b3")), tokenizer),
    ]
    (corpus / "a.jsonl").write_text((corpus / "a.jsonl").read_text().replace("a4", "a_"))
    others.append(open_token_cache(config, tokenizer))
    assert len({cache.folder for cache in (first, *others)}) == 5
    assert "b3" in first.ids()
    assert "b3" not in others[2].ids()


def _ids(folder: Path, *ids: str) -> str:
    (folder / "ids.txt").write_text("\n".join(ids))
    return str(folder / "ids.txt")


def test_contents_are_named_alike_wherever_the_files_lie(corpus: Path, tokenizer: TextTokenizer, tmp_path: Path) -> None:
    first = open_token_cache(texts.config(corpus, tmp_path / "cache"), tokenizer)
    moved = open_token_cache(texts.config(corpus.rename(tmp_path / "elsewhere"), tmp_path / "cache"), tokenizer)
    assert first.folder != moved.folder
    assert first.contents == moved.contents


def test_processes_change_nothing(corpus: Path, tokenizer: TextTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenising, "BATCH_CHARACTERS", 5000)
    one, two = (open_token_cache(texts.config(corpus, tmp_path / str(n), processes=n), tokenizer) for n in (1, 2))
    assert one.contents == two.contents
    assert (one.folder / TOKENS).read_bytes() == (two.folder / TOKENS).read_bytes()


def test_a_maker_that_fails_leaves_no_cache(corpus: Path, tokenizer: TextTokenizer, tmp_path: Path) -> None:
    whole = (corpus / "b.jsonl").read_text()
    (corpus / "b.jsonl").write_text(whole + "{\n{\n{\n")
    with pytest.raises(TrainingTextError, match=r"b\.jsonl line 21"):
        open_token_cache(texts.config(corpus, tmp_path / "cache"), tokenizer)
    assert [path for path in (tmp_path / "cache").iterdir() if path.is_dir() and path.suffix != ".making"] == []
    cache = open_token_cache(texts.config(corpus, tmp_path / "cache", damaged_rate=0.1), tokenizer)
    assert (len(cache.ids()), cache.report["n_damaged"]) == (40, 3)
    assert [item["line"] for item in cache.report["damaged"]] == [21, 22, 23]
    assert list((tmp_path / "cache").glob("*.making")) == []  # the same files: the folder of the failed maker was replaced


def test_a_cut_cache_is_refused(corpus: Path, tokenizer: TextTokenizer, tmp_path: Path) -> None:
    cache = open_token_cache(texts.config(corpus, tmp_path / "cache"), tokenizer)
    (cache.folder / TOKENS).write_bytes((cache.folder / TOKENS).read_bytes()[:-2])
    with pytest.raises(StorageError, match="remove the folder"):
        open_token_cache(texts.config(corpus, tmp_path / "cache"), tokenizer)


def test_reading_is_only_a_few_batches_ahead_of_writing() -> None:
    read = 0

    def batches() -> Iterator[list[TextDocument]]:
        nonlocal read
        for number in range(60):
            read += 1
            yield [TextDocument(str(number), "x")]

    with ThreadPoolExecutor(2) as pool:
        for written, (ids, _, _) in enumerate(_in_order(pool, lambda batch: ([batch[0].id], [1], b""), batches(), most=4)):
            assert ids == [str(written)]
            assert read - written <= 5
    assert read == 60


def test_validation_does_not_depend_on_position(corpus: Path, tokenizer: TextTokenizer, tmp_path: Path) -> None:
    def split(config_files: list[str]) -> tuple[set[str], set[str]]:
        cache = open_token_cache(texts.config(config_files, tmp_path / "cache"), tokenizer)
        ids = cache.ids()
        train, held = (cache.documents(side, 0.3).tolist() for side in ("train", "validation"))
        assert sorted(train + held) == list(range(len(ids)))
        return {ids[n] for n in train}, {ids[n] for n in held}

    train, held = split([str(corpus)])
    assert 4 <= len(held) <= 20
    turned = split([str(corpus / "b.jsonl"), str(corpus / "a.jsonl")])
    assert turned == (train, held)
    alone = split([str(corpus / "b.jsonl")])
    assert alone[1] == {doc_id for doc_id in held if doc_id.startswith("b")}
