//! DICOM files: grey and colour images of 8 and 16 bits, uncompressed, in RLE or in JPEG Baseline.
//!
//! The reader is written here because a file may come from anybody: the reader of `dicom-object` recurses into sequences
//! without a limit, and a small file overflows the stack.

mod element;
mod header;
mod packed;
mod syntax;
mod tags;

use super::frame::{Frame, Grey, MOST_FRAMES};
use super::picture::{MOST_DECODED, MOST_RATIO, MOST_SIDE, SMALL};
use crate::error::count;
use element::{Coding, Walker};
use flate2::read::DeflateDecoder;
use header::{Header, Scale};
use image::{DynamicImage, ImageBuffer, Rgb, RgbImage};
use packed::Fragments;
use std::borrow::Cow;
use std::io::Read;
use syntax::{Packing, Syntax};

/// Maximum bytes of a deflated file.
const MOST_INFLATED: u64 = 1 << 30;
/// Where the magic bytes are.
const MAGIC: usize = 128;
const SYNTAX: u32 = 0x0002_0010;
const GROUP_LENGTH: u32 = 0x0002_0000;

/// What is wrong with another file.
const NONE: &str = "no DICOM file: `DICM` after 128 bytes is missing";

/// Whether it is a DICOM file: its first bytes are free, then four are fixed.
pub(super) fn is_dicom(bytes: &[u8]) -> bool {
    bytes.get(MAGIC..MAGIC + 4) == Some(b"DICM")
}

/// What the pixels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colour {
    /// Small values are black.
    Black,
    /// Small values are white.
    White,
    Rgb,
    /// Luma and colour differences.
    Ybr,
}

/// The form of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Form {
    colour: Colour,
    width: u32,
    height: u32,
    /// Numbers per pixel, 1 or 3.
    samples: usize,
    /// Whether planes of colours follow each other.
    planar: bool,
    /// Bytes of a number, 1 or 2.
    bytes: usize,
    /// Bits in use, and the position of the lowest.
    bits: u32,
    shift: u32,
    signed: bool,
}

/// A DICOM file with an image.
pub(super) struct Dicom {
    form: Form,
    frames: usize,
    /// Patient ID.
    pub patient: Option<String>,
    /// As stored; excluded from the span of values.
    padding: Option<u32>,
    scales: Vec<Scale>,
    pixels: Pixels,
}

/// Frames as stored.
enum Pixels {
    /// One after the other, with bytes in this order.
    Native(Vec<u8>, bool),
    Rle(Vec<Vec<u8>>),
    Jpeg(Vec<Vec<u8>>),
}

impl Dicom {
    /// Reads the attributes of a file and checks them against its pixels.
    ///
    /// # Errors
    /// The reason alone: damaged, without an image, of a kind that is not read.
    pub fn read(bytes: &[u8]) -> Result<Dicom, String> {
        let (syntax, start) = file_meta(bytes)?;
        let rest: Cow<[u8]> = match syntax.deflated {
            true => inflate(&bytes[start..])?.into(),
            false => bytes[start..].into(),
        };
        let mut header = Header::default();
        // Some files state types for their elements and have none.
        let typed = rest.get(4..6).is_none_or(|kind| kind.iter().all(u8::is_ascii_uppercase));
        let coding = if typed { syntax.coding } else { Coding { explicit: false, ..syntax.coding } };
        Walker::new(&rest, 0, |place, tag, value| header.take(place, tag, value)).run(coding)?;
        Dicom::of(header, syntax)
    }

    fn of(header: Header, syntax: Syntax) -> Result<Dicom, String> {
        let Some(value) = header.pixels else {
            let floats = "floating-point pixels; 8 and 16 bits are read: write them as 16 bits with a rescale slope";
            let none = "no pixel data: a report, a plan or another object without an image";
            return Err(if header.floats { floats } else { none }.into());
        };
        if header.table {
            return Err("values by a modality look-up table; a rescale slope and intercept are read".into());
        }
        let form = Form::of(&header, syntax.packing)?;
        let frames = header.frames.unwrap_or(1) as usize;
        if frames == 0 || frames > MOST_FRAMES {
            return Err(format!("{frames} frames: must be 1 to {MOST_FRAMES}"));
        }
        let each = form.width as u64 * form.height as u64 * (form.samples * form.bytes) as u64;
        let pixels = match (value.fragments, syntax.packing) {
            (false, Packing::Native) => {
                let swapped = syntax.coding.big && form.bytes == 1 && &value.kind == b"OW";
                Pixels::Native(native(value.bytes, each, frames, swapped)?, syntax.coding.big)
            }
            (true, Packing::Native) => return Err("pixels in fragments, in an uncompressed transfer syntax".into()),
            (false, _) => return Err("pixels without fragments, in a compressed transfer syntax".into()),
            (true, packing) => {
                let fragments = Fragments::of(value, header.offsets, frames)?;
                let parts = (0..frames).map(|i| fragments.frame(i)).collect();
                if packing == Packing::Rle { Pixels::Rle(parts) } else { Pixels::Jpeg(parts) }
            }
        };
        let scales = (0..frames).map(|i| header.scale(i)).collect();
        Ok(Dicom { form, frames, patient: header.patient, padding: header.padding, scales, pixels })
    }

    /// Number of images.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Width and height of an image.
    pub fn sides(&self) -> (u32, u32) {
        (self.form.width, self.form.height)
    }

    /// One image.
    ///
    /// # Errors
    /// Compressed pixels that are damaged.
    pub fn frame(&self, i: usize) -> Result<Frame, String> {
        let form = self.form;
        let each = form.pixels() * form.samples * form.bytes;
        match &self.pixels {
            Pixels::Native(bytes, big) => {
                let bytes = bytes.get(i * each..(i + 1) * each).ok_or("truncated")?;
                self.shown(form, bytes, *big, i)
            }
            Pixels::Rle(parts) => {
                let bytes = packed::unpack(&parts[i], form.pixels(), form.samples, form.bytes)?;
                self.shown(Form { planar: true, ..form }, &bytes, false, i)
            }
            Pixels::Jpeg(parts) => self.jpeg(&parts[i], i),
        }
    }

    fn jpeg(&self, bytes: &[u8], i: usize) -> Result<Frame, String> {
        let form = self.form;
        let image = packed::jpeg(bytes, form.colour == Colour::Rgb)?;
        let found = (image.width(), image.height(), usize::from(image.color().channel_count()));
        if found != (form.width, form.height, form.samples) {
            let (width, height, samples) = found;
            return Err(format!(
                "a JPEG of {width} x {height} pixels with {samples} samples, in a file of {} x {} with {}",
                form.width, form.height, form.samples
            ));
        }
        match image {
            DynamicImage::ImageLuma8(grey) => self.shown(form, grey.as_raw(), false, i),
            colour => Ok(Frame::Colour(colour)),
        }
    }

    fn shown(&self, form: Form, bytes: &[u8], big: bool, i: usize) -> Result<Frame, String> {
        match form.samples {
            1 => Ok(Frame::Grey(self.grey(form, bytes, big, i))),
            _ => form.colours(bytes, big).map(Frame::Colour).ok_or_else(|| "truncated".into()),
        }
    }

    fn grey(&self, form: Form, bytes: &[u8], big: bool, i: usize) -> Grey {
        let [slope, intercept] = self.scales[i].line();
        let value = |stored: i32| slope * f64::from(stored) + intercept;
        let (low, high) = form.range();
        let ends = [value(low), value(high)];
        Grey {
            width: form.width,
            height: form.height,
            values: form.numbers(bytes, big).map(|stored| value(form.of_bits(stored)) as f32).collect(),
            window: self.scales[i].window(),
            range: Some([ends[0].min(ends[1]), ends[0].max(ends[1])]),
            deep: form.bits > 8 || [slope, intercept] != [1.0, 0.0],
            inverted: form.colour == Colour::White,
            padding: self.padding.map(|stored| value(form.of_bits(stored)) as f32),
        }
    }
}

impl Form {
    fn of(header: &Header, packing: Packing) -> Result<Form, String> {
        let need = |found: Option<u32>, what: &str| found.ok_or_else(|| format!("no {what}: must be given"));
        let (height, width) = (need(header.rows, "rows (0028,0010)")?, need(header.columns, "columns (0028,0011)")?);
        if !(1..=MOST_SIDE).contains(&height) || !(1..=MOST_SIDE).contains(&width) {
            return Err(format!("{width} x {height} pixels: must be 1 to {MOST_SIDE} per side"));
        }
        let photometric = need(header.photometric.as_ref().map(|_| 0), "photometric interpretation (0028,0004)")
            .map(|_| header.photometric.clone().unwrap_or_default())?;
        let colour = colour(&photometric, packing)?;
        let samples = if matches!(colour, Colour::Black | Colour::White) { 1 } else { 3 };
        let found = header.samples.unwrap_or(samples);
        if found != samples {
            return Err(format!("{found} samples per pixel with {photometric}: must be {samples}"));
        }
        let allocated = need(header.allocated, "bits allocated (0028,0100)")?;
        if !matches!(allocated, 8 | 16) || packing == Packing::Jpeg && allocated != 8 {
            let allowed = if packing == Packing::Jpeg { "8 in JPEG" } else { "8 or 16" };
            return Err(format!("bits allocated (0028,0100): {allocated}, must be {allowed}"));
        }
        let bits = header.stored.unwrap_or(allocated);
        let high = header.high_bit.unwrap_or(bits.saturating_sub(1));
        if bits == 0 || bits > allocated || high >= allocated || high + 1 < bits {
            return Err(format!("{bits} bits up to bit {high}, of {allocated} allocated: must lie inside"));
        }
        let signed = header.signed == Some(1);
        if signed && samples == 3 {
            return Err("colours with a sign: must be unsigned".into());
        }
        if u64::from(width) * u64::from(height) * 4 > MOST_DECODED {
            let most = MOST_DECODED / 4;
            return Err(format!("{width} x {height} pixels; at most {most} pixels per image are read"));
        }
        Ok(Form {
            colour,
            width,
            height,
            samples: samples as usize,
            planar: header.planar == Some(1),
            bytes: allocated as usize / 8,
            bits,
            shift: high + 1 - bits,
            signed,
        })
    }

    fn pixels(&self) -> usize {
        self.width as usize * self.height as usize
    }

    /// Least and greatest number.
    fn range(&self) -> (i32, i32) {
        match self.signed {
            true => (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1),
            false => (0, (1 << self.bits) - 1),
        }
    }

    /// A number without unused bits, with its sign.
    fn of_bits(&self, stored: u32) -> i32 {
        let value = (stored >> self.shift & ((1 << self.bits) - 1)) as i32;
        if self.signed && value >> (self.bits - 1) != 0 { value - (1 << self.bits) } else { value }
    }

    /// The numbers as stored.
    fn numbers<'a>(&self, bytes: &'a [u8], big: bool) -> impl Iterator<Item = u32> + 'a {
        let (coding, n) = (Coding { explicit: true, big }, self.bytes);
        bytes.chunks_exact(n).map(move |number| coding.number(number, n).unwrap_or_default())
    }

    /// The colours; `None` if there are not enough numbers.
    fn colours(&self, bytes: &[u8], big: bool) -> Option<DynamicImage> {
        let (n, most) = (self.pixels(), (1u32 << self.bits) - 1);
        let words: Vec<u16> = self.numbers(bytes, big).map(|v| self.of_bits(v) as u16).collect();
        let words: Vec<u16> = match self.planar {
            true if words.len() == 3 * n => (0..n).flat_map(|i| [words[i], words[n + i], words[2 * n + i]]).collect(),
            _ => words,
        };
        if self.bits == 8 {
            let mut bytes: Vec<u8> = words.iter().map(|v| *v as u8).collect();
            if self.colour == Colour::Ybr {
                bytes.chunks_exact_mut(3).for_each(|p| p.copy_from_slice(&red_green_blue([p[0], p[1], p[2]])));
            }
            return RgbImage::from_raw(self.width, self.height, bytes).map(DynamicImage::from);
        }
        let words = words.iter().map(|v| (u32::from(*v) * 65535 / most) as u16).collect();
        ImageBuffer::<Rgb<u16>, _>::from_raw(self.width, self.height, words).map(DynamicImage::from)
    }
}

/// The colour of luma and colour differences of the full range (PS3.3 C.7.6.3.1.2).
fn red_green_blue([y, b, r]: [u8; 3]) -> [u8; 3] {
    let (y, b, r) = (f32::from(y), f32::from(b) - 128.0, f32::from(r) - 128.0);
    [y + 1.402 * r, y - 0.344_136 * b - 0.714_136 * r, y + 1.772 * b].map(|v| v.round().clamp(0.0, 255.0) as u8)
}

fn colour(photometric: &str, packing: Packing) -> Result<Colour, String> {
    let shown = crate::input::shorten(photometric, 40);
    match photometric {
        "MONOCHROME1" => Ok(Colour::White),
        "MONOCHROME2" => Ok(Colour::Black),
        "RGB" => Ok(Colour::Rgb),
        "YBR_FULL" => Ok(Colour::Ybr),
        "YBR_FULL_422" if packing == Packing::Jpeg => Ok(Colour::Ybr),
        "PALETTE COLOR" => Err(
            "a palette (PALETTE COLOR); grey values and RGB are read: `dcm2img +on IN OUT.png` (DCMTK, before 3.6.8 \
                                `dcmj2pnm`) converts it"
                .into(),
        ),
        _ => Err(format!(
            "the photometric interpretation {shown}: must be MONOCHROME1, MONOCHROME2, RGB or YBR_FULL; `dcm2img +on IN OUT.png` \
             (DCMTK, before 3.6.8 `dcmj2pnm`) converts it"
        )),
    }
}

/// The transfer syntax, and where the attributes start.
fn file_meta(bytes: &[u8]) -> Result<(Syntax, usize), String> {
    if !is_dicom(bytes) {
        return Err(NONE.into());
    }
    let (mut length, mut uid) = (None, None);
    let first = MAGIC + 4;
    // The first group ends where its length says; without one, where the next group starts.
    let mut end = first;
    let walk = Walker::new(bytes, first, |_, tag, value| {
        if tag >> 16 != 2 {
            return Ok(false);
        }
        end = value.end;
        match tag {
            GROUP_LENGTH => length = value.coding.number(value.bytes, 4).map(|n| end.saturating_add(n as usize)),
            SYNTAX => uid = Some(String::from_utf8_lossy(value.bytes).trim_matches(['\0', ' ']).to_string()),
            _ => {}
        }
        Ok(length.is_none_or(|stop| end < stop))
    });
    // The next group may be coded otherwise, which is an error of the walk and not of the file.
    let walked = walk.run(Coding::EXPLICIT);
    match uid {
        Some(uid) => Ok((Syntax::of(&uid)?, end)),
        None => Err(walked.err().unwrap_or_else(|| "no transfer syntax (0002,0010): must be given".into())),
    }
}

/// The rest of a deflated file.
fn inflate(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let most = MOST_INFLATED.min((bytes.len() as u64).saturating_mul(MOST_RATIO).saturating_add(SMALL));
    let mut out = Vec::new();
    DeflateDecoder::new(bytes).take(most + 1).read_to_end(&mut out).map_err(|e| format!("deflated: {e}"))?;
    if out.len() as u64 > most {
        return Err(format!("deflated: more than {most} bytes"));
    }
    Ok(out)
}

/// The bytes of `frames` frames of `each` bytes.
fn native(bytes: &[u8], each: u64, frames: usize, swapped: bool) -> Result<Vec<u8>, String> {
    let (found, needed) = (bytes.len() as u64, each.saturating_mul(frames as u64));
    if found < needed {
        return Err(format!(
            "truncated: {found} bytes of pixels, and {} of {each} bytes: {needed} are needed",
            count(frames, "frame")
        ));
    }
    // A byte of padding is usual, and some devices add more; a whole frame means that the attributes are wrong.
    if found - needed > 1 && found - needed >= each {
        return Err(format!(
            "{found} bytes of pixels for {} of {each} bytes: must be {needed}",
            count(frames, "frame")
        ));
    }
    let mut bytes = bytes[..(needed + needed % 2).min(found) as usize].to_vec();
    if swapped {
        bytes.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
    }
    bytes.truncate(needed as usize);
    Ok(bytes)
}

#[cfg(test)]
pub(super) mod tests;
