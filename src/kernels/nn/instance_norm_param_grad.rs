//! The gradients of gamma and beta from each image's sums.

use super::instance::{self, At, InstanceParams, place};
use crate::kernels::{Binding, Build, Class, Cost, Eval, Field, Fill, Inputs, Kernel, Params, gamma};

const DGAMMA: usize = 1;

/// dbeta (+)= sum over images of moments[place], dgamma (+)= sum over images of moments[place + 1].
pub struct InstanceNormParamGrad;

impl Kernel for InstanceNormParamGrad {
    fn name(&self) -> &'static str {
        "instance_norm_param_grad"
    }
    fn family(&self) -> &'static str {
        "nn"
    }
    fn formula(&self) -> &'static str {
        "dbeta = sum over images of moments[place], dgamma = of moments[place + 1]"
    }
    fn fields(&self) -> &'static [Field] {
        InstanceParams::FIELDS
    }
    fn bindings(&self) -> &'static [Binding] {
        const {
            &[
                Binding::read("moments", instance::MOMENTS),
                Binding::write("dgamma", instance::PARAM),
                Binding::write("dbeta", instance::PARAM),
            ]
        }
    }
    fn extents(&self, words: &[u32]) -> Result<Vec<usize>, String> {
        let p = InstanceParams::from_words(words);
        let e = p.check()?;
        Ok(vec![e.moments, e.param, e.param])
    }
    fn build(&self, words: &[u32], _class: Class) -> Build {
        InstanceParams::from_words(words).channel_build("nn/instance_norm_param_grad.wgsl")
    }
    fn cost(&self, words: &[u32]) -> Cost {
        InstanceParams::from_words(words).cost(0.0, 0.0, 2.0)
    }
    fn at(&self, words: &[u32], inputs: &Inputs, slot: usize, index: usize) -> Option<Eval> {
        let p = InstanceParams::from_words(words);
        let at = p.locate(index, p.param_stride, 1).filter(|at| at.image == 0)?;
        let place = p.place + u32::from(slot == DGAMMA);
        let terms = (0..p.n as usize).map(|image| p.moment(inputs, 0, At { image, ..at }, place));
        let (sum, scale) = terms.fold((0.0, 0.0), |(sum, scale), term| (sum + term, scale + term.abs()));
        Some(instance::added(&p, inputs.f(slot, index), sum, gamma(p.n as usize) * scale).over(p.n as usize))
    }
    fn cases(&self) -> Vec<Vec<u32>> {
        [instance::cases(2, 0, true), instance::cases(place::ALL, place::DELTA, true)].concat()
    }
    fn fills(&self, words: &[u32]) -> Vec<Fill> {
        let p = InstanceParams::from_words(words);
        vec![instance::moments_fill(&p), instance::before(p.accumulate), instance::before(p.accumulate)]
    }
    /// Integer operands: every term and partial sum is an integer far below 2^24.
    fn exact_on_integers(&self, _words: &[u32]) -> bool {
        true
    }
}
