"""Questions by people, answered from vectors, from the text, and from nothing: token F1 per set, with intervals over rows of documents.

    python -m benchmarks.people --model FOLDER --questions .lloco/smollm2/questions/test.jsonl.gz --output benchmarks/results/people.json

`--segment-length` sets how many tokens become one segment's vectors. All answers are written beside the table (`--answers`).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import provenance
from lloco_core.compressor import load_encoder
from lloco_core.config import AnswerConfig
from lloco_core.encoder_training.text.tokens import TextTokenizer
from lloco_core.evaluation.asking import Asking
from lloco_core.evaluation.intervals import Bootstrap, interval
from lloco_core.evaluation.people import PersonCase, person_cases
from lloco_core.evaluation.scoring import answer_scores

CONTEXTS = ("none", "wrong", "vectors", "full_text")
CHATML = AnswerConfig(
    question_template="<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n", answer_template="{answer}", max_new_tokens=32
)


def main() -> None:
    """Measure, print, and write the result file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--questions", nargs="+", required=True)
    parser.add_argument("--cache", default=".lloco/smollm2/tokens")
    parser.add_argument("--row-tokens", type=int, default=1536)
    parser.add_argument("--segment-length", type=int, nargs="+", default=[1536])
    parser.add_argument("--contexts", nargs="+", choices=CONTEXTS, default=list(CONTEXTS))
    parser.add_argument("--per-source", type=int, default=100)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--answers", type=Path)
    options = parser.parse_args()
    result = measure(options)
    print(json.dumps(result["rows"], indent=1))
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The result file; answers go to their own."""
    rows, told = [], []
    for length in options.segment_length:
        encoder = load_encoder(options.model, device=options.device, dtype=options.dtype, segment_length=length)
        tokenizer = TextTokenizer.of(encoder.tokenizer)
        cases = person_cases(options.questions, options.cache, tokenizer, row_tokens=options.row_tokens, per_source=options.per_source)
        asking = Asking(encoder, cases, CHATML, options.batch)
        for context in options.contexts:
            if context in ("none", "full_text") and length != options.segment_length[0]:
                continue  # the same whatever the segments
            started = time.perf_counter()
            answers = asking.answers(context)
            rows += _table(cases, answers, context, length, encoder.summary_length, time.perf_counter() - started)
            told += [
                {"context": context, "segment_length": length, "source": case.source, "question": case.question}
                | {"references": case.references, "answer": answers[case.case_id]}
                for case in cases
            ]
        del asking, encoder
    if options.answers:
        options.answers.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in told))
    facts = provenance("python -m benchmarks.people", ("torch", "transformers"))
    return facts | {"options": {key: str(value) for key, value in vars(options).items()}, "rows": rows}


def _table(
    cases: list[PersonCase], answers: dict[str, str], context: str, length: int, vectors: int, seconds: float
) -> list[dict[str, Any]]:
    """A row per set, and one for all of them."""
    rows = []
    for source in [*sorted({case.source for case in cases}), "all"]:
        asked = [case for case in cases if case.references and source in (case.source, "all")]
        if not asked:
            continue
        scores = [answer_scores("f1", answers[case.case_id], case.references) for case in asked]
        clusters = [case.document_id for case in asked]
        found = interval([100 * score["f1"] for score in scores], clusters, bootstrap=Bootstrap(draws=2000))
        rows.append(
            {"context": context, "tokens_per_vector": round(length / vectors, 1), "source": source, "questions": len(asked)}
            | {"f1": round(found.value, 1), "interval": [round(bound, 1) for bound in found.bounds]}
            | {"em": round(100 * sum(score["em"] for score in scores) / len(scores), 1), "seconds": round(seconds, 1)}
        )
    refused = [answers[case.case_id] for case in cases if not case.references]
    if refused:
        answered = sum("does not say" not in answer.lower() for answer in refused) / len(refused)
        rows.append({"context": context, "source": "unanswerable", "questions": len(refused), "answered": round(100 * answered, 1)})
    return rows


if __name__ == "__main__":
    main()
