//! The Jacobian of instance norm, applied to a delta or to a tangent.

use super::instance::{self, InstanceParams, place};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma};

/// `y = gamma invstd (d - m0 / rows - x^ m1 / rows)`, m = `moments[place, place + 1]`. The Jacobian is symmetric: d is the output's
/// delta and y the input's, or d is the input's tangent and y the output's.
pub struct InstanceNormBackwardApply;

impl Kernel for InstanceNormBackwardApply {
    type Params = InstanceParams;
    type Operands = Arity<6>;
    const STEM: &'static str = "nn/instance_norm_backward_apply";
    const FORMULA: &'static str = "y = gamma invstd (d - avg d - x^ avg(d x^)), x^ = (x - mean) invstd, averages of each image from moments[place]";
    const BINDINGS: &'static [Binding; 6] = &[
        Binding::read("d", instance::X),
        Binding::read("x", instance::X),
        Binding::read("stats", instance::STATS),
        Binding::read("gamma", instance::PARAM),
        Binding::read("moments", instance::MOMENTS),
        Binding::write("y", instance::X),
    ];
    fn extents(&self, p: &InstanceParams) -> Result<[usize; 6], String> {
        let e = p.check()?;
        Ok([e.x, e.x, e.stats, e.param, e.moments, e.x])
    }
    fn build(&self, p: &InstanceParams, _class: Class) -> Build {
        p.map_build("nn/instance_norm_backward_apply.wgsl")
    }
    fn cost(&self, p: &InstanceParams) -> Cost {
        p.cost(5.0, 3.0, 5.0)
    }
    fn at(&self, p: &InstanceParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let at = p.locate(index, p.x_stride, p.rows)?;
        let (mean, invstd) = p.stats(inputs, 2, at);
        let gain = p.param(inputs, 3, at);
        let scale = gain * invstd;
        let (d, rows) = (p.x(inputs, 0, at, at.row), p.rows as f64);
        let a = p.moment(inputs, 4, at, p.place) / rows;
        let (centred, moment) = (p.x(inputs, 1, at, at.row) - mean, p.moment(inputs, 4, at, p.place + 1) / rows);
        let b = centred * invstd * moment;
        // the magnitude before cancellation; two divisions of 2.5 ulp are the least accurate steps
        let size = d.abs() + a.abs() + b.abs();
        let lost = flushed(&[gain, invstd, centred, invstd, moment]) + flushed(&[gain, invstd, size]);
        Some(Eval::within(scale * (d - a - b), gamma(14) * scale.abs() * size + lost))
    }
    fn cases(&self) -> Vec<InstanceParams> {
        [instance::cases(2, 0, false), instance::cases(place::ALL, place::DELTA, false)].concat()
    }
    fn contents(&self, p: &InstanceParams) -> [Contents; 6] {
        let [x, stats] = instance::x_and_stats(p);
        [
            Contents::NORMAL,
            x,
            stats,
            Contents::Real { scale: 0.1, shift: 1.0 },
            instance::moments_fill(p),
            Contents::Nan,
        ]
    }
}
