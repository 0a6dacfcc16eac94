//! The contribution of the tangent's delta to the delta of the norm's input.

use super::instance::{self, InstanceParams, place};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma};

/// The derivative of u . (J t) with respect to x, where J is the norm's Jacobian at x, from the moments of t, of u and
/// of both: y (+)= -gamma invstd^2 (x^ (s - 3 p q) + q (t - avg t) + p (u - avg u)).
pub struct InstanceNormSecondApply;

impl Kernel for InstanceNormSecondApply {
    type Params = InstanceParams;
    type Operands = Arity<7>;
    const STEM: &'static str = "nn/instance_norm_second_apply";
    const FORMULA: &'static str = "y = -gamma invstd^2 (x^ (s - 3 p q) + q (t - avg t) + p (u - avg u)), p = avg(x^ t), q = avg(x^ u), s = cov(u, t)";
    const BINDINGS: &'static [Binding; 7] = &[
        Binding::read("x", instance::X),
        Binding::read("t", instance::X),
        Binding::read("u", instance::X),
        Binding::read("stats", instance::STATS),
        Binding::read("gamma", instance::PARAM),
        Binding::read("moments", instance::MOMENTS),
        Binding::write("y", instance::X),
    ];
    fn extents(&self, p: &InstanceParams) -> Result<[usize; 7], String> {
        let e = p.check_all()?;
        Ok([e.x, e.x, e.x, e.stats, e.param, e.moments, e.x])
    }
    fn build(&self, p: &InstanceParams, _class: Class) -> Build {
        p.map_build("nn/instance_norm_second_apply.wgsl")
    }
    fn cost(&self, p: &InstanceParams) -> Cost {
        p.cost(9.0, 4.5, 8.0)
    }
    fn at(&self, p: &InstanceParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let at = p.locate(index, p.x_stride, p.rows)?;
        let (mean, invstd) = p.stats(inputs, 3, at);
        let moment = |place| p.moment(inputs, 5, at, place) / p.rows as f64;
        let [avg_t, a, avg_u, b, s] = [0, 1, 2, 3, 4].map(moment);
        let centred = p.x(inputs, 0, at, at.row) - mean;
        let xhat = centred * invstd;
        let (t, u) = (p.x(inputs, 1, at, at.row), p.x(inputs, 2, at, at.row));
        let gain = p.param(inputs, 4, at);
        let scale = gain * invstd * invstd;
        let value = -scale * (xhat * (s - 3.0 * a * b) + b * (t - avg_t) + a * (u - avg_u));
        let size = xhat.abs() * (s.abs() + 3.0 * (a * b).abs())
            + b.abs() * (t.abs() + avg_t.abs())
            + a.abs() * (u.abs() + avg_u.abs());
        let lost = flushed(&[gain, invstd, invstd, centred, invstd, a, b])
            + flushed(&[gain, invstd, invstd, centred, invstd, s])
            + flushed(&[gain, invstd, invstd, b, t.abs() + avg_t.abs()])
            + flushed(&[gain, invstd, invstd, a, u.abs() + avg_u.abs()]);
        Some(instance::added(p, inputs.f(6, index), value, gamma(26) * scale.abs() * size + 3.0 * lost))
    }
    fn cases(&self) -> Vec<InstanceParams> {
        instance::cases(place::ALL, 0, true)
    }
    fn contents(&self, p: &InstanceParams) -> [Contents; 7] {
        let [x, stats] = instance::x_and_stats(p);
        let scale = Contents::Real { scale: 0.1, shift: 1.0 };
        [x, Contents::NORMAL, Contents::NORMAL, stats, scale, instance::moments_fill(p), instance::before(p.accumulate)]
    }
}
