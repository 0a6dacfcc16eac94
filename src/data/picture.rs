//! Picture files from elsewhere: sizes are checked before pixels are decoded, and pictures stand upright.

use super::fit::fit;
use super::guard::guarded;
use super::whole::{png_chunk, unread_jpeg, whole};
use crate::input;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use std::io::Cursor;
use std::path::Path;

/// Largest height or width: beyond what cameras and slide scanners' overviews give.
pub const MOST_SIDE: u32 = 16_384;
/// Most bytes of a decoded picture: 89 million RGB pixels. A thread holds up to three copies while it crops and resizes.
pub const MOST_DECODED: u64 = 256 << 20;
/// Decoded bytes for each byte of a file at most: deflate ends at 1032, JPEG's scans at 1024. A header that promises more is wrong,
/// and what it promises would be allocated.
pub const MOST_RATIO: u64 = 1100;
/// Decoded bytes that any file may have.
pub const SMALL: u64 = 1 << 16;

/// Decoded bytes that any WebP, TIFF or BMP file may have.
const BLANK: u64 = 8 << 20;
/// Formats that are read.
const READ: [ImageFormat; 5] =
    [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Tiff, ImageFormat::Bmp, ImageFormat::WebP];
/// Formats that are read, in words.
pub const KINDS: &str = "PNG, JPEG, TIFF, BMP and WebP";
/// Endings of their files, in lower case.
pub const ENDINGS: [&str; 10] = ["png", "jpg", "jpeg", "jpe", "jfif", "tif", "tiff", "bmp", "dib", "webp"];

/// Reads and decodes one picture file, told apart by content: the first picture where it has several, upright by its EXIF
/// orientation. A file that ends early is refused even where a decoder would fill in the rest; what follows the end of the
/// image is ignored.
///
/// # Errors
/// The reason alone: unreadable, no regular file, another format, truncated, damaged, or larger than allowed.
pub fn read(path: &Path) -> Result<DynamicImage, String> {
    decode(&bytes(path)?)
}

/// Height and width of a picture file, whichever is smaller.
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

/// A picture's bytes as they enter a data set of images of `size` x `size` with 1 or 3 `channels`, as
/// [`folder`](super::folder) makes them.
///
/// # Errors
/// As [`read`].
pub fn fitted(bytes: &[u8], size: usize, channels: usize) -> Result<Vec<u8>, String> {
    decode(bytes).map(|image| fit(&image, size, channels))
}

/// What a decoder cannot read, with a way out where the file is sound.
fn told(why: ImageError) -> String {
    match why {
        ImageError::Unsupported(_) => format!("{why}; convert it to PNG of 8 or 16 bits"),
        _ => why.to_string(),
    }
}

/// What the decoder says; that of JPEG panics at some headers that make little sense.
fn survived<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    guarded(decode).unwrap_or_else(|| Err("damaged, or of a kind that the decoder does not know".into()))
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    // A pipe of that name would be waited for.
    let kind = std::fs::metadata(path).map_err(|e| e.to_string())?.file_type();
    if !kind.is_file() {
        return Err(if kind.is_dir() { "a folder, expected a file" } else { "no regular file" }.into());
    }
    input::read(path, input::PICTURE).map_err(|e| e.to_string())
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
        Err(_) => Err(format!("neither of {KINDS}")),
    }
}

/// The decoder of a picture whose header has been read and found small enough.
fn open(bytes: &[u8]) -> Result<(ImageFormat, impl ImageDecoder + '_), String> {
    let format = format_of(bytes)?;
    if format == ImageFormat::Jpeg
        && let Some(what) = unread_jpeg(bytes)
    {
        return Err(what);
    }
    let bytes = whole(bytes, format)?;
    if format == ImageFormat::Png {
        // The decoder makes nothing of sides that are too long, and does not name them.
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
    // As the file holds them: a bit or a place in a palette becomes one to three bytes.
    let bits = u64::from(decoder.original_color_type().bits_per_pixel());
    let held = u64::from(width).saturating_mul(height.into()).saturating_mul(bits) / 8;
    // One colour all over may take no bit at all in the formats that came later.
    let free = if matches!(format, ImageFormat::Png | ImageFormat::Jpeg) { SMALL } else { BLANK };
    if held > (bytes.len() as u64).saturating_mul(MOST_RATIO).saturating_add(free) {
        return Err(format!("{width} x {height} pixels cannot lie in {} bytes: a damaged file", bytes.len()));
    }
    // What remains to be allocated follows from what is known by now.
    limits.max_alloc = Some(MOST_DECODED.min(2 * decoded + 16 * bytes.len() as u64 + BLANK));
    decoder.set_limits(limits).map_err(told)?;
    Ok((format, decoder))
}

fn check_sides(width: u32, height: u32) -> Result<(), String> {
    if width > MOST_SIDE || height > MOST_SIDE {
        return Err(format!("{width} x {height} pixels; at most {MOST_SIDE} a side are read"));
    }
    Ok(())
}

/// How the picture is to be turned and mirrored: the orientation of EXIF or, in TIFF, of its own tag. One that makes no sense
/// is none.
fn orientation(bytes: &[u8], format: ImageFormat, decoder: &mut impl ImageDecoder) -> Orientation {
    let told = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    if told != Orientation::NoTransforms {
        return told;
    }
    // Behind the pixels of a PNG, or with the prefix that only JPEG has: both are written by common tools.
    let exif = match format {
        ImageFormat::Png => png_chunk(bytes, b"eXIf").map(<[u8]>::to_vec),
        _ => decoder.exif_metadata().ok().flatten(),
    };
    let exif = exif.as_deref().map(|e| e.strip_prefix(b"Exif\0\0").unwrap_or(e));
    exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms)
}

#[cfg(test)]
#[path = "picture_tests.rs"]
mod tests;
