"""Gloo ranks as processes of their own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path


def launch(script: Path, folder: Path, ranks: int, jobs: list[dict], seconds: float = 500) -> None:
    """Run `script jobs.json` on `ranks` processes without a compiler at hand."""
    (folder / "jobs.json").write_text(json.dumps(jobs))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    group = {
        "WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "DS_ACCELERATOR": "cpu",
    }
    no_compiler = {"CC": "/bin/false", "CXX": "/bin/false", "TORCH_EXTENSIONS_DIR": str(folder / "extensions")}
    started = [
        subprocess.Popen(
            [sys.executable, str(script), str(folder / "jobs.json")],
            env={**os.environ, **group, **no_compiler, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=(folder / f"rank{rank}.log").open("w"),
            stderr=subprocess.STDOUT,
        )
        for rank in range(ranks)
    ]
    try:
        codes = [process.wait(timeout=seconds) for process in started]
    finally:
        for process in started:
            process.kill()
    assert codes == [0] * ranks, "\n".join((folder / f"rank{rank}.log").read_text()[-3000:] for rank in range(ranks))
    assert not (folder / "extensions").exists(), "something was compiled"
