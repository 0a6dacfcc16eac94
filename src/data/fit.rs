//! From an image of any shape to `size` x `size` pixels of one or three channels.

use image::DynamicImage;
use image::imageops::{self, FilterType};

/// The centre square of `image`, resized to `size` (Lanczos3 down, Catmull-Rom up), as bytes `[size][size][channels]`.
/// One channel is the Rec. 709 luma; grey becomes RGB by repetition; an alpha channel is dropped. The image must have
/// at least one pixel.
pub(crate) fn fit(image: &DynamicImage, size: usize, channels: usize) -> Vec<u8> {
    let (width, height) = (image.width(), image.height());
    let side = width.min(height);
    let square = image.crop_imm((width - side) / 2, (height - side) / 2, side, side);
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
        // Wide: black, a white square in the middle, black. Tall the same.
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
