//! Weights in Winograd's form, of the layers that train in it.

use super::{Layer, LayerKind, Network, NetworkBank};
use crate::Result;
use crate::exec::{Engine, Pool, Recording, Tensor};
use crate::kernels::nn::winograd::{WinogradParams, transformed};
use crate::kernels::nn::winograd_weights::{WinogradWeights, WinogradWeightsParams};

/// The form of the convolutions in training. Both compute the same sums with different roundings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Convolution {
    /// Winograd's form in layers of a suitable shape, on engines on which it is faster.
    #[default]
    Auto,
    /// The direct form in all layers.
    Direct,
}

/// Tiles of a layer's batch from which on Winograd's form is chosen: with 32 a step was faster, fewer were not measured. The
/// fewer, the more the transform of the weights counts.
const LEAST_TILES: u32 = 32;

/// The transformed weights of a network's layers, for a chunk of clients. They are those of the bank at the time of the last
/// [`TransformedWeights::record`].
#[derive(Clone, Debug)]
pub struct TransformedWeights {
    /// For each layer in Winograd's form: for the convolution, for the transposed convolution.
    layers: Vec<Option<[Tensor; 2]>>,
}

impl TransformedWeights {
    /// Takes from `pool` the transformed weights of those layers of `net` that train in Winograd's form.
    ///
    /// # Errors
    /// As [`Pool::alloc`].
    pub fn alloc(
        engine: &mut dyn Engine,
        pool: &mut Pool,
        net: &Network,
        convolution: Convolution,
        clients: u32,
        batch: u32,
    ) -> Result<Self> {
        let wanted = convolution == Convolution::Auto && engine.winograd();
        let mut layers = Vec::new();
        for layer in &net.layers {
            layers.push(match params(layer, batch).filter(|_| wanted) {
                Some(p) => {
                    let words = clients as usize * p.weight_stride as usize;
                    let label = format!("{} main.{} transformed weights", net.name, layer.index);
                    Some([pool.alloc(engine, &label, words)?, pool.alloc(engine, &label, words)?])
                }
                None => None,
            });
        }
        Ok(TransformedWeights { layers })
    }

    /// Layers in Winograd's form.
    pub fn count(&self) -> usize {
        self.layers.iter().flatten().count()
    }

    /// Records the transform of the bank's weights.
    ///
    /// # Errors
    /// If a layout does not fit its buffers (a bug).
    pub fn record(&self, rec: &mut Recording, net: &Network, bank: &NetworkBank) -> Result<()> {
        for (layer, to) in net.layers.iter().zip(&self.layers) {
            let (Some(to), Some([ci, co])) = (to, sides(layer)) else { continue };
            let w = bank.param(bank.weights, net, layer.params[0]);
            for (y, transposed) in to.iter().zip([0, 1]) {
                let (w_stride, y_stride) = (net.stride as u32, transformed(ci, co));
                let p = WinogradWeightsParams { clients: bank.clients, ci, co, w_stride, y_stride, transposed };
                let label = format!("{} main.{} transformed weights", net.name, layer.index);
                rec.launch(&WinogradWeights, &p, &[w, *y], label)?;
            }
        }
        Ok(())
    }

    /// The transformed weights of a layer in Winograd's form.
    pub(super) fn layer(&self, layer: &Layer) -> Option<[Tensor; 2]> {
        self.layers.get(layer.index).copied().flatten()
    }
}

/// Channels of the large and the small side.
fn sides(layer: &Layer) -> Option<[u32; 2]> {
    match layer.kind {
        LayerKind::Conv { .. } => Some([layer.input[2], layer.output[2]]),
        LayerKind::ConvTranspose { .. } => Some([layer.output[2], layer.input[2]]),
        LayerKind::BatchNorm | LayerKind::InstanceNorm | LayerKind::Activation(..) => None,
    }
}

/// The geometry of a layer that trains in Winograd's form if the engine is fast at it. Depends on one client's shape only.
fn params(layer: &Layer, batch: u32) -> Option<WinogradParams> {
    let p = super::pass::conv_params(layer, 1, batch, 0)?;
    WinogradParams::of(&p).filter(|p| p.tiles() >= LEAST_TILES)
}
