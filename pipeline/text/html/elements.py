"""What the parser of the HTML standard (section 13.2) does with the elements it knows, as flags."""

from pipeline.text.html.names import element_table, name_hash

VOID = 1  # has no end tag
RAW = 2  # its content is text up to its end tag
FORMATTING = 4  # opened again where a block has closed it
SPECIAL = 8  # an end tag of an ordinary element does not reach beyond it
SCOPE = 16  # nor one of a special element beyond this
CLOSES_P = 32
MARKER = 64  # formatting elements inside are not opened again outside
IGNORED = 128  # never put on the stack for a second time
HEADING = 256
IN_TABLE = 512  # ignored where no table is open
LIST_TRANSPARENT = 1024  # special, and yet `<li>` closes the `<li>` that is open around it
RUBY_PART = 2048
FOREIGN_ROOT = 4096
BREAKS_OUT = 8192  # closes foreign elements that are open
# Flags of an entry of the stack
FOREIGN = 1 << 14  # an element of SVG or MathML
INTEGRATION = 1 << 15  # a name in which foreign content holds HTML again

_FLAGS = {
    VOID: "area base basefont bgsound br col colgroup embed frame hr image img input keygen link"
    " meta param source track wbr",
    RAW: "script style textarea title xmp iframe noembed noframes",
    FORMATTING: "a b big code em font i nobr s small strike strong tt u",
    SPECIAL: "address applet area article aside base basefont bgsound blockquote body br button"
    " caption center col colgroup dd details dir div dl dt embed fieldset figcaption figure footer"
    " form frame h1 h2 h3 h4 h5 h6 head header hgroup hr html iframe img input keygen li"
    " link listing main marquee menu meta nav noembed noframes noscript object ol p param plaintext"
    " pre script search section select source style summary table tbody td template textarea tfoot"
    " th thead title tr track ul wbr xmp",
    SCOPE: "applet caption html table td th marquee object select template",
    CLOSES_P: "address article aside blockquote center details dialog dir div dl fieldset"
    " figcaption figure footer header hgroup main menu nav ol p search section summary"
    " ul h1 h2 h3 h4 h5 h6 pre listing form li dd dt plaintext xmp hr",
    MARKER: "applet caption marquee object td template th",
    IGNORED: "body head html",
    HEADING: "h1 h2 h3 h4 h5 h6",
    IN_TABLE: "caption tbody td tfoot th thead tr",
    LIST_TRANSPARENT: "address div p",
    RUBY_PART: "rb rp rt rtc",
    FOREIGN_ROOT: "math svg",
    BREAKS_OUT: "b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head"
    " hr i img li listing menu meta nobr ol p pre ruby s small span strong strike sub sup table tt"
    " u ul var",
    INTEGRATION: "desc foreignobject mi mn mo ms mtext title",
    0: "optgroup option ruby",
}


def _flags_by_name() -> dict[str, int]:
    flags: dict[str, int] = {}
    for flag, names in _FLAGS.items():
        for name in names.split():
            flags[name] = flags.get(name, 0) | flag
    return flags


HASHES, FLAGS = element_table(_flags_by_name())
SIZE = len(HASHES)


def _hashes_of(names: str) -> list[int]:
    return [name_hash(name) for name in names.split()]


A, NOBR, P, LI, DD, DT, OL, UL = _hashes_of("a nobr p li dd dt ol ul")
FORM, BUTTON, SELECT, TEXTAREA = _hashes_of("form button select textarea")
OPTION, OPTGROUP, RUBY, TABLE = _hashes_of("option optgroup ruby table")
TD, TH, TR, TEMPLATE = _hashes_of("td th tr template")
TBODY, THEAD, TFOOT, CAPTION = _hashes_of("tbody thead tfoot caption")
SCRIPT, PLAINTEXT, ANNOTATION_XML = _hashes_of("script plaintext annotation-xml")
