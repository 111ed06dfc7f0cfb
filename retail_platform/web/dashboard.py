"""The dashboard's routes: the page, and each chart as CSV."""

import io
from typing import TYPE_CHECKING

from anyio import CapacityLimiter
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from retail_platform.serving.render import Format, write_rows
from retail_platform.web.figures import CHARTS, KEY_FIGURES, choices, dashboard, statement
from retail_platform.web.filters import BadFilter, Filters
from retail_platform.web.pages import Pages
from retail_platform.web.site import Site
from retail_platform.web.threads import at_most

if TYPE_CHECKING:
    import pyarrow as pa


def without_formulas(rows: "pa.Table") -> "pa.Table":
    """The same with an apostrophe before texts that a spreadsheet would work out.

    Customers name themselves in the storefront. See OWASP, "CSV Injection".
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for position, field in enumerate(rows.schema):
        if pa.types.is_string(field.type):
            column = rows.column(position)
            tamed = pc.replace_substring_regex(column, r"^([=+\-@\t\r])", r"'\1")
            rows = rows.set_column(position, field.name, tamed)
    return rows


def routes(site: Site, pages: Pages, figures: CapacityLimiter) -> APIRouter:
    """The routes over a site.

    Args:
        site: What pages are made of.
        pages: Fills them in.
        figures: How many pages of figures there are at a time.
    """
    router = APIRouter()

    @router.get("/")
    def start() -> Response:
        return RedirectResponse("/shop" if site.on_aws else "/dashboard", 302)

    @router.get("/dashboard")
    @at_most(figures)
    def show(request: Request) -> Response:
        found = choices(site.answers)
        if found is None:
            return pages.page(request, "no_sales.html")
        try:
            filters = Filters.read(request.query_params, found.default)
        except BadFilter as error:
            return pages.page(request, "wrong.html", 400, why=str(error), back="/dashboard")
        shown = dashboard(site.answers, site.queries, filters)
        return pages.page(request, "dashboard.html", filters=filters, choices=found, shown=shown)

    @router.get("/dashboard/{name}.csv")
    @at_most(figures)
    def as_csv(name: str, request: Request) -> Response:
        if name not in {KEY_FIGURES, *CHARTS}:
            return PlainTextResponse(f"there is no {name}.csv\n", 404)
        found = choices(site.answers)
        if found is None:
            return PlainTextResponse("nothing was sold yet\n", 404)
        try:
            filters = Filters.read(request.query_params, found.default)
        except BadFilter as error:
            return PlainTextResponse(f"{error}\n", 400)
        text = io.StringIO()
        rows = site.answers.of(statement(site.queries[name], filters)).rows
        write_rows(without_formulas(rows), Format.CSV, text)
        file = f"{name}_{filters.date_from}_{filters.date_to}.csv"
        told = {"Content-Disposition": f'attachment; filename="{file}"'}
        return Response(text.getvalue(), headers=told, media_type="text/csv; charset=utf-8")

    return router
