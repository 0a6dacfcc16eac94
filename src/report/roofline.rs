//! The roofline picture: floating-point operations per second over operations per byte, below a device's ceilings.

use super::font;
use crate::{Error, Result};
use image::RgbImage;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::fmt::Display;

/// Drawn at twice its size and averaged down, for smooth lines.
const SCALE: u32 = 2;
const SIZE: (u32, u32) = (1000, 640);
/// A name's extent as a share of the axes' lengths.
const NAME: (f64, f64) = (0.18, 0.025);

const INK: RGBColor = RGBColor(40, 40, 46);
const FAINT: RGBColor = RGBColor(226, 226, 230);
const COMPUTE: RGBColor = RGBColor(0, 114, 178);
const MEMORY: RGBColor = RGBColor(0, 158, 115);

/// A device's ceilings.
#[derive(Clone, Copy, Debug)]
pub struct Lines {
    /// Floating-point operations per second.
    pub flops: f64,
    /// Bytes per second from memory.
    pub memory: f64,
    /// Bytes per second from the fastest cache.
    pub caches: f64,
}

/// A measured launch.
#[derive(Clone, Debug)]
pub struct Point {
    /// Its kernel.
    pub name: String,
    /// Floating-point operations per byte.
    pub intensity: f64,
    /// Floating-point operations per second.
    pub rate: f64,
    /// Limited by operations, not by bytes.
    pub compute: bool,
}

/// Draws ceilings and points with logarithmic axes. Points that are not positive numbers are omitted.
///
/// # Errors
/// [`Error::Internal`] if the ceilings are not positive numbers or the drawing library fails.
pub fn draw(title: &str, lines: Lines, points: &[Point]) -> Result<RgbImage> {
    let Lines { flops, memory, caches } = lines;
    if ![flops, memory, caches].iter().all(|v| v.is_finite() && *v > 0.0) {
        return Err(Error::internal(format!("roofline: ceilings {lines:?}")));
    }
    let good = |p: &&Point| [p.intensity, p.rate].iter().all(|v| v.is_finite() && *v > 0.0);
    let points: Vec<&Point> = points.iter().filter(good).collect();
    let ridge = flops / memory;
    let [x0, x1] = span(points.iter().map(|p| p.intensity).chain([ridge / 16.0, ridge * 8.0]));
    let [y0, y1] = span(points.iter().map(|p| p.rate).chain([memory * ridge / 16.0, flops]));
    let size = (SIZE.0 * SCALE, SIZE.1 * SCALE);
    let mut picture = RgbImage::new(size.0, size.1);
    {
        let root = BitMapBackend::with_buffer(&mut picture, size).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        root.draw_text(title, &text(18.0, INK, HPos::Left)?, (px(16), px(24))).map_err(failed)?;
        let mut chart = ChartBuilder::on(&root)
            .margin_top(px(48))
            .margin_left(px(10))
            .margin_right(px(24))
            .set_label_area_size(LabelAreaPosition::Left, px(80))
            .set_label_area_size(LabelAreaPosition::Bottom, px(52))
            .build_cartesian_2d((x0..x1).log_scale(), (y0 / 1e9..y1 / 1e9).log_scale())
            .map_err(failed)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(FAINT.stroke_width(SCALE))
            .axis_style(INK.stroke_width(SCALE))
            .label_style(text(13.0, INK, HPos::Center)?)
            .axis_desc_style(text(14.0, INK, HPos::Center)?)
            .x_desc("operations per byte (compulsory traffic)")
            .y_desc("GFLOP/s")
            .x_label_formatter(&|v| short(*v))
            .y_label_formatter(&|v| short(*v))
            .draw()
            .map_err(failed)?;
        let roof = |bandwidth: f64| {
            let xs = (0..=200).map(move |i| x0 * (x1 / x0).powf(f64::from(i) / 200.0));
            xs.map(move |x| (x, (x * bandwidth).min(flops) / 1e9)).filter(move |p| p.1 >= y0 / 1e9)
        };
        if caches > memory {
            chart.draw_series(LineSeries::new(roof(caches), FAINT.stroke_width(3 * SCALE))).map_err(failed)?;
        }
        chart.draw_series(LineSeries::new(roof(memory), INK.stroke_width(2 * SCALE))).map_err(failed)?;
        let caption = format!(
            "{} GFLOP/s; {:.1} GB/s from memory, {:.1} at best",
            short(flops / 1e9),
            memory / 1e9,
            caches / 1e9
        );
        root.draw_text(&caption, &text(14.0, INK, HPos::Right)?, (px(SIZE.0 - 24), px(24))).map_err(failed)?;
        let mut named: Vec<(f64, f64)> = Vec::new();
        for p in &points {
            let colour = if p.compute { COMPUTE } else { MEMORY };
            let place = (p.intensity, p.rate / 1e9);
            let dot = Circle::new(place, px(4), colour.filled());
            chart.draw_series(std::iter::once(dot)).map_err(failed)?;
            // Overlapping names are omitted.
            let at = ((p.intensity / x0).ln() / (x1 / x0).ln(), (p.rate / y0).ln() / (y1 / y0).ln());
            if !named.iter().any(|n| (n.0 - at.0).abs() < NAME.0 && (n.1 - at.1).abs() < NAME.1) {
                named.push(at);
                let name = Text::new(p.name.clone(), (px(7), 0), text(11.0, colour, HPos::Left)?);
                chart.draw_series(std::iter::once(EmptyElement::at(place) + name)).map_err(failed)?;
            }
        }
        root.present().map_err(failed)?;
    }
    Ok(image::imageops::thumbnail(&picture, SIZE.0, SIZE.1))
}

fn failed(why: impl Display) -> Error {
    Error::internal(format!("roofline: {why}"))
}

fn px(pixels: u32) -> i32 {
    (pixels * SCALE) as i32
}

fn text(size: f64, colour: RGBColor, horizontal: HPos) -> Result<TextStyle<'static>> {
    let font = (font::family()?, size * f64::from(SCALE)).into_font();
    let mut style = TextStyle::from(font).pos(Pos::new(horizontal, VPos::Center));
    style.color = colour.to_backend_color();
    Ok(style)
}

/// Ends of an axis that contains all values, with half as much again on both sides.
fn span(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let [low, high] = values.fold([f64::INFINITY, 0.0], |[low, high], v| [low.min(v), high.max(v)]);
    [low / 1.5, high * 1.8]
}

fn short(value: f64) -> String {
    if (0.01..10000.0).contains(&value) {
        let digits = (1.0 - value.log10().floor()).clamp(0.0, 3.0) as usize;
        let text = format!("{value:.digits$}");
        return if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text };
    }
    format!("{value:.0e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: Lines = Lines { flops: 1e11, memory: 1e10, caches: 2e10 };

    fn has(picture: &RgbImage, colour: RGBColor) -> bool {
        picture.pixels().any(|p| p.0 == [colour.0, colour.1, colour.2])
    }

    #[test]
    fn ceilings_and_points_are_drawn() {
        let point = |compute| Point { name: "conv2d".into(), intensity: 5.0, rate: 2e10, compute };
        let none = draw("a device", LINES, &[]).unwrap();
        assert!(has(&none, INK) && has(&none, FAINT) && !has(&none, COMPUTE) && !has(&none, MEMORY));
        assert!(has(&draw("a device", LINES, &[point(true)]).unwrap(), COMPUTE));
        assert!(has(&draw("a device", LINES, &[point(false)]).unwrap(), MEMORY));
        // Values that logarithmic axes cannot show are omitted.
        let bad = [0.0, -1.0, f64::NAN, f64::INFINITY].map(|rate| Point { rate, ..point(true) });
        assert_eq!(draw("a device", LINES, &bad).unwrap(), none);
        assert!(draw("a device", Lines { memory: 0.0, ..LINES }, &[]).is_err());
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([0.5, 1.0, 20.0, 122.4, 30000.0].map(short), ["0.5", "1", "20", "122", "3e4"]);
    }
}
