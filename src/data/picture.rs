//! PNG and JPEG files from elsewhere: sizes are checked before pixels are decoded.

use super::fit::fit;
use super::guard::guarded;
use crate::input;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
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

/// Reads and decodes one PNG or JPEG file, told apart by content. A file that ends early is refused even where a decoder would
/// fill in the rest.
///
/// # Errors
/// The reason alone: unreadable, no regular file, another format, truncated, damaged, or larger than allowed.
pub fn read(path: &Path) -> Result<DynamicImage, String> {
    decode(&bytes(path)?)
}

/// Height and width of a PNG or JPEG file, whichever is smaller.
///
/// # Errors
/// As [`read`].
pub fn side(path: &Path) -> Result<u32, String> {
    let bytes = bytes(path)?;
    let (width, height) = survived(|| Ok(open(&bytes)?.dimensions()))?;
    Ok(width.min(height))
}

/// [`read`] of bytes.
///
/// # Errors
/// As [`read`].
pub fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    survived(|| DynamicImage::from_decoder(open(bytes)?).map_err(|e| e.to_string()))
}

/// A picture's bytes as they enter a data set of images of `size` x `size` with 1 or 3 `channels`, as
/// [`folder`](super::folder) makes them.
///
/// # Errors
/// As [`read`].
pub fn fitted(bytes: &[u8], size: usize, channels: usize) -> Result<Vec<u8>, String> {
    decode(bytes).map(|image| fit(&image, size, channels))
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

/// The decoder of a picture whose header has been read and found small enough.
fn open(bytes: &[u8]) -> Result<impl ImageDecoder + '_, String> {
    let format = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => format,
        _ if bytes.is_empty() => return Err("empty file".into()),
        _ => return Err("neither PNG nor JPEG".into()),
    };
    if !is_complete(bytes, format) {
        return Err("truncated".into());
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    (limits.max_image_width, limits.max_image_height) = (Some(MOST_SIDE), Some(MOST_SIDE));
    limits.max_alloc = Some(MOST_DECODED);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|e| e.to_string())?;
    let ((width, height), decoded) = (decoder.dimensions(), decoder.total_bytes());
    // As the file holds them: a bit or a place in a palette becomes one to three bytes.
    let bits = u64::from(decoder.original_color_type().bits_per_pixel());
    let held = u64::from(width).saturating_mul(height.into()).saturating_mul(bits) / 8;
    let possible = (bytes.len() as u64).saturating_mul(MOST_RATIO).saturating_add(SMALL);
    if decoded > MOST_DECODED || width > MOST_SIDE || height > MOST_SIDE {
        return Err(format!(
            "{width} x {height} pixels ({decoded} bytes); at most {MOST_SIDE} a side and {MOST_DECODED} bytes are decoded"
        ));
    }
    if held > possible {
        return Err(format!("{width} x {height} pixels cannot lie in {} bytes: a damaged file", bytes.len()));
    }
    Ok(decoder)
}

/// Whether the format's end marker is there: PNG's IEND chunk, JPEG's EOI after the last scan header (inside a scan FF is
/// always followed by 00 or a restart marker, so FF D9 is no pixel data).
fn is_complete(bytes: &[u8], format: ImageFormat) -> bool {
    let last = |pattern: &[u8]| bytes.windows(pattern.len()).rposition(|w| w == pattern);
    match format {
        ImageFormat::Png => last(b"IEND\xae\x42\x60\x82").is_some(),
        _ => last(b"\xff\xda").is_some_and(|scan| last(b"\xff\xd9").is_some_and(|end| end > scan)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PNG of these sides whose header was changed after the fact, its checksum too.
    fn claiming(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        image::GrayImage::new(20, 20).write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let crc = bytes[12..29].iter().fold(!0u32, |crc, b| {
            (0..8).fold(crc ^ u32::from(*b), |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 })
        });
        bytes[29..33].copy_from_slice(&(!crc).to_be_bytes());
        bytes
    }

    #[test]
    fn sizes_are_refused_before_pixels_are_decoded() {
        assert!(decode(&claiming(20, 20)).is_ok(), "the checksum is right");
        for (width, height, needle) in [
            (16_000, 16_000, "cannot lie in"),
            (16_385, 1, "imit"),
            (1, 16_385, "imit"),
            (u32::MAX >> 1, u32::MAX >> 1, "imit"),
            (0, 20, ""),
        ] {
            let what = decode(&claiming(width, height)).unwrap_err();
            assert!(what.contains(needle), "{width} x {height}: {what}");
        }
    }

    #[test]
    fn only_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path()).unwrap_err().contains("a folder"));
        assert!(side(&dir.path().join("absent.png")).is_err());
        #[cfg(unix)]
        assert!(read(Path::new("/dev/zero")).unwrap_err().contains("no regular file"));
        let path = dir.path().join("a.jpg");
        std::fs::write(&path, claiming(20, 20)).unwrap();
        assert_eq!(side(&path).unwrap(), 20, "told apart by content");
    }
}
