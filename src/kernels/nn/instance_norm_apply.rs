//! Normalise by each image's statistics, scale and shift.

use super::instance::{self, InstanceParams};
use crate::kernels::{Binding, Build, Class, Cost, Eval, Field, Fill, Inputs, Kernel, Params, flushed, gamma};

/// y = gamma (x - mean) invstd + beta with the statistics of each image and channel.
pub struct InstanceNormApply;

impl Kernel for InstanceNormApply {
    fn name(&self) -> &'static str {
        "instance_norm_apply"
    }
    fn family(&self) -> &'static str {
        "nn"
    }
    fn formula(&self) -> &'static str {
        "y = gamma (x - mean) invstd + beta, statistics of each image"
    }
    fn fields(&self) -> &'static [Field] {
        InstanceParams::FIELDS
    }
    fn bindings(&self) -> &'static [Binding] {
        const {
            &[
                Binding::read("x", instance::X),
                Binding::read("stats", instance::STATS),
                Binding::read("gamma", instance::PARAM),
                Binding::read("beta", instance::PARAM),
                Binding::write("y", instance::X),
            ]
        }
    }
    fn extents(&self, words: &[u32]) -> Result<Vec<usize>, String> {
        let p = InstanceParams::from_words(words);
        let e = p.check()?;
        Ok(vec![e.x, e.stats, e.param, e.param, e.x])
    }
    fn build(&self, words: &[u32], _class: Class) -> Build {
        InstanceParams::from_words(words).map_build("nn/instance_norm_apply.wgsl")
    }
    fn cost(&self, words: &[u32]) -> Cost {
        InstanceParams::from_words(words).cost(3.0, 2.0, 4.0)
    }
    fn at(&self, words: &[u32], inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let p = InstanceParams::from_words(words);
        let at = p.locate(index, p.x_stride, p.rows)?;
        let (mean, invstd) = p.stats(inputs, 1, at);
        let (gain, centred) = (p.param(inputs, 2, at), p.x(inputs, 0, at, at.row) - mean);
        let term = gain * centred * invstd;
        let beta = p.param(inputs, 3, at);
        // mean and invstd are operands: x - mean is one rounding, the conditioning lies in the statistics
        Some(Eval::within(term + beta, gamma(5) * (term.abs() + beta.abs()) + flushed(&[gain, centred, invstd])))
    }
    fn cases(&self) -> Vec<Vec<u32>> {
        instance::cases(2, 0, false)
    }
    fn fills(&self, words: &[u32]) -> Vec<Fill> {
        let p = InstanceParams::from_words(words);
        let [x, stats] = instance::x_and_stats(&p);
        vec![x, stats, Fill::Real { scale: 0.1, shift: 1.0 }, Fill::Real { scale: 0.1, shift: 0.0 }, Fill::Nan]
    }
}
