from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dates import DATE_TYPE, date_seconds, parse_dates

WHEN = datetime(2023, 1, 15, 9, 30, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(
    lambda moment: moment.replace(microsecond=0)
)


def parsed(*texts):
    dates = parse_dates(pa.array(texts, pa.string()))
    assert dates.type == DATE_TYPE
    return dates.to_pylist()


@pytest.mark.parametrize(
    "text",
    [
        "2023-01-15T09:30:00Z",
        " 2023-01-15 09:30 ",
        "2023-01-15T10:30:00+01:00",
        "2023-01-15 04:00:00.25-0530",
        "2023-01-15 09:30:00 UTC",
        "20230115093000",
        "1673775000",
        "1673775000.9",
        "1673775000000",
        "1673775000000000",
        "1673775000000000000",
        "1.673775e9",
    ],
)
def test_one_moment_in_many_forms(text):
    assert parsed(text) == [WHEN]


def test_without_a_month_or_a_day_it_is_the_first_one():
    expected = [datetime(2023, month, day, tzinfo=UTC) for month, day in ((1, 1), (4, 1), (4, 2))]
    assert parsed("2023", "2023-04", "2023-04-02") == expected
    assert parsed("20230402") == expected[2:]


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "yesterday", "2023-02-30", "2023-13-01", "2023-1-5", "2023-01-15T25:00"),
        *("2023-01-15T09:61", "nan", "inf", "1e300", "15.01.2023", "Tue, 15 Nov 1994", "٢٠٢٣"),
        *("0000-01-01", "0001-01-01T00:00+01:00", "-62135596800001"),
    ],
)
def test_what_is_no_date_is_null(text):
    assert parsed(text, None) == [None, None]


@given(MOMENTS, st.integers(-14 * 60, 14 * 60), st.sampled_from(["T", " "]))
def test_iso_dates_are_those_of_python(moment, minutes, separator):
    zone = timezone(timedelta(minutes=minutes))
    text = moment.replace(tzinfo=zone).isoformat(sep=separator)
    (seconds,) = date_seconds(parse_dates(pa.array([text])))
    assert seconds == (moment - datetime(1970, 1, 1)) / timedelta(seconds=1) - 60 * minutes


@given(st.lists(st.text(max_size=20) | st.none() | st.integers().map(str), max_size=9))
def test_any_text_is_a_date_or_null_and_batches_do_not_matter(texts):
    whole = parse_dates(pa.array(texts, pa.string()))
    array = pa.array(["x", *texts], pa.string())[1:]
    each = [parse_dates(array[i : i + 1])[0] for i in range(len(texts))]
    assert whole.to_pylist() == [date.as_py() for date in each]
