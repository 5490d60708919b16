"""The client reads what the service writes: two sets of models, one meaning.

The service's are strict and make the API's document; the client's pass over what a newer service
adds. So they are two, and this holds them together.
"""

from dataclasses import fields, is_dataclass

import pytest
from pydantic import TypeAdapter

from hub_services.quota import answers as service
from mlhub.client import answers as client
from mlhub.client import stock
from mlhub.core.decisions import Forecast

OTHER_NAMES = {"ClaimAnswer": "ClaimView", "Finding": "FindingView"}
BESIDE_THE_API = {"Readiness"}  # of /readyz, which has no model
MODELS = [
    model
    for module in (client, stock)
    for name, model in vars(module).items()
    if is_dataclass(model) and model.__module__ == module.__name__ and name not in BESIDE_THE_API
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_what_the_client_reads_is_what_the_service_writes(model):
    theirs = getattr(service, OTHER_NAMES.get(model.__name__, model.__name__))
    written = theirs.model_fields
    read = {field.name for field in fields(model)}
    assert read <= set(written)
    never_null = TypeAdapter(model).json_schema()["properties"]
    for name in read:
        kinds = {row.get("type") for row in never_null[name].get("anyOf", [never_null[name]])}
        may_be_none = type(None) in getattr(written[name].annotation, "__args__", ())
        assert "null" in kinds or not may_be_none, f"{name} may be null in the service's answer"


def test_a_forecast_is_the_same_on_both_sides():
    assert {row.name for row in fields(Forecast)} == set(service.ForecastView.model_fields)
