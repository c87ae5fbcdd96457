"""The wheel: the library with the reference checkpoint, and nothing else that would land in site-packages."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.real
def test_the_wheel_holds_the_library_only(tmp_path: Path):
    command = [sys.executable, "-m", "uv", "build", "--wheel", "--quiet", "--out-dir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, timeout=200)
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"lloco_core"}
    for name in ("model.safetensors", "tokenizer.json", "config.json", "README.md"):
        assert f"lloco_core/models/reference/{name}" in names
    assert wheel.stat().st_size < 32e6
