"""A text PDF from ASCII text, for the demo corpus and tests: one fixed-width font, a fixed number of lines per page."""

from __future__ import annotations

LINES_PER_PAGE = 60


def text_pdf(text: str, title: str) -> bytes:
    """Write `text` as a PDF. Equal input gives equal bytes."""
    lines = text.split("\n")
    pages = [lines[start : start + LINES_PER_PAGE] for start in range(0, len(lines), LINES_PER_PAGE)]
    first_page = 5  # after catalog, page tree, font, and information; every page is followed by its content
    kids = " ".join(f"{first_page + 2 * index} 0 R" for index in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Courier >>",
        f"<< /Title ({_escape(title)}) >>",
    ]
    for index, page in enumerate(pages):
        content = "BT /F1 9 Tf 11 TL 50 760 Td\n" + "\n".join(f"({_escape(line)}) Tj T*" for line in page) + "\nET"
        resources = f"/MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> /Contents {first_page + 2 * index + 1} 0 R"
        objects += [f"<< /Type /Page /Parent 2 0 R {resources} >>", f"<< /Length {len(content)} >>\nstream\n{content}\nendstream"]
    return _assemble(objects)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def _assemble(objects: list[str]) -> bytes:
    out, offsets = "%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R /Info 4 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    return f"{out}xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}".encode("ascii")
