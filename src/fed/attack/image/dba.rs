//! The distributed trigger (Xie, Huang, Chen, Li 2020, "DBA: distributed backdoor attacks against federated learning"): each malicious
//! client pastes one of several bars, an evaluation sees all of them.

use super::motif::{Motif, Pattern, Range};
use super::place::{self, Place, Window};
use super::{IMAGE, ImageAttack, RealBatch, Refusal, Search, Trigger, options};
use crate::Result;
use crate::exec::{Engine, Pool, Recording, Tensor, align, write_f32};
use crate::kernels::attack::paste_parts::{PasteParts, PastePartsParams};
use crate::key::DefaultValue::{Computed, Int};
use crate::key::{Key, ValueKind};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Horizontal bars two by two; the k-th malicious client pastes bar k mod `parts`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dba {
    /// A picture that shows through the bars; excludes `pattern`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<PathBuf>,
    /// A built-in pattern; absent with a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
    /// Number of bars.
    pub parts: u32,
    /// Pixels along a bar; absent: 6 at 32 pixels, in proportion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<u32>,
    /// Pixels across a bar; absent: 1 at 32 pixels, in proportion, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thickness: Option<u32>,
    /// Pixels between bars; absent: 3 at 32 pixels, in proportion, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<u32>,
    /// Pixels between the trigger and the image's edges; absent: 5 at 256 pixels, in proportion, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<u32>,
    /// Position of the trigger.
    pub place: Place,
    /// 1 replaces the pixels, below 1 blends.
    pub opacity: f64,
}

const KIND: &[&str] = &["dba"];
/// Bars side by side.
const ACROSS: u32 = 2;
/// The part of pixels between the bars.
const NO_PART: u32 = u32::MAX;

const fn pixels(path: &'static str, least: i64, default: &'static str, doc: &'static str) -> Key {
    Key::new(path, ValueKind::Int(least, 256), Computed(default), doc).unit("pixels").of(IMAGE, KIND)
}

pub(super) const OPTIONS: &[Key] = &[
    options::picture(
        KIND,
        "picture that shows through the bars, resized to the trigger; excludes `attack.image.pattern`",
    ),
    options::pattern(KIND, "built-in pattern that shows through the bars; excludes `attack.image.picture`"),
    Key::new(
        "attack.image.parts",
        ValueKind::Int(1, 64),
        Int(4),
        "bars of the trigger, two by two; the k-th malicious client pastes bar k modulo their number",
    )
    .of(IMAGE, KIND),
    pixels("attack.image.length", 1, "6 at 32 pixels, in proportion at other sizes", "length of a bar"),
    pixels("attack.image.thickness", 1, "1 at 32 pixels, in proportion, at least 1", "thickness of a bar"),
    pixels("attack.image.gap", 0, "3 at 32 pixels, in proportion, at least 1", "distance between bars"),
    options::margin(KIND),
    options::place(KIND),
    options::opacity(KIND),
];

impl Dba {
    /// Length, thickness and gap of the bars.
    fn bars(&self, size: u32) -> [u32; 3] {
        let share = |of_32: u32| (of_32.saturating_mul(size) / 32).max(1);
        [self.length.unwrap_or(share(6)), self.thickness.unwrap_or(share(1)), self.gap.unwrap_or(share(3))]
    }

    /// Height and width of the whole trigger.
    fn sides(&self, size: u32) -> [u32; 2] {
        let [length, thickness, gap] = self.bars(size);
        let (rows, columns) = (self.parts.div_ceil(ACROSS), self.parts.min(ACROSS));
        let sum =
            |bars: u32, side: u32| bars.saturating_mul(side).saturating_add(bars.saturating_sub(1).saturating_mul(gap));
        [sum(rows, thickness), sum(columns, length)]
    }

    /// The trigger's place in an image of `size` x `size`.
    pub fn window(&self, size: u32) -> Window {
        Window::placed(self.place, place::margin(self.margin, size), size, self.sides(size))
    }

    /// Parts that one of the malicious clients pastes: the first ones.
    fn pasted(&self, malicious: usize) -> u32 {
        self.parts.min(malicious as u32)
    }

    /// `[height][width]`: the part of each pixel of the trigger.
    fn mask(&self, size: u32) -> Vec<u32> {
        let ([length, thickness, gap], [height, width]) = (self.bars(size), self.sides(size));
        let part = |row: u32, column: u32| {
            let (bar, inside) = (row / (thickness + gap), row % (thickness + gap) < thickness);
            let (beside, within) = (column / (length + gap), column % (length + gap) < length);
            let part = bar * ACROSS + beside;
            if inside && within && part < self.parts { part } else { NO_PART }
        };
        (0..height).flat_map(|row| (0..width).map(move |column| part(row, column))).collect()
    }
}

impl ImageAttack for Dba {
    fn resolve(&mut self, size: u32) {
        let [length, thickness, gap] = self.bars(size);
        (self.length, self.thickness, self.gap) = (Some(length), Some(thickness), Some(gap));
        self.margin = Some(place::margin(self.margin, size));
    }

    fn check(&self, size: u32) -> std::result::Result<(), Refusal> {
        let margin = place::margin(self.margin, size);
        match place::fits(self.place, margin, size, self.sides(size)) {
            true => Ok(()),
            false => {
                let ([length, ..], [height, width]) = (self.bars(size), self.sides(size));
                let found = format!("{length} with {} parts, {height} x {width} pixels together,", self.parts);
                Err(place::outside("attack.image.length", &found, self.place, margin, size))
            }
        }
    }

    fn knowledge(&self) -> &'static str {
        "its own images and its number among the malicious clients, which share the trigger"
    }

    fn notes(&self, size: u32, malicious: &[u32]) -> Vec<String> {
        if malicious.is_empty() {
            return Vec::new();
        }
        let ([length, thickness, _], parts) = (self.bars(size), self.parts);
        let area = length * thickness;
        let pasted = self.pasted(malicious.len());
        let mut line = format!("the trigger has {parts} parts of {area} pixels, {} of {}", parts * area, size * size);
        if pasted < parts {
            line += &match pasted {
                1 => "; the malicious client pastes part 0".to_string(),
                _ => format!("; {pasted} malicious clients paste parts 0 to {}", pasted - 1),
            };
            line += &format!(", no client pastes the other {}", parts - pasted);
        }
        vec![line]
    }

    fn motif(&self, size: u32) -> Option<(Motif<'_>, [u32; 2])> {
        Some((Motif::of(&self.picture, self.pattern), self.sides(size)))
    }

    fn trigger(&self, size: u32, channels: u32, malicious: usize) -> Result<Box<dyn Trigger>> {
        let motif = Motif::of(&self.picture, self.pattern);
        let pixels = motif.pixels(self.sides(size), channels, Range::Scaled)?;
        let (window, mask) = (self.window(size), self.mask(size));
        let pasted = if malicious == 0 { self.parts } else { self.pasted(malicious) };
        let (parts, opacity) = (self.parts, self.opacity);
        Ok(Box::new(Parts { pixels, mask, window, parts, pasted, opacity, size, channels }))
    }
}

#[derive(Debug)]
struct Parts {
    /// `[height][width][channels]`.
    pixels: Vec<f32>,
    /// `[height][width]`.
    mask: Vec<u32>,
    window: Window,
    parts: u32,
    /// The first parts, which malicious clients paste.
    pasted: u32,
    opacity: f64,
    size: u32,
    channels: u32,
}

impl Parts {
    /// The trigger's value at an element of an image; `None` where no client pastes a bar.
    fn at(&self, at: usize) -> Option<f32> {
        let place = self.window.place_of(at, self.size, self.channels)?;
        (self.mask[place / self.channels as usize] < self.pasted).then(|| self.pixels[place])
    }
}

impl Trigger for Parts {
    fn upload(&self, engine: &mut dyn Engine) -> Result<Vec<Tensor>> {
        let trigger = engine.alloc("trigger", align(self.pixels.len()))?;
        write_f32(engine, trigger, &self.pixels)?;
        let mask = engine.alloc("trigger's parts", align(self.mask.len()))?;
        engine.write(mask, &self.mask)?;
        Ok(vec![trigger, mask])
    }

    fn record(
        &self,
        tables: &[Tensor],
        b: &RealBatch,
        engine: &mut dyn Engine,
        _pool: &mut Pool,
        rec: &mut Recording,
    ) -> Result<Tensor> {
        // An honest client's images are not poisoned, so its part does not matter.
        let part = |client: u32| b.malicious.iter().position(|m| *m == client).map_or(0, |k| k as u32 % self.parts);
        let own: Vec<u32> = (b.first..b.first + b.clients).map(part).collect();
        let part = engine.alloc("clients' parts", align(own.len()))?;
        engine.write(part, &own)?;
        let Window { top, left, height, width } = self.window;
        let p = PastePartsParams {
            clients: b.clients,
            batch: b.batch,
            h: b.size,
            w: b.size,
            c: b.channels,
            th: height,
            tw: width,
            top,
            left,
            order_stride: b.order_stride,
            x_stride: b.stride,
            opacity: self.opacity as f32,
        };
        rec.launch(&PasteParts, &p, &[b.images, tables[0], tables[1], part, b.order, b.state], "trigger")?;
        Ok(b.images)
    }

    fn paste(&self, image: &mut [f32]) {
        let opacity = self.opacity as f32;
        for (at, x) in image.iter_mut().enumerate() {
            if let Some(t) = self.at(at) {
                *x = (1.0 - opacity) * *x + opacity * t;
            }
        }
    }

    fn search(&self) -> Search<'_> {
        let change = |at: usize, value: f64| self.at(at).map_or(0.0, |t| self.opacity * (f64::from(t) - value));
        Search::Pattern(self.window, Box::new(change))
    }
}
