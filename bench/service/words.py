"""Products and searches by their numbers. No other module of this package is needed for it."""

import hashlib
from typing import Any

COLOURS = "red blue green black white grey brown pink amber violet ivory olive navy coral silver golden".split()
STUFFS = "cotton linen leather wool paper glass steel oak silk clay copper rubber velvet bamboo stone cork".split()
THINGS = (
    "shoe jacket lamp bag hat chair cup scarf table clock vase belt shirt plate basket mirror drill tent kettle rug bench"
    " candle pillow ladder blanket wallet glove boot sandal sock dress skirt coat apron towel brush comb bottle bowl spoon"
    " knife fork tray shelf desk sofa stool curtain ring necklace watch phone radio camera bicycle helmet ball puzzle kite"
    " drum flute guitar easel notebook"
).split()
SYLLABLES = "ba co da fe ga hi jo ka lu ma ne po ra se ta vo".split()
NUMBERS = 2**24


def _spread(number: int) -> int:
    """A number of 24 bits for each number of 24 bits, far from those of its neighbours."""
    return number * 10_368_889 % NUMBERS


def _maker(mixed: int) -> str:
    """One of 4,096 names of makers."""
    return "".join(SYLLABLES[mixed >> shift & 15] for shift in (0, 4, 8))


def name_of(number: int) -> str:
    """What a product is called."""
    mixed = _spread(number)
    words = COLOURS[mixed & 15], STUFFS[mixed >> 4 & 15], THINGS[(mixed >> 8) % len(THINGS)], _maker(mixed >> 12)
    return " ".join(words)


def product_of(number: int) -> dict[str, Any]:
    """What is told of a product."""
    name = name_of(number)
    return {
        "name": name,
        "description": f"{name}, number {number}",
        "price": 5.0 + number % 200,
        "category": name.split()[2],
    }


def picture_of(number: int) -> tuple[str, str]:
    """The SHA-256 of a product's only picture, were its bytes the number, and where it would be."""
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    return sha256, f"http://127.0.0.1/bench/{sha256}.jpg"


def query_of(number: int) -> str:
    """A search by words; neighbours differ. Some eight in a hundred products have one of its words."""
    mixed = _spread(number)
    return f"{COLOURS[mixed & 15]} {THINGS[(mixed >> 4) % len(THINGS)]} {_maker(mixed >> 12)}"
