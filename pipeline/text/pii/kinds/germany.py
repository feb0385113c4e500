"""Germany: the tax identification number (Abgabenordnung section 139b; Steuer-ID, IdNr).

Eleven digits: of the first ten exactly one stands there twice or three times, the last checks by
ISO 7064 modulo 11, 10. Three numbers in a hundred pass, so a name must stand before it.
"""

from stdnum.de import idnr

from pipeline.text.pii.kinds.named import named, number


def _is_tax_id(value: bytes) -> bool:
    return bool(idnr.is_valid(value.decode("ascii")))


DE_TAX_ID = named(
    "de_tax_id",
    (b"steuer", b"idnr", b"id-nr", b"tax id", b"tax number"),
    number(2, 3, 3, 3),
    _is_tax_id,
)
