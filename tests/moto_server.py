"""Moto, an S3 server in this process, on a port of its own; also with faults that real stores have."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

App = Callable[[dict[str, Any], Any], Any]
"""A WSGI application."""

MEETING_SECONDS = 20


@contextmanager
def moto_server(layer: Callable[[App], App] = lambda app: app) -> Iterator[str]:
    """Run a server; yields its URL. `layer` is put around moto's own application. All servers of a process hold the same buckets."""
    from moto.server import create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # S3 alone: moto's dispatcher for all services lists its modules' folders in every request, most of a request's time;
    # a fixed port that is taken would hang for ever
    server = make_server("127.0.0.1", 0, layer(create_backend_app("s3")), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


class IgnoresConditions:
    """A store that takes every PUT, whatever `If-None-Match` says."""

    def __init__(self, app: App) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ["REQUEST_METHOD"] == "PUT":
            environ.pop("HTTP_IF_NONE_MATCH", None)
        return self.app(environ, start_response)


class MeetingOfTwo:
    """Holds the first PUT below `folder` back until a second one is there: two writers that know nothing of each other."""

    def __init__(self, app: App, folder: str) -> None:
        self.app, self.folder = app, folder
        self.met = threading.Event()
        self._meeting = threading.Barrier(2, action=self.met.set, timeout=MEETING_SECONDS)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ["REQUEST_METHOD"] == "PUT" and self.folder in environ["PATH_INFO"] and not self.met.is_set():
            self._meeting.wait()
        return self.app(environ, start_response)


class LosesAnswers:
    """Does what a PUT of a key asks, then breaks the connection instead of answering; `n_lost` counts."""

    def __init__(self, app: App, key: str, times: int) -> None:
        self.app, self.key, self.times = app, key, times
        self.n_lost = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        body = list(self.app(environ, start_response))
        if environ["REQUEST_METHOD"] == "PUT" and self.key in environ["PATH_INFO"] and self.n_lost < self.times:
            self.n_lost += 1
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return body
