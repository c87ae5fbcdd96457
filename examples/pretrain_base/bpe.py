"""A byte-level BPE tokenizer from a training text: digits stand alone, `<unk> <s> </s>` are the only special tokens."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from lloco_core.encoder_training.text.config import TextConfig
from lloco_core.encoder_training.text.files import find_files
from lloco_core.encoder_training.text.reading import Tally
from lloco_core.encoder_training.text.stream import place_of, read_documents, read_ids

SPECIAL = ["<unk>", "<s>", "</s>"]


def train_tokenizer(config: TextConfig, vocabulary: int, folder: Path, documents: int) -> None:
    """Learn merges from the first documents that are not for validation, and write what `AutoTokenizer` loads."""
    tokenizer = Tokenizer(models.BPE())
    digits, byte_level = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(islice(_texts(config), documents), trainer)
    unknown, begin, end = SPECIAL
    names = {"unk_token": unknown, "bos_token": begin, "eos_token": end, "pad_token": unknown}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **names).save_pretrained(folder)


def _texts(config: TextConfig) -> Iterator[str]:
    documents = read_documents(find_files(config.files), read_ids(config.drop), config, Tally(config.damaged_rate))
    return (document.text for document in documents if place_of(document.id) >= config.validation)
