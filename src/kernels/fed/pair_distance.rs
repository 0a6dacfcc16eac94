//! Squared distances between clients.

use super::pairs::{SLICE, pair_extents, pair_grid, pair_of, slice_depth, sliced, slices};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma};

crate::params! {
    /// Parameters of [`PairDistance`].
    pub struct PairDistanceParams {
        /// Clients.
        clients: u32 in Count,
        /// Coordinates of each client.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
    }
}

/// `y[s, i, j] = sum_k (x[i, k] - x[j, k])^2` over the coordinates k of slice s, of [`super::pairs::SLICE`] coordinates each, for all
/// pairs of clients, in a fixed order. Differences of rows are formed, so that near clients keep their distance.
pub struct PairDistance;

impl PairDistance {
    /// Subgroups of 8 lanes: tiles of 8 to 32 clients a side, and as many sums in each lane as that has pairs.
    fn lanes(p: &PairDistanceParams) -> Build {
        let groups = p.clients.div_ceil(8).min(4);
        let side = 8 * groups;
        let consts = vec![("SLICE", SLICE), ("GROUPS", groups), ("SIDE", side), ("SUMS", side * groups)];
        Build { file: "fed/pair_distance_lanes.wgsl", consts, grid: pair_grid(p.clients, p.n, side) }
    }
    /// Additions that a term passes through there: in its group of four coordinates, in an inner sum of 128 and over those sums.
    fn lanes_depth(n: u32) -> usize {
        let n = n.min(SLICE) as usize;
        3 + n.min(128).div_ceil(4) + n.div_ceil(128)
    }
}

impl Kernel for PairDistance {
    type Params = PairDistanceParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "fed/pair_distance";
    const FORMULA: &'static str = "y[s, i, j] = sum_k (x[i, k] - x[j, k])^2 over slice s";
    const BINDINGS: &'static [Binding; 2] = &[
        Binding::read("x", "[clients][n], client stride x_stride"),
        Binding::write("y", "[slices][clients][clients], slices of 4096 coordinates"),
    ];
    fn extents(&self, p: &PairDistanceParams) -> Result<[usize; 2], String> {
        pair_extents(p.clients, p.n, p.x_stride)
    }
    fn build(&self, p: &PairDistanceParams, class: Class) -> Build {
        match class {
            Class::Lanes => Self::lanes(p),
            Class::Tiled | Class::Direct => sliced("fed/pair_distance.wgsl", pair_grid(p.clients, p.n, 4)),
        }
    }
    fn cost(&self, p: &PairDistanceParams) -> Cost {
        let (clients, n) = (f64::from(p.clients), f64::from(p.n));
        let words = clients * n + f64::from(slices(p.n)) * clients * clients;
        Cost { flops: 1.5 * clients * (clients - 1.0) * n, bytes: 4.0 * words }
    }
    fn at(&self, p: &PairDistanceParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let ([i, j], slice) = pair_of(index, p.clients, p.n);
        let (mut value, mut lost) = (0.0, 0.0);
        for k in slice {
            let difference = inputs.f(0, i * p.x_stride as usize + k) - inputs.f(0, j * p.x_stride as usize + k);
            value += difference * difference;
            lost += flushed(&[difference, difference]);
        }
        // The difference's rounding counts twice in its square, the square is rounded once; all terms are positive.
        let roundings = slice_depth(p.n, 64).max(Self::lanes_depth(p.n)) + 3;
        Some(Eval::within(value, gamma(roundings) * value + lost).over(roundings))
    }
    fn cases(&self) -> Vec<PairDistanceParams> {
        [(1, 1, 64), (2, 67, 128), (5, 4099, 4160), (9, 130, 192), (8, 8200, 8256), (35, 66, 128)]
            .map(|(clients, n, x_stride)| PairDistanceParams { clients, n, x_stride })
            .to_vec()
    }
    fn contents(&self, _: &PairDistanceParams) -> [Contents; 2] {
        [Contents::NORMAL, Contents::Nan]
    }
    fn exact_on_integers(&self, _: &PairDistanceParams) -> bool {
        true
    }
}
