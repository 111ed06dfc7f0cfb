"""`make local-aws` as a process of its own: the local environment applied, used and destroyed."""

import subprocess
import sys

import pytest

from retail_platform_tests.infra.local_aws import EVENTS, MINISTACK, differing
from retail_platform_tests.infra.terraform import NO_PROVIDER, NOT_INSTALLED, PROGRAM
from retail_platform_tests.streaming.python313 import path_with_python


@pytest.mark.slow
def test_it_is_applied_used_and_destroyed() -> None:
    if PROGRAM is None:
        pytest.skip(NOT_INSTALLED)
    if path_with_python() is None or not MINISTACK.exists():
        pytest.skip("MiniStack runs the Lambda on Python 3.13: install that, then `make setup`")
    command = [sys.executable, "-m", "retail_platform_tests.infra.local_aws"]
    done = subprocess.run(command, text=True, capture_output=True)
    if NO_PROVIDER in done.stderr:
        pytest.skip(NO_PROVIDER)
    assert done.returncode == 0, done.stderr
    assert f"{EVENTS} events through Kinesis, Firehose and Lambda to S3" in done.stderr
    assert done.stderr.endswith("all of it came back, and nothing is left\n")


def test_a_difference_is_told_by_its_attribute() -> None:
    change = {"before": {"a": 1, "b": 2}, "after": {"a": 1, "b": 3}, "after_unknown": {"c": True}}
    assert differing(change) == {"b", "c"}
    assert differing({"before": None, "after": {"a": 1}, "after_unknown": {}}) == {"a"}
