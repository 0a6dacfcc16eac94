//! Instance norm in a pass: forward, backward and tangent.

use super::arch::BN_EPS;
use super::bank::instance_params;
use super::{Backward, Layer, Pass, Scratch};
use crate::Result;
use crate::exec::{Recording, Tensor};
use crate::kernels::nn::instance::InstanceParams;
use crate::kernels::nn::instance_norm_apply::InstanceNormApply;
use crate::kernels::nn::instance_norm_backward_apply::InstanceNormBackwardApply;
use crate::kernels::nn::instance_norm_backward_reduce::InstanceNormBackwardReduce;
use crate::kernels::nn::instance_norm_param_grad::InstanceNormParamGrad;
use crate::kernels::nn::instance_norm_stats::InstanceNormStats;

impl Pass<'_> {
    /// Geometry of an instance norm layer.
    pub(super) fn instance(&self, layer: &Layer) -> InstanceParams {
        let p = instance_params(layer, self.clients(), self.acts.batch).expect("an instance norm layer");
        InstanceParams { param_stride: self.net.stride as u32, eps: BN_EPS, ..p }
    }

    /// Mean and inverse deviation of an instance norm layer's images.
    pub(super) fn image_stats(&self, layer: &Layer) -> Tensor {
        self.acts.stats[layer.index].expect("an instance norm has statistics")
    }

    /// gamma of a norm layer.
    pub(super) fn gamma(&self, layer: &Layer) -> Tensor {
        self.bank.param(self.bank.weights, self.net, layer.params[0])
    }

    pub(super) fn instance_forward(&self, rec: &mut Recording, layer: &Layer, x: Tensor, y: Tensor) -> Result<()> {
        let (p, stats) = (self.instance(layer), self.image_stats(layer));
        rec.launch(&InstanceNormStats, &p, &[x, stats], self.name(layer, "statistics"))?;
        let beta = self.bank.param(self.bank.weights, self.net, layer.params[1]);
        rec.launch(&InstanceNormApply, &p, &[x, stats, self.gamma(layer), beta, y], self.name(layer, "normalise"))
    }

    /// y = J d of a delta or a tangent d; its sums are written to `moments` from `p.place` on.
    pub(super) fn instance_jacobian(
        &self,
        rec: &mut Recording,
        layer: &Layer,
        p: &InstanceParams,
        [x, d, moments, y]: [Tensor; 4],
    ) -> Result<()> {
        let stats = self.image_stats(layer);
        rec.launch(&InstanceNormBackwardReduce, p, &[d, x, stats, moments], self.name(layer, "norm sums"))?;
        let args = [d, x, stats, self.gamma(layer), moments, y];
        rec.launch(&InstanceNormBackwardApply, p, &args, self.name(layer, "norm Jacobian"))
    }

    #[allow(clippy::too_many_arguments)] // as for the other layers
    pub(super) fn instance_backward(
        &self,
        rec: &mut Recording,
        layer: &Layer,
        x: Tensor,
        dy: Tensor,
        dx: Tensor,
        scratch: &Scratch,
        what: Backward,
    ) -> Result<()> {
        let p = self.instance(layer);
        self.instance_jacobian(rec, layer, &p, [x, dy, scratch.sums, dx])?;
        if what == Backward::InputOnly {
            return Ok(());
        }
        let p = InstanceParams { accumulate: u32::from(what == Backward::Accumulate), ..p };
        let grad = |index: usize| self.bank.param(self.bank.grads, self.net, layer.params[index]);
        rec.launch(&InstanceNormParamGrad, &p, &[scratch.sums, grad(0), grad(1)], self.name(layer, "norm gradients"))
    }
}
