"""Notations that look like PII and by their context are none: what hard negatives are made of."""

import re
from collections.abc import Mapping

# The group `no` is what no tool may touch.
COLLECTORS: Mapping[str, re.Pattern[bytes]] = {
    name: re.compile(pattern)
    for name, pattern in {
        "version": rb"(?i)\b(?:versions?|releases?|v|rev|python|linux|kernel|perl|django|glibc|gcc"
        rb"|[a-z]{3,}-|[=<>]=) ?(?P<no>[0-9]+(?:\.[0-9]+){2,4}(?:[-~+][0-9a-z.]{1,20})?)\b",
        "section": rb"(?i)(?:\b(?:sections?|sec\.|chapters?|appendix|clause|figure|table|abschnitt"
        rb"|kapitel) |\xc2\xa7 ?)(?P<no>[0-9]+(?:\.[0-9]+){2,5})(?=[ ,;:)\n])",
        "heading": rb"(?m)^(?P<no>[1-9]?[0-9](?:\.[0-9]{1,2}){2,5})\.? +[A-Z]",
        "hash": rb"(?<![0-9A-Za-z])(?P<no>(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{56}|[0-9a-f]{64}"
        rb"|[0-9a-f]{96}|[0-9a-f]{128}))(?![0-9A-Za-z])",
        "commit": rb"(?i)\bcommits? (?P<no>[0-9a-f]{7,40})\b",
        "date": rb"(?P<no>\b(?:[12][0-9]{3}-[01][0-9]-[0-3][0-9](?:[T ][0-9:.]{5,15}Z?)?"
        rb"|[0-3]?[0-9][./][0-3]?[0-9][./](?:19|20)[0-9]{2}))\b",
        "mail date": rb"(?P<no>\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{1,2} [A-Z][a-z]{2} [0-9]{4}"
        rb" [0-9:]{8} [+-][0-9]{4})",
        "time": rb"(?<![0-9:])(?P<no>[0-2][0-9]:[0-5][0-9]:[0-5][0-9](?:\.[0-9]{2,9})?)(?![0-9:])",
        "isbn": rb"(?i)\bISBN(?:-1[03])?:?\s{0,2}(?P<no>[0-9][0-9 -]{8,15}[0-9X])\b",
        "kernel address": rb"(?P<no>\b(?:0x[0-9a-f]{8,16}|ffff[0-9a-f]{12}|[0-9a-f]{16}"
        rb"|[0-9a-f]{8}-[0-9a-f]{8}|[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9]))\b",
        "hex dump": rb"(?<![0-9A-Za-z])(?P<no>(?:[0-9a-f]{2}[ :]){7,15}[0-9a-f]{2})"
        rb"(?![0-9A-Za-z:])",
        "uuid": rb"(?i)(?P<no>\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})\b",
        "oid": rb"(?<![0-9.])(?P<no>[012](?:\.[0-9]+){5,})(?![0-9.])",
        "local address": rb"(?<![0-9.])(?P<no>(?:10\.[0-9]{1,3}|127\.[0-9]{1,3}|192\.168"
        rb"|255\.255)\.[0-9]{1,3}\.[0-9]{1,3})(?![0-9.])",
        "range": rb"(?i)\b(?:pages?|pp?\.|ports?|range|lines?|bytes?|bits?|years?|copyright|\(c\)) "
        rb"(?P<no>[0-9]+ ?(?:-|--|\xe2\x80\x93|\.\.|to) ?[0-9]+)\b",
        "money": rb"(?P<no>(?:[$\xc2\xa3]|\xe2\x82\xac) ?[0-9][0-9,.]*[0-9]|\b[0-9][0-9.,]*[0-9]"
        rb"(?= (?:USD|EUR|GBP|dollars?|euros?|million|billion)\b))",
        "number in code": rb"[=(,\[:] ?(?P<no>[0-9]{9,20})(?=[),\]:}LlUu\n])",
        "fraction": rb"(?<![0-9.])"
        rb"(?P<no>-?[0-9]{1,3}\.[0-9]{4,17}(?:,? +-?[0-9]{1,3}\.[0-9]{4,17})*)"
        rb"(?![0-9.])",
        "number list": rb"(?P<no>(?<![0-9A-Za-z.-])[0-9]{1,5}(?:, ?[0-9]{1,5}){5,30})(?![0-9.])",
        "identifier": rb"(?P<no>\b(?:CVE-[0-9]{4}-[0-9]{4,7}|RFC ?[0-9]{3,5}|PEP ?[0-9]{3,4}"
        rb"|bug #?[0-9]{5,8}|(?:Closes: |closes: |issue ?|gh-|bpo-)#?[0-9]{4,8}"
        rb"|(?:ISO|IEC|IEEE)[ /]?[0-9]{3,5}(?:[-:.][0-9]+)*))\b",
        "constant": rb"(?P<no>\b[A-Z]{2,8}_[A-Z0-9_]*[0-9]{2,}[A-Z0-9_]*)\b",
        "decorator": rb"(?m)^ *(?P<no>@[a-z_]\w*(?:\.\w+)*(?:\([^\n)]{0,60}\))?)\s",
        "scope": rb"(?<![\w:])(?P<no>[A-Za-z]\w*(?:::[A-Za-z]\w*)+)\b",
        "slice": rb"\w(?P<no>\[-?[0-9]*:-?[0-9]*(?::-?[0-9]+)?\])",
        "expression": rb"(?i)\b\w*(?:password|passwd|secret|token|api_?key)\w* ?=(?P<no> ?(?:None"
        rb"|True|False|[a-z_][a-z_.]+\([^\n]{0,60}\)|self\.[a-z_.]+|%s|\{[a-z_]*\}))\s",
        "certificate": rb"(?P<no>-----BEGIN (?:CERTIFICATE|PUBLIC KEY|PGP SIGNATURE)-----)",
        "image name": rb"(?P<no>\b[\w-]{1,40}@[0-9]x\.(?:png|jpg|svg))\b",
    }.items()
}
