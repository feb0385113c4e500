"""Medical record and patient numbers after a word that names them (HIPAA 45 CFR 164.514 (b)(2)(H)).

Each hospital numbers as it likes: up to four letters and five to twelve digits, in groups joined by
hyphens, or capitals and digits mixed. They have no check digit, so nothing is found without the
word.
"""

import re

from pipeline.text.pii.kinds.labelled import REACH_BYTES, labelled
from pipeline.text.pii.recognizer import LETTERS, Recognizer, Span, digits
from pipeline.text.pii.triggers import Words

_NUMBER = rb"(?:[ _-]?(?:numbers?|num|no|nr|id|identifier)| ?#)"
_WORDS = (
    rb"mrn|medical[ _-]?rec(?:ord)?s?" + _NUMBER + rb"?|med(?:[ _-]|\. ?)?rec\.?" + _NUMBER + rb"?"
    rb"|(?:patient|hospital|chart|health[ _-]?record)" + _NUMBER
    + rb"|patienten-?(?:nummer|nr|id)|fallnummer|num\xc3\xa9ro de patient"
    rb"|historia cl\xc3\xadnica|nhc|cartella clinica|prontu\xc3\xa1rio"
)  # fmt: skip
_VALUE = (
    rb"(?:[A-Z]{0,4}-?|[a-z]{1,2})[0-9]{1,12}(?:(?:-[0-9]{1,8}){0,3}|[A-Z])"
    rb"|[A-Z]{1,4}[0-9]{1,8}[A-Z]{1,4}[0-9]{1,8}"
)
_DATE = re.compile(rb"(?:19|20)[0-9]{2}-[0-9]{1,2}-[0-9]{1,2}|[0-9]{1,2}-[0-9]{1,2}-[0-9]{2,4}")
_MIN_DIGITS, _MIN_DIGITS_MIXED, _MAX_DIGITS = 5, 4, 14


def _accept(match: re.Match[bytes]) -> Span | None:
    # AB12CD34
    minimum = _MIN_DIGITS if match[1].lstrip(LETTERS + b"-")[:-1].isdigit() else _MIN_DIGITS_MIXED
    is_number = minimum <= len(digits(match[1])) <= _MAX_DIGITS
    return match.span(1) if is_number and not _DATE.fullmatch(match[1]) else None


MEDICAL_RECORD = Recognizer(
    kind="medical_record",
    trigger=Words(
        words=(b"mrn", b"medical", b"med rec", b"med. rec", b"med.rec", b"med-rec", b"med_rec",
               b"medrec", b"patient", b"hospital", b"chart", b"health record", b"health_record",
               b"health-record", b"healthrecord", b"fallnummer", b"historia cl", b"nhc",
               b"cartella cl", b"prontu"),
        lead_bytes=16,
        reach_bytes=REACH_BYTES,
    ),
    pattern=labelled(_WORDS, _VALUE),
    accept=_accept,
)  # fmt: skip
