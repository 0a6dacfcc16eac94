//! Squared distances and inner products of all pairs of clients.

use super::{Matrix, Norms, Slice};
use crate::Result;
use crate::exec::{Engine, Purpose, Recording, Tensor, align, read_f32};
use crate::fed::rows::Rows;
use crate::kernels::fed::pair_distance::{PairDistance, PairDistanceParams};
use crate::kernels::fed::pair_dot::{PairDot, PairDotParams};
use crate::kernels::fed::pairs::slices;
use crate::kernels::nn::split_sum::{SplitSum, SplitSumParams};

/// A number for every pair of clients, `[clients][clients]`, on the host.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::fed) struct Square {
    clients: usize,
    values: Vec<f64>,
}

impl Square {
    /// Row by row.
    pub fn new(clients: usize, values: Vec<f64>) -> Square {
        debug_assert_eq!(values.len(), clients * clients);
        Square { clients, values }
    }

    /// The number of the pair.
    pub fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.clients + j]
    }

    /// Number of clients.
    pub fn clients(&self) -> usize {
        self.clients
    }
}

/// Sums over pairs of clients, slice by slice, added in order.
#[derive(Debug)]
struct Sums {
    recording: Recording,
    /// `[clients][clients]`.
    total: Tensor,
    clients: usize,
}

impl Sums {
    /// `launch` records the sums of a slice of the matrix into `[slices][clients][clients]`.
    fn new(
        engine: &mut dyn Engine,
        matrix: &Matrix,
        launch: impl Fn(&mut Recording, &Slice, Tensor) -> Result<()>,
    ) -> Result<Sums> {
        let rows = matrix.rows();
        let clients = rows.clients() as usize;
        let pairs = clients * clients;
        let parts = |range: &std::ops::Range<usize>| slices(range.len() as u32) as usize;
        let most = rows.slices().iter().map(parts).max().unwrap_or(0);
        let partial = engine.alloc("sums over pairs of clients", align(most * pairs))?;
        let total = engine.alloc("pairs of clients", align(pairs))?;
        let mut recording = Recording::new();
        matrix.record(&mut recording, |rec, slice| {
            let splits = parts(&slice.range);
            let partial = partial.slice(0, splits * pairs);
            launch(rec, slice, partial)?;
            let (n, splits, accumulate) = (pairs as u32, splits as u32, u32::from(slice.range.start > 0));
            let p = SplitSumParams { clients: 1, splits, n, x_stride: n * splits, y_stride: n, accumulate };
            rec.launch(&SplitSum, &p, &[partial, total], format!("pairs of {}", rows.name))
        })?;
        Ok(Sums { recording, total, clients })
    }

    fn read(&self, engine: &mut dyn Engine) -> Result<Square> {
        engine.run(&self.recording, 1)?;
        let pairs = self.clients * self.clients;
        let values = read_f32(engine, self.total.slice(0, pairs), Purpose::RoundScalars)?;
        Ok(Square::new(self.clients, values.into_iter().map(f64::from).collect()))
    }
}

/// `||x_i - x_j||^2` of all pairs of clients.
#[derive(Debug)]
pub(in crate::fed) struct Distances(Sums);

impl Distances {
    /// Records the distances between the rows of `matrix`.
    pub fn new(engine: &mut dyn Engine, matrix: &Matrix) -> Result<Distances> {
        let rows: &Rows = matrix.rows();
        let sums = Sums::new(engine, matrix, |rec, slice, partial| {
            let n = slice.range.len() as u32;
            let p = PairDistanceParams { clients: rows.clients(), n, x_stride: slice.stride };
            rec.launch(&PairDistance, &p, &[slice.rows, partial], format!("distances of {}", rows.name))
        })?;
        Ok(Distances(sums))
    }

    /// Its recording.
    pub fn recording(&self) -> &Recording {
        &self.0.recording
    }

    /// Computes the squared distances; one beyond the range of f32 is infinite, as that of a row with a NaN.
    pub fn read(&self, engine: &mut dyn Engine) -> Result<Square> {
        let mut square = self.0.read(engine)?;
        square.values.iter_mut().filter(|v| v.is_nan()).for_each(|v| *v = f64::INFINITY);
        Ok(square)
    }
}

/// Inner products of all pairs of updates x_c - base, and of each with itself.
#[derive(Debug)]
pub(in crate::fed) struct Dots {
    sums: Sums,
    norms: Norms,
}

impl Dots {
    /// Records the products of the rows of `matrix` less `base`.
    pub fn new(engine: &mut dyn Engine, matrix: &Matrix, base: Tensor) -> Result<Dots> {
        let rows: &Rows = matrix.rows();
        let norms = Norms::new(engine, rows, base)?;
        let powers = norms.powers();
        let sums = Sums::new(engine, matrix, |rec, slice, partial| {
            let n = slice.range.len() as u32;
            let p = PairDotParams { clients: rows.clients(), n, x_stride: slice.stride };
            let base = base.slice(slice.range.start, slice.range.len());
            rec.launch(&PairDot, &p, &[slice.rows, base, powers, partial], format!("products of {}", rows.name))
        })?;
        Ok(Dots { sums, norms })
    }

    /// Its recordings.
    pub fn recordings(&self) -> [&Recording; 2] {
        [self.norms.recording(), &self.sums.recording]
    }

    /// Computes the products.
    pub fn read(&self, engine: &mut dyn Engine) -> Result<Square> {
        let norms = self.norms.read(engine)?;
        let mut square = self.sums.read(engine)?;
        for (at, value) in square.values.iter_mut().enumerate() {
            *value /= norms[at / norms.len()].power * norms[at % norms.len()].power;
        }
        Ok(square)
    }
}
