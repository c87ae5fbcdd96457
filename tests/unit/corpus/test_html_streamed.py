"""Parts sent behind a page, or in shadow roots, and pages nested too deep. Run: pytest tests/unit/corpus/test_html_streamed.py"""

from __future__ import annotations

import pytest

PART = "<p>The pump was repaired by the night crew, after it had leaked for two weeks.</p>"
MOVE = "<script>$RC('B:0','S:0')</script>"


def page(body: str) -> bytes:
    return f"<!DOCTYPE html><html><head><title>Log</title></head><body>{body}</body></html>".encode()


@pytest.mark.parametrize("prefix", ["", ":R1:"])
def test_parts_come_to_their_places_and_what_waited_for_them_goes(parse, prefix):
    waiting = f"<!--$?--><template id='{prefix}B:0'></template><p>Loading<!--$-->!<!--/$--></p><i>soon</i><!--/$-->"
    shown = f"<p>Before it.</p>{waiting}<p>After it.</p>"
    data = page(f"<div id=root><h1>Report</h1>{shown}</div><div hidden id='{prefix}S:0'>{PART}</div>{MOVE}")
    (document,) = parse("a.html", data)
    assert document.text.split("\n") == ["Report", "Before it.", PART[3:-4], "After it."]


def test_parts_within_parts(parse):
    parts = f"<div hidden id='S:0'><h2>Outer</h2><template id='P:1'></template></div><div hidden id='S:1'>{PART}</div>"
    (document,) = parse(
        "a.html", page(f"<main><p>Intro.</p><!--$?--><template id='B:0'></template><b>Wait</b><!--/$--></main>{parts}{MOVE}")
    )
    assert document.text.split("\n") == ["Intro.", "Outer", PART[3:-4]]


@pytest.mark.parametrize(
    "body",
    [
        f"<div id=root></div><div hidden id='S:0'>{PART}</div>{MOVE}",
        f"<div id=root><!--$?--><template id='B:0'></template><p>kept</p></div><div hidden id='S:0'>{PART}</div>{MOVE}",
        f"<div hidden id='S:0'>{PART}<template id='B:0'></template></div>{MOVE}",
        f"<my-log><template shadowrootmode=open><slot></slot>{PART}</template></my-log>",
        f"<my-log><template shadowroot=open>{PART}</template></my-log>",
    ],
)
def test_parts_without_a_place_and_shadow_roots_are_read(parse, body):
    (document,) = parse("a.html", page(body))
    assert PART[3:-4] in document.text


def test_other_hidden_parts_and_templates_stay_unread(parse):
    (document,) = parse(
        "a.html", page(f"{PART}<div hidden id='S:menu'>SECRET</div><div hidden id='S:'>SECRET</div><template>SECRET</template>")
    )
    assert "SECRET" not in document.text


@pytest.mark.parametrize("element", ["div", "font", "span"])
def test_a_page_nested_too_deep_is_not_stored_without_its_rest(parse, element):
    deep = f"{PART}{f'<{element}>' * 3000}<p>Deep.</p>{f'</{element}>' * 3000}<p>Last.</p>"
    (rejection,) = parse("a.html", page(deep))
    assert (rejection.code, "2048 deep" in rejection.message) == ("file_damaged", True)
    (document,) = parse("a.html", page(deep.replace(f"<{element}>" * 2000, "").replace(f"</{element}>" * 2000, "")))
    assert "Deep." in document.text
    assert "Last." in document.text
