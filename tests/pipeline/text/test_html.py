"""Which texts are HTML, and what a page says."""

import pyarrow as pa
import pytest

from pipeline.text.html import html_to_text
from pipeline.text.markup import looks_like_html


@pytest.mark.parametrize(
    ("text", "is_html"),
    [
        ("<!DOCTYPE html><title>x</title>", True),
        ("\n <?xml version='1.0'?>\n<!-- made by -->\n<!doctype HTML PUBLIC ''>", True),
        ("<html lang=en>", True),
        ("<BODY>\nhello", True),
        ("<p>A fragment.</p>\n<p>Of two paragraphs.</p>\n", True),
        ("<h1>Title</h1><ul><li>one<li>two</ul>", True),
        ("<div>", False),
        ("<htmlish>", False),
        ("Use <div> and </div> to group.", False),
        ("<p align=center>A read-me in Markdown</p>\n\n# Title\n\n`code`", False),
        ('#include <stdio.h>\nint main() { puts("<html>"); }', False),
        ("<vector>\n<p>", False),
        ("page = '''<html><body><p>x</p></body></html>'''", False),
        ("<?xml version='1.0'?><book><p>DocBook</p></book>", False),
        ("< html>", False),
        ("<", False),
        ("<>", False),
        ("</", False),
        ("<!--", False),
        ("<!-- <html> -->", False),
        ("", False),
    ],
)
def test_a_text_is_html_by_how_it_begins_and_ends(text, is_html):
    padded = pa.array(["<html>", text, "</p>"]).slice(1, 1)
    assert looks_like_html(padded).tolist() == [is_html]


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
def test_a_page_reads_as_in_a_browser(page, want):
    pages = pa.array(["<p>before", page]).slice(1)
    text = html_to_text(pages)
    assert text.to_pylist() == [want]
    text.validate(full=True)


@pytest.mark.parametrize("page", ["<" * 50, "<p", "<p a='", "<!--", "&", "&amp", "</", "<pre" * 9])
def test_broken_markup_gives_valid_text(page):
    text = html_to_text(pa.array([page + "é", page]))
    text.validate(full=True)
    assert len(text) == 2
