//! The probe for a GPU's bandwidth: a row outside the catalogue, for timing only.

use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel};

/// Words of a block, moved by one workgroup.
pub(super) const BLOCK: u32 = 2048;

crate::params! {
    /// Parameters of [`StreamPeak`].
    pub struct StreamPeakParams {
        /// Words, a multiple of 2048.
        n: u32 in Multiple(2048),
        /// Workgroups.
        groups: u32 in Count,
        /// 1: words are read and summed; 0: they are copied.
        reads: u32 in Range(0, 1),
    }
}

/// Copies or reads words, with many loads in flight.
pub(super) struct StreamPeak;

impl Kernel for StreamPeak {
    type Params = StreamPeakParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "perf/stream_peak";
    const FORMULA: &'static str = "y = x, or y = sum(x)";
    const BINDINGS: &'static [Binding; 2] =
        &[Binding::read("x", "[n]"), Binding::write("y", "[n], or [256 groups] sums")];
    fn extents(&self, p: &StreamPeakParams) -> Result<[usize; 2], String> {
        if p.n == 0 || !p.n.is_multiple_of(BLOCK) {
            return Err(format!("{} p: must be a multiple of {BLOCK}", p.n));
        }
        Ok([p.n as usize, if p.reads == 1 { 256 * p.groups as usize } else { p.n as usize }])
    }
    fn build(&self, p: &StreamPeakParams, _class: Class) -> Build {
        Build { file: "perf/stream_peak.wgsl", consts: vec![("READS", p.reads)], grid: [p.groups, 1, 1] }
    }
    fn cost(&self, p: &StreamPeakParams) -> Cost {
        let n = f64::from(p.n);
        match p.reads {
            1 => Cost { flops: n, bytes: 4.0 * n + 1024.0 * f64::from(p.groups) },
            _ => Cost { flops: 0.0, bytes: 8.0 * n },
        }
    }
    fn at(&self, p: &StreamPeakParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        if p.reads != 1 {
            return Some(Eval::exact(inputs.f(0, index)));
        }
        let (group, within) = (index / 256, index % 256);
        let blocks = (group..(p.n / BLOCK) as usize).step_by(p.groups as usize);
        let p = blocks.flat_map(|b| (0..8).map(move |i| b * BLOCK as usize + 256 * i + within));
        let terms: Vec<f64> = p.map(|at| inputs.f(0, at)).collect();
        let bound = crate::kernels::gamma(terms.len()) * terms.iter().map(|t| t.abs()).sum::<f64>();
        Some(Eval::within(terms.iter().sum(), bound))
    }
    fn cases(&self) -> Vec<StreamPeakParams> {
        [0, 1].map(|reads| StreamPeakParams { n: 5 * BLOCK, groups: 2, reads }).to_vec()
    }
    fn contents(&self, _: &StreamPeakParams) -> [Contents; 2] {
        [Contents::NORMAL, Contents::Nan]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Purpose;
    use crate::gpu::GpuOptions;
    use crate::kernels::Params;
    use crate::perf::Bench;

    /// Every element of both cases on a GPU.
    #[test]
    fn the_shader_moves_and_sums_every_word() {
        let (engine, _) = crate::gpu::open("gpu", GpuOptions::default()).unwrap();
        let mut bench = Bench::new(engine);
        for params in StreamPeak.cases() {
            let recording = bench.record(&StreamPeak, &Params::words(&params), "stream").unwrap();
            bench.engine.run(&recording, 1).unwrap();
            let args = recording.launches()[0].args.clone();
            let words: Vec<Vec<u32>> =
                args.iter().map(|arg| bench.engine.read(*arg, Purpose::Check).unwrap()).collect();
            let inputs = Inputs(vec![&words[0], &[]]);
            for (i, word) in words[1].iter().enumerate() {
                let expected = StreamPeak.at(&params, &inputs, 1, i).unwrap();
                let err = (f64::from(f32::from_bits(*word)) - expected.value).abs();
                assert!(err <= expected.bound, "{params:?}, element {i}: off by {err}");
            }
        }
    }
}
