"""Customer messages and the JSON order that each one means: the rows of the demo dataset. Pure Python."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from assets.demo import words

TRAIN_ROWS = 480
TEST_ROWS = 60
ROWS_SEED = 20240
MADE_UP_SHARE = 0.05  # of the customers' names; copying such a name is the hardest part of the task


@dataclass(frozen=True)
class Item:
    """One line of an order; `quantity` is 1 to 9."""

    quantity: int
    product: str
    color: str


@dataclass(frozen=True)
class Order:
    """What a customer wants. `day` is None when the message names no day."""

    customer: str
    city: str
    day: str | None
    gift: bool
    items: tuple[Item, ...]

    def as_json(self) -> str:
        """The target text; the order of the keys never changes."""
        items = [{"quantity": i.quantity, "product": i.product, "color": i.color} for i in self.items]
        record = {"customer": self.customer, "city": self.city, "day": self.day, "gift": self.gift, "items": items}
        return json.dumps(record)


def make_name(random: Random, made_up_share: float = MADE_UP_SHARE) -> str:
    """A first name from the list, or with the given probability a made-up one."""
    if random.random() >= made_up_share:
        return random.choice(words.NAMES)
    middle = random.choice(words.MIDDLE_SYLLABLES) if random.random() < 0.4 else ""
    return random.choice(words.FIRST_SYLLABLES) + middle + random.choice(words.LAST_SYLLABLES)


def make_order(random: Random, made_up_share: float = MADE_UP_SHARE) -> Order:
    """A random order with one to three items."""
    count = random.choice((1, 1, 2, 2, 2, 3))
    products = random.sample(sorted(words.PRODUCTS), count)
    items = tuple(Item(make_quantity(random), product, random.choice(words.COLORS)) for product in products)
    day = random.choice(words.DAYS) if random.random() < 0.8 else None
    name = make_name(random, made_up_share)
    return Order(name, random.choice(words.CITIES), day, random.random() < 0.35, items)


def make_quantity(random: Random) -> int:
    """Small numbers more often than large ones."""
    return random.choice((1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9))


def plain_phrase(item: Item) -> str:
    """`2 green mugs`: number, colour, thing."""
    noun = item.product if item.quantity == 1 else words.PRODUCTS[item.product]
    return f"{item.quantity} {item.color} {noun}"


def item_phrase(random: Random, item: Item) -> str:
    """`two green mugs`, `2 mugs in green`, `a green mug`."""
    noun = item.product if item.quantity == 1 else words.PRODUCTS[item.product]
    number = words.NUMBERS[item.quantity] if random.random() < 0.6 else str(item.quantity)
    if item.quantity == 1 and random.random() < 0.5:
        number = "an" if item.color[0] in "aeiou" else "a"
        return f"{number} {item.color} {noun}"
    return f"{number} {item.color} {noun}" if random.random() < 0.7 else f"{number} {noun} in {item.color}"


def join_phrases(phrases: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return phrases[0] if len(phrases) == 1 else ", ".join(phrases[:-1]) + " and " + phrases[-1]


GREETINGS = ("Hi,", "Hello,", "Hello there,", "Good morning,", "Good evening,", "Dear shop,", "")
REQUESTS = (
    "I would like {items}", "please send {items}", "can I order {items}", "we need {items}", "I want to buy {items}",
    "could you pack {items}", "I am looking for {items}", "my order is {items}", "please put aside {items}",
)  # fmt: skip
DAY_PARTS = ("by {day}", "on {day}", "before {day}", "for {day}")
CITY_PARTS = ("sent to {city}", "delivered to {city}", "to be shipped to {city}")
CITY_SENTENCES = ("Please deliver to {city}.", "I live in {city}.", "Send it to {city}.", "The address is in {city}.")
DAY_SENTENCES = ("The best day is {day}.", "I need it on {day}.", "It has to arrive by {day}.")
GIFT_SENTENCES = ("It is a gift.", "Please wrap it as a present.", "Gift wrapping, please.", "This is a present.")
PLAIN_SENTENCES = ("No gift wrapping, please.", "It is not a gift.", "No wrapping needed.")
NAME_SENTENCES = ("My name is {name}.", "This is {name}.", "I am {name}.", "The order is for {name}.")
SIGNATURES = ("Thanks, {name}", "Regards, {name}", "Best wishes, {name}", "Yours, {name}", "{name}")


def message_for(random: Random, order: Order) -> str:
    """One of many ways in which a customer may write this order."""
    request, sentences = _request(random, order)
    if order.gift:
        sentences.append(random.choice(GIFT_SENTENCES))
    elif random.random() < 0.25:
        sentences.append(random.choice(PLAIN_SENTENCES))
    signed = random.random() < 0.55
    if not signed:
        sentences.append(random.choice(NAME_SENTENCES).format(name=order.customer))
    random.shuffle(sentences)
    sentences.insert(0 if random.random() < 0.7 else random.randint(0, len(sentences)), request)
    greeting = random.choice(GREETINGS) if sentences[0] is request else ""
    if not greeting:
        sentences = [s[0].upper() + s[1:] for s in sentences]
    text = " ".join([greeting, *sentences] if greeting else sentences)
    return f"{text} {random.choice(SIGNATURES).format(name=order.customer)}" if signed else text


def _request(random: Random, order: Order) -> tuple[str, list[str]]:
    """The sentence that names the items, and the sentences for what it leaves out."""
    text = random.choice(REQUESTS).format(items=join_phrases([item_phrase(random, i) for i in order.items]))
    sentences = []
    if random.random() < 0.6:
        text += " " + random.choice(CITY_PARTS).format(city=order.city)
    else:
        sentences.append(random.choice(CITY_SENTENCES).format(city=order.city))
    if order.day and random.random() < 0.6:
        text += " " + random.choice(DAY_PARTS).format(day=order.day)
    elif order.day:
        sentences.append(random.choice(DAY_SENTENCES).format(day=order.day))
    return text + ("?" if text.startswith(("can", "could")) else "."), sentences


def make_rows() -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """The training rows and the test rows; no message stands in both. Same bytes on every machine."""
    rows: list[dict[str, str]] = []
    seen: set[str] = set()
    for message, answer in _pairs(Random(ROWS_SEED)):
        if message not in seen:
            seen.add(message)
            rows.append({"input": message, "output": answer})
        if len(rows) == TRAIN_ROWS + TEST_ROWS:
            break
    return rows[:TRAIN_ROWS], rows[TRAIN_ROWS:]


def _pairs(random: Random) -> Iterator[tuple[str, str]]:
    while True:
        order = make_order(random)
        yield message_for(random, order), order.as_json()


def dump_rows(rows: list[dict[str, str]]) -> str:
    """JSON lines, one row a line."""
    return "".join(json.dumps(row) + "\n" for row in rows)
