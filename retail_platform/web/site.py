"""What the pages are made of, put together from the platform and let go of at the end."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial

from retail_platform.lake.lake import Lake
from retail_platform.platform import Platform
from retail_platform.serving.analytics import AnalyticsQuery, load_analytics
from retail_platform.serving.answers import Answers, Published
from retail_platform.serving.snapshots import LakeSnapshots
from retail_platform.settings import STOREFRONT_URL
from retail_platform.sources.address import Address
from retail_platform.sources.ordering import OrderDesk
from retail_platform.web.advice import Adviser, LambdaAdviser, LocalAdviser
from retail_platform.web.outbox import Outbox


@dataclass(frozen=True)
class Site:
    """What the pages are made of.

    Attributes:
        lake: Where the tables are published.
        answers: Answers SQL over them.
        small_answers: The same for what every page of the shop asks, which never waits behind a
            dashboard's figures.
        queries: The questions of `sql/analytics`.
        adviser: Recommends.
        outbox: Takes the events of visits; None where there is no stream.
        desk: Takes orders; None where they are not taken.
        on_aws: Whether visitors come from everywhere, through a load balancer; elsewhere they may
            choose who they are.
        signs_in: Whether that load balancer asks people to sign in, but for the storefront.
    """

    lake: Lake
    answers: Answers
    small_answers: Answers
    queries: Mapping[str, AnalyticsQuery]
    adviser: Adviser | None
    outbox: Outbox | None
    desk: OrderDesk | None
    on_aws: bool
    signs_in: bool


@contextmanager
def open_site(platform: Platform) -> Iterator[Site]:
    """The site over a platform, whose embedded servers run while it is open.

    Raises:
        RetailError: A database that the laptop's site needs does not start.
    """
    settings = platform.settings
    with ExitStack() as stack:
        snapshots = LakeSnapshots(platform.lake)
        published = Published(snapshots.tables, partial(snapshots.snapshot, as_of=None))
        answers = Answers(platform.sql, published, at_once=10 if settings.on_aws else 2)
        small_answers = Answers(platform.sql, published, at_once=1)
        outbox = None
        if not settings.on_aws or settings.event_stream:
            outbox = stack.enter_context(closing(Outbox(platform.event_sink)))
        yield Site(
            platform.lake,
            answers,
            small_answers,
            load_analytics(),
            stack.enter_context(_adviser(platform)),
            outbox,
            stack.enter_context(_desk(platform)),
            settings.on_aws,
            settings.sign_in,
        )


@contextmanager
def _adviser(platform: Platform) -> Iterator[Adviser | None]:
    settings = platform.settings
    if settings.on_aws:
        yield LambdaAdviser(settings.recommender) if settings.recommender else None
        return
    from lambda_inference.inference import Inference
    from lambda_inference.store import VectorReader

    with (
        platform.vector_store() as store,
        closing(VectorReader(lambda: store.address.url)) as reader,
    ):
        yield LocalAdviser(Inference(reader))


@contextmanager
def _desk(platform: Platform) -> Iterator[OrderDesk | None]:
    """Where orders are written: never a database that is only named as the source to read."""
    settings = platform.settings
    if settings.storefront_url is not None:
        yield OrderDesk(Address.parse(settings.storefront_url.get_secret_value(), STOREFRONT_URL))
    elif settings.has_embedded_source:
        with platform.source_address() as address:
            yield OrderDesk(address)
    else:
        yield None
