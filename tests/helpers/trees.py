"""Small trees of the paper's data sets in their official layout: real files, random content from a fixed seed."""

from pathlib import Path

import numpy as np
from PIL import Image

H, W = 96, 128
COCO_IDS = (0, 1, 16, 61, 91, 123, 148, 156, 168, 181, 255)  # person, bicycle, cat, chair, banner, grass, road, sky, tree, wood
CITY_IDS = (0, 1, 3, 4, 7, 8, 9, 11, 17, 21, 23, 24, 26, 33)
CITIES = {"train": ("aachen", "zurich"), "val": ("frankfurt", "munster")}
PARTS = {  # rows and columns of 32 that each part fills; many overlap, as theirs do
    "skin": (4, 28, 6, 26), "nose": (13, 18, 14, 18), "l_eye": (11, 13, 18, 22), "r_eye": (11, 13, 10, 14),
    "l_brow": (9, 10, 18, 23), "r_brow": (9, 10, 9, 14), "l_ear": (11, 17, 25, 28), "r_ear": (11, 17, 4, 7),
    "mouth": (20, 23, 12, 20), "u_lip": (20, 21, 12, 20), "l_lip": (22, 23, 12, 20), "hair": (0, 8, 4, 28),
    "neck": (26, 31, 10, 22), "cloth": (29, 32, 2, 30),
}  # fmt: skip
ORIGINAL = (100, 170_000, 190_000)  # numbers in CelebA of a face to train with, of val and of test


def photograph(rng: np.random.RandomState, h: int, w: int, mode: str = "RGB") -> Image.Image:
    """A few smooth blobs of colour: JPEG keeps them."""
    coarse = Image.fromarray(rng.randint(0, 256, (4, 6, 3)).astype(np.uint8))
    return coarse.resize((w, h), Image.Resampling.BICUBIC).convert(mode)


def label_map(rng: np.random.RandomState, ids: tuple[int, ...], h: int, w: int) -> Image.Image:
    """Blocks of ids, each id somewhere if there is room."""
    blocks = rng.permutation(np.resize(ids, 24)).reshape(4, 6).astype(np.uint8)
    return Image.fromarray(blocks).resize((w, h), Image.Resampling.NEAREST)


def coco_stuff_tree(root: Path, n: int = 8) -> Path:
    """`n` pictures to train with and `n` of val2017; the last of each is grey."""
    for seed, split in enumerate(("train2017", "val2017")):
        rng = np.random.RandomState(seed)
        images, labels = root / split, root / "annotations" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for number in range(n):
            h, w = (H, W) if number % 2 else (W, H)
            name = f"{139 * (number + 1) + seed:012d}"  # a photograph is in one of the two
            photograph(rng, h, w, "L" if number == n - 1 else "RGB").save(images / f"{name}.jpg")
            label_map(rng, COCO_IDS, h, w).save(labels / f"{name}.png")
    return root


def celebamask_hq_tree(root: Path, n: int = 8, merged: bool = False) -> Path:
    """`n` faces of each split of the official partition, the first `n` alone below 28,000; merged: with their label maps."""
    rng = np.random.RandomState(0)
    (root / "CelebA-HQ-img").mkdir(parents=True)
    lines = ["idx     orig_idx        orig_file"]
    for number in range(3 * n):
        face = number if number < n else 28_000 + number - n
        original = ORIGINAL[number // n] + number
        photograph(rng, 128, 128).save(root / f"CelebA-HQ-img/{face}.jpg")
        lines.append(f"{face:<8}{original:<16}{original + 1:06d}.jpg")
        _save_parts(root / f"CelebAMask-HQ-mask-anno/{face // 2000}", face, rng)
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_text("\n".join(lines) + "\n")
    if merged:
        from semflow.tools.prepare import prepare

        prepare("celebamask_hq", root)
    return root


def _save_parts(folder: Path, face: int, rng: np.random.RandomState) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part, (top, bottom, left, right) in PARTS.items():
        if part == "hair" and face % 4 == 3:  # bald
            continue
        mask = np.zeros((64, 64), np.uint8)
        shift = rng.randint(0, 3)
        mask[2 * top : 2 * bottom, 2 * left + shift : 2 * right + shift] = 255
        Image.fromarray(mask).convert("RGB").save(folder / f"{face:05d}_{part}.png")


def cityscapes_tree(root: Path, n: int = 8) -> Path:
    """`n` stills to train with and `n` of val, in two cities each."""
    for seed, (split, cities) in enumerate(CITIES.items()):
        rng = np.random.RandomState(seed)
        for number in range(n):
            city = cities[number % 2]
            frame = f"{city}_{number:06d}_000019"
            images, labels = root / "leftImg8bit" / split / city, root / "gtFine" / split / city
            images.mkdir(parents=True, exist_ok=True)
            labels.mkdir(parents=True, exist_ok=True)
            photograph(rng, 64, 128).save(images / f"{frame}_leftImg8bit.png")
            label_map(rng, CITY_IDS, 64, 128).save(labels / f"{frame}_gtFine_labelIds.png")
            (labels / f"{frame}_gtFine_polygons.json").write_text("{}")
    return root


def own_tree(root: Path, classes: tuple[str, ...] = ("a", "b", "c")) -> Path:
    """Six images to train with and three of val, of three classes, as mmsegmentation's users have them."""
    rng = np.random.RandomState(0)
    for split, n in (("train", 6), ("val", 3)):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for number in range(n):
            photograph(rng, 24, 32).save(root / f"images/{split}/{number}.jpg")
            label_map(rng, (0, 1, 2, 255), 24, 32).save(root / f"labels/{split}/{number}.png")
    (root / "classes.txt").write_text("\n".join(classes) + "\n")
    return root
