"""A page as Resiliparse's rules of main content should see it.

Those rules (of Resiliparse 2.0) drop what articles are made of, too:

- each `<ul>` less than four elements below `<body>`, and each of which more than a fifth is links
- what stands in an `<a>` that is no link: `<a id="x"/>`, as XHTML writes it, is never closed in
  HTML, and then all that follows counts as the text of a link
- each `<aside>`, footnotes included, and each box of the class `sidebar`

So lists go deeper, links in lists that are mostly text become text, an `<a>` without `href` goes
and leaves its content, and so do the marks of asides in an article. Navigation is mostly links, and
still goes.
"""

from selectolax.lexbor import LexborHTMLParser, LexborNode

# What is less than this part links is text that has links: half, for an entry of a glossary or of
# "see also" begins with one.
MAX_LINKED = 0.5
MAX_LINKED_ASIDE = 0.2
MIN_BODY_DEPTH = 4  # of a list, to be looked at by Resiliparse
# Lists in lists are each read: of a page that has more text in them, they stay as they are.
MAX_READ_CHARS = 1 << 24
_ASIDES = "aside, [class*=sidebar]"
_ARTICLES = ("main", "article", "section")
_ARTICLE_CLASSES = frozenset({"article", "chapter", "section", "footnote", "footnote-list"})


def with_content_marked(tree: LexborHTMLParser) -> None:
    """Change the tree of a page in place, so that the rules keep its content."""
    for anchor in tree.css("a:not([href])"):
        anchor.unwrap()
    for aside in tree.css(_ASIDES):
        if _is_in_article(aside) and _linked(aside) <= MAX_LINKED_ASIDE:
            _unmark(aside)
    for one in reversed(tree.css("ul")):  # inner ones first, for the outer one is copied with them
        depth = _body_depth(one)
        if depth < MIN_BODY_DEPTH:
            _deepen(tree, one, MIN_BODY_DEPTH - depth)
    num_chars = 0
    for one in tree.css("ul"):
        if num_chars < MAX_READ_CHARS:
            num_chars += len(one.text())
            if _linked(one) <= MAX_LINKED:
                one.unwrap_tags(["a"])


def _unmark(aside: LexborNode) -> None:
    if aside.tag == "aside":
        aside.unwrap()
    else:
        del aside.attrs["class"]


def _is_in_article(aside: LexborNode) -> bool:
    node: LexborNode | None = aside
    while node is not None:
        given = node.attributes
        if node.tag in _ARTICLES or given.get("role") == "main":
            return True
        if _ARTICLE_CLASSES.intersection((given.get("class") or "").split()):
            return True
        node = node.parent
    return False


def _linked(node: LexborNode) -> float:
    """The part of its text that stands in links; 0 where there is no text."""
    num_chars = _num_chars(node)
    return sum(map(_num_chars, node.css("a"))) / num_chars if num_chars else 0.0


def _num_chars(node: LexborNode) -> int:
    return len("".join(node.text().split()))  # markup is indented


def _body_depth(node: LexborNode) -> int:
    """How many elements below `<body>` it lies, as far as it matters."""
    depth, parent = 1, node.parent
    while parent is not None and parent.tag != "body" and depth < MIN_BODY_DEPTH:
        depth, parent = depth + 1, parent.parent
    return depth


def _deepen(tree: LexborHTMLParser, node: LexborNode, num_levels: int) -> None:
    """Put boxes around a node. Selectolax inserts copies."""
    for _ in range(num_levels):
        node.insert_before(tree.create_node("div"))
        box = node.prev
        assert box is not None
        box.insert_child(node)
        node.decompose()
        child = box.first_child
        assert child is not None
        node = child
