"""What decides the texts, as plain values for fingerprints. Where the key lies decides nothing."""

from typing import Any

from pipeline.releases import release
from pipeline.text.pii.config import PiiConfig
from pipeline.text.pii.plugins.registry import releases

LIBRARIES = ("phonenumbers", "python-stdnum")  # their tables of numbers and checksums


def finding_settings(config: PiiConfig) -> dict[str, Any]:
    """What decides the texts with tags, which are compared and edited."""
    values = config.model_dump(
        mode="json",
        exclude={"mode", "modes", "length_preserving", "key_env", "key_file", "num_samples"},
    )
    libraries = [release(name) for name in LIBRARIES if config.active_kinds]
    plugins = [releases(spec) for spec in config.recognizers]
    return {**values, "active": list(config.active_kinds), "releases": [libraries, *plugins]}


def storing_settings(config: PiiConfig) -> dict[str, Any]:
    """What decides the stored texts and the samples, but for the key."""
    modes = {kind: config.mode_of(kind) for kind in config.all_kinds}
    return {
        **finding_settings(config),
        "modes": modes,
        "length_preserving": config.length_preserving,
        "num_samples": config.num_samples,
    }
