"""Which texts are HTML."""

import pyarrow as pa
import pytest

from pipeline.text.html.detect import looks_like_html


@pytest.mark.parametrize(
    ("text", "is_html"),
    [
        ("<!DOCTYPE html><title>x</title>", True),
        ("\n <?xml version='1.0'?>\n<!-- made by -->\n<!doctype HTML PUBLIC ''>", True),
        ("<html lang=en>", True),
        ("\ufeff<!doctype html>", True),
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
        ("<div>Text & more,\nin two lines.</div>\n<pre>x = {}\n\n# y</pre><p>z</p>", True),
        ("<p>In two\nlines <code>{z}</code></p>\n", True),
        ("<p align=center><img src=x></p>\n\n# Title\n\nText\n\n<p>end</p>", False),
        ("<p align=center>x</p>\n```cpp\nstd::vector<int> v;\n```\n<p>end</p>", False),
        ("<p>x</p>\nfor (i = 0; i <n; i++)\n<p>end</p>", False),
        ("<p>x</p>\nstd::vector<int> v;\n<p>end</p>", False),
        ("<details>\n<summary>x</summary>\n\ntext in Markdown\n\n</details>", False),
        ("<details>\n<summary>x</summary>\n- one\n- two\n</details>", False),
        ("<details>\n<summary>x</summary>\n1. one\n2. two\n</details>", False),
        ("<table>\n| a | b |\n</table>", False),
        ('<div className="a">{x}</div>', False),
        ("<div onClick={f}>x</div>", False),
        ("<script>\n let x = 1;\n</script>\n<h1>hi</h1>", False),
        ("<h1>hi</h1><style>h1 {}</style><p>x</p>", False),
        ("<p><?php echo 1; ?></p>", False),
        ("<html><?php echo 1; if ($a > 3) { foo(); } ?></html>", False),
        ("<html><body><?= $x ?></body></html>", False),
        ("<my-app><p>x</p></my-app>", False),
        ("<p>x <my-tag>y</my-tag></p>", False),
        ("<p>x</p", False),
        ("<p title='x</p>", False),
    ],
)
def test_a_text_is_html_by_how_it_begins_and_ends(text, is_html):
    padded = pa.array(["<html>", text, "</p>"]).slice(1, 1)
    assert looks_like_html(padded).tolist() == [is_html]
