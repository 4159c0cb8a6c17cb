"""The texts of generated pages: few, frequent words, so that a small tokenizer holds each of them whole."""

from __future__ import annotations

from random import Random

NAMES = ("Blue", "Green", "Fresh", "North", "Daily", "Open")
TRADES = ("Tea", "Book", "Bike", "Cake", "Garden", "Studio")
THINGS = ("Tea", "Book", "Bike", "Cake", "Lamp", "Ring", "Bag", "Rice")
LINKS = ("Home", "News", "Shop", "Team", "Help")
FIELDS = ("Name", "Email", "Phone", "City")
ACTIONS = ("Buy", "Send", "Join", "More")
VERBS = ("Find", "Make", "Share")
GOODS = ("good food", "new ideas", "fresh tea", "good days")
TAILS = ("for all", "in town", "and more")
PRICES = (5, 9, 12, 15, 19, 24, 29, 49)


def title(rng: Random) -> str:
    """Two words that could name a small business."""
    return f"{rng.choice(NAMES)} {rng.choice(TRADES)}"


def sentence(rng: Random) -> str:
    """Five words."""
    return f"{rng.choice(VERBS)} {rng.choice(GOODS)} {rng.choice(TAILS)}"


def price(rng: Random) -> str:
    """A price in whole dollars."""
    return f"${rng.choice(PRICES)}"


def phone(rng: Random) -> str:
    """A telephone number from the range that is kept for fiction."""
    return f"555 01{rng.randrange(100):02}"
