"""A document that hangs, bloats, or kills its parser costs itself only. Run: pytest tests/unit/corpus/test_isolation.py"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lloco_core.config import CorpusConfig
from lloco_core.corpus import reading
from lloco_core.corpus.formats import parse_object
from lloco_core.corpus.isolation import IsolatedParser, isolated_parser
from lloco_core.corpus.reading import read_documents
from lloco_core.types import Document, Rejection, SourceObject
from tests import killing_parsers
from tests.harmful_files import VALID, endless_html, paragraph_bomb, quadratic_text

REPOSITORY = Path(__file__).parents[3]
LIMITS = CorpusConfig(uri="/corpus")


@pytest.fixture
def read(tmp_path):
    """Read bytes as the file `name` of a corpus; keywords are fields of `CorpusConfig`."""

    def read_file(name: str, data: bytes, **options) -> list[Document | Rejection]:
        path = tmp_path / name
        path.write_bytes(data)
        source = SourceObject(path.as_uri(), "e1", len(data), name)
        return list(read_documents(source, CorpusConfig(uri=str(tmp_path), **options)))

    return read_file


def parser_pid() -> int:
    return isolated_parser().call(killing_parsers.process_id, limits=LIMITS)[0]


def test_results_are_those_of_parsing_here(tmp_path):
    for name, (suffix, data) in VALID.items():
        path = tmp_path / f"{name}.{suffix}"
        path.write_bytes(data)
        source = SourceObject(path.as_uri(), "e1", len(data), path.name, {"group": "g"})
        found = list(read_documents(source, LIMITS))
        assert found == list(parse_object(data, source, LIMITS))
        assert {type(item) for item in found} == {Document}, name


def test_one_process_serves_many_objects(read):
    before = parser_pid()
    assert [read(f"{number}.txt", b"text")[0].text for number in range(20)] == ["text"] * 20
    assert parser_pid() == before


def test_the_process_loads_neither_torch_nor_lance(read):
    read("a.pdf", VALID["pdf"][1])
    read("a.parquet", VALID["parquet"][1])
    loaded = isolated_parser().call(killing_parsers.loaded, limits=LIMITS)
    assert "pypdf" in loaded
    assert not {"torch", "lance", "ray", "transformers", "prefect"} & set(loaded)


@pytest.mark.parametrize(("name", "data"), [("page.html", endless_html(60_000)), ("marks.txt", quadratic_text(600_000))])
def test_a_document_that_hangs_its_parser_is_stopped(read, name, data):
    before = parser_pid()
    (rejection,) = read(name, data, parse_seconds=0.5)
    assert (rejection.stage, rejection.code) == ("parse", "parser_timeout")
    assert "corpus.parse_seconds 0.5, twice; split the document, raise the limit" in rejection.message
    assert not psutil.pid_exists(before)
    assert read("next.txt", b"text")[0].text == "text"


def test_a_document_that_bloats_its_parser_is_stopped(read):
    (rejection,) = read("bomb.docx", paragraph_bomb(2_000_000), parse_memory_mb=256)
    assert rejection.code == "parser_memory"
    assert "more than corpus.parse_memory_mb 256, twice; split" in rejection.message
    assert read("next.docx", VALID["docx"][1])[0].media_type.endswith("wordprocessingml.document")


def test_a_document_that_kills_its_parser_costs_only_itself(read, monkeypatch):
    monkeypatch.setattr(reading, "parse_object", killing_parsers.crash)
    results = [read(f"{number}.txt", data)[0] for number, data in enumerate([b"before", b"crash", b"after"])]
    assert [getattr(result, "text", None) for result in results] == ["before", None, "after"]
    assert results[1].code == "parser_killed"
    assert "signal 11 (SIGSEGV), twice; check" in results[1].message


def test_a_library_that_calls_exit_is_a_death_too(read, monkeypatch):
    monkeypatch.setattr(reading, "parse_object", killing_parsers.leave)
    (rejection,) = read("a.txt", b"text")
    assert (rejection.code, "exit code 3" in rejection.message) == ("parser_killed", True)


def test_an_object_is_tried_once_more_and_gives_its_documents_once(read, monkeypatch, tmp_path):
    monkeypatch.setattr(reading, "parse_object", killing_parsers.crash_once)
    marker = str(tmp_path / "tried")
    assert [document.text for document in read("a.txt", marker.encode())] == [marker]
    assert Path(marker).exists()


def test_a_process_that_died_between_two_objects_is_replaced(read):
    psutil.Process(parser_pid()).kill()
    assert read("a.txt", b"text")[0].text == "text"


WORKER = """
import sys, os, time
from lloco_core.config import CorpusConfig
from lloco_core.corpus.isolation import isolated_parser
from tests import killing_parsers
limits = CorpusConfig(uri="/corpus")
{}
"""


def worker(code: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER.format(code), *arguments]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def wait_for(happened, seconds=60):
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_parser_that_never_returns_dies_with_its_worker(tmp_path):
    pid_file = tmp_path / "pid"
    killed = worker("isolated_parser().call(killing_parsers.hold_on, sys.argv[1].encode(), limits=limits)", str(pid_file))
    wait_for(lambda: pid_file.exists() and pid_file.read_text())
    pid = int(pid_file.read_text())
    assert psutil.pid_exists(pid)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_a_forked_worker_has_a_parser_of_its_own():
    code = """
mine = isolated_parser().call(killing_parsers.process_id, limits=limits)
forked = os.fork()
other = isolated_parser().call(killing_parsers.process_id, limits=limits)
print(mine == other, flush=True)
os._exit(0) if forked == 0 else os.waitpid(forked, 0)
"""
    output, _ = worker(code).communicate(timeout=60)
    assert sorted(output.split()) == ["False", "True"]


def test_threads_take_turns():
    from concurrent.futures import ThreadPoolExecutor

    parser = IsolatedParser()
    sources = [SourceObject(f"file:///{number}.txt", "e", 1, f"{number}.txt") for number in range(40)]
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda source: parser.call(parse_object, source.uri.encode(), source, LIMITS, limits=LIMITS), sources)
        assert [document.text for (document,) in answers] == [source.uri for source in sources]
    parser.close()
