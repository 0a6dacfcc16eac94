//! Normalises by each image's statistics, scales and shifts.

use super::instance::{self, InstanceParams};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma};

/// y = gamma (x - mean) invstd + beta with the statistics of each image and channel.
pub struct InstanceNormApply;

impl Kernel for InstanceNormApply {
    type Params = InstanceParams;
    type Operands = Arity<5>;
    const STEM: &'static str = "nn/instance_norm_apply";
    const FORMULA: &'static str = "y = gamma (x - mean) invstd + beta, statistics of each image";
    const BINDINGS: &'static [Binding; 5] = &[
        Binding::read("x", instance::X),
        Binding::read("stats", instance::STATS),
        Binding::read("gamma", instance::PARAM),
        Binding::read("beta", instance::PARAM),
        Binding::write("y", instance::X),
    ];
    fn extents(&self, p: &InstanceParams) -> Result<[usize; 5], String> {
        let e = p.check()?;
        Ok([e.x, e.stats, e.param, e.param, e.x])
    }
    fn build(&self, p: &InstanceParams, _class: Class) -> Build {
        p.map_build("nn/instance_norm_apply.wgsl")
    }
    fn cost(&self, p: &InstanceParams) -> Cost {
        p.cost(3.0, 2.0, 4.0)
    }
    fn at(&self, p: &InstanceParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let at = p.locate(index, p.x_stride, p.rows)?;
        let (mean, invstd) = p.stats(inputs, 1, at);
        let (gain, centred) = (p.param(inputs, 2, at), p.x(inputs, 0, at, at.row) - mean);
        let term = gain * centred * invstd;
        let beta = p.param(inputs, 3, at);
        // mean and invstd are operands: x - mean is one rounding; the statistics' bounds cover their conditioning
        Some(Eval::within(term + beta, gamma(5) * (term.abs() + beta.abs()) + flushed(&[gain, centred, invstd])))
    }
    fn cases(&self) -> Vec<InstanceParams> {
        instance::cases(2, 0, false)
    }
    fn contents(&self, p: &InstanceParams) -> [Contents; 5] {
        let [x, stats] = instance::x_and_stats(p);
        [x, stats, Contents::Real { scale: 0.1, shift: 1.0 }, Contents::Real { scale: 0.1, shift: 0.0 }, Contents::Nan]
    }
}
