"""Dates of documents: what sources write of them, as seconds since 1970 in UTC.

Read are

    ISO 8601         2023, 2023-01, 2023-01-15, 2023-01-15T09:30, 2023-01-15 09:30:00.5+01:00;
                     without a zone it is UTC, without a month or a day the first one
    digits of it     20230115, and 20230115093000 as web archives write it
    epoch numbers    seconds below 10^11, milliseconds below 10^14, microseconds below 10^17, else
                     nanoseconds; integers or decimals; digits that are a calendar date are that

Years are 1 to 9999. Fractions of a second are dropped. Anything else is no date: null.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

DATE_TYPE = pa.timestamp("s", "UTC")

_ISO = (
    r"^\s*(?P<year>\d{4})(?:-(?P<month>\d{2})(?:-(?P<day>\d{2})"
    r"(?:[Tt ](?P<hour>\d{2}):?(?P<minute>\d{2})(?::?(?P<second>\d{2})(?:[.,]\d+)?)?"
    r"\s*(?:[Zz]|UTC|GMT|(?P<sign>[+-])(?P<zone_hour>[01]\d|2[0-3]):?(?P<zone_minute>[0-5]\d)?)?)?)?)?\s*$"
)
_DIGITS = (
    r"^\s*(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})"
    r"(?:(?P<hour>\d{2})(?P<minute>\d{2})(?P<second>\d{2}))?\s*$"
)
_NUMBER = r"^\s*[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?\s*$"
_EPOCH_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))  # from where on, units in a second
_YEARS = range(1, 10_000)
_YEAR_1_SECONDS, _YEAR_10000_SECONDS = -62_135_596_800, 253_402_300_800


def parse_dates(values: pa.StringArray) -> pa.TimestampArray:
    """Dates of strings, `DATE_TYPE`; null for a null and for what is no date."""
    seconds = np.full(len(values), np.nan)
    for found in (_numbers(values), _calendar(values, _DIGITS), _calendar(values, _ISO)):
        seconds = np.where(np.isnan(found), seconds, found)
    missing = ~((seconds >= _YEAR_1_SECONDS) & (seconds < _YEAR_10000_SECONDS))
    whole = np.floor(np.where(missing, 0.0, seconds)).astype(np.int64)
    return pa.array(whole, pa.int64(), mask=missing).cast(DATE_TYPE)


def date_seconds(dates: pa.TimestampArray) -> np.ndarray:
    """Seconds since 1970 of `DATE_TYPE` values, float64, NaN for a null."""
    seconds: np.ndarray = dates.cast(pa.int64()).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return seconds


def _numbers(values: pa.StringArray) -> np.ndarray:
    """Epoch numbers as seconds; NaN for the rest."""
    is_number = pc.match_substring_regex(values, _NUMBER)
    texts = pc.if_else(is_number, pc.utf8_trim_whitespace(values), None)
    # Arrow's parser takes no plus sign.
    texts = pc.replace_substring_regex(texts, r"^\+", "")
    numbers = texts.cast(pa.float64()).to_numpy(zero_copy_only=False)
    size = np.abs(numbers)
    unit = np.select([size >= least for least, _ in _EPOCH_UNITS], [u for _, u in _EPOCH_UNITS], 1)
    seconds: np.ndarray = numbers / unit
    return seconds


def _calendar(values: pa.StringArray, pattern: str) -> np.ndarray:
    """Seconds of the values that match a pattern and are a date of the calendar; else NaN."""
    parts = pc.extract_regex(values, pattern)
    names = [field.name for field in parts.type]
    year = _integers(parts, "year", -1)
    month, day = _integers(parts, "month", 1), _integers(parts, "day", 1)
    hour, minute, second = (
        _integers(parts, name, 0) if name in names else 0 for name in ("hour", "minute", "second")
    )
    good = (year >= _YEARS.start) & (year < _YEARS.stop) & (month >= 1) & (month <= 12)
    months = (np.where(good, year - 1970, 0) * 12 + np.where(good, month - 1, 0)).astype("M8[M]")
    days = months.astype("M8[D]") + (day - 1)
    good &= (day >= 1) & (days.astype("M8[M]") == months)
    good &= (hour <= 23) & (minute <= 59) & (second <= 60)
    seconds = days.astype("M8[s]").astype(np.int64) + hour * 3600 + minute * 60 + second
    if "sign" in names:
        zone = _integers(parts, "zone_hour", 0) * 3600 + _integers(parts, "zone_minute", 0) * 60
        west = pc.equal(pc.struct_field(parts, "sign"), "-").fill_null(False)
        seconds += np.where(west.to_numpy(zero_copy_only=False), zone, -zone)
    return np.where(good, seconds, np.nan)


def _integers(parts: pa.StructArray, name: str, missing: int) -> np.ndarray:
    """The digits of a group, int64; `missing` where it or the whole pattern does not match."""
    texts = pc.struct_field(parts, name)  # null where the pattern does not match, else maybe ""
    texts = pc.if_else(pc.equal(texts, ""), None, texts)
    numbers: np.ndarray = texts.cast(pa.int64()).fill_null(missing).to_numpy()
    return numbers
