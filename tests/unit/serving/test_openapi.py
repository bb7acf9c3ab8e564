"""Schemathesis asks everything that the OpenAPI document allows, and much that it does not."""

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import unsupported_method

from ces_ml.serving import ServedWeights, make_app
from ces_ml.spec import CountSpec, Term
from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet

TERMS = CountSpec(
    terms=(
        Term(event="login", window="30d", half_life="7d"),
        Term(event="buy", window="90d", measure="sum", property="amount", where="amount > 1"),
    )
).terms
WEIGHTS = WeightSet(
    name="churn",
    terms=tuple(WeightedTerm(**t.model_dump(), weight=0.5) for t in TERMS),
    intercept=-1.0,
    scale=Scale(method="probability"),
    bands=(Band(name="all", from_score=0),),
)
schema = schemathesis.openapi.from_asgi("/openapi.json", make_app(ServedWeights(lambda: WEIGHTS)))


@schema.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_the_document_describes(case: schemathesis.Case) -> None:
    case.call_and_validate(excluded_checks=[unsupported_method])
