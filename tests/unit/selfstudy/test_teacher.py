"""The teacher against a small HTTP server that speaks OpenAI's chat completions."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr

from lloco_core.config import TeacherConfig
from lloco_core.errors import ConfigurationError, LlocoError
from lloco_core.selfstudy import teacher
from lloco_core.selfstudy.teacher import KINDS, ask_teacher, connect_teacher, split_windows
from lloco_core.settings import Settings

KEY = "sk-very-secret"


class Endpoint:
    """Answers each request with the next scripted reply: (status, text) or seconds to sleep; the last one repeats."""

    def __init__(self) -> None:
        self.script: list[tuple[int, str] | float] = []
        self.requests: list[dict] = []
        self.keys: list[str | None] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                endpoint.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                endpoint.keys.append(self.headers["Authorization"])
                reply = endpoint.script.pop(0) if len(endpoint.script) > 1 else endpoint.script[0]
                if isinstance(reply, float):
                    time.sleep(reply)
                    reply = (200, "")
                status, text = reply
                choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
                body = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
                data = json.dumps(body if status == 200 else {"error": {"message": text}}).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    return  # the client gave up

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def prompt(self, index: int) -> str:
        return self.requests[index]["messages"][-1]["content"]


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setattr(teacher, "settings", lambda: Settings(teacher_api_key=SecretStr(KEY)))
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.02)
    endpoint = Endpoint()
    thread = threading.Thread(target=endpoint.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield endpoint
    endpoint.server.shutdown()
    endpoint.server.server_close()


def lines(*pairs: tuple[str, str]) -> str:
    return "\n".join(json.dumps({"question": question, "answer": answer}) for question, answer in pairs)


def ask(endpoint: Endpoint, text: str = "Ada wrote notes in 1843.", count: int = 1, timeout: float = 5.0):
    config = TeacherConfig(base_url=endpoint.url, model="m", timeout_seconds=timeout)
    return ask_teacher(connect_teacher(config), config, "d1", "Ada's notes", text, count)


def test_five_kinds_share_the_questions(endpoint: Endpoint) -> None:
    endpoint.script = [(200, lines((f"Question {n}a?", "a"), (f"Question {n}b?", "b"), (f"Question {n}c?", "c"))) for n in range(5)]
    reply = ask(endpoint, count=8)
    assert len(reply.examples) == 8
    assert reply.dropped == {"surplus": 7}
    assert len(endpoint.requests) == 5
    for index, subject in enumerate(KINDS.values()):
        assert subject in endpoint.prompt(index)
        assert "Ada wrote notes in 1843." in endpoint.prompt(index)
        assert "Ada's notes" in endpoint.prompt(index)
    assert "Question 0a?" not in endpoint.prompt(0)
    assert "Question 0a?" in endpoint.prompt(1)
    assert endpoint.keys == [f"Bearer {KEY}"] * 5


def test_malformed_lines_are_dropped_and_counted(endpoint: Endpoint) -> None:
    good = lines(("Who wrote notes in 1843?", "Ada"))
    bad = [
        "Here are your questions:",
        "```json",
        "[",
        good + ",",
        "]",
        "```",
        lines(("who wrote NOTES in 1843?", "Ada")),
        json.dumps({"question": "Who?"}),
        json.dumps({"question": "Who?", "answer": 3}),
        json.dumps(["Who?", "Ada"]),
        lines(("Who wrote what?", "   ")),
        lines(("What does the passage say about Ada?", "x")),
        lines(("According to this long text, who wrote?", "x")),
        lines(("What was mentioned above?", "x")),
        lines(("q" * 1001, "x")),
        '{"question": "cut off',
    ]
    endpoint.script = [(200, "\n".join(bad))]
    reply = ask(endpoint)
    assert [(row.doc_id, row.question, row.answer) for row in reply.examples] == [("d1", "Who wrote notes in 1843?", "Ada")]
    assert reply.dropped == {"needs_document": 3, "not_a_pair": 4, "not_json": 2, "repeated": 1, "too_long": 1}


def test_empty_reply_gives_nothing(endpoint: Endpoint) -> None:
    endpoint.script = [(200, "")]
    assert ask(endpoint) == teacher.TeacherReply([], {})


def test_failures_are_retried(endpoint: Endpoint) -> None:
    endpoint.script = [(500, "busy"), (429, "slow down"), (503, "down"), (200, lines(("Who was Ada?", "A countess")))]
    assert len(ask(endpoint).examples) == 1
    assert len(endpoint.requests) == 4


def test_timeout_is_retried(endpoint: Endpoint) -> None:
    endpoint.script = [1.0, (200, lines(("Who was Ada?", "A countess")))]
    assert len(ask(endpoint, timeout=0.3).examples) == 1
    assert len(endpoint.requests) == 2


def test_lasting_failures_end_with_a_next_step(endpoint: Endpoint) -> None:
    endpoint.script = [(500, f"your key {KEY}")]
    with pytest.raises(LlocoError, match="answered 500 5 times"):
        ask(endpoint)
    endpoint.script = [1.0]
    with pytest.raises(LlocoError, match=r"APITimeoutError in 5 attempts; check network and timeout_seconds"):
        ask(endpoint, timeout=0.1)
    assert len(endpoint.requests) == 10


@pytest.mark.parametrize(("status", "hint"), [(401, "LLOCO_TEACHER_API_KEY"), (404, r"teacher\.base_url and teacher\.model")])
def test_refusals_are_not_retried_and_keep_the_key(status: int, hint: str, endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint.script = [(status, f"wrong key {KEY}")]
    with pytest.raises(ConfigurationError, match=hint) as caught:
        ask(endpoint)
    assert len(endpoint.requests) == 1
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert KEY not in "".join(record.getMessage() for record in caplog.records if record.name.startswith("lloco"))


def test_long_documents_are_sent_in_windows(endpoint: Endpoint) -> None:
    text = "\n\n".join(f"Paragraph {n}. " + "word " * 100 for n in range(100))
    windows = split_windows(text)
    assert "".join(windows) == text
    assert all(len(window) <= teacher.WINDOW_CHARS for window in windows)
    assert all(window.startswith("Paragraph") for window in windows)
    endpoint.script = [(200, "")]
    ask(endpoint, text, count=2)
    assert len(endpoint.requests) == 2
    assert windows[0] in endpoint.prompt(0)
    assert windows[len(windows) // 2] in endpoint.prompt(1)


def test_windows_of_odd_texts() -> None:
    assert split_windows("") == []
    assert split_windows(" \n") == []
    unbroken = "x" * (2 * teacher.WINDOW_CHARS + 5)
    assert [len(window) for window in split_windows(unbroken)] == [teacher.WINDOW_CHARS, teacher.WINDOW_CHARS, 5]
