"""The closing questions of a night, when something is wrong with them."""

import io
import json
from dataclasses import asdict
from types import SimpleNamespace

import pytest
from prefect.exceptions import CancelledRun
from prefect.states import Cancelled, Completed, Failed
from rich.console import Console

from lloco_core.answer import closing
from lloco_core.answer.ask import Answer, Source
from lloco_core.answer.closing import ClosingQuestion, answer_closing_questions
from lloco_core.config import NightlyConfig
from lloco_core.errors import StorageError, in_one_line
from lloco_core.observe import terminal
from lloco_core.observe.report import RunReport
from tasks import closing as tasks

ERRORS = [
    StorageError("no passage matches"),
    RuntimeError("CUDA out of memory.\nTried to"),
    MemoryError(),
    KeyError("text"),
    RecursionError("deep"),
]


class StubAsker:
    """Answers all questions but those that an error is meant for."""

    def __init__(self, store_uri, night):
        self.night = SimpleNamespace(text=lambda doc_id: "It is 42.")

    def ask(self, question, doc_id=None):
        if isinstance(question, BaseException):
            raise question
        return Answer(question, "42", "a", None, 2, [Source("d", "file:///d", "D", None, 0, 3, "It is")])

    def without_context(self, question):
        return "7"


@pytest.fixture
def asked(monkeypatch):
    monkeypatch.setattr(closing, "Asker", StubAsker)
    return lambda *questions: [
        asdict(answer) for answer in answer_closing_questions("store", [ClosingQuestion(item) for item in questions])
    ]


@pytest.mark.parametrize("error", ERRORS, ids=[type(error).__name__ for error in ERRORS])
def test_a_question_that_fails_does_not_cost_the_others(asked, error):
    first, failed, last = asked("What is it?", error, "And then?")
    assert [answer["answer"] for answer in (first, failed, last)] == ["42", "", "42"]
    assert (first["failure"], last["failure"]) == (None, None)
    assert failed["failure"].startswith(type(error).__name__)
    assert "\n" not in failed["failure"]


def test_an_interrupt_is_none_of_the_questions_failures(asked):
    with pytest.raises(KeyboardInterrupt):
        asked(KeyboardInterrupt())


def shown(report):
    out = io.StringIO()
    for example in report.examples:
        terminal._print_example(Console(file=out, width=200), example)
    return out.getvalue()


def test_the_report_shows_failures_and_answers(asked):
    report = RunReport.start(NightlyConfig.model_validate({"corpus": {"uri": "c"}, "store": {"uri": "s"}}))
    report.examples = [*asked("What is it?", RuntimeError("no | memory")), {"question": "closing questions", "failure": "OSError: gone"}]
    text = shown(report)
    assert "What is it?\n    from vectors: 42  (these words stand in the source)" in text
    assert "no | memory  failed: RuntimeError: no | memory" in text
    assert "closing questions  failed: OSError: gone" in text
    page = report.as_markdown()
    assert "| no \\| memory | RuntimeError: no \\| memory |" in page
    assert "| closing questions | OSError: gone |" in page
    assert json.loads(json.dumps(report.as_json()))["examples"] == report.examples


def test_an_error_of_a_worker_is_the_one_that_was_raised_there():
    remote = RuntimeError("\x1b[36mray::_ask() (pid=1)\nTraceback ...")
    remote.cause = ValueError("the question\nis empty")
    assert in_one_line(remote) == "ValueError: the question is empty"
    assert len(in_one_line(ValueError("x" * 1000))) < 400


@pytest.mark.parametrize("error", [StorageError("the closing file is gone"), RuntimeError("the worker died"), OSError("No space left")])
def test_whatever_fails_of_all_questions_is_one_line(monkeypatch, error):
    config = NightlyConfig.model_validate({"corpus": {"uri": "c"}, "store": {"uri": "s"}})
    monkeypatch.setattr(tasks, "ask_closing_questions", lambda config, night, return_state: Failed(data=error))
    assert tasks.closing_answers(config, "n") == [{"question": "closing questions", "failure": f"{type(error).__name__}: {error}"}]
    monkeypatch.setattr(tasks, "ask_closing_questions", lambda config, night, return_state: Completed(data=[{"question": "q"}]))
    assert tasks.closing_answers(config, "n") == [{"question": "q"}]
    monkeypatch.setattr(tasks, "ask_closing_questions", lambda config, night, return_state: Cancelled())
    with pytest.raises(CancelledRun):
        tasks.closing_answers(config, "n")
