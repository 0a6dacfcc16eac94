//! Statistics of every image and channel.

use super::batch_norm_stats::{invstd, moments};
use super::instance::{self, InstanceParams};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel};

/// Mean and 1 / sqrt(biased variance + eps) of every client, image and channel, over the image's pixels.
pub struct InstanceNormStats;

impl Kernel for InstanceNormStats {
    type Params = InstanceParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "nn/instance_norm_stats";
    const FORMULA: &'static str = "mean = avg(x), invstd = 1/sqrt(avg((x - mean)^2) + eps) over each image's pixels";
    const BINDINGS: &'static [Binding; 2] =
        &[Binding::read("x", instance::X), Binding::write("stats", instance::STATS)];
    fn extents(&self, p: &InstanceParams) -> Result<[usize; 2], String> {
        if !(p.eps > 0.0 && p.eps.is_finite()) {
            return Err(format!("eps {}: must be above 0", p.eps));
        }
        let e = p.check()?;
        Ok([e.x, e.stats])
    }
    fn build(&self, p: &InstanceParams, _class: Class) -> Build {
        p.reduce_build("nn/instance_norm_stats.wgsl")
    }
    fn cost(&self, p: &InstanceParams) -> Cost {
        p.cost(5.0, 1.0, 2.0)
    }
    fn at(&self, p: &InstanceParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let at = p.locate(index, p.stat_stride, 2)?;
        let m = moments(|row| p.x(inputs, 0, at, row), p.rows);
        Some(if at.row == 0 { m.mean } else { invstd(m.var, p.eps) })
    }
    fn cases(&self) -> Vec<InstanceParams> {
        instance::cases(2, 0, false)
    }
    fn contents(&self, p: &InstanceParams) -> [Contents; 2] {
        let [x, _] = instance::x_and_stats(p);
        [x, Contents::Nan]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every image has its own statistics, which do not depend on other images of the batch.
    #[test]
    fn images_do_not_mix() {
        let p = InstanceParams::new(1, 2, 4, 1, 2);
        let at = |other: f32, index: usize| {
            let x: Vec<u32> = [1.0, 2.0, 3.0, 6.0, other, 0.0, 0.0, 0.0].map(f32::to_bits).to_vec();
            InstanceNormStats.at(&p, &Inputs(vec![&x, &[0; 4]]), 1, index).expect("written").value
        };
        assert_eq!([at(0.0, 0), at(100.0, 0)], [3.0, 3.0]);
        assert!((at(0.0, 1) - 1.0 / (3.5f64 + f64::from(1e-5f32)).sqrt()).abs() < 1e-12);
        assert_eq!(at(100.0, 2), 25.0);
    }

    #[test]
    fn refuses_bad_parameters() {
        let p = InstanceParams::new(1, 2, 4, 1, 2);
        let refused = |p: InstanceParams| InstanceNormStats.extents(&p).unwrap_err();
        assert!(refused(InstanceParams { eps: 0.0, ..p }).contains("eps"));
        assert!(refused(InstanceParams { n: 0, ..p }).contains("0 images"));
        assert!(refused(InstanceParams { place: 1, ..p }).contains("place 1 of 2"));
        assert!(refused(InstanceParams { rows: 1 << 31, c: 4, ..p }).contains("u32"));
    }
}
