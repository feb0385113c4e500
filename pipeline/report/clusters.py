"""What `prepare duplicates` prints: figures of all clusters, then texts side by side.

On a terminal with colours differences are coloured, else marked as {-what the removed one has-} and
{+what the survivor has+}: a document went, so what only it had is what was lost.
"""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.explaining.clusters import Cluster, Overview
from pipeline.explaining.differences import MAX_CHARS, Piece, compare
from pipeline.explaining.duplication import Removal
from pipeline.report.explanation import number, similarity, who
from pipeline.report.visible import visible

CONTEXT_WORDS = 8  # of what is the same, on each side of a difference
MAX_WORDS = 60  # of one difference on one side
MAX_DIFFERENCES = 6  # of one pair
BAR_CHARS = 40
LEFT, RIGHT = "red", "green"


def print_overview(found: Overview, console: Console) -> None:
    """The line of figures and the histogram."""
    by_rule = ", ".join(f"{name} {n:,}" for name, n in found.by_rule.items())
    by_method = ", ".join(f"{name} {n:,}" for name, n in found.by_method.items())
    rules = f"; by rule: {by_rule}" if by_rule else ""
    methods = f"; by method: {by_method}" if by_method else ""
    noun = "cluster" if found.num_clusters == 1 else "clusters"
    gone = "document" if found.num_removed == 1 else "documents"
    line = f"{found.num_clusters:,} {noun}, {found.num_removed:,} {gone} removed"
    console.print(f"{line}{rules}{methods}", soft_wrap=True, highlight=False, markup=False)
    most = max((n for _, _, n in found.histogram), default=0)
    for low, high, num_removed in found.histogram if most else ():
        span = "1.00     " if low == high else f"{low:.2f}-{high:.2f}"
        # A bin with few is still seen.
        bar = "█" * (-(-num_removed * BAR_CHARS // most))
        console.print(f"  {span} {num_removed:>9,} {bar}", highlight=False, markup=False)


def print_cluster(
    cluster: Cluster, texts: Sequence[str], survivor: str | None, console: Console
) -> None:
    """A survivor and the removed documents that are listed, with the texts of these.

    `survivor` is its text, None where it is in another corpus.
    """
    console.print()
    console.print(
        Text(f"{who(cluster.survivor)} stays, ", "bold").append(
            f"{cluster.num_removed:,} removed for it", "bold"
        ),
        soft_wrap=True,
        highlight=False,
    )
    for removal, text in zip(cluster.removed, texts, strict=True):
        head = f"  {who(removal.removed)}: {removal.rule}, {similarity(removal)}"
        console.print(head, soft_wrap=True, highlight=False, markup=False)
        if survivor is None:
            console.print("    the text that stays is in the other corpus", highlight=False)
        else:
            _print_pair(removal, text, survivor, console)
    if cluster.num_removed > len(cluster.removed):
        left = cluster.num_removed - len(cluster.removed)
        console.print(f"  ... and {left:,} more, which are as similar or more", highlight=False)


def _print_pair(removal: Removal, text: str, survivor: str, console: Console) -> None:
    if text == survivor:
        console.print(f"    the same text, {len(text):,} characters", highlight=False)
        return
    pieces = compare(text, survivor)
    differences = [place for place, piece in enumerate(pieces) if not piece.is_same]
    if not differences:
        console.print("    the same words; white space differs", highlight=False)
        return
    console.print(_summary(pieces, text, survivor), highlight=False)
    console.print(_side_by_side(pieces, console))
    if len(differences) > MAX_DIFFERENCES:
        left = len(differences) - MAX_DIFFERENCES
        noun = "difference" if left == 1 else "differences"
        console.print(f"    ... and {left:,} more {noun}", highlight=False)


def _summary(pieces: Sequence[Piece], text: str, survivor: str) -> str:
    """How much differs, in words: signs of punctuation and unspaced characters are words here."""
    same = sum(len(piece.left) for piece in pieces if piece.is_same)
    lost = sum(len(piece.left) for piece in pieces if not piece.is_same)
    gained = sum(len(piece.right) for piece in pieces if not piece.is_same)
    is_cut = max(len(text), len(survivor)) > MAX_CHARS
    limit = f" (of the first {MAX_CHARS:,} characters)" if is_cut else ""
    return (
        f"    {same:,} words in common, {lost:,} only in the removed one, {gained:,} only in the "
        f"one that stays{limit}"
    )


def _side_by_side(pieces: Sequence[Piece], console: Console) -> Table:
    """The removed text on the left, the survivor's on the right; one row for each difference."""
    table = Table(box=None, padding=(0, 0, 0, 4), show_header=True, header_style="dim", expand=True)
    for title in ("removed", "stays"):
        table.add_column(title, ratio=1, overflow="fold")
    shown = 0
    for place, piece in enumerate(pieces):
        if shown == MAX_DIFFERENCES:
            break
        if piece.is_same:
            left_out = len(piece.left) - 2 * CONTEXT_WORDS
            if left_out > 0 and 0 < place < len(pieces) - 1:
                note = Text(f"... {left_out:,} words in common ...", "dim")
                table.add_row(note, note.copy())
            continue
        shown += 1
        table.add_row(*_cells(pieces, place, console))
    return table


def _cells(pieces: Sequence[Piece], place: int, console: Console) -> Iterator[Text]:
    """A difference with what stands around it, in both texts."""
    marks = (("{-", "-}", LEFT), ("{+", "+}", RIGHT))
    is_coloured = console.is_terminal and not console.no_color
    for side, (opening, closing, style) in enumerate(marks):
        words = _side(pieces[place], side)
        cell = Text(_before(pieces, place, side))
        if words:
            changed = _line(_shortened(words))
            if is_coloured:
                cell.append(changed, f"bold {style}")
            else:
                cell.append(f"{opening}{changed.strip()}{closing} ")
        yield cell.append(_after(pieces, place, side))


def _side(piece: Piece, side: int) -> list[str]:
    return piece.right if side else piece.left


def _before(pieces: Sequence[Piece], place: int, side: int) -> str:
    """The end of what is the same before a difference, as far as the one before has not told it."""
    if not place:
        return ""
    words = _side(pieces[place - 1], side)
    told = CONTEXT_WORDS if place > 1 else 0
    return _line(words[max(len(words) - CONTEXT_WORDS, min(told, len(words))) :])


def _after(pieces: Sequence[Piece], place: int, side: int) -> str:
    if place + 1 == len(pieces):
        return ""
    return _line(_side(pieces[place + 1], side)[:CONTEXT_WORDS])


def _shortened(words: Sequence[str]) -> list[str]:
    if len(words) <= MAX_WORDS:
        return list(words)
    half = MAX_WORDS // 2
    return [*words[:half], f" ... {len(words) - 2 * half:,} words ... ", *words[-half:]]


def _line(words: Sequence[str]) -> str:
    """Words as they stand, white space as one space, so that the columns stay in step."""
    joined = "".join(words)
    edges = (" " if joined[:1].isspace() else "", " " if joined[-1:].isspace() else "")
    return visible(edges[0] + " ".join(joined.split()) + (edges[1] if joined.strip() else ""))


def no_cluster(name: str, similarity_range: tuple[float, float]) -> str:
    """What is said where nothing is selected."""
    low, high = map(number, similarity_range)
    limits = f" of similarity {low}..{high}" if similarity_range != (0.0, 1.0) else ""
    return f"{visible(name)}: in no cluster{limits}: removed for none, and none removed for it"
