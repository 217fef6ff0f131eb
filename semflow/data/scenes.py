"""Scenes: synthetic landscapes with exact labels, the data set that needs no download.

Every class has a shape, a place and a texture. Version 2 gives it colours as in nature: grass is some green, a car has any
colour, and one light (day, dusk or night) falls on the whole scene, so that one label map has many pictures, as in
photographs. In version 1 any class has any colour. A scene depends on (version, seed, split, index) and the size alone. Only
+ - * / and comparisons touch the pixels and all random numbers come from NumPy's frozen MT19937 stream, so every machine
renders the same bits.
"""

import hashlib
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from semflow.data.info import DatasetInfo
from semflow.data.sample import Colour, Sample
from semflow.data.settings import DataSettings
from semflow.section import Positive

NAMES = (
    "sky", "sun", "cloud", "mountain", "grass", "sand", "sea", "road",
    "tree", "house", "roof", "car", "person", "boat", "sail", "parasol",
)  # fmt: skip
PALETTE = (
    (135, 206, 235), (255, 215, 0), (240, 240, 250), (120, 100, 90), (90, 170, 60), (230, 205, 140), (30, 90, 170), (90, 90, 95),
    (20, 100, 40), (220, 170, 150), (170, 50, 40), (200, 30, 90), (250, 140, 60), (130, 70, 160), (250, 250, 190), (230, 60, 200),
)  # fmt: skip
SPLITS = {"train": 0, "val": 1, "test": 2}
REPAINTED = 3  # beside the splits: the random numbers of scenes painted again
ID = {name: number for number, name in enumerate(NAMES)}
N_UNIFORM = 192  # uniform numbers set aside for one scene; a scene uses fewer


class Range(NamedTuple):
    """A class's colours: hue within `spread` of `hue` on the circle of length 1, saturation in [0, 1], value in grey levels."""

    hue: float
    spread: float
    saturation: tuple[float, float]
    value: tuple[float, float]


ANY = 0.5  # spread: every hue
COLOURS = {  # of version 2
    "sky": Range(0.57, 0.10, (0.25, 0.60), (190, 250)),
    "sun": Range(0.14, 0.03, (0.40, 0.80), (235, 255)),
    "cloud": Range(0.60, ANY, (0.00, 0.08), (215, 255)),
    "mountain": Range(0.07, 0.06, (0.10, 0.40), (90, 150)),
    "grass": Range(0.30, 0.06, (0.45, 0.80), (110, 190)),
    "sand": Range(0.12, 0.02, (0.25, 0.50), (190, 240)),
    "sea": Range(0.56, 0.06, (0.50, 0.85), (90, 170)),
    "road": Range(0.60, ANY, (0.00, 0.10), (70, 130)),
    "tree": Range(0.25, 0.15, (0.50, 0.85), (60, 130)),
    "house": Range(0.00, ANY, (0.15, 0.65), (140, 240)),
    "roof": Range(0.02, 0.04, (0.50, 0.85), (100, 180)),
    "car": Range(0.00, ANY, (0.50, 1.00), (100, 240)),
    "person": Range(0.00, ANY, (0.40, 0.95), (70, 220)),
    "boat": Range(0.00, ANY, (0.40, 0.90), (80, 200)),
    "sail": Range(0.00, ANY, (0.10, 0.70), (200, 255)),
    "parasol": Range(0.00, ANY, (0.55, 1.00), (150, 250)),
}
LOW, HIGH = np.array(  # ends of hue, saturation and value, (3, n) each, in the order of NAMES
    [((c.hue - c.spread, c.saturation[0], c.value[0]), (c.hue + c.spread, c.saturation[1], c.value[1])) for c in COLOURS.values()]
).transpose(1, 2, 0)
LIGHTS = (  # of version 2: probability, then factors of red, green and blue
    (0.55, (1.0, 1.0, 1.0)),  # day
    (0.25, (1.08, 0.82, 0.62)),  # dusk
    (0.20, (0.5, 0.55, 0.8)),  # night
)


class Settings(DataSettings):
    """Synthetic scenes, as many as asked for. version: of their colours, 1 any, 2 as in nature."""

    name: Literal["scenes"]
    version: Literal[1, 2]
    size: Annotated[tuple[Annotated[int, Field(ge=16)], Annotated[int, Field(ge=16)]], Field(strict=False)]
    n_train: Positive
    n_test: Annotated[int, Field(ge=4)]  # precision and recall look at three neighbours
    seed: Annotated[int, Field(ge=0, lt=2**32)]


class Scenes:
    """`n` scenes of `size` (h, w); index i of a split is the same image whatever `n` is. version: of their colours, 1 or 2."""

    name = "scenes"
    names: tuple[str, ...] = NAMES
    palette: tuple[Colour, ...] = PALETTE
    groups: tuple[str, ...] | None = None

    def __init__(self, n: int, size: tuple[int, int], seed: int, split: str, version: int) -> None:
        self.n, self.size, self.seed, self.split, self.version = n, size, seed, split, version

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self.n:
            raise IndexError(index)
        return render(np.random.RandomState([self.seed, SPLITS[self.split], index]), *self.size, self.version)

    def repaint(self, labels: np.ndarray, index: int) -> np.ndarray:
        """A picture uint8 (3, h, w) of labels uint8 (h, w): as a scene is painted, in colours, texture and light drawn anew.

        index: of the drawing; the same numbers give the same picture. ValueError if a label is no class of scenes.
        """
        if labels.max() >= len(NAMES):
            raise ValueError(f"label {labels.max()} is no class of scenes")
        rng = np.random.RandomState([self.seed, REPAINTED, index])
        uniform = iter(rng.random_sample(N_UNIFORM).tolist()).__next__
        h, w = labels.shape
        canvas = _Canvas(h, w, uniform)
        canvas.labels = labels
        return _paint(canvas, rng, uniform, self.version)

    def stamp(self) -> str:
        """What the images are determined by."""
        return self.fingerprint()

    def fingerprint(self) -> str:
        """SHA-256 that changes whenever an image would."""
        text = f"scenes v{self.version} n={self.n} size={self.size} seed={self.seed} split={self.split}"
        return hashlib.sha256(text.encode()).hexdigest()


def _open(data: Settings, split: str) -> Scenes:
    return Scenes(data.n_train if split == "train" else data.n_test, data.size, data.seed, split, data.version)


INFO = DatasetInfo(Settings, _open, NAMES, PALETTE, repaints=True)


def render(rng: np.random.RandomState, h: int, w: int, version: int) -> Sample:
    """Render one scene: image uint8 (3, h, w) RGB and labels uint8 (h, w), any size from 16 x 16 on."""
    uniform = iter(rng.random_sample(N_UNIFORM).tolist()).__next__
    canvas = _Canvas(h, w, uniform)
    coast = uniform() < 0.45
    horizon = 0.34 + 0.18 * uniform()
    _draw_sky(canvas, horizon)
    if coast:
        _draw_coast(canvas, horizon)
    else:
        _draw_land(canvas, horizon)
    return Sample(_paint(canvas, rng, uniform, version), canvas.labels)


@lru_cache(maxsize=8)
def _coordinates(h: int, w: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres: x in (0, w / h) as (1, w) and y in (0, 1) as (h, 1), so that circles stay round."""
    return (np.arange(w)[None, :] + 0.5) / h, (np.arange(h)[:, None] + 0.5) / h


class _Canvas:
    """Labels under the brush; shapes drawn later lie in front."""

    def __init__(self, h: int, w: int, uniform) -> None:
        self.x, self.y = _coordinates(h, w)
        self.width = w / h
        self.labels = np.full((h, w), ID["sky"], np.uint8)
        self.uniform = uniform

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.uniform()

    def place(self, margin: float) -> float:
        """A horizontal position at least `margin` away from the sides."""
        return margin + max(self.width - 2 * margin, 0.0) * self.uniform()

    def fill(self, name: str, inside: np.ndarray) -> None:
        self.labels[inside] = ID[name]

    def ellipse(self, name: str, x: float, y: float, rx: float, ry: float) -> None:
        dx, dy = (self.x - x) / rx, (self.y - y) / ry
        self.fill(name, dx * dx + dy * dy < 1)

    def box(self, name: str, left: float, right: float, top: float, bottom: float) -> None:
        self.fill(name, (self.x >= left) & (self.x < right) & (self.y >= top) & (self.y < bottom))

    def trapezoid(self, name, x_top, half_top, x_bottom, half_bottom, top, bottom) -> None:
        """Between `top` and `bottom`, centre and half width run linearly from one end to the other."""
        along = (self.y - top) / (bottom - top)
        centre, half = x_top + (x_bottom - x_top) * along, half_top + (half_bottom - half_top) * along
        self.fill(name, (abs(self.x - centre) < half) & (self.y >= top) & (self.y < bottom))


def _draw_sky(c: _Canvas, horizon: float) -> None:
    if c.uniform() < 0.75:
        left, right = c.between(0.15, 0.35) * c.width, c.between(0.65, 0.85) * c.width
        sun_left = c.uniform() < 0.5
        radius, r = c.between(0.09, 0.13), c.between(0.06, 0.08)
        c.ellipse("sun", left if sun_left else right, c.between(0.12, 0.18), radius, radius)
        x, y = right if sun_left else left, c.between(0.12, 0.2)
        c.ellipse("cloud", x, y, 3 * r, r)
        c.ellipse("cloud", x, y - 0.4 * r, 1.6 * r, 1.5 * r)
    if c.uniform() < 0.6:
        for _ in range(2):
            peak, slope = c.between(0.14, 0.22), c.between(0.5, 0.9)
            ridge = horizon - peak + slope * abs(c.x - c.place(0.0))
            c.fill("mountain", (c.y > ridge) & (c.y < horizon))


def _draw_coast(c: _Canvas, horizon: float) -> None:
    shore, tilt = c.between(0.66, 0.8), c.between(-0.12, 0.12)
    beach = shore + tilt * (c.x - c.width / 2)
    c.fill("sea", (c.y >= horizon) & (c.y < beach))
    c.fill("sand", (c.y >= beach) & (c.y >= horizon))
    if c.uniform() < 0.9:
        x, y, size = c.place(0.25), c.between(horizon + 0.06, shore - 0.12), c.between(0.2, 0.25)
        c.trapezoid("boat", x, size, x, 0.65 * size, y, y + 0.55 * size)
        c.trapezoid("sail", x + c.between(-0.2, 0.2) * size, 0.0, x, 0.8 * size, y - 1.6 * size, y)
    left = c.uniform() < 0.5
    if c.uniform() < 0.8:
        _draw_parasol(c, c.width * (c.between(0.2, 0.35) if left else c.between(0.65, 0.8)), c.between(0.92, 1.0))
    if c.uniform() < 0.7:
        _draw_person(c, c.width * (c.between(0.6, 0.9) if left else c.between(0.1, 0.4)), c.between(0.9, 0.99))


def _draw_land(c: _Canvas, horizon: float) -> None:
    c.fill("grass", np.broadcast_to(c.y >= horizon, c.labels.shape))
    left = c.uniform() < 0.5
    if c.uniform() < 0.8:
        x_far, x_near = c.between(0.4, 0.6) * c.width, (c.between(0.6, 0.8) if left else c.between(0.2, 0.4)) * c.width
        c.trapezoid("road", x_far, c.between(0.03, 0.06), x_near, c.between(0.25, 0.35), horizon, 1.01)
    near, far = (0.0, 0.5 * c.width) if left else (0.5 * c.width, c.width)
    if c.uniform() < 0.8:
        _draw_house(c, c.between(near + 0.22, far - 0.22), c.between(horizon + 0.18, 0.75))
    if c.uniform() < 0.8:
        _draw_tree(c, c.width - c.between(near + 0.12, far - 0.12), c.between(horizon + 0.2, 0.8))
    if c.uniform() < 0.7:
        _draw_car(c, c.place(0.28), c.between(0.85, 0.97))
    if c.uniform() < 0.4:
        _draw_person(c, c.place(0.1), c.between(0.8, 0.98))


def _draw_house(c: _Canvas, x: float, ground: float) -> None:
    half, height = c.between(0.18, 0.23), c.between(0.2, 0.26)
    eaves = ground - height
    c.box("house", x - half, x + half, eaves, ground)
    c.trapezoid("roof", x, c.between(0.0, 0.6) * half, x, 1.2 * half, eaves - c.between(0.16, 0.2), eaves)


def _draw_tree(c: _Canvas, x: float, ground: float) -> None:
    height, half = c.between(0.36, 0.46), c.between(0.12, 0.16)
    c.box("tree", x - 0.04, x + 0.04, ground - 0.4 * height, ground)
    if c.uniform() < 0.5:
        c.trapezoid("tree", x, 0.0, x, half, ground - height, ground - 0.25 * height)
    else:
        c.ellipse("tree", x, ground - 0.65 * height, half, 0.38 * height)


def _draw_parasol(c: _Canvas, x: float, ground: float) -> None:
    height, half = c.between(0.3, 0.38), c.between(0.16, 0.21)
    c.box("parasol", x - 0.035, x + 0.035, ground - height, ground)
    dx, dy = (c.x - x) / half, (c.y - ground + 0.7 * height) / (0.55 * height)
    c.fill("parasol", (dx * dx + dy * dy < 1) & (dy < 0.1))


def _draw_car(c: _Canvas, x: float, ground: float) -> None:
    half = c.between(0.22, 0.27)
    c.box("car", x - half, x + half, ground - 0.2, ground - 0.05)
    c.trapezoid("car", x, 0.45 * half, x, 0.75 * half, ground - 0.33, ground - 0.19)
    for side in (-0.55, 0.55):
        c.ellipse("car", x + side * half, ground - 0.06, 0.075, 0.075)


def _draw_person(c: _Canvas, x: float, ground: float) -> None:
    height = c.between(0.32, 0.4)
    c.trapezoid("person", x, 0.09, x, 0.06, ground - 0.7 * height, ground)
    c.ellipse("person", x, ground - 0.84 * height, 0.065, 0.07)


def _paint(c: _Canvas, rng: np.random.RandomState, uniform, version: int) -> np.ndarray:
    """Colour, texture, light and noise for the labels on the canvas; uint8 (3, h, w)."""
    colours = _any_colours(rng, uniform) if version == 1 else _natural_colours(rng, uniform)
    image = colours[:, c.labels]
    texture = _textures(c, rng, uniform)
    gain = 0.75 + 0.35 * uniform()
    slope = 0.3 * (uniform() - 0.5)
    light = gain * (1 + slope * (c.x / c.width - 0.5)) * (1 + texture)
    noise = rng.randint(0, 256, image.shape) / 255.0 - 0.5
    image = image * light + (2 + 8 * uniform()) * noise
    return np.clip(np.floor(image + 0.5), 0, 255).astype(np.uint8)


def _any_colours(rng: np.random.RandomState, uniform) -> np.ndarray:
    """Version 1: one colour a class, (3, n): hues spread evenly and dealt out at random, so that no class owns one."""
    n = len(NAMES)
    hue = (rng.permutation(n) / n + uniform()) % 1.0
    return _rgb(hue, 0.3 + 0.6 * rng.random_sample(n), 100 + 150 * rng.random_sample(n))


def _natural_colours(rng: np.random.RandomState, uniform) -> np.ndarray:
    """Version 2: one colour a class from its range, (3, n), all under one light."""
    drawn = rng.random_sample((3, len(NAMES)))
    hue, saturation, value = LOW + (HIGH - LOW) * drawn
    which, factors = uniform(), LIGHTS[-1][1]
    for probability, light in LIGHTS[:-1]:
        if which < probability:
            factors = light
            break
        which -= probability
    return _rgb(hue % 1.0, saturation, value) * np.array(factors)[:, None]


def _rgb(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Red, green and blue (3, n) of hue and saturation in [0, 1] and value in grey levels, piecewise linear in hue."""
    sectors = (6 * hue + np.array([[0.0], [4.0], [2.0]])) % 6.0
    return value * (1 - saturation * np.clip(1 - (abs(sectors - 3.0) - 1.0), 0.0, 1.0))


def _wave(phase: np.ndarray) -> np.ndarray:
    """Triangle wave of period 1 in [-1, 1]; no sine, whose last bits differ between machines."""
    return 4 * abs(phase - np.floor(phase) - 0.5) - 1


def _textures(c: _Canvas, rng: np.random.RandomState, uniform) -> np.ndarray:
    """Relative brightness of every pixel, (h, w), in the pattern of its class."""
    speckle = rng.randint(0, 256, c.labels.shape) / 127.5 - 1
    shift = uniform()
    across, down = _wave(8 * c.x + shift), _wave(8 * c.y + shift)
    rising, falling = _wave(6 * (c.x + c.y) + shift), _wave(6 * (c.x - c.y) + shift)
    brightness = np.zeros(c.labels.shape)  # road and person are plain
    for names, pattern in (
        (("sky",), 2 * c.y - 0.5),
        (("sea", "boat"), down),
        (("house", "sail"), across),
        (("mountain", "parasol"), rising),
        (("roof", "car"), falling),
        (("tree", "cloud"), across * down),
        (("grass",), speckle),
        (("sand", "sun"), np.where(speckle > 0.5, 1.0, 0.0)),
    ):
        for name in names:
            np.copyto(brightness, pattern, where=c.labels == ID[name])
    return (0.15 + 0.15 * uniform()) * brightness
