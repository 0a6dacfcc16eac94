//! The archive and the headers of its arrays, checked before other crates allocate the sizes that they state.

use npyz::NpyFile;
use npyz::npz::{array_name_from_file_name, file_name_from_array_name};
use std::io::{self, Chain, Cursor, Read, Seek, SeekFrom};
use zip::ZipArchive;
use zip::result::ZipError;

/// Maximum files in an archive; MedMNIST has 6. The zip reader allocates space for as many as the archive states.
const MOST_FILES: u64 = 1000;
/// Maximum bytes of an array's header, as in numpy.
const MOST_HEADER: usize = 10_000;
/// Maximum opening brackets in a header; a plain array's has 2. The header is parsed recursively.
const MOST_BRACKETS: usize = 32;
/// Bytes of the end record of an archive, without its comment.
const END: u64 = 22;

/// An array whose header has been read.
pub type Npy<'a> = NpyFile<Chain<Cursor<Vec<u8>>, zip::read::ZipFile<'a>>>;

/// An `.npz` archive.
pub struct Archive<R: Read + Seek> {
    archive: ZipArchive<R>,
    bytes: u64,
}

impl<R: Read + Seek> Archive<R> {
    /// Reads the list of files.
    pub fn new(mut reader: R) -> io::Result<Self> {
        let bytes = reader.seek(SeekFrom::End(0))?;
        let files = files(&mut reader, bytes)?;
        if files > MOST_FILES {
            return Err(io::Error::other(format!("{files} files in the archive, at most {MOST_FILES} are read")));
        }
        reader.seek(SeekFrom::Start(0))?;
        Ok(Archive { archive: ZipArchive::new(reader)?, bytes })
    }

    /// Size of the archive.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there is an array with that name.
    pub fn has(&self, name: &str) -> bool {
        self.archive.file_names().any(|file| array_name_from_file_name(file) == Some(name))
    }

    /// The array with that name, its data not yet read; the reason alone if there is none.
    pub fn array(&mut self, name: &str) -> Result<Npy<'_>, String> {
        let file = file_name_from_array_name(name);
        let mut names: Vec<&str> = self.archive.file_names().filter_map(array_name_from_file_name).collect();
        names.sort_unstable();
        let found = names.iter().take(20).copied().collect::<Vec<_>>().join(", ");
        let bad = |what: &str| format!("{name}: {what}");
        let mut entry = match self.archive.by_name(&file) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => return Err(format!("no array `{name}` in this file (it has: {found})")),
            Err(error) => return Err(bad(&error.to_string())),
        };
        let header = header(&mut entry).map_err(|e| bad(&e.to_string()))?;
        NpyFile::new(Cursor::new(header).chain(entry)).map_err(|e| bad(&e.to_string()))
    }
}

/// An array's header as stored: magic bytes, version, length, text.
fn header(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut header = vec![0; 10];
    reader.read_exact(&mut header)?;
    // From version 2 on the length has four bytes.
    if header[6] >= 2 {
        header.resize(12, 0);
        reader.read_exact(&mut header[10..])?;
    }
    let length = header[8..].iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte));
    if length > MOST_HEADER {
        let what = format!("a header of {length} bytes, at most {MOST_HEADER} are read");
        return Err(io::Error::other(what));
    }
    let start = header.len();
    header.resize(start + length, 0);
    reader.read_exact(&mut header[start..])?;
    let brackets = header[start..].iter().filter(|b| b"([{".contains(b)).count();
    if brackets > MOST_BRACKETS {
        return Err(io::Error::other(format!("a header with {brackets} brackets, at most {MOST_BRACKETS} are read")));
    }
    Ok(header)
}

/// The number of files that the archive states in its end record or the 64-bit counterpart.
fn files<R: Read + Seek>(reader: &mut R, bytes: u64) -> io::Result<u64> {
    let fail = |what: &str| io::Error::other(format!("not a zip archive: {what}"));
    let tail = bytes.min(END + u64::from(u16::MAX));
    let mut buffer = vec![0; tail as usize];
    reader.seek(SeekFrom::Start(bytes - tail))?;
    reader.read_exact(&mut buffer)?;
    // The last record that fits, which the archive's reader also uses.
    let last = buffer.windows(END as usize).rposition(|w| w.starts_with(b"PK\x05\x06"));
    let at = last.ok_or_else(|| fail("no record at its end"))?;
    let word =
        |b: &[u8], at: usize, n: usize| b[at..at + n].iter().rev().fold(0u64, |w, byte| w << 8 | u64::from(*byte));
    let plain = word(&buffer, at + 8, 2).max(word(&buffer, at + 10, 2));
    if at as u64 + END + word(&buffer, at + 20, 2) != tail {
        return Err(fail("bytes after its end"));
    }
    let Some(locator) = at.checked_sub(20).map(|at| &buffer[at..at + 20]).filter(|l| l.starts_with(b"PK\x06\x07"))
    else {
        return Ok(plain);
    };
    let mut record = [0; 56];
    reader.seek(SeekFrom::Start(word(locator, 8, 8)))?;
    reader.read_exact(&mut record).map_err(|_| fail("its 64-bit record is outside the file"))?;
    if !record.starts_with(b"PK\x06\x06") {
        return Err(fail("its 64-bit record is not at the stated position"));
    }
    Ok(plain.min(u64::from(u16::MAX)).max(word(&record, 24, 8)).max(word(&record, 32, 8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_checked_before_they_are_parsed() {
        let of = |version: u8, length: &[u8], text: &[u8]| {
            let bytes = [b"\x93NUMPY", &[version, 0][..], length, text].concat();
            header(&mut Cursor::new(bytes))
        };
        assert_eq!(of(1, &[2, 0], b"{}").unwrap().len(), 12);
        assert_eq!(of(2, &[2, 0, 0, 0], b"{}").unwrap().len(), 14);
        for (version, length, text, needle) in [
            (2u8, &[0xFF; 4][..], &b""[..], "a header of 4294967295 bytes"),
            (1, &[0xFF, 0xFF], b"", "a header of 65535 bytes"),
            (1, &[100, 0], &[b'('; 100], "100 brackets"),
            (1, &[9, 0], b"{}", "fill"),
        ] {
            let what = of(version, length, text).unwrap_err().to_string();
            assert!(what.contains(needle), "{what}");
        }
    }

    #[test]
    fn counts_of_files_are_bounded() {
        let mut end = b"PK\x05\x06".to_vec();
        end.resize(22, 0);
        (end[8], end[9], end[10]) = (0xFF, 0xFF, 0xFF);
        let what = Archive::new(Cursor::new(end)).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(what.contains("65535 files"), "{what}");
        let what = Archive::new(Cursor::new(b"hello")).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(what.contains("no record at its end"), "{what}");
    }
}
