//! Checks that a picture file is complete by walking its own structure to the end of the image, so that neither bytes
//! after it nor an embedded thumbnail count.

use image::ImageFormat;

/// The part of `bytes` that is the picture.
///
/// # Errors
/// The reason alone: the file ends before its image does, or it is a kind of JPEG that is not supported.
pub(super) fn whole(bytes: &[u8], format: ImageFormat) -> Result<&[u8], String> {
    match format {
        ImageFormat::Png => png(bytes),
        ImageFormat::Jpeg => jpeg(bytes),
        ImageFormat::WebP => webp(bytes),
        ImageFormat::Tiff => tiff(bytes).then_some(bytes),
        // The header states where the pixels are, so the decoder notices missing ones.
        _ => Some(bytes),
    }
    .ok_or_else(|| "truncated".to_string())
}

/// Up to and including IEND.
fn png(bytes: &[u8]) -> Option<&[u8]> {
    let (start, data) = chunk(bytes, b"IEND")?;
    bytes.get(..start + data.len() + 4)
}

/// The data of the first PNG chunk of that kind.
pub(super) fn png_chunk<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    chunk(bytes, kind).map(|(_, data)| data)
}

/// Position and data of the first PNG chunk of that kind.
fn chunk<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<(usize, &'a [u8])> {
    let mut at = 8usize;
    loop {
        let header = bytes.get(at..at.checked_add(8)?)?;
        let length = u32::from_be_bytes(header[..4].try_into().ok()?) as usize;
        let end = at.checked_add(12)?.checked_add(length)?;
        let data = bytes.get(at + 8..end)?.split_last_chunk::<4>()?.0;
        match &header[4..] {
            found if found == kind => return Some((at + 8, data)),
            b"IEND" => return None,
            _ => at = end,
        }
    }
}

/// Up to and including the end-of-image marker after a scan.
fn jpeg(bytes: &[u8]) -> Option<&[u8]> {
    let (mut at, mut scanned) = (0, false);
    loop {
        let (marker, next) = marker(bytes, at)?;
        at = next;
        match marker {
            EOI if scanned => return bytes.get(..at),
            // Without an image; the decoder reports it.
            EOI => return Some(bytes),
            _ if alone(marker) => {}
            _ => {
                at = segment(bytes, at)?;
                // Pixels follow the header of a scan. They contain no markers except restarts, and end before the next
                // one.
                scanned |= marker == SOS;
            }
        }
    }
}

const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;

/// The next marker at or after `at` and the position after it. Bytes before it (pixels, stuffed zeros, restart markers,
/// fill bytes) are skipped, as decoders do.
fn marker(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        at += bytes.get(at..)?.iter().position(|b| *b == 0xFF)?;
        match *bytes.get(at + 1)? {
            0xFF => at += 1,
            0 | 0xD0..=0xD7 => at += 2,
            marker => return Some((marker, at + 2)),
        }
    }
}

/// Markers without a segment: TEM, SOI.
fn alone(marker: u8) -> bool {
    matches!(marker, 0x01 | 0xD8)
}

/// The position after the segment whose length is at `at`.
fn segment(bytes: &[u8], at: usize) -> Option<usize> {
    let length = bytes.get(at..at + 2)?;
    let length = usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
    Some(at + length).filter(|end| *end <= bytes.len())
}

/// Properties in a JPEG's frame header that no decoder here supports: lossless and other processes, more than 8 bits.
/// The reason alone.
pub(super) fn unread_jpeg(bytes: &[u8]) -> Option<String> {
    let mut at = 0;
    loop {
        let (marker, next) = marker(bytes, at)?;
        at = next;
        if alone(marker) {
            continue;
        }
        let process = match marker {
            SOS | EOI => return None,
            0xC0..=0xC2 => None,
            0xC3 => Some("lossless"),
            0xC5..=0xC7 | 0xCD..=0xCF => Some("hierarchical"),
            0xC9 | 0xCA => Some("arithmetic-coded"),
            0xCB => Some("lossless arithmetic-coded"),
            0xF7 => Some("JPEG-LS (lossless)"),
            _ => {
                at = segment(bytes, at)?;
                continue;
            }
        };
        let bits = *bytes.get(at + 2)?;
        let name = match process {
            Some(name) => name,
            None if bits == 8 => return None,
            None => "extended",
        };
        return Some(format!(
            "a JPEG of the kind {name}, {bits} bits per sample; only baseline and progressive JPEG of 8 bits are read: convert it \
             to PNG, which holds 8 or 16 bits"
        ));
    }
}

/// Up to the end stated in RIFF, with every chunk inside.
fn webp(bytes: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    let end = word(4)?.checked_add(8).filter(|end| *end <= bytes.len())?;
    let mut at = 12;
    while at + 8 <= end {
        at = at.checked_add(8)?.checked_add(word(at + 4)?).filter(|next| *next <= end)?;
        at += at % 2;
    }
    bytes.get(..end)
}

/// Whether the tags of the first picture of a TIFF or BigTIFF file have no more values than fit in the file: the
/// decoder allocates all of them, at 32 bytes each, before it reads the first. It detects other missing data itself.
fn tiff(bytes: &[u8]) -> bool {
    let little = bytes.starts_with(b"II");
    let number = |at: u64, len: u64| {
        let at = usize::try_from(at).ok()?;
        let digits = bytes.get(at..at.checked_add(len as usize)?)?;
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(if little { digits.iter().rev().fold(0, add) } else { digits.iter().fold(0, add) })
    };
    let big = number(2, 2) == Some(43);
    // Bytes of an offset and of a tag count.
    let (word, counted) = if big { (8, 8) } else { (4, 2) };
    let Some(directory) = number(if big { 8 } else { 4 }, word) else { return false };
    let Some(tags) = number(directory, counted) else { return false };
    let entry = 4 + 2 * word;
    if tags > bytes.len() as u64 / entry {
        return false;
    }
    (0..tags).all(|tag| {
        // No overflow: the directory is inside the file.
        let at = directory + counted + tag * entry;
        let (Some(kind), Some(count)) = (number(at + 2, 2), number(at + 4, word)) else { return false };
        let each = match kind {
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16..=18 => 8,
            _ => 1,
        };
        count.saturating_mul(each) <= bytes.len() as u64
    })
}

#[cfg(test)]
mod tests;
