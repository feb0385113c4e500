"""What a page says, by each extractor."""

import time

import pyarrow as pa
import pytest
from hypothesis import given, settings
from selectolax.lexbor import LexborHTMLParser

from pipeline.text.html.content import with_content_marked
from pipeline.text.html.extract import extract
from tests.pipeline.text.strategies import batches, text_of

SENTENCE = "The engineers of the town have built a bridge that is to be opened with music. "
PAGE = f"""<!doctype html><html><head><title>Bridges</title>
<script>var x = "<p>no</p>"</script></head>
<body><nav><ul><li><a href="/">Home page</a><li><a href="/b">All bridges</a></ul></nav>
<main><article><h1>The bridge</h1><p>{SENTENCE * 2}</p><h2>Its parts</h2>
<ol><li>{SENTENCE}</li><li>{SENTENCE}</li></ol>
<table><tr><th>part</th><th>metres</th></tr><tr><td>deck</td><td>120</td></tr></table>
<pre><code>def length():
    return 120</code></pre><p>{SENTENCE * 2}</p></article></main>
<footer><p>Copyright of the town</p></footer></body></html>"""
soup = text_of(
    "<p>", "</p>", "<body>", "<pre>", "<td>", "<table>", "<ul><li>", "</ul>", "<b>", "</i>",
    "<!--", "&amp;", "&#0;", "&#xD800;", "\x00", "\x0b", "\ufffe", "<svg>", "<script>", "x", "\t",
    "<select>",
)  # fmt: skip


@pytest.mark.parametrize("extractor", ["resiliparse", "trafilatura"])
def test_the_main_content_is_kept_and_the_rest_of_the_page_goes(extractor):
    text = extract(pa.array([PAGE]), extractor)[0].as_py()
    assert "Home page" not in text
    assert "Copyright" not in text
    assert "var x" not in text
    for line in ("The bridge", "Its parts", "    return 120", SENTENCE.strip()):
        assert line in text


def test_headings_lists_tables_and_code_stay_readable():
    text = extract(pa.array([PAGE]), "resiliparse")[0].as_py()
    sentence = SENTENCE.strip()
    assert text.splitlines() == [
        "The bridge", "", f"{sentence} {sentence}", "", "Its parts", "",
        f"  1. {sentence}", f"  2. {sentence}", "part\tmetres", "deck\t120",
        "def length():", "    return 120", "", f"{sentence} {sentence}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("page", "want"),
    [
        ("<ul><li>one</li><li>two</li></ul>", "  • one\n  • two"),
        ("<body><ul><li>one</li><li>two</li></ul></body>", "  • one\n  • two"),
        ('<body><div class="footer">all there is</div></body>', "all there is"),
        ("<body><nav>menu</nav><p>text</p></body>", "text"),
        ("<pre>a\t\tb</pre><pre>\t\tc</pre>", "a\tb\n\t\tc"),
        ("", ""),
    ],
)
def test_a_page_is_never_emptied_by_the_rules_of_main_content(page, want):
    assert extract(pa.array([page]), "resiliparse").to_pylist() == [want]


MENU = "<ul><li><a href=/>Home</a><li><a href=/a>All of our bridges</a><li><a href=/b>More</a></ul>"
LIST = "<ul><li>First a short one</li><li>second <a href=/x>with a link</a> and text</li></ul>"


@pytest.mark.parametrize("depth", range(6))
@pytest.mark.parametrize("around", ["div", "main", "article", "section"])
def test_lists_of_text_stay_at_any_depth_and_lists_of_links_go(depth, around):
    boxes, ends = f"<{around}>" * depth, f"</{around}>" * depth
    body = f"{boxes}{MENU}<p>{SENTENCE * 3}</p>{LIST}<p>{SENTENCE * 3}</p>{ends}"
    text = extract(pa.array([f"<html><body>{body}</body></html>"]), "resiliparse")[0].as_py()
    assert "  • First a short one\n  • second with a link and text" in text
    assert "All of our bridges" not in text


@pytest.mark.parametrize(
    ("body", "kept", "gone"),
    [
        ("<div class=section><div class=sidebar><p>A box of text.</p></div></div>", "A box", "-"),
        ("<div class=sidebar><ul><li><a href=/>Home page</a></ul></div>", "", "Home page"),
        ("<div class=sidebar><p>About the author.</p></div>", "", "About the author"),
        ("<aside class=footnote><p>1. See there.</p></aside>", "See there", "-"),
        ("<article><aside>A note on it.</aside></article>", "A note on it", "-"),
        ("<article><aside><a href=/x>Other stories</a></aside></article>", "", "Other stories"),
        ("<aside>Subscribe to us</aside>", "", "Subscribe to us"),
        ('<div><div><div><h2><a id="x"/>Title</h2><p>Text.</p></div></div></div>', "Text.", "-"),
    ],
)
def test_notes_in_an_article_stay_and_those_beside_it_go(body, kept, gone):
    page = f"<!doctype html><body><p>{SENTENCE * 3}</p>{body}<p>{SENTENCE * 3}</p>"
    text = extract(pa.array([page]), "resiliparse")[0].as_py()
    assert kept in text
    assert gone not in text


@pytest.mark.parametrize("unit", ["<ul><li>x", "<ul><li>x</ul>", "<a name=x>y", "<aside>x</aside>"])
def test_marking_what_is_content_takes_time_linear_in_the_bytes(unit):
    def seconds(num_bytes: int) -> float:
        unclosed = "<div>" * 100 if "</" in unit else ""
        page = f"<html><body>{unclosed}{unit * (num_bytes // len(unit))}"
        page = page if "</" in unit else page[:1_000] + "x" * num_bytes
        tree = LexborHTMLParser(page)
        started = time.process_time()
        with_content_marked(tree)
        return time.process_time() - started

    seconds(1_000)
    assert seconds(400_000) < 8 * seconds(100_000) + 0.1


@pytest.mark.parametrize("extractor", ["resiliparse", "trafilatura", "strip"])
@settings(max_examples=60, deadline=None)
@given(pages=batches(soup))
def test_any_markup_gives_valid_text_row_by_row(extractor, pages):
    texts = extract(pages, extractor)
    texts.validate(full=True)
    alone = [extract(pages.slice(i, 1), extractor)[0].as_py() for i in range(len(pages))]
    assert texts.to_pylist() == alone


@pytest.mark.parametrize(
    ("page", "want"),
    [
        ("<p>One\n  two</p><p>three</p>", "One two\n\nthree"),
        ("<b>bold</b>ly <i>go</i>", "boldly go"),
        ("<h1>Title</h1>Text<br>line<hr>end", "Title\n\nText\nline\n\nend"),
        ("<ul><li>one</li><li><p>two</p></li></ul>", "one\n\ntwo"),
        ("<div>a</div><div>b<div>c</div></div>", "a\nb\nc"),
        ("<table><tr><th>a<th>b<tr><td><p>1</p></td><td><p>2</p></td></tr></table>", "a\tb\n1\t2"),
        ("<pre>\n  x = 1\n\n  y</pre>after", "  x = 1\n\n  y\n\nafter"),
        ("<textarea> a  b</textarea>", " a  b"),
        ("x<script>if (a < b) { '</p>' }</script><style>p {}</style>y", "xy"),
        ("<nav><ul><li>Home</ul></nav><main>text</main>", "text"),
        ("<title>dropped</title><body>kept", "kept"),
        ("caf&eacute; &lt;b&gt; &amp;amp; &#8212; x&nbsp;y", "café <b> &amp; — x\u00a0y"),
        ("a<!-- <p> comment > -->b", "ab"),
        ('<p title=\'a>b "c" &lt;p&gt;\' x="y>">in</p>', "in"),
        ("no tags at all", "no tags at all"),
        ("", ""),
    ],
)
def test_all_text_of_a_page_reads_as_in_a_browser(page, want):
    pages = pa.array(["<p>before", page]).slice(1)
    text = extract(pages, "strip")
    assert text.to_pylist() == [want]
    text.validate(full=True)


@pytest.mark.parametrize("extractor", ["resiliparse", "trafilatura", "strip"])
@pytest.mark.parametrize("page", ["<" * 50, "<p", "<p a='", "<!--", "&", "&amp", "</", "<pre" * 9])
def test_broken_markup_gives_valid_text(page, extractor):
    text = extract(pa.array([page + "é", page]), extractor)
    text.validate(full=True)
    assert len(text) == 2
