"""Which columns are the text, its name, its address and its date.

By name where a name is usual and its values agree, else by what the values are. The text is the
column that a person would read: a `text` beside a longer `html` is what was taken out of it, and a
`title` is none of 5,000 characters.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.initialising.columns import Column

TEXTS: tuple[str, ...] = (
    "text",
    "content",
    "contents",
    "body",
    "document",
    "article",
    "raw_content",
    "raw_text",
)
TEXTS += (
    "page_content",
    "full_text",
    "fulltext",
    "plain_text",
    "markdown",
    "md",
    "code",
    "passage",
)
TEXTS += ("story", "abstract", "transcript", "note", "paragraph", "html", "description", "summary")
MESSAGES = ("messages", "conversations", "conversation", "chat", "dialogue", "dialog", "turns")
PAIRS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("question", "answer"),
    ("query", "response"),
    ("query", "answer"),
    ("input", "output"),
    ("input", "target"),
    ("inputs", "targets"),
    ("source_text", "target_text"),
)
IDS: tuple[str, ...] = (
    "id",
    "_id",
    "uuid",
    "guid",
    "doc_id",
    "docid",
    "document_id",
    "documentid",
    "pmid",
    "pmcid",
)
IDS += (
    "doi",
    "article_id",
    "page_id",
    "pageid",
    "row_id",
    "key",
    "hash",
    "sha256",
    "warc_record_id",
)
URLS: tuple[str, ...] = (
    "url",
    "uri",
    "link",
    "source_url",
    "page_url",
    "permalink",
    "href",
    "target_uri",
    "source",
)
DATES: tuple[str, ...] = (
    "date",
    "timestamp",
    "datetime",
    "published",
    "publication_date",
    "date_published",
)
DATES += ("published_at", "created_at", "created", "updated_at", "updated", "modified", "time")
DATES += ("crawl_date", "date_download")
META: tuple[str, ...] = (
    "lang",
    "language",
    "license",
    "licence",
    "kind",
    "type",
    "category",
    "subject",
    "source",
)
META += ("dataset", "domain", "repo", "path", "subset", "topic", "title")
MAX_META, MAX_META_CHARS = 4, 100
NEAR_LONGEST = 0.2  # of the longest column's characters: enough for a column with a usual name
NEAR_PAGE = 0.02  # of a page's characters, most of which is markup
MIN_SPACES = 0.02
MOSTLY_DISTINCT = 0.95  # of ids: copies of a row are what deduplication is for
UNLIKELY = frozenset({*URLS, *IDS, *DATES, "title", "prompt", "author", "name", "path", "filename"})


@dataclass(frozen=True, slots=True)
class Fields:
    """Keys of a source of rows, and why the text is what it is.

    Exactly one kind of text is named; none where no column is one, and `why` says what is there.
    """

    text: str | None = None
    pair: tuple[str, str] | None = None
    messages: str | None = None
    id: str | None = None
    url: str | None = None
    date: str | None = None
    meta: tuple[str, ...] = ()
    why: str = ""
    others: tuple[str, ...] = ()  # what else may be the text, with what speaks for it
    lost: tuple[str, ...] = field(default=())  # texts that are not read, though they may matter
    is_page: bool = False

    @property
    def kind(self) -> tuple[str, ...]:
        """What makes the text: files that agree on it are of one source."""
        return tuple(name for name in (self.text, *(self.pair or ()), self.messages) if name)


def guess_fields(columns: Sequence[Column], *, has_template: bool = True) -> Fields:
    """Roles of columns. Without a chat template a conversation cannot be told in tokens."""
    by_name = {column.name.lower(): column for column in columns}
    texts = sorted((c for c in columns if _may_be_text(c)), key=lambda c: -_weight(c))
    found = _messages(columns, by_name) if has_template else None
    found = found or _pair(by_name, texts) or _text(by_name, texts)
    if found is None:
        return Fields(why=_why_none(columns))
    taken = set(found.kind)
    rest = {name: column for name, column in by_name.items() if column.name not in taken}
    url = _url(rest)
    date = _first(rest, DATES, lambda c: c.dates >= 0.8)
    identity = _first(
        rest, IDS, lambda c: c.distinct > MOSTLY_DISTINCT and c.filled == 1 and not _nested(c)
    )
    used = taken | {url, date, identity}
    return Fields(
        text=found.text,
        pair=found.pair,
        messages=found.messages,
        id=identity,
        url=url,
        date=date,
        meta=_meta(rest, used),
        why=found.why,
        others=found.others,
        lost=found.lost,
        is_page=found.is_page,
    )


def _weight(column: Column) -> float:
    return column.mean_chars * column.filled


def _nested(column: Column) -> bool:
    return column.nested is not None


def _may_be_text(column: Column) -> bool:
    return (
        column.is_text
        and column.filled > 0.05
        and column.urls < 0.5
        and column.messages < 0.5
        and (column.spaces >= MIN_SPACES or column.name.lower() in TEXTS)
    )


def _messages(columns: Sequence[Column], by_name: dict[str, Column]) -> Fields | None:
    named = [by_name[name] for name in MESSAGES if name in by_name]
    for column in (*named, *columns):
        if column.messages > 0.5 and column.filled > 0.5:
            return Fields(messages=column.name, why="lists of {role, content}")
    return None


def _pair(by_name: dict[str, Column], texts: Sequence[Column]) -> Fields | None:
    for names in PAIRS:
        pair = [by_name[name] for name in names if name in by_name]
        if len(pair) < len(names) or any(not c.is_text or c.filled < 0.5 for c in pair):
            continue
        prompt, completion = pair
        rest = [column for column in texts if column not in pair]
        if rest and _weight(rest[0]) > 4 * (_weight(prompt) + _weight(completion)):
            continue  # questions about a long text: that is the text
        return Fields(
            pair=(prompt.name, completion.name),
            why="a prompt and what answers it: only the answer is learned",
            others=tuple(_told(c) for c in rest if c.name.lower() in TEXTS),
            lost=tuple(c.name for c in rest if c.name.lower() in ("input", "context", "system")),
        )
    return None


def _text(by_name: dict[str, Column], texts: Sequence[Column]) -> Fields | None:
    if not texts:
        return None
    likely = [column for column in texts if column.name.lower() not in UNLIKELY] or list(texts)
    longest = likely[0]
    chosen, why = longest, "the longest column of text"
    for name in TEXTS:
        column = by_name.get(name)
        if column is None or column not in likely:
            continue
        near = NEAR_PAGE if longest.pages > 0.5 and column.pages <= 0.5 else NEAR_LONGEST
        if _weight(column) >= near * _weight(longest):
            chosen, why = column, "by its name and its length"
            break
    if len(likely) == 1:
        why = "the only column of text"
    others = tuple(
        _told(c) for c in likely if c is not chosen and _weight(c) > _weight(chosen) / 20
    )
    return Fields(
        text=chosen.name,
        why=f"{why}, {chosen.mean_chars:,.0f} characters on average",
        others=others[:3],
        is_page=chosen.pages > 0.5,
    )


def _told(column: Column) -> str:
    page = ", HTML" if column.pages > 0.5 else ""
    return f"{column.name} ({column.mean_chars:,.0f} characters{page})"


def _first(columns: dict[str, Column], names: Sequence[str], fits: object) -> str | None:
    assert callable(fits)
    return next(
        (columns[name].name for name in names if name in columns and fits(columns[name])), None
    )


def _url(columns: dict[str, Column]) -> str | None:
    named = _first(columns, URLS, lambda c: c.urls >= 0.5)
    return named or next((c.name for c in columns.values() if c.urls >= 0.9), None)


def _meta(columns: dict[str, Column], used: set[str | None]) -> tuple[str, ...]:
    """Short fields of usual names. No names of people: what is stored can be shown."""
    fits = [
        columns[name].name
        for name in META
        if name in columns
        and columns[name].name not in used
        and columns[name].is_text
        and columns[name].mean_chars <= MAX_META_CHARS
    ]
    return tuple(fits[:MAX_META])


def _why_none(columns: Sequence[Column]) -> str:
    nested = max(columns, key=lambda c: c.nested_chars * c.filled, default=None)
    for column in columns:
        if column.messages > 0.5:
            return (
                f"{column.name!r} is a conversation, and the tokenizer has no chat template to "
                "tell it by; want the tokenizer of a chat model"
            )
        if column.shared_messages > 0.5:
            return (
                f"{column.name!r} is a list of {{from, value}}; want {{role, content}}: rename "
                "them, and human and gpt to user and assistant"
            )
    if nested is not None and nested.nested is not None:
        path = f"{nested.name}{nested.nested}"
        return (
            f"the text seems to be in {path}, and only fields at the top are read; bring it up, "
            f"as with jq -c '. + {{text: .{path}}}'"
        )
    names = ", ".join(column.name for column in columns[:8]) or "none"
    return f"no column is a text (columns: {names})"
