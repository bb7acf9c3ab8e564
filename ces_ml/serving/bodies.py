"""What the scorer accepts and answers, as pydantic models; OpenAPI is written from them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
)

from ces_ml.errors import SpecError
from ces_ml.spec.as_of import parse_moment

__all__ = [
    "CountsRequest",
    "CountsRow",
    "Event",
    "EventsRequest",
    "Failure",
    "FailureBody",
    "Health",
    "Reason",
    "Score",
    "Scores",
    "WeightsLoaded",
]

#: Counts and values beyond it are no measurements, and could run past all doubles.
LARGEST = 1e15
#: Rows of a request, and events of a request.
MOST_ROWS, MOST_EVENTS = 10_000, 100_000
_ID_LENGTH = 1_000

Number = Annotated[float, Field(strict=True, ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]


def _whole(value: Any) -> Any:
    """Return 3.0 as 3: JSON does not tell them apart."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Id = Annotated[
    Annotated[StrictStr, Field(max_length=_ID_LENGTH)] | StrictInt, BeforeValidator(_whole)
]


def _is_moment(text: str) -> str:
    try:
        parse_moment(text)
    except SpecError as error:
        raise ValueError(f"{error.problem}: {error.got}") from error
    return text


Moment = Annotated[
    StrictStr,
    Field(
        max_length=64,
        description="ISO 8601, for example 2025-06-01T12:00:00Z; without a zone it is UTC.",
        json_schema_extra={"format": "date-time"},
    ),
    AfterValidator(_is_moment),
]
NReasons = Annotated[
    StrictInt,
    Field(ge=0, le=1000, description="How many contributions are reported a row."),
    BeforeValidator(_whole),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CountsRow(_Body):
    """Counts of one customer, by the names of the terms; what is not there counts 0."""

    customer_id: Id | None = None
    counts: dict[StrictStr, Number] = Field(max_length=10_000)


class CountsRequest(_Body):
    """Rows of counts."""

    rows: list[CountsRow] = Field(min_length=1, max_length=MOST_ROWS)
    n_reasons: NReasons = 3


class Event(_Body):
    """One event. `properties` are the other columns of the log, by name."""

    customer_id: Id
    event_type: Annotated[StrictStr, Field(max_length=_ID_LENGTH)]
    timestamp: Moment
    properties: dict[StrictStr, StrictStr | StrictBool | Number | None] = Field(
        default_factory=dict, max_length=1_000
    )


class EventsRequest(_Body):
    """Events of one or more customers, in any order, and the moment to score at."""

    events: list[Event] = Field(min_length=1, max_length=MOST_EVENTS)
    as_of: Moment | None = Field(default=None, description="Now, when it is not given.")
    n_reasons: NReasons = 3


class Reason(_Body):
    """What a term adds to the raw score, or takes from it."""

    term: str
    points: float


class Score(_Body):
    """The score of a row, in the order of the request."""

    customer_id: str | int | None
    score: float = Field(description="0 to 100.")
    raw_score: float = Field(description="The sum of weight times count.")
    band: str
    probability: float = Field(ge=0, le=1, description="Of the good outcome.")
    reasons: list[Reason] = Field(description="Largest contribution first.")


class WeightsLoaded(_Body):
    """Which weights gave the scores."""

    name: str
    fingerprint: str


class Scores(_Body):
    """Scores, and what was asked about that the weights do not know."""

    weights: WeightsLoaded
    scores: list[Score]
    unknown: list[str] = Field(
        description="Terms or event types that the weights do not know, at most 20; ignored."
    )


class Health(_Body):
    """How the scorer is. `last_error` tells why the weights could not be read again."""

    status: str = Field(description="ok, or stale: the weights could not be read again.")
    weights: WeightsLoaded
    loaded_at: str
    last_error: str | None


class FailureBody(_Body):
    """What was wrong, what was got, what is allowed, and what to do next."""

    problem: str
    got: str | None = None
    allowed: str | None = None
    next: str | None = None


class Failure(_Body):
    """Why a request was refused."""

    error: FailureBody

    @classmethod
    def of(cls, problem: str, **parts: Any) -> Failure:
        """Return a failure of its parts."""
        return cls(error=FailureBody(problem=problem, **parts))

    def text(self) -> str:
        """Return it as JSON, without the parts that there are none of."""
        return self.model_dump_json(exclude_none=True)
