"""The words the generated sample is made of: places, people, products, remarks.

Two things are on purpose and must survive any edit: the places repeat postal codes, lack some and
carry trailing spaces, and names and remarks hold non-ASCII letters, quotes, line breaks and
backslashes. Real sources do, and what reads them must cope.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Where customers live; trailing spaces are part of the value."""

    city: str
    state: str | None
    postal_code: str | None
    country: str


PLACES = (
    # One postal code, several cities.
    Place("San Francisco", "CA", "94217", "USA"),
    Place("Burlingame", "CA", "94217", "USA"),
    Place("San Rafael", "CA", "97562", "USA"),
    Place("San Jose", "CA", "97562", "USA"),
    Place("Boston", "MA", "51247", "USA"),
    Place("Brickhaven", "MA", "58339", "USA"),
    Place("Cambridge", "MA", "51247", "USA"),
    Place("Philadelphia", "PA", "71270", "USA"),
    Place("Allentown", "PA", "70267", "USA"),
    Place("Las Vegas", "NV", "83030", "USA"),
    Place("New York", "NY", "10022", "USA"),
    # One country, state or city, written with and without trailing spaces.
    Place("NYC", "NY", "10022", "USA"),
    Place("NYC  ", "NY ", "10022", "USA"),
    Place("Stavern", None, "4110", "Norway"),
    Place("Oslo", None, "N 0106", "Norway  "),
    Place("Bergen", None, "N 5804", "Norway  "),
    Place("Oslo ", None, "N 0106", "Norway"),
    Place("North Sydney", "NSW", "2060", "Australia"),
    Place("Chatswood", "NSW ", "2067", "Australia"),
    Place("Melbourne", "Victoria", "3004", "Australia"),
    Place("Glen Waverly", "Victoria", "3150", "Australia"),
    # No postal code, no state.
    Place("Dublin", None, None, "Ireland"),
    Place("Cork", "Co. Cork", None, "Ireland"),
    Place("Hong Kong", None, None, "Hong Kong"),
    Place("Lisboa", None, None, "Portugal"),
    Place("Nantes", None, "44000", "France"),
    Place("Paris", None, "75508", "France"),
    Place("Lyon", None, "69004", "France"),
    Place("Marseille", None, "13008", "France"),
    Place("Madrid", None, "28034", "Spain"),
    Place("Sevilla", None, "41101", "Spain"),
    Place("A Coruña", None, "15002", "Spain"),
    Place("München", None, "80686", "Germany"),
    Place("Köln", None, "50739", "Germany"),
    Place("Münster", None, "44087", "Germany"),
    Place("Łódź", None, "90-001", "Poland"),
    Place("Warszawa", None, "01-012", "Poland"),
    Place("Zürich", None, "8010", "Switzerland"),
    Place("Salzburg", None, "5020", "Austria"),
    Place("Graz", None, "8010", "Austria"),
    Place("Århus", None, "8200", "Denmark"),
    Place("København", None, "1734", "Denmark"),
    Place("Helsinki", None, "21240", "Finland"),
    Place("Luleå", None, "S-958 22", "Sweden"),
    Place("Bergamo", None, "24100", "Italy"),
    Place("London", None, "WX1 6LT", "UK"),
    Place("Cowes", "Isle of Wight", "PO31 7PJ", "UK"),
    Place("Montréal", "Québec", "H1J 1C3", "Canada"),
    Place("Vancouver", "BC", "V3F 2K1", "Canada"),
    Place("大阪", "Osaka", "530-0003", "Japan"),
    Place("Singapore", None, "079903", "Singapore"),
    Place("Auckland", None, None, "New Zealand"),
)

LAST_NAMES = (
    "Abel", "Bergström", "Castaño", "Dvořák", "Ekström", "Fournier", "García", "Høgh", "Ibsen",
    "Jörgensen", "King", "Łukasik", "Müller", "Nguyễn", "O'Brien", "Petrović", "Quinn", "Ranné",
    "Saveley", "Tseng", "Unger", "Victorino", "Wáng", "Young", "Zając", "山田",
)  # fmt: skip
FIRST_NAMES = (
    "Ana", "Björn", "Céline", "Daniel", "Éric", "Françoise", "Giovanni", "Håkan", "Inés", "Jean",
    "Kwai", "Leslie", "Mihály", "Noël", "Olga", "Pál", "Roland", "Siân", "Thierry", "Ursula",
    "Veysel", "Wendy", "Yoshi", "Žofia",
)  # fmt: skip
SHOP_WORDS = (
    "Alpine", "Atelier", "Baltic", "Boulevard", "Café", "Collector's", "Corner", "Diecast",
    "Euro", "Fjord", "Gift", "Heritage", "Île-de-France", "Mini", "Model", "Nordic", "Online",
    "Royale", "Signal", "Toys4GrownUps", "Vida", "Wheels",
)  # fmt: skip
SHOP_KINDS = (
    "Classics", "Collectables", "Gifts", "Imports", "Miniatures", "Models", "Replicas", "Toys",
)  # fmt: skip
SHOP_FORMS = ("AB", "& Co.", "GmbH", "Inc.", "Ltd.", "S.A.", "株式会社", '"Depot"')
STREETS = (
    "Rue Royale", "Main Street", "Bahnhofstraße", "Furth Circle", "Calle Mayor", "Strandvägen",
    "King's Road", "Spinnaker Drive", "ulica Długa", "Piazza del Duomo",
)  # fmt: skip

OFFICES = (
    # officeCode, city, phone, addressLine1, addressLine2, state, country, postalCode, territory
    ("1", "San Francisco", "+1 650 555 0142", "100 Harbour Street", "Suite 300", "CA", "USA", "94080", "NA"),
    ("2", "Boston", "+1 617 555 0137", "1550 Wharf Place", "Suite 102", "MA", "USA", "02107", "NA"),
    ("3", "NYC", "+1 212 555 0130", "523 East Avenue", "apt. 5A", "NY", "USA", "10022", "NA"),
    ("4", "Paris", "+33 1 55 55 01 23", "43 rue Abélard", None, None, "France", "75017", "EMEA"),
    ("5", "Tokyo", "+81 3 5555 0150", "4-1 Kioicho", None, "Chiyoda-Ku", "Japan", "102-8578", "Japan"),
    ("6", "Sydney", "+61 2 5550 1234", "5-11 Wentworth Road", "Floor #2", None, "Australia", "NSW 2010", "APAC"),
    ("7", "London", "+44 20 7946 0123", "25 Old Square", "Level 7", None, "UK", "EC2N 1HN", "EMEA"),
)  # fmt: skip

EMPLOYEES = (
    # employeeNumber, lastName, firstName, officeCode, reportsTo, jobTitle
    (1002, "Marlow", "Diane", "1", None, "President"),
    (1056, "Petersen", "María", "1", 1002, "VP Sales"),
    (1076, "Ferreira", "Jeff", "1", 1002, "VP Marketing"),
    (1088, "Pattison", "Will", "6", 1056, "Sales Manager (APAC)"),
    (1102, "Bondurant", "Gérard", "4", 1056, "Sale Manager (EMEA)"),
    (1143, "Bowman", "Anton", "1", 1056, "Sales Manager (NA)"),
    (1165, "Jenner", "Leslie", "1", 1143, "Sales Rep"),
    (1166, "Thomas", "Lesley", "1", 1143, "Sales Rep"),
    (1188, "Farrell", "Julie", "2", 1143, "Sales Rep"),
    (1216, "Pattersson", "Steve", "2", 1143, "Sales Rep"),
    (1286, "Zeng", "Foon", "3", 1143, "Sales Rep"),
    (1323, "Van Aarle", "George", "3", 1143, "Sales Rep"),
    (1337, "Bondy", "Loïc", "4", 1102, "Sales Rep"),
    (1370, "Hernández", "Gerald", "4", 1102, "Sales Rep"),
    (1401, "Castillo", "Pamela", "4", 1102, "Sales Rep"),
    (1501, "Botts", "Larry", "7", 1102, "Sales Rep"),
    (1504, "Joness", "Barry", "7", 1102, "Sales Rep"),
    (1611, "Fix", "Andy", "6", 1088, "Sales Rep"),
    (1612, "Marsch", "Peter", "6", 1088, "Sales Rep"),
    (1619, "Kingsley", "Tom", "6", 1088, "Sales Rep"),
    (1621, "Nishimura", "Mami", "5", 1056, "Sales Rep"),
    (1625, "加藤", "Yoshimi", "5", 1621, "Sales Rep"),
    (1702, "Gérard", "Martin", "4", 1102, "Sales Rep"),
)


@dataclass(frozen=True)
class ProductLine:
    """A product line, its share of the classic 110 products, and who makes such things."""

    name: str
    products: int
    text: str
    makers: tuple[str, ...]


PRODUCT_LINES = (
    ProductLine(
        "Classic Cars", 38, "Replicas of the cars that one remembers.",
        ("Alfa Romeo", "Citroën", "Corvette", "Mustang", "Porsche", "Škoda"),
    ),
    ProductLine(
        "Motorcycles", 13, "Two wheels, faithful to the last spoke.",
        ("BMW", "Ducati", "Harley Davidson", "Moto Guzzi", "Vespa"),
    ),
    ProductLine(
        "Planes", 12, "Diecast planes — some of them with working propellers.",
        ("Boeing", "Corsair", "Messerschmitt", "P-51", "Spitfire"),
    ),
    ProductLine(
        "Ships", 9, "Wooden ships, rigged by hand.",
        ("Clipper", "Frégate", "Schooner", "Titanic", "Vasa"),
    ),
    ProductLine(
        "Trains", 3, "Trains that \"run\" on any 1:32 track.",
        ("Collectable Wooden Train", "Crocodile", "Pendolino"),
    ),
    ProductLine(
        "Trucks and Buses", 11, "What carries everything else.",
        ("Diamond T620", "Ikarus", "London Bus", "Mack", "Setra"),
    ),
    ProductLine(
        "Vintage Cars", 24, "Built before 1940, driven on Sundays.",
        ("Bugatti", "Delahaye", "Ford", "Hispano-Suiza", "Mercedes-Benz", "Tatra"),
    ),
)  # fmt: skip

BODIES = (
    "Cabriolet", "Coupé", "Deluxe", "Express", "GTX", "Limited Edition", "Phaeton", "Roadster",
    "Sport", "Tourer",
)  # fmt: skip
SCALES = ("1:10", "1:12", "1:18", "1:24", "1:32", "1:50", "1:72", "1:700")
VENDORS = (
    "Atelier Étoile", "Autoart Studio", "Carousel Legends", "Exoto Works", "Gearbox Collectables",
    "Highway 66", "Min Lin Diecast", "Motor City Art", "Red Start Diecast", "Second Gear",
    "Studio M", "Unimax Galleries", "Welly Productions",
)  # fmt: skip

COMMENTS = (
    "Check on availability.",
    'Customer requested that DHL is used for this shipping; they said "no UPS, please".',
    "Difficult to negotiate with: we need more marketing materials,\nand a second call.",
    "Custom shipping instructions were sent to the warehouse (\\\\depot\\orders).",
    "Le client a demandé une livraison avant Noël — à confirmer.",
    "They want to re-evaluate their terms agreement with Finance.",
    "お客様は色違いを希望。",
)
