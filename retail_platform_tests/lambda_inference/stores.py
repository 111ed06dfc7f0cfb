"""Vector stores that tests ask."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lambda_inference.inference import Inference
from lambda_inference.model import Rules
from lambda_inference.store import VectorReader
from retail_platform.recommender.edition import Edition
from retail_platform.recommender.vector_store import VectorStore
from retail_platform.sources.address import Address


def store_at(url: str) -> VectorStore:
    """The store of a database."""
    return VectorStore(Address.parse(url, "RETAIL_VECTORS_URL"))


@dataclass(frozen=True)
class Served:
    """A store with an edition in it, and an inference over it."""

    store: VectorStore
    reader: VectorReader
    inference: Inference


@contextmanager
def served(url: str, edition: Edition | None, rules: Rules = Rules()) -> Iterator[Served]:  # noqa: B008
    """Publishes an edition, and asks it."""
    store = store_at(url)
    if edition is not None:
        store.publish(edition)
    reader = VectorReader(lambda: url, rules)
    try:
        yield Served(store, reader, Inference(reader))
    finally:
        reader.close()
