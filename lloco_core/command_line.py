"""What every command does at its edges: streams that take any character, and errors of the environment as one line.

For entry points only: `with one_line_errors(): ...`.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from lloco_core.errors import ConfigurationError, LlocoError
from lloco_core.observe.printable import printable

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended, as of one that SIGINT killed."""
_PIPE_CLOSED = 141
"""Exit code of a command whose reader went away, as of one that SIGPIPE killed."""

_PLACE = re.compile(r", /\S+\.rs:\d+:\d+")
"""Where in Lance's source an error arose, which helps no user."""
_NEXT_STEPS = {
    errno.ENOSPC: "no space is left; make room and run it again: what was committed is kept",
    errno.EDQUOT: "the disk quota is used up; make room and run it again: what was committed is kept",
    errno.EROFS: "the file system is read-only; use a folder that can be written",
    errno.EACCES: "permission is missing; give it to this user, or use another folder",
    errno.EPERM: "permission is missing; give it to this user, or use another folder",
}


def prepare_streams() -> None:
    """Let standard output and error take every character: what the encoding lacks is written as an escape. Closed ones swallow all."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123 - open for as long as the process lives
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Run a command: an error that its user can do something about is one line on standard error, and exit code 1.

    Those are errors of this package, a full or read-only disk, missing permissions, and Ctrl-C. A reader that goes away (`| head`) ends
    the command silently. Anything else is a fault of the program and keeps its traceback.
    """
    prepare_streams()
    try:
        try:
            _decode_arguments()
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        raise SystemExit(_PIPE_CLOSED) from None
    except KeyboardInterrupt:
        _end("interrupted; run the same command again", INTERRUPTED)
    except Exception as error:
        line = explain(error)
        if line is None:
            raise
        _end(f"error: {line}", 1)


def explain(error: BaseException) -> str | None:
    """Say in one line what happened and what to do; None for a fault of the program."""
    if isinstance(error, LlocoError):
        return str(error)
    number = _error_number(error)
    if number is None:
        return None
    said = _PLACE.sub("", str(error).strip()).splitlines() or [type(error).__name__]
    return f"{said[-1].strip()}: {_NEXT_STEPS[number]}"


def _error_number(error: BaseException) -> int | None:
    """The errno of an error; of Lance, which passes on the words only, the one whose words it has."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in _NEXT_STEPS else None
    if not isinstance(error, (OSError, RuntimeError, ValueError)):
        return None
    return next((number for number in _NEXT_STEPS if f"(os error {number})" in str(error) or os.strerror(number) in str(error)), None)


def _decode_arguments() -> None:
    """Take arguments in UTF-8 as such whatever the locale says, and refuse others: what cannot be encoded can be no key or question."""
    for position, argument in enumerate(sys.argv):
        try:
            argument.encode()
        except UnicodeEncodeError:
            try:
                sys.argv[position] = os.fsencode(argument).decode()
            except UnicodeError:
                raise ConfigurationError(f"argument {argument!r} is not text in UTF-8; give it in UTF-8") from None


def _end(line: str, code: int) -> NoReturn:
    with suppress(OSError, ValueError):
        sys.stderr.write(printable(line) + "\n")
        sys.stderr.flush()
    _discard_output()
    raise SystemExit(code) from None


def _discard_output() -> None:
    """What is left in the buffer cannot be written; the interpreter would try once more and complain."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        return
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
