//! The header of a NIfTI file.

use crate::data::element::{Element, ElementKind};

/// The shape of the voxels, their type and meaning.
pub(super) struct Header {
    /// Voxels along the first three axes.
    pub sides: [usize; 3],
    /// Volumes, along the fourth axis.
    pub volumes: usize,
    pub element: Element,
    /// Position of the first voxel.
    pub offset: usize,
    /// Slope and intercept, unless voxels are values.
    pub scale: Option<[f64; 2]>,
    /// Values that the file wants to be black and white.
    pub window: Option<[f64; 2]>,
}

/// Numbers at fixed positions.
struct Fields<'a> {
    bytes: &'a [u8],
    big: bool,
}

impl Fields<'_> {
    fn word(&self, at: usize, width: usize) -> u64 {
        let bytes = self.bytes.get(at..at + width).unwrap_or_default();
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        if self.big { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
    }

    fn short(&self, at: usize) -> i64 {
        i64::from(self.word(at, 2) as u16 as i16)
    }

    fn long(&self, at: usize) -> i64 {
        self.word(at, 8) as i64
    }

    fn single(&self, at: usize) -> f64 {
        f64::from(f32::from_bits(self.word(at, 4) as u32))
    }

    fn double(&self, at: usize) -> f64 {
        f64::from_bits(self.word(at, 8))
    }
}

/// Bytes of a header of each version, which are its first number.
const FIRST: u64 = 348;
const SECOND: u64 = 540;

/// The version and whether the most significant byte comes first.
fn form(bytes: &[u8]) -> Option<(u64, bool)> {
    let size = |big| Fields { bytes, big }.word(0, 4);
    let known = |big| Some(size(big)).filter(|s| [FIRST, SECOND].contains(s)).map(|size| (size, big));
    let (size, big) = known(false).or(known(true))?;
    let magic = if size == FIRST { bytes.get(344..347)? } else { bytes.get(4..7)? };
    (magic.starts_with(b"n") && matches!(magic[1], b'+' | b'i') && magic[2].is_ascii_digit()).then_some((size, big))
}

impl Header {
    /// Whether bytes start with a header.
    pub fn is_known(bytes: &[u8]) -> bool {
        form(bytes).is_some()
    }

    /// # Errors
    /// The reason alone.
    pub fn read(bytes: &[u8]) -> Result<Header, String> {
        let (size, big) = form(bytes).ok_or("no NIfTI file: neither header size and magic of version 1 nor of 2")?;
        let fields = Fields { bytes, big };
        if bytes.len() < size as usize {
            return Err("truncated: the file ends inside its header".into());
        }
        let magic = if size == FIRST { 345 } else { 5 };
        if bytes[magic] == b'i' {
            return Err("a header without its voxels (.hdr and .img); `fslchfiletype NIFTI_GZ` (FSL) joins them".into());
        }
        let (kind, offset, scale, shown) = match size {
            FIRST => {
                let single = |at| fields.single(at);
                (fields.short(70), single(108), [single(112), single(116)], [single(128), single(124)])
            }
            _ => {
                let double = |at| fields.double(at);
                (fields.short(12), fields.long(168) as f64, [double(176), double(184)], [double(200), double(192)])
            }
        };
        let (sides, volumes) = sides(&fields, size)?;
        let offset = match offset {
            0.0 => size as usize + 4,
            at if at >= size as f64 && at <= bytes.len() as f64 => at as usize,
            at => return Err(format!("voxels at byte {at}: must be {size} to {}", bytes.len())),
        };
        let [slope, intercept] = scale;
        let scaled = slope.is_finite() && slope != 0.0;
        if scaled && !intercept.is_finite() {
            return Err(format!("scl_inter {intercept}: must be a number"));
        }
        Ok(Header {
            sides,
            volumes,
            element: element(kind, big)?,
            offset,
            scale: (scaled && scale != [1.0, 0.0]).then_some(scale),
            window: (shown[0].is_finite() && shown[1].is_finite() && shown[0] < shown[1]).then_some(shown),
        })
    }

    /// The two axes of a slice along `axis`.
    pub fn others(axis: usize) -> [usize; 2] {
        match axis {
            0 => [1, 2],
            1 => [0, 2],
            _ => [0, 1],
        }
    }

    /// Width and height of a slice along `axis`.
    pub fn plane(&self, axis: usize) -> [usize; 2] {
        Header::others(axis).map(|other| self.sides[other])
    }

    /// Bytes of all voxels.
    pub fn bytes(&self) -> u64 {
        let sides = self.sides.iter().chain([&self.volumes, &self.element.width]);
        sides.fold(1, |bytes: u64, side| bytes.saturating_mul(*side as u64))
    }

    /// The shape in words.
    pub fn shape(&self) -> String {
        let [x, y, z] = self.sides;
        match self.volumes {
            1 => format!("{x} x {y} x {z} voxels"),
            n => format!("{n} times {x} x {y} x {z} voxels"),
        }
    }

    /// The value of a voxel.
    pub fn value(&self, bytes: &[u8]) -> f64 {
        let number = self.element.number(bytes);
        self.scale.map_or(number, |[slope, intercept]| slope * number + intercept)
    }

    /// Black and white by the type alone, as in pictures of 8 and 16 bits.
    pub fn range(&self) -> Option<[f64; 2]> {
        match (self.element.kind, self.element.width, self.scale) {
            (ElementKind::Unsigned, 1, None) => Some([0.0, 255.0]),
            (ElementKind::Unsigned, 2, None) => Some([0.0, 65535.0]),
            _ => None,
        }
    }
}

/// Sides of a volume and the number of volumes.
fn sides(fields: &Fields, size: u64) -> Result<([usize; 3], usize), String> {
    let dim = |i: usize| if size == FIRST { fields.short(40 + 2 * i) } else { fields.long(16 + 8 * i) };
    let count = dim(0);
    if !(2..=7).contains(&count) {
        return Err(format!("{count} dimensions: must be 2, 3 or 4"));
    }
    let side = |i: usize| if i as i64 <= count { dim(i) } else { 1 };
    let all: Vec<i64> = (1..=7).map(side).collect();
    if all.iter().any(|side| *side < 1) {
        return Err(format!("dimensions {:?}: must be at least 1", &all[..count as usize]));
    }
    if all[4..].iter().any(|side| *side > 1) {
        return Err(format!(
            "dimensions {:?}: must be 1 beyond the fourth (vectors are not read)",
            &all[..count as usize]
        ));
    }
    let side = |i: usize| usize::try_from(all[i]).unwrap_or(usize::MAX);
    Ok(([side(0), side(1), side(2)], side(3)))
}

/// The type of the voxels with that code.
fn element(code: i64, big: bool) -> Result<Element, String> {
    use ElementKind::{Float, Signed, Unsigned};
    let (kind, width) = match code {
        2 => (Unsigned, 1),
        4 => (Signed, 2),
        8 => (Signed, 4),
        16 => (Float, 4),
        64 => (Float, 8),
        256 => (Signed, 1),
        512 => (Unsigned, 2),
        768 => (Unsigned, 4),
        1024 => (Signed, 8),
        1280 => (Unsigned, 8),
        code => {
            let name = match code {
                1 => "bits",
                32 | 1792 | 2048 => "complex numbers",
                128 | 2304 => "colours",
                1536 => "floats of 128 bits",
                _ => "unknown",
            };
            return Err(format!("voxels of the type {code} ({name}): must be integers or floats of 8 to 64 bits"));
        }
    };
    Ok(Element { kind, width, big })
}
