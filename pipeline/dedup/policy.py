"""Which copy of a document stays: rules in order, the first one decides, the next break its ties.

    priority   the larger `priority` of the source
    longest    more UTF-8 bytes of stored text
    newest     the later date (`date_field` of the source); without a date a document is the oldest
    {signal: NAME, prefer: high | low}   the larger or smaller number that a filter measured; a null
               and a NaN are the worst
    id         the smaller document key; decides where nothing else does, so it ends every policy

A document's place in that order is one number of 128 bits (`ranks.py`), so the rules of a policy
have to fit into it, and leave bits for the key.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag

from pipeline.configfile import Config

RANK_BITS, MIN_ID_BITS = 128, 8
SIGNAL_BITS = 32  # a float32
RULE_BITS = {"priority": 16, "longest": 36, "newest": 36, "id": 0}

# What fits: of a source's priority either way, of bytes 69 GB, of seconds 2,177 years.
MAX_PRIORITY = (1 << RULE_BITS["priority"] - 1) - 1

NamedRule: TypeAlias = Literal["priority", "longest", "newest", "id"]


class SignalRule(Config):
    """The copy with the larger or the smaller signal stays; the signal is compared as a float32."""

    signal: str = Field(
        min_length=1,
        description="A numeric signal that is stored with the documents of every source, as "
        "`perplexity.bits_per_byte`.",
    )
    prefer: Literal["high", "low"] = Field(description="Which value the copy has that stays.")


def _kind(rule: Any) -> str:
    return "is-signal" if isinstance(rule, dict | SignalRule) else "is-name"


Rule: TypeAlias = Annotated[
    Annotated[NamedRule, Tag("is-name")] | Annotated[SignalRule, Tag("is-signal")],
    Discriminator(_kind),
]


def check_policy(policy: Sequence[NamedRule | SignalRule]) -> None:
    """Raise ValueError for a rule that stands twice, follows `id`, or does not fit any more."""
    names = [rule_name(rule) for rule in policy]
    if len(set(names)) != len(names):
        raise ValueError("a rule stands twice; want each rule once")
    if "id" in names[:-1]:
        raise ValueError(
            "'id' leaves no ties, so what follows it would never decide; want 'id' last"
        )
    num_bits = sum(map(rule_bits, policy))
    if num_bits > RANK_BITS - MIN_ID_BITS:
        sizes = ", ".join(
            f"{name} {rule_bits(rule)}"
            for name, rule in zip(names, policy, strict=True)
            if name != "id"
        )
        raise ValueError(
            f"the rules take {num_bits} bits of a rank ({sizes}), want at most "
            f"{RANK_BITS - MIN_ID_BITS}; leave out a rule, one that rarely decides"
        )


def rule_name(rule: NamedRule | SignalRule) -> str:
    """What a rule looks at: its name, or the signal's."""
    return rule.signal if isinstance(rule, SignalRule) else rule


def rule_bits(rule: NamedRule | SignalRule) -> int:
    """The bits of a rank that a rule takes; `id` takes what is left."""
    return SIGNAL_BITS if isinstance(rule, SignalRule) else RULE_BITS[rule]
