"""The one inference of a Lambda's process, made when it is first needed and kept."""

import logging
from functools import cache

from lambda_inference.inference import Inference
from lambda_inference.login import conninfo
from lambda_inference.settings import Settings, load_settings
from lambda_inference.store import VectorReader
from lambda_inference.telemetry import logger


@cache
def settings() -> Settings:
    """The process's settings."""
    return load_settings()


@cache
def inference() -> Inference:
    """The process's inference."""
    # The modules log by the standard library; here their words become structured.
    package = logging.getLogger("lambda_inference")
    if logger.name != package.name:
        package.handlers = logger.handlers
        package.setLevel(logging.INFO)
        package.propagate = False
    told = settings()
    return Inference(VectorReader(conninfo(told), told.rules), told.count)
