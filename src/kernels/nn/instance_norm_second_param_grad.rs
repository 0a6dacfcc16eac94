//! The gradient of gamma from a tangent and its delta.

use super::instance::{self, At, InstanceParams, place};
use crate::kernels::{Binding, Build, Class, Cost, Eval, Field, Fill, Inputs, Kernel, Params, flushed, gamma};

/// dgamma (+)= sum over images of invstd (s - p q) rows, from the moments; the tangent does not depend on beta.
pub struct InstanceNormSecondParamGrad;

impl Kernel for InstanceNormSecondParamGrad {
    fn name(&self) -> &'static str {
        "instance_norm_second_param_grad"
    }
    fn family(&self) -> &'static str {
        "nn"
    }
    fn formula(&self) -> &'static str {
        "dgamma = sum over images of invstd (moments[4] - moments[1] moments[3] / rows)"
    }
    fn fields(&self) -> &'static [Field] {
        InstanceParams::FIELDS
    }
    fn bindings(&self) -> &'static [Binding] {
        const {
            &[
                Binding::read("stats", instance::STATS),
                Binding::read("moments", instance::MOMENTS),
                Binding::write("dgamma", instance::PARAM),
            ]
        }
    }
    fn extents(&self, words: &[u32]) -> Result<Vec<usize>, String> {
        let p = InstanceParams::from_words(words);
        let e = p.check_all()?;
        Ok(vec![e.stats, e.moments, e.param])
    }
    fn build(&self, words: &[u32], _class: Class) -> Build {
        InstanceParams::from_words(words).channel_build("nn/instance_norm_second_param_grad.wgsl")
    }
    fn cost(&self, words: &[u32]) -> Cost {
        InstanceParams::from_words(words).cost(0.0, 0.0, 5.0)
    }
    fn at(&self, words: &[u32], inputs: &Inputs, slot: usize, index: usize) -> Option<Eval> {
        let p = InstanceParams::from_words(words);
        let at = p.locate(index, p.param_stride, 1).filter(|at| at.image == 0)?;
        let (mut sum, mut scale, mut lost) = (0.0, 0.0, 0.0);
        for image in 0..p.n as usize {
            let at = At { image, ..at };
            let moment = |place| p.moment(inputs, 1, at, place);
            let (_, invstd) = p.stats(inputs, 0, at);
            let (tangent, delta) = (moment(place::TANGENT + 1), moment(place::DELTA + 1));
            let product = tangent * delta / p.rows as f64;
            lost += flushed(&[invstd, tangent, delta]) + flushed(&[invstd, moment(place::CROSS)]);
            sum += invstd * (moment(place::CROSS) - product);
            scale += invstd.abs() * (moment(place::CROSS).abs() + product.abs());
        }
        let bound = gamma(p.n as usize + 10) * scale + lost;
        Some(instance::added(&p, inputs.f(slot, index), sum, bound).over(p.n as usize + 10))
    }
    fn cases(&self) -> Vec<Vec<u32>> {
        instance::cases(place::ALL, 0, true)
    }
    fn fills(&self, words: &[u32]) -> Vec<Fill> {
        let p = InstanceParams::from_words(words);
        let [_, stats] = instance::x_and_stats(&p);
        vec![stats, instance::moments_fill(&p), instance::before(p.accumulate)]
    }
}
