//! From a photo to the numbers a network was trained on: resize, centre crop, scale, shift.

use std::ops::Range;

use super::resize::{Axis, Filter, resample};
use super::{ImageError, Photo, config, presets};

/// How the photo's size changes before the crop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// Not at all.
    Keep,
    /// The shorter side becomes this long and the longer one follows, rounded down (torchvision's rule).
    ShorterSide(usize),
    /// Both sides are set, whatever that does to the proportions.
    Exact {
        /// Rows.
        height: usize,
        /// Pixels in a row.
        width: usize,
    },
}

/// The order of a network's input channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red (Caffe, OpenCV).
    Bgr,
}

/// Where a centre crop starts when the margin is odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Margin {
    /// Half the margin, rounded to even as Python's `round` does (torchvision, timm).
    HalfEven,
    /// Half the margin, rounded down (Hugging Face transformers).
    Floor,
}

/// A recipe: a network's input value is `pixel * scale[c] + shift[c]` of the crop's channel `c`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preprocess {
    /// The size before the crop.
    pub resize: Resize,
    /// How pixels are resampled.
    pub filter: Filter,
    /// Height and width of the centre crop, hence of the network's input. Black where the photo is smaller.
    pub crop: (usize, usize),
    /// How an odd margin around the crop is halved.
    pub margin: Margin,
    /// The order of the input's channels; `scale` and `shift` are in this order.
    pub channels: Channels,
    /// Factors for pixels of 0 to 255.
    pub scale: [f32; 3],
    /// What is added after scaling.
    pub shift: [f32; 3],
}

impl Preprocess {
    /// The recipe of a row of [`PRESETS`](super::PRESETS).
    ///
    /// # Errors
    /// [`ImageError::UnknownPreset`], which lists the names.
    pub fn named(name: &str) -> Result<Preprocess, ImageError> {
        presets::find(name)
    }

    /// The recipe in the text of a Hugging Face `preprocessor_config.json`.
    ///
    /// # Errors
    /// [`ImageError::Json`]; [`ImageError::Config`] and [`ImageError::Unsupported`], which name the key.
    pub fn from_json(text: &str) -> Result<Preprocess, ImageError> {
        config::parse(text)
    }

    /// The same recipe for a network with an input of `height` x `width`: the sizes before the crop keep their ratio to
    /// the crop, rounded to the nearest pixel; the shorter side follows the side that grows most.
    pub fn for_input(&self, height: usize, width: usize) -> Preprocess {
        let (old_height, old_width) = (self.crop.0.max(1), self.crop.1.max(1));
        let rounded = |size: usize, new: usize, old: usize| (size.saturating_mul(new).saturating_add(old / 2)) / old;
        let resize = match self.resize {
            Resize::Keep => Resize::Keep,
            Resize::ShorterSide(side) => {
                Resize::ShorterSide(rounded(side, height, old_height).max(rounded(side, width, old_width)))
            }
            Resize::Exact { height: resized_height, width: resized_width } => Resize::Exact {
                height: rounded(resized_height, height, old_height),
                width: rounded(resized_width, width, old_width),
            },
        };
        Preprocess { resize, crop: (height, width), ..*self }
    }

    /// Height and width of `photo` after resizing, before the crop.
    pub fn resized(&self, photo: &Photo) -> (usize, usize) {
        let longer = |side: usize, long: usize, short: usize| side.saturating_mul(long) / short.max(1);
        let (height, width) = (photo.height, photo.width);
        match self.resize {
            Resize::Keep => (height, width),
            Resize::ShorterSide(side) if width <= height => (longer(side, height, width), side),
            Resize::ShorterSide(side) => (side, longer(side, width, height)),
            Resize::Exact { height, width } => (height, width),
        }
    }

    /// Resizes and crops: `crop.0 * crop.1 * 3` bytes in HWC order, still red, green, blue. Only what the crop shows is
    /// resampled.
    pub fn apply(&self, photo: &Photo) -> Photo {
        let (resized_height, resized_width) = self.resized(photo);
        let (height, width) = self.crop;
        let (rows, top) = self.margin.centre(resized_height, height);
        let (columns, left) = self.margin.centre(resized_width, width);
        let y = Axis::whole(photo.height, resized_height).window(rows);
        let x = Axis::whole(photo.width, resized_width).window(columns);
        let shown = resample(photo, &y, &x, self.filter);
        if (shown.height, shown.width) == (height, width) {
            return shown;
        }
        let mut rgb = vec![0; height * width * 3];
        if shown.width > 0 {
            let framed = rgb.chunks_exact_mut(width * 3).skip(top);
            for (row, source) in framed.zip(shown.rgb.chunks_exact(shown.width * 3)) {
                row[left * 3..][..source.len()].copy_from_slice(source);
            }
        }
        Photo { width, height, rgb }
    }

    /// Scales and shifts a crop into one image of an NCHW batch.
    ///
    /// # Panics
    /// Where `input` does not hold three numbers for each pixel of `crop`.
    pub fn normalize(&self, crop: &Photo, input: &mut [f32]) {
        assert_eq!(input.len(), crop.rgb.len(), "three planes of the crop's size");
        let order = match self.channels {
            Channels::Rgb => [0, 1, 2],
            Channels::Bgr => [2, 1, 0],
        };
        let plane = (input.len() / 3).max(1);
        let ways = order.into_iter().zip(self.scale).zip(self.shift);
        for (plane, ((channel, scale), shift)) in input.chunks_exact_mut(plane).zip(ways) {
            for (value, pixel) in plane.iter_mut().zip(crop.rgb.chunks_exact(3)) {
                *value = f32::from(pixel[channel]) * scale + shift;
            }
        }
    }
}

impl Margin {
    /// Where `crop` of `size` pixels are, and how many of the crop's come before the first of them.
    fn centre(self, size: usize, crop: usize) -> (Range<usize>, usize) {
        if crop >= size {
            return (0..size, (crop - size) / 2);
        }
        let margin = size - crop;
        let start = match self {
            // x.5 goes to the even neighbour: 0.5 to 0, 1.5 to 2, 2.5 to 2.
            Margin::HalfEven => margin / 2 + usize::from(margin % 4 == 3),
            Margin::Floor => margin / 2,
        };
        (start..start + crop, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(height: usize, width: usize) -> Photo {
        let rgb = (0..height * width * 3).map(|at| (at % 251) as u8).collect();
        Photo { width, height, rgb }
    }

    #[test]
    fn an_odd_margin_is_halved_as_python_rounds() {
        // [int(round((size - 224) / 2.0)) for size in range(224, 232)]
        let starts: Vec<usize> = (224..232).map(|size| Margin::HalfEven.centre(size, 224).0.start).collect();
        assert_eq!(starts, [0, 0, 1, 2, 2, 2, 3, 4]);
        let starts: Vec<usize> = (224..232).map(|size| Margin::Floor.centre(size, 224).0.start).collect();
        assert_eq!(starts, [0, 0, 1, 1, 2, 2, 3, 3]);
    }

    #[test]
    fn the_longer_side_is_rounded_down() {
        let preset = Preprocess::named("torchvision").unwrap();
        assert_eq!(preset.resized(&grey(375, 500)), (256, 341));
        assert_eq!(preset.resized(&grey(500, 375)), (341, 256));
        assert_eq!(preset.resized(&grey(300, 300)), (256, 256));
    }

    #[test]
    fn a_small_photo_gets_a_black_frame() {
        let mut keep = Preprocess::named("torchvision").unwrap();
        (keep.resize, keep.crop) = (Resize::Keep, (5, 2));
        let photo = Photo { width: 3, height: 2, rgb: (1..=18).collect() };
        let crop = keep.apply(&photo);
        let mut expected = vec![0; 30];
        expected[6..12].copy_from_slice(&photo.rgb[0..6]);
        expected[12..18].copy_from_slice(&photo.rgb[9..15]);
        assert_eq!((crop.height, crop.width, crop.rgb), (5, 2, expected));
    }

    #[test]
    fn the_crop_is_a_window_of_the_resized_photo() {
        let photo = grey(61, 97);
        for filter in Filter::ALL {
            let mut recipe = Preprocess::named("torchvision").unwrap().for_input(28, 28);
            assert_eq!(recipe.resize, Resize::ShorterSide(32));
            recipe.filter = filter;
            let whole = super::super::resize(&photo, 32, 50, filter);
            let expected: Vec<u8> =
                (2..30).flat_map(|y| whole.rgb[(y * 50 + 11) * 3..][..28 * 3].iter().copied()).collect();
            assert_eq!(recipe.apply(&photo).rgb, expected, "{filter}");
        }
    }

    #[test]
    fn planes_follow_the_channel_order() {
        let crop = Photo { width: 2, height: 1, rgb: vec![0, 100, 200, 10, 110, 210] };
        let mut recipe = Preprocess::named("torchvision").unwrap();
        (recipe.scale, recipe.shift) = ([1.0, 2.0, 4.0], [0.0, 1.0, 2.0]);
        let mut input = [0.0; 6];
        recipe.normalize(&crop, &mut input);
        assert_eq!(input, [0.0, 10.0, 201.0, 221.0, 802.0, 842.0]);
        recipe.channels = Channels::Bgr;
        recipe.normalize(&crop, &mut input);
        assert_eq!(input, [200.0, 210.0, 201.0, 221.0, 2.0, 42.0]);
    }

    #[test]
    fn no_size_is_too_small() {
        let recipe = Preprocess::named("timm-bicubic").unwrap();
        for (height, width) in [(0, 0), (0, 7), (1, 1), (1, 4000)] {
            assert_eq!(recipe.apply(&grey(height, width)).rgb.len(), 224 * 224 * 3, "{height} x {width}");
        }
        let none = recipe.for_input(0, 0).apply(&grey(3, 3));
        recipe.normalize(&none, &mut []);
    }
}
