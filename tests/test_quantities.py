import pytest

from dissmodel_lab.quantities import bytes_text, duration_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ms"), (0.0004, "0 ms"), (0.9994, "999 ms"), (0.9996, "1.0 s"), (1, "1.0 s"), (59.94, "59.9 s"),
     (59.96, "1 min 00 s"), (60, "1 min 00 s"), (3599.4, "59 min 59 s"), (3599.6, "1 h 00 min")],
)  # fmt: skip
def test_duration_text(seconds, text):
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (9.96 * 1024, "10 KiB"), (1024**2 - 1, "1.0 MiB"),
     (5 * 1024**2, "5.0 MiB"), (1024**3, "1.0 GiB"), (1.5 * 1024**3, "1.5 GiB"), (1500 * 1024**4, "1,500 TiB")],
)  # fmt: skip
def test_bytes_text(size, text):
    assert bytes_text(size) == text
