"""Pixels between the two forms that they have: bytes on disk, and numbers from -1 to 1 in a network."""

from torch import Tensor


def to_unit_range(images: Tensor) -> Tensor:
    """uint8 0..255 to float32 [-1, 1]."""
    return images.float() / 127.5 - 1


def to_bytes(images: Tensor) -> Tensor:
    """Float [-1, 1] to uint8, as they would be saved; what lies outside is clipped."""
    return ((images + 1) * 127.5).round().clamp(0, 255).byte()
