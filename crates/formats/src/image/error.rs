//! What can be wrong with a photo, a list of photos or a preprocessing recipe.

use std::io;
use std::path::PathBuf;

/// Why there is no photo, or no recipe for one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A file, folder or shard cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file, or `shard.tar/member`.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file or shard member above [`MAX_FILE_BYTES`](super::MAX_FILE_BYTES).
    #[error("{} holds {bytes} bytes; a photo may have at most {limit}", path.display())]
    TooManyBytes {
        /// The file, or `shard.tar/member`.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The largest size that is read.
        limit: u64,
    },
    /// The command line names a pattern that is not a glob.
    #[error("'{pattern}' is not a file and not a pattern: {reason}")]
    Pattern {
        /// As it was given.
        pattern: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A folder without photos or a pattern without matches.
    #[error("no photos in '{input}' (looked for {extensions})")]
    NoPhotos {
        /// As it was given.
        input: String,
        /// The file name extensions of photos.
        extensions: String,
    },
    /// Content that is none of JPEG, PNG, WebP, BMP and GIF.
    #[error("not a photo of a known format (JPEG, PNG, WebP, BMP, GIF)")]
    UnknownFormat,
    /// More pixels than [`MAX_PIXELS`](super::MAX_PIXELS).
    #[error("{width} x {height} pixels; at most {limit} pixels are decoded")]
    TooManyPixels {
        /// Width the header states.
        width: u32,
        /// Height the header states.
        height: u32,
        /// The largest number of pixels that is decoded.
        limit: u64,
    },
    /// A JPEG file that ends before its picture does.
    #[error("the file is truncated: no end-of-image marker after the last scan")]
    Truncated,
    /// Content the decoder refuses.
    #[error(transparent)]
    Decode(#[from] ::image::ImageError),
    /// A preset nobody defined.
    #[error("no preprocessing is called '{name}'; there are {known}")]
    UnknownPreset {
        /// As it was given.
        name: String,
        /// All names.
        known: String,
    },
    /// A `preprocessor_config.json` that is not JSON.
    #[error("not a preprocessor configuration: {0}")]
    Json(#[from] serde_json::Error),
    /// A key of a `preprocessor_config.json` that is missing or has a value it cannot have.
    #[error("preprocessor configuration, '{key}': {reason}")]
    Config {
        /// The key.
        key: &'static str,
        /// What it should be.
        reason: String,
    },
    /// A key of a `preprocessor_config.json` that asks for something that is not built.
    #[error("preprocessor configuration, '{key}': {value} is not supported")]
    Unsupported {
        /// The key.
        key: &'static str,
        /// What it asks for.
        value: String,
    },
}
