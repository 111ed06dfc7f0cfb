"""What is known of someone who never bought, as the training and the serving both read it."""

from collections.abc import Mapping
from functools import lru_cache
from math import floor, isfinite, log10


@lru_cache(maxsize=4096)
def band(limit: float) -> str:
    """The credit limits that count as one feature: from 1, 2 or 5 times a power of ten up."""
    if not isfinite(limit):
        return ""
    if limit < 1:
        return "0"
    power = 10 ** floor(log10(limit))
    return str(max(step * power for step in (1, 2, 5) if step * power <= limit))


def features(
    country: str | None, city: str | None, credit_limit: float | None
) -> Mapping[str, str]:
    """Values by feature; what is not known is left out."""
    told = {"country": country or "", "city": city or ""}
    told["credit_limit"] = "" if credit_limit is None else band(credit_limit)
    return {name: value for name, value in told.items() if value}
