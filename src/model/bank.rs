//! Buffers by role: weights, gradients and moments of one network for a chunk of clients; activations; scratch.

use super::{Layer, LayerKind, Network};
use crate::Result;
use crate::exec::{Engine, Pool, Tensor, align};
use crate::kernels::nn::conv2d_weight_grad::Conv2dWeightGrad;
use crate::kernels::nn::instance::InstanceParams;

/// One network's state for `clients` clients: `[clients][stride]` per role. No two roles share a buffer.
#[derive(Clone, Copy, Debug)]
pub struct NetworkBank {
    /// Clients in the rows.
    pub clients: u32,
    /// Weights.
    pub weights: Tensor,
    /// Gradients.
    pub grads: Tensor,
    /// Adam's first moment.
    pub m: Tensor,
    /// Adam's second moment.
    pub v: Tensor,
    /// Running statistics of the batch norms, `[clients][running_stride]`.
    pub running: Tensor,
}

impl NetworkBank {
    /// Allocates a bank. With `trains` false, gradients and moments have one row only (the server's network, samples).
    ///
    /// # Errors
    /// As [`Engine::alloc`].
    pub fn alloc(engine: &mut dyn Engine, net: &Network, clients: u32, trains: bool) -> Result<Self> {
        let rows = clients as usize;
        let state = if trains { rows * net.stride } else { align(1) };
        let mut buffer = |role: &str, words| engine.alloc(&format!("{} {role}", net.name), words);
        Ok(NetworkBank {
            clients,
            weights: buffer("weights", rows * net.stride)?,
            grads: buffer("gradients", state)?,
            m: buffer("first moments", state)?,
            v: buffer("second moments", state)?,
            running: buffer("running statistics", rows * net.running_stride)?,
        })
    }

    /// Parameter `index` of every client in `of`, a buffer of this bank with the layout of the weights.
    pub fn param(&self, of: Tensor, net: &Network, index: usize) -> Tensor {
        let spec = &net.params[index];
        of.slice(spec.offset, (self.clients as usize - 1) * net.stride + spec.words())
    }

    /// Running statistic `index` of every client.
    pub fn running(&self, net: &Network, index: usize) -> Tensor {
        let spec = &net.running[index];
        self.running.slice(spec.offset, (self.clients as usize - 1) * net.running_stride + spec.words())
    }
}

/// Outputs of every layer, each `[clients][batch][h][w][c]` with the client stride [`Activations::stride`], and the
/// batch statistics of every batch norm.
#[derive(Clone, Debug)]
pub struct Activations {
    /// Images per client.
    pub batch: u32,
    /// Clients of the whole plan. The split of weight gradients depends on it, never on the chunk.
    pub total_clients: u32,
    /// Output of layer i.
    pub outputs: Vec<Tensor>,
    /// Mean of layer i's batch, for batch norms.
    pub means: Vec<Option<Tensor>>,
    /// 1/sqrt(var + eps) of layer i's batch, for batch norms.
    pub invstds: Vec<Option<Tensor>>,
    /// Mean and 1/sqrt(var + eps) of each image, `[clients][batch][2][c]`, for instance norms.
    pub stats: Vec<Option<Tensor>>,
}

impl Activations {
    /// Takes from `pool` the activations of `net` for `clients` clients with `batch` images each.
    ///
    /// # Errors
    /// As [`Pool::alloc`].
    pub fn alloc(
        engine: &mut dyn Engine,
        pool: &mut Pool,
        net: &Network,
        clients: u32,
        total_clients: u32,
        batch: u32,
    ) -> Result<Self> {
        let mut acts =
            Activations { batch, total_clients, outputs: vec![], means: vec![], invstds: vec![], stats: vec![] };
        for (i, layer) in net.layers.iter().enumerate() {
            let label = format!("{} main.{} activations", net.name, layer.index);
            let words = clients as usize * Self::stride(layer.output, batch) as usize;
            let shared = i.checked_sub(1).filter(|before| net.rectified(*before).is_some());
            acts.outputs.push(match shared {
                Some(norm) => acts.outputs[norm],
                None => pool.alloc(engine, &label, words)?,
            });
            let norm = layer.kind == LayerKind::BatchNorm;
            let mut statistic = |_| pool.alloc(engine, &label, clients as usize * align(layer.output[2] as usize));
            let (mean, invstd) = if norm { (Some(statistic(())?), Some(statistic(())?)) } else { (None, None) };
            acts.means.push(mean);
            acts.invstds.push(invstd);
            acts.stats.push(match instance_params(layer, clients, batch) {
                Some(p) => Some(pool.alloc(engine, &label, clients as usize * p.stat_stride as usize)?),
                None => None,
            });
        }
        Ok(acts)
    }

    /// Client stride of a `[batch][h][w][c]` tensor that fits one launch ([`MOST_WORDS`](crate::kernels::MOST_WORDS)).
    pub fn stride(hwc: [u32; 3], batch: u32) -> u32 {
        align((batch * hwc.iter().product::<u32>()) as usize) as u32
    }

    /// [`Activations::stride`] of any size, to check whether it fits one launch.
    pub fn words(hwc: [u32; 3], batch: usize) -> usize {
        align(hwc.iter().fold(batch, |n, side| n.saturating_mul(*side as usize)))
    }
}

/// Geometry of an instance norm layer with two sums per image and channel; `None` for other layers. The client stride
/// of gamma and beta is the network's and is set by the pass.
pub(super) fn instance_params(layer: &Layer, clients: u32, batch: u32) -> Option<InstanceParams> {
    let [h, w, c] = layer.output;
    (layer.kind == LayerKind::InstanceNorm).then(|| InstanceParams::new(clients, batch, h * w, c, 2))
}

/// Buffers used within one backward pass, shared by both networks.
#[derive(Clone, Copy, Debug)]
pub struct Scratch {
    /// Deltas; layers alternate between the two.
    pub deltas: [Tensor; 2],
    /// Partial sums of split weight gradients.
    pub partials: Tensor,
    /// sum dy and sum dy xhat of a norm: `[clients][2][c]` of a batch norm, `[clients][batch][2][c]` of an instance
    /// norm.
    pub sums: Tensor,
}

impl Scratch {
    /// Takes from `pool` the scratch for backward passes of `nets` with `clients` clients and `batch` images each. The
    /// split of weight gradients follows from the plan's `total_clients`.
    ///
    /// # Errors
    /// As [`Pool::alloc`].
    pub fn alloc(
        engine: &mut dyn Engine,
        pool: &mut Pool,
        nets: &[&Network],
        clients: u32,
        total_clients: u32,
        batch: u32,
    ) -> Result<Self> {
        let layers = || nets.iter().flat_map(|n| n.layers.iter());
        let rows = clients as usize;
        let sides = layers().flat_map(|l| [l.input, l.output]);
        let delta = sides.map(|s| Activations::stride(s, batch) as usize).max().unwrap_or(1);
        let partial = layers()
            .filter_map(|l| super::pass::conv_params(l, clients, batch, 0))
            .map(|p| (Conv2dWeightGrad::splits(&p, total_clients), p.weights()))
            .map(|(splits, words)| if splits > 1 { align(splits as usize * words as usize) } else { 0 })
            .max()
            .unwrap_or(0);
        let norms = nets.iter().map(|n| n.max_norm_channels()).max().unwrap_or(1);
        let instances = layers().filter_map(|l| instance_params(l, clients, batch)).map(|p| p.moment_stride as usize);
        let sums = instances.max().unwrap_or(0).max(align(2 * norms as usize));
        let mut take = |label, words| pool.alloc(engine, label, words);
        Ok(Scratch {
            deltas: [take("deltas (even layers)", rows * delta)?, take("deltas (odd layers)", rows * delta)?],
            partials: take("partial weight gradients", (rows * partial).max(align(1)))?,
            sums: take("norm sums", rows * sums)?,
        })
    }
}
