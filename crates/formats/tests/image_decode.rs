//! Every format and pixel type decodes as in Pillow, and no content makes the decoder panic.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use tilewise_formats::image::{ImageError, Photo, decode};

/// Levels of 255 by which lossy formats may differ: two decoders, both within their standard. Lossless ones may not.
const LOSSY: [(&str, u8); 2] = [("jpeg-", 4), ("webp-lossy.", 1)];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/decode")
}

/// The encoded fixtures, sorted by name.
fn fixtures() -> Vec<(String, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension != "ppm"));
    paths.sort();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    paths.iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
}

/// Reads the binary PPM that Pillow writes: `P6`, width and height, 255, pixels.
fn ppm(path: &Path) -> Photo {
    let bytes = fs::read(path).unwrap();
    let mut lines = bytes.splitn(4, |&byte| byte == b'\n');
    assert_eq!(lines.next(), Some(&b"P6"[..]));
    let size = std::str::from_utf8(lines.next().unwrap()).unwrap();
    let (width, height) = size.split_once(' ').unwrap();
    assert_eq!(lines.next(), Some(&b"255"[..]));
    Photo { width: width.parse().unwrap(), height: height.parse().unwrap(), rgb: lines.next().unwrap().to_vec() }
}

#[test]
fn every_format_and_pixel_type_equals_pillow() {
    let mut failures = Vec::new();
    let all = fixtures();
    assert!(all.len() > 40, "{} fixtures", all.len());
    for (name, bytes) in all {
        let expected = ppm(&folder().join(format!("{name}.ppm")));
        let photo = match decode(&bytes) {
            Ok(photo) => photo,
            Err(error) => {
                failures.push(format!("{name}: {error}"));
                continue;
            }
        };
        if (photo.width, photo.height) != (expected.width, expected.height) {
            failures.push(format!("{name}: {} x {}", photo.width, photo.height));
            continue;
        }
        let gap = photo.rgb.iter().zip(&expected.rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        let allowed = LOSSY.iter().find(|(start, _)| name.starts_with(start)).map_or(0, |(_, levels)| *levels);
        if gap > allowed {
            failures.push(format!("{name}: {gap} levels"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Cuts every fixture short and flips its bytes. The result may be a photo or an error; a photo has all its bytes.
#[test]
fn no_content_makes_the_decoder_panic() {
    let mut state = 1u32;
    let mut random = move |below: usize| {
        // Numerical Recipes' linear congruential generator; its high bits are good enough here.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    let check = |name: &str, bytes: &[u8]| {
        if let Ok(photo) = decode(bytes) {
            assert_eq!(photo.rgb.len(), photo.width * photo.height * 3, "{name}");
        }
    };
    for (name, bytes) in fixtures() {
        for _ in 0..20 {
            check(&name, &bytes[..random(bytes.len())]);
            let mut flipped = bytes.clone();
            for _ in 0..1 + random(8) {
                flipped[random(bytes.len())] = random(256) as u8;
            }
            check(&name, &flipped);
        }
    }
    for _ in 0..200 {
        let noise: Vec<u8> = (0..random(300)).map(|_| random(256) as u8).collect();
        check("noise", &noise);
    }
}

#[test]
fn a_truncated_jpeg_is_refused() {
    for (name, bytes) in fixtures().iter().filter(|(name, _)| name.starts_with("jpeg-")) {
        for part in [1, 2, 3] {
            let cut = &bytes[..bytes.len() * part / 4 + 20];
            assert!(decode(cut).is_err(), "{name}, {part} quarters");
        }
        let cut = &bytes[..bytes.len() - 30];
        assert!(matches!(decode(cut), Err(ImageError::Truncated)), "{name}, all but 30 bytes");
    }
}

#[test]
fn unknown_and_empty_files_are_told_apart_from_broken_ones() {
    for bytes in [&b""[..], b"hello, world", b"P6\n1 1\n255\nabc"] {
        let error = decode(bytes).unwrap_err();
        assert!(matches!(error, ImageError::UnknownFormat | ImageError::Decode(_)), "{error}");
    }
}

#[test]
fn a_decompression_bomb_is_refused_by_its_header() {
    let (_, mut png) = fixtures().into_iter().find(|(name, _)| name == "png-L.png").unwrap();
    png[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let crc = crc(&png[12..29]).to_be_bytes();
    png[29..33].copy_from_slice(&crc);
    let error = decode(&png).unwrap_err();
    assert!(matches!(error, ImageError::TooManyPixels { width: 65536, height: 65536, .. }), "{error}");
}

/// PNG's checksum, so that the changed header is a valid one.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}
