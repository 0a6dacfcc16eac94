//! Rules that decide coordinate by coordinate.

use super::{Matrix, Network, record_copy, row_like, send};
use crate::Result;
use crate::exec::{Engine, Recording, Tensor, align};
use crate::kernels::fed::mean_around_median::{self, MeanAroundMedian, MeanAroundMedianParams};
use crate::kernels::fed::robust_rate::{RobustRate, RobustRateParams};
use crate::kernels::fed::sign_majority::{SignMajority, SignMajorityParams};
use crate::kernels::fed::trimmed_mean::{self, TrimmedMean, TrimmedMeanParams};

/// The rule of every coordinate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::fed) enum Kind {
    /// The mean of a range of the sorted values; [`Coordinates::run_places`].
    Trimmed,
    /// The mean of the values nearest to the median; [`Coordinates::run_nearest`].
    Nearest,
    /// A step of this length in the direction of the majority; [`Coordinates::run`].
    Majority(f32),
    /// The weighted mean, reversed where fewer clients than this agree; [`Coordinates::run`].
    Robust(u32),
}

/// A coordinate rule over a network's rows; the server's rows become the result.
#[derive(Debug)]
pub(in crate::fed) struct Coordinates {
    recording: Recording,
    /// `[clients]`: the clients' weights, 0 for clients that are left out.
    weights: Tensor,
    /// Places or number of values, see the kernels.
    window: Tensor,
    clients: usize,
}

impl Coordinates {
    /// Records the rule over the trainable values, and over the running statistics where the rule suits them: those of signs have no
    /// meaning for statistics, which the caller averages.
    pub fn new(engine: &mut dyn Engine, network: &Network, kind: Kind) -> Result<Coordinates> {
        let clients = network.clients();
        let weights = engine.alloc("clients taken", align(clients))?;
        let window = engine.alloc("places taken", align(3))?;
        let mut recording = Recording::new();
        let signs = matches!(kind, Kind::Majority(_) | Kind::Robust(_));
        for rows in network.rows().filter(|rows| rows.trainable || !signs) {
            // The server's row is replaced, and the differences are taken from it.
            let base = row_like(engine, rows, "server's row before aggregation")?;
            record_copy(&mut recording, rows.server, base, rows.words, "server's row")?;
            let matrix = Matrix::new(engine, rows)?;
            matrix.record(&mut recording, |rec, slice| {
                let (clients, n, x_stride) = (clients as u32, slice.range.len() as u32, slice.stride);
                let [base, y] = [base, rows.server].map(|row| row.slice(slice.range.start, slice.range.len()));
                let (x, label) = (slice.rows, format!("coordinates of {}", rows.name));
                match kind {
                    Kind::Trimmed => {
                        let p = TrimmedMeanParams { clients, n, x_stride };
                        rec.launch(&TrimmedMean, &p, &[x, weights, base, window, y], label)
                    }
                    Kind::Nearest => {
                        let p = MeanAroundMedianParams { clients, n, x_stride };
                        rec.launch(&MeanAroundMedian, &p, &[x, weights, base, window, y], label)
                    }
                    Kind::Majority(step) => {
                        let p = SignMajorityParams { clients, n, x_stride, step };
                        rec.launch(&SignMajority, &p, &[x, weights, base, y], label)
                    }
                    Kind::Robust(threshold) => {
                        let p = RobustRateParams { clients, n, x_stride, threshold };
                        rec.launch(&RobustRate, &p, &[x, weights, base, y], label)
                    }
                }
            })?;
        }
        Ok(Coordinates { recording, weights, window, clients })
    }

    /// Its recording.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Runs the rule with these weights of the clients.
    pub fn run(&self, engine: &mut dyn Engine, weights: &[f64]) -> Result<()> {
        debug_assert_eq!(weights.len(), self.clients);
        send(engine, self.weights, weights.iter().copied())?;
        engine.run(&self.recording, 1)
    }

    /// Runs [`Kind::Trimmed`] over places `first` to `last` of the taken clients' values.
    pub fn run_places(&self, engine: &mut dyn Engine, taken: &[f64], first: usize, last: usize) -> Result<()> {
        engine.write(self.window, &trimmed_mean::window(first as u32, last as u32))?;
        self.run(engine, taken)
    }

    /// Runs [`Kind::Nearest`] over the `keep` values nearest to the median.
    pub fn run_nearest(&self, engine: &mut dyn Engine, taken: &[f64], keep: usize) -> Result<()> {
        engine.write(self.window, &mean_around_median::window(keep as u32))?;
        self.run(engine, taken)
    }
}
