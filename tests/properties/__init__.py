"""Properties that hold for whatever is put in, looked for by hypothesis."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

#: How many times as many examples as in the everyday tests: ``make fuzz`` sets it.
FACTOR = int(os.environ.get("DISSMODEL_LAB_EXAMPLES", "1"))


def examples(count: int, **more) -> settings:
    """Try a property so often, each time as long as it takes."""
    slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much]
    return settings(max_examples=count * FACTOR, deadline=None, suppress_health_check=slow, **more)
