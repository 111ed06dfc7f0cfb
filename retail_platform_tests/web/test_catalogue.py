"""Products found by their words."""

from decimal import Decimal

import pytest

from retail_platform.web.catalogue import ON_A_PAGE, Catalogue, Product


def product(code: str, name: str, line: str = "Planes", vendor: str = "Min Lin") -> Product:
    return Product(code, name, line, "1:18", vendor, None, 3, Decimal("9.99"))


SHELVES = Catalogue(
    [
        product("S1", "1934 Vespa Coupé", "Motorcycles"),
        product("S2", "1943 Škoda Roadster", "Classic Cars"),
        product("S3", "Boeing Express"),
        *(product(f"P{n}", f"Plane {n}", "Trains") for n in range(2 * ON_A_PAGE + 1)),
    ]
)


@pytest.mark.parametrize(
    ("words", "line", "codes"),
    [
        ("coupe", None, ["S1"]),
        ("COUPÉ vespa", None, ["S1"]),
        ("skoda", None, ["S2"]),
        ("s2", None, ["S2"]),
        ("min express", None, ["S3"]),
        ("cars", None, ["S2"]),
        ("", "Planes", ["S3"]),
        ("vespa", "Planes", []),
        ("%", None, []),
    ],
)
def test_all_words_have_to_be_there(words: str, line: str | None, codes: list[str]) -> None:
    assert [one.code for one in SHELVES.find(words, line, 1).products] == codes


def test_pages_hold_all_of_it_once() -> None:
    pages = [SHELVES.find("", "Trains", number) for number in (1, 2, 3)]
    assert [len(page.products) for page in pages] == [ON_A_PAGE, ON_A_PAGE, 1]
    assert {page.pages for page in pages} == {3}
    assert len({one.code for page in pages for one in page.products}) == 2 * ON_A_PAGE + 1
    assert SHELVES.find("", "Trains", 99).number == 3
    assert SHELVES.find("nothing", None, 5).number == 1
