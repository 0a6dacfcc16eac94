//! Converts an image of any shape to `size` x `size` pixels with one or three channels.

use image::DynamicImage;
use image::imageops::{self, FilterType};

/// The centre square of `image`, resized to `size` (Lanczos3 down, Catmull-Rom up), as bytes `[size][size][channels]`.
/// One channel is the Rec. 709 luma; grey becomes RGB by repetition; transparent pixels are composited on black. The
/// image must have at least one pixel.
pub(crate) fn fit(image: &DynamicImage, size: usize, channels: usize) -> Vec<u8> {
    let (width, height) = (image.width(), image.height());
    let side = width.min(height);
    let square = opaque(image.crop_imm((width - side) / 2, (height - side) / 2, side, side));
    let target = size as u32;
    let filter = if side > target { FilterType::Lanczos3 } else { FilterType::CatmullRom };
    if channels == 1 {
        let grey = square.into_luma8();
        if side == target { grey } else { imageops::resize(&grey, target, target, filter) }.into_raw()
    } else {
        let rgb = square.into_rgb8();
        if side == target { rgb } else { imageops::resize(&rgb, target, target, filter) }.into_raw()
    }
}

/// The picture with its colours multiplied by its alpha channel. The colour under transparent pixels is arbitrary, and
/// black is the background of medical images.
fn opaque(mut image: DynamicImage) -> DynamicImage {
    if !is_translucent(&image) {
        return image;
    }
    match &mut image {
        DynamicImage::ImageLumaA8(i) => bytes(i, 2),
        DynamicImage::ImageRgba8(i) => bytes(i, 4),
        DynamicImage::ImageLumaA16(i) => words(i, 2),
        DynamicImage::ImageRgba16(i) => words(i, 4),
        DynamicImage::ImageRgba32F(i) => i.pixels_mut().for_each(|p| {
            let alpha = p.0[3].clamp(0.0, 1.0);
            p.0[..3].iter_mut().for_each(|v| *v *= alpha);
        }),
        _ => {}
    }
    image
}

fn bytes(raw: &mut [u8], channels: usize) {
    for pixel in raw.chunks_exact_mut(channels) {
        let alpha = u32::from(pixel[channels - 1]);
        pixel[..channels - 1].iter_mut().for_each(|v| *v = ((u32::from(*v) * alpha + 127) / 255) as u8);
    }
}

fn words(raw: &mut [u16], channels: usize) {
    for pixel in raw.chunks_exact_mut(channels) {
        let alpha = u64::from(pixel[channels - 1]);
        pixel[..channels - 1].iter_mut().for_each(|v| *v = ((u64::from(*v) * alpha + 32767) / 65535) as u16);
    }
}

/// Whether a pixel is not fully opaque.
pub(crate) fn is_translucent(image: &DynamicImage) -> bool {
    match image {
        DynamicImage::ImageLumaA8(i) => i.pixels().any(|p| p.0[1] < u8::MAX),
        DynamicImage::ImageRgba8(i) => i.pixels().any(|p| p.0[3] < u8::MAX),
        DynamicImage::ImageLumaA16(i) => i.pixels().any(|p| p.0[1] < u16::MAX),
        DynamicImage::ImageRgba16(i) => i.pixels().any(|p| p.0[3] < u16::MAX),
        DynamicImage::ImageRgba32F(i) => i.pixels().any(|p| p.0[3] < 1.0),
        _ => false,
    }
}

/// Whether a pixel's channels differ by more than lossy coding changes grey: 8 levels of 255.
pub(crate) fn is_coloured(image: &DynamicImage) -> bool {
    const LEVELS: u32 = 8;
    fn apart<T: Copy + PartialOrd>(p: &[T], far: impl Fn(T, T) -> bool) -> bool {
        far(p[0], p[1]) || far(p[1], p[2]) || far(p[0], p[2])
    }
    let bytes = |raw: &[u8], n| raw.chunks_exact(n).any(|p| apart(p, |a, b| u32::from(a.abs_diff(b)) > LEVELS));
    let words = |raw: &[u16], n| raw.chunks_exact(n).any(|p| apart(p, |a, b| u32::from(a.abs_diff(b)) > 257 * LEVELS));
    let floats = |raw: &[f32], n| raw.chunks_exact(n).any(|p| apart(p, |a, b| (a - b).abs() > LEVELS as f32 / 255.0));
    match image {
        DynamicImage::ImageRgb8(i) => bytes(i, 3),
        DynamicImage::ImageRgba8(i) => bytes(i, 4),
        DynamicImage::ImageRgb16(i) => words(i, 3),
        DynamicImage::ImageRgba16(i) => words(i, 4),
        DynamicImage::ImageRgb32F(i) => floats(i, 3),
        DynamicImage::ImageRgba32F(i) => floats(i, 4),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma, Rgb, RgbImage};

    #[test]
    fn grey_becomes_rgb_by_repetition() {
        let image = DynamicImage::from(GrayImage::from_fn(16, 16, |x, y| Luma([(x * 16 + y) as u8])));
        let rgb = fit(&image, 16, 3);
        let expected: Vec<u8> = fit(&image, 16, 1).iter().flat_map(|&v| [v; 3]).collect();
        assert_eq!(rgb, expected);
        assert_eq!(rgb[3 * 16], 1, "rows run from top to bottom");
    }

    #[test]
    fn transparent_pixels_are_composited_on_black() {
        use image::{LumaA, Rgba, Rgba32FImage, RgbaImage};
        let of = |image: DynamicImage, channels| fit(&image, 16, channels)[0];
        for (alpha, expected) in [(255, 200), (128, 100), (0, 0)] {
            let rgba = RgbaImage::from_pixel(16, 16, Rgba([200, 200, 200, alpha]));
            assert_eq!(of(rgba.clone().into(), 3), expected);
            assert!(of(rgba.into(), 1).abs_diff(expected) <= 1);
            assert_eq!(of(image::GrayAlphaImage::from_pixel(16, 16, LumaA([200, alpha])).into(), 1), expected);
            let (value, wide) = (200 * 257, u16::from(alpha) * 257);
            let words = image::ImageBuffer::from_pixel(16, 16, Rgba([value, value, value, wide]));
            assert_eq!(of(DynamicImage::ImageRgba16(words), 3), expected);
            let (value, share) = (200.0 / 255.0, f32::from(alpha) / 255.0);
            let floats = Rgba32FImage::from_pixel(16, 16, Rgba([value, value, value, share]));
            assert!(of(floats.into(), 3).abs_diff(expected) <= 1);
        }
    }

    #[test]
    fn colours_are_distinguished_from_grey() {
        let of = |rgb| is_coloured(&DynamicImage::from(RgbImage::from_pixel(3, 3, Rgb(rgb))));
        assert!(!of([90, 90, 90]) && !of([90, 92, 88]));
        assert!(of([90, 90, 120]) && of([255, 0, 0]));
        let words = |rgb| is_coloured(&DynamicImage::ImageRgb16(image::ImageBuffer::from_pixel(3, 3, Rgb(rgb))));
        assert!(!words([9000, 9100, 9000]) && words([0, 0, 65535]));
        assert!(!is_coloured(&DynamicImage::new_luma8(3, 3)));
    }

    #[test]
    fn rgb_becomes_luma() {
        let luma = |rgb| fit(&DynamicImage::from(RgbImage::from_pixel(20, 20, Rgb(rgb))), 16, 1)[100];
        assert_eq!([luma([255; 3]), luma([0; 3])], [255, 0]);
        // Rec. 709 weights 0.2126, 0.7152, 0.0722.
        for (rgb, weight) in [([255, 0, 0], 0.2126), ([0, 255, 0], 0.7152), ([0, 0, 255], 0.0722)] {
            assert!((f64::from(luma(rgb)) - 255.0 * weight).abs() <= 1.0, "{rgb:?}");
        }
    }

    #[test]
    fn crops_the_centre() {
        // Wide: black, a white square in the middle, black. The tall image likewise.
        let wide = RgbImage::from_fn(96, 32, |x, _| Rgb([if (32..64).contains(&x) { 255 } else { 0 }; 3]));
        assert!(fit(&DynamicImage::from(wide.clone()), 32, 1).iter().all(|&v| v == 255));
        let tall = imageops::rotate90(&wide);
        assert!(fit(&DynamicImage::from(tall), 32, 1).iter().all(|&v| v == 255));
    }

    #[test]
    fn resizing_keeps_constants_and_means() {
        for side in [7, 33, 300] {
            let flat = fit(&DynamicImage::from(GrayImage::from_pixel(side, side, Luma([77]))), 32, 1);
            assert!(flat.len() == 1024 && flat.iter().all(|&v| v == 77), "{side}");
        }
        // A fine checkerboard must average, not alias to black or white.
        let board = GrayImage::from_fn(256, 256, |x, y| Luma([if (x + y) % 2 == 0 { 255 } else { 0 }]));
        assert!(fit(&DynamicImage::from(board), 16, 1).iter().all(|&v| v.abs_diff(127) <= 8));
    }
}
