//! The two sums over an image's pixels for the norm's Jacobian.

use super::instance::{self, InstanceParams, place};
use super::rows::depth;
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma};

/// `moments[place, place + 1] = (sum d, sum d x^)` of every image and channel, x^ = (x - mean) invstd; d is a delta in
/// the backward pass or a tangent in the forward pass. Other positions are not changed.
pub struct InstanceNormBackwardReduce;

impl Kernel for InstanceNormBackwardReduce {
    type Params = InstanceParams;
    type Operands = Arity<4>;
    const STEM: &'static str = "nn/instance_norm_backward_reduce";
    const FORMULA: &'static str =
        "moments[place] = sum d, moments[place + 1] = sum d (x - mean) invstd, over each image's pixels";
    const BINDINGS: &'static [Binding; 4] = &[
        Binding::read("d", instance::X),
        Binding::read("x", instance::X),
        Binding::read("stats", instance::STATS),
        Binding::write("moments", instance::MOMENTS),
    ];
    fn extents(&self, p: &InstanceParams) -> Result<[usize; 4], String> {
        let e = p.check()?;
        Ok([e.x, e.x, e.stats, e.moments])
    }
    fn build(&self, p: &InstanceParams, _class: Class) -> Build {
        p.reduce_build("nn/instance_norm_backward_reduce.wgsl")
    }
    fn cost(&self, p: &InstanceParams) -> Cost {
        p.cost(4.0, 2.0, 4.0)
    }
    fn at(&self, p: &InstanceParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let at = p.locate(index, p.moment_stride, p.places)?;
        let which = (at.row as u32).checked_sub(p.place).filter(|w| *w < 2)?;
        let (mean, invstd) = p.stats(inputs, 2, at);
        let (mut value, mut scale, mut lost) = (0.0, 0.0, 0.0);
        for row in 0..p.rows as usize {
            let (d, centred) = (p.x(inputs, 0, at, row), p.x(inputs, 1, at, row) - mean);
            let term = if which == 1 { d * centred * invstd } else { d };
            lost += if which == 1 { flushed(&[d, centred, invstd]) } else { 0.0 };
            value += term;
            scale += term.abs();
        }
        Some(
            Eval::within(value, gamma(depth(p.rows) + if which == 1 { 4 } else { 0 }) * scale + lost)
                .over(depth(p.rows)),
        )
    }
    fn cases(&self) -> Vec<InstanceParams> {
        [instance::cases(2, 0, false), instance::cases(place::ALL, place::DELTA, false)].concat()
    }
    fn contents(&self, p: &InstanceParams) -> [Contents; 4] {
        let [x, stats] = instance::x_and_stats(p);
        [Contents::NORMAL, x, stats, Contents::Nan]
    }
    /// Integer operands: every term and partial sum is an integer far below 2^24.
    fn exact_on_integers(&self, _: &InstanceParams) -> bool {
        true
    }
}
