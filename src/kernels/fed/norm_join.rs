//! Joins the slices of clients' scaled squared norms.

use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, MAX_GROUPS, MOST_WORDS, flushed, gamma,
};

crate::params! {
    /// Parameters of [`NormJoin`].
    pub struct NormJoinParams {
        /// Clients.
        clients: u32 in Count,
        /// Slices.
        slices: u32 in Count,
    }
}

/// `y[0, c] = power`, the least of `x[., 0, c]`, and `y[1, c] = sum_s x[s, 1, c] (power / x[s, 0, c])^2`: with `x` from
/// [`UpdateNorm`](super::update_norm::UpdateNorm), client c's squared norm is `y[1, c] / y[0, c]^2`.
pub struct NormJoin;

impl Kernel for NormJoin {
    type Params = NormJoinParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "fed/norm_join";
    const FORMULA: &'static str = "y[., c] = power, sum_s x[s, 1, c] (power / x[s, 0, c])^2; power = min_s x[s, 0, c]";
    const BINDINGS: &'static [Binding; 2] = &[
        Binding::read("x", "[slices][2][clients]: powers of two within 2^-126 to 2^100, sums"),
        Binding::write("y", "[2][clients]: powers of two, sums"),
    ];
    fn extents(&self, p: &NormJoinParams) -> Result<[usize; 2], String> {
        if p.clients == 0 || p.slices == 0 {
            return Err(format!("{} slices of {} clients: both must be at least 1", p.slices, p.clients));
        }
        if p.clients > MAX_GROUPS {
            return Err(format!("{} clients: at most {MAX_GROUPS}, the groups of one grid dimension", p.clients));
        }
        let words = 2 * u64::from(p.slices) * u64::from(p.clients);
        if words > MOST_WORDS as u64 {
            return Err(format!("{} slices of {} clients exceed a u32 byte index", p.slices, p.clients));
        }
        Ok([words as usize, 2 * p.clients as usize])
    }
    fn build(&self, p: &NormJoinParams, _class: Class) -> Build {
        Build::plain("fed/norm_join.wgsl", [1, 1, p.clients])
    }
    fn cost(&self, p: &NormJoinParams) -> Cost {
        let n = f64::from(p.clients) * f64::from(p.slices);
        Cost { flops: 5.0 * n, bytes: 4.0 * (2.0 * n + 2.0 * f64::from(p.clients)) }
    }
    fn at(&self, p: &NormJoinParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (all, client) = (p.clients as usize, index % p.clients as usize);
        let word = |slice: usize, which: usize| inputs.f(0, (2 * slice + which) * all + client);
        let power = (0..p.slices as usize).map(|s| word(s, 0)).fold(f64::INFINITY, f64::min);
        if index < all {
            return Some(Eval::exact(power));
        }
        let (mut value, mut magnitude, mut lost) = (0.0, 0.0, 0.0);
        for s in 0..p.slices as usize {
            let ratio = power / word(s, 0);
            value += word(s, 1) * ratio * ratio;
            magnitude += (word(s, 1) * ratio * ratio).abs();
            lost += flushed(&[word(s, 1), ratio, ratio]);
        }
        // Powers of two round nothing.
        let roundings = (p.slices.div_ceil(256) + 8) as usize;
        Some(Eval::within(value, gamma(roundings) * magnitude + lost).over(roundings))
    }
    fn cases(&self) -> Vec<NormJoinParams> {
        [(1, 1), (3, 2), (3, 7), (4, 300), (2, 1030)]
            .map(|(clients, slices)| NormJoinParams { clients, slices })
            .to_vec()
    }
    fn contents(&self, p: &NormJoinParams) -> [Contents; 2] {
        // Sums stand between powers of two of several sizes.
        let mut words = Vec::new();
        // Where lane 128 has one slice alone it has the least power.
        let exponent = |s: u32, c: u32| match p.slices {
            300 if s == 128 => 6,
            300 => (5 * s + 3 * c) % 5,
            _ => (5 * s + 3 * c + 6) % 7,
        };
        // Two slices have sums below all powers: read as a power, as devices that clamp indices do beyond the end, one would be
        // the least.
        let unit = if p.slices == 2 { 1e-3 } else { 1.37 };
        for s in 0..p.slices {
            words.extend((0..p.clients).map(|c| (0.5f32).powi(exponent(s, c) as i32).to_bits()));
            words.extend((0..p.clients).map(|c| (((3 * s + 5 * c) % 11) as f32 * unit).to_bits()));
        }
        [Contents::Words(words), Contents::Nan]
    }
}
