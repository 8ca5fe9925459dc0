//! Photos are resized as Pillow resizes them (fixtures by xtask/parity/pillow.py).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use tilewise_formats::image::{Axis, Filter, Photo, Preprocess, Resize, decode, resample};

/// The photos of the repository, with the levels of 255 by which a result may differ from Pillow's: none where both
/// start from the same pixels; JPEG decoders are up to 2 levels apart on this photo, and a bicubic edge amplifies it.
const PHOTOS: [(&str, u8); 3] = [("chelsea.png", 0), ("coffee.png", 0), ("rocket.jpg", 3)];

/// The fixtures hold every 7th pixel of every 7th row.
const STEP: usize = 7;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> Photo {
    decode(&fs::read(path).unwrap()).unwrap()
}

/// The cases of pillow.py: a name and the two axes.
fn cases(photo: &Photo) -> [(&'static str, Axis, Axis); 5] {
    let (height, width) = (photo.height, photo.width);
    let whole = |grid_height, grid_width| (Axis::whole(height, grid_height), Axis::whole(width, grid_width));
    let mut shorter = Preprocess::named("torchvision").unwrap();
    shorter.resize = Resize::ShorterSide(256);
    let (shorter_height, shorter_width) = shorter.resized(photo);
    let part = |size: usize, from: f64, to: f64, grid: usize| {
        let size = size as f64;
        Axis { source: (size * from) as f32..(size * to) as f32, grid, window: 0..grid }
    };
    let case = |name, (y, x)| (name, y, x);
    [
        case("shorter256", whole(shorter_height, shorter_width)),
        case("exact224", whole(224, 224)),
        case("lower", whole(height / 4, width * 9 / 10)),
        case("larger", whole(height * 4 / 3, width * 5 / 4)),
        case("box", (part(height, 0.25, 0.95, 130), part(width, 0.1, 0.7, 150))),
    ]
}

fn every_seventh(photo: &Photo) -> Photo {
    let (width, height) = (photo.width.div_ceil(STEP), photo.height.div_ceil(STEP));
    let rows = photo.rgb.chunks_exact(photo.width * 3).step_by(STEP);
    let rgb = rows.flat_map(|row| row.chunks_exact(3).step_by(STEP).flatten().copied()).collect();
    Photo { width, height, rgb }
}

#[test]
fn every_filter_and_size_equals_pillow() {
    let mut failures = Vec::new();
    for (name, allowed) in PHOTOS {
        let photo = read(&root().join("data/photos").join(name));
        for (case, y, x) in cases(&photo) {
            for filter in Filter::ALL {
                let file = format!("{name}.{case}.{filter}.png");
                let expected = read(&root().join("crates/formats/tests/fixtures/resize").join(&file));
                let sample = every_seventh(&resample(&photo, &y, &x, filter));
                assert_eq!((sample.height, sample.width), (expected.height, expected.width), "{file}");
                let gap = sample.rgb.iter().zip(&expected.rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                if gap > allowed {
                    failures.push(format!("{file}: {gap} levels"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_window_is_a_part_of_the_whole() {
    let photo = read(&root().join("data/photos/chelsea.png"));
    for (case, y, x) in cases(&photo) {
        for filter in Filter::ALL {
            let whole = resample(&photo, &y, &x, filter);
            let (rows, columns) = (5..y.grid / 2, x.grid / 3..x.grid);
            let part = resample(&photo, &y.clone().window(rows.clone()), &x.clone().window(columns.clone()), filter);
            let expected: Vec<u8> = rows
                .flat_map(|row| &whole.rgb[(row * whole.width + columns.start) * 3..][..columns.len() * 3])
                .copied()
                .collect();
            assert_eq!(part.rgb, expected, "{case}, {filter}");
        }
    }
}

#[test]
fn no_axis_makes_resampling_panic() {
    let photo = Photo { width: 3, height: 2, rgb: (0..18).collect() };
    let sources = [0.0..3.0, -5.0..9.0, 1.5..1.6, 2.0..1.0, 7.0..9.0, f32::NAN..1.0, f32::NEG_INFINITY..f32::INFINITY];
    for source in sources {
        for (grid, window) in [(0, 0..0), (1, 0..1), (50, 0..50), (4, 2..90), (4, 9..12), (usize::MAX, 0..2)] {
            let axis = Axis { source: source.clone(), grid, window };
            for filter in Filter::ALL {
                let part = resample(&photo, &axis, &axis, filter);
                assert_eq!(part.rgb.len(), part.width * part.height * 3, "{axis:?}, {filter}");
            }
        }
    }
}
