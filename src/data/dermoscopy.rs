//! A procedural set of dermoscopy-like RGB images: skin, a lesion with irregular border and several colours, hairs,
//! dark corners. For demonstrations and tests without a download; it allows no conclusion about real lesions.

use super::dataset::{Dataset, check_bytes, check_shape};
use super::fit::fit;
use super::random::{SplitMix64, hash};
use crate::{Error, Result};
use image::{DynamicImage, RgbImage};
use rayon::prelude::*;
use std::f32::consts::TAU;

/// RNG stream of the scenes.
const STREAM: u64 = 0x4445_524d; // "DERM"
/// Minimum samples per side of a picture; smaller pictures average several samples per pixel.
const SAMPLES: usize = 128;
/// Most images in a drawn set.
pub const MOST_DRAWN: usize = 1_000_000;
/// Class names; a melanoma has a rougher border, less symmetry and more colours than a nevus.
const CLASSES: [&str; 2] = ["melanoma", "nevus"];

type Rgb = [f32; 3];
type Point = [f32; 2];

/// `n` dermoscopy-like images drawn from `seed`, about 43 % "melanoma" and the rest "nevus". Image `i` depends on
/// (`seed`, `i`) only; another `size` shows the same scene. A single channel is the luma.
///
/// # Errors
/// If `n` is 0 or above one million, or for an unsupported size or channel count.
pub fn dermoscopy(n: usize, seed: u64, size: usize, channels: usize) -> Result<Dataset> {
    check_shape(size, channels)?;
    if !(1..=MOST_DRAWN).contains(&n) {
        return Err(Error::input(format!("dermoscopy set of n = {n} images: expected 1 to {MOST_DRAWN}")));
    }
    check_bytes(n, size, channels).map_err(|what| Error::input(format!("dermoscopy set: {what}")))?;
    let (labels, images): (Vec<u32>, Vec<Vec<u8>>) = (0..n as u64)
        .into_par_iter()
        .map(|i| {
            let scene = Scene::draw(&mut SplitMix64::new(seed, STREAM, i));
            (u32::from(!scene.melanoma), fit(&scene.render(size), size, channels))
        })
        .unzip();
    Ok(Dataset {
        size,
        channels,
        labels,
        pixels: images.concat(),
        classes: CLASSES.map(String::from).to_vec(),
        files: (0..n).map(|i| format!("dermoscopy:{seed}/{i}")).collect(),
    })
}

/// All random properties of one picture; coordinates run from 0 to 1.
struct Scene {
    melanoma: bool,
    /// Seed of the noise fields.
    noise: u64,
    skin: Rgb,
    mottle: f32,
    lesion: Lesion,
    hairs: Vec<Hair>,
    hair_colour: Rgb,
    /// Radius at which the corners start to darken, and the strength.
    vignette: (f32, f32),
    /// Direction and strength of uneven light.
    light: Point,
    /// White balance: gain of each channel.
    balance: Rgb,
}

struct Lesion {
    centre: Point,
    radius: f32,
    /// Rotation (cosine, sine) and ratio of the axes.
    turn: Point,
    aspect: f32,
    /// Border: amplitude and phase of harmonics 2, 3, ...
    border: Vec<(f32, f32)>,
    /// Strength of the small-scale roughness of the border.
    rough: f32,
    /// Width of the border's blur, in radii.
    soft: f32,
    /// Tint of the body, of its centre, and of patches (with the share of the area each takes).
    body: Rgb,
    core: Rgb,
    patches: Vec<(Rgb, f32)>,
    /// Strength of the pigment network and of the dots.
    network: f32,
    dots: Vec<(Point, f32)>,
}

/// A quadratic Bezier curve of some width.
struct Hair {
    points: [Point; 3],
    width: f32,
}

impl Scene {
    fn draw(rng: &mut SplitMix64) -> Self {
        let melanoma = rng.uniform() < 0.43;
        let tone = rng.uniform() as f32;
        let pink = rng.range(-8.0, 10.0);
        let skin = mix([232.0 + 0.5 * pink, 190.0 - pink, 172.0 - pink], [186.0, 138.0, 108.0], tone * tone);
        let lesion = Lesion::draw(rng, melanoma);
        let count = if rng.uniform() < 0.5 { 0 } else { 1 + rng.below(8) };
        let hairs = (0..count).map(|_| Hair::draw(rng)).collect();
        let grey = rng.range(0.0, 1.0);
        Scene {
            melanoma,
            noise: rng.word(),
            skin,
            mottle: rng.range(8.0, 26.0),
            lesion,
            hairs,
            hair_colour: mix([38.0, 26.0, 22.0], [96.0, 70.0, 52.0], grey),
            vignette: (rng.range(0.44, 0.62), rng.range(0.15, 0.8)),
            light: [rng.range(-0.12, 0.12), rng.range(-0.12, 0.12)],
            balance: [rng.range(0.88, 1.08), rng.range(0.90, 1.03), rng.range(0.80, 1.12)],
        }
    }

    /// The picture at `size` x `size`.
    fn render(&self, size: usize) -> DynamicImage {
        let sub = (SAMPLES / size).clamp(1, 4);
        let step = 1.0 / (size * sub) as f32;
        let image = RgbImage::from_fn(size as u32, size as u32, |x, y| {
            let mut sum = [0.0f32; 3];
            for i in 0..sub * sub {
                let sx = (x as usize * sub + i % sub) as f32;
                let sy = (y as usize * sub + i / sub) as f32;
                let colour = self.colour([(sx + 0.5) * step, (sy + 0.5) * step], step);
                sum = [sum[0] + colour[0], sum[1] + colour[1], sum[2] + colour[2]];
            }
            image::Rgb(sum.map(|v| (v / (sub * sub) as f32 + 0.5).clamp(0.0, 255.0) as u8))
        });
        DynamicImage::from(image)
    }

    /// The colour at point `p`; `step` is the distance between samples.
    fn colour(&self, p: Point, step: f32) -> Rgb {
        let field = |layer: u64, frequency: f32| fractal(hash(self.noise, layer), [p[0] * frequency, p[1] * frequency]);
        let mottle = self.mottle * (field(0, 4.0) - 0.5) + 0.6 * self.mottle * (field(1, 40.0) - 0.5);
        // Skin varies more in green and blue (blood) than in red.
        let mut colour = [self.skin[0] + 0.6 * mottle, self.skin[1] + mottle, self.skin[2] + mottle];
        let (inside, depth) = self.lesion.cover(p, field(2, 14.0), step);
        if inside > 0.0 {
            let body = self.lesion.colour(p, depth, &field);
            // Pigment filters the light of the skin below.
            let tinted = [0, 1, 2].map(|c| colour[c] * body[c]);
            colour = mix(colour, tinted, inside);
        }
        for hair in &self.hairs {
            colour = mix(colour, self.hair_colour, 0.85 * hair.cover(p, step));
        }
        let (x, y) = (p[0] - 0.5, p[1] - 0.5);
        let (start, strength) = self.vignette;
        let corner = strength * smooth(start, 0.75, (x * x + y * y).sqrt());
        let light = (1.0 + self.light[0] * x * 2.0 + self.light[1] * y * 2.0) * (1.0 - corner);
        [0, 1, 2].map(|c| colour[c] * light * self.balance[c])
    }
}

/// Pigment as the share of red, green and blue light that it transmits.
const LIGHT_BROWN: Rgb = [0.74, 0.60, 0.50];
const BROWN: Rgb = [0.54, 0.40, 0.33];
const DARK_BROWN: Rgb = [0.32, 0.23, 0.20];
const BLACK: Rgb = [0.16, 0.13, 0.14];
const BLUE_GREY: Rgb = [0.40, 0.43, 0.51];
const RED: Rgb = [0.80, 0.54, 0.48];
const WHITE: Rgb = [0.90, 0.92, 0.95];

impl Lesion {
    fn draw(rng: &mut SplitMix64, melanoma: bool) -> Self {
        let (angle, amplitude) = (rng.range(0.0, TAU), if melanoma { 0.16 } else { 0.05 });
        let border =
            (2..9).map(|k| (amplitude * rng.normal() as f32 / (k as f32).powf(0.8), rng.range(0.0, TAU))).collect();
        let (body, core) = if melanoma {
            (mix(BROWN, DARK_BROWN, rng.range(0.0, 1.0)), mix(DARK_BROWN, BLACK, rng.range(0.0, 1.0)))
        } else {
            (mix(LIGHT_BROWN, BROWN, rng.range(0.0, 1.0)), mix(BROWN, DARK_BROWN, rng.range(0.0, 0.8)))
        };
        let mut palette = [LIGHT_BROWN, BLACK, BLUE_GREY, RED, WHITE];
        rng.shuffle(&mut palette);
        let colours = if melanoma { 2 + rng.below(3) as usize } else { rng.below(2) as usize };
        // The second colour of a nevus is pale or pink.
        let second = if rng.uniform() < 0.5 { LIGHT_BROWN } else { mix(RED, LIGHT_BROWN, 0.6) };
        let patches = (palette.iter().take(colours))
            .map(|&c| (if melanoma { c } else { second }, rng.range(0.10, if melanoma { 0.30 } else { 0.20 })))
            .collect();
        let radius = if melanoma { rng.range(0.20, 0.38) } else { rng.range(0.14, 0.34) };
        let centre = [rng.range(0.42, 0.58), rng.range(0.42, 0.58)];
        let dots = (0..rng.below(if melanoma { 14 } else { 6 }))
            .map(|_| {
                let (angle, distance) = (rng.range(0.0, TAU), radius * rng.range(0.1, 1.0));
                let at = [centre[0] + distance * angle.cos(), centre[1] + distance * angle.sin()];
                (at, rng.range(0.006, 0.014))
            })
            .collect();
        Lesion {
            centre,
            radius,
            turn: [angle.cos(), angle.sin()],
            aspect: rng.range(0.72, 1.0),
            border,
            rough: if melanoma { rng.range(0.15, 0.40) } else { rng.range(0.04, 0.14) },
            soft: if melanoma { rng.range(0.06, 0.24) } else { rng.range(0.12, 0.34) },
            body,
            core,
            patches,
            network: rng.range(0.0, 0.35),
            dots,
        }
    }

    /// Cover (0 outside, 1 inside) at `p`, and the distance from the centre in radii of the border in that direction.
    fn cover(&self, p: Point, noise: f32, step: f32) -> (f32, f32) {
        let (x, y) = (p[0] - self.centre[0], p[1] - self.centre[1]);
        let (u, v) = (x * self.turn[0] + y * self.turn[1], (y * self.turn[0] - x * self.turn[1]) / self.aspect);
        let distance = (u * u + v * v).sqrt() / self.radius;
        if distance > 2.5 {
            return (0.0, distance);
        }
        let angle = v.atan2(u);
        let harmonics = self.border.iter().zip(2u8..).map(|(&(a, phase), k)| a * (f32::from(k) * angle + phase).cos());
        let edge = (1.0 + harmonics.sum::<f32>() + self.rough * (noise - 0.5)).max(0.3);
        let depth = distance / edge;
        let soft = self.soft.max(step / self.radius);
        (1.0 - smooth(1.0 - soft, 1.0 + soft, depth), depth)
    }

    /// Pigment at `p`, `depth` radii from the centre.
    fn colour(&self, p: Point, depth: f32, field: &impl Fn(u64, f32) -> f32) -> Rgb {
        let centre = 1.0 - smooth(0.1, 0.9, depth + 0.5 * (field(3, 7.0) - 0.5));
        let mut colour = mix(self.body, self.core, centre);
        for (&(tint, share), layer) in self.patches.iter().zip(10..) {
            // The field's values are near 0.5: the highest `share` of them form the patch.
            let threshold = 0.5 + 0.32 * (0.5 - share);
            colour = mix(colour, tint, 0.75 * smooth(threshold - 0.09, threshold + 0.09, field(layer, 6.0)));
        }
        // The network: dark lines where a field passes through its mean.
        let line = 1.0 - smooth(0.0, 0.16, (field(4, 22.0) - 0.5).abs());
        let mut dark = self.network * line * smooth(0.2, 0.8, depth);
        for &([x, y], radius) in &self.dots {
            let distance = ((p[0] - x).powi(2) + (p[1] - y).powi(2)).sqrt();
            dark = dark.max(0.6 * (1.0 - smooth(0.6 * radius, 1.2 * radius, distance)));
        }
        let grain = 0.72 + 0.56 * field(5, 30.0);
        colour.map(|v| v * (1.0 - dark) * grain)
    }
}

impl Hair {
    fn draw(rng: &mut SplitMix64) -> Self {
        let start = [rng.range(-0.1, 1.1), rng.range(-0.1, 1.1)];
        let (angle, length) = (rng.range(0.0, TAU), rng.range(0.4, 1.3));
        let (dx, dy) = (length * angle.cos(), length * angle.sin());
        let bend = rng.range(-0.18, 0.18);
        let middle = [start[0] + 0.5 * dx - bend * dy, start[1] + 0.5 * dy + bend * dx];
        Hair { points: [start, middle, [start[0] + dx, start[1] + dy]], width: rng.range(0.004, 0.011) }
    }

    /// The share of a sample at `p` that the hair covers.
    fn cover(&self, p: Point, step: f32) -> f32 {
        const PIECES: u8 = 12;
        let [a, b, c] = self.points;
        let at = |t: f32| [0, 1].map(|i| (1.0 - t).powi(2) * a[i] + 2.0 * t * (1.0 - t) * b[i] + t * t * c[i]);
        // The curve is inside the box of its control points.
        let reach = self.width + step;
        let outside = |i: usize| p[i] < a[i].min(b[i]).min(c[i]) - reach || p[i] > a[i].max(b[i]).max(c[i]) + reach;
        if outside(0) || outside(1) {
            return 0.0;
        }
        let mut nearest = f32::MAX;
        let mut from = a;
        for piece in 1..=PIECES {
            let to = at(f32::from(piece) / f32::from(PIECES));
            nearest = nearest.min(segment_distance(p, from, to));
            from = to;
        }
        // A hair thinner than the sample spacing covers part of the sample.
        let half = 0.5 * self.width;
        let blur = half.max(step);
        (half / blur).min(1.0) * (1.0 - smooth(0.5 * blur, 1.5 * blur, nearest))
    }
}

/// Distance from `p` to the segment `a`-`b`.
fn segment_distance(p: Point, a: Point, b: Point) -> f32 {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let along = ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / (dx * dx + dy * dy).max(1e-12);
    let t = along.clamp(0.0, 1.0);
    ((p[0] - a[0] - t * dx).powi(2) + (p[1] - a[1] - t * dy).powi(2)).sqrt()
}

/// 0 below `low`, 1 above `high`, a cubic in between.
fn smooth(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// From `a` (t = 0) to `b` (t = 1).
fn mix(a: Rgb, b: Rgb, t: f32) -> Rgb {
    [0, 1, 2].map(|c| a[c] + (b[c] - a[c]) * t)
}

/// Three octaves of value noise in 0..1, mean 0.5.
fn fractal(seed: u64, p: Point) -> f32 {
    (4.0 * value_noise(seed, p)
        + 2.0 * value_noise(seed ^ 1, [2.0 * p[0] + 17.3, 2.0 * p[1] + 5.7])
        + value_noise(seed ^ 2, [4.0 * p[0] + 3.1, 4.0 * p[1] + 11.9]))
        / 7.0
}

/// Random values in 0..1 on the integer lattice, interpolated smoothly.
fn value_noise(seed: u64, p: Point) -> f32 {
    let (x0, y0) = (p[0].floor(), p[1].floor());
    let lattice = |dx: i32, dy: i32| {
        let (x, y) = (x0 as i32 + dx, y0 as i32 + dy);
        let word = hash(seed, (u64::from(x as u32) << 32) | u64::from(y as u32));
        (word >> 40) as f32 / (1u64 << 24) as f32
    };
    let (tx, ty) = (smooth(0.0, 1.0, p[0] - x0), smooth(0.0, 1.0, p[1] - y0));
    let row = |dy| lattice(0, dy) + (lattice(1, dy) - lattice(0, dy)) * tx;
    let (top, bottom) = (row(0), row(1));
    top + (bottom - top) * ty
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deterministic_by_seed_and_index() {
        let (a, b) = (dermoscopy(6, 3, 32, 3).unwrap(), dermoscopy(4, 3, 32, 3).unwrap());
        for i in 0..4 {
            assert_eq!(a.image(i), b.image(i));
        }
        assert_ne!(a.image(0), a.image(1));
        assert_ne!(a.image(0), dermoscopy(1, 4, 32, 3).unwrap().image(0));
    }

    #[test]
    fn size_changes_the_sampling_not_the_scene() {
        let (small, large) = (dermoscopy(3, 9, 16, 3).unwrap(), dermoscopy(3, 9, 64, 3).unwrap());
        for i in 0..3 {
            let down = RgbImage::from_raw(64, 64, large.image(i).to_vec()).unwrap();
            let down = fit(&DynamicImage::from(down), 16, 3);
            let error: u64 = down.iter().zip(small.image(i)).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            assert!(error / (16 * 16 * 3) < 8, "image {i}: mean difference {}", error / 768);
        }
    }

    #[test]
    fn lesions_are_darker_than_skin() {
        let set = dermoscopy(200, 1, 16, 1).unwrap();
        let counts = set.class_counts();
        assert!(counts[0] > 50 && counts[1] > 50, "{counts:?}");
        let darker = (0..200).filter(|&i| {
            let image = set.image(i);
            image[7 * 16 + 8] < image[7 * 16 + 1]
        });
        assert!(darker.count() > 180);
    }

    #[test]
    fn melanoma_has_the_rougher_border() {
        let mut spread = [Vec::new(), Vec::new()];
        for i in 0..400 {
            let scene = Scene::draw(&mut SplitMix64::new(2, STREAM, i));
            let power: f32 = scene.lesion.border.iter().map(|h| h.0 * h.0).sum();
            spread[usize::from(scene.melanoma)].push(power);
        }
        let mean = |v: &[f32]| v.iter().sum::<f32>() / v.len() as f32;
        assert!(mean(&spread[1]) > 4.0 * mean(&spread[0]));
    }

    #[test]
    fn the_number_of_images_is_checked() {
        assert_eq!(dermoscopy(0, 1, 16, 3).unwrap_err().exit_code(), 2);
        assert_eq!(dermoscopy(MOST_DRAWN + 1, 1, 16, 3).unwrap_err().exit_code(), 2);
    }
}
