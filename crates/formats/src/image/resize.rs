//! Resampling equal to Pillow's `Image.resize`, bit for bit on 8-bit RGB.
//!
//! Pillow's antialiased filters (its `src/libImaging/Resample.c`) widen with the scale, are normalized for each output
//! pixel, rounded to fixed point and applied along rows and columns one after the other, with bytes in between. Each of
//! these roundings shows in the result (the other order of the two passes moves bicubic edges by up to 23 levels), so
//! the arithmetic here is the same. Only what the wanted window needs is computed.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::Photo;

/// Fraction bits of a weight: 32 less 8 for the sample and 2 for sign and overshoot.
const WEIGHT_BITS: u32 = 32 - 8 - 2;
/// Half of a fixed-point unit, so that the final shift rounds.
const HALF: i32 = 1 << (WEIGHT_BITS - 1);

/// How an output pixel comes from the pixels around its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// The one pixel under the centre.
    Nearest,
    /// A triangle two output pixels wide (Pillow's `BILINEAR`, antialiased).
    Bilinear,
    /// Keys' cubic with a = -0.5, four output pixels wide (Pillow's `BICUBIC`, antialiased).
    Bicubic,
}

impl Filter {
    /// All filters.
    pub const ALL: [Filter; 3] = [Filter::Nearest, Filter::Bilinear, Filter::Bicubic];

    /// The name `Display` writes and `FromStr` reads.
    pub fn name(self) -> &'static str {
        match self {
            Filter::Nearest => "nearest",
            Filter::Bilinear => "bilinear",
            Filter::Bicubic => "bicubic",
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no filter's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no filter; there are nearest, bilinear and bicubic")]
pub struct UnknownFilter(pub String);

impl FromStr for Filter {
    type Err = UnknownFilter;

    fn from_str(name: &str) -> Result<Self, UnknownFilter> {
        Filter::ALL.into_iter().find(|filter| filter.name() == name).ok_or_else(|| UnknownFilter(name.to_owned()))
    }
}

/// What happens along one direction: `source` pixels become a grid of `grid` pixels, of which `window` is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The part of the photo, in pixels (Pillow's `box`); cut at the photo's edges.
    pub source: Range<f32>,
    /// Pixels the part becomes.
    pub grid: usize,
    /// Those of them that are computed; cut at the grid's end.
    pub window: Range<usize>,
}

impl Axis {
    /// All of `size` pixels to all of `grid` pixels.
    pub fn whole(size: usize, grid: usize) -> Axis {
        Axis { source: 0.0..size as f32, grid, window: 0..grid }
    }

    /// The same grid, of which only `window` is wanted.
    pub fn window(self, window: Range<usize>) -> Axis {
        Axis { window, ..self }
    }

    /// Source pixels per grid pixel, and the start of the source, for a photo of `size` pixels; none where nothing is
    /// left of the source.
    fn scale(&self, size: usize) -> Option<(f64, f64)> {
        let start = self.source.start.max(0.0);
        let length = self.source.end.min(size as f32) - start;
        (length > 0.0).then(|| (f64::from(length) / self.grid as f64, f64::from(start)))
    }

    fn wanted(&self) -> Range<usize> {
        self.window.start.min(self.grid)..self.window.end.min(self.grid)
    }
}

/// The whole photo at another size: Pillow's `photo.resize((width, height), filter)`.
pub fn resize(photo: &Photo, height: usize, width: usize, filter: Filter) -> Photo {
    resample(photo, &Axis::whole(photo.height, height), &Axis::whole(photo.width, width), filter)
}

/// A window of the resized part of a photo: Pillow's `photo.resize(grid, filter, box=source).crop(window)`. Empty
/// (0 x 0) where no source or no window is left.
///
/// Equal to Pillow 13. Before, Pillow did the rows first always; now it starts with the columns where a photo loses much
/// more height than width, which shows (by some levels, along hard edges) in tall photos only.
pub fn resample(photo: &Photo, y: &Axis, x: &Axis, filter: Filter) -> Photo {
    let (rows, columns) = (y.wanted(), x.wanted());
    let (Some(y_scale), Some(x_scale)) = (y.scale(photo.height), x.scale(photo.width)) else {
        return Photo { width: 0, height: 0, rgb: Vec::new() };
    };
    if rows.is_empty() || columns.is_empty() {
        return Photo { width: 0, height: 0, rgb: Vec::new() };
    }
    let kernel: Kernel = match filter {
        Filter::Nearest => {
            let rows = nearest_places(y_scale, rows, photo.height);
            return pick(photo, &rows, &nearest_places(x_scale, columns, photo.width));
        }
        Filter::Bilinear => Kernel { support: 1.0, weight: triangle },
        Filter::Bicubic => Kernel { support: 2.0, weight: cubic },
    };
    let rows = kernel.taps(y_scale, rows, photo.height);
    let columns = kernel.taps(x_scale, columns, photo.width);
    if columns_first(photo, y, x) {
        let low = vertical(photo, 0, &rows);
        return horizontal(&low, 0..low.height, &columns);
    }
    let needed = rows.iter().fold(photo.height..0, |needed, tap| {
        needed.start.min(tap.first)..needed.end.max(tap.first + tap.weights.len())
    });
    let narrow = horizontal(photo, needed.clone(), &columns);
    vertical(&narrow, needed.start, &rows)
}

/// Pillow 13's choice: whether more than twice as many rows go as columns do. It counts the whole photo, also where
/// only a part of it is resized.
fn columns_first(photo: &Photo, y: &Axis, x: &Axis) -> bool {
    photo.height.saturating_sub(y.grid) > 2 * photo.width.saturating_sub(x.grid)
}

/// A continuous filter: its half width and its value at a distance from the centre, in output pixels (or in source
/// pixels where the photo grows).
struct Kernel {
    support: f64,
    weight: fn(f64) -> f64,
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

/// R. Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -0.5.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// The source pixels of one output pixel.
struct Tap {
    first: usize,
    weights: Vec<i32>,
}

impl Kernel {
    /// One tap for each output pixel of `wanted`; `size` source pixels exist.
    fn taps(&self, (scale, start): (f64, f64), wanted: Range<usize>, size: usize) -> Vec<Tap> {
        let widening = scale.max(1.0);
        let support = self.support * widening;
        wanted
            .map(|at| {
                let centre = start + (at as f64 + 0.5) * scale;
                // Casts to usize cut a negative place to 0, as Pillow does in a second step.
                let first = (centre - support + 0.5) as usize;
                let end = ((centre + support + 0.5) as usize).min(size);
                let weights: Vec<f64> =
                    (first..end).map(|pixel| (self.weight)((pixel as f64 - centre + 0.5) * (1.0 / widening))).collect();
                let sum: f64 = weights.iter().sum();
                let fixed = |weight: f64| (weight / sum * f64::from(1 << WEIGHT_BITS)).round() as i32;
                Tap { first, weights: weights.into_iter().map(fixed).collect() }
            })
            .collect()
    }
}

/// Convolves the rows `needed`, and returns only them.
fn horizontal(photo: &Photo, needed: Range<usize>, columns: &[Tap]) -> Photo {
    let mut rgb = vec![0; needed.len() * columns.len() * 3];
    let rows = photo.rgb.chunks_exact(photo.width * 3).skip(needed.start);
    for (out, row) in rgb.chunks_exact_mut(columns.len() * 3).zip(rows) {
        for (pixel, tap) in out.chunks_exact_mut(3).zip(columns) {
            let sources = row[tap.first * 3..].chunks_exact(3);
            let [mut red, mut green, mut blue] = [HALF; 3];
            for (source, &weight) in sources.zip(&tap.weights) {
                red += i32::from(source[0]) * weight;
                green += i32::from(source[1]) * weight;
                blue += i32::from(source[2]) * weight;
            }
            pixel.copy_from_slice(&[to_byte(red), to_byte(green), to_byte(blue)]);
        }
    }
    Photo { width: columns.len(), height: needed.len(), rgb }
}

/// Convolves the columns of a photo whose first row is row `offset` of the taps.
fn vertical(photo: &Photo, offset: usize, rows: &[Tap]) -> Photo {
    let pitch = photo.width * 3;
    let mut rgb = vec![0; rows.len() * pitch];
    let mut sums = vec![0i32; pitch];
    for (out, tap) in rgb.chunks_exact_mut(pitch).zip(rows) {
        sums.fill(HALF);
        let sources = photo.rgb.chunks_exact(pitch).skip(tap.first - offset);
        for (source, &weight) in sources.zip(&tap.weights) {
            for (sum, &sample) in sums.iter_mut().zip(source) {
                *sum += i32::from(sample) * weight;
            }
        }
        for (byte, &sum) in out.iter_mut().zip(&sums) {
            *byte = to_byte(sum);
        }
    }
    Photo { width: photo.width, height: rows.len(), rgb }
}

fn to_byte(sum: i32) -> u8 {
    (sum >> WEIGHT_BITS).clamp(0, 255) as u8
}

/// The source pixel under each output pixel's centre. The place is summed up step by step as Pillow does: its rounding
/// error decides where a centre falls between two pixels.
fn nearest_places((scale, start): (f64, f64), wanted: Range<usize>, size: usize) -> Vec<usize> {
    let mut place = start + scale * 0.5;
    let mut places = Vec::with_capacity(wanted.len());
    for at in 0..wanted.end {
        if at >= wanted.start {
            places.push((place as usize).min(size - 1));
        }
        place += scale;
    }
    places
}

fn pick(photo: &Photo, rows: &[usize], columns: &[usize]) -> Photo {
    let mut rgb = Vec::with_capacity(rows.len() * columns.len() * 3);
    for row in rows {
        let row = &photo.rgb[row * photo.width * 3..][..photo.width * 3];
        rgb.extend(columns.iter().flat_map(|column| &row[column * 3..][..3]));
    }
    Photo { width: columns.len(), height: rows.len(), rgb }
}
