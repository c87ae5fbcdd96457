"""What a run is asked to do: one frozen model per concern.

The same object is a Prefect flow parameter, a YAML file (`--config night.yaml`), and command line options
(`--corpus.uri`). Unknown keys and impossible values are refused by pydantic with the key, the value, and what is
allowed. Nothing here reads the environment (that is `lloco_core.settings`) and no field holds a secret.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from lloco_core.corpus.charsets.labels import checked_label
from lloco_core.credentials import MESSAGE, has_credentials
from lloco_core.languages import language_code

REFERENCE_MODEL = "reference"
"""Name of the checkpoint that travels inside the package."""


def _without_credentials(uri: object) -> object:
    if isinstance(uri, str) and has_credentials(uri):
        raise ValueError(MESSAGE)
    return uri


Uri = Annotated[str, Field(min_length=1, max_length=4096), BeforeValidator(_without_credentials)]


VectorFormat = Literal["float16", "int8", "float8_e4m3"]
"""How a store keeps the numbers of summary vectors."""


class Concern(BaseModel):
    """Base of every configuration model: frozen, closed, and documented by the docstrings under its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)


class CorpusConfig(Concern):
    """Which documents, and how they are read and grouped."""

    uri: Uri
    """A folder, an s3:// prefix, or a manifest file (.jsonl or .parquet with a `uri` column and metadata)."""
    include: tuple[str, ...] = ("**",)
    """Glob patterns of relative paths to read."""
    exclude: tuple[str, ...] = ()
    """Glob patterns of relative paths to leave out."""
    inventory: Uri | None = None
    """An S3 Inventory (its manifest.json), or a .csv or .parquet file with `key`, `size`, and `etag`, read instead of listing
    `uri`, which then says what keys are relative to."""
    encoding: str | dict[str, str] | None = None
    """Character encoding of text, Markdown, HTML, CSV, JSON, and JSON lines without a byte order mark that are not plainly UTF-8: one
    label for all, or glob patterns of relative paths with a label each; the first pattern that fits holds. By default it is detected
    for each file; JSON lines are then UTF-8."""
    delete_rate: float = Field(0.2, ge=0, le=1)
    """Share of the corpus's stored documents that may be gone from it (at least one may) and are then removed. More is taken for a
    wrong URI or a missing mount: the plan is refused."""
    language: Annotated[str, BeforeValidator(language_code)] | None = None
    """ISO 639-1 code (en, de, zh, ...) for the full-text index: how words are found and stemmed. `multi`, which a new store has by
    default, finds words of every script and stems English ones. Another language than before builds the index anew."""
    text_field: str = "text"
    """Text column of containers: JSON lines, JSON arrays, Parquet, CSV, and spreadsheets."""
    id_field: str | None = None
    """Column that names a container's rows; without it the row number does."""
    group_by: Literal["auto", "folder", "field", "cluster"] = "auto"
    """`folder`: first folder below the root; `field`: `group_field` of the metadata; `cluster`: k-means over passage
    embeddings; `auto`: field where a document has one, else folder, else cluster."""
    group_field: str = "group"
    """Metadata field that holds the group."""
    clusters: int | None = Field(None, ge=1, le=1024)
    """Number of clusters; by default the best silhouette of 2 to 8."""
    max_bytes: int = Field(32 * 2**20, ge=1)
    """Larger objects are quarantined unread; also the limit after decompression."""
    parse_seconds: float = Field(120, gt=0)
    """An object whose parsing takes longer, twice, is quarantined."""
    parse_memory_mb: int = Field(2048, ge=256)
    """An object whose parsing takes more memory, twice, is quarantined. Every reading worker may take as much."""
    max_empty_pages: float = Field(1, ge=0, le=1)
    """Share of a PDF's pages that may be without text, such as scans between typed pages; a PDF with more is quarantined. One without
    any text always is."""
    max_tokens: int = Field(131_072, ge=1)
    """Longer documents are quarantined."""
    quarantine_rate: float = Field(0.004, ge=0, le=1)
    """Share of documents that may be quarantined (at least one may) before the run is failed at its end."""
    retry_quarantined: bool = False
    """Read quarantined documents again although they did not change."""

    @field_validator("encoding")
    @classmethod
    def _labels_exist(cls, stated: str | dict[str, str] | None) -> str | dict[str, str] | None:
        for label in [stated] if isinstance(stated, str) else (stated or {}).values():
            checked_label(label)
        return stated


class EncoderConfig(Concern):
    """The context encoder."""

    model: str = REFERENCE_MODEL
    """`reference`, a folder, or a hub name of an AutoCompressor or ICAE checkpoint."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes a GPU where the worker has one."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto`: bfloat16 on a GPU, float32 on a CPU."""
    segment_length: int | None = Field(None, ge=1)
    """Tokens per segment; by default what the checkpoint was trained with."""
    batch_tokens: int | None = Field(None, ge=1)
    """New positions of one forward pass; by default what keeps the device busy."""
    quantization: Literal["none", "fp8"] = "none"
    """`fp8` computes the linear layers in float8 on GPUs that have it (compute capability 8.9 and later): faster, other vectors."""
    memory_fraction: float = Field(0.9, gt=0, le=1)
    """Share of the GPU's free memory that keys, values, and activations may take."""


class StoreConfig(Concern):
    """Where the tables lie and how they are written."""

    uri: Uri
    """A folder or s3://bucket/prefix; the bucket must exist."""
    shard_tokens: int = Field(1_000_000, ge=1)
    """Tokens per shard, estimated from sizes: the unit of encoding, retry, and commit."""
    shard_objects: int = Field(64, ge=1)
    """Upper bound of objects per shard."""
    reencode_tokens: int | None = Field(None, ge=1)
    """Upper bound of tokens a run encodes again because the encoder is another one; by default all in one night. A group is served
    with its old vectors until all of it is encoded."""
    commit_every: int = Field(4, ge=1)
    """Shards per commit."""
    lease_seconds: int = Field(600, ge=5)
    """A committer silent for this long is taken for dead and its lease is taken over."""
    lease_wait_seconds: float = Field(0, ge=0)
    """How long a run waits for a living committer to end before it is refused."""
    check_conditional_writes: bool = True
    """Refuse to write to a store that ignores create-only writes (`If-None-Match: *`): two runs at once would lose rows there."""
    vectors: VectorFormat = "float16"
    """Numbers of summary vectors; the two 8-bit formats halve the store and keep one scale per vector. Fixed when a store is made."""


class MaintenanceConfig(Concern):
    """What a store keeps, and how it is tidied up."""

    keep_nights: int = Field(7, ge=1)
    """Newest nights that can be opened."""
    keep_monthly: int = Field(1, ge=0)
    """Of this many months before that of the newest night, the newest night can be opened as well."""
    grace_hours: float = Field(24, ge=0)
    """Whoever opened a night or a table may read on for so long after it was superseded or retired."""
    orphan_days: float = Field(7, ge=1, le=7)
    """Files that nothing refers to are deleted at this age. Longer than a worker needs from its first file to its shard record; at
    most 7, as Lance's own clean-up removes them then."""
    fragment_bytes: int = Field(512 * 2**20, ge=1)
    """Fragments are merged until they have about this size."""


class RetrievalConfig(Concern):
    """Passages and their embeddings."""

    model: str = "minilm"
    """`minilm` (all-MiniLM-L6-v2 as packaged on PyPI), a folder, or a hub name of a sentence-transformers model."""
    passage_chars: int = Field(800, ge=50, le=20_000)
    """Upper bound of characters per passage."""
    top_k: int = Field(8, ge=1, le=1000)
    """Passages that a search returns."""
    question_chars: int = Field(8000, ge=1, le=100_000)
    """Longer questions are refused: embedding and tokenizing take more than linear time."""


class TeacherConfig(Concern):
    """A model behind an OpenAI-compatible endpoint that writes questions. Its key comes from LLOCO_TEACHER_API_KEY."""

    base_url: Uri
    """For example https://host/v1."""
    model: str
    """Model name as the endpoint knows it."""
    timeout_seconds: float = Field(60, gt=0)
    """Per request."""


class QuestionsConfig(Concern):
    """Where training questions come from: a file, a teacher, or, with neither, the documents themselves."""

    file: Uri | None = None
    """jsonl or parquet with `doc_id` or `uri`, `question`, and `answer`; `uri` may be the path below the corpus root."""
    teacher: TeacherConfig | None = None
    """Asks for questions about every document."""
    per_document: int = Field(8, ge=1)
    """Questions per document from a teacher or from the documents themselves."""
    max_per_group: int = Field(20_000, ge=1)
    """Upper bound per group; a seeded sample beyond it."""

    @model_validator(mode="after")
    def _one_source(self) -> QuestionsConfig:
        if self.file and self.teacher:
            raise ValueError("questions.file and questions.teacher exclude each other; set one of them")
        return self


class FinetuneConfig(Concern):
    """The recipe of an adapter. Defaults are those of the LLoCO paper (arXiv 2404.07979, section 4)."""

    r: int = Field(8, ge=1, le=16)
    """LoRA rank; servers load up to 16 by default, and larger adapters forget more."""
    alpha: int = Field(16, ge=1)
    """LoRA alpha."""
    dropout: float = Field(0.05, ge=0, lt=1)
    """LoRA dropout."""
    learning_rate: float = Field(2e-5, gt=0)
    """Peak, cosine decay to zero."""
    warmup_ratio: float = Field(0.04, ge=0, le=1)
    """Share of the steps with a linearly rising rate."""
    epochs: int = Field(3, ge=1)
    """Passes over the rows."""
    max_steps: int | None = Field(None, ge=1)
    """Stop after this many optimizer steps."""
    global_batch: int = Field(8, ge=1)
    """Rows per optimizer step over all workers."""
    micro_batch: int = Field(4, ge=1)
    """Rows per forward pass of one worker."""
    zero_stage: Literal[2, 3] = 2
    """DeepSpeed ZeRO stage; 3 partitions the frozen base as well."""
    gradient_checkpointing: bool = True
    """Recompute activations in the backward pass; saves memory, costs a third more time."""
    checkpoint_steps: int = Field(100, ge=1)
    """Optimizer steps between checkpoints."""
    holdout: float = Field(0.1, ge=0, lt=1)
    """Share of a group's rows kept out of training to measure the loss."""
    seed: int = 0
    """Order of rows, LoRA initialisation, dropout."""

    @model_validator(mode="after")
    def _batches_fit(self) -> FinetuneConfig:
        if self.global_batch % self.micro_batch:
            raise ValueError(f"finetune.global_batch {self.global_batch} is not a multiple of finetune.micro_batch {self.micro_batch}")
        return self


QUESTION_SLOT, ANSWER_SLOT = "{question}", "{answer}"


class AnswerConfig(Concern):
    """How questions are put to the model. The defaults are the wording the reference checkpoint was trained with. Special tokens of the
    model in a template, such as `<|im_end|>`, are such; in a question or an answer they are text."""

    question_template: str = "\nQuestion: {question}\nAnswer:"
    """Follows the summary vectors."""
    answer_template: str = " {answer}"
    """Follows the question in training rows."""
    max_new_tokens: int = Field(50, ge=1, le=4096)
    """Greedy decoding stops here."""
    documents: int = Field(1, ge=1, le=64)
    """Documents whose vectors are put before the question."""

    @model_validator(mode="after")
    def _templates_have_slots(self) -> AnswerConfig:
        if QUESTION_SLOT not in self.question_template or ANSWER_SLOT not in self.answer_template:
            raise ValueError("answer.question_template needs {question} and answer.answer_template needs {answer}")
        return self


class ClosingConfig(Concern):
    """The questions a night answers at its end, so that a person sees what the store now knows."""

    file: Uri | None = None
    """jsonl with `question` and, optionally, `document` (id, title, or the end of its URI) and `answer`. Without a file, held-out
    training questions are taken."""
    count: int = Field(4, ge=0, le=100)
    """Upper bound of questions."""


class ClusterConfig(Concern):
    """The Ray cluster. RAY_ADDRESS names one; without it the local machine is used."""

    encoders: int = Field(1, ge=1)
    """Encoder actors at the start."""
    max_encoders: int | None = Field(None, ge=1)
    """Upper bound of encoder actors when the pool may grow."""
    gpus_per_encoder: float | None = Field(None, ge=0)
    """By default 1 where the cluster has GPUs, else 0."""
    cpus_per_encoder: float | None = Field(None, gt=0)
    """CPU share and thread count of an encoder actor. By default the local cores divided by the encoders, and 1 beside a
    GPU."""
    shards_in_flight: int | None = Field(None, ge=1)
    """Shards an encoder works on at once: while one is encoded, another's passages are embedded and a third is handed over. By
    default 3 on a GPU and 1 on a CPU, where a second one would compute on the same cores."""
    train_workers: int = Field(1, ge=1)
    """DeepSpeed ranks per adapter."""
    object_store_mb: int = Field(512, ge=80)
    """Object store of a local cluster in MB."""
    gpu_hour_price: float | None = Field(None, ge=0)
    """What an hour of one encoder device or training worker costs; without it the reports name seconds only."""
    currency: str = Field("USD", pattern="^[A-Z]{3}$")
    """Of the price, as an ISO 4217 code."""


class NightlyConfig(Concern):
    """A whole night: every concern in one object."""

    corpus: CorpusConfig
    store: StoreConfig
    encoder: EncoderConfig = EncoderConfig()
    retrieval: RetrievalConfig = RetrievalConfig()
    questions: QuestionsConfig = QuestionsConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    answer: AnswerConfig = AnswerConfig()
    closing: ClosingConfig = ClosingConfig()
    cluster: ClusterConfig = ClusterConfig()

    def public(self) -> dict[str, Any]:
        """The configuration as plain data for reports and records. It holds no secrets by construction."""
        return self.model_dump(mode="json")


class MaintainConfig(Concern):
    """The maintenance of a store."""

    store: StoreConfig
    maintenance: MaintenanceConfig = MaintenanceConfig()
