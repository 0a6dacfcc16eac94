//! The probe for a GPU's multiply-adds: a row outside the catalogue, for timing only.

use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel};

crate::params! {
    /// Parameters of [`FmaPeak`].
    pub struct FmaPeakParams {
        /// Workgroups.
        groups: u32 in Count,
        /// Iterations of 16 multiply-adds in each chain.
        turns: u32 in Count,
        /// Factor.
        scale: f32 in Real(0.0, 1.0),
        /// Summand.
        shift: f32 in Real(0.0, 1.0),
    }
}

/// 12 chains of multiply-adds in registers.
pub(super) struct FmaPeak;

impl Kernel for FmaPeak {
    type Params = FmaPeakParams;
    type Operands = Arity<1>;
    const STEM: &'static str = "perf/fma_peak";
    const FORMULA: &'static str = "a = a scale + shift, over and over";
    const BINDINGS: &'static [Binding; 1] = &[Binding::write("y", "[64 groups]: sums of the chains")];
    fn extents(&self, p: &FmaPeakParams) -> Result<[usize; 1], String> {
        Ok([64 * p.groups as usize])
    }
    fn build(&self, p: &FmaPeakParams, _class: Class) -> Build {
        Build::plain("perf/fma_peak.wgsl", [p.groups, 1, 1])
    }
    fn cost(&self, p: &FmaPeakParams) -> Cost {
        let invocations = 64.0 * f64::from(p.groups);
        Cost { flops: invocations * f64::from(p.turns) * 16.0 * 12.0 * 2.0, bytes: 4.0 * invocations }
    }
    /// With factor 1/2 the chains approach 2 shift within 30 multiply-adds from any start.
    fn at(&self, p: &FmaPeakParams, _inputs: &Inputs, _slot: usize, _index: usize) -> Option<Eval> {
        let end = 12.0 * f64::from(p.shift) / (1.0 - f64::from(p.scale));
        Some(Eval::within(end, 1e-5 * end))
    }
    fn cases(&self) -> Vec<FmaPeakParams> {
        vec![FmaPeakParams { groups: 3, turns: 8, scale: 0.5, shift: 0.25 }]
    }
    fn contents(&self, _: &FmaPeakParams) -> [Contents; 1] {
        [Contents::Nan]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reflect::Shader;
    use crate::kernels::shader;
    use crate::kernels::writers::Language;

    #[test]
    fn the_shader_is_valid_and_matches_the_cost() {
        let assembled = shader::assemble_file("perf/fma_peak.wgsl", &[], true).unwrap();
        // Each fma of a vec4 is 8 operations per invocation and iteration.
        let words = FmaPeak.cases().remove(0);
        let fmas = assembled.text().matches("fma(").count() as f64;
        assert_eq!(FmaPeak.cost(&words).flops, 64.0 * 3.0 * 8.0 * 8.0 * fmas);
    }

    /// The probes are not in the catalogue, whose shaders other tests pass through every writer.
    #[test]
    fn the_probes_translate_for_every_backend() {
        let stream = crate::perf::stream::StreamPeak;
        for build in stream
            .cases()
            .iter()
            .map(|p| stream.build(p, Class::Tiled))
            .chain([FmaPeak.build(&FmaPeak.cases()[0], Class::Tiled)])
        {
            let text = shader::assemble_file(build.file, &build.consts, true).unwrap();
            let parsed = Shader::parse(&text).unwrap();
            for language in [Language::Spirv, Language::Msl, Language::Hlsl, Language::Glsl] {
                parsed.translate(text.text(), language).unwrap_or_else(|e| panic!("{}: {e}", build.file));
            }
        }
    }
}
