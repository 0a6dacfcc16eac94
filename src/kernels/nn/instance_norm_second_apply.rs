//! What the tangent's delta adds to the delta of the norm's input.

use super::instance::{self, InstanceParams, place};
use crate::kernels::{Binding, Build, Class, Cost, Eval, Field, Fill, Inputs, Kernel, Params, flushed, gamma};

/// The derivative by x of u . (J t), J the norm's Jacobian at x, with the moments of t, u and both:
/// y (+)= -gamma invstd^2 (x^ (s - 3 p q) + q (t - avg t) + p (u - avg u)).
pub struct InstanceNormSecondApply;

impl Kernel for InstanceNormSecondApply {
    fn name(&self) -> &'static str {
        "instance_norm_second_apply"
    }
    fn family(&self) -> &'static str {
        "nn"
    }
    fn formula(&self) -> &'static str {
        "y = -gamma invstd^2 (x^ (s - 3 p q) + q (t - avg t) + p (u - avg u)), p = avg(x^ t), q = avg(x^ u), s = cov(u, t)"
    }
    fn fields(&self) -> &'static [Field] {
        InstanceParams::FIELDS
    }
    fn bindings(&self) -> &'static [Binding] {
        const {
            &[
                Binding::read("x", instance::X),
                Binding::read("t", instance::X),
                Binding::read("u", instance::X),
                Binding::read("stats", instance::STATS),
                Binding::read("gamma", instance::PARAM),
                Binding::read("moments", instance::MOMENTS),
                Binding::write("y", instance::X),
            ]
        }
    }
    fn extents(&self, words: &[u32]) -> Result<Vec<usize>, String> {
        let p = InstanceParams::from_words(words);
        let e = p.check_all()?;
        Ok(vec![e.x, e.x, e.x, e.stats, e.param, e.moments, e.x])
    }
    fn build(&self, words: &[u32], _class: Class) -> Build {
        InstanceParams::from_words(words).map_build("nn/instance_norm_second_apply.wgsl")
    }
    fn cost(&self, words: &[u32]) -> Cost {
        InstanceParams::from_words(words).cost(9.0, 4.5, 8.0)
    }
    fn at(&self, words: &[u32], inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let p = InstanceParams::from_words(words);
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
        Some(instance::added(&p, inputs.f(6, index), value, gamma(26) * scale.abs() * size + 3.0 * lost))
    }
    fn cases(&self) -> Vec<Vec<u32>> {
        instance::cases(place::ALL, 0, true)
    }
    fn fills(&self, words: &[u32]) -> Vec<Fill> {
        let p = InstanceParams::from_words(words);
        let [x, stats] = instance::x_and_stats(&p);
        let scale = Fill::Real { scale: 0.1, shift: 1.0 };
        vec![x, Fill::NORMAL, Fill::NORMAL, stats, scale, instance::moments_fill(&p), instance::before(p.accumulate)]
    }
}
