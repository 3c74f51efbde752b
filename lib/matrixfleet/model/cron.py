"""Schedules as the Kubernetes CronJob controller reads them.

It reads them with github.com/robfig/cron/v3 (ParseStandard): five fields, days of the week 0 to 6, and where both kinds
of days are restricted either of them is enough.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import cache
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from matrixfleet.model.types import expected

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 6))
_PART = re.compile(r"(?:(\*)|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/([0-9]{1,2}))?", re.ASCII)
# Eight years hold every leap day but those that a century leaves out.
_FIRST, _DAYS = date(2024, 1, 1), 8 * 366


def _numbers(name: str, first: int, last: int, field: str) -> frozenset[int]:
    """The numbers that a field stands for. Raises ValueError with what is wrong."""
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"the {name} {part!r} is no number, range or step")
        star, low, high, step = match.groups()
        start = first if star else int(low)
        end = last if star or (step and not high) else int(high or low)
        if not first <= start <= end <= last:
            raise ValueError(f"the {name} is {first} to {last}, the smaller number first")
        if step and not 1 <= int(step) <= last - first:
            raise ValueError(f"a step of the {name} is 1 to {last - first}")
        found.update(range(start, end + 1, int(step or 1)))
    return frozenset(found)


@cache
def longest_gap(schedule: str) -> timedelta | None:
    """The longest time between two runs; None for a schedule that never runs. Raises ValueError with what is wrong."""
    fields = schedule.split(" ")
    if len(fields) != len(_FIELDS):
        raise ValueError(f"{len(fields)} fields")
    minutes, hours, days, months, weekdays = (
        _numbers(*about, field) for about, field in zip(_FIELDS, fields, strict=True)
    )
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    times = sorted(hour * 60 + minute for hour in hours for minute in minutes)
    runs: list[int] = []
    for number in range(_DAYS):
        day = _FIRST + timedelta(days=number)
        by_date, by_name = day.day in days, day.isoweekday() % 7 in weekdays
        if day.month in months and (by_date or by_name if either else by_date and by_name):
            runs.append(number * 1440)
    if not runs:
        return None
    within = max((after - before for before, after in pairwise(times)), default=0)
    overnight = [after + times[0] - before - times[-1] for before, after in pairwise(runs)]
    return timedelta(minutes=max(within, *overnight)) if overnight else timedelta(days=_DAYS)


def _cron(value: Any) -> str:
    wanted = "five fields of cron (17 2 * * *)"
    if not isinstance(value, str):
        raise expected(wanted, value)
    try:
        gap = longest_gap(value)
    except ValueError as error:
        raise expected(wanted, value, str(error)) from error
    if gap is None:
        raise expected(wanted, value, "no year has such a day")
    return value


Cron = Annotated[str, BeforeValidator(_cron)]
"""When, in UTC: minute, hour, day of month, month, day of week."""


def at_least_every(days: int, why: str) -> AfterValidator:
    """A validator of schedules that run often enough."""

    def check(schedule: str) -> str:
        gap = longest_gap(schedule)
        if gap is None or gap > timedelta(days=days):
            raise expected(f"a run every {days} days or more often", schedule, why)
        return schedule

    return AfterValidator(check)
