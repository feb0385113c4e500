"""`prepare` on web archives and HTML files: one corpus, every record accounted for."""

import gzip
from collections import Counter
from pathlib import Path

import pytest

from pipeline.cli import main
from tests.pipeline.corpora import Corpus, base_manifest, docstrings, tokenizer
from tests.pipeline.sources.archives import Stored, archive


def page(text: str, charset: str) -> bytes:
    paragraphs = "".join(f"<p>{part}</p>" for part in text.split("\n\n"))
    html = f"<!DOCTYPE html><html><head><title>T</title></head><body>{paragraphs}</body></html>"
    return html.replace("<p>", "<p>Größe: ", 1).encode(charset)


@pytest.fixture
def web(tmp_path: Path) -> Corpus:
    """Pages in archives, one of them plain and one large, texts of a WET file, and HTML files."""
    texts = [text.replace("<", "").replace("&", "") for text in docstrings()[:90]]
    charsets = ["utf-8", "iso-8859-1"]
    stored = [
        Stored(
            f"http://a.example/{i}",
            page(text, charsets[i % 2]),
            f"text/html; charset={charsets[i % 2]}",
        )
        for i, text in enumerate(texts[:60])
    ]
    noise = [
        Stored("http://a.example/", b"", kind="request"),
        Stored("http://a.example/none", b"<p>none", status="404 Not Found"),
        Stored("http://a.example/x.png", b"\x89PNG", "image/png"),
        Stored("http://a.example/bad", b"\xff", http={"Content-Encoding": "compress"}),
    ]
    wet = [
        Stored(f"http://b.example/{i}", text.encode(), "text/plain", kind="conversion")
        for i, text in enumerate(texts[60:80])
    ]
    (tmp_path / "a.warc.gz").write_bytes(archive(stored[:30] + noise))
    # Compressed as a whole and larger than what is read in one piece, so it is spooled.
    large = Stored("http://a.example/x.mp4", bytes(range(256)) * 1000, "video/mp4")
    plain = archive(stored[30:] + [large] * 40, is_gzip=False)
    (tmp_path / "b.warc.gz").write_bytes(gzip.compress(plain, 0))
    (tmp_path / "c.warc.wet.gz").write_bytes(archive(wet))
    for i, text in enumerate(texts[80:]):
        (tmp_path / f"{i}.html").write_bytes(page(text, "utf-16"))
    manifest = base_manifest(tokenizer(tmp_path / "tokenizer"))
    manifest["sources"] = [
        {"name": "web", "format": "warc", "paths": ["*.warc*"], "date_field": "warc_date"},
        {"name": "files", "format": "html", "paths": ["*.html"]},
    ]
    manifest["filters"] = []
    manifest["limits"] = {"max_quarantined_fraction": 0.1}
    return Corpus(tmp_path, manifest)


def test_every_record_is_a_document_or_counted(web: Corpus) -> None:
    shown = web.prepare()
    ledger = web.ledger()
    assert ledger["web"]["skipped"] == {
        "request": 1,
        "response, image": 1,
        "response, status 404": 1,
        "response, video": 40,
        "warcinfo": 3,
    }
    assert "no document: response, video" in shown
    assert ledger["web"]["num_read"] == 81
    assert ledger["web"]["quarantined"] == {"bad_row": 1}
    assert (ledger["web"]["num_undated"], ledger["files"]["num_read"]) == (0, 10)
    kept = web.table("kept")
    types = Counter(dict(meta)["content_type"] for meta in kept["meta"].to_pylist())
    assert types["text/plain"] == 20
    assert types["text/html"] == kept.num_rows - 20 > 60
    html = [
        text
        for text, meta in zip(kept["text"].to_pylist(), kept["meta"].to_pylist(), strict=True)
        if dict(meta)["content_type"] == "text/html"
    ]
    assert all("Größe: " in text and "<p>" not in text for text in html)
    assert main(["verify", str(web.out)]) == 0


@pytest.mark.slow
def test_a_document_of_an_archive_is_explained_by_its_place(
    web: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    web.prepare()
    name = next(
        name for name in web.table("kept")["id"].to_pylist() if name.startswith("a.warc.gz#")
    )
    assert main(["explain", str(web.out), name]) == 0
    shown = capsys.readouterr().out
    assert f"the record at {int(name.partition('#')[2]):,}" in shown
    assert "http://a.example/" in shown
