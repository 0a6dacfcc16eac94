//! Scans: DICOM files, NIfTI volumes.

use super::Target;
use fedgan::data::decode_scan;
use fedgan::{Error, Result};
use image::{DynamicImage, GrayImage, ImageFormat};
use std::io::{Cursor, Write};

const DICOM_WORDS: &[&str] = &[
    "DICM",
    "MONOCHROME1 ",
    "MONOCHROME2 ",
    "RGB ",
    "YBR_FULL",
    "YBR_FULL_422",
    "PALETTE COLOR ",
    "1.2.840.10008.1.2\0",
    "1.2.840.10008.1.2.1\0",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2\0",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.5\0",
    "OB",
    "OW",
    "SQ",
    "UN",
    "US",
    "DS",
    "IS",
    "(\0\u{8}\0IS",
    "(\0\u{10}\0US\u{2}\0",
    "(\0\0\u{1}US\u{2}\0",
    "(\0R\u{10}DS",
    "-1024",
    "1e308",
    "65535 ",
];

const NIFTI_WORDS: &[&str] =
    &["n+1\0", "ni1\0", "n+2\0\r\n\u{1a}\n", "\u{1}\0", "\u{4}\0", "\u{10}\0", "@\0", "\0\u{2}"];

pub(super) const TARGETS: &[Target] = &[
    Target { name: "dicom", seeds: files, words: DICOM_WORDS, most: 8192, repair: None, run: dicom },
    Target { name: "nifti", seeds: volumes, words: NIFTI_WORDS, most: 8192, repair: None, run: nifti },
];

fn failed(error: impl std::fmt::Display) -> Error {
    Error::internal(format!("seed: {error}"))
}

/// Whether elements state their types.
#[derive(Clone, Copy, PartialEq)]
enum Typed {
    Yes,
    No,
}

fn element(typed: Typed, tag: u32, kind: &[u8; 2], value: &[u8]) -> Vec<u8> {
    let value = [value, if value.len() % 2 == 1 { b" " } else { b"" }].concat();
    let tag = [&(tag >> 16 & 0xFFFF).to_le_bytes()[..2], &(tag & 0xFFFF).to_le_bytes()[..2]].concat();
    let length = (value.len() as u32).to_le_bytes();
    match (typed, kind) {
        (Typed::No, _) => [tag, length.to_vec(), value].concat(),
        (_, b"OB" | b"OW" | b"SQ") => [&tag[..], kind, &[0, 0], &length, &value].concat(),
        _ => [&tag[..], kind, &length[..2], &value].concat(),
    }
}

/// The start of a file in a transfer syntax.
fn head(syntax: &str) -> Vec<u8> {
    let syntax = element(Typed::Yes, 0x0002_0010, b"UI", syntax.as_bytes());
    let length = element(Typed::Yes, 0x0002_0000, b"UL", &(syntax.len() as u32).to_le_bytes());
    [&[0; 128][..], b"DICM", &length, &syntax].concat()
}

/// The attributes of 4 x 3 pixels, one or three numbers each.
fn attributes(typed: Typed, samples: u16, bits: u16, frames: &str) -> Vec<u8> {
    let number = |tag, value: u16| element(typed, tag, b"US", &value.to_le_bytes());
    let grey = samples == 1;
    let window = |tag, text: &str| element(typed, tag, b"DS", text.as_bytes());
    [
        element(typed, 0x0010_0020, b"LO", b"patient"),
        number(0x0028_0002, samples),
        element(typed, 0x0028_0004, b"CS", if grey { b"MONOCHROME2" } else { b"RGB" }),
        number(0x0028_0006, 1),
        element(typed, 0x0028_0008, b"IS", frames.as_bytes()),
        number(0x0028_0010, 3),
        number(0x0028_0011, 4),
        number(0x0028_0100, bits.div_ceil(8) * 8),
        number(0x0028_0101, bits),
        number(0x0028_0102, bits - 1),
        number(0x0028_0103, u16::from(grey)),
        if grey { [window(0x0028_1050, "40\\50"), window(0x0028_1051, "400")].concat() } else { Vec::new() },
        if grey { [window(0x0028_1052, "-1024"), window(0x0028_1053, "1.5")].concat() } else { Vec::new() },
    ]
    .concat()
}

/// Pixels in fragments, after an empty table of frames.
fn fragments(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = b"\xE0\x7F\x10\0OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\0\0\0\0".to_vec();
    for part in parts {
        out.extend([b"\xFE\xFF\0\xE0", &(part.len() as u32).to_le_bytes()[..], part].concat());
    }
    out.extend(b"\xFE\xFF\xDD\xE0\0\0\0\0");
    out
}

fn files() -> Result<Vec<Vec<u8>>> {
    let numbers: Vec<u8> = (0..48).map(|i| i * 5).collect();
    let pixels = |typed, n: usize| element(typed, 0x7FE0_0010, b"OW", &numbers[..n]);
    let (yes, no) = (Typed::Yes, Typed::No);
    let body = [attributes(yes, 1, 12, "2"), pixels(yes, 48)].concat();
    let mut deflated = flate2::write::DeflateEncoder::new(head("1.2.840.10008.1.2.1.99"), flate2::Compression::best());
    deflated.write_all(&body).map_err(failed)?;
    let mut runs = vec![0; 64];
    (runs[0], runs[4]) = (1, 64);
    runs.extend([254, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let mut jpeg = Cursor::new(Vec::new());
    DynamicImage::from(GrayImage::new(4, 3)).write_to(&mut jpeg, ImageFormat::Jpeg).map_err(failed)?;
    let item = |bytes: &[u8]| [b"\xFE\xFF\0\xE0", &(bytes.len() as u32).to_le_bytes()[..], bytes].concat();
    let sequence = |tag, bytes: &[u8]| element(yes, tag, b"SQ", &item(bytes));
    let slope = element(yes, 0x0028_1053, b"DS", b"2");
    let groups = sequence(0x5200_9229, &sequence(0x0028_9145, &slope));
    Ok(vec![
        [head("1.2.840.10008.1.2.1"), body].concat(),
        [head("1.2.840.10008.1.2"), attributes(no, 1, 16, "1"), pixels(no, 24)].concat(),
        [head("1.2.840.10008.1.2.1"), attributes(yes, 3, 8, "1"), pixels(yes, 36)].concat(),
        [head("1.2.840.10008.1.2.1"), attributes(yes, 1, 16, "2"), groups, pixels(yes, 48)].concat(),
        [head("1.2.840.10008.1.2.5"), attributes(yes, 1, 8, "2"), fragments(&[&runs, &runs])].concat(),
        [head("1.2.840.10008.1.2.4.50"), attributes(yes, 1, 8, "1"), fragments(&[jpeg.get_ref()])].concat(),
        deflated.finish().map_err(failed)?,
    ])
}

/// Volumes of each version, order and compression.
fn volumes() -> Result<Vec<Vec<u8>>> {
    let first = |big: bool, kind: i16, voxels: &[u8]| {
        let short = |v: i16| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        let single = |v: f32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        let mut file = vec![0; 352];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &if big { 348i32.to_be_bytes() } else { 348i32.to_le_bytes() });
        [4, 4, 3, 2, 2].into_iter().enumerate().for_each(|(i, side)| put(40 + 2 * i, &short(side)));
        put(70, &short(kind));
        [(108, 352.0), (112, 2.0), (116, -7.0), (124, 300.0)].into_iter().for_each(|(at, v)| put(at, &single(v)));
        put(344, b"n+1\0");
        [file, voxels.to_vec()].concat()
    };
    let mut second = vec![0; 544];
    let mut put = |at: usize, bytes: &[u8]| second[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &540i32.to_le_bytes());
    put(4, b"n+2\0\r\n\x1A\n");
    put(12, &2i16.to_le_bytes());
    [3i64, 4, 3, 2].into_iter().enumerate().for_each(|(i, side)| put(16 + 8 * i, &side.to_le_bytes()));
    put(168, &544i64.to_le_bytes());
    second.extend(0..24);
    let voxels: Vec<u8> = (0..192).collect();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&first(false, 16, &voxels)).map_err(failed)?;
    let plain = [first(false, 2, &voxels[..48]), first(true, 4, &voxels[..96]), second];
    Ok([&plain[..], &[packed.finish().map_err(failed)?]].concat())
}

fn dicom(input: &[u8]) -> Result<()> {
    decode(input, None)
}

fn nifti(input: &[u8]) -> Result<()> {
    decode(input, Some([-10.0, 300.0]))
}

fn decode(input: &[u8], window: Option<[f64; 2]>) -> Result<()> {
    let (channels, axis) = (1 + 2 * (input.len() % 2), input.len() as u32 % 3);
    let images = decode_scan(input, 16, channels, axis, window).map_err(Error::input)?;
    let whole = !images.is_empty() && images.iter().all(|image| image.len() == 16 * 16 * channels);
    if whole { Ok(()) } else { Err(Error::internal("an image of another size")) }
}
