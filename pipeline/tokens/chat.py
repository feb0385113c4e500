"""A tokenizer's chat template: what stands around the messages of a conversation.

The template never sees a message. It is rendered with a placeholder for each content, once for
each sequence of roles, and cut where these stand; so its own tokens (`<|im_start|>`) can be told
from the same characters in what somebody wrote. What a template does with the white space around a
content is seen by that of the placeholder; what else it does with contents (some take the thoughts
out of earlier answers) is not done.

Rendered as `transformers` renders it, but that there is no clock: a template that writes today's
date would make other bytes tomorrow.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox
import xxhash

from pipeline.errors import ManifestError

TEMPLATE_FILE, CONFIG_FILE = "chat_template.jinja", "tokenizer_config.json"
DEFAULT = "default"  # of several templates
SPACE = " "
_BLANK = "\u2003"  # white space that no template writes
_OPEN, _CLOSE = "\ue000", "\ue001"  # for private use: in no template
_PLACEHOLDER = re.compile(f"({_BLANK}?){_OPEN}([0-9]+){_CLOSE}({_BLANK}?)")

# What an expression of a template may raise; a conversation that it fails on is one it refuses.
_FAILURES = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class TemplateError(Exception):
    """A conversation that the template refuses, or that cannot be found in what it renders."""


@dataclass(frozen=True, slots=True)
class Content:
    """A message in a rendered template: its number, and on which sides it is stripped.

    `spaced`: the template writes a space before it, which is encoded with it: in most vocabularies
    a space is the beginning of a word's token.
    """

    message: int
    strip_left: bool
    strip_right: bool
    spaced: bool


@dataclass(frozen=True)
class ChatTemplate:
    """A Jinja template and the special tokens that it may name. Raises `TemplateError`."""

    source: str
    special: dict[str, str]

    def render(self, messages: Sequence[dict[str, str]]) -> str:
        """The conversation as one string, as `apply_chat_template` gives it."""
        try:
            return self._compiled.render(
                messages=messages,
                tools=None,
                documents=None,
                add_generation_prompt=False,
                **self.special,
            )
        except _FAILURES as exc:
            raise TemplateError(str(exc) or type(exc).__name__) from exc

    def check(self) -> None:
        """Raise `ManifestError` unless it is a template."""
        try:
            _ = self._compiled
        except TemplateError as exc:
            raise ManifestError(
                f"tokenizer.path: the tokenizer's chat template: {exc}; want the one of the model, "
                f"or another as {TEMPLATE_FILE} beside its tokenizer.json"
            ) from exc

    def parts(self, roles: Sequence[str]) -> Iterator[str | Content]:
        """What is rendered for messages of these roles: text of the template, and contents.

        Texts and contents alternate; the first and the last are texts, which may be empty.
        """
        contents = [f"{_BLANK}{_OPEN}{n}{_CLOSE}{_BLANK}" for n in range(len(roles))]
        rendered = self.render(
            [{"role": role, "content": text} for role, text in zip(roles, contents, strict=True)]
        )
        text, *found = _PLACEHOLDER.split(rendered)
        times = Counter(map(int, found[1::4]))
        for number in range(len(roles)):
            if times[number] != 1:
                raise TemplateError(f"it writes message {number} {times[number]} times, want once")
        for at in range(0, len(found), 4):
            before, (left, message, right, text) = text, found[at : at + 4]
            yield before.removesuffix(SPACE)
            yield Content(
                int(message),
                strip_left=not left,
                strip_right=not right,
                spaced=before.endswith(SPACE),
            )
        yield text

    @cached_property
    def digest(self) -> str:
        """Another one means other tokens."""
        return str(xxhash.xxh3_128_hexdigest(json.dumps([self.source, self.special]).encode()))

    @cached_property
    def _compiled(self) -> jinja2.Template:
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[_Generation, jinja2.ext.loopcontrols],
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise
        try:
            return environment.from_string(self.source)
        except jinja2.TemplateError as exc:
            raise TemplateError(f"it is no Jinja template: {exc}") from exc


def read_template(folder: Path) -> ChatTemplate:
    """The template of a tokenizer's directory. Raises `ManifestError` where it has none."""
    config: dict[str, Any] = {}
    if (folder / CONFIG_FILE).is_file():
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    source = config.get("chat_template")
    if (folder / TEMPLATE_FILE).is_file():
        source = (folder / TEMPLATE_FILE).read_text(encoding="utf-8")
    if isinstance(source, list):  # older files: several, by name
        named = {each["name"]: each["template"] for each in source}
        source = named.get(DEFAULT)
    if not isinstance(source, str):
        raise ManifestError(
            "tokenizer.path: got a tokenizer without a chat template, but a source has a "
            "messages_field; want that of a chat model, or a chat_template.jinja beside its "
            "tokenizer.json"
        )
    special = {
        name: token["content"] if isinstance(token, dict) else token
        for name, token in config.items()
        if name.endswith("_token") and isinstance(token, str | dict)
    }
    return ChatTemplate(source, special)


def template_digest(folder: Path) -> str:
    """Of the template of a tokenizer's directory; empty where it has none."""
    try:
        return read_template(folder).digest
    except ManifestError:
        return ""


class _Generation(jinja2.ext.Extension):
    """`{% generation %}` marks what an assistant writes, which is known here: its body as it is."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise(message: str) -> str:
    raise jinja2.TemplateError(message)
