#!/usr/bin/env python3
"""Makes the small photos that the decoder is tested with, and what Pillow reads from them.

    python3 -m pip install pillow        # fixtures in the repository: Pillow 13.0.0
    python3 xtask/parity/make_fixtures.py

Writes crates/formats/tests/fixtures/decode/NAME (a file of each format and pixel type) and NAME.ppm (the upright RGB
pixels that Pillow decodes from it). Nothing is random: a second run with the same Pillow changes nothing.
"""

import pathlib
import struct
import zlib

from PIL import Image, ImageOps

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "crates/formats/tests/fixtures/decode"
WIDTH, HEIGHT = 37, 23  # odd, so that subsampled colour has a cut last block


def picture():
    """A colour gradient with hard edges, RGBA, with an alpha gradient that a blending decoder would show."""
    image = Image.new("RGBA", (WIDTH, HEIGHT))
    for y in range(HEIGHT):
        for x in range(WIDTH):
            edge = 90 if 10 < x < 20 and 5 < y < 15 else 0
            image.putpixel((x, y), (x * 6 + edge // 3, 200 - y * 6 + edge // 2, (x * 3 + y * 5) % 160 + edge, x * 7 % 256))
    return image


def png(name, depth, colour, samples, channels, chunks=()):
    """A PNG file of 16-bit samples, which Pillow cannot write itself."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b""
    for y in range(HEIGHT):
        row = samples[y * WIDTH * channels:(y + 1) * WIDTH * channels]
        rows += b"\0" + struct.pack(f">{len(row)}H", *row)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour, 0, 0, 0))
    body = b"".join(chunk(kind, data) for kind, data in chunks)
    data = header + body + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    (FOLDER / name).write_bytes(b"\x89PNG\r\n\x1a\n" + data)


def deep(image):
    """16-bit samples whose low byte would change a rounded high byte."""
    return [value * 256 + 200 for value in image.tobytes()]


def write_files(image):
    """The files, by format."""
    rgb, grey = image.convert("RGB"), image.convert("L")
    palette = rgb.quantize(32)
    save = lambda picture, name, **options: picture.save(FOLDER / name, **options)

    for mode in ("1", "L", "LA", "RGB", "RGBA"):
        save(image.convert(mode), f"png-{mode}.png")
    save(palette, "png-P.png")
    save(palette, "png-P-transparent.png", transparency=3)
    save(palette.convert("RGB").quantize(4), "png-P-2bit.png", bits=2)
    save(grey, "png-L-transparent.png", transparency=100)
    save(rgb, "png-RGB-transparent.png", transparency=rgb.getpixel((3, 3)))
    png("png-RGB-16.png", 16, 2, deep(rgb), 3)
    png("png-RGBA-16.png", 16, 6, deep(image), 4)
    png("png-L-16.png", 16, 0, deep(grey), 1)
    png("png-LA-16.png", 16, 4, deep(image.convert("LA")), 2)

    for mode in ("1", "L", "RGB", "RGBA"):
        save(image.convert(mode), f"bmp-{mode}.bmp")
    save(palette, "bmp-P.bmp")
    save(palette, "gif-P.gif")
    save(palette, "gif-P-transparent.gif", transparency=3)
    save(grey, "gif-L.gif")
    save(palette, "gif-two-frames.gif", save_all=True, append_images=[palette.rotate(180)], duration=100)
    save(rgb, "webp-lossless.webp", lossless=True)
    save(image, "webp-lossless-alpha.webp", lossless=True, exact=True)
    save(rgb, "webp-lossy.webp", quality=80)

    for name, sampling in (("444", 0), ("422", 1), ("420", 2)):
        save(rgb, f"jpeg-{name}.jpg", quality=90, subsampling=sampling)
    save(rgb, "jpeg-progressive.jpg", quality=90, progressive=True)
    save(rgb, "jpeg-restart.jpg", quality=90, restart_marker_blocks=2)
    save(grey, "jpeg-L.jpg", quality=90)
    save(rgb.convert("CMYK"), "jpeg-CMYK.jpg", quality=90)
    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        save(rgb, f"jpeg-orientation-{orientation}.jpg", quality=90, subsampling=0, exif=exif)
    save(rgb, "png-orientation-6.png", exif=exif_of(6))
    save(rgb, "webp-orientation-6.webp", lossless=True, exif=exif_of(6))


def exif_of(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def expected(path):
    """What the decoder has to return: Pillow's pixels, upright."""
    image = Image.open(path)
    if image.mode.startswith("I"):
        # Pillow clips 16-bit grey to white; the documented choice here is the high byte.
        high = bytes(min(value >> 8, 255) for value in image.convert("I").get_flattened_data())
        image = Image.frombytes("L", image.size, high)
    return ImageOps.exif_transpose(image).convert("RGB")


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    write_files(picture())
    for path in sorted(FOLDER.iterdir()):
        expected(path).save(FOLDER / (path.name + ".ppm"))


if __name__ == "__main__":
    main()
