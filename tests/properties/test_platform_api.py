"""The tests' platform server is what its own OpenAPI description says, over real HTTP, whatever is sent to it."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import Phase, given
from hypothesis import strategies as st
from platform_server import GATED, KEY, running_platform
from platform_server.models import GATE
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    missing_required_header,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from properties import examples

OPERATIONS = (
    "DELETE /job/{experiment_id}",
    "GET /download",
    "GET /health",
    "GET /job/{experiment_id}",
    "GET /jobs",
    "GET /models",
    "GET /models/{name}",
    "POST /data/upload",
    "POST /experiments/{experiment_id}/reproduce",
    "POST /submit_job",
    "POST /submit_job_inline",
)
CHECKS = [
    status_code_conformance, content_type_conformance, response_headers_conformance, response_schema_conformance,
    negative_data_rejection, ignored_auth, missing_required_header,
]  # fmt: skip
#: As the platform does: a TOML that is none is no refusal, but a failure.
FAILS = {"POST /submit_job_inline"}


@pytest.fixture(scope="module")
def platform():
    with running_platform() as platform:
        yield platform.reset()


@pytest.fixture(scope="module")
def schema(platform):
    return schemathesis.openapi.from_url(f"{platform.url}/openapi.json")


@pytest.fixture(scope="module")
def job(platform, schema):
    """A job that has ended, to be asked for."""
    record = platform.work.inline(_Inline())
    platform.work.enqueue(record)
    GATE.set()
    return platform.wait(record.experiment_id).experiment_id


class _Inline:
    model_spec_toml = GATED
    input_dataset, input_format = "", "auto"
    column_map, band_map, parameters = {}, {}, {}


def test_every_operation_is_described(schema):
    assert sorted(found.ok().label for found in schema.get_all_operations()) == list(OPERATIONS)


@pytest.mark.parametrize("label", OPERATIONS)
def test_it_answers_as_it_describes_itself(platform, schema, job, label):
    method, path = label.split()
    operation = schema[path][method]
    checks = [*CHECKS, *([] if label in FAILS else [not_a_server_error])]
    statuses = set()

    @examples(8, phases=[Phase.generate, Phase.shrink])
    @given(operation.as_strategy(), st.sampled_from([None, None, job, "gated", "flood"]))
    def answers(case, known):
        if known is not None:
            for name in case.path_parameters or {}:
                case.path_parameters[name] = known
        response = case.call(headers={"X-API-Key": KEY})
        statuses.add(response.status_code)
        case.validate_response(response, checks=checks, headers={"X-API-Key": KEY})

    answers()
    assert statuses <= {200, 400, 404, 422, 500}
    platform.work.wait_until_idle()
