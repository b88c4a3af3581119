"""A picture of a loss map: as characters, and as a small PNG with a palette, both without any library."""

from __future__ import annotations

import base64
import struct
import zlib

from crossent.explain.layouts import LossMap

RAMP = " .:-=+*#%@"
WIDEST, TALLEST = 48, 20  # characters; a character is about twice as tall as it is wide
# From cheap to dear, light enough to be told apart on white and on black, and by everybody (blue to yellow).
STOPS = ((28, 44, 92), (38, 92, 150), (46, 148, 160), (122, 196, 120), (246, 222, 70))
LEVELS = 255  # the last entry of the palette is transparent: ignored
SCALE = 4  # pixels of the PNG for a cell


def characters(seen: LossMap, widest: int = WIDEST) -> list[str]:
    """Lines of text, dark for dear, ``x`` where pixels are ignored."""
    down, across = len(seen.cells), len(seen.cells[0])
    height, width = min(TALLEST, down), min(widest, across)
    return [
        "".join(
            _character(seen.cells[y * down // height][x * across // width], seen.high) for x in range(width)
        ).rstrip()
        for y in range(height)
    ]  # fmt: skip


def _character(value: float | None, high: float) -> str:
    return "x" if value is None else RAMP[_level(value, high, len(RAMP) - 1)]


def _level(value: float, high: float, most: int) -> int:
    return min(most, max(0, round(most * value / high))) if high > 0 else 0


def colour(level: int) -> tuple[int, int, int]:
    """Level 0 to 254 along the stops."""
    place = level / (LEVELS - 1) * (len(STOPS) - 1)
    low = min(int(place), len(STOPS) - 2)
    part = place - low
    red, green, blue = (
        round(a + (b - a) * part) for a, b in zip(STOPS[low], STOPS[low + 1], strict=True)
    )  # fmt: skip
    return red, green, blue


def png(seen: LossMap) -> bytes:
    """An indexed PNG (ISO/IEC 15948), a cell :data:`SCALE` pixels wide."""
    lines = b""
    for row in seen.cells:
        levels = [LEVELS if value is None else _level(value, seen.high, LEVELS - 1) for value in row]
        lines += (b"\0" + bytes(level for level in levels for _ in range(SCALE))) * SCALE
    size = struct.pack(">IIBBBBB", SCALE * len(seen.cells[0]), SCALE * len(seen.cells), 8, 3, 0, 0, 0)
    palette = b"".join(bytes(colour(level)) for level in range(LEVELS)) + bytes(3)
    chunks = (
        (b"IHDR", size), (b"PLTE", palette), (b"tRNS", b"\xff" * LEVELS + b"\0"), (b"IDAT", zlib.compress(lines, 9)),
        (b"IEND", b""),
    )  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def data_url(seen: LossMap) -> str:
    return "data:image/png;base64," + base64.b64encode(png(seen)).decode()
