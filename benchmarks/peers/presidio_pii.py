"""Presidio's recognisers of the kinds that Headwater has, without a model.

    python presidio_pii.py TEXTS           serves rounds: `presidio`
    python presidio_pii.py TEXTS OUT       writes, for each text, [begin, end, kind, score]...

TEXTS is a JSON list. Run by an interpreter that has presidio-analyzer 2.2. For speed the NLP engine
is Presidio's own that does nothing. For spans it splits words as spaCy's rules do, without a model,
so that Presidio's context words are seen. Recognisers of other languages are made for English, the
language of the call; their patterns and checksums are as Presidio ships them.
"""

import json
import logging
import sys
from collections.abc import Iterator

import spacy
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry, predefined_recognizers
from presidio_analyzer.nlp_engine import NlpArtifacts, NoOpNlpEngine
from rounds import serve, texts

# It would fetch a list of suffixes, and tells each failure with a traceback; it has one inside.
logging.getLogger("tldextract").setLevel(logging.CRITICAL)

RECOGNIZERS = {
    "email": ("EmailRecognizer",),
    "phone": ("PhoneRecognizer",),
    "ip": ("IpRecognizer",),
    "mac": ("MacAddressRecognizer",),
    "credit_card": ("CreditCardRecognizer",),
    "iban": ("IbanRecognizer",),
    "us_ssn": ("UsSsnRecognizer",),
    "uk_nhs": ("NhsRecognizer",),
    "uk_nino": ("UkNinoRecognizer",),
    "de_tax_id": ("DeTaxIdRecognizer",),
    "es_dni": ("EsNifRecognizer",),
    "es_nie": ("EsNieRecognizer",),
    "it_codice_fiscale": ("ItFiscalCodeRecognizer",),
    "pl_pesel": ("PlPeselRecognizer",),
    "in_aadhaar": ("InAadhaarRecognizer",),
    "in_pan": ("InPanRecognizer",),
    "crypto": ("CryptoRecognizer",),
    "passport": ("UsPassportRecognizer", "UkPassportRecognizer", "DePassportRecognizer"),
    "driver_license": ("UsLicenseRecognizer", "UkDrivingLicenceRecognizer"),
}
_MODELS = [{"lang_code": "en", "model_name": ""}]


class Words(NoOpNlpEngine):  # type: ignore[misc]
    """Words in lower case for lemmas; no entities."""

    def load(self) -> None:
        """Rules of spaCy's English tokenizer, which it has without a model."""
        super().load()
        self._split = spacy.blank("en")
        self._split.max_length = 10**8

    def process_text(self, text: str, language: str) -> NlpArtifacts:
        """The words of one text."""
        doc = self._split(text)
        return NlpArtifacts(
            entities=[],
            tokens=doc,
            tokens_indices=[token.idx for token in doc],
            lemmas=[token.lower_ for token in doc],
            nlp_engine=self,
            language=language,
        )

    def is_stopword(self, word: str, language: str) -> bool:
        """Whether spaCy lists it."""
        return bool(self._split.vocab[word].is_stop)

    def is_punct(self, word: str, language: str) -> bool:
        """Whether it is punctuation."""
        return bool(self._split.vocab[word].is_punct)


def analyzer(engine: NoOpNlpEngine) -> tuple[AnalyzerEngine, dict[str, str]]:
    """The engine, and our kind for each of Presidio's entities."""
    engine.load()
    registry = RecognizerRegistry(recognizers=[], supported_languages=["en"])
    kinds = {}
    for kind, names in RECOGNIZERS.items():
        for name in names:
            recognizer = getattr(predefined_recognizers, name)(supported_language="en")
            registry.add_recognizer(recognizer)
            kinds |= dict.fromkeys(recognizer.supported_entities, kind)
    made = AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])
    return made, kinds


def spans(found: list[str]) -> Iterator[list[list[object]]]:
    """What Presidio finds, whatever its score."""
    engine, kinds = analyzer(Words(_MODELS))
    for text in found:
        results = engine.analyze(text, language="en", entities=list(kinds))
        yield [[r.start, r.end, kinds[r.entity_type], r.score] for r in results]


def main() -> None:
    """Spans if there is a place to write them, else rounds."""
    found = texts()
    if len(sys.argv) > 2:
        with open(sys.argv[2], "w", encoding="utf-8") as handle:  # noqa: PTH123
            json.dump(list(spans(found)), handle)
        return
    engine, kinds = analyzer(NoOpNlpEngine(_MODELS))

    def analyse(wanted: list[str]) -> None:
        for text in wanted:
            engine.analyze(text, language="en", entities=list(kinds))

    analyse(found[:1])
    serve({"presidio": lambda: analyse(found)})


if __name__ == "__main__":
    main()
