//! Sets of images: `.npz` files, manifests, picture files.

use super::{ORIGIN, Target};
use fedgan::data::{NpzOptions, Window, Word, check_manifest, decode_npz, picture};
use fedgan::{Error, Result};
use image::{DynamicImage, GrayImage, ImageFormat, Rgb, RgbImage};
use npyz::{Order, WriterBuilder};
use std::io::{Cursor, Write};
use std::path::Path;
use zip::write::FileOptions;
use zip::{CompressionMethod, ZipWriter};

const NPZ_WORDS: &[&str] = &[
    "\u{93}NUMPY",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 4, 4), }",
    "'<i8'",
    "'>u4'",
    "'|u1'",
    "'|b1'",
    "'<u2'",
    "'>i2'",
    "'<f2'",
    "'>f4'",
    "'<f8'",
    "(1, 4, 5, 6)",
    "(2, 3, 4, 4)",
    "'|O'",
    "'|S7'",
    "'<U3'",
    "'|u0'",
    "'|i3'",
    "[('a', '<u2')]",
    "'fortran_order': True",
    "(2, 16, 16, 3)",
    "(0,)",
    "()",
    "train_images.npy",
    "train_labels.npy",
    "PK\u{1}\u{2}",
    "PK\u{3}\u{4}",
    "PK\u{5}\u{6}",
    "PK\u{6}\u{6}",
    "PK\u{6}\u{7}",
    "\\N{BULLET}",
    "1j",
    "'''",
];
const MANIFEST_WORDS: &[&str] = &[
    "file", "label", "client", "patient", ",", "\n", "\r\n", "\"", "\"\"", ";", "../", "/", "\u{feff}", "a.png", "h1",
    "p1",
];
const PICTURE_WORDS: &[&str] = &[
    "IHDR",
    "IDAT",
    "IEND",
    "PLTE",
    "tRNS",
    "iCCP",
    "zTXt",
    "iTXt",
    "gAMA",
    "acTL",
    "fcTL",
    "fdAT",
    "eXIf",
    "sRGB",
    "JFIF",
    "Exif\0\0",
    "Adobe",
    "ICC_PROFILE",
    "II*\0",
    "MM\0*",
    "BM",
    "RIFF",
    "WEBP",
    "VP8 ",
    "VP8L",
    "VP8X",
    "ALPH",
    "ANIM",
    "ANMF",
    "EXIF",
    "XMP ",
];

pub(super) const TARGETS: &[Target] = &[
    Target { name: "npz", seeds: archives, words: NPZ_WORDS, most: 8192, repair: None, run: npz },
    Target { name: "manifest", seeds: lists, words: MANIFEST_WORDS, most: 8192, repair: None, run: list },
    Target { name: "picture", seeds: pictures, words: PICTURE_WORDS, most: 8192, repair: Some(checksums), run: decode },
];

fn failed(error: impl std::fmt::Display) -> Error {
    Error::internal(format!("seed: {error}"))
}

fn archives() -> Result<Vec<Vec<u8>>> {
    let mut seeds = Vec::new();
    for (method, shape) in [
        (CompressionMethod::Stored, &[2u64, 4, 4][..]),
        (CompressionMethod::Deflated, &[2, 4, 4]),
        (CompressionMethod::Stored, &[2, 3, 5, 3]),
    ] {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = FileOptions::default().compression_method(method);
        let pixels: Vec<u8> = (0..shape.iter().product::<u64>()).map(|i| (i * 7) as u8).collect();
        zip.start_file("train_images.npy", options).map_err(failed)?;
        array(&mut zip, shape, &pixels).map_err(failed)?;
        zip.start_file("train_labels.npy", options).map_err(failed)?;
        array(&mut zip, &[2, 1], &[1i64, -4]).map_err(failed)?;
        seeds.push(zip.finish().map_err(failed)?.into_inner());
    }
    seeds.push(one_array(&[2, 4, 4], Order::Fortran, &(0..32).map(|i| i * 2000).collect::<Vec<u16>>())?);
    seeds.push(one_array(&[2, 3, 4, 4], Order::C, &(0..96).map(|i| i as f32 / 96.0).collect::<Vec<f32>>())?);
    seeds.push(one_array(&[1, 4, 5, 6], Order::Fortran, &(0..120).map(|i| i - 60).collect::<Vec<i16>>())?);
    seeds.push(one_array(&[2, 4, 4, 1], Order::C, &(0..32).map(|i| i % 3 == 0).collect::<Vec<bool>>())?);
    Ok(seeds)
}

/// An archive with images only.
fn one_array<T: npyz::AutoSerialize + Copy>(shape: &[u64], order: Order, data: &[T]) -> Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("train_images.npy", FileOptions::default()).map_err(failed)?;
    let options = npyz::WriteOptions::new().default_dtype().shape(shape).order(order);
    let mut array = options.writer(&mut zip).begin_nd().map_err(failed)?;
    array.extend(data.iter().copied()).map_err(failed)?;
    array.finish().map_err(failed)?;
    Ok(zip.finish().map_err(failed)?.into_inner())
}

fn array<T: npyz::AutoSerialize + Copy>(to: impl Write, shape: &[u64], data: &[T]) -> std::io::Result<()> {
    let mut array = npyz::WriteOptions::new().default_dtype().shape(shape).writer(to).begin_nd()?;
    array.extend(data.iter().copied())?;
    array.finish()
}

/// Unmodified, then as volumes with windows: an input rejected as one may be accepted as the other.
fn npz(input: &[u8]) -> Result<()> {
    let auto = Some(Window::Word(Word::Auto));
    let kinds = [(None, None), (Some(1), auto), (Some(3), Some(Window::Range([-10.0, 4095.0])))];
    let mut answers = kinds.map(|(axis, window)| set(input, NpzOptions { axis, window }));
    let best = answers.iter().position(|a| matches!(a, Err(Error::Internal(_))));
    let best = best.or_else(|| answers.iter().position(Result::is_ok)).unwrap_or(0);
    std::mem::replace(&mut answers[best], Ok(()))
}

fn set(input: &[u8], options: NpzOptions) -> Result<()> {
    let channels = 1 + 2 * (input.len() % 2);
    let set = decode_npz(Cursor::new(input), Path::new(ORIGIN), 16, channels, options)?.dataset;
    let (n, counts) = (set.len(), set.class_counts());
    let whole = set.pixels.len() == n * set.image_bytes() && counts.iter().sum::<usize>() == n && set.files.len() == n;
    if whole { Ok(()) } else { Err(Error::internal("parts of a set do not fit each other")) }
}

fn lists() -> Result<Vec<Vec<u8>>> {
    let all = "file,label,client,patient\na.png,x;y,h1,p1\n\"b, c.png\",x,h1,p1\n\nsub/d.dcm,y,h2,p2\n";
    Ok([all, "\u{feff}file\r\na.png\r\n./b.png\r\n", "age,patient,file\n3,p1,a\n4,p1,b\n"].map(|s| s.into()).to_vec())
}

fn list(input: &[u8]) -> Result<()> {
    check_manifest(input, Path::new(ORIGIN)).map(drop)
}

fn pictures() -> Result<Vec<Vec<u8>>> {
    let rgb = RgbImage::from_fn(9, 7, |x, y| Rgb([(x * 20) as u8, (y * 30) as u8, 5]));
    let grey = DynamicImage::from(GrayImage::from_fn(17, 16, |x, y| image::Luma([(x * y) as u8])));
    let rgb = DynamicImage::from(rgb);
    let kinds = [
        (rgb.clone(), ImageFormat::Png),
        (grey.clone(), ImageFormat::Png),
        (DynamicImage::from(rgb.to_rgba16()), ImageFormat::Png),
        (rgb.clone(), ImageFormat::Jpeg),
        (grey.clone(), ImageFormat::Jpeg),
        (rgb.clone(), ImageFormat::Tiff),
        (DynamicImage::from(grey.to_luma16()), ImageFormat::Tiff),
        (rgb.clone(), ImageFormat::Bmp),
        (DynamicImage::from(rgb.to_rgba8()), ImageFormat::Bmp),
        (rgb.clone(), ImageFormat::WebP),
        (DynamicImage::from(rgb.to_rgba8()), ImageFormat::WebP),
    ];
    let encode = |(image, format): (DynamicImage, ImageFormat)| {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).map_err(failed)?;
        Ok(bytes.into_inner())
    };
    let mut seeds: Vec<Vec<u8>> = kinds.into_iter().map(encode).collect::<Result<_>>()?;
    let jpeg = &seeds[3];
    let exif = b"\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let turned = [&jpeg[..2], exif, &jpeg[2..], b"\xff\xda behind"].concat();
    seeds.push(turned);
    Ok(seeds)
}

fn decode(input: &[u8]) -> Result<()> {
    let channels = 1 + 2 * (input.len() % 2);
    let pixels = picture::fitted(input, 16, channels).map_err(Error::input)?;
    if pixels.len() == 16 * 16 * channels { Ok(()) } else { Err(Error::internal("an image of another size")) }
}

/// Corrects the checksums of PNG chunks.
fn checksums(input: &mut [u8]) {
    let mut at = 8;
    while input.starts_with(b"\x89PNG") && at + 12 <= input.len() {
        let length = u32::from_be_bytes([input[at], input[at + 1], input[at + 2], input[at + 3]]) as usize;
        let Some(end) = at.checked_add(8 + length).filter(|end| end + 4 <= input.len()) else { return };
        let crc = input[at + 4..end].iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 })
        });
        input[end..end + 4].copy_from_slice(&(!crc).to_be_bytes());
        at = end + 4;
    }
}
