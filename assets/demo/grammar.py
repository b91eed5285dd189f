"""The text that the demo's base model is pretrained on, written by a small grammar. Pure Python.

It holds what a base model needs in order to learn the task quickly (the words, copying a word into quotes, JSON of
other kinds, customer messages with a reply in prose) and never the task itself: no message is ever followed by its
JSON order, and the order's keys appear in no record.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

from assets.demo import words
from assets.demo.orders import (
    Order,
    item_phrase,
    join_phrases,
    make_name,
    make_order,
    make_quantity,
    message_for,
    plain_phrase,
)

CORPUS_SEED = 7
MADE_UP_NAMES = 0.5  # a larger share than in the rows: it teaches copying in pieces

# One piece of a document: who says it, and the text. "given" is text that a later piece repeats or sums up.
Part = tuple[str, str]
Described = tuple[str, dict[str, object]]


def documents(seed: int = CORPUS_SEED) -> Iterator[list[Part]]:
    """Endless documents: parts by "user" and "assistant" make a conversation, "given" and "text" a plain text."""
    random = Random(seed)
    kinds = (conversation, conversation, conversation, small_talk, story, note, record, record, record, repetition)
    while True:
        yield random.choice(kinds)(random)


def conversation(random: Random) -> list[Part]:
    """A customer's message and a reply in prose."""
    order = make_order(random, MADE_UP_NAMES)
    return [("user", message_for(random, order)), ("assistant", reply(random, order))]


def reply(random: Random, order: Order) -> str:
    """Thanks that repeat what was ordered, in plain sentences."""
    goods = join_phrases([plain_phrase(item) for item in order.items])
    when = f" on {order.day}" if order.day else ""
    body = random.choice((
        f"You asked for {goods}. We will bring it to {order.city}{when}.",
        f"We have noted {goods}. It will reach {order.city}{when}.",
        f"Your parcel for {order.city} will hold {goods}.",
    ))  # fmt: skip
    tail = " We will wrap it nicely." if order.gift else ""
    opening = random.choice(("Thank you, {}.", "Many thanks, {}.", "Hello {}, thank you for your message."))
    question = "" if order.day else " Which day suits you?"
    return f"{opening.format(order.customer)} {body}{tail}{question}"


def small_talk(random: Random) -> list[Part]:
    """Questions about the shop, sometimes two in a row."""
    turns: list[Part] = []
    for _ in range(random.choice((1, 1, 2))):
        turns += random.choice((_what_sold, _which_colors, _open_days, _say_after, _who_works))(random)
    return turns


def _what_sold(random: Random) -> list[Part]:
    goods = [words.PRODUCTS[p] for p in random.sample(sorted(words.PRODUCTS), 3)]
    question = random.choice(("What do you sell?", "What is in your shop?", "What can I buy?"))
    return [("user", question), ("assistant", f"We sell {join_phrases(goods)}, among other things.")]


def _which_colors(random: Random) -> list[Part]:
    plural = words.PRODUCTS[random.choice(sorted(words.PRODUCTS))]
    colors = join_phrases(random.sample(words.COLORS, random.choice((2, 3))))
    return [("user", f"Which colours of {plural} do you have?"), ("assistant", f"We have {plural} in {colors}.")]


def _open_days(random: Random) -> list[Part]:
    day, city = random.choice(words.DAYS), random.choice(words.CITIES)
    answer = f"Yes, our shop in {city} is open on {day} from {make_quantity(random)} o'clock."
    return [("user", f"Is the shop in {city} open on {day}?"), ("assistant", answer)]


def _say_after(random: Random) -> list[Part]:
    phrase = " ".join(some_word(random) for _ in range(random.randint(1, 5)))
    return [("user", f"Please repeat: {phrase}"), ("assistant", f'You said "{phrase}".')]


def _who_works(random: Random) -> list[Part]:
    name, job, city = make_name(random, MADE_UP_NAMES), random.choice(words.JOBS), random.choice(words.CITIES)
    answer = f"Nice to meet you, {name}. We like every {job} from {city}."
    return [("user", f"Hello, I am {name}, a {job} from {city}."), ("assistant", answer)]


def story(random: Random) -> list[Part]:
    """A few sentences about one person."""
    name, city = make_name(random, MADE_UP_NAMES), random.choice(words.CITIES)
    lines = [f"{name} is a {random.choice(words.JOBS)} and lives in {city}."]
    for _ in range(random.randint(2, 5)):
        lines.append(_story_line(random, name, city))
    return [("text", " ".join(lines))]


def _story_line(random: Random, name: str, city: str) -> str:
    order = make_order(random)
    goods = join_phrases([item_phrase(random, item) for item in order.items])
    place, weather, day = random.choice(words.PLACES), random.choice(words.WEATHER), random.choice(words.DAYS)
    return random.choice((
        f"On {day} {name} went to the {place} and bought {goods}.",
        f"It was a {weather} day in {city}, and {name} stayed in the {place}.",
        f"In the {place} there were {goods}.",
        f"{name} met {order.customer} at the {place}, and they talked about {order.city}.",
        f'"I was in {order.city} on {day}," said {name}.',
        f"{order.customer} gave {name} {goods} as a gift.",
        f"Every customer in {city} knows {name}.",
    ))  # fmt: skip


def note(random: Random) -> list[Part]:
    """A list under a heading, and the same list once more."""
    entries = [item_phrase(random, item) for _ in range(2) for item in make_order(random).items]
    heading = random.choice(("To buy", "In the box", "Seen at the market", "Lost and found", "To mend"))
    lines = "\n".join(f"- {entry}" for entry in entries)
    return [("given", f"{heading}:\n{lines}\n"), ("text", f"{heading}, once more:\n{lines}")]


def record(random: Random) -> list[Part]:
    """Sentences about the shop's day, each with its JSON record; none is an order."""
    kind = random.choice((_stock, _stock, _staff, _trip, _weather, _words))
    parts: list[Part] = []
    for _ in range(random.randint(1, 3)):
        text, fields = kind(random)
        parts += [("given", f"{text}\n"), ("text", f"{json.dumps(fields)}\n")]
    return parts


def _stock(random: Random) -> Described:
    items = make_order(random).items
    text = random.choice(("The shelf holds {}.", "We counted {} today.", "There are still {} left.", "In the box: {}."))
    goods = join_phrases([item_phrase(random, item) for item in items])
    return text.format(goods), {"stock": [{"left": i.quantity, "name": i.product, "paint": i.color} for i in items]}


def _staff(random: Random) -> Described:
    name, job = make_name(random, MADE_UP_NAMES), random.choice(words.JOBS)
    home, day = random.choice(words.CITIES), _day(random)
    sentences = [f"{name} is a {job}.", random.choice((f"Home is {home}.", f"The family is from {home}."))]
    sentences += [random.choice((f"{day} is free.", f"No work on {day}."))] if day else []
    random.shuffle(sentences)
    return " ".join(sentences), {"person": name, "job": job, "home": home, "free": day}


def _trip(random: Random) -> Described:
    name, (start, end), day = make_name(random, MADE_UP_NAMES), random.sample(words.CITIES, 2), _day(random)
    train = random.random() < 0.5
    sentences = [f"{name} travels from {start} to {end}" + (f" on {day}." if day else ".")]
    sentences.insert(random.randint(0, 1), "The train is booked." if train else "It is a journey by car.")
    return " ".join(sentences), {"traveller": name, "start": start, "end": end, "when": day, "train": train}


def _weather(random: Random) -> Described:
    place, sky, wind = random.choice(words.CITIES), random.choice(words.WEATHER), random.randint(0, 9)
    rain = random.random() < 0.5
    text = f"{sky.capitalize()} in {place}, wind {wind}, {'with' if rain else 'no'} rain."
    return text, {"place": place, "sky": sky, "rain": rain, "wind": wind}


def _words(random: Random) -> Described:
    chosen = [some_word(random) for _ in range(random.randint(2, 6))]
    return "Words: " + " ".join(chosen), {"words": chosen}


def _day(random: Random) -> str | None:
    return random.choice(words.DAYS) if random.random() < 0.8 else None


def some_word(random: Random) -> str:
    """Any single word of this world."""
    lists = (words.CITIES, words.COLORS, words.DAYS, sorted(words.PRODUCTS), list(words.PRODUCTS.values()))
    return make_name(random, MADE_UP_NAMES) if random.random() < 0.4 else random.choice(random.choice(lists))


def repetition(random: Random) -> list[Part]:
    """Words that are said and then quoted or counted."""
    chosen = [some_word(random) for _ in range(random.randint(2, 6))]
    plain, quoted = " ".join(chosen), ", ".join(f'"{word}"' for word in chosen)
    number, product = make_quantity(random), random.choice(sorted(words.PRODUCTS))
    noun = product if number == 1 else words.PRODUCTS[product]
    given, text = random.choice((
        (f"{plain} : ", quoted),
        (f"She said {plain} and wrote ", f"{quoted}."),
        (f"The words {plain} become ", f"[{quoted}]."),
        (f"{quoted} again ", quoted),
        (f"{words.NUMBERS[number]} {noun} is ", f'{number} of "{product}"'),
        (f"{number} {noun}, so ", f'{words.NUMBERS[number]} times "{product}"'),
    ))  # fmt: skip
    return [("given", given), ("text", text)]
