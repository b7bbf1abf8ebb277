"""Durations and numbers of bytes, written for people."""

from __future__ import annotations

_SECONDS, _MINUTES, _THOUSAND = 60, 60, 1000
_STEP = 1024
_ENOUGH = 10  # from here on a decimal tells nothing that somebody would act on


def duration_text(seconds: float) -> str:
    """
    Write a duration for people.

    Examples
    --------
    >>> duration_text(0.0042), duration_text(3.21), duration_text(75.4), duration_text(7265)
    ('4 ms', '3.2 s', '1 min 15 s', '2 h 01 min')
    """
    if round(seconds * _THOUSAND) < _THOUSAND:
        return f"{seconds * _THOUSAND:.0f} ms"
    if round(seconds, 1) < _SECONDS:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _SECONDS)
    return (
        f"{minutes} min {rest:02d} s"
        if minutes < _MINUTES
        else f"{minutes // _MINUTES} h {minutes % _MINUTES:02d} min"
    )


def bytes_text(size: float) -> str:
    """
    Write a number of bytes for people, in powers of 1024 as memory is counted.

    Examples
    --------
    >>> bytes_text(999), bytes_text(2_500_000), bytes_text(123_456_789), bytes_text(2 * 1024**3)
    ('999 B', '2.4 MiB', '118 MiB', '2.0 GiB')
    """
    if round(size) < _STEP:
        return f"{size:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        size /= _STEP
        if round(size) < _STEP or unit == "TiB":
            break
    return f"{size:.1f} {unit}" if round(size, 1) < _ENOUGH else f"{size:,.0f} {unit}"
