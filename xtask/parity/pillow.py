#!/usr/bin/env python3
"""What Pillow makes of photos: the reference for decoding and resizing.

    python3 -m pip install pillow numpy    # fixtures in the repository: Pillow 13.0.0
    python3 xtask/parity/pillow.py fixtures
    python3 xtask/parity/pillow.py compare FOLDER PHOTO...

`fixtures` writes crates/formats/tests/fixtures/resize/PHOTO.CASE.FILTER.png for the photos of data/photos: every 7th
pixel of every 7th row of the resized photo, which is small enough to keep and meets every residue of both axes.

`compare` prints how far the files FOLDER/PHOTO.CASE.FILTER.rgb (8-bit RGB, rows from the top, as `tilewise_formats`
makes them from PHOTO) are from Pillow's result, and FOLDER/PHOTO.decoded.rgb from what it decodes: for each case the
largest difference of any photo in levels of 255, the largest share of bytes above one level, and the mean difference.
Files that are not there are passed over.
"""

import collections
import pathlib
import sys

import numpy
from PIL import Image, ImageOps

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def shorter_side(size, width, height):
    """torchvision's rule for Resize(size)."""
    return (size, int(size * height / width)) if width <= height else (int(size * width / height), size)


# Name of the case: (width, height) and box of the resized photo from those of the photo.
CASES = {
    "shorter256": lambda w, h: (shorter_side(256, w, h), None),
    "exact224": lambda w, h: ((224, 224), None),
    "lower": lambda w, h: ((w * 9 // 10, h // 4), None),
    "larger": lambda w, h: ((w * 5 // 4, h * 4 // 3), None),
    "box": lambda w, h: ((150, 130), (w * 0.1, h * 0.25, w * 0.7, h * 0.95)),
}


def load(path):
    return ImageOps.exif_transpose(Image.open(path)).convert("RGB")


def resized(photo, case, name):
    size, box = CASES[case](*photo.size)
    return photo.resize(size, FILTERS[name], box)


def fixtures():
    folder = ROOT / "crates/formats/tests/fixtures/resize"
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((ROOT / "data/photos").iterdir()):
        if path.suffix not in (".png", ".jpg"):
            continue
        photo = load(path)
        for case in CASES:
            for name in FILTERS:
                pixels = numpy.asarray(resized(photo, case, name))[::7, ::7]
                picture = Image.fromarray(numpy.ascontiguousarray(pixels))
                picture.save(folder / f"{path.name}.{case}.{name}.png", optimize=True)


def compare(folder, paths):
    found = collections.defaultdict(list)
    for path in paths:
        photo = load(path)
        expected = {"decoded": lambda: photo}
        expected |= {f"{case}.{name}": lambda case=case, name=name: resized(photo, case, name)
                     for case in CASES for name in FILTERS}
        for case, picture in expected.items():
            file = pathlib.Path(folder) / f"{pathlib.Path(path).name}.{case}.rgb"
            if file.exists():
                pixels = numpy.asarray(picture()).astype(int)
                ours = numpy.fromfile(file, numpy.uint8).reshape(pixels.shape)
                gap = abs(ours - pixels)
                found[case].append((gap.max(), (gap > 1).mean(), gap.mean()))
    for case, rows in found.items():
        worst, share, mean = numpy.transpose(rows)
        print(f"{case:22} {len(rows):4} photos: largest {worst.max():.0f}, above one level at most {share.max():.4%}, "
              f"mean {mean.mean():.4f}; photos by largest {dict(sorted(collections.Counter(map(int, worst)).items()))}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["fixtures"]:
        fixtures()
    elif sys.argv[1:2] == ["compare"] and len(sys.argv) > 3:
        compare(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(__doc__)
