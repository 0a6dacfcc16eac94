//! The gradient of gamma from a tangent and its delta.

use super::instance::{self, At, InstanceParams, place};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma};

/// dgamma (+)= sum over images of invstd (s - p q) rows, from the moments; the tangent does not depend on beta.
pub struct InstanceNormSecondParamGrad;

impl Kernel for InstanceNormSecondParamGrad {
    type Params = InstanceParams;
    type Operands = Arity<3>;
    const STEM: &'static str = "nn/instance_norm_second_param_grad";
    const FORMULA: &'static str = "dgamma = sum over images of invstd (moments[4] - moments[1] moments[3] / rows)";
    const BINDINGS: &'static [Binding; 3] = &[
        Binding::read("stats", instance::STATS),
        Binding::read("moments", instance::MOMENTS),
        Binding::write("dgamma", instance::PARAM),
    ];
    fn extents(&self, p: &InstanceParams) -> Result<[usize; 3], String> {
        let e = p.check_all()?;
        Ok([e.stats, e.moments, e.param])
    }
    fn build(&self, p: &InstanceParams, _class: Class) -> Build {
        p.channel_build("nn/instance_norm_second_param_grad.wgsl")
    }
    fn cost(&self, p: &InstanceParams) -> Cost {
        p.cost(0.0, 0.0, 5.0)
    }
    fn at(&self, p: &InstanceParams, inputs: &Inputs, slot: usize, index: usize) -> Option<Eval> {
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
        Some(instance::added(p, inputs.f(slot, index), sum, bound).over(p.n as usize + 10))
    }
    fn cases(&self) -> Vec<InstanceParams> {
        instance::cases(place::ALL, 0, true)
    }
    fn contents(&self, p: &InstanceParams) -> [Contents; 3] {
        let [_, stats] = instance::x_and_stats(p);
        [stats, instance::moments_fill(p), instance::before(p.accumulate)]
    }
}
