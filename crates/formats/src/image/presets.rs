//! The preprocessing recipes that have a name.

use super::preprocess::{Channels, Margin, Preprocess, Resize};
use super::{Filter, ImageError};

/// A recipe with a name.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// What the command line calls it.
    pub name: &'static str,
    /// Whose networks it is for.
    pub purpose: &'static str,
    /// For an input of 224 x 224; see [`Preprocess::for_input`].
    pub recipe: Preprocess,
}

/// Mean of ImageNet's training photos for pixels of 0 to 1, in red, green, blue.
pub(super) const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
/// Their standard deviation.
pub(super) const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];

/// All named recipes.
pub static PRESETS: [Preset; 5] = [
    Preset {
        name: "torchvision",
        purpose: "torchvision's classifiers, and most others trained in PyTorch",
        recipe: recipe(Filter::Bilinear, Channels::Rgb, (1.0 / 255.0, IMAGENET_MEAN, IMAGENET_STD)),
    },
    Preset {
        name: "timm-bicubic",
        purpose: "timm's classifiers with bicubic interpolation and a crop fraction of 0.875",
        recipe: recipe(Filter::Bicubic, Channels::Rgb, (1.0 / 255.0, IMAGENET_MEAN, IMAGENET_STD)),
    },
    Preset {
        name: "tf",
        purpose: "networks from TensorFlow that take -1 to 1 (Inception, MobileNet)",
        recipe: recipe(Filter::Bilinear, Channels::Rgb, (1.0 / 127.5, [1.0; 3], [1.0; 3])),
    },
    Preset {
        name: "lite",
        purpose: "EfficientNet-Lite",
        recipe: recipe(Filter::Bicubic, Channels::Rgb, (1.0, [127.0; 3], [128.0; 3])),
    },
    Preset {
        name: "caffe",
        purpose: "networks from Caffe (AlexNet, GoogLeNet, VGG): blue, green, red, less the mean",
        recipe: recipe(Filter::Bilinear, Channels::Bgr, (1.0, [104.0, 117.0, 123.0], [1.0; 3])),
    },
];

/// The shorter side to 256, the centre 224 x 224, values `(pixel * factor - mean) / std`.
const fn recipe(filter: Filter, channels: Channels, levels: (f64, [f64; 3], [f64; 3])) -> Preprocess {
    let (scale, shift) = affine(levels);
    let (resize, margin) = (Resize::ShorterSide(256), Margin::HalfEven);
    Preprocess { resize, filter, crop: (224, 224), margin, channels, scale, shift }
}

/// `(pixel * factor - mean) / std` as `pixel * scale + shift`.
pub(super) const fn affine((factor, mean, std): (f64, [f64; 3], [f64; 3])) -> ([f32; 3], [f32; 3]) {
    let scale = [(factor / std[0]) as f32, (factor / std[1]) as f32, (factor / std[2]) as f32];
    (scale, [(-mean[0] / std[0]) as f32, (-mean[1] / std[1]) as f32, (-mean[2] / std[2]) as f32])
}

pub(super) fn find(name: &str) -> Result<Preprocess, ImageError> {
    let found = PRESETS.iter().find(|preset| preset.name == name);
    found.map(|preset| preset.recipe).ok_or_else(|| ImageError::UnknownPreset {
        name: name.to_owned(),
        known: PRESETS.map(|preset| preset.name).join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Black and white of the first channel, as the named frameworks give them.
    #[test]
    fn each_preset_maps_black_and_white_to_its_range() {
        let ranges = [
            ("torchvision", -0.485 / 0.229, (1.0 - 0.485) / 0.229),
            ("timm-bicubic", -0.485 / 0.229, (1.0 - 0.485) / 0.229),
            ("tf", -1.0, 1.0),
            ("lite", -127.0 / 128.0, 1.0),
            ("caffe", -104.0, 151.0),
        ];
        assert_eq!(ranges.len(), PRESETS.len());
        for (name, black, white) in ranges {
            let Preprocess { scale, shift, .. } = Preprocess::named(name).unwrap();
            assert!((shift[0] - black as f32).abs() < 1e-6, "{name}: black is {}", shift[0]);
            assert!((255.0 * scale[0] + shift[0] - white as f32).abs() < 1e-5, "{name}: white");
        }
    }

    #[test]
    fn an_unknown_name_is_told_the_known_ones() {
        let error = find("torchvison").unwrap_err();
        assert!(error.to_string().contains("torchvision, timm-bicubic, tf, lite, caffe"), "{error}");
    }
}
