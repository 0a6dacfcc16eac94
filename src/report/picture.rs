//! Grids of images as PNG: generated samples, real images, both side by side.

use image::{ImageEncoder, Rgb, RgbImage};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::io::{BufRead, Cursor, Seek};

use super::font;
use crate::{Error, Result};

/// Pixels between two images, and around all.
const GUTTER: usize = 2;
/// Colour of the gutter; neither black nor white, the most common borders of medical images.
const BACKGROUND: Rgb<u8> = Rgb([96, 96, 104]);
/// Colour of a pixel that is not a number: it does not occur in medical images.
const NOT_A_NUMBER: [u8; 3] = [255, 0, 255];
/// Grids are enlarged by an integer factor to about this width.
const TARGET_WIDTH: usize = 640;
/// Height of a label strip.
const STRIP: u32 = 26;

/// A grid of `n` generated images with values in [-1, 1], NHWC, `channels` 1 or 3, `size` x `size` pixels, `columns`
/// per row.
///
/// Values outside the range are clamped, NaN becomes magenta. Small images are enlarged (nearest neighbour, by an
/// integer factor that depends on `size` and `columns` only) to a width of about 640 pixels.
///
/// # Errors
/// [`Error::Internal`] if the sizes do not fit or `channels` is neither 1 nor 3.
pub fn grid(images: &[f32], n: usize, size: usize, channels: usize, columns: usize) -> Result<RgbImage> {
    check(images.len(), n, size, channels, columns)?;
    Ok(arrange(n, size, columns, |i, y, x| {
        let at = ((i * size + y) * size + x) * channels;
        colour(&images[at..at + channels])
    }))
}

/// One image in [-1, 1], NHWC, pixel for pixel: neither enlarged nor framed.
///
/// # Errors
/// As [`grid`].
pub fn single(image: &[f32], size: usize, channels: usize) -> Result<RgbImage> {
    check(image.len(), 1, size, channels, 1)?;
    Ok(RgbImage::from_fn(size as u32, size as u32, |x, y| {
        let at = (y as usize * size + x as usize) * channels;
        Rgb(colour(&image[at..at + channels]))
    }))
}

/// A pixel of one or three values in [-1, 1]: the inverse of the loader's u8 / 127.5 - 1.
fn colour(pixel: &[f32]) -> [u8; 3] {
    if pixel.iter().any(|v| v.is_nan()) {
        return NOT_A_NUMBER;
    }
    let byte = |v: f32| ((v + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8;
    if pixel.len() == 3 { [byte(pixel[0]), byte(pixel[1]), byte(pixel[2])] } else { [byte(pixel[0]); 3] }
}

/// [`grid`] for `n` real images as stored: u8, NHWC.
///
/// # Errors
/// As [`grid`].
pub fn grid_u8(images: &[u8], n: usize, size: usize, channels: usize, columns: usize) -> Result<RgbImage> {
    check(images.len(), n, size, channels, columns)?;
    Ok(arrange(n, size, columns, |i, y, x| {
        let at = ((i * size + y) * size + x) * channels;
        if channels == 3 { [images[at], images[at + 1], images[at + 2]] } else { [images[at]; 3] }
    }))
}

fn check(len: usize, n: usize, size: usize, channels: usize, columns: usize) -> Result<()> {
    let fits = [n, size, size, channels].iter().try_fold(1usize, |a, b| a.checked_mul(*b)) == Some(len);
    if !fits || n == 0 || size == 0 || columns == 0 || !matches!(channels, 1 | 3) {
        return Err(Error::internal(format!(
            "image grid: {len} values for {n} images of {size} x {size} x {channels} in {columns} columns"
        )));
    }
    Ok(())
}

/// Paints the grid: `pixel(image, y, x)` is called once for every enlarged pixel.
fn arrange(n: usize, size: usize, columns: usize, pixel: impl Fn(usize, usize, usize) -> [u8; 3]) -> RgbImage {
    let factor = enlargement(size, columns);
    painted(n, size * factor, columns, |i, y, x| pixel(i, y / factor, x / factor))
}

/// The factor by which a grid's images are enlarged.
fn enlargement(size: usize, columns: usize) -> usize {
    (TARGET_WIDTH.saturating_sub(GUTTER) / columns).saturating_sub(GUTTER).div_euclid(size).max(1)
}

/// A grid of images of `cell` x `cell` pixels.
fn painted(n: usize, cell: usize, columns: usize, pixel: impl Fn(usize, usize, usize) -> [u8; 3]) -> RgbImage {
    let extent = |count: usize| (GUTTER + count * (cell + GUTTER)) as u32;
    RgbImage::from_fn(extent(columns), extent(n.div_ceil(columns)), |x, y| {
        // Position relative to the first image's corner; within a cell's period the gutter comes last.
        let split = |v: u32| (v as usize).checked_sub(GUTTER).map(|v| (v / (cell + GUTTER), v % (cell + GUTTER)));
        match (split(x), split(y)) {
            (Some((column, x)), Some((row, y))) if x < cell && y < cell && row * columns + column < n => {
                Rgb(pixel(row * columns + column, y, x))
            }
            _ => BACKGROUND,
        }
    })
}

/// The first `keep` images of the first `keep` rows of a [`grid`] of images, not enlarged; `None` if `picture` is no such grid.
pub fn corner(picture: &RgbImage, size: usize, columns: usize, keep: usize) -> Option<RgbImage> {
    let (factor, [width, height]) =
        (enlargement(size, columns), [picture.width(), picture.height()].map(|v| v as usize));
    let period = size * factor + GUTTER;
    let rows = height.checked_sub(GUTTER)? / period;
    if width != GUTTER + columns * period || height != GUTTER + rows * period || rows == 0 || keep == 0 {
        return None;
    }
    let (across, down) = (keep.min(columns), keep.min(rows));
    Some(painted(across * down, size, across, |i, y, x| {
        let at = |index: usize, within: usize| (GUTTER + index * period + within * factor) as u32;
        picture.get_pixel(at(i % across, x), at(i / across, y)).0
    }))
}

/// Width and height of a [`grid`] with `columns` rows.
pub fn square(size: usize, columns: usize) -> u32 {
    (GUTTER + columns * (size * enlargement(size, columns) + GUTTER)) as u32
}

/// Pictures side by side, each below a strip with its label ("samples", "real").
///
/// # Errors
/// [`Error::Internal`] without pictures, or if the labels cannot be drawn.
pub fn side_by_side(parts: &[(&str, &RgbImage)]) -> Result<RgbImage> {
    let gap = 4 * GUTTER as u32;
    let height = parts.iter().map(|(_, picture)| picture.height()).max().unwrap_or(0) + STRIP;
    let width = parts.iter().map(|(_, picture)| picture.width() + gap).sum::<u32>().saturating_sub(gap);
    if width == 0 {
        return Err(Error::internal("no pictures to combine"));
    }
    let mut canvas = RgbImage::from_pixel(width, height, BACKGROUND);
    let mut left = 0;
    let mut labels = Vec::with_capacity(parts.len());
    for (label, picture) in parts {
        image::imageops::replace(&mut canvas, *picture, i64::from(left), i64::from(STRIP));
        labels.push((*label, left as i32 + 6));
        left += picture.width() + gap;
    }
    draw_labels(&mut canvas, &labels)?;
    Ok(canvas)
}

/// Writes the labels into the strip at the top.
fn draw_labels(canvas: &mut RgbImage, labels: &[(&str, i32)]) -> Result<()> {
    let failed = |e: &dyn std::fmt::Display| Error::internal(format!("label of a picture: {e}"));
    let size = canvas.dimensions();
    let style =
        TextStyle::from((font::family()?, 18.0).into_font()).color(&WHITE).pos(Pos::new(HPos::Left, VPos::Center));
    let area = BitMapBackend::with_buffer(canvas, size).into_drawing_area();
    for (label, x) in labels {
        area.draw_text(label, &style, (*x, STRIP as i32 / 2 + 2)).map_err(|e| failed(&e))?;
    }
    area.present().map_err(|e| failed(&e))
}

/// The bytes of a PNG file; equal pictures give equal bytes.
///
/// # Errors
/// [`Error::Internal`] if the encoder fails.
pub fn encode_png(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    image::codecs::png::PngEncoder::new(&mut bytes)
        .write_image(picture.as_raw(), picture.width(), picture.height(), image::ExtendedColorType::Rgb8)
        .map_err(|e| Error::internal(format!("PNG encoder: {e}")))?;
    Ok(bytes.into_inner())
}

/// [`encode_png`] in fewer bytes: one channel where the picture is grey, and the slowest compression.
///
/// # Errors
/// As [`encode_png`].
pub fn encode_small_png(picture: &RgbImage) -> Result<Vec<u8>> {
    use image::ExtendedColorType::{L8, Rgb8};
    use image::codecs::png::{CompressionType, FilterType, PngEncoder};
    // The frame is a bluish grey, and becomes grey with the images.
    let grey = |p: &Rgb<u8>| *p == BACKGROUND || (p.0[0] == p.0[1] && p.0[1] == p.0[2]);
    let (data, colour) = match picture.pixels().all(grey) {
        true => (picture.pixels().map(|p| p.0[0]).collect(), L8),
        false => (picture.as_raw().clone(), Rgb8),
    };
    let mut bytes = Cursor::new(Vec::new());
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive)
        .write_image(&data, picture.width(), picture.height(), colour)
        .map_err(|e| Error::internal(format!("PNG encoder: {e}")))?;
    Ok(bytes.into_inner())
}

/// The keyword of the text in a PNG file that names the software (PNG specification, table of keywords).
pub const SOFTWARE: &str = "Software";

/// [`encode_png`] with a [`SOFTWARE`] text.
///
/// # Errors
/// As [`encode_png`].
pub fn encode_png_by(picture: &RgbImage, software: &str) -> Result<Vec<u8>> {
    let fail = |e: png::EncodingError| Error::internal(format!("PNG encoder: {e}"));
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, picture.width(), picture.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.add_text_chunk(SOFTWARE.into(), software.into()).map_err(fail)?;
    let mut writer = encoder.write_header().map_err(fail)?;
    writer.write_image_data(picture.as_raw()).map_err(fail)?;
    writer.finish().map_err(fail)?;
    Ok(bytes)
}

/// The text under `keyword` before the pixels of a PNG file; `None` if there is none, or it is not a PNG file.
pub fn png_text(file: impl BufRead + Seek, keyword: &str) -> Option<String> {
    let reader = png::Decoder::new(file).read_info().ok()?;
    let found = reader.info().uncompressed_latin1_text.iter().find(|text| text.keyword == keyword);
    found.map(|text| text.text.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_map_to_bytes_and_back() {
        // The loader's mapping, for every byte.
        let images: Vec<f32> = (0..=255u8).map(|b| f32::from(b) / 127.5 - 1.0).collect();
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(grid(&images, 1, 16, 1, 1).unwrap(), grid_u8(&bytes, 1, 16, 1, 1).unwrap());
    }

    #[test]
    fn out_of_range_is_clamped_and_nan_shows() {
        let picture = grid(&[-7.0, 7.0, f32::NAN, f32::INFINITY], 1, 2, 1, 1).unwrap();
        let factor = (picture.width() - 2 * GUTTER as u32) / 2;
        let at = |x: u32, y: u32| picture.get_pixel(GUTTER as u32 + x * factor, GUTTER as u32 + y * factor).0;
        assert_eq!([at(0, 0), at(1, 0), at(0, 1), at(1, 1)], [[0; 3], [255; 3], NOT_A_NUMBER, [255; 3]]);
    }

    #[test]
    fn every_image_is_in_its_cell() {
        // Image i is one colour: red 10 i, green 20, blue 255 - i.
        let (n, size, columns) = (7, 4, 3);
        let images: Vec<u8> = (0..n as u8).flat_map(|i| [10 * i, 20, 255 - i].repeat(size * size)).collect();
        let picture = grid_u8(&images, n, size, 3, columns).unwrap();
        let cell = (picture.width() as usize - GUTTER) / columns - GUTTER;
        assert_eq!(cell % size, 0);
        assert!((560..=640).contains(&picture.width()), "{}", picture.width());
        assert_eq!(picture.height() as usize, GUTTER + 3 * (cell + GUTTER));
        let mut counts = vec![0usize; n];
        for (x, y, pixel) in picture.enumerate_pixels() {
            let image = (y as usize / (cell + GUTTER)) * columns + x as usize / (cell + GUTTER);
            if *pixel != BACKGROUND {
                assert_eq!(pixel.0, [10 * image as u8, 20, 255 - image as u8], "({x}, {y})");
                counts[image] += 1;
            }
        }
        assert_eq!(counts, vec![cell * cell; n]);
    }

    #[test]
    fn a_corner_has_the_first_images_as_they_were() {
        let (size, columns) = (16, 8);
        let images: Vec<u8> = (0..64 * size * size).map(|i| (i * 7 / 5) as u8).collect();
        let whole = grid_u8(&images, 64, size, 1, columns).unwrap();
        assert_eq!([whole.width(), whole.height()], [square(size, columns); 2]);
        let small = corner(&whole, size, columns, 3).unwrap();
        assert_eq!(small.width() as usize, GUTTER + 3 * (size + GUTTER));
        let at = |image: usize, x: u32, y: u32| {
            let of = |place: usize| (GUTTER + place * (size + GUTTER)) as u32;
            small.get_pixel(of(image % 3) + x, of(image / 3) + y).0
        };
        for (shown, image) in [(0, 0), (2, 2), (3, 8), (8, 18)] {
            for (x, y) in [(0, 0), (15, 0), (4, 9)] {
                let byte = images[(image * size + y as usize) * size + x as usize];
                assert_eq!(at(shown, x, y), [byte; 3], "image {image}");
            }
        }
        // Fewer rows than columns, and pictures of other sizes.
        let wide = grid_u8(&images[..16 * size * size], 16, size, 1, columns).unwrap();
        assert_eq!(corner(&wide, size, columns, 8).unwrap().height() as usize, GUTTER + 2 * (size + GUTTER));
        assert!(corner(&whole, 48, columns, 3).is_none() && corner(&RgbImage::new(1, 1), size, columns, 3).is_none());
        let (plain, least) = (encode_png(&small).unwrap(), encode_small_png(&small).unwrap());
        assert!(least.len() < plain.len(), "{} of {}", least.len(), plain.len());
        let grey = image::load_from_memory(&least).unwrap();
        assert!(grey.color() == image::ColorType::L8 && grey.to_rgb8().get_pixel(9, 9) == small.get_pixel(9, 9));
        let red = RgbImage::from_pixel(4, 4, Rgb([200, 0, 0]));
        assert_eq!(image::load_from_memory(&encode_small_png(&red).unwrap()).unwrap().to_rgb8(), red);
    }

    #[test]
    fn orientation_is_kept() {
        // One bright pixel at row 0, column 1.
        let picture = grid_u8(&[0, 200, 0, 0], 1, 2, 1, 1).unwrap();
        let (far, near) = (picture.width() - GUTTER as u32 - 1, GUTTER as u32);
        assert_eq!(picture.get_pixel(far, near).0, [200; 3]);
        assert_eq!(picture.get_pixel(near, far).0, [0; 3]);
    }

    #[test]
    fn large_images_are_not_enlarged() {
        assert_eq!(grid_u8(&[0; 4 * 256 * 256], 4, 256, 1, 4).unwrap().width() as usize, GUTTER + 4 * (256 + GUTTER));
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        assert!(grid(&[0.0; 15], 1, 4, 1, 1).is_err());
        assert!(grid(&[0.0; 32], 1, 4, 2, 1).is_err());
        assert!(grid(&[0.0; 16], 1, 4, 1, 0).is_err());
        assert!(grid(&[], 0, 4, 1, 1).is_err());
        assert!(side_by_side(&[]).is_err());
    }

    #[test]
    fn a_pair_shows_both_under_labels_and_survives_png() {
        let left = grid_u8(&[30; 16], 1, 4, 1, 1).unwrap();
        let right = grid_u8(&[220; 32], 2, 4, 1, 2).unwrap();
        let pair = side_by_side(&[("samples", &left), ("real", &right)]).unwrap();
        assert_eq!(pair.height(), left.height().max(right.height()) + STRIP);
        assert_eq!(pair.get_pixel(20, STRIP + 20).0, [30; 3]);
        assert_eq!(pair.get_pixel(pair.width() - 20, STRIP + 20).0, [220; 3]);
        let strip_ink = (0..left.width()).any(|x| (0..STRIP).any(|y| *pair.get_pixel(x, y) != BACKGROUND));
        assert!(strip_ink, "the label is drawn");

        let (png, marked) = (encode_png(&pair).unwrap(), encode_png_by(&pair, "this test").unwrap());
        for bytes in [&png, &marked] {
            assert_eq!(image::load_from_memory(bytes).unwrap().to_rgb8(), pair);
        }
        assert_eq!(encode_png_by(&pair, "this test").unwrap(), marked);
        assert_eq!(png_text(Cursor::new(&marked), SOFTWARE).as_deref(), Some("this test"));
        for none in [&png[..], b"", b"\x89PNG\r\n\x1a\n", &marked[..40], b"Software this test"] {
            assert_eq!(png_text(Cursor::new(none), SOFTWARE), None);
        }
    }
}
