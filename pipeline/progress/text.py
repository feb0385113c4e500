"""Numbers as a person reads them."""

from pipeline.progress.stages import RunProgress

MEGABYTE, GIGABYTE = 1e6, 1e9
UNKNOWN = "-"


def clock(seconds: float | None) -> str:
    """Hours, minutes and seconds: `0:02:05`; days are hours, too."""
    if seconds is None:
        return "-:--:--"
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def documents_rate(per_second: float | None) -> str:
    """Documents per second: `1,234`; with a decimal where they are few."""
    if per_second is None:
        return UNKNOWN
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.1f}"


def bytes_rate(per_second: float | None) -> str:
    """MB per second: `12.3`."""
    return UNKNOWN if per_second is None else f"{per_second / MEGABYTE:,.1f}"


def memory(num_bytes: int) -> str:
    """`850 MB`, `1.2 GB`."""
    if num_bytes < GIGABYTE:
        return f"{num_bytes / MEGABYTE:,.0f} MB"
    return f"{num_bytes / GIGABYTE:,.1f} GB"


def documents(run: RunProgress) -> str:
    """What became of the rows that were read: `read 12,345 (40.1 MB) · kept ...`."""
    seen = run.documents
    return (
        f"read {seen.num_documents:,} ({seen.num_bytes / MEGABYTE:,.1f} MB) · "
        f"kept {seen.num_kept:,} · dropped {seen.num_dropped:,} · "
        f"quarantined {seen.num_quarantined:,}"
    )
