"""Commands on odd terminals, without a home folder, on a full disk: one line at most, never a traceback."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lloco_core.cli import main
from lloco_core.command_line import explain, one_line_errors
from lloco_core.corpus.groups import group_name
from lloco_core.doctor import _describe_cache
from lloco_core.errors import StorageError
from lloco_core.settings import cache_folder, settings
from lloco_core.store.nights import publish_night
from tests.unit.store.fixtures import document, ingest, new_store, shard

ROOT = Path(__file__).resolve().parents[2]
TITLE = "文档 – 5 € Ω"
LLOCO = [sys.executable, "-c", "from lloco_core.cli import main; main()"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store whose titles and groups many encodings lack, with more to print than a pipe holds."""
    store = new_store(str(tmp_path_factory.mktemp("odd") / "store"))
    found = [document(f"{TITLE} {number}", "one two three", group=group_name(f"Ω{number}")) for number in range(900)]
    ingest(store, shard("p1", 0, [*found[1:], document(TITLE, " ".join(["Ωmega"] * 30))]))
    store.objects.put("_runs/night-1/config.json", b"{}")
    publish_night(store, "night-1")
    return store.root


def lloco(*arguments: str | bytes, shell: str = '"$@"', **environment: str | None) -> subprocess.CompletedProcess[bytes]:
    """Run the command below bash, with variables set or (None) removed."""
    changed = {"PYTHONPATH": str(ROOT), "LANG": None, "LC_ALL": None, **environment}
    kept = {name: value for name, value in os.environ.items() if name not in changed}
    env = kept | {name: value for name, value in changed.items() if value is not None}
    return subprocess.run(["bash", "-c", shell, "bash", *LLOCO, *arguments], capture_output=True, env=env, timeout=120, check=False)


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp437", "shift_jis", "iso8859-7"])
def test_what_the_terminal_cannot_show_is_escaped(store: str, encoding: str, monkeypatch: pytest.MonkeyPatch):
    for arguments, code in ((["inspect", TITLE], 0), (["status"], 0), (["inspect", f"no {TITLE}"], 1)):
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
        monkeypatch.setattr("sys.stdout", out)
        monkeypatch.setattr("sys.stderr", err)
        monkeypatch.setattr("sys.argv", ["lloco", *arguments, "--store", store])
        with pytest.raises(SystemExit) as end:
            main()
        out.flush()
        shown, said = out.buffer.getvalue().decode(encoding), err.buffer.getvalue().decode(encoding)
        assert end.value.code == code
        if arguments[0] == "inspect":
            assert TITLE.encode(encoding, "backslashreplace").decode(encoding) in (said if code else shown)
        assert said.count("\n") == code


def test_a_locale_without_umlauts_is_no_obstacle(store: str):
    shown = lloco("inspect", TITLE, "--store", store, LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert rb"\u2013" in shown.stdout


@pytest.mark.parametrize("shell", ['"$@" | head -1', '"$@" >&-', '"$@" >&- 2>&-'])
def test_a_reader_that_goes_away_ends_it_silently(store: str, shell: str):
    ended = lloco("status", "--store", store, shell=f"set -o pipefail; {shell}")
    assert ended.stderr == b""
    assert ended.returncode in (0, 1, 141)


def test_a_full_disk_is_said_in_one_line(store: str):
    ended = lloco("inspect", TITLE, "--store", store, shell='"$@" > /dev/full')
    assert ended.returncode == 1
    assert ended.stderr.decode().count("\n") == 1
    assert "No space left on device: no space is left; make room" in ended.stderr.decode()


def test_arguments_that_are_not_text_are_named():
    refused = lloco("ask", b"what is \xff?", "--store", b"/nowhere/\xfe")
    assert refused.returncode == 1
    assert refused.stderr == b"error: argument 'what is \\udcff?' is not text in UTF-8; give it in UTF-8\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), "make room"),
        (OSError("LanceError(IO): Generic LocalFileSystem error: No space left on device (os error 28)"), "make room"),
        (RuntimeError("lance error: failed\n caused by: Read-only file system (os error 30)"), "read-only"),
        (ValueError("cannot write /x: Permission denied (os error 13)"), "permission"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "permission"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "quota"),
        (StorageError("the store is gone"), "the store is gone"),
    ],
    ids=str,
)
def test_errors_of_the_surroundings_are_one_line_with_a_next_step(error: Exception, said: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end, one_line_errors():
        raise error
    printed = capsys.readouterr()
    assert (end.value.code, printed.out, printed.err.count("\n")) == (1, "", 1)
    assert said in printed.err


@pytest.mark.parametrize(
    "error", [ValueError("a fault"), KeyError("x"), RuntimeError("CUDA"), FileNotFoundError(errno.ENOENT, "x")], ids=str
)
def test_faults_of_the_program_keep_their_traceback(error: Exception):
    assert explain(error) is None
    with pytest.raises(type(error)), one_line_errors():
        raise error


def test_an_interrupt_is_one_line(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end, one_line_errors():
        raise KeyboardInterrupt
    assert (end.value.code, capsys.readouterr().err) == (130, "interrupted; run the same command again\n")


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch):
    """The environment is read again, before and after."""

    def clear() -> None:
        settings.cache_clear()
        cache_folder.cache_clear()

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    clear()
    yield monkeypatch
    clear()


def test_the_cache_lies_where_the_user_says(fresh: pytest.MonkeyPatch, tmp_path: Path):
    fresh.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "lloco"
    settings.cache_clear()
    cache_folder.cache_clear()
    fresh.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache" / "lloco"


@pytest.mark.parametrize("home", [None, "/proc/nowhere", "/dev/null"])
def test_without_a_home_folder_the_cache_goes_with_the_process(fresh: pytest.MonkeyPatch, home: str | None):
    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    fresh.setattr("pwd.getpwuid", unknown)
    fresh.delenv("HOME") if home is None else fresh.setenv("HOME", home)
    folder = cache_folder()
    (folder / "adapters").mkdir(exist_ok=True)
    assert "lloco-cache-" in folder.name
    assert "set HOME or XDG_CACHE_HOME" in _describe_cache()
