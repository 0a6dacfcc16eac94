//! The values of images with more than 8 bits that become black and white.

use image::DynamicImage;
use serde::{Deserialize, Serialize};

/// A 16-bit set whose values span less than this uses less than a quarter of its range.
const QUARTER: f64 = 16_384.0;

/// `data.window`: `[low, high]` or `"auto"`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Window {
    /// `low` becomes black, `high` white; values outside are clamped.
    Range([f64; 2]),
    /// From the smallest to the largest value of the whole set.
    Word(Word),
}

/// The words that [`Window`] accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// From the smallest to the largest value of the whole set.
    Auto,
}

/// Values of some images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub low: f64,
    pub high: f64,
    /// True if there are non-finite values; `low` and `high` are those of the finite values.
    pub nonfinite: bool,
}

impl Span {
    /// Span of no values.
    pub const NONE: Span = Span { low: f64::INFINITY, high: f64::NEG_INFINITY, nonfinite: false };

    pub fn of(values: impl Iterator<Item = f64>) -> Span {
        values.fold(Span::NONE, |span, v| match v.is_finite() {
            true => Span { low: span.low.min(v), high: span.high.max(v), ..span },
            false => Span { nonfinite: true, ..span },
        })
    }

    pub fn and(self, other: Span) -> Span {
        Span {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            nonfinite: self.nonfinite || other.nonfinite,
        }
    }

    /// Colour values of a picture of more than 8 bits, without its alpha channel; `None` for other pictures.
    pub fn of_image(image: &DynamicImage) -> Option<Span> {
        let alpha = image.color().has_alpha();
        let channels = usize::from(image.color().channel_count());
        let colours = channels - usize::from(alpha);
        let words =
            |raw: &[u16]| Span::of(raw.chunks_exact(channels).flat_map(|p| &p[..colours]).map(|v| f64::from(*v)));
        let floats =
            |raw: &[f32]| Span::of(raw.chunks_exact(channels).flat_map(|p| &p[..colours]).map(|v| f64::from(*v)));
        match image {
            DynamicImage::ImageLuma16(i) => Some(words(i)),
            DynamicImage::ImageLumaA16(i) => Some(words(i)),
            DynamicImage::ImageRgb16(i) => Some(words(i)),
            DynamicImage::ImageRgba16(i) => Some(words(i)),
            DynamicImage::ImageRgb32F(i) => Some(floats(i)),
            DynamicImage::ImageRgba32F(i) => Some(floats(i)),
            _ => None,
        }
    }

    /// `[low, high]` for a window, never empty.
    pub fn window(self) -> [f64; 2] {
        if self.high > self.low { [self.low, self.high] } else { [self.low, self.low + 1.0] }
    }
}

/// The problem with 16-bit images of these values displayed from 0 to 65535, if any.
pub(crate) fn narrow(span: Span) -> Option<String> {
    let Span { low, high, .. } = span;
    (high - low < QUARTER && high >= low).then(|| {
        format!(
            "the 16-bit images only have values from {low} to {high}, less than a quarter of 0 to 65535, and hardly any \
             contrast: data.window = [{low}, {high}] or \"auto\" uses the whole range"
        )
    })
}

/// `value` on a scale from 0 (`low` and below) to 65535 (`high` and above).
pub(crate) fn scaled(value: f64, [low, high]: [f64; 2]) -> u16 {
    ((value - low) / (high - low) * 65535.0).round().clamp(0.0, 65535.0) as u16
}

/// The picture with its values of more than 8 bits stretched from `window` to the whole range of their type.
pub(crate) fn apply(mut image: DynamicImage, window: [f64; 2]) -> DynamicImage {
    let alpha = image.color().has_alpha();
    let channels = usize::from(image.color().channel_count());
    let colours = channels - usize::from(alpha);
    let table: Vec<u16> = match image {
        DynamicImage::ImageLuma16(_)
        | DynamicImage::ImageLumaA16(_)
        | DynamicImage::ImageRgb16(_)
        | DynamicImage::ImageRgba16(_) => (0..=u16::MAX).map(|v| scaled(f64::from(v), window)).collect(),
        _ => Vec::new(),
    };
    let words = |raw: &mut [u16]| {
        raw.chunks_exact_mut(channels).flat_map(|p| &mut p[..colours]).for_each(|v| *v = table[usize::from(*v)]);
    };
    let floats = |raw: &mut [f32]| {
        let [low, high] = window;
        let stretched = |v: f32| ((f64::from(v) - low) / (high - low)).clamp(0.0, 1.0) as f32;
        raw.chunks_exact_mut(channels).flat_map(|p| &mut p[..colours]).for_each(|v| *v = stretched(*v));
    };
    match &mut image {
        DynamicImage::ImageLuma16(i) => words(i),
        DynamicImage::ImageLumaA16(i) => words(i),
        DynamicImage::ImageRgb16(i) => words(i),
        DynamicImage::ImageRgba16(i) => words(i),
        DynamicImage::ImageRgb32F(i) => floats(i),
        DynamicImage::ImageRgba32F(i) => floats(i),
        _ => {}
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageBuffer, LumaA, Rgba};

    #[test]
    fn values_are_stretched_and_clamped() {
        for (value, window, expected) in [
            (0.0, [0.0, 65535.0], 0),
            (257.0, [0.0, 65535.0], 257),
            (4095.0, [0.0, 4095.0], 65535),
            (2047.5, [0.0, 4095.0], 32768),
            (-2000.0, [-1000.0, 400.0], 0),
            (401.0, [-1000.0, 400.0], 65535),
            (77.0, [0.0, 255.0], 77 * 257),
        ] {
            assert_eq!(scaled(value, window), expected, "{value} in {window:?}");
        }
    }

    #[test]
    fn alpha_is_not_stretched() {
        let grey = DynamicImage::from(ImageBuffer::from_pixel(2, 2, LumaA([1000u16, 40])));
        assert_eq!(Span::of_image(&grey), Some(Span { low: 1000.0, high: 1000.0, nonfinite: false }));
        let DynamicImage::ImageLumaA16(out) = apply(grey, [0.0, 2000.0]) else { panic!("another kind") };
        assert_eq!(out.get_pixel(1, 1).0, [32768, 40]);
        let float = DynamicImage::from(ImageBuffer::from_pixel(1, 1, Rgba([-1.0f32, 3.0, f32::NAN, 9.0])));
        assert_eq!(Span::of_image(&float), Some(Span { low: -1.0, high: 3.0, nonfinite: true }));
        let DynamicImage::ImageRgba32F(out) = apply(float, [-1.0, 1.0]) else { panic!("another kind") };
        assert_eq!(out.get_pixel(0, 0).0[..2], [0.0, 1.0]);
        assert_eq!(out.get_pixel(0, 0).0[3], 9.0);
        assert_eq!(Span::of_image(&DynamicImage::new_rgba8(1, 1)), None);
    }

    #[test]
    fn a_quarter_of_the_range_is_enough() {
        let of = |low, high| narrow(Span { low, high, nonfinite: false });
        for (low, high) in [(0.0, 4095.0), (0.0, 1023.0), (0.0, 16383.0), (60000.0, 65535.0), (5.0, 5.0)] {
            let text = of(low, high).expect("a warning");
            assert!(text.contains(&format!("[{low}, {high}]")), "{text}");
        }
        for (low, high) in [(0.0, 65535.0), (0.0, 16384.0), (30000.0, 50000.0)] {
            assert_eq!(of(low, high), None, "{low} to {high}");
        }
    }

    #[test]
    fn it_is_a_word_or_two_numbers() {
        #[derive(Deserialize, Serialize, PartialEq, Debug)]
        struct Holder {
            window: Window,
        }
        for (text, window) in [
            ("window = \"auto\"", Window::Word(Word::Auto)),
            ("window = [0, 4095]", Window::Range([0.0, 4095.0])),
            ("window = [-1000.5, 400]", Window::Range([-1000.5, 400.0])),
        ] {
            let holder: Holder = toml::from_str(text).unwrap();
            assert_eq!(holder.window, window);
            assert_eq!(toml::from_str::<Holder>(&toml::to_string(&holder).unwrap()).unwrap(), holder);
        }
        for bad in ["window = \"full\"", "window = [1]", "window = [1, 2, 3]", "window = 4095"] {
            assert!(toml::from_str::<Holder>(bad).is_err(), "{bad}");
        }
    }
}
