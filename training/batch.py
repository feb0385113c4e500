"""Packed rows as a model takes them: token ids, positions that restart, labels in a document."""

from dataclasses import dataclass

import numpy as np
import torch

from training.corpus import Rows

IGNORED = -100  # PyTorch's and Transformers' label of what is no target


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Rows of t tokens, t being the run's `sequence_tokens`."""

    input_ids: torch.Tensor  # (N, t) int64
    position_ids: torch.Tensor  # (N, t) int64, 0 at the start of each piece of a document
    labels: torch.Tensor  # (N, t) int64: the next token, or `IGNORED`
    num_tokens: int
    num_bytes: int

    def split(self, num_rows: int) -> list["Batch"]:
        """The batch in order, cut to at most `num_rows` rows each; counts stay with the whole."""
        return [
            Batch(input_ids=i, position_ids=p, labels=t, num_tokens=0, num_bytes=0)
            for i, p, t in zip(
                torch.split(self.input_ids, num_rows),
                torch.split(self.position_ids, num_rows),
                torch.split(self.labels, num_rows),
                strict=True,
            )
        ]

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        return Batch(
            input_ids=self.input_ids.to(device, non_blocking=True),
            position_ids=self.position_ids.to(device, non_blocking=True),
            labels=self.labels.to(device, non_blocking=True),
            num_tokens=self.num_tokens,
            num_bytes=self.num_bytes,
        )


def make_batch(rows: Rows, sequence_tokens: int) -> Batch:
    """Melt B stored rows of T tokens to B * T / t rows of t tokens, one after the other.

    A piece of a document that is cut by the end of a shorter row goes on as a new piece. Padding is
    a piece of its own, so that no document's attention ever sees it.
    """
    arrays = (rows.tokens.reshape(-1, sequence_tokens), *mark_documents(rows, sequence_tokens))
    input_ids, position_ids, labels = (torch.from_numpy(array) for array in arrays)
    return Batch(
        input_ids=input_ids,
        position_ids=position_ids,
        labels=labels,
        num_tokens=int(rows.num_tokens.sum()),
        num_bytes=int(rows.num_bytes.sum()),
    )


def mark_documents(rows: Rows, sequence_tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Position ids and labels, both (B * T / t, t) int64.

    The label of a token is the next one; the last token of a piece has none, nor has padding. So
    the first token of a piece is no target: nothing that the model may see comes before it.
    """
    num_rows, width = rows.tokens.shape
    padded = np.flatnonzero(rows.num_tokens < width)
    is_start = np.zeros(num_rows * width, dtype=np.bool_)
    is_start[::sequence_tokens] = True
    is_start[rows.pieces] = True
    is_start[padded * width + rows.num_tokens[padded]] = True
    starts = np.flatnonzero(is_start)
    lengths = np.diff(starts, append=num_rows * width)
    positions = np.arange(num_rows * width) - np.repeat(starts, lengths)
    labels = np.roll(rows.tokens.reshape(-1), -1)
    labels[starts - 1] = IGNORED  # of starts[0] = 0: the very last token
    _ignore_padding(labels.reshape(num_rows, width), rows.num_tokens, padded)
    return positions.reshape(-1, sequence_tokens), labels.reshape(-1, sequence_tokens)


def _ignore_padding(labels: np.ndarray, num_tokens: np.ndarray, padded: np.ndarray) -> None:
    columns = np.arange(labels.shape[1])
    labels[padded] = np.where(columns >= num_tokens[padded, None], IGNORED, labels[padded])
