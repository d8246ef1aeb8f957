"""Make pictures.bin.xz from the npm package emoji-datasource-twitter (see README.md beside this file).

npm pack emoji-datasource-twitter@16.0.0
tar xzf emoji-datasource-twitter-16.0.0.tgz
python data/emoji/make.py package
"""

import hashlib
import json
import lzma
import sys
from pathlib import Path

import numpy as np
from PIL import Image

CATEGORIES = (  # in the order of their labels, 0 to 9
    "Smileys & Emotion",
    "People & Body",
    "Component",
    "Animals & Nature",
    "Food & Drink",
    "Travel & Places",
    "Activities",
    "Objects",
    "Symbols",
    "Flags",
)
SIDE = 32


def on_white(cell: np.ndarray) -> np.ndarray:
    """Red, green, blue, alpha in 0 .. 255, (4, H, W) -> what is seen before white, (3, H, W), rounded."""
    colour, alpha = cell[:3].astype(np.int64), cell[3].astype(np.int64)
    return ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def records(package: Path) -> bytes:
    """CIFAR-10's binary format: a byte of label and the three planes, for every emoji but the variations of skin.

    They come in the order of the Unicode charts. Of emoji that look the same (families, flags of
    dependent territories) the first one stays, so that no picture is there twice.
    """
    with Image.open(package / "img/twitter/sheets-clean/32.png", formats=("PNG",)) as image:
        sheet = np.array(image.convert("RGBA")).transpose(2, 0, 1)  # (4, H, W)
    entries = json.loads((package / "emoji.json").read_text(encoding="utf-8"))
    label_of = {}  # planes: label, in order
    for entry in sorted(entries, key=lambda entry: entry["sort_order"]):
        if entry["has_img_twitter"]:
            top, left = ((SIDE + 2) * entry[key] + 1 for key in ("sheet_y", "sheet_x"))  # a border of 1 around each
            planes = on_white(sheet[:, top : top + SIDE, left : left + SIDE]).tobytes()
            label_of.setdefault(planes, CATEGORIES.index(entry["category"]))
    return b"".join(bytes([label]) + planes for planes, label in label_of.items())


if __name__ == "__main__":
    content = records(Path(sys.argv[1]))
    packed = lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)
    (Path(__file__).parent / "pictures.bin.xz").write_bytes(packed)
    print(f"{len(content) // (1 + 3 * SIDE * SIDE)} pictures, {len(packed)} bytes")
    print(f"sha256 {hashlib.sha256(packed).hexdigest()} pictures.bin.xz")
    print(f"sha256 {hashlib.sha256(content).hexdigest()} unpacked")
