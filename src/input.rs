//! Reading of foreign files, with size limits. A damaged or hostile file, or a device node in its place, cannot exhaust
//! memory; decoders limit the contents. SECURITY.md lists all limits.

use safetensors::SafeTensors;
use std::fs::File;
use std::io::{self, Error, ErrorKind, Read};
use std::path::Path;

/// Bytes of an experiment, a sweep or a stored plan: the longest built-in one has 2 KB.
pub const CONFIG: u64 = 1 << 20;
/// Bytes of a tuning file, which has about 100 for each convolution.
pub const TUNING: u64 = 4 << 20;
/// Bytes of a baseline or a validation report; all samples of a long benchmark are 3 MB.
pub const MEASURED: u64 = 64 << 20;
/// Bytes of a log of rounds: 10,000 rounds of 300 clients.
pub const LOG: u64 = 1 << 30;
/// Bytes of a run's summary, which has 3 KB.
pub const SUMMARY: u64 = 1 << 20;
/// Bytes of a sweep's table: 10,000 runs.
pub const TABLE: u64 = 16 << 20;
/// Bytes of a picture file.
pub const PICTURE: u64 = 256 << 20;
/// Bytes of a scan, which may have many frames.
pub const SCAN: u64 = 1 << 30;
/// Bytes of a manifest: a million images with long names.
pub const MANIFEST: u64 = 256 << 20;
/// Bytes of a shader.
pub const SHADER: u64 = 1 << 20;
/// Bytes of a safetensors file.
pub const TENSORS: u64 = 8 << 30;
/// Bytes of a feature network; the FID's Inception has 87 MB.
pub const NETWORK: u64 = 1 << 30;
/// Bytes of a safetensors file's JSON header: names and shapes of [`MOST_TENSORS`] tensors, and the metadata.
pub const TENSOR_HEADER: u64 = 4 << 20;
/// Tensors of a safetensors file; networks of this program have up to 50.
pub const MOST_TENSORS: usize = 10_000;
/// Maximum dimensions of a tensor.
pub const MOST_SIDES: usize = 8;

/// Bytes of a pipe or a device, for any kind of file.
const PIPE: u64 = 64 << 20;

/// The bytes of a file with at most `most` bytes; pipes are accepted.
///
/// # Errors
/// As [`std::fs::read`]; [`ErrorKind::FileTooLarge`] with the size found and the size allowed.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let (size, most) = match file.metadata()? {
        found if found.is_dir() => return Err(Error::new(ErrorKind::IsADirectory, "a folder, expected a file")),
        found if found.is_file() => (found.len(), most),
        // Pipes and devices have no size: they are read up to one byte beyond the limit, which must not exhaust memory
        // either.
        _ => (0, most.min(PIPE)),
    };
    if size > most {
        return Err(too_large(&format!("{size} bytes"), most));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size as usize).map_err(|_| Error::from(ErrorKind::OutOfMemory))?;
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_large("more", most)) } else { Ok(bytes) }
}

/// [`read`] for text.
///
/// # Errors
/// As [`read`]; [`ErrorKind::InvalidData`] if it is not UTF-8.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read(path, most)?).map_err(|_| Error::new(ErrorKind::InvalidData, "not UTF-8 text"))
}

fn too_large(found: &str, most: u64) -> Error {
    Error::new(ErrorKind::FileTooLarge, format!("too large: {found}, at most {most} bytes are read"))
}

/// `text` for a message: complete if it has at most `most` bytes, otherwise its beginning and its length. Control
/// characters, which a terminal would interpret, are escaped.
pub fn shorten(text: &str, most: usize) -> String {
    if text.contains(char::is_control) {
        let plain = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
        return shorten(&text.chars().map(plain).collect::<String>(), most);
    }
    if text.len() <= most {
        return text.into();
    }
    let end = (0..=most).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    format!("{}... ({} bytes)", &text[..end], text.len())
}

/// Rejects a safetensors file whose header is longer than [`TENSOR_HEADER`], before it is parsed.
///
/// # Errors
/// The size found and the size allowed, without the file's name.
pub fn check_tensor_header(bytes: &[u8]) -> Result<(), String> {
    let header = bytes.first_chunk::<8>().map_or(0, |first| u64::from_le_bytes(*first));
    if header > TENSOR_HEADER && header <= bytes.len() as u64 {
        return Err(format!("its header has {header} bytes; at most {TENSOR_HEADER} are read"));
    }
    Ok(())
}

/// Rejects a safetensors file with more than [`MOST_TENSORS`] tensors, or with a tensor of more than [`MOST_SIDES`]
/// dimensions, before their values are copied.
///
/// # Errors
/// The number found and the number allowed, without the file's name.
pub fn check_tensors(tensors: &SafeTensors) -> Result<(), String> {
    if tensors.len() > MOST_TENSORS {
        return Err(format!("{} tensors; at most {MOST_TENSORS} are read", tensors.len()));
    }
    match tensors.iter().find(|(_, view)| view.shape().len() > MOST_SIDES) {
        Some((name, view)) => {
            let (name, sides) = (shorten(name, 100), view.shape().len());
            Err(format!("tensor '{name}' has {sides} dimensions; at most {MOST_SIDES} are read"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_up_to_their_cap() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        let error = read(&path, 4).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "too large: 5 bytes, at most 4 bytes are read");
        std::fs::write(&path, [0xFF]).unwrap();
        assert_eq!(read_text(&path, 5).unwrap_err().to_string(), "not UTF-8 text");
        assert_eq!(read(&dir.path().join("none"), 5).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn endless_files_are_read_up_to_the_limit() {
        let what = |most| read(Path::new("/dev/zero"), most).unwrap_err().to_string();
        assert_eq!(what(1000), "too large: more, at most 1000 bytes are read");
        assert_eq!(what(TENSORS), "too large: more, at most 67108864 bytes are read");
    }

    #[test]
    fn long_texts_are_truncated_between_characters() {
        assert_eq!(shorten("abc", 3), "abc");
        assert_eq!(shorten("a\u{e9}bc", 2), "a... (5 bytes)");
    }
}
