"""PDFs written by hand, object by object, for the tests of reading them."""

from __future__ import annotations

WESTERN = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"


def pdf(content: str | list[str], *more: str, page: str = "", catalog: str = "", font: str = WESTERN) -> bytes:
    """One page per content, each with the entries `page`; `more` are the objects 10, 11, and so on. Font /F1 is object 3."""
    contents = [content] if isinstance(content, str) else content
    first = 10 + len(more)
    kids = " ".join(f"{first + 2 * number} 0 R" for number in range(len(contents)))
    bodies = {1: f"<< /Type /Catalog /Pages 2 0 R {catalog} >>", 2: f"<< /Type /Pages /Kids [{kids}] /Count {len(contents)} >>", 3: font}
    bodies |= {10 + number: body for number, body in enumerate(more)}
    for number, drawn in enumerate(contents):
        rest = f"/Resources << /Font << /F1 3 0 R >> >> /Contents {first + 2 * number + 1} 0 R {page}"
        bodies[first + 2 * number] = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] {rest} >>"
        bodies[first + 2 * number + 1] = stream(drawn)
    return assembled(bodies)


def stream(content: str, entries: str = "") -> str:
    return f"<< {entries} /Length {len(content)} >>\nstream\n{content}\nendstream"


def drawing(text: str) -> str:
    """The appearance of an annotation: a form that shows a text."""
    resources = "/Type /XObject /Subtype /Form /BBox [0 0 200 20] /Resources << /Font << /F1 3 0 R >> >>"
    return stream(f"BT /F1 12 Tf 2 5 Td ({text}) Tj ET", resources)


def words(*lines: tuple[int, int, str]) -> str:
    """Content: texts at x, y."""
    return "\n".join(f"BT /F1 12 Tf {x} {y} Td ({text}) Tj ET" for x, y, text in lines)


def assembled(bodies: dict[int, str]) -> bytes:
    out, offsets = "%PDF-1.7\n", {}
    for number, body in bodies.items():
        offsets[number] = len(out)
        out += f"{number} 0 obj\n{body}\nendobj\n"
    size = max(bodies) + 1
    rows = "".join(f"{offsets[n]:010d} 00000 n \n" if n in offsets else "0000000000 00000 f \n" for n in range(1, size))
    table = f"xref\n0 {size}\n0000000000 65535 f \n{rows}trailer\n<< /Size {size} /Root 1 0 R >>\n"
    return f"{out}{table}startxref\n{len(out)}\n%%EOF\n".encode("latin-1")
