//! EfficientNet-Lite0 without its classifier: 1280 features per image, on the host in f32.
//!
//! The network of `assets/lite0`: a 3 x 3 stem, 16 inverted residual blocks, a 1 x 1 head and the mean over positions;
//! batch norm is folded into the weights. Activations are planes, `[channels][height][width]`.

mod layers;

use super::images::ImageSet;
use super::resize::{SIDE, resized};
use crate::{Error, Result};
use layers::{Depthwise, Planes, Pointwise, Stem, Weights};
use rayon::prelude::*;

/// Features per image.
pub const FEATURES: usize = 1280;

/// The weights embedded in the binary, packed as [`unpack`] says.
static EMBEDDED: &[u8] = include_bytes!("../../../assets/lite0/lite0_features_only_f16.planes");

/// Kernel, stride of the first block, output channels and number of blocks of each stage.
const STAGES: [[usize; 4]; 7] =
    [[3, 1, 16, 1], [3, 2, 24, 2], [5, 2, 40, 2], [3, 2, 80, 3], [5, 1, 112, 3], [5, 2, 192, 4], [3, 1, 320, 1]];
/// Channels after the stem.
const STEM: usize = 32;
/// Channel expansion in every block except the first.
const EXPAND: usize = 6;

/// Features of images, `[n][d]`, widened to f64.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// Values in row-major order.
    pub values: Vec<f64>,
    /// Length of a row.
    pub d: usize,
}

impl Features {
    /// Rows of length `d`.
    ///
    /// # Panics
    /// If `values` is not a whole number of rows.
    pub fn new(values: Vec<f64>, d: usize) -> Self {
        assert!(d > 0 && values.len().is_multiple_of(d), "whole rows");
        Features { values, d }
    }

    /// Number of rows.
    pub fn n(&self) -> usize {
        self.values.len() / self.d
    }

    /// Row `i`.
    ///
    /// # Panics
    /// If `i` is not less than [`n`](Self::n).
    pub fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.d..(i + 1) * self.d]
    }

    /// `n` rows, starting at row `from`.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn rows(&self, from: usize, n: usize) -> Features {
        Features { values: self.values[from * self.d..(from + n) * self.d].to_vec(), d: self.d }
    }

    /// The rows with these indices, in this order.
    ///
    /// # Panics
    /// If an index is not less than [`n`](Self::n).
    pub fn pick(&self, rows: &[usize]) -> Features {
        Features { values: rows.iter().flat_map(|i| self.row(*i)).copied().collect(), d: self.d }
    }
}

/// The safetensors file of half-precision values that `packed` holds with the low bytes of all values before all high bytes. High
/// bytes, which hold the exponents, compress well when they stand together: a package on crates.io must stay below 10 MiB.
fn unpack(packed: &[u8]) -> Vec<u8> {
    let length = packed.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
    let start = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(8).min(packed.len());
    let (header, values) = packed.split_at(start);
    let (low, high) = values.split_at(values.len() / 2);
    let pairs = low.iter().zip(high).flat_map(|(low, high)| [*low, *high]);
    header.iter().copied().chain(pairs).collect()
}

/// An inverted residual block.
#[derive(Debug)]
struct Block {
    expand: Option<Pointwise>,
    depthwise: Depthwise,
    project: Pointwise,
    residual: bool,
}

/// The network.
#[derive(Debug)]
pub struct Lite0 {
    stem: Stem,
    blocks: Vec<Block>,
    head: Pointwise,
}

impl Lite0 {
    /// The network with the embedded weights.
    ///
    /// # Errors
    /// [`Error::Internal`] if they are damaged.
    pub fn embedded() -> Result<Lite0> {
        Lite0::from_bytes(&unpack(EMBEDDED)).map_err(|e| Error::internal(format!("embedded Lite0 weights: {e}")))
    }

    /// The network with weights from a safetensors file with the same tensors.
    ///
    /// # Errors
    /// [`Error::Input`] naming the tensor that is missing or has the wrong shape or type.
    pub fn from_bytes(bytes: &[u8]) -> Result<Lite0> {
        let weights = Weights::read(bytes)?;
        let stem = Stem::new(&weights, "conv_stem", STEM)?;
        let (mut blocks, mut channels) = (Vec::new(), STEM);
        for [kernel, stride, out, repeats] in STAGES {
            for repeat in 0..repeats {
                let name = format!("blocks_{}__", blocks.len());
                let stride = if repeat == 0 { stride } else { 1 };
                let wide = if blocks.is_empty() { channels } else { channels * EXPAND };
                let expand = (!blocks.is_empty())
                    .then(|| Pointwise::new(&weights, &format!("{name}expand_conv"), [wide, channels], true))
                    .transpose()?;
                blocks.push(Block {
                    expand,
                    depthwise: Depthwise::new(&weights, &format!("{name}depthwise_conv"), wide, kernel, stride)?,
                    project: Pointwise::new(&weights, &format!("{name}project_conv"), [out, wide], false)?,
                    residual: stride == 1 && channels == out,
                });
                channels = out;
            }
        }
        let head = Pointwise::new(&weights, "conv_head", [FEATURES, channels], true)?;
        Ok(Lite0 { stem, blocks, head })
    }

    /// Features of one image: RGB planes `[3][224][224]` of byte values, 0 to 255.
    ///
    /// # Panics
    /// If `rgb` has another length.
    pub fn forward(&self, rgb: &[f32]) -> Vec<f32> {
        assert_eq!(rgb.len(), 3 * SIDE * SIDE, "RGB planes of {SIDE} x {SIDE}");
        let input = rgb.iter().map(|v| (v - 127.0) / 128.0).collect();
        let mut x = self.stem.forward(&Planes { values: input, channels: 3, side: SIDE });
        for block in &self.blocks {
            let wide = block.expand.as_ref().map(|e| e.forward(&x));
            let mut y = block.project.forward(&block.depthwise.forward(wide.as_ref().unwrap_or(&x)));
            if block.residual {
                y.values.iter_mut().zip(&x.values).for_each(|(y, x)| *y += x);
            }
            x = y;
        }
        let x = self.head.forward(&x);
        let area = x.side * x.side;
        x.values.chunks_exact(area).map(|plane| plane.iter().sum::<f32>() / area as f32).collect()
    }

    /// Features of a set: images are rounded to bytes and resized to 224 pixels (`lite0::resize`); grey becomes RGB.
    pub fn features(&self, set: &ImageSet) -> Features {
        let rows: Vec<Vec<f32>> = (0..set.len())
            .into_par_iter()
            .map(|i| self.forward(&resized(set.image(i), set.size, set.channels)))
            .collect();
        Features { values: rows.iter().flatten().map(|v| f64::from(*v)).collect(), d: FEATURES }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_a_value_are_joined_behind_the_header() {
        let packed = [&3u64.to_le_bytes()[..], b"{ }", &[1, 2, 3], &[11, 12, 13]].concat();
        assert_eq!(unpack(&packed), [&3u64.to_le_bytes()[..], b"{ }", &[1, 11, 2, 12, 3, 13]].concat());
        for damaged in [&[][..], &[9; 7], &u64::MAX.to_le_bytes()] {
            assert!(Lite0::from_bytes(&unpack(damaged)).is_err());
        }
    }
}
