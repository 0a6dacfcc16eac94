//! A pass of one network: forward launches and the corresponding backward launches of each layer.

use super::arch::BN_EPS;
use super::{Activations, Layer, LayerKind, Network, NetworkBank, Scratch, TransformedWeights};
use crate::Result;
use crate::exec::{Recording, Tensor, align};
use crate::kernels::nn::{
    activation::{Activation, ActivationParams},
    activation_backward::{ActivationBackward, ActivationBackwardParams},
    batch_norm_apply::{BatchNormApply, BatchNormApplyParams},
    batch_norm_backward_apply::{BatchNormBackwardApply, BatchNormBackwardApplyParams},
    batch_norm_backward_reduce::{BatchNormBackwardReduce, BatchNormBackwardReduceParams},
    batch_norm_running::{BatchNormRunning, BatchNormRunningParams},
    batch_norm_stats::{BatchNormStats, BatchNormStatsParams},
    conv::ConvParams,
    conv_transpose2d::ConvTranspose2d,
    conv2d::Conv2d,
    conv2d_weight_grad::Conv2dWeightGrad,
    split_sum::{SplitSum, SplitSumParams},
    winograd::WinogradParams,
    winograd_conv_transpose2d::WinogradConvTranspose2d,
    winograd_conv2d::WinogradConv2d,
    winograd_weight_grad::WinogradWeightGrad,
};

/// Mode of batch norm.
#[derive(Clone, Copy, Debug)]
pub enum Mode {
    /// Normalises by the batch and updates the running statistics of active clients.
    Train {
        /// The step state, u32 `[4]`.
        state: Tensor,
        /// Active steps of each client, u32 `[clients]`.
        client_steps: Tensor,
        /// Weight of the batch in the running statistics.
        momentum: f32,
    },
    /// By the running statistics.
    Eval,
}

/// What a backward pass computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backward {
    /// Parameter gradients, overwriting the old ones; no input delta.
    Fresh,
    /// Parameter gradients, added to the old ones; no input delta.
    Accumulate,
    /// Only the delta of the input: no parameter gradients.
    InputOnly,
}

/// One network over one set of buffers.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// The layers and layouts.
    pub net: &'a Network,
    /// Weights, gradients, running statistics.
    pub bank: &'a NetworkBank,
    /// Layer outputs.
    pub acts: &'a Activations,
    /// The bank's weights in Winograd's form, for the layers in that form; `None`: all layers are in the direct form.
    pub transformed: Option<&'a TransformedWeights>,
    /// Prefix of launch labels, e.g. `D(real)`.
    pub label: &'a str,
}

/// Geometry of a (transposed) convolution layer; `None` for other layers.
pub(super) fn conv_params(layer: &Layer, clients: u32, batch: u32, weight_stride: u32) -> Option<ConvParams> {
    let (large, small, k, stride, pad) = match layer.kind {
        LayerKind::Conv { k, stride, pad } => (layer.input, layer.output, k, stride, pad),
        LayerKind::ConvTranspose { k, stride, pad } => (layer.output, layer.input, k, stride, pad),
        LayerKind::BatchNorm | LayerKind::InstanceNorm | LayerKind::Activation(..) => return None,
    };
    let whole = small[0] == 1 && small[1] == 1 && large[0] == k && large[1] == k && pad == 0;
    let p = if whole {
        // The kernel covers the large side exactly once, and `[n][k][k][ci]` and `[co][k][k][ci]` are plain matrices: a
        // 1x1 convolution over k k ci channels in the same memory. Tap by tap, 15 of 16 products would be padding in
        // the generator's first layer.
        ConvParams::new(clients, batch, [1, 1, k * k * large[2]], small, 1, 1, 0)
    } else {
        ConvParams::new(clients, batch, large, small, k, stride, pad)
    };
    Some(ConvParams { weight_stride, ..p })
}

impl Pass<'_> {
    pub(super) fn clients(&self) -> u32 {
        self.bank.clients
    }

    pub(super) fn stride(&self, hwc: [u32; 3]) -> u32 {
        Activations::stride(hwc, self.acts.batch)
    }

    /// A tensor that starts at `t` and has the extent of `[clients][batch][h][w][c]`.
    pub(super) fn fit(&self, t: Tensor, hwc: [u32; 3]) -> Tensor {
        t.slice(0, self.clients() as usize * self.stride(hwc) as usize)
    }

    pub(super) fn name(&self, layer: &Layer, what: &str) -> String {
        format!("{} main.{} {what}", self.label, layer.index)
    }

    /// Records the forward launches from `input` (`[clients][batch][h][w][c]` of the first layer); returns the output.
    ///
    /// # Errors
    /// If a layout does not fit its buffers (a bug).
    pub fn forward(&self, rec: &mut Recording, input: Tensor, mode: Mode) -> Result<Tensor> {
        let mut x = input;
        for (i, layer) in self.net.layers.iter().enumerate() {
            let y = self.acts.outputs[i];
            if i.checked_sub(1).is_some_and(|norm| self.net.rectified(norm).is_some()) {
                // The norm before it wrote rectified values into the same buffer.
                continue;
            }
            match layer.kind {
                LayerKind::Conv { .. } | LayerKind::ConvTranspose { .. } => self.conv_forward(rec, layer, x, y)?,
                LayerKind::BatchNorm => {
                    self.norm_forward(rec, layer, x, y, mode, self.net.rectified(i).unwrap_or(1.0))?;
                }
                LayerKind::InstanceNorm => self.instance_forward(rec, layer, x, y)?,
                LayerKind::Activation(kind, slope) => {
                    let stride = self.stride(layer.output);
                    let n = self.acts.batch * layer.output.iter().product::<u32>();
                    let clients = self.clients();
                    let p = ActivationParams { clients, n, x_stride: stride, y_stride: stride, kind, slope };
                    rec.launch(&Activation, &p, &[x, y], self.name(layer, "activation"))?;
                }
            }
            x = y;
        }
        Ok(x)
    }

    pub(super) fn conv_forward(&self, rec: &mut Recording, layer: &Layer, x: Tensor, y: Tensor) -> Result<()> {
        let label = self.name(layer, "forward");
        match layer.kind {
            LayerKind::Conv { .. } => self.convolution(rec, layer, x, y, label),
            _ => self.transposed_convolution(rec, layer, x, y, label),
        }
    }

    /// A layer's convolution.
    fn convolution(
        &self,
        rec: &mut Recording,
        layer: &Layer,
        large: Tensor,
        small: Tensor,
        label: String,
    ) -> Result<()> {
        let p = self.conv(layer);
        if let Some((p, [v, _])) = self.winograd(layer, &p) {
            return rec.launch(&WinogradConv2d, &p, &[large, v, small], label);
        }
        let weights = self.bank.param(self.bank.weights, self.net, layer.params[0]);
        rec.launch(&Conv2d, &p, &[large, weights, small], label)
    }

    /// A layer's transposed convolution.
    fn transposed_convolution(
        &self,
        rec: &mut Recording,
        layer: &Layer,
        small: Tensor,
        large: Tensor,
        label: String,
    ) -> Result<()> {
        let p = self.conv(layer);
        if let Some((p, [_, v])) = self.winograd(layer, &p) {
            return rec.launch(&WinogradConvTranspose2d, &p, &[small, v, large], label);
        }
        let weights = self.bank.param(self.bank.weights, self.net, layer.params[0]);
        rec.launch(&ConvTranspose2d, &p, &[small, weights, large], label)
    }

    /// The geometry and the transformed weights of a layer in Winograd's form.
    fn winograd(&self, layer: &Layer, p: &ConvParams) -> Option<(WinogradParams, [Tensor; 2])> {
        let transformed = self.transformed?.layer(layer)?;
        Some((WinogradParams::of(p).expect("a layer of this form"), transformed))
    }

    pub(super) fn conv(&self, layer: &Layer) -> ConvParams {
        conv_params(layer, self.clients(), self.acts.batch, self.net.stride as u32).expect("a convolution layer")
    }

    fn rows(&self, layer: &Layer) -> u32 {
        self.acts.batch * layer.output[0] * layer.output[1]
    }

    fn statistics(&self, layer: &Layer) -> (Tensor, Tensor) {
        let known = (self.acts.means[layer.index], self.acts.invstds[layer.index]);
        (known.0.expect("a batch norm has a mean"), known.1.expect("a batch norm has an inverse deviation"))
    }

    fn norm_forward(
        &self,
        rec: &mut Recording,
        layer: &Layer,
        x: Tensor,
        y: Tensor,
        mode: Mode,
        slope: f32,
    ) -> Result<()> {
        let (clients, c, rows) = (self.clients(), layer.output[2], self.rows(layer));
        let (mean, invstd) = self.statistics(layer);
        let (x_stride, stat_stride) = (self.stride(layer.output), align(c as usize) as u32);
        let running = layer.running.expect("a batch norm has running statistics");
        let running = (self.bank.running(self.net, running), self.bank.running(self.net, running + 1));
        let running_stride = self.net.running_stride as u32;
        match mode {
            Mode::Train { state, client_steps, momentum } => {
                let p = BatchNormStatsParams {
                    clients,
                    rows,
                    c,
                    x_stride,
                    stat_stride,
                    running_stride,
                    eps: BN_EPS,
                    momentum,
                    update: 1,
                };
                let args = [x, mean, invstd, running.0, running.1, state, client_steps];
                rec.launch(&BatchNormStats, &p, &args, self.name(layer, "statistics"))?;
            }
            Mode::Eval => {
                let p = BatchNormRunningParams { clients, c, running_stride, stat_stride, eps: BN_EPS };
                let args = [running.0, running.1, mean, invstd];
                rec.launch(&BatchNormRunning, &p, &args, self.name(layer, "running statistics"))?;
            }
        }
        let param_stride = self.net.stride as u32;
        let p = BatchNormApplyParams { clients, rows, c, x_stride, stat_stride, param_stride, slope };
        let gamma = self.bank.param(self.bank.weights, self.net, layer.params[0]);
        let beta = self.bank.param(self.bank.weights, self.net, layer.params[1]);
        rec.launch(&BatchNormApply, &p, &[x, mean, invstd, gamma, beta, y], self.name(layer, "normalise"))
    }

    /// Records the backward launches of a training pass from the delta of the output; returns the delta of the input if
    /// `what` asks for it.
    ///
    /// `input` must still hold the values of the forward pass. `delta` may be one of the scratch deltas.
    ///
    /// # Errors
    /// If a layout does not fit its buffers (a bug).
    pub fn backward(
        &self,
        rec: &mut Recording,
        input: Tensor,
        delta: Tensor,
        scratch: &Scratch,
        what: Backward,
    ) -> Result<Option<Tensor>> {
        let mut dy = delta;
        for (i, layer) in self.net.layers.iter().enumerate().rev() {
            let x = if i == 0 { input } else { self.acts.outputs[i - 1] };
            let free = scratch.deltas.iter().find(|d| d.buffer != dy.buffer).expect("two scratch deltas");
            let dx = self.fit(*free, layer.input);
            let wants_dx = i > 0 || what == Backward::InputOnly;
            match layer.kind {
                LayerKind::Conv { .. } | LayerKind::ConvTranspose { .. } => {
                    if what != Backward::InputOnly {
                        self.weight_gradient(rec, layer, x, dy, scratch, what == Backward::Accumulate)?;
                    }
                    if wants_dx {
                        self.data_gradient(rec, layer, dy, dx)?;
                    }
                }
                LayerKind::BatchNorm => self.norm_backward(rec, layer, x, dy, dx, scratch, what)?,
                LayerKind::InstanceNorm => self.instance_backward(rec, layer, x, dy, dx, scratch, what)?,
                LayerKind::Activation(kind, slope) => self.activation_backward(rec, layer, (kind, slope), dy, dx)?,
            }
            dy = dx;
        }
        Ok((what == Backward::InputOnly).then_some(dy))
    }

    pub(super) fn activation_backward(
        &self,
        rec: &mut Recording,
        layer: &Layer,
        (kind, slope): (u32, f32),
        dy: Tensor,
        dx: Tensor,
    ) -> Result<()> {
        // All activations are differentiated from their output: a rectifier's output has the sign of its input.
        let saved = self.acts.outputs[layer.index];
        let stride = self.stride(layer.output);
        let n = self.acts.batch * layer.output.iter().product::<u32>();
        let p = ActivationBackwardParams {
            clients: self.clients(),
            n,
            s_stride: stride,
            dy_stride: stride,
            dx_stride: stride,
            kind,
            slope,
        };
        rec.launch(&ActivationBackward, &p, &[saved, dy, dx], self.name(layer, "activation backward"))
    }

    pub(super) fn data_gradient(&self, rec: &mut Recording, layer: &Layer, dy: Tensor, dx: Tensor) -> Result<()> {
        let label = self.name(layer, "data gradient");
        match layer.kind {
            LayerKind::Conv { .. } => self.transposed_convolution(rec, layer, dy, dx, label),
            _ => self.convolution(rec, layer, dy, dx, label),
        }
    }

    pub(super) fn weight_gradient(
        &self,
        rec: &mut Recording,
        layer: &Layer,
        x: Tensor,
        dy: Tensor,
        scratch: &Scratch,
        accumulate: bool,
    ) -> Result<()> {
        let mut p = self.conv(layer);
        let dw = self.bank.param(self.bank.grads, self.net, layer.params[0]);
        let (large, small) = if matches!(layer.kind, LayerKind::Conv { .. }) { (x, dy) } else { (dy, x) };
        let label = self.name(layer, "weight gradient");
        let accumulate = u32::from(accumulate);
        if let Some((winograd, _)) = self.winograd(layer, &p) {
            let p = WinogradParams { weight_stride: p.weight_stride, accumulate, ..winograd };
            return rec.launch(&WinogradWeightGrad, &p, &[large, small, dw], label);
        }
        p.splits = Conv2dWeightGrad::splits(&p, self.acts.total_clients);
        if p.splits == 1 {
            p.accumulate = accumulate;
            return rec.launch(&Conv2dWeightGrad, &p, &[large, small, dw], label);
        }
        let (n, splits, y_stride) = (p.weights(), p.splits, p.weight_stride);
        p.weight_stride = align((n * splits) as usize) as u32;
        rec.launch(&Conv2dWeightGrad, &p, &[large, small, scratch.partials], label)?;
        let s = SplitSumParams { clients: p.clients, splits, n, x_stride: p.weight_stride, y_stride, accumulate };
        rec.launch(&SplitSum, &s, &[scratch.partials, dw], self.name(layer, "weight gradient sum"))
    }

    fn norm_backward(
        &self,
        rec: &mut Recording,
        layer: &Layer,
        x: Tensor,
        dy: Tensor,
        dx: Tensor,
        scratch: &Scratch,
        what: Backward,
    ) -> Result<()> {
        let (clients, c, rows) = (self.clients(), layer.output[2], self.rows(layer));
        let (mean, invstd) = self.statistics(layer);
        let (x_stride, stat_stride) = (self.stride(layer.output), align(c as usize) as u32);
        let sums_stride = align(2 * c as usize) as u32;
        let stride = self.net.stride as u32;
        let mode = match what {
            Backward::Fresh => 0,
            Backward::Accumulate => 1,
            Backward::InputOnly => 2,
        };
        let p = BatchNormBackwardReduceParams {
            clients,
            rows,
            c,
            x_stride,
            stat_stride,
            sums_stride,
            grad_stride: stride,
            mode,
        };
        let dgamma = self.bank.param(self.bank.grads, self.net, layer.params[0]);
        let dbeta = self.bank.param(self.bank.grads, self.net, layer.params[1]);
        let args = [dy, x, mean, invstd, scratch.sums, dgamma, dbeta];
        rec.launch(&BatchNormBackwardReduce, &p, &args, self.name(layer, "norm gradient sums"))?;
        let p =
            BatchNormBackwardApplyParams { clients, rows, c, x_stride, stat_stride, param_stride: stride, sums_stride };
        let gamma = self.bank.param(self.bank.weights, self.net, layer.params[0]);
        let args = [dy, x, mean, invstd, gamma, scratch.sums, dx];
        rec.launch(&BatchNormBackwardApply, &p, &args, self.name(layer, "norm data gradient"))
    }
}
