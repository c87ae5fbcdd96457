"""What context encoders and small bases are trained on: files, rows, and the questions about them."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, model_validator

from lloco_core.config import AnswerConfig, Concern, Uri

FactStyle = Literal["fact_code", "fact_number", "fact_place", "fact_person", "fact_year", "fact_word"]
LiteralStyle = Literal["who_said", "who_did", "what", "because", "when", "is_a", "fill_in"]
Style = FactStyle | LiteralStyle | Literal["recall"]

FACT_STYLES: tuple[str, ...] = get_args(FactStyle)
LITERAL_STYLES: tuple[str, ...] = get_args(LiteralStyle)
STYLES: tuple[str, ...] = (*FACT_STYLES, *LITERAL_STYLES, "recall")


class RowsConfig(Concern):
    """Rows of one shape: where their tokens come from, and how often they have questions."""

    kind: Literal["packed", "document", "asked"] = "document"
    """`packed`: documents one after another, an end token behind each; `document`: a row lies within one document; `asked`: packed
    documents of `text.questions` with the questions that people asked about them."""
    row_tokens: int = Field(6144, ge=8)
    """Tokens per row, exactly."""
    share: float = Field(1, gt=0)
    """Weight of these rows among all batches."""
    after_batches: int = Field(0, ge=0)
    """Batches of a rank before these rows join the others: what short rows teach within minutes makes long ones easy."""
    shortest_document: int = Field(0, ge=0)
    """Documents of fewer tokens are left out of these rows. Rows of kind `document` need documents of `row_tokens` anyway."""
    with_answers: float = Field(0, ge=0, le=1)
    """Share of the rows that get questions; the others are plain text."""
    written_out: float = Field(0, ge=0, le=1)
    """Share of the rows with questions whose questions and answers are their last tokens, as plain text, instead of being asked after
    compression. At 1 such rows are for language models."""


class CurriculumConfig(Concern):
    """The retrieval curriculum: questions made by rule, answered after the text was compressed."""

    tokens_per_answer: int = Field(512, ge=8)
    """A row with questions gets one for every so many tokens, at least one."""
    facts: float = Field(0.45, ge=0)
    """Weight of questions about inserted facts."""
    literal: float = Field(0.35, ge=0)
    """Weight of questions about the text itself."""
    recall: float = Field(0.2, ge=0)
    """Weight of continuing the text after a cue."""
    familiar: float = Field(0.5, ge=0, le=1)
    """Share of the facts whose names and words are single tokens of the vocabulary and whose numbers and codes are short; the others are
    made up of syllables. A vocabulary with too few such words gives none (`familiar.FEWEST`)."""
    edges: float = Field(0.3, ge=0, le=1)
    """Share of the facts that are the first or the last tokens of the row or of a segment; the others follow a sentence."""
    older: float = Field(0.2, ge=0, le=1)
    """Share of the questions that are asked only after later text; at least the shortest of `segment_tokens` later."""
    segment_tokens: tuple[int, ...] = Field((1536,), min_length=1)
    """Lengths of segments whose borders facts are put at."""
    cue_tokens: int = Field(6, ge=2)
    """Length of a cue."""
    recall_tokens: int = Field(12, ge=2)
    """Upper bound of the tokens to recall."""
    held_out_styles: tuple[Style, ...] = ()
    """Styles of questions that are never asked, so that finetuning on them can be measured later."""
    answer: AnswerConfig = AnswerConfig()
    """Wording around question and answer; the model must be served with the same."""

    @model_validator(mode="after")
    def _something_is_asked(self) -> CurriculumConfig:
        weights = {"facts": (self.facts, FACT_STYLES), "literal": (self.literal, LITERAL_STYLES), "recall": (self.recall, ("recall",))}
        for name, (weight, styles) in weights.items():
            if weight and not set(styles) - set(self.held_out_styles):
                raise ValueError(f"curriculum.held_out_styles leaves no style of {name}; set curriculum.{name} to 0")
        if not any(weight for weight, _ in weights.values()):
            raise ValueError("curriculum.facts, literal, and recall are all 0; give one of them a weight")
        if min(self.segment_tokens) < 1:
            raise ValueError(f"curriculum.segment_tokens {self.segment_tokens} holds a length below 1")
        return self

    def only(self, *styles: Style) -> CurriculumConfig:
        """The same curriculum with these styles alone, as evaluations ask them."""
        return CurriculumConfig.model_validate(
            self.model_dump()
            | {
                "held_out_styles": tuple(style for style in STYLES if style not in styles),
                "facts": float(bool(set(styles) & set(FACT_STYLES))),
                "literal": float(bool(set(styles) & set(LITERAL_STYLES))),
                "recall": float("recall" in styles),
            }
        )


class QuestionFilesConfig(Concern):
    """Questions that people asked about documents. One JSON object per document and line: `id`, `text`, and `questions`, a list of objects
    with `question`, `answers` (any one is right), `answerable` (false: the document does not say), and `kind` (`span` by default:
    the answer stands in the text)."""

    files: tuple[Uri, ...] = Field(min_length=1)
    """As `text.files`, JSON lines only."""
    tokens_per_question: int = Field(64, ge=8)
    """A row gets at most one question for every so many tokens; a seeded sample beyond that."""
    longest_answer: int = Field(200, ge=1)
    """Characters; questions with longer answers are not asked."""
    foreign: float = Field(0.1, ge=0)
    """For every question of a row, the chance of another one that is about no document of the row."""
    refusal: str = Field("The document does not say.", min_length=1)
    """Answer to questions that the row does not answer."""


class TextConfig(Concern):
    """The text of a training run."""

    files: tuple[Uri, ...] = Field(min_length=1)
    """Files (.jsonl, .parquet, or .jsonl with .gz or .zst) and folders or s3:// prefixes of such files."""
    text_field: str = "text"
    """Field or column of the text."""
    id_field: str = "id"
    """Field or column of the id, a string or an integer."""
    drop: Uri | None = None
    """File of ids to leave out: one a line, or a .tsv whose header names a column `doc_id` or `id`."""
    validation: float = Field(0.005, ge=0, lt=1)
    """Share of the documents that are never trained on, chosen by a hash of the id."""
    damaged_rate: float = Field(0.001, ge=0, le=1)
    """Share of the lines that may be unreadable (at least one may, unless it is 0)."""
    document_mb: int = Field(64, ge=1)
    """A longer line counts as damaged."""
    open_files: int = Field(4, ge=1)
    """Files read in turns. One with a long zstd window takes as much memory as its window."""
    cache: str
    """Folder on a local disk for the tokens."""
    processes: int = Field(1, ge=1)
    """Processes that tokenise."""
    rows: tuple[RowsConfig, ...] = Field((RowsConfig(),), min_length=1)
    """Shapes of rows; every batch has one of them."""
    batch_tokens: int = Field(49_152, ge=8)
    """Tokens per batch of one rank; a multiple of every row's."""
    curriculum: CurriculumConfig = CurriculumConfig()
    questions: QuestionFilesConfig | None = None
    """For rows of kind `asked`."""
    seed: int = 0
    """Order of documents and rows, and everything random about questions."""
    threads: int = Field(1, ge=1)
    """Threads that make batches; their number changes nothing else."""
    loader_processes: int = Field(0, ge=0)
    """Processes that make batches in place of the threads, which take turns with the training for one interpreter. Worth their start
    where a small model reads questions faster than about half a million tokens a second."""
    ahead: int = Field(4, ge=1)
    """Batches that are ready or being made."""

    @model_validator(mode="after")
    def _batches_are_whole_rows(self) -> TextConfig:
        for rows in self.rows:
            if self.batch_tokens % rows.row_tokens:
                raise ValueError(f"text.batch_tokens {self.batch_tokens} is not a multiple of row_tokens {rows.row_tokens}")
        if self.questions is None and any(rows.kind == "asked" for rows in self.rows):
            raise ValueError("text.rows of kind asked need text.questions.files; name the files of questions")
        if min(rows.after_batches for rows in self.rows):
            raise ValueError("all of text.rows wait for after_batches; set it to 0 for the first rows")
        return self
