//! Photos in, network inputs out, equal to what Python's Pillow makes of the same files.
//!
//! [`sources`] and [`photos`] find encoded photos, [`decode`] turns one into a [`Photo`], and [`Preprocess`] turns a
//! photo into the numbers a network was trained on.

mod config;
mod decode;
mod error;
mod folder;
mod preprocess;
mod presets;
mod resize;

pub use decode::{MAX_ALLOC, MAX_PIXELS, Photo, decode};
pub use error::ImageError;
pub use folder::{Encoded, MAX_FILE_BYTES, Photos, Source, photos, sources};
pub use preprocess::{Channels, Margin, Preprocess, Resize};
pub use presets::{PRESETS, Preset};
pub use resize::{Axis, Filter, UnknownFilter, resample, resize};
