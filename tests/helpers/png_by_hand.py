"""PNGs that Pillow does not write: of few bits or 16, with a palette shorter than its numbers, with a transparent colour."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

GREY, RGB, PALETTE = 0, 2, 3


def png(
    path: Path,
    rows: Sequence[Sequence[int]],
    bits: int,
    palette: Sequence[tuple[int, int, int]] = (),
    kind: int | None = None,
    transparent: bytes = b"",
) -> Path:
    """rows: samples, of RGB three a pixel.  transparent: the chunk tRNS.  kind: GREY or PALETTE if it is not given."""
    kind = (PALETTE if palette else GREY) if kind is None else kind
    lines = b"".join(b"\0" + _packed(row, bits) for row in rows)
    w = len(rows[0]) // (3 if kind == RGB else 1)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", w, len(rows), bits, kind, 0, 0, 0))]
    chunks += [(b"PLTE", bytes(channel for colour in palette for channel in colour))] * bool(palette)
    chunks += [(b"tRNS", transparent)] * bool(transparent)
    chunks += [(b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks))
    return path


def _packed(row: Sequence[int], bits: int) -> bytes:
    text = "".join(f"{value:0{bits}b}" for value in row)
    n_bytes = -(-len(text) // 8)
    return int(text.ljust(8 * n_bytes, "0"), 2).to_bytes(n_bytes, "big")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
