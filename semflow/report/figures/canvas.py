"""Empty figures, and how curves on them look. Matplotlib is imported when one is drawn, so that planning does without it."""

from collections.abc import Iterable
from itertools import cycle
from typing import TYPE_CHECKING, Any

from baselines import METHODS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPARE_COLOURS = ("tab:purple", "tab:olive", "tab:cyan", "tab:pink")  # for methods without a card
LINES, MARKERS = ("-", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1, 1, 1))), "os^vD"  # dashed are controls
TONES = (0, -0.4, 0.4, -0.65, 0.6)  # of a method's samplers: how much black, below 0, or white its colour is mixed with


def empty(**options: Any) -> "Figure":
    """A figure without anything on it. options: matplotlib's."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.use("Agg")
    matplotlib.rcParams.update(
        {
            "font.size": 9,
            "svg.hashsalt": "figures",
            "pdf.fonttype": 42,
            "figure.dpi": 150,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }  # fmt: skip
    )
    return Figure(**options)


def styles(keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
    """By (method, sampler), what matplotlib takes for its line: a method has the colour of its card, its samplers differ in
    tone, line and marker."""
    by_method: dict[str, list[str]] = {}
    for method, sampler in keys:
        by_method.setdefault(method, []).append(sampler)
    spare = cycle(SPARE_COLOURS)
    found = {}
    for method, samplers in by_method.items():
        colour = METHODS[method].colour if method in METHODS else next(spare)
        known = list(dict.fromkeys([*_of_card(method), *samplers]))
        for sampler in samplers:
            number = known.index(sampler)
            found[method, sampler] = {
                "color": _toned(colour, TONES[number % len(TONES)]),
                "linestyle": LINES[number % len(LINES)],
                "marker": MARKERS[number % len(MARKERS)],
            }
    return found


def _of_card(method: str) -> list[str]:
    return [name for names in METHODS[method].tasks.values() for name in names] if method in METHODS else []


def _toned(colour: str, tone: float) -> tuple[float, ...]:
    from matplotlib.colors import to_rgb

    return tuple(part * (1 - abs(tone)) + max(tone, 0) for part in to_rgb(colour))
