//! Compressed pixels: the fragments of a frame, RLE, and JPEG.

use super::element::{Coding, Value};
use crate::data::picture::{self, SMALL};
use image::DynamicImage;

/// Maximum decoded bytes per byte of RLE: two bytes repeat one 128 times.
const MOST_RLE: u64 = 64;

/// The fragments of an element of compressed pixels, without the table before them.
pub(super) struct Fragments<'a> {
    parts: Vec<&'a [u8]>,
    /// The first fragment of each frame.
    starts: Vec<usize>,
}

impl<'a> Fragments<'a> {
    /// Separates the fragments and assigns them to `frames` frames; `offsets` is the extended table.
    ///
    /// # Errors
    /// If it is unclear which fragments belong to which frame.
    pub fn of(value: Value<'a>, offsets: Option<&[u8]>, frames: usize) -> Result<Self, String> {
        let (mut parts, mut places, mut at) = (Vec::new(), Vec::new(), 0);
        while let Some(length) = value.bytes.get(at + 4..).and_then(|rest| Coding::EXPLICIT.number(rest, 4)) {
            let end = (at + 8).saturating_add(length as usize);
            parts.push(value.bytes.get(at + 8..end).ok_or("a fragment beyond the end: a damaged file")?);
            places.push(at);
            at = end;
        }
        if parts.len() < 2 {
            return Err("no compressed pixels".into());
        }
        // The first one is the basic table; offsets count from the second one.
        let (table, parts, first) = (parts[0], parts.split_off(1), places[1]);
        let word =
            |bytes: &[u8], width: usize| bytes.iter().take(width).rev().fold(0u64, |w, b| w << 8 | u64::from(*b));
        let width = if offsets.is_some() { 8 } else { 4 };
        let stated: Vec<u64> = offsets.unwrap_or(table).chunks_exact(width).map(|bytes| word(bytes, width)).collect();
        let starts = match () {
            _ if frames == 1 => vec![0],
            _ if parts.len() == frames => (0..frames).collect(),
            _ if stated.len() == frames => {
                let places = &places[1..];
                let find = |offset: u64| places.binary_search(&(first + usize::try_from(offset).ok()?)).ok();
                let found: Option<Vec<usize>> = stated.into_iter().map(find).collect();
                found
                    .filter(|s| s.is_sorted())
                    .ok_or("a table of frames that does not fit the fragments: a damaged file")?
            }
            _ => return Err(format!("{} fragments for {frames} frames, without a table of frames", parts.len())),
        };
        Ok(Fragments { parts, starts })
    }

    /// The bytes of a frame.
    pub fn frame(&self, i: usize) -> Vec<u8> {
        let start = self.starts.get(i).copied().unwrap_or(self.parts.len());
        let end = self.starts.get(i + 1).copied().unwrap_or(self.parts.len());
        self.parts.get(start..end).unwrap_or_default().concat()
    }
}

/// A frame of `samples` numbers of `width` bytes for each of `pixels` pixels, as planes of numbers with the least
/// significant byte first (PS3.5 annex G).
pub(super) fn unpack(bytes: &[u8], pixels: usize, samples: usize, width: usize) -> Result<Vec<u8>, String> {
    let word = |at: usize| Coding::EXPLICIT.number(bytes.get(at..)?, 4).map(|w| w as usize);
    let segments = samples * width;
    match word(0) {
        None => return Err("truncated: RLE without its header".into()),
        Some(found) if found != segments => {
            return Err(format!("RLE of {found} segments: must be {segments} for {samples} samples of {width} bytes"));
        }
        _ => {}
    }
    if (pixels * segments) as u64 > (bytes.len() as u64).saturating_mul(MOST_RLE).saturating_add(SMALL) {
        return Err(format!("{pixels} pixels cannot fit in {} bytes of RLE: a damaged file", bytes.len()));
    }
    let mut out = vec![0; pixels * segments];
    for segment in 0..segments {
        let start = word(4 + 4 * segment).unwrap_or(usize::MAX);
        let end = if segment + 1 < segments { word(8 + 4 * segment).unwrap_or(0) } else { bytes.len() };
        let packed = bytes.get(start..end).ok_or("an RLE segment outside the frame: a damaged file")?;
        // The most significant byte of a sample comes first.
        let (sample, byte) = (segment / width, width - 1 - segment % width);
        let plane = &mut out[sample * pixels * width..(sample + 1) * pixels * width];
        unpack_segment(packed, plane.iter_mut().skip(byte).step_by(width))?;
    }
    Ok(out)
}

/// PackBits; zeros that pad the segment are left.
fn unpack_segment<'a>(packed: &[u8], mut to: impl ExactSizeIterator<Item = &'a mut u8>) -> Result<(), String> {
    let mut at = 0;
    while to.len() > 0 {
        let head = packed.get(at).copied().ok_or("truncated: an RLE segment ends early")?;
        at += 1;
        let (literal, count) = match head {
            0..=127 => (true, usize::from(head) + 1),
            128 => continue,
            129..=255 => (false, 257 - usize::from(head)),
        };
        let from =
            packed.get(at..at + if literal { count } else { 1 }).ok_or("truncated: an RLE segment ends early")?;
        at += from.len();
        for i in 0..count.min(to.len()) {
            if let Some(out) = to.next() {
                *out = from[if literal { i } else { 0 }];
            }
        }
    }
    Ok(())
}

/// A frame in JPEG. Without a marker of its own about colours, `rgb` says that they are red, green and blue.
pub(super) fn jpeg(bytes: &[u8], rgb: bool) -> Result<DynamicImage, String> {
    const ADOBE: &[u8] = b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0\0";
    if !bytes.starts_with(b"\xFF\xD8") {
        return Err("a frame that is not JPEG: a damaged file".into());
    }
    let marked = bytes.windows(7).take(4096).any(|w| w == b"Adobe\0\x64" || w.starts_with(b"Adobe"));
    match rgb && !marked {
        true => picture::decode(&[&bytes[..2], ADOBE, &bytes[2..]].concat()),
        false => picture::decode(bytes),
    }
}
