//! Encoded photos to 8-bit RGB.

use std::io::Cursor;

use ::image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::ImageError;

/// Most pixels a photo may have: 64 Mi, a 8192 x 8192 photo.
pub const MAX_PIXELS: u64 = 64 << 20;
/// Most bytes a decoder may hold: [`MAX_PIXELS`] of four 16-bit channels.
pub const MAX_ALLOC: u64 = MAX_PIXELS * 8;

/// A photo in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `height * width * 3` bytes: rows from the top, pixels from the left, red, green, blue.
    pub rgb: Vec<u8>,
}

/// Decodes a JPEG, PNG, WebP, BMP or GIF file (its first frame), told apart by content.
///
/// The result is upright (the EXIF orientation is applied, as Pillow's `ImageOps.exif_transpose` does) and equals
/// Pillow's `Image.open(file).convert("RGB")`: grey is repeated, palettes are looked up, an alpha channel is dropped and
/// not blended. Channels of 16 bits keep their high byte; Pillow does so for colour, but clips 16-bit grey at 255,
/// which leaves a white picture. Lossy formats may differ from Pillow by a few levels, since another decoder reads them.
///
/// # Errors
/// [`ImageError::UnknownFormat`], [`ImageError::TooManyPixels`], [`ImageError::Truncated`], and [`ImageError::Decode`]
/// for whatever else is wrong with the content.
pub fn decode(bytes: &[u8]) -> Result<Photo, ImageError> {
    let format = ::image::guess_format(bytes).map_err(|_| ImageError::UnknownFormat)?;
    if format == ImageFormat::Jpeg && !jpeg_is_whole(bytes) {
        return Err(ImageError::Truncated);
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_ALLOC);
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(ImageError::TooManyPixels { width, height, limit: MAX_PIXELS });
    }
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    Ok(Photo { width, height, rgb: to_rgb(picture) })
}

/// Whether an end-of-image marker follows the start of the last scan. The decoder paints what is missing grey, which
/// would be a silently wrong picture. Neither marker can occur inside a scan's data.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let last = |marker: [u8; 2]| bytes.windows(2).rposition(|pair| pair == marker);
    matches!((last([0xff, 0xda]), last([0xff, 0xd9])), (Some(scan), Some(end)) if scan < end)
}

/// Three bytes a pixel from whatever a decoder made. Of 16 bits Pillow keeps the high byte, where the image crate would
/// round to the nearest of 256 levels.
fn to_rgb(picture: DynamicImage) -> Vec<u8> {
    let kind = picture.color();
    if kind.bytes_per_pixel() == 2 * kind.channel_count() {
        return picture.into_rgb16().iter().map(|sample| sample.to_be_bytes()[0]).collect();
    }
    picture.into_rgb8().into_raw()
}
