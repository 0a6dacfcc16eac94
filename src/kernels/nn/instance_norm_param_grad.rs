//! The gradients of gamma and beta from each image's sums.

use super::instance::{self, At, InstanceParams, place};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, gamma};

const DGAMMA: usize = 1;

/// `dbeta (+)= sum over images of moments[place]`, `dgamma (+)= sum over images of moments[place + 1]`.
pub struct InstanceNormParamGrad;

impl Kernel for InstanceNormParamGrad {
    type Params = InstanceParams;
    type Operands = Arity<3>;
    const STEM: &'static str = "nn/instance_norm_param_grad";
    const FORMULA: &'static str = "dbeta = sum over images of moments[place], dgamma = of moments[place + 1]";
    const BINDINGS: &'static [Binding; 3] = &[
        Binding::read("moments", instance::MOMENTS),
        Binding::write("dgamma", instance::PARAM),
        Binding::write("dbeta", instance::PARAM),
    ];
    fn extents(&self, p: &InstanceParams) -> Result<[usize; 3], String> {
        let e = p.check()?;
        Ok([e.moments, e.param, e.param])
    }
    fn build(&self, p: &InstanceParams, _class: Class) -> Build {
        p.channel_build("nn/instance_norm_param_grad.wgsl")
    }
    fn cost(&self, p: &InstanceParams) -> Cost {
        p.cost(0.0, 0.0, 2.0)
    }
    fn at(&self, p: &InstanceParams, inputs: &Inputs, slot: usize, index: usize) -> Option<Eval> {
        let at = p.locate(index, p.param_stride, 1).filter(|at| at.image == 0)?;
        let place = p.place + u32::from(slot == DGAMMA);
        let terms = (0..p.n as usize).map(|image| p.moment(inputs, 0, At { image, ..at }, place));
        let (sum, scale) = terms.fold((0.0, 0.0), |(sum, scale), term| (sum + term, scale + term.abs()));
        Some(instance::added(p, inputs.f(slot, index), sum, gamma(p.n as usize) * scale).over(p.n as usize))
    }
    fn cases(&self) -> Vec<InstanceParams> {
        [instance::cases(2, 0, true), instance::cases(place::ALL, place::DELTA, true)].concat()
    }
    fn contents(&self, p: &InstanceParams) -> [Contents; 3] {
        [instance::moments_fill(p), instance::before(p.accumulate), instance::before(p.accumulate)]
    }
    /// Integer operands: every term and partial sum is an integer far below 2^24.
    fn exact_on_integers(&self, _: &InstanceParams) -> bool {
        true
    }
}
