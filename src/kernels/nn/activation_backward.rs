//! Derivatives of the activations.

pub use super::activation::kind;
use super::rows::{TINY, linear_build, locate, stride};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, gamma, strided};

crate::params! {
    /// Parameters of [`ActivationBackward`].
    pub struct ActivationBackwardParams {
        /// Clients.
        clients: u32 in Count,
        /// Elements of a client.
        n: u32 in Count,
        /// Client stride of `s`.
        s_stride: u32 in Stride,
        /// Client stride of `dy`.
        dy_stride: u32 in Stride,
        /// Client stride of `dx`.
        dx_stride: u32 in Stride,
        /// Which function: see [`kind`].
        kind: u32 in Range(kind::RELU, kind::SIGMOID),
        /// Slope of leaky ReLU below 0.
        slope: f32 in Real(-1.0, 1.0),
    }
}

/// dx = f'(x) dy from the stored tensor: for the two ReLUs input x or output y, whose signs agree; the output y for
/// tanh and sigmoid. The derivative at 0 is that of the negative side.
pub struct ActivationBackward;

impl Kernel for ActivationBackward {
    type Params = ActivationBackwardParams;
    type Operands = Arity<3>;
    const STEM: &'static str = "nn/activation_backward";
    const FORMULA: &'static str =
        "dx = dy f'(x): relu, leaky_relu by s = x; tanh dy (1-s^2), sigmoid dy s (1-s) by s = y";
    const BINDINGS: &'static [Binding; 3] = &[
        Binding::read("s", "[clients][n], client stride s_stride: x (relu, leaky_relu) or y (tanh, sigmoid)"),
        Binding::read("dy", "[clients][n], client stride dy_stride"),
        Binding::write("dx", "[clients][n], client stride dx_stride"),
    ];
    fn extents(&self, p: &ActivationBackwardParams) -> Result<[usize; 3], String> {
        kind::check(p.kind, p.slope)?;
        Ok([
            strided(p.clients, p.s_stride, p.n)?,
            strided(p.clients, p.dy_stride, p.n)?,
            strided(p.clients, p.dx_stride, p.n)?,
        ])
    }
    fn build(&self, p: &ActivationBackwardParams, _class: Class) -> Build {
        linear_build("nn/activation_backward.wgsl", p.n, p.clients)
    }
    fn cost(&self, p: &ActivationBackwardParams) -> Cost {
        let elements = p.clients as f64 * p.n as f64;
        Cost { flops: elements * [1.0, 2.0, 4.0, 3.0][p.kind.min(3) as usize], bytes: 12.0 * elements }
    }
    fn at(&self, p: &ActivationBackwardParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (client, i) = locate(index, p.clients, p.dx_stride, p.n)?;
        let s = inputs.f(0, client * p.s_stride as usize + i);
        let dy = inputs.f(1, client * p.dy_stride as usize + i);
        let derivative = match p.kind {
            kind::RELU | kind::LEAKY_RELU if s > 0.0 => return Some(Eval::exact(dy)),
            kind::RELU if s.is_nan() => return Some(Eval::exact(dy)),
            kind::RELU => return Some(Eval::exact(0.0)),
            kind::LEAKY_RELU => f64::from(p.slope),
            kind::TANH => (1.0 - s) * (1.0 + s),
            _ => s * (1.0 - s),
        };
        let value = dy * derivative;
        Some(Eval::within(value, gamma(5) * value.abs() + TINY))
    }
    fn cases(&self) -> Vec<ActivationBackwardParams> {
        let mut cases = Vec::new();
        for kind in kind::RELU..=kind::SIGMOID {
            for (clients, n) in [(1, 1), (2, 1000), (3, 257)] {
                let (s_stride, dy_stride, dx_stride) = (stride(n, 0), stride(n, 2), stride(n, 1));
                cases.push(ActivationBackwardParams { clients, n, s_stride, dy_stride, dx_stride, kind, slope: 0.2 });
            }
        }
        cases
    }
    /// Inputs of the ReLUs include zeros; outputs of tanh and sigmoid are inside their ranges.
    fn contents(&self, p: &ActivationBackwardParams) -> [Contents; 3] {
        let s = match p.kind {
            kind::RELU | kind::LEAKY_RELU => {
                Contents::Words([0.0f32, 1.5, -0.75, -0.0, 2e-3, -3.0, 40.0].map(f32::to_bits).to_vec())
            }
            kind::TANH => Contents::Words((0..97).map(|i| (i as f32 / 48.0 - 1.0).to_bits()).collect()),
            _ => Contents::Words((0..97).map(|i| (i as f32 / 96.0).to_bits()).collect()),
        };
        [s, Contents::NORMAL, Contents::Nan]
    }
}
