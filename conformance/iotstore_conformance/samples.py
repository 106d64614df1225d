"""Values that broke real engines: texts, words and names that every clause can draw from."""

from __future__ import annotations

from typing import Final

#: Texts that engines cut, fold, trim, normalise or read as syntax.
HARD_TEXTS: Final[tuple[str, ...]] = (
    "",
    " ",
    " a ",
    "a\n",
    "\t\r\n",
    "e\u0301",
    "\u00e9",
    "\u00df",
    "\u0130stanbul",
    "\U0001f600\U0001f469\u200d\U0001f469",
    "\uffff\U0010ffff",
    "%",
    "_",
    "100%_\\",
    "'; drop table device; --",
    '"quoted"',
    "{}[]$:?",
    "null",
    "NULL",
    "1.0",
    "\ufeffmark",
    "\u202eright to left",
    "x" * 5000,
)

#: Doubles whose sum goes wrong: when they are just added up, with a running compensation, or in another order.
HARD_SUMS: Final[tuple[tuple[float, ...], ...]] = (
    (1e16, 1.0, -1e16, 1e-3, 0.1, 0.2, 0.3, -1e300, 1e300, 5e-324),
    (1e16, *[1.0] * 1001),
    (1e100, 1e50, 1.0, -1e50, -1e100),
)

#: Words whose case folding differs between engines: how one is written, how another finds it.
FOLDED: Final[tuple[tuple[str, str], ...]] = (
    ("Stra\u00dfe", "STRASSE"),
    ("\u1e9e", "ss"),
    ("\u0391\u03a3", "\u03b1\u03c2"),
    ("\u212aelvin", "kelvin"),
    ("\ufb01sh", "FISH"),
    ("\u00c9COLE", "\u00e9cole"),
    ("\u041a\u0438\u0457\u0432", "\u043a\u0418\u0407\u0412"),
    ("\U00010400", "\U00010428"),
    ("Front Camera", "front CAM"),
)
