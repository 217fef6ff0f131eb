"""Scenes: drawn landscapes with exact labels, the data set that needs no download.

Every class has a shape, a place and a texture; its colour is drawn at random for each scene, so that mask to image is
one-to-many as in photographs. A scene depends on (seed, split, index) and the size alone. Only + - * / and comparisons
touch the pixels and all draws come from NumPy's frozen MT19937 stream, so every machine draws the same bits.
"""

import hashlib
from functools import lru_cache

import numpy as np

from semflow.data.sample import Sample

# Numbered by rows of the anchors' lattice (6 a row with k = 6): the four large regions are its corners.
NAMES = (
    "sky", "cloud", "sun", "sail", "boat", "sea",
    "mountain", "tree", "roof", "wall", "person", "parasol",
    "grass", "road", "car", "wheel", "door", "sand",
)  # fmt: skip
PALETTE = (
    (135, 206, 235), (240, 240, 250), (255, 215, 0), (250, 250, 190), (130, 70, 160), (30, 90, 170),
    (120, 100, 90), (20, 100, 40), (170, 50, 40), (220, 170, 150), (250, 140, 60), (230, 60, 200),
    (90, 170, 60), (90, 90, 95), (200, 30, 90), (20, 20, 25), (100, 60, 30), (230, 205, 140),
)  # fmt: skip
SPLITS = {"train": 0, "val": 1, "test": 2}
ID = {name: number for number, name in enumerate(NAMES)}
N_DRAWS = 192  # uniform numbers set aside for one scene; a scene uses fewer
VERSION = 1  # part of the fingerprint: raise it when the pictures change


class Scenes:
    """`n` scenes of `size` (h, w); index i of a split is the same picture whatever `n` is."""

    name = "scenes"
    names: tuple[str, ...] = NAMES
    palette: tuple[tuple[int, int, int], ...] = PALETTE
    swaps: tuple[tuple[int, int], ...] = ()
    groups: tuple[str, ...] | None = None

    def __init__(self, n: int, size: tuple[int, int], seed: int, split: str) -> None:
        self.n, self.size, self.seed, self.split = n, size, seed, split

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self.n:
            raise IndexError(index)
        return draw(np.random.RandomState([self.seed, SPLITS[self.split], index]), *self.size)

    def fingerprint(self) -> str:
        """SHA-256 that changes whenever a picture would."""
        text = f"scenes v{VERSION} n={self.n} size={self.size} seed={self.seed} split={self.split}"
        return hashlib.sha256(text.encode()).hexdigest()


def draw(rng: np.random.RandomState, h: int, w: int) -> Sample:
    """Draw one scene: image uint8 (3, h, w) RGB and labels uint8 (h, w), any size from 16 x 16 on."""
    uniform = iter(rng.random_sample(N_DRAWS).tolist()).__next__
    canvas = _Canvas(h, w, uniform)
    coast = uniform() < 0.45
    horizon = 0.34 + 0.18 * uniform()
    _draw_sky(canvas, horizon)
    if coast:
        _draw_coast(canvas, horizon)
    else:
        _draw_land(canvas, horizon)
    return Sample(_paint(canvas, rng, uniform), canvas.labels)


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
    if c.uniform() < 0.55:
        radius = c.between(0.08, 0.12)
        c.ellipse("sun", c.place(0.1), c.between(0.1, 0.18), radius, radius)
    if c.uniform() < 0.6:
        x, y, r = c.place(0.2), c.between(0.1, 0.2), c.between(0.05, 0.07)
        c.ellipse("cloud", x - 1.5 * r, y, 1.6 * r, r)
        c.ellipse("cloud", x + 1.5 * r, y, 1.6 * r, r)
        c.ellipse("cloud", x, y - 0.5 * r, 1.5 * r, 1.5 * r)
    if c.uniform() < 0.6:
        for _ in range(2):
            peak, slope = c.between(0.12, 0.24), c.between(0.5, 1.1)
            ridge = horizon - peak + slope * abs(c.x - c.place(0.0))
            c.fill("mountain", (c.y > ridge) & (c.y < horizon))


def _draw_coast(c: _Canvas, horizon: float) -> None:
    shore, tilt = c.between(0.66, 0.82), c.between(-0.15, 0.15)
    beach = shore + tilt * (c.x - c.width / 2)
    c.fill("sea", (c.y >= horizon) & (c.y < beach))
    c.fill("sand", (c.y >= beach) & (c.y >= horizon))
    if c.uniform() < 0.85:
        x, y, size = c.place(0.22), c.between(horizon + 0.06, shore - 0.1), c.between(0.17, 0.22)
        c.trapezoid("boat", x, size, x, 0.6 * size, y, y + 0.5 * size)
        lean = c.between(-0.3, 0.3) * size
        c.trapezoid("sail", x + lean, 0.0, x, 0.75 * size, y - 1.6 * size, y)
    if c.uniform() < 0.6:
        _draw_parasol(c, c.place(0.2), c.between(0.9, 1.0))
    if c.uniform() < 0.6:
        _draw_person(c, c.place(0.1), c.between(0.86, 0.96))


def _draw_land(c: _Canvas, horizon: float) -> None:
    c.fill("grass", np.broadcast_to(c.y >= horizon, c.labels.shape))
    if c.uniform() < 0.7:
        x_far, x_near = c.place(0.1), c.place(0.2)
        c.trapezoid("road", x_far, c.between(0.02, 0.05), x_near, c.between(0.2, 0.35), horizon, 1.01)
    left = c.uniform() < 0.5
    near, far = (0.0, c.width / 2) if left else (c.width / 2, c.width)
    if c.uniform() < 0.7:
        _draw_house(c, c.between(near + 0.2, far - 0.2), c.between(horizon + 0.12, 0.78))
    if c.uniform() < 0.7:
        _draw_tree(c, c.place(0.1), c.between(horizon + 0.15, 0.85))
    if c.uniform() < 0.65:
        _draw_car(c, c.place(0.24), c.between(0.8, 0.95))
    if c.uniform() < 0.5:
        _draw_person(c, c.place(0.1), c.between(0.75, 0.98))


def _draw_house(c: _Canvas, x: float, ground: float) -> None:
    half, height = c.between(0.16, 0.22), c.between(0.18, 0.26)
    c.box("wall", x - half, x + half, ground - height, ground)
    c.trapezoid("roof", x, c.between(0.0, 0.6) * half, x, 1.15 * half, ground - height - c.between(0.13, 0.19), ground - height)
    door = x + c.between(-0.5, 0.5) * half
    c.box("door", door - 0.06, door + 0.06, ground - 0.65 * height, ground)


def _draw_tree(c: _Canvas, x: float, ground: float) -> None:
    height, half = c.between(0.3, 0.42), c.between(0.09, 0.14)
    c.box("tree", x - 0.035, x + 0.035, ground - 0.4 * height, ground)
    if c.uniform() < 0.5:
        c.trapezoid("tree", x, 0.0, x, half, ground - height, ground - 0.25 * height)
    else:
        c.ellipse("tree", x, ground - 0.65 * height, half, 0.38 * height)


def _draw_parasol(c: _Canvas, x: float, ground: float) -> None:
    height, half = c.between(0.26, 0.34), c.between(0.13, 0.18)
    c.box("parasol", x - 0.025, x + 0.025, ground - height, ground)
    dx, dy = (c.x - x) / half, (c.y - ground + 0.75 * height) / (0.55 * height)
    c.fill("parasol", (dx * dx + dy * dy < 1) & (dy < 0.1))


def _draw_car(c: _Canvas, x: float, ground: float) -> None:
    half = c.between(0.18, 0.24)
    c.box("car", x - half, x + half, ground - 0.17, ground - 0.04)
    c.trapezoid("car", x, 0.45 * half, x, 0.75 * half, ground - 0.27, ground - 0.16)
    for side in (-0.55, 0.55):
        c.ellipse("wheel", x + side * half, ground - 0.06, 0.075, 0.075)


def _draw_person(c: _Canvas, x: float, ground: float) -> None:
    height = c.between(0.26, 0.34)
    c.trapezoid("person", x, 0.075, x, 0.05, ground - 0.75 * height, ground)
    c.ellipse("person", x, ground - 0.85 * height, 0.055, 0.055)


def _paint(c: _Canvas, rng: np.random.RandomState, uniform) -> np.ndarray:
    """Colour, texture, light and noise for the labels on the canvas; uint8 (3, h, w)."""
    image = _colours(rng, uniform)[:, c.labels]
    texture = _textures(c, rng, uniform)
    gain = 0.75 + 0.35 * uniform()
    slope = 0.3 * (uniform() - 0.5)
    light = gain * (1 + slope * (c.x / c.width - 0.5)) * (1 + texture)
    noise = rng.randint(0, 256, image.shape) / 255.0 - 0.5
    image = image * light + (2 + 8 * uniform()) * noise
    return np.clip(np.floor(image + 0.5), 0, 255).astype(np.uint8)


def _colours(rng: np.random.RandomState, uniform) -> np.ndarray:
    """One colour a class, (3, n): hues spread evenly and dealt out at random, so that no class owns one."""
    n = len(NAMES)
    hue = 6 * ((rng.permutation(n) / n + uniform()) % 1.0)
    saturation, value = 0.3 + 0.6 * rng.random_sample(n), 80 + 170 * rng.random_sample(n)
    sectors = (hue + np.array([[0.0], [4.0], [2.0]])) % 6.0  # HSV to RGB, piecewise linear
    return value * (1 - saturation * np.clip(1 - (abs(sectors - 3.0) - 1.0), 0.0, 1.0))


def _wave(phase: np.ndarray) -> np.ndarray:
    """Triangle wave of period 1 in [-1, 1]; no sine, whose last bits differ between machines."""
    return 4 * abs(phase - np.floor(phase) - 0.5) - 1


def _textures(c: _Canvas, rng: np.random.RandomState, uniform) -> np.ndarray:
    """Relative brightness of every pixel, (h, w), by the habit of its class."""
    speckle = rng.randint(0, 256, c.labels.shape) / 127.5 - 1
    shift = uniform()
    across, down, slant = _wave(5 * c.x + shift), _wave(9 * c.y + shift), _wave(5 * (c.x + c.y) + shift)
    strength = 0.06 + 0.1 * uniform()
    brightness = np.zeros(c.labels.shape)
    for names, pattern in (
        (("sky", "parasol"), c.y - 0.25),
        (("sea", "boat"), down),
        (("grass", "tree"), speckle),
        (("sand", "cloud"), 0.4 * speckle),
        (("mountain", "roof"), slant),
        (("wall", "sail"), across),
    ):
        for name in names:
            np.copyto(brightness, pattern, where=c.labels == ID[name])
    return strength * brightness
