use crate::data::picture::decode;
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use std::io::Cursor;

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

fn colour() -> DynamicImage {
    DynamicImage::from(RgbImage::from_fn(40, 30, |x, y| Rgb([(x * 6) as u8, (y * 8) as u8, (x * y % 200) as u8])))
}

fn jpeg() -> Vec<u8> {
    encoded(&colour(), ImageFormat::Jpeg)
}

/// A JPEG segment.
fn segment(marker: u8, data: &[u8]) -> Vec<u8> {
    [&[0xFF, marker][..], &(data.len() as u16 + 2).to_be_bytes(), data].concat()
}

fn with_segment(jpeg: &[u8], segment: &[u8]) -> Vec<u8> {
    [&jpeg[..2], segment, &jpeg[2..]].concat()
}

/// The position of each marker of the JPEG, by the simplest search.
fn markers(jpeg: &[u8]) -> Vec<usize> {
    (0..jpeg.len() - 1).filter(|&i| jpeg[i] == 0xFF && !matches!(jpeg[i + 1], 0 | 0xFF)).collect()
}

#[test]
fn what_follows_the_end_of_image_is_ignored() {
    let good = jpeg();
    let expected = decode(&good).unwrap();
    for trailer in [
        &b"\xff\xda"[..],
        b"\xff\xd8\xff\xda",
        b"\0",
        b"\xff",
        b"\xff\xff\xff\xff",
        b"\xff\xd8",
        b"\xff\xc4\x7f\xff",
        b"\xff\xda\x00\x08 an invalid scan",
        b"\r\n",
        b"text of a vendor",
        &[0; 4096],
        &good,
        &good[..good.len() / 2],
        b"\xff\xd9\xff\xda\xff\xd9",
        b"PK\x03\x04",
    ] {
        let image = decode(&[&good, trailer].concat()).unwrap_or_else(|e| panic!("{trailer:?}: {e}"));
        assert_eq!(image, expected, "{trailer:?}");
    }
    let png = encoded(&colour(), ImageFormat::Png);
    for trailer in [&b"x"[..], &png, &png[..60], b"IEND\xae\x42\x60\x82"] {
        assert_eq!(decode(&[&png, trailer].concat()).unwrap(), colour());
    }
    let webp = encoded(&colour(), ImageFormat::WebP);
    assert_eq!(decode(&[&webp[..], b"behind"].concat()).unwrap(), colour());
}

#[test]
fn truncation_is_detected_at_every_byte() {
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff] {
        let good = encoded(&colour(), format);
        assert!(decode(&good).is_ok());
        for length in 0..good.len() {
            assert!(decode(&good[..length]).is_err(), "{format:?} of {} bytes cut to {length}", good.len());
        }
    }
}

/// A thumbnail's end-of-image marker and scan are inside a segment and end nothing.
#[test]
fn thumbnails_inside_do_not_count() {
    let (good, small) = (jpeg(), encoded(&DynamicImage::from(GrayImage::new(16, 16)), ImageFormat::Jpeg));
    let expected = decode(&good).unwrap();
    for marker in [0xE1, 0xE2, 0xED, 0xFE] {
        let holding = with_segment(&good, &segment(marker, &[b"thumbnail\0", &small[..]].concat()));
        assert_eq!(decode(&holding).unwrap(), expected, "{marker:X}");
        // Cut after the thumbnail's end: at each marker of the image itself, and at the byte before its end.
        let inside = 2 + 4 + 10 + small.len();
        for cut in markers(&holding).into_iter().filter(|m| *m >= inside).chain([holding.len() - 1, inside + 1]) {
            assert_eq!(decode(&holding[..cut]).unwrap_err(), "truncated", "{marker:X}, cut at {cut}");
        }
        // The same with a thumbnail after the truncated image.
        let cut = [&holding[..holding.len() - 40], &small[..0]].concat();
        assert_eq!(decode(&cut).unwrap_err(), "truncated");
    }
}

#[test]
fn fill_bytes_and_restart_markers_are_no_ends() {
    let good = jpeg();
    let expected = decode(&good).unwrap();
    // Any marker may be preceded by fill bytes.
    let filled = [&good[..2], &[0xFF; 5], &good[2..]].concat();
    assert_eq!(decode(&filled).unwrap(), expected);
    let filled = [&good[..good.len() - 2], &[0xFF; 3], &good[good.len() - 2..]].concat();
    assert_eq!(decode(&filled).unwrap(), expected);
}

/// A grey image of 16 blocks with a restart marker after each, as DRI states; all blocks have the same bits.
#[test]
fn restart_markers_are_walked_over() {
    let flat = |side| DynamicImage::from(GrayImage::from_pixel(side, side, Luma([128])));
    let block = encoded(&flat(8), ImageFormat::Jpeg);
    let mut bytes = block.clone();
    let frame = bytes.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    bytes[frame + 5..frame + 9].copy_from_slice(&[0, 32, 0, 32]);
    let scan = bytes.windows(2).position(|w| w == [0xFF, 0xDA]).unwrap();
    let pixels = scan + 2 + usize::from(bytes[scan + 3]);
    let data = bytes[pixels..bytes.len() - 2].to_vec();
    bytes.truncate(pixels);
    for i in 0..16u8 {
        bytes.extend(&data);
        bytes.extend([0xFF, if i == 15 { 0xD9 } else { 0xD0 + i % 8 }]);
    }
    let bytes = with_segment(&bytes, &segment(0xDD, &[0, 1]));
    assert_eq!(decode(&bytes).unwrap(), flat(32));
    assert_eq!(decode(&[&bytes[..], b"\xff\xda\xff\xd0"].concat()).unwrap(), flat(32));
    for cut in markers(&bytes) {
        assert!(decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn other_kinds_of_jpeg_are_named() {
    for (marker, bits, needle) in [
        (0xC3, 12, "lossless, 12 bits"),
        (0xC3, 16, "lossless, 16 bits"),
        (0xC1, 12, "extended, 12 bits"),
        (0xC7, 8, "hierarchical"),
        (0xC9, 8, "arithmetic-coded"),
        (0xF7, 8, "JPEG-LS"),
    ] {
        let mut bytes = jpeg();
        let frame = bytes.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
        (bytes[frame + 1], bytes[frame + 4]) = (marker, bits);
        let what = decode(&bytes).unwrap_err();
        assert!(what.contains(needle) && what.contains("only baseline and progressive"), "{what}");
    }
    assert!(decode(b"\xff\xd8\xff\xd9").is_err());
}

#[test]
fn other_formats_are_named() {
    let dicom = [&[0; 128][..], b"DICM", &[0; 40]].concat();
    for (bytes, needle) in [
        (&b"GIF89a\x01\0\x01\0\0\0\0;"[..], "of the kind Gif; PNG, JPEG, TIFF, BMP and WebP are read"),
        (&dicom, "DICOM"),
        (b"hello", "none of PNG"),
        (b"", "empty file"),
    ] {
        let what = decode(bytes).unwrap_err();
        assert!(what.contains(needle), "{what}");
    }
}

#[test]
fn progressive_jpeg_is_read_whole_or_not_at_all() {
    let bytes = include_bytes!("../../../tests/pictures/progressive.jpg");
    let scans = markers(bytes).into_iter().filter(|at| bytes[at + 1] == 0xDA).count();
    assert!(bytes.windows(2).any(|w| w == [0xFF, 0xC2]) && scans > 2, "{scans} scans");
    let image = decode(bytes).unwrap().to_rgb8();
    assert_eq!(image.dimensions(), (16, 16));
    // Red increases along the rows, green down the columns, blue decreases.
    let [first, last] = [image.get_pixel(1, 1).0, image.get_pixel(14, 14).0];
    assert!(first[0] < 60 && last[0] > 200 && first[2] > 200 && last[2] < 60, "{first:?} {last:?}");
    let frame = bytes.windows(2).position(|w| w == [0xFF, 0xC2]).unwrap();
    for cut in markers(bytes) {
        let what = decode(&bytes[..cut]).unwrap_err();
        assert!(cut <= frame || what == "truncated", "cut at {cut}: {what}");
    }
    assert_eq!(decode(&[&bytes[..], b"\xff\xd8\xff\xdatrailer"].concat()).unwrap().to_rgb8(), image);
}

#[test]
fn tiff_of_one_bit_is_read() {
    let image = decode(include_bytes!("../../../tests/pictures/one-bit-group4.tif")).unwrap().to_luma8();
    for (x, y, pixel) in image.enumerate_pixels() {
        let inside = (2..9).contains(&x) && (4..12).contains(&y);
        assert_eq!(pixel.0[0], if inside { 255 } else { 0 }, "{x} {y}");
    }
}

#[test]
fn tags_of_tiff_fit_in_the_file() {
    let bytes = encoded(&colour(), ImageFormat::Tiff);
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let directory = word(4);
    let tags = usize::from(bytes[directory]);
    assert!(bytes.starts_with(b"II*\0") && tags > 8 && decode(&bytes).is_ok());
    for tag in 0..tags {
        for count in [1 << 21, 1 << 26, u32::MAX] {
            let mut broken = bytes.clone();
            broken[directory + 2 + 12 * tag + 4..][..4].copy_from_slice(&u32::to_le_bytes(count));
            assert_eq!(decode(&broken).unwrap_err(), "truncated", "tag {tag} of {count} values");
        }
    }
    for (at, value) in [(4, u32::MAX), (4, bytes.len() as u32 - 1), (directory, 0xFFFF)] {
        let mut broken = bytes.clone();
        broken[at..][..4].copy_from_slice(&value.to_le_bytes());
        assert_eq!(decode(&broken).unwrap_err(), "truncated", "{value} at {at}");
    }
    // BigTIFF: words of 8 bytes, a directory outside the file, and one whose tag is too large.
    let big = |directory: u64, count: u64| {
        let mut bytes = [&b"II+\0\x08\0\0\0"[..], &directory.to_le_bytes()].concat();
        bytes.extend(1u64.to_le_bytes());
        bytes.extend([0x3D, 1, 3, 0]);
        bytes.extend(count.to_le_bytes());
        bytes.extend([0; 16]);
        bytes
    };
    for (directory, count) in [(u64::MAX - 4, 1), (1 << 40, 1), (16, 1 << 40), (16, u64::MAX), (16, 30)] {
        assert_eq!(decode(&big(directory, count)).unwrap_err(), "truncated", "{directory} {count}");
    }
    assert_ne!(decode(&big(16, 2)).unwrap_err(), "truncated");
}
