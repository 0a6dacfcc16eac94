//! The covariance of delta and tangent: the fifth moment of a second derivative.

use super::instance::{self, InstanceParams, place};
use super::rows::depth;
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma};

/// `moments[4] = sum (u - avg u) (t - avg t)` of every image and channel, with the sums of t in `moments[0]` and of u in
/// `moments[2]`. Other positions are not changed.
pub struct InstanceNormSecondReduce;

impl Kernel for InstanceNormSecondReduce {
    type Params = InstanceParams;
    type Operands = Arity<3>;
    const STEM: &'static str = "nn/instance_norm_second_reduce";
    const FORMULA: &'static str =
        "moments[4] = sum (u - avg u) (t - avg t) over each image's pixels, averages from moments[2] and moments[0]";
    const BINDINGS: &'static [Binding; 3] = &[
        Binding::read("u", instance::X),
        Binding::read("t", instance::X),
        Binding::write("moments", instance::MOMENTS),
    ];
    fn extents(&self, p: &InstanceParams) -> Result<[usize; 3], String> {
        let e = p.check_all()?;
        Ok([e.x, e.x, e.moments])
    }
    fn build(&self, p: &InstanceParams, _class: Class) -> Build {
        p.reduce_build("nn/instance_norm_second_reduce.wgsl")
    }
    fn cost(&self, p: &InstanceParams) -> Cost {
        p.cost(4.0, 2.0, 3.0)
    }
    fn at(&self, p: &InstanceParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let at = p.locate(index, p.moment_stride, p.places).filter(|at| at.row as u32 == place::CROSS)?;
        let average = |place| p.moment(inputs, 2, at, place) / p.rows as f64;
        let (avg_u, avg_t) = (average(place::DELTA), average(place::TANGENT));
        let (mut value, mut scale, mut lost) = (0.0, 0.0, 0.0);
        for row in 0..p.rows as usize {
            let (u, t) = (p.x(inputs, 0, at, row), p.x(inputs, 1, at, row));
            value += (u - avg_u) * (t - avg_t);
            lost += flushed(&[u - avg_u, t - avg_t]);
            scale += (u.abs() + avg_u.abs()) * (t.abs() + avg_t.abs());
        }
        // a division of 2.5 ulp and a subtraction in each factor, then their product
        Some(Eval::within(value, gamma(depth(p.rows) + 14) * scale + lost).over(depth(p.rows) + 14))
    }
    fn cases(&self) -> Vec<InstanceParams> {
        instance::cases(place::ALL, 0, false)
    }
    fn contents(&self, p: &InstanceParams) -> [Contents; 3] {
        [
            Contents::Real { scale: 1.0, shift: 0.3 },
            Contents::Real { scale: 1.0, shift: 0.3 },
            instance::moments_fill(p),
        ]
    }
}
