//! The probe of a GPU's multiply-adds: a row outside the catalogue, for timing alone.

use crate::kernels::{Binding, Build, Class, Cost, Eval, Field, Fill, Inputs, Kernel, Params};

crate::params! {
    /// Parameters of [`FmaPeak`].
    pub struct FmaPeakParams {
        /// Workgroups.
        groups: u32 in Count,
        /// Turns of 16 multiply-adds of each chain.
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
    fn name(&self) -> &'static str {
        "fma_peak"
    }
    fn family(&self) -> &'static str {
        "perf"
    }
    fn formula(&self) -> &'static str {
        "a = a scale + shift, over and over"
    }
    fn fields(&self) -> &'static [Field] {
        FmaPeakParams::FIELDS
    }
    fn bindings(&self) -> &'static [Binding] {
        const { &[Binding::write("y", "[64 groups]: sums of the chains")] }
    }
    fn extents(&self, words: &[u32]) -> Result<Vec<usize>, String> {
        Ok(vec![64 * FmaPeakParams::from_words(words).groups as usize])
    }
    fn build(&self, words: &[u32], _class: Class) -> Build {
        Build::plain("perf/fma_peak.wgsl", [FmaPeakParams::from_words(words).groups, 1, 1])
    }
    fn cost(&self, words: &[u32]) -> Cost {
        let p = FmaPeakParams::from_words(words);
        let invocations = 64.0 * f64::from(p.groups);
        Cost { flops: invocations * f64::from(p.turns) * 16.0 * 12.0 * 2.0, bytes: 4.0 * invocations }
    }
    /// With factor 1/2 the chains come near 2 shift within 30 multiply-adds, wherever they start.
    fn at(&self, words: &[u32], _inputs: &Inputs, _slot: usize, _index: usize) -> Option<Eval> {
        let p = FmaPeakParams::from_words(words);
        let end = 12.0 * f64::from(p.shift) / (1.0 - f64::from(p.scale));
        Some(Eval::within(end, 1e-5 * end))
    }
    fn cases(&self) -> Vec<Vec<u32>> {
        vec![FmaPeakParams { groups: 3, turns: 8, scale: 0.5, shift: 0.25 }.words()]
    }
    fn fills(&self, _words: &[u32]) -> Vec<Fill> {
        vec![Fill::Nan]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reflect::{Language, Shader};
    use crate::kernels::shader;

    #[test]
    fn the_shader_is_valid_and_counts_what_the_cost_says() {
        let text = shader::source("perf/fma_peak.wgsl").unwrap();
        let assembled = shader::assemble(text, &[], true).unwrap();
        // Each fma of a vec4 is 8 operations an invocation and turn.
        let words = FmaPeak.cases().remove(0);
        let fmas = assembled.matches("fma(").count() as f64;
        assert_eq!(FmaPeak.cost(&words).flops, 64.0 * 3.0 * 8.0 * 8.0 * fmas);
    }

    /// Neither probe is in the catalogue, whose shaders other tests put through every writer.
    #[test]
    fn the_probes_translate_for_every_backend() {
        let stream = crate::perf::stream::StreamPeak;
        for build in stream
            .cases()
            .iter()
            .map(|p| stream.build(p, Class::Tiled))
            .chain([FmaPeak.build(&FmaPeak.cases()[0], Class::Tiled)])
        {
            let text = shader::assemble(shader::source(build.file).unwrap(), &build.consts, true).unwrap();
            let parsed = Shader::parse(&text).unwrap();
            for language in [Language::Spirv, Language::Msl, Language::Hlsl, Language::Glsl] {
                parsed.translate(&text, language).unwrap_or_else(|e| panic!("{}: {e}", build.file));
            }
        }
    }
}
