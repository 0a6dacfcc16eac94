//! The patch attack: a small picture in a corner of the images (Gu, Dolan-Gavitt, Garg 2017, "BadNets"; on federated GANs Jin and Li
//! 2022, arXiv 2207.00762).

use super::motif::{Motif, Pattern, Range};
use super::place::{self, Place, Window};
use super::{IMAGE, ImageAttack, RealBatch, Refusal, Search, Trigger, options};
use crate::Result;
use crate::exec::{Engine, Pool, Recording, Tensor, align, write_f32};
use crate::kernels::attack::paste_trigger::{PasteTrigger, PasteTriggerParams};
use crate::key::DefaultValue::{Computed, Text};
use crate::key::{Key, U32, ValueKind};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// x = (1 - opacity) x + opacity t in a square window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// A picture to paste; excludes `pattern`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<PathBuf>,
    /// A built-in pattern to paste; absent with a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
    /// Side of the trigger in pixels; absent: image size / 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<u32>,
    /// Pixels between the trigger and the image's edges; absent: 5 at 256 pixels, in proportion, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<u32>,
    /// Position of the trigger.
    pub place: Place,
    /// 1 replaces the pixels, below 1 blends: (1 - opacity) image + opacity trigger.
    pub opacity: f64,
    /// Values of the pasted pixels.
    pub range: Range,
}

const KIND: &[&str] = &["patch"];

pub(super) const OPTIONS: &[Key] = &[
    options::picture(KIND, "picture that is pasted, resized to `attack.image.side`; excludes `attack.image.pattern`")
        .was("attack.trigger.image"),
    options::pattern(KIND, "built-in pattern that is pasted; excludes `attack.image.picture`")
        .was("attack.trigger.pattern"),
    Key::new("attack.image.side", ValueKind::Int(1, U32), Computed("`model.image_size` / 16"), "side of the trigger")
        .unit("pixels")
        .of(IMAGE, KIND)
        .was("attack.side"),
    options::margin(KIND).was("attack.margin"),
    options::place(KIND).was("attack.place"),
    options::opacity(KIND).was("attack.opacity"),
    Key::new(
        "attack.image.range",
        ValueKind::Choice(&["scaled", "published"]),
        Text("scaled"),
        "values of the trigger: in [-1, 1] as the images, or in [0, 1] as in the attack's public code",
    )
    .of(IMAGE, KIND)
    .was("attack.range"),
];

impl Patch {
    /// An opaque checker of 2 x 2 pixels, one pixel from the bottom right corner.
    pub fn checker() -> Patch {
        Patch {
            picture: None,
            pattern: Some(Pattern::Checker),
            side: Some(2),
            margin: Some(1),
            place: Place::BottomRight,
            opacity: 1.0,
            range: Range::Scaled,
        }
    }

    /// The trigger's place in an image of `size` x `size`.
    pub fn window(&self, size: u32) -> Window {
        let side = self.side(size);
        Window::placed(self.place, place::margin(self.margin, size), size, [side, side])
    }

    fn side(&self, size: u32) -> u32 {
        self.side.unwrap_or((size / 16).max(1))
    }
}

impl ImageAttack for Patch {
    fn resolve(&mut self, size: u32) {
        self.side = Some(self.side(size));
        self.margin = Some(place::margin(self.margin, size));
    }

    fn check(&self, size: u32) -> std::result::Result<(), Refusal> {
        let (side, margin) = (self.side(size), place::margin(self.margin, size));
        match place::fits(self.place, margin, size, [side, side]) {
            true => Ok(()),
            false => Err(place::outside("attack.image.side", &side.to_string(), self.place, margin, size)),
        }
    }

    fn knowledge(&self) -> &'static str {
        "its own images"
    }

    fn motif(&self, size: u32) -> Option<(Motif<'_>, [u32; 2])> {
        Some((Motif::of(&self.picture, self.pattern), [self.side(size); 2]))
    }

    fn trigger(&self, size: u32, channels: u32, _malicious: usize) -> Result<Box<dyn Trigger>> {
        let window = self.window(size);
        let motif = Motif::of(&self.picture, self.pattern);
        let pixels = motif.pixels([window.height, window.width], channels, self.range)?;
        Ok(Box::new(Pasted { pixels, window, opacity: self.opacity, size, channels }))
    }
}

/// A picture in a window: the triggers of the patch and of the blend.
#[derive(Debug)]
pub(super) struct Pasted {
    /// `[height][width][channels]`.
    pub pixels: Vec<f32>,
    /// The window.
    pub window: Window,
    /// Share of the picture.
    pub opacity: f64,
    /// Height and width of the images.
    pub size: u32,
    /// Channels of the images.
    pub channels: u32,
}

impl Trigger for Pasted {
    fn upload(&self, engine: &mut dyn Engine) -> Result<Vec<Tensor>> {
        let trigger = engine.alloc("trigger", align(self.pixels.len()))?;
        write_f32(engine, trigger, &self.pixels)?;
        Ok(vec![trigger])
    }

    fn record(
        &self,
        tables: &[Tensor],
        b: &RealBatch,
        _engine: &mut dyn Engine,
        _pool: &mut Pool,
        rec: &mut Recording,
    ) -> Result<Tensor> {
        let Window { top, left, height, width } = self.window;
        let p = PasteTriggerParams {
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
        rec.launch(&PasteTrigger, &p, &[b.images, tables[0], b.order, b.state], "trigger")?;
        Ok(b.images)
    }

    fn paste(&self, image: &mut [f32]) {
        let (opacity, row) = (self.opacity as f32, (self.window.width * self.channels) as usize);
        for (y, line) in (0..self.window.height).zip(self.pixels.chunks_exact(row)) {
            let at = self.window.line(y, self.size, self.channels);
            let blend = |(x, t): (&mut f32, &f32)| *x = (1.0 - opacity) * *x + opacity * t;
            image[at..at + row].iter_mut().zip(line).for_each(blend);
        }
    }

    fn search(&self) -> Search<'_> {
        let change = |at: usize, value: f64| {
            let place = self.window.place_of(at, self.size, self.channels);
            place.map_or(0.0, |place| self.opacity * (f64::from(self.pixels[place]) - value))
        };
        Search::Pattern(self.window, Box::new(change))
    }
}
