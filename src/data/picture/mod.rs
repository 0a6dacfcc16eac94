//! Picture files: sizes are checked before pixels are decoded, and the orientation is applied.

use super::fit::fit;
use super::guard::guarded;
use super::whole::{png_chunk, unread_jpeg, whole};
use crate::input;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use std::io::Cursor;
use std::path::Path;

/// Largest height or width, above those of cameras and of slide scanners' overviews.
pub const MOST_SIDE: u32 = 16_384;
/// Maximum bytes of a decoded picture: 89 million RGB pixels. A thread holds up to three copies while it crops and
/// resizes.
pub const MOST_DECODED: u64 = 256 << 20;
/// Maximum decoded bytes per byte of a file: deflate reaches 1032, JPEG's scans 1024. A header that states more is
/// wrong, and its size would be allocated.
pub const MOST_RATIO: u64 = 1100;
/// Decoded bytes that any file may have.
pub const SMALL: u64 = 1 << 16;

/// Decoded bytes that any WebP, TIFF or BMP file may have.
const BLANK: u64 = 8 << 20;
/// Supported formats.
const READ: [ImageFormat; 5] =
    [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Tiff, ImageFormat::Bmp, ImageFormat::WebP];
/// Formats that are read, in words.
pub const KINDS: &str = "PNG, JPEG, TIFF, BMP and WebP";
/// Endings of their files, in lower case.
pub const ENDINGS: [&str; 10] = ["png", "jpg", "jpeg", "jpe", "jfif", "tif", "tiff", "bmp", "dib", "webp"];

/// Reads and decodes one picture file, identified by content: the first picture if it has several, with its EXIF
/// orientation applied. A file that ends early is rejected even if a decoder would fill in the rest; bytes after the
/// end of the image are ignored.
///
/// # Errors
/// The reason alone: unreadable, not a regular file, another format, truncated, damaged, or larger than allowed.
pub fn read(path: &Path) -> Result<DynamicImage, String> {
    decode(&bytes(path)?)
}

/// The smaller of height and width of a picture file.
///
/// # Errors
/// As [`read`].
pub fn side(path: &Path) -> Result<u32, String> {
    let bytes = bytes(path)?;
    let (width, height) = survived(|| Ok(open(&bytes)?.1.dimensions()))?;
    Ok(width.min(height))
}

/// [`read`] of bytes.
///
/// # Errors
/// As [`read`].
pub fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    survived(|| {
        let (format, mut decoder) = open(bytes)?;
        let orientation = orientation(bytes, format, &mut decoder);
        let mut image = DynamicImage::from_decoder(decoder).map_err(told)?;
        image.apply_orientation(orientation);
        Ok(image)
    })
}

/// A picture's bytes as they enter a data set with images of `size` x `size` and 1 or 3 `channels`, like those of
/// [`folder()`](super::folder()).
///
/// # Errors
/// As [`read`].
pub fn fitted(bytes: &[u8], size: usize, channels: usize) -> Result<Vec<u8>, String> {
    decode(bytes).map(|image| fit(&image, size, channels))
}

/// The reason why a decoder cannot read it, with a remedy if the file is sound.
fn told(why: ImageError) -> String {
    match why {
        ImageError::Unsupported(_) => format!("{why}; convert it to PNG of 8 or 16 bits"),
        _ => why.to_string(),
    }
}

/// The decoder's result; the JPEG decoder panics on some invalid headers.
fn survived<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    guarded(decode).unwrap_or_else(|| Err("damaged, or of a kind that the decoder does not know".into()))
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    is_file(path)?;
    input::read(path, input::PICTURE).map_err(|e| e.to_string())
}

/// Rejects what is not a regular file: opening a pipe would block.
pub(super) fn is_file(path: &Path) -> Result<(), String> {
    let kind = std::fs::metadata(path).map_err(|e| e.to_string())?.file_type();
    match kind.is_file() {
        true => Ok(()),
        false => Err(if kind.is_dir() { "a folder, expected a file" } else { "not a regular file" }.into()),
    }
}

/// The reason for a file of an unknown format.
pub fn unknown() -> String {
    format!("none of {KINDS}")
}

/// The format of a picture by its content.
fn format_of(bytes: &[u8]) -> Result<ImageFormat, String> {
    let big_tiff = bytes.starts_with(b"II+\0") || bytes.starts_with(b"MM\0+");
    match image::guess_format(bytes) {
        Ok(format) if READ.contains(&format) => Ok(format),
        _ if big_tiff => Ok(ImageFormat::Tiff),
        _ if bytes.is_empty() => Err("empty file".into()),
        _ if bytes.get(128..132) == Some(b"DICM") => Err(format!("a DICOM file; {KINDS} are read")),
        Ok(other) => Err(format!("a file of the kind {other:?}; {KINDS} are read")),
        Err(_) => Err(unknown()),
    }
}

/// The decoder of a picture whose header has been read and whose size is allowed.
fn open(bytes: &[u8]) -> Result<(ImageFormat, impl ImageDecoder + '_), String> {
    let format = format_of(bytes)?;
    if format == ImageFormat::Jpeg
        && let Some(what) = unread_jpeg(bytes)
    {
        return Err(what);
    }
    let bytes = whole(bytes, format)?;
    if format == ImageFormat::Png {
        // The decoder fails on sides that are too long without naming them.
        let side = |at: usize| bytes.get(at..at + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        check_sides(side(16), side(20))?;
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MOST_DECODED);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(told)?;
    let ((width, height), decoded) = (decoder.dimensions(), decoder.total_bytes());
    check_sides(width, height)?;
    if decoded > MOST_DECODED {
        let size = format!("{width} x {height} pixels, {decoded} bytes");
        return Err(format!("{size}; at most {MOST_DECODED} decoded bytes are read"));
    }
    // As stored in the file: a bit or a palette index becomes one to three bytes.
    let bits = u64::from(decoder.original_color_type().bits_per_pixel());
    let held = u64::from(width).saturating_mul(height.into()).saturating_mul(bits) / 8;
    // A single-coloured picture may take no bits at all in the newer formats.
    let free = if matches!(format, ImageFormat::Png | ImageFormat::Jpeg) { SMALL } else { BLANK };
    if held > (bytes.len() as u64).saturating_mul(MOST_RATIO).saturating_add(free) {
        return Err(format!("{width} x {height} pixels cannot fit in {} bytes: a damaged file", bytes.len()));
    }
    // The remaining allocations follow from the values known by now.
    limits.max_alloc = Some(MOST_DECODED.min(2 * decoded + 16 * bytes.len() as u64 + BLANK));
    decoder.set_limits(limits).map_err(told)?;
    Ok((format, decoder))
}

fn check_sides(width: u32, height: u32) -> Result<(), String> {
    if width > MOST_SIDE || height > MOST_SIDE {
        return Err(format!("{width} x {height} pixels; at most {MOST_SIDE} per side are read"));
    }
    Ok(())
}

/// How the picture is rotated and mirrored: the orientation of EXIF or, in TIFF, of its own tag. An invalid value is
/// ignored.
fn orientation(bytes: &[u8], format: ImageFormat, decoder: &mut impl ImageDecoder) -> Orientation {
    let told = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    if told != Orientation::NoTransforms {
        return told;
    }
    // After the pixels of a PNG, or with the prefix that belongs to JPEG only: common tools write both.
    let exif = match format {
        ImageFormat::Png => png_chunk(bytes, b"eXIf").map(<[u8]>::to_vec),
        _ => decoder.exif_metadata().ok().flatten(),
    };
    let exif = exif.as_deref().map(|e| e.strip_prefix(b"Exif\0\0").unwrap_or(e));
    exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms)
}

#[cfg(test)]
mod tests;
