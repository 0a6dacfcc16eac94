//! NIfTI volumes in one file, plain or compressed: `.nii`, `.nii.gz`. Versions 1 and 2, either byte order.

mod header;

use super::frame::{Grey, MOST_FRAMES};
use super::picture::{MOST_DECODED, MOST_RATIO, MOST_SIDE, SMALL};
use flate2::read::MultiGzDecoder;
use header::Header;
use std::borrow::Cow;
use std::io::Read;

/// Maximum bytes of a file without compression.
const MOST_BYTES: u64 = 1 << 30;

/// A file with one or more volumes.
pub(super) struct Nifti {
    header: Header,
    /// Axis along which slices are cut.
    axis: usize,
    data: Vec<u8>,
}

/// Whether it is a NIfTI file, or compressed and may be one.
pub(super) fn is_nifti(bytes: &[u8]) -> bool {
    is_compressed(bytes) || Header::is_known(bytes)
}

fn is_compressed(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x1F\x8B")
}

impl Nifti {
    /// Reads a file that is cut into slices along `axis`, 0 to 2.
    ///
    /// # Errors
    /// The reason alone: damaged, larger than allowed, of a kind that is not read.
    pub fn read(bytes: &[u8], axis: u32) -> Result<Nifti, String> {
        let bytes: Cow<[u8]> = if is_compressed(bytes) { inflate(bytes)?.into() } else { bytes.into() };
        let header = Header::read(&bytes)?;
        let axis = axis as usize;
        let [width, height] = header.plane(axis);
        if header.sides[2] == 1 && axis != 2 {
            return Err(format!("a single plane of {}: data.axis must be 2", header.shape()));
        }
        if header.sides.iter().any(|side| *side > MOST_SIDE as usize) {
            return Err(format!("a volume of {}; at most {MOST_SIDE} voxels per side are read", header.shape()));
        }
        if (width * height) as u64 * 4 > MOST_DECODED {
            return Err(format!("slices of {width} x {height}; at most {} pixels are read", MOST_DECODED / 4));
        }
        let slices = header.sides[axis].saturating_mul(header.volumes);
        if slices > MOST_FRAMES {
            return Err(format!("{slices} slices along axis {axis}; at most {MOST_FRAMES} are read"));
        }
        let needed = header.bytes();
        let data = bytes.get(header.offset..).unwrap_or_default();
        match usize::try_from(needed).ok().and_then(|needed| data.get(..needed)) {
            Some(data) => Ok(Nifti { header, axis, data: data.to_vec() }),
            None => Err(format!("truncated: {} bytes of voxels, {} need {needed}", data.len(), header.shape())),
        }
    }

    /// Number of slices of all volumes.
    pub fn frames(&self) -> usize {
        self.header.sides[self.axis] * self.header.volumes
    }

    /// Width and height of a slice.
    pub fn sides(&self) -> (u32, u32) {
        let [width, height] = self.header.plane(self.axis);
        (width as u32, height as u32)
    }

    /// A slice, counted through all volumes. Of the two other axes the first goes to the right and the second upwards.
    pub fn frame(&self, i: usize) -> Grey {
        let (header, axis) = (&self.header, self.axis);
        let strides = [1, header.sides[0], header.sides[0] * header.sides[1]];
        let volume = strides[2] * header.sides[2];
        let [columns, rows] = Header::others(axis);
        let ([width, height], n) = (header.plane(axis), header.sides[axis]);
        let first = i / n * volume + i % n * strides[axis];
        let places =
            (0..height).rev().flat_map(|y| (0..width).map(move |x| first + x * strides[columns] + y * strides[rows]));
        let each = header.element.width;
        let value = |at: usize| header.value(&self.data[at * each..(at + 1) * each]) as f32;
        Grey {
            width: width as u32,
            height: height as u32,
            values: places.map(value).collect(),
            window: header.window,
            range: header.range(),
            deep: !(header.element.is_byte() && header.scale.is_none()),
            inverted: false,
            padding: None,
        }
    }
}

fn inflate(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let most = MOST_BYTES.min((bytes.len() as u64).saturating_mul(MOST_RATIO).saturating_add(SMALL));
    let mut out = Vec::new();
    MultiGzDecoder::new(bytes).take(most + 1).read_to_end(&mut out).map_err(|e| format!("damaged gzip: {e}"))?;
    if out.len() as u64 > most {
        return Err(format!("gzip: more than {most} bytes"));
    }
    Ok(out)
}

#[cfg(test)]
pub(super) mod tests;
