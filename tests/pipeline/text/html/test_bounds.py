"""Pages that a parser would not get through are refused before it sees them."""

import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from pipeline.text.html.bounds import depth_of, problems
from pipeline.text.html.pages import read_pages

DEPTH = 256
BLOCKS = ["div", "p", "section", "pre", "li", "ul", "ol", "dl", "dd", "dt", "h1", "h2", "hr", "nav"]
TABLES = ["table", "tr", "td", "th", "tbody", "caption", "select", "option", "form", "button"]
INLINE = ["b", "i", "a", "font", "span", "my-el", "br", "img", "ruby", "rt", "noscript", "body"]
OTHERWISE = ["svg", "math", "foreignObject", "desc", "template", "object", "script", "style"]
NAMES = [*BLOCKS, *TABLES, *INLINE, *OTHERWISE, "textarea", "html"]
OTHERS = ["<!--", "-->", "<!-->", "<![CDATA[", "]]>", "<!x>", "<?y>", "</ >", "<", "x", "</"]


@st.composite
def pages(draw: st.DrawFn) -> str:
    """Tags in any order, often the same ones again and again."""
    some = st.sampled_from(draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5)))
    forms = st.sampled_from(["<{}>", "<{}>", "<{}>", "</{}>", "</{}>", "<{}/>", "<{} a=1>"])
    tag = st.builds(lambda form, name: form.format(name), forms, some)
    unit = draw(st.lists(tag | st.sampled_from(OTHERS), max_size=8))
    return "".join(unit) * draw(st.integers(1, 12)) + "".join(draw(st.lists(tag, max_size=20)))


def parsed_depth(page: str) -> int:
    """How deep the elements of lexbor's tree lie in each other."""
    deepest, todo = 0, [(LexborHTMLParser(page).root, 1)]
    while todo:
        node, depth = todo.pop()
        while node is not None:
            if not (node.tag or "-").startswith(("-", "_", "!")):
                deepest = max(deepest, depth)
            if node.child is not None:
                todo.append((node.child, depth + 1))
            node = node.next if depth > 1 else None
    return deepest


def counted_depth(page: str) -> int:
    return int(depth_of(np.frombuffer(page.encode(), np.uint8), 5_000))


@settings(max_examples=150, deadline=None)
@given(pages())
@example("<div><div><div><![CDATA[<svg><div>" * 5)
def test_the_depth_of_any_markup_is_hardly_ever_counted_too_low(page):
    # Where parsers read a page differently it is refused at once, and not counted any further.
    assume("is text to some" not in (problems(pa.array([page]), 5_000)[0].as_py() or ""))
    # What moves elements that are closed already (adoption, 8 times at most) is not followed.
    assert 2 * counted_depth(page) + 10 >= parsed_depth(page)


@pytest.mark.parametrize(
    ("page", "depth"),
    [
        ("<html><body><div><p>text</div>", 4),
        ("<p>" * 500, 3),
        ("<ul>" + "<li>item" * 500, 4),
        ("<dl>" + "<dt>a<dd>b" * 500, 4),
        ("<a name=x>" * 500, 3),
        ("<br>" * 500 + "<img>" * 500, 2),
        ("<script>" + "<div>" * 500 + "</script>", 2),
        ("<script><!--<script>" + "<div>" * 500 + "</script>--></script>", 2),
        ("<!-- " + "<div>" * 500 + "-->", 2),
        ('<p title="' + "<div>" * 500 + '">', 3),
        ("<svg>" + "<path/>" * 500, 3),
        ("<b>x<p>" * 500, 8),
        ("", 2),
    ],
)
def test_what_a_parser_does_not_nest_is_not_counted_as_nested(page, depth):
    assert counted_depth(page) <= depth + 1
    assert problems(pa.array([page]), DEPTH).to_pylist() == [None]


def test_each_row_of_a_table_is_closed_by_the_next():
    page = "<table>" + "<tr><td><font size=2>x<td>y" * 500
    assert counted_depth(page) <= 10
    assert problems(pa.array([page]), DEPTH).null_count == 1


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ("<div>" * 100_000, "nest deeper than 256"),
        ("<span><b>" * 100_000, "nest deeper than 256"),
        ("<div></span></p>" * 100_000, "nest deeper than 256"),
        ("<b><div></b>" * 100_000, "nest deeper than 256"),
        ("<form><div></form>" * 100_000, "nest deeper than 256"),
        ("<div><table></div></table>" * 100_000, "nest deeper than 256"),
        ("<svg><x>" * 100_000, "nest deeper than 256"),
        ("<p " + "".join(f"a{n}=1 " for n in range(300)) + ">", "256 attributes"),
        ("".join(f"<body a{n}=1>" for n in range(300)), "256 attributes"),
        ("<p>" + "".join(f"<font a={n}>" for n in range(200)) + "</p><p>x</p>" * 10_000, "never"),
        ("<select>" + "<option>x" * 20_000, "options"),
        ("<br\x0b>" * 100_000, "nest deeper than 256"),
        ("<svg><![cdata[>" + "<div>" * 100_000, "nest deeper than 256"),
        ("<select><svg><![CDATA[></svg></select>" + "<div>" * 100_000, "tags to others"),
        ("<svg><p><![CDATA[><!--]]>" + "<div>" * 100_000, "tags to others"),
        ("<select><xmp></select>" + "<div>" * 100_000, "tags to others"),
        ("<select><style><!--</style></select>" + "<div>" * 100_000, "tags to others"),
        ("<template><col><xmp></template>" + "<div>" * 100_000, "tags to others"),
    ],
)
def test_a_page_that_takes_time_with_the_square_of_its_size_is_refused(page, problem):
    started = time.process_time()
    found = problems(pa.array(["<p>fine", page, "fine"]).slice(1), DEPTH).to_pylist()
    assert problem in found[0]
    assert found[1] is None
    assert time.process_time() - started < 5  # compiling included: it takes 0.1 s


def test_the_tags_of_tables_are_counted_where_there_is_a_limit():
    page = pa.array(["<table><tr>" + "<td>x" * 100])
    assert problems(page, DEPTH).null_count == 1
    assert problems(page, DEPTH, 102).null_count == 1
    assert "101 tags of tables" in problems(page, DEPTH, 101)[0].as_py()


def test_no_bound_is_passed_by_null_bytes_for_they_go_before_it_is_checked():
    pages = pa.array(
        ["<html>" + "<\0div>" * 40_000, "<html><script></scr\0ipt>" + "<div>" * 40_000]
    )
    started = time.process_time()
    read = read_pages(pages, "auto", "resiliparse", DEPTH)
    assert ["nest deeper than 256" in problem for problem in read.problem.to_pylist()] == [True] * 2
    assert time.process_time() - started < 5


def test_cdata_sections_with_tags_are_only_minded_where_there_is_svg_or_mathml():
    pages = pa.array(["<p><![CDATA[a < b]]>", "<svg><style><![CDATA[p {}]]></style></svg>"])
    assert problems(pages, DEPTH).null_count == 2


def test_an_empty_batch_has_no_problems():
    assert len(problems(pa.array([], pa.string()), DEPTH)) == 0


@pytest.mark.parametrize(
    "unit", ["<p>x</p>", "<div", "<", "<!--", "<p '", "</b>", "<b><p></b>", "<script>", "&", "<td>"]
)
def test_time_is_linear_in_the_bytes(unit):
    def seconds(num_bytes: int) -> float:
        page = pa.array(["<div>" * 200 + "<table>" + unit * (num_bytes // len(unit))])
        times = []
        for _ in range(3):
            started = time.process_time()
            problems(page, DEPTH)
            times.append(time.process_time() - started)
        return min(times)

    seconds(1_000)
    assert seconds(800_000) < 5 * seconds(200_000) + 0.05
