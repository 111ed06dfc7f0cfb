"""The contract of a Firehose transformation, whatever it delivers."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from lambda_inference.answers import (
    Reason,
    ReasonKind,
    RecommendationEvent,
    Recommendations,
    Recommended,
    Similar,
    SimilarItems,
    Strategy,
    recommendation_event,
)
from lambda_inference.events import BrowseEvent
from lambda_inference.firehose import MOST_BYTES, transform
from lambda_inference.records import Answer
from lambda_inference.schema import schemas
from retail_platform.embedded.postgres import EmbeddedPostgres
from retail_platform_tests.lambda_inference.events import browse, encoded, firehose_request, told
from retail_platform_tests.lambda_inference.stores import Served, served
from retail_platform_tests.recommender.editions import shop

ANSWER = Draft202012Validator(
    schemas()["recommendation_event.v1.json"], format_checker=FormatChecker()
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def lists_of(length: int) -> Answer:
    """Answers every event with lists of some length."""
    found = Recommendations(
        recommended_items=[
            Recommended(f"product {n}", 1.5, Reason(ReasonKind.BROWSED, "another"))
            for n in range(length)
        ],
        similar_items=SimilarItems("A01", [Similar(f"product {n}", 0.5) for n in range(length)]),
        strategy=Strategy.SESSION,
        model_version="model",
        degraded=False,
    )

    def answer(events: Sequence[BrowseEvent]) -> list[RecommendationEvent]:
        return [recommendation_event(event, found, NOW) for event in events]

    return answer


@pytest.fixture(scope="module")
def live(postgres: EmbeddedPostgres) -> Iterator[Served]:
    with served(postgres.ensure_database("inference_firehose"), shop()[1]) as live:
        yield live


def results(response: dict[str, Any]) -> dict[str, str]:
    return {record["recordId"]: record["result"] for record in response["records"]}


def assert_kept(request: dict[str, Any], response: dict[str, Any]) -> None:
    """The contract: every record once, valid, within the size, failed ones as they came."""
    sent = {record["recordId"]: record["data"] for record in request["records"]}
    back = [record["recordId"] for record in response["records"]]
    assert sorted(back) == sorted(sent)
    assert len(json.dumps(response)) <= MOST_BYTES
    for record in response["records"]:
        assert record.keys() == {"recordId", "result", "data"}
        if record["result"] == "Ok":
            data = base64.b64decode(record["data"], validate=True)
            assert data.endswith(b"\n")
            for line in data.splitlines():
                ANSWER.validate(json.loads(line))
        else:
            assert record["result"] == "ProcessingFailed"
            assert record["data"] == sent[record["recordId"]]


PRODUCTS = st.lists(st.sampled_from(["A01", "B02", "B03", "never sold"]), max_size=4)
EVENTS = st.builds(
    lambda codes, customer, country: encoded(
        browse(*codes, customer_number=customer, country=country)
    ),
    PRODUCTS,
    st.sampled_from([None, 10, 11, -(2**63), 999]),
    st.one_of(st.none(), st.text(max_size=3)),
)
RECORDS = st.lists(
    st.one_of(
        st.binary(max_size=40),
        EVENTS,
        st.lists(EVENTS, min_size=1, max_size=3).map(b"\n".join),
        st.tuples(EVENTS, st.integers(0, 200)).map(lambda cut: cut[0][: cut[1]]),
        st.sampled_from([encoded(browse("A01", schema_version=2)), b"\n", b"null", b"{}"]),
    ),
    max_size=12,
)


@given(RECORDS, st.booleans())
def test_whatever_comes_each_record_is_answered_once(
    live: Served, records: list[bytes], of_kinesis: bool
) -> None:
    request = firehose_request(records, of_kinesis=of_kinesis)
    assert_kept(request, transform(request, live.inference.answer))


def test_a_bad_record_fails_alone(live: Served) -> None:
    records: list[Any] = [browse("A01", event_id=f"e-{number}") for number in range(100)]
    for number, bad in {3: b"{", 50: b"\xff", 70: browse(schema_version=9), 99: b""}.items():
        records[number] = bad
    request = firehose_request(records)
    response = transform(request, live.inference.answer)
    assert_kept(request, response)
    failed = {id_ for id_, result in results(response).items() if result != "Ok"}
    assert failed == {"3", "50", "70", "99"}
    answered = {line["event_id"] for lines in told(response) for line in lines}
    assert answered == {f"e-{number}" for number in set(range(100)) - {3, 50, 70, 99}}


def test_several_events_in_one_record_are_several_lines(live: Served) -> None:
    data = b"\n".join(encoded(browse("A01", event_id=f"e-{number}")) for number in range(3))
    (lines,) = told(transform(firehose_request([data + b"\n"]), live.inference.answer))
    assert [line["event_id"] for line in lines] == ["e-0", "e-1", "e-2"]


def test_the_answer_is_the_event_and_more(live: Served) -> None:
    event = browse("A01", "B02", customer_number=10, credit_limit=21000.05)
    ((line,),) = told(transform(firehose_request([event]), live.inference.answer))
    assert {key: line[key] for key in event} == event
    assert line.keys() - event.keys() == {
        "recommended_items",
        "similar_items",
        "model_version",
        "strategy",
        "degraded",
        "generated_at",
    }
    assert len(line["recommended_items"]) == 10
    assert line["strategy"] == "known+session"
    assert line["similar_items"]["product_code"] == "B02"


def test_ids_and_times_of_older_producers_come_from_the_stream(live: Served) -> None:
    old = {"session_id": "s", "browse_history": []}
    request = firehose_request([old, old])
    first, again = (told(transform(request, live.inference.answer)) for _ in range(2))
    ids = [line["event_id"] for (line,) in first]
    assert len(set(ids)) == 2
    assert [line["event_id"] for (line,) in again] == ids
    assert {line["occurred_at"] for (line,) in first} == {"2026-01-01T00:00:00Z"}


def test_a_response_that_would_be_too_large_has_shorter_lists() -> None:
    request = firehose_request([browse("A01", event_id=f"e-{n}") for n in range(4_000)])
    response = transform(request, lists_of(10))
    assert_kept(request, response)
    assert set(results(response).values()) == {"Ok"}
    (line,) = told(response)[0]
    assert 0 < len(line["recommended_items"]) < 10
    assert len(line["similar_items"]["similar_items"]) == len(line["recommended_items"])
    # As long as they may be: the next longer ones would not fit.
    longer = {5: 10, 3: 5, 1: 3}[len(line["recommended_items"])]
    assert len(json.dumps(transform(request, lists_of(longer)))) == len(json.dumps(response))


def test_where_even_empty_lists_are_too_large_the_largest_records_are_kept_as_they_came() -> None:
    """Zeros are much shorter as an integer's exponent than as what they are answered."""
    codes = [{"product_code": "é" * 128} for _ in range(1_000)]
    large = json.dumps(browse(browse_history=codes), ensure_ascii=False).encode()
    records: list[Any] = [large] * 16 + [browse("A01")] * 10
    request = firehose_request(records)
    assert len(json.dumps(request)) < 6 * 1024**2
    response = transform(request, lists_of(10))
    assert_kept(request, response)
    assert {result for id_, result in results(response).items() if int(id_) >= 16} == {"Ok"}
    assert "ProcessingFailed" in results(response).values()


_LIKE_LAMBDA = """
import json, sys
from lambda_inference.firehose import handler
requests = json.load(sys.stdin)
responses = [handler(request, None) for request in requests]
print(json.dumps({"responses": responses, "modules": sorted(sys.modules)}))
"""


def test_the_handler_answers_from_the_store_of_its_environment(live: Served) -> None:
    request = firehose_request([browse("A01", customer_number=10), b"Jean Roulet"])
    done = subprocess.run(
        [sys.executable, "-c", _LIKE_LAMBDA],
        input=json.dumps([request, request]),
        env={"INFERENCE_VECTORS_URL": live.store.address.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *printed, last = [json.loads(line) for line in done.stdout.splitlines()]
    for response in last["responses"]:
        assert list(results(response).values()) == ["Ok", "ProcessingFailed"]
    metrics = next(line for line in printed if "_aws" in line)
    assert (metrics["Events"], metrics["RejectedRecords"], metrics["Degraded"]) == ([1], [1], [0])
    rejected = next(line for line in printed if line.get("message") == "rejected")
    assert rejected["record"] == "1"
    assert "malformed" in rejected["reason"]
    assert "Roulet" not in json.dumps(printed)
    assert "Nantes" not in json.dumps(printed)
    served = [line["message"] for line in printed if "serving" in line.get("message", "")]
    assert len(served) == 1, "the model is read once"
    assert "boto3" not in last["modules"], (
        "a login by password needs none, and it is slow to import"
    )
