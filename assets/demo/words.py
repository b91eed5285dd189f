"""The words of the demo's little world: a shop that takes orders by message. Pure data."""

from __future__ import annotations


def _list(text: str) -> list[str]:
    return text.split()


NAMES = _list(
    "Anna Ben Clara David Elena Felix Greta Hugo Ida Jonas Karin Leo Maria Nils Olga Paul Rosa Simon Tara Viktor "
    "Alice Bruno Carla Dario Emma Frank Gina Henry Irene Jack Kate Lukas Mia Noah Oscar Petra Robin Sara Tom Vera "
    "Amir Bella Cyrus Dalia Erik Fatima Goran Helga Ivan Julia Kofi Lina Marco Nadia Omar Priya Rafael Sofia Tariq Yuki"
)

CITIES = _list(
    "Oslo Paris Rome Berlin Madrid Lisbon Vienna Prague Dublin Athens Warsaw Zurich Geneva Milan Naples Turin Lyon "
    "Nantes Bremen Dresden Krakow Porto Seville Malaga Bergen Malmo Aarhus Tampere Riga Vilnius Tallinn Zagreb Rijeka "
    "Varna Izmir Cork Leeds York Bristol Cardiff"
)

# singular -> plural, as a customer writes it and as the record wants it
PRODUCTS = {
    "mug": "mugs", "lamp": "lamps", "bowl": "bowls", "plate": "plates", "chair": "chairs", "table": "tables",
    "candle": "candles", "basket": "baskets", "blanket": "blankets", "pillow": "pillows", "clock": "clocks",
    "mirror": "mirrors", "vase": "vases", "spoon": "spoons", "knife": "knives", "fork": "forks", "towel": "towels",
    "carpet": "carpets", "shelf": "shelves", "brush": "brushes", "box": "boxes", "bag": "bags", "scarf": "scarves",
    "hat": "hats", "coat": "coats", "glove": "gloves", "umbrella": "umbrellas", "notebook": "notebooks",
    "pencil": "pencils", "kettle": "kettles",
}  # fmt: skip

COLORS = _list("red blue green yellow white black brown grey orange purple pink silver")
DAYS = _list("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
NUMBERS = _list("zero one two three four five six seven eight nine")

# made-up names teach the model to copy what it has never seen
FIRST_SYLLABLES = _list(
    "Bal Bar Ce Chi Cor Da Dan De El Fen Fi Gar Ge Hol Ha Is Jas Jo Kel Ki Lor Lu Mar Mi Nor Ne Os Pel Pi Ros Ru Sel "
    "Ste Tar Tho Ul Va Ver Wil Zan Ze"
)
MIDDLE_SYLLABLES = _list("ba bi da do fe ga go le li lo ma mi na ni ra ri ro sa si te ti to va ve za")
LAST_SYLLABLES = _list("a an as bert dor e en er eth gard ia ina is ka la lin mir my nor o on ric ston ta us ven wen y")

WEATHER = ("sunny", "windy", "rainy", "cold", "warm", "foggy", "quiet", "bright")
PLACES = ("market", "shop", "station", "harbour", "garden", "kitchen", "office", "library", "workshop", "square")
JOBS = ("driver", "baker", "teacher", "painter", "nurse", "farmer", "clerk", "cook", "tailor", "gardener")
