"""Bars on a logarithmic scale as SVG, readable on a light and on a dark page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from xml.sax.saxutils import escape


class Bar(NamedTuple):
    """One contender's ratio."""

    name: str
    ratio: float


class Group(NamedTuple):
    """The bars of one piece of work."""

    title: str
    bars: Sequence[Bar]


_WIDTH: Final = 900
_LEFT: Final = 150
_RIGHT: Final = 70
_ROW: Final = 18
_STYLE: Final = """
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 }
  .axis { stroke: #8c959f; stroke-width: 1 }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .slower { fill: #2f81b7 } .faster { fill: #c4622d }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .axis { stroke: #7d8590 } .grid { stroke: #30363d }
    .slower { fill: #4ea4d9 } .faster { fill: #e08e5c }
  }
"""


def svg(groups: Sequence[Group], engine: str) -> str:
    """A picture of all groups; the line at 1 is the library."""
    return "".join(_lines(groups, engine))


def _lines(groups: Sequence[Group], engine: str) -> Iterator[str]:
    ratios = [bar.ratio for group in groups for bar in group.bars]
    low, high = math.floor(math.log10(min(*ratios, 1.0))), math.ceil(math.log10(max(*ratios, 10.0)))
    height = 50 + sum(30 + _ROW * len(group.bars) for group in groups)
    title = f"How many times as long the others take on {engine} (logarithmic; iotstore is the line at 1)"

    def place(ratio: float) -> float:
        return _LEFT + (math.log10(ratio) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">\n'
    yield f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n"
    yield f'<text class="title" x="10" y="20">{escape(title)}</text>\n'
    for power in range(low, high + 1):
        x = place(10.0**power)
        yield f'<line class="{"axis" if power == 0 else "grid"}" x1="{x:.1f}" x2="{x:.1f}" y1="44" y2="{height}"/>\n'
        yield f'<text x="{x:.1f}" y="40" text-anchor="middle">{10.0**power:g}x</text>\n'
    y = 50
    for group in groups:
        y += 20
        yield f'<text class="title" x="10" y="{y}">{escape(group.title)}</text>\n'
        for bar in group.bars:
            y += _ROW
            start, end = sorted((place(1.0), place(bar.ratio)))
            kind = "slower" if bar.ratio >= 1 else "faster"
            yield f'<text x="{_LEFT - 8}" y="{y}" text-anchor="end">{escape(bar.name)}</text>\n'
            yield f'<rect class="{kind}" x="{start:.1f}" y="{y - 11}" width="{max(end - start, 1):.1f}" height="13"/>\n'
            yield f'<text x="{max(end, place(1.0)) + 5:.1f}" y="{y}">{bar.ratio:.3g}x</text>\n'
        y += 10
    yield "</svg>\n"
