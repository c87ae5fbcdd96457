"""A flow as a command: options, the flow, what came out; errors and interrupts are one line each."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from lloco_core.command_line import one_line_errors
from lloco_core.config import Concern
from lloco_core.errors import LlocoError
from lloco_core.interruption import interruptible

_Config = TypeVar("_Config", bound=Concern)
_Result = TypeVar("_Result")


def run_command(flow: Callable[[_Config], _Result], model: type[_Config], show: Callable[[_Result], None], kept: str) -> None:
    """Run a flow in this process with the options of the command line, and show what came out.

    Args:
        model: what the options are of.
        kept: what the line of an interrupt says: what is kept, and how to go on.
    """
    from lloco_core.options import parse_options

    with interruptible(kept), one_line_errors():
        options = parse_options(model=model)
        _start_prefect()
        show(flow(options))


def _start_prefect() -> None:
    """Start Prefect's temporary server, where none is configured, so that Ctrl-C does not reach it.

    It is in the process group of the command. Were it gone first, the run could not be ended: its client asks for minutes.
    """
    pool = ThreadPoolExecutor(1, initializer=signal.pthread_sigmask, initargs=(signal.SIG_BLOCK, {signal.SIGINT}))
    try:
        pool.submit(_open_client).result()  # a process begins with the signals blocked that its parent thread had blocked
    finally:
        pool.shutdown(wait=False)


def _open_client() -> None:
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS as PATIENCE

    try:
        with get_client(sync_client=True):
            pass
    except RuntimeError as error:
        raise LlocoError(
            f"Prefect's temporary server did not start: {error} Run again with {PATIENCE.name} above {PATIENCE.value()}, "
            "or start a server and set PREFECT_API_URL"
        ) from error
