"""Parts of a page that React sent behind it, hidden, for an inline script to move to their places: saved as sent, they are still there.

`<div hidden id="S:0">` belongs where `<template id="B:0">` stands, in place of what shows until it comes, which ends at `<!--/$-->`; or
where `<template id="P:0">` stands. Ids may have a prefix.
"""

from __future__ import annotations

import re
from typing import Any

_SENT = re.compile(r"(.*)S:([0-9a-f]+)", re.DOTALL)
_OPENS, _ENDS = "$", "/$"


def put_in_place(tree: Any) -> None:
    """Move all parts of a page that were sent behind it to their places; one that has none is shown where it is."""
    places = {place.get("id"): place for place in tree.xpath("//template[@id]")}
    for part in tree.xpath("//*[@hidden and @id]"):
        found = _SENT.fullmatch(part.get("id"))
        if found is None:
            continue
        del part.attrib["hidden"]
        waiting, inner = (places.get(f"{found[1]}{kind}:{found[2]}") for kind in "BP")
        place = inner if waiting is None else waiting
        if place is None or place.getparent() is None or place in part.iter("template"):
            continue
        if waiting is not None:
            _drop_fallback(waiting)
        part.drop_tree()
        part.tail = None
        place.addprevious(part)


def _drop_fallback(place: Any) -> None:
    fallback, depth = [], 0
    for sibling in place.itersiblings():
        mark = (sibling.text or "") if callable(sibling.tag) else ""
        depth += mark.startswith(_OPENS) - mark.startswith(_ENDS)
        if depth < 0:
            break
        fallback.append(sibling)
    else:  # its end is not there: nothing says what belongs to it
        return
    place.tail = None
    for sibling in fallback:
        place.getparent().remove(sibling)
