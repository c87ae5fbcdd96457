"""The tables of docs/formats.md that follow from the code: formats, and what is ignored. Run: python -m benchmarks.formats_table"""

from __future__ import annotations

from benchmarks.machine import ROOT, between
from lloco_core.corpus import litter
from lloco_core.corpus.formats.registry import FORMATS
from lloco_core.corpus.unpacking import CODECS

DOCS = ROOT / "docs" / "formats.md"
FORMATS_MARKS = ("<!-- formats:start -->", "<!-- formats:end -->")
LITTER_MARKS = ("<!-- litter:start -->", "<!-- litter:end -->")


def main() -> None:
    """Bring docs/formats.md up to date."""
    DOCS.write_text(updated(DOCS.read_text()))


def updated(text: str) -> str:
    """The page with the tables of today."""
    return between(between(text, *FORMATS_MARKS, formats_block()), *LITTER_MARKS, litter_block())


def formats_block() -> str:
    """Every format in one row."""
    lines = ["| format | suffixes | becomes | read with | left out |", "|---|---|---|---|---|"]
    for found in FORMATS:
        suffixes = " ".join(f"`{suffix}`" for suffix in found.suffixes)
        lines.append(f"| {found.name} | {suffixes} | {found.documents} | {found.library} | {found.left_out} |")
    packed = " ".join(f"`{suffix}` ({codec})" for suffix, codec in CODECS.items())
    return "\n".join([*lines, "", f"Each of them may be packed, its suffix behind that of its format: {packed}."])


def litter_block() -> str:
    """Every kind of file that is ignored."""
    kinds = [(f"`{beginning}*`", what) for beginning, what in litter.HIDDEN.items()]
    kinds += [(f"`{name.strip()}`", what) for name, what in litter.FILES.items()]
    kinds += [(f"`{prefix}*`", what) for prefix, what in litter.PREFIXES.items()]
    kinds += [(f"`*{suffix}`", what) for suffix, what in litter.SUFFIXES.items()]
    kinds += [(f"`{folder}/`", what) for folder, what in litter.FOLDERS.items()]
    kinds += [(f"`{litter.FORGOTTEN[0]}`", litter.FORGOTTEN[1])]
    return "\n".join(["| name, in any case | what it is |", "|---|---|", *(f"| {name} | {what} |" for name, what in kinds)])


if __name__ == "__main__":
    main()
