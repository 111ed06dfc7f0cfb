"""Pages: templates filled in, with everything escaped and numbers written for people."""

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse

from retail_platform.serving.render import MISSING, heading, report_cell

HERE = Path(__file__).parent
STATIC = HERE / "static"


class Pages:
    """The templates of `web/templates`.

    Args:
        on_aws: Whether visitors cannot choose who they are.
        sells: Whether orders are taken.
    """

    def __init__(self, *, on_aws: bool, sells: bool) -> None:
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters.update(
            money=money,
            count=count,
            percent=percent,
            cell=cell,
            title=title,
            ago=ago,
            instant=instant,
            metric=metric,
        )
        self._templates.globals.update(asset=asset, on_aws=on_aws, sells=sells)

    def page(self, request: Request, name: str, status: int = 200, /, **told: Any) -> HTMLResponse:
        """A page; only its middle where htmx asks for that.

        Args:
            request: Who asks.
            name: Of the template.
            status: Of the response.
            **told: What the template shows.
        """
        frame = "middle.html" if request.headers.get("hx-request") == "true" else "frame.html"
        template = self._templates.get_template(name)
        text = template.render(request=request, frame=frame, **told)
        return HTMLResponse(text, status, {"Vary": "HX-Request"})


@cache
def asset(name: str) -> str:
    """The URL of a file of `web/static`, another one for other contents."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


def money(value: Decimal | float | None) -> str:
    """With cents, and thousands set apart."""
    return MISSING if value is None else f"{value:,.2f}"


def count(value: int | None) -> str:
    """With thousands set apart."""
    return MISSING if value is None else f"{value:,}"


def percent(value: float | None) -> str:
    """With one place."""
    return MISSING if value is None else f"{value:,.1f} %"


def cell(value: Any) -> str:
    """A value of a table: as `retail report` writes it, but with the thousands of a count set apart."""
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if is_count else report_cell(value)


def instant(moment: datetime) -> str:
    """To the minute."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def title(name: str) -> str:
    """A column's name as the head of a table."""
    words = heading(name)
    return words[:1].upper() + words[1:]


def metric(name: str) -> str:
    """A metric's name for people."""
    known = {"ndcg_at_10": "NDCG@10", "mrr": "MRR"}
    return known.get(name) or title(name.removesuffix("_at_10")) + "@10" * name.endswith("_at_10")


def ago(moment: datetime) -> str:
    """How long since, in words."""
    seconds = max(0, int((datetime.now(UTC) - moment).total_seconds()))
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            number = seconds // size
            return f"{number} {unit}{'s' * (number > 1)} ago"
    return "just now"
