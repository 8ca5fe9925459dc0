//! Hugging Face `preprocessor_config.json`: the recipe that comes with a network.
//!
//! The keys are those of `transformers`' image processors, in the form of today (`image_processor_type`, sizes as
//! objects) and of before 2023 (`feature_extractor_type`, sizes as numbers). A key that would change the numbers and is
//! not understood is an error, never passed over.

use serde_json::{Map, Value};

use super::preprocess::{Channels, Margin, Preprocess, Resize};
use super::presets::affine;
use super::{Filter, ImageError};

/// Processors that mean the shorter edge by a `size` that is one number; all others mean a square.
const SHORTEST_EDGE: [&str; 6] = ["CLIP", "ChineseCLIP", "ConvNext", "MobileNetV1", "MobileNetV2", "MobileViT"];

/// Processors with rules of their own for the size before the crop.
const OTHER_RULES: [&str; 2] = ["Levit", "PoolFormer"];

/// Steps that few processors take and that nobody here does.
const UNBUILT: [&str; 4] = ["do_pad", "do_center_pad", "rescale_offset", "include_top"];

/// ConvNext's `crop_pct` where the configuration has none.
const CONVNEXT_CROP: f64 = 224.0 / 256.0;
/// From this size on ConvNext warps the photo to the network's square and crops nothing.
const CONVNEXT_WARP: usize = 384;

pub(super) fn parse(text: &str) -> Result<Preprocess, ImageError> {
    let keys: Map<String, Value> = serde_json::from_str(text)?;
    let config = Config { keys };
    for key in UNBUILT {
        if config.flag(key, false)? {
            return Err(ImageError::Unsupported { key, value: "true".to_owned() });
        }
    }
    let processor = config.processor()?;
    let (resize, crop) = config.sizes(processor)?;
    let filter = if resize == Resize::Keep { Filter::Nearest } else { config.filter()? };
    let (scale, shift) = config.levels()?;
    let channels = if config.flag("do_flip_channel_order", false)? { Channels::Bgr } else { Channels::Rgb };
    Ok(Preprocess { resize, filter, crop, margin: Margin::Floor, channels, scale, shift })
}

/// The keys of the file.
struct Config {
    keys: Map<String, Value>,
}

/// A `size` or `crop_size`.
enum Size {
    Shortest(usize),
    Exact(usize, usize),
    /// One number, whose meaning depends on the processor.
    Bare(usize),
}

impl Config {
    /// The value of a key; `null` counts as missing.
    fn get(&self, key: &str) -> Option<&Value> {
        self.keys.get(key).filter(|value| !value.is_null())
    }

    fn flag(&self, key: &'static str, default: bool) -> Result<bool, ImageError> {
        self.get(key).map_or(Ok(default), |value| value.as_bool().ok_or_else(|| wrong(key, "should be true or false")))
    }

    /// A finite number, or the default where there is one.
    fn number(&self, key: &'static str, default: Option<f64>) -> Result<f64, ImageError> {
        let value = self.get(key).map_or(default, Value::as_f64).filter(|value| value.is_finite());
        value.ok_or_else(|| wrong(key, "should be a number"))
    }

    /// The class that reads this file, without its ending, or nothing.
    fn processor(&self) -> Result<&str, ImageError> {
        for key in ["image_processor_type", "feature_extractor_type"] {
            let Some(name) = self.get(key) else { continue };
            let name = name.as_str().ok_or_else(|| wrong(key, "should be a name"))?;
            let endings = ["Fast", "ImageProcessor", "FeatureExtractor"];
            let stem = endings.into_iter().fold(name, |name, ending| name.strip_suffix(ending).unwrap_or(name));
            if OTHER_RULES.contains(&stem) {
                return Err(ImageError::Unsupported { key, value: format!("\"{name}\"") });
            }
            return Ok(stem);
        }
        Ok("")
    }

    /// The sizes before and after the crop.
    fn sizes(&self, processor: &str) -> Result<(Resize, (usize, usize)), ImageError> {
        if !self.flag("do_resize", true)? {
            return Ok((Resize::Keep, self.crop_size()?));
        }
        let resize = match self.size("size")? {
            Size::Exact(height, width) => Resize::Exact { height, width },
            Size::Shortest(side) => Resize::ShorterSide(side),
            Size::Bare(side) if SHORTEST_EDGE.contains(&processor) => Resize::ShorterSide(side),
            Size::Bare(side) => Resize::Exact { height: side, width: side },
        };
        if self.flag("do_center_crop", false)? {
            return Ok((resize, self.crop_size()?));
        }
        match resize {
            Resize::Exact { height, width } => Ok((resize, (height, width))),
            Resize::ShorterSide(side) if processor == "ConvNext" || self.get("crop_pct").is_some() => {
                Ok((self.convnext(side)?, (side, side)))
            }
            Resize::ShorterSide(_) | Resize::Keep => {
                Err(wrong("do_center_crop", "should be true, since the resized photo is as long as the photo makes it"))
            }
        }
    }

    /// The size before ConvNext's crop to `side`.
    fn convnext(&self, side: usize) -> Result<Resize, ImageError> {
        if side >= CONVNEXT_WARP {
            return Ok(Resize::Exact { height: side, width: side });
        }
        let fraction = self.number("crop_pct", Some(CONVNEXT_CROP))?;
        if !(fraction > 0.0 && fraction <= 1.0) {
            return Err(wrong("crop_pct", "should be above 0 and at most 1"));
        }
        Ok(Resize::ShorterSide((side as f64 / fraction) as usize))
    }

    fn crop_size(&self) -> Result<(usize, usize), ImageError> {
        match self.size("crop_size")? {
            Size::Exact(height, width) => Ok((height, width)),
            Size::Bare(side) => Ok((side, side)),
            Size::Shortest(_) => Err(wrong("crop_size", "should have height and width")),
        }
    }

    fn size(&self, key: &'static str) -> Result<Size, ImageError> {
        let form = || wrong(key, "should be a size: a number, {shortest_edge} or {height, width}, at most 65536");
        let pixels = |value: &Value| {
            let pixels = value.as_u64().filter(|pixels| (1..=65536).contains(pixels)).ok_or_else(form)?;
            usize::try_from(pixels).map_err(|_| form())
        };
        let value = self.get(key).ok_or_else(|| wrong(key, "is missing"))?;
        let Value::Object(sides) = value else { return Ok(Size::Bare(pixels(value)?)) };
        if sides.contains_key("longest_edge") {
            return Err(ImageError::Unsupported { key, value: "longest_edge".to_owned() });
        }
        match (sides.get("shortest_edge"), sides.get("height"), sides.get("width")) {
            (Some(side), None, None) => Ok(Size::Shortest(pixels(side)?)),
            (None, Some(height), Some(width)) => Ok(Size::Exact(pixels(height)?, pixels(width)?)),
            _ => Err(form()),
        }
    }

    /// Pillow's numbers for its filters.
    fn filter(&self) -> Result<Filter, ImageError> {
        let key = "resample";
        match self.get(key).map(Value::as_u64) {
            None => Err(wrong(key, "is missing")),
            Some(Some(0)) => Ok(Filter::Nearest),
            Some(Some(2)) => Ok(Filter::Bilinear),
            Some(Some(3)) => Ok(Filter::Bicubic),
            Some(Some(other @ (1 | 4 | 5))) => Err(ImageError::Unsupported { key, value: format!("filter {other}") }),
            Some(_) => Err(wrong(key, "should be a filter: 0 (nearest), 2 (bilinear) or 3 (bicubic)")),
        }
    }

    /// Scale and shift of `(pixel * rescale_factor - image_mean) / image_std`.
    fn levels(&self) -> Result<([f32; 3], [f32; 3]), ImageError> {
        let rescale = self.flag("do_rescale", true)?;
        let factor = if rescale { self.number("rescale_factor", Some(1.0 / 255.0))? } else { 1.0 };
        if !self.flag("do_normalize", true)? {
            return Ok(affine((factor, [0.0; 3], [1.0; 3])));
        }
        let std = self.triple("image_std")?;
        if std.contains(&0.0) {
            return Err(wrong("image_std", "should not be zero"));
        }
        Ok(affine((factor, self.triple("image_mean")?, std)))
    }

    /// One number for each channel, or one for all.
    fn triple(&self, key: &'static str) -> Result<[f64; 3], ImageError> {
        let form = || wrong(key, "should be three numbers");
        let value = self.get(key).ok_or_else(form)?;
        if let Some(all) = value.as_f64() {
            return Ok([all; 3]);
        }
        let numbers: Option<Vec<f64>> = value.as_array().ok_or_else(form)?.iter().map(Value::as_f64).collect();
        numbers.and_then(|numbers| numbers.try_into().ok()).ok_or_else(form)
    }
}

fn wrong(key: &'static str, reason: &str) -> ImageError {
    ImageError::Config { key, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::presets::{IMAGENET_MEAN, IMAGENET_STD};
    use super::*;

    const LEVELS: &str = r#""image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]"#;

    fn sizes(keys: &str) -> (Resize, (usize, usize)) {
        let recipe = parse(&format!("{{{keys}, {LEVELS}}}")).unwrap();
        (recipe.resize, recipe.crop)
    }

    fn exact(side: usize) -> Resize {
        Resize::Exact { height: side, width: side }
    }

    #[test]
    fn sizes_of_old_and_new_files_are_understood() {
        let rows = [
            // google/vit-base-patch16-224, old and new
            (r#""feature_extractor_type": "ViTFeatureExtractor", "size": 224, "resample": 2"#, exact(224), 224),
            (
                r#""image_processor_type": "ViTImageProcessorFast", "size": {"height": 224, "width": 224}, "resample": 2"#,
                exact(224),
                224,
            ),
            // microsoft/resnet-50
            (
                r#""feature_extractor_type": "ConvNextFeatureExtractor", "size": 224, "crop_pct": 0.875, "resample": 3"#,
                Resize::ShorterSide(256),
                224,
            ),
            (
                r#""image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224}, "crop_pct": null,
                "resample": 3"#,
                Resize::ShorterSide(256),
                224,
            ),
            // facebook/convnext-base-384
            (
                r#""feature_extractor_type": "ConvNextFeatureExtractor", "size": 384, "crop_pct": 1.0, "resample": 3"#,
                exact(384),
                384,
            ),
            // google/mobilenet_v2_1.0_224
            (
                r#""image_processor_type": "MobileNetV2ImageProcessor", "size": {"shortest_edge": 256}, "resample": 2,
                "do_center_crop": true, "crop_size": {"height": 224, "width": 224}"#,
                Resize::ShorterSide(256),
                224,
            ),
            // facebook/deit-base-distilled-patch16-224, openai/clip-vit-base-patch32
            (
                r#""feature_extractor_type": "DeiTFeatureExtractor", "size": 256, "do_center_crop": true, "crop_size": 224,
                "resample": 3"#,
                exact(256),
                224,
            ),
            (
                r#""feature_extractor_type": "CLIPFeatureExtractor", "size": 224, "do_center_crop": true, "crop_size": 224,
                "resample": 3"#,
                Resize::ShorterSide(224),
                224,
            ),
            (r#""do_resize": false, "crop_size": 64"#, Resize::Keep, 64),
        ];
        for (keys, resize, crop) in rows {
            assert_eq!(sizes(keys), (resize, (crop, crop)), "{keys}");
        }
    }

    #[test]
    fn levels_are_one_scale_and_one_shift() {
        let square = r#""size": 8, "resample": 0"#;
        let imagenet = affine((1.0 / 255.0, IMAGENET_MEAN, IMAGENET_STD));
        let rows = [
            (LEVELS.to_owned(), imagenet),
            (format!(r#"{LEVELS}, "rescale_factor": 0.5"#), affine((0.5, IMAGENET_MEAN, IMAGENET_STD))),
            (format!(r#"{LEVELS}, "do_rescale": false"#), affine((1.0, IMAGENET_MEAN, IMAGENET_STD))),
            (r#""do_normalize": false"#.to_owned(), ([1.0 / 255.0; 3], [0.0; 3])),
            (r#""image_mean": 0.5, "image_std": 0.5"#.to_owned(), ([2.0 / 255.0; 3], [-1.0; 3])),
        ];
        for (keys, (scale, shift)) in rows {
            let recipe = parse(&format!("{{{square}, {keys}}}")).unwrap();
            assert_eq!(recipe.shift, shift.map(|shift| shift + 0.0), "{keys}");
            assert_eq!(recipe.scale, scale, "{keys}");
        }
    }

    #[test]
    fn errors_name_the_key() {
        let square = r#""size": 8, "resample": 0"#;
        let rows = [
            (r#""resample": 2"#.to_owned(), "'size'"),
            (r#""size": {"longest_edge": 5}, "resample": 2"#.to_owned(), "'size'"),
            (r#""size": -1, "resample": 2"#.to_owned(), "'size'"),
            (r#""size": {"shortest_edge": 256}, "resample": 2"#.to_owned(), "'do_center_crop'"),
            (r#""size": 256, "do_center_crop": true, "resample": 2"#.to_owned(), "'crop_size'"),
            (r#""size": 8"#.to_owned(), "'resample'"),
            (r#""size": 8, "resample": 1"#.to_owned(), "'resample'"),
            (r#""size": 8, "resample": "bicubic""#.to_owned(), "'resample'"),
            (square.to_owned(), "'image_std'"),
            (format!(r#"{square}, "image_std": [1, 0, 1]"#), "'image_std'"),
            (format!(r#"{square}, "image_std": [1, 1, 1], "image_mean": [1]"#), "'image_mean'"),
            (format!(r#"{square}, "do_normalize": 1"#), "'do_normalize'"),
            (format!(r#"{square}, "rescale_factor": "x""#), "'rescale_factor'"),
            (format!(r#"{square}, "do_pad": true"#), "'do_pad'"),
            (format!(r#"{square}, "feature_extractor_type": "LevitFeatureExtractor""#), "'feature_extractor_type'"),
            (r#""size": {"shortest_edge": 64}, "crop_pct": 0, "resample": 2"#.to_owned(), "'crop_pct'"),
        ];
        for (keys, key) in rows {
            let error = parse(&format!("{{{keys}}}")).unwrap_err().to_string();
            assert!(error.contains(key), "{keys}: {error}");
        }
        for text in ["", "[]", "{", "3"] {
            assert!(matches!(parse(text), Err(ImageError::Json(_))), "{text}");
        }
    }
}
