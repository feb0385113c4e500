"""Keys and tokens whose issuers gave them a prefix to be found by, and JSON web tokens.

AWS access key ids, GitHub (five prefixes and fine-grained), GitLab, Slack (tokens, app tokens and
webhooks), Google (API keys, OAuth tokens and client secrets), Stripe, OpenAI, Anthropic, Hugging
Face, npm, PyPI, SendGrid, Shopify, DigitalOcean. The shapes are those of the issuers'
documentation. A JSON web token (RFC 7519) is one if its header decodes to JSON with `alg`.
Keys that documentation prints to be copied (`AKIAIOSFODNN7EXAMPLE`) and fillers (`xxxx`, `0000`)
stay. What has no prefix is `assigned_secret`'s, private keys are `private_key`'s.
"""

import base64
import binascii
import re

from pipeline.text.pii.recognizer import Recognizer, Span
from pipeline.text.pii.triggers import Words

_TOKENS = (
    rb"(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA|ANVA|ABIA|ACCA)[A-Z2-7]{16}(?![A-Za-z0-9])",
    rb"gh[pousr]_[A-Za-z0-9]{36,255}",
    rb"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
    rb"glpat-[A-Za-z0-9_-]{20,64}",
    rb"xox[abceoprs]-[A-Za-z0-9-]{10,250}",
    rb"xoxd-[A-Za-z0-9%+/=_-]{20,500}",
    rb"xapp-[0-9]-[A-Z0-9]{8,12}-[0-9]{8,14}-[a-f0-9]{64}",
    rb"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/]{20,120}",
    rb"AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])",
    rb"ya29\.[A-Za-z0-9_-]{20,1024}",
    rb"GOCSPX-[A-Za-z0-9_-]{28}",
    rb"[rs]k_(?:live|test)_[A-Za-z0-9]{16,247}",
    rb"whsec_[A-Za-z0-9+/=]{32,64}",
    rb"sk-(?:ant-[a-z0-9]{3,8}-|proj-|svcacct-)[A-Za-z0-9_-]{40,200}",
    rb"sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}",
    rb"hf_[A-Za-z]{34}(?![A-Za-z0-9])",
    rb"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])",
    rb"pypi-AgE[A-Za-z0-9_-]{50,512}",
    rb"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
    rb"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
    rb"do[opr]_v1_[a-f0-9]{64}",
)
_JWT = rb"eyJ[A-Za-z0-9_-]{8,2048}\.eyJ[A-Za-z0-9_-]{8,8192}\.[A-Za-z0-9_-]{0,2048}"
_PATTERN = re.compile(rb"(?<![A-Za-z0-9_])(?:" + rb"|".join(_TOKENS) + rb"|(" + _JWT + rb"))")
_IS_FILLER = re.compile(rb"(?i)example|x{8}|\*|(.)\1{9}|0123456789|1234567890|abcdefgh")


def _accept(match: re.Match[bytes]) -> Span | None:
    if match[1] is not None:
        return match.span() if _is_jwt_header(match[1].partition(b".")[0]) else None
    return None if _IS_FILLER.search(match[0]) else match.span()


def _is_jwt_header(text: bytes) -> bool:
    try:
        header = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except binascii.Error:
        return False
    return header.startswith(b"{") and b'"alg"' in header


SECRET = Recognizer(
    kind="secret",
    trigger=Words(
        words=(b"akia", b"asia", b"agpa", b"aida", b"aroa", b"anpa", b"anva", b"abia", b"acca",
               b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_", b"glpat-",
               b"xoxa-", b"xoxb-", b"xoxc-", b"xoxd-", b"xoxe-", b"xoxo-", b"xoxp-", b"xoxr-",
               b"xoxs-", b"xapp-",
               b"hooks.slack.com", b"aiza", b"ya29.", b"gocspx-", b"sk_live_", b"sk_test_",
               b"rk_live_", b"rk_test_", b"whsec_", b"sk-", b"hf_", b"npm_", b"pypi-age",
               b"sg.", b"shpat_", b"shpca_", b"shppa_", b"shpss_", b"doo_v1_", b"dop_v1_",
               b"dor_v1_", b"eyj"),
        reach_bytes=0,
    ),
    pattern=_PATTERN,
    accept=_accept,
)  # fmt: skip
