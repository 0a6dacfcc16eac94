use super::*;
use crate::data::fit::fit;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::tiff::TiffEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ImageEncoder, Rgb, RgbImage};

/// EXIF with an orientation only, in either byte order.
fn exif(value: u16, big: bool) -> Vec<u8> {
    let u16s = |v: u16| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    let u32s = |v: u32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    let mut out = if big { b"MM".to_vec() } else { b"II".to_vec() };
    out.extend(u16s(42));
    out.extend(u32s(8));
    out.extend(u16s(1));
    out.extend(u16s(0x112));
    out.extend(u16s(3));
    out.extend(u32s(1));
    out.extend(u16s(value));
    out.extend([0; 6]);
    out
}

/// 48 x 32, with distinct colours in every corner and the middle, in blocks that survive JPEG.
fn picture() -> RgbImage {
    RgbImage::from_fn(48, 32, |x, y| match (x / 16, y / 16) {
        (0, 0) => Rgb([250, 10, 10]),
        (2, 0) => Rgb([10, 250, 10]),
        (0, 1) => Rgb([10, 10, 250]),
        (2, 1) => Rgb([250, 250, 10]),
        _ => Rgb([10, 10, 10]),
    })
}

/// As viewers show it: row 0 and column 0 of the stored picture are these sides of the displayed one (EXIF 2.3, 4.6.4).
fn upright(stored: &RgbImage, value: u16) -> RgbImage {
    let (w, h) = stored.dimensions();
    let turned = value >= 5;
    let (width, height) = if turned { (h, w) } else { (w, h) };
    RgbImage::from_fn(width, height, |x, y| {
        let (right, below) = (width - 1 - x, height - 1 - y);
        let (column, row) = match value {
            1 => (x, y),
            2 => (right, y),
            3 => (right, below),
            4 => (x, below),
            5 => (y, x),
            6 => (y, right),
            7 => (below, right),
            _ => (below, x),
        };
        *stored.get_pixel(column, row)
    })
}

/// The picture in each format with this orientation.
fn oriented(value: u16, big: bool) -> Vec<(&'static str, Vec<u8>)> {
    let (image, exif) = (picture(), exif(value, big));
    let (w, h) = image.dimensions();
    let mut files = Vec::new();
    let mut jpeg = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 100);
    encoder.set_exif_metadata(exif.clone()).unwrap();
    encoder.encode_image(&image).unwrap();
    files.push(("jpeg", jpeg));
    let mut png = Vec::new();
    let mut encoder = PngEncoder::new(&mut png);
    encoder.set_exif_metadata(exif.clone()).unwrap();
    encoder.write_image(&image, w, h, image::ExtendedColorType::Rgb8).unwrap();
    files.push(("png", png));
    files.push(("png, after the pixels", late_exif(&exif)));
    let mut webp = Vec::new();
    let mut encoder = WebPEncoder::new_lossless(&mut webp);
    encoder.set_exif_metadata(exif.clone()).unwrap();
    encoder.write_image(&image, w, h, image::ExtendedColorType::Rgb8).unwrap();
    files.push(("webp", webp));
    let mut webp = Vec::new();
    let mut encoder = WebPEncoder::new_lossless(&mut webp);
    encoder.set_exif_metadata([b"Exif\0\0", &exif[..]].concat()).unwrap();
    encoder.write_image(&image, w, h, image::ExtendedColorType::Rgb8).unwrap();
    files.push(("webp, with JPEG's prefix", webp));
    if !big {
        files.push(("tiff", tiff(value)));
    }
    files
}

/// A PNG whose eXIf chunk follows the pixels, as some tools write it.
fn late_exif(exif: &[u8]) -> Vec<u8> {
    let mut png = Vec::new();
    picture().write_to(&mut Cursor::new(&mut png), ImageFormat::Png).unwrap();
    let body = [b"eXIf", exif].concat();
    let crc = body.iter().fold(!0u32, |crc, b| {
        (0..8).fold(crc ^ u32::from(*b), |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 })
    });
    let chunk = [&(exif.len() as u32).to_be_bytes()[..], &body, &(!crc).to_be_bytes()].concat();
    let end = png.len() - 12;
    png.splice(end..end, chunk);
    png
}

/// A TIFF in which the orientation replaces a tag that has its default value.
fn tiff(value: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let image = picture();
    TiffEncoder::new(Cursor::new(&mut bytes))
        .write_image(&image, image.width(), image.height(), image::ExtendedColorType::Rgb8)
        .unwrap();
    let at = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
    let entries = usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let mut tags: Vec<[u8; 12]> =
        (0..entries).map(|i| bytes[at + 2 + 12 * i..at + 14 + 12 * i].try_into().unwrap()).collect();
    let mut tag = [0; 12];
    tag[..2].copy_from_slice(&0x112u16.to_le_bytes());
    tag[2..4].copy_from_slice(&3u16.to_le_bytes());
    tag[4..8].copy_from_slice(&1u32.to_le_bytes());
    tag[8..10].copy_from_slice(&value.to_le_bytes());
    tags.push(tag);
    tags.sort_by_key(|t| u16::from_le_bytes([t[0], t[1]]));
    // The new directory is at the end.
    let directory = bytes.len() as u32;
    bytes[4..8].copy_from_slice(&directory.to_le_bytes());
    bytes.extend((tags.len() as u16).to_le_bytes());
    tags.iter().for_each(|t| bytes.extend(t));
    bytes.extend([0; 4]);
    bytes
}

#[test]
fn orientations_are_applied() {
    for (value, big) in (1..=8).flat_map(|v| [(v, false), (v, true)]) {
        for (format, bytes) in oriented(value, big) {
            let (found, expected) = (decode(&bytes).unwrap().into_rgb8(), upright(&picture(), value));
            assert_eq!(found.dimensions(), expected.dimensions(), "{format}, orientation {value}");
            let far = found.iter().zip(expected.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            // Colours bleed a little across the edges of JPEG blocks.
            let most = if format == "jpeg" { 80 } else { 0 };
            assert!(far <= most, "{format}, orientation {value}: {far}");
        }
    }
}

#[test]
fn invalid_orientations_are_ignored() {
    for value in [0, 9, 255, 65535] {
        for (format, bytes) in oriented(value, false) {
            assert_eq!(decode(&bytes).unwrap().into_rgb8().dimensions(), (48, 32), "{format}, {value}");
        }
    }
}

fn alpha_of(v: u16) -> u16 {
    v / 2
}

/// Every bit depth of PNG and TIFF, with and without colour and alpha: a single value, at its position on the scale.
#[test]
fn every_depth_is_scaled() {
    use image::ExtendedColorType::*;
    for (colour, bits) in [(L8, 8), (La8, 8), (Rgb8, 8), (Rgba8, 8), (L16, 16), (La16, 16), (Rgb16, 16), (Rgba16, 16)] {
        for format in [ImageFormat::Png, ImageFormat::Tiff] {
            if format == ImageFormat::Tiff && matches!(colour, La8 | La16) {
                continue; // Its encoder has none.
            }
            let alpha = matches!(colour, La8 | Rgba8 | La16 | Rgba16);
            let channels = usize::from(colour.channel_count());
            let value: u16 = if bits == 8 { 200 } else { 200 * 257 };
            let pixel: Vec<u16> = (0..channels)
                .map(|c| if alpha && c == channels - 1 { alpha_of(u16::MAX >> (16 - bits)) } else { value })
                .collect();
            let samples: Vec<u16> = pixel.iter().copied().cycle().take(20 * 20 * channels).collect();
            let raw: Vec<u8> = match bits {
                8 => samples.iter().map(|v| *v as u8).collect(),
                _ => samples.iter().flat_map(|v| v.to_ne_bytes()).collect(),
            };
            let mut bytes = Vec::new();
            image::write_buffer_with_format(&mut Cursor::new(&mut bytes), &raw, 20, 20, colour, format).unwrap();
            let image = decode(&bytes).unwrap();
            // Half transparent, composited on black.
            let expected = if alpha { 100 } else { 200 };
            for out in [1, 3] {
                let fitted = fit(&image, 16, out);
                assert!(fitted.iter().all(|v| v.abs_diff(expected) <= 1), "{colour:?} {format:?}: {}", fitted[0]);
            }
        }
    }
}

/// PNG's depths below 8 bits and its palettes, which the encoder does not write: rows of one colour, stored raw.
#[test]
fn small_depths_and_palettes_of_png() {
    for (kind, depth, word, expected) in [
        (0u8, 1u8, 0xFFu8, 255u8),
        (0, 1, 0x00, 0),
        (0, 2, 0b1010_1010, 170),
        (0, 4, 0x33, 51),
        (3, 1, 0xFF, 90),
        (3, 2, 0x55, 90),
        (3, 4, 0x11, 90),
        (3, 8, 0x01, 90),
    ] {
        let bytes = raw_png(kind, depth, word);
        let fitted = fit(&decode(&bytes).unwrap(), 16, 1);
        assert!(fitted.iter().all(|v| *v == expected), "kind {kind}, {depth} bits: {}", fitted[0]);
    }
}

/// A 16 x 16 PNG whose rows consist of `word`; its palette is black and grey 90.
fn raw_png(kind: u8, depth: u8, word: u8) -> Vec<u8> {
    let chunk = |kind: &[u8], data: &[u8]| {
        let body = [kind, data].concat();
        let crc = body.iter().fold(!0u32, |crc, b| {
            (0..8).fold(crc ^ u32::from(*b), |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 })
        });
        [&(data.len() as u32).to_be_bytes()[..], &body, &(!crc).to_be_bytes()].concat()
    };
    let row = [vec![0], vec![word; 2 * usize::from(depth)]].concat();
    let raw = row.repeat(16);
    let (length, inverse) = ((raw.len() as u16).to_le_bytes(), (!(raw.len() as u16)).to_le_bytes());
    let (a, b) = raw.iter().fold((1u32, 0u32), |(a, b), v| {
        let a = (a + u32::from(*v)) % 65521;
        (a, (b + a) % 65521)
    });
    let adler = (b << 16 | a).to_be_bytes();
    let deflated = [&[0x78, 1, 1][..], &length, &inverse, &raw, &adler].concat();
    let header = [0, 0, 0, 16, 0, 0, 0, 16, depth, kind, 0, 0, 0];
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    out.extend(chunk(b"IHDR", &header));
    if kind == 3 {
        out.extend(chunk(b"PLTE", &[0, 0, 0, 90, 90, 90]));
    }
    out.extend(chunk(b"IDAT", &deflated));
    out.extend(chunk(b"IEND", &[]));
    out
}

/// A single-coloured picture takes hardly a byte and is not a damaged file.
#[test]
fn blank_pictures_are_read() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff] {
        let mut bytes = Vec::new();
        RgbImage::from_pixel(512, 512, Rgb([30; 3])).write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        assert_eq!(decode(&bytes).unwrap().into_rgb8().dimensions(), (512, 512), "{format:?}");
    }
}

/// A PNG with these sides, whose header and checksum were changed afterwards.
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
        (16_000, 16_000, "cannot fit in"),
        (16_385, 1, "16385 x 1 pixels; at most 16384 per side"),
        (1, 16_385, "1 x 16385 pixels; at most 16384 per side"),
        (u32::MAX >> 1, u32::MAX >> 1, "2147483647 x 2147483647 pixels; at most 16384"),
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
    assert!(read(Path::new("/dev/zero")).unwrap_err().contains("not a regular file"));
    let path = dir.path().join("a.jpg");
    std::fs::write(&path, claiming(20, 20)).unwrap();
    assert_eq!(side(&path).unwrap(), 20, "identified by content");
}

/// A little-endian TIFF of 2 x 2 pixels in one strip, with these bits per sample, photometric interpretation and sample format.
fn plain_tiff(bits: u16, photometric: u16, format: u16) -> Vec<u8> {
    let colours = if photometric == 3 { 3 << bits } else { 0 };
    let (pixels, map) = (8, 8 + 4 * u32::from(bits) / 8);
    let directory = map + 2 * colours;
    let short = |tag: u16, value: u16| (tag, 3u16, 1u32, u32::from(value));
    let mut tags = vec![
        short(256, 2),
        short(257, 2),
        short(258, bits),
        short(259, 1),
        short(262, photometric),
        (273, 4, 1, pixels),
        short(277, 1),
        short(278, 2),
        (279, 4, 1, map - pixels),
    ];
    tags.extend((colours > 0).then_some((320, 3, colours, map)));
    tags.push(short(339, format));
    let mut bytes = [&b"II*\0"[..], &directory.to_le_bytes()].concat();
    bytes.resize(directory as usize, 0);
    bytes.extend((tags.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in tags {
        bytes
            .extend([&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat());
    }
    bytes.extend([0; 4]);
    bytes
}

#[test]
fn kinds_of_tiff_that_are_not_read_come_with_a_remedy() {
    assert!(decode(&plain_tiff(8, 1, 1)).is_ok() && decode(&plain_tiff(16, 1, 1)).is_ok(), "grey is read");
    for (bits, photometric, format, what) in [(8, 3, 1, "palette"), (32, 1, 2, "signed"), (32, 1, 3, "float")] {
        let refusal = decode(&plain_tiff(bits, photometric, format)).expect_err(what);
        assert!(refusal.contains("convert it to PNG of 8 or 16 bits"), "{what}: {refusal}");
    }
}
