//! Divide and conquer (Shejwalkar and Houmansadr 2021).

use super::device::{Combine, Dots, Matrix, Network, row_like};
use super::each::too_few;
use super::select::{margin, ranking, spread_scores};
use super::{
    Aggregation, AggregationRule, Candidates, Condition, Draws, Each, NetworkDecision, NetworkRule, RULE, faulty,
};
use crate::Result;
use crate::exec::{Engine, Recording, Tensor, align};
use crate::fed::rows::{Piece, Rows};
use crate::kernels::fed::gather_update::{GatherUpdate, GatherUpdateParams};
use crate::key::{Bound, DefaultValue, Key, U32, ValueKind};
use serde::{Deserialize, Serialize};

/// In each iteration the floor(c f) clients that stand out most along the direction of most variance, in random coordinates, are
/// dropped; the mean of the clients that no iteration drops.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dnc {
    /// Assumed number of faulty clients.
    pub f: u32,
    /// Clients dropped per assumed faulty one.
    pub c: f64,
    /// Iterations.
    pub iterations: u32,
    /// Coordinates of each iteration.
    pub sample: u32,
}

pub(super) const OPTIONS: &[Key] = &[
    faulty(&["dnc"]),
    Key::new(
        "federation.aggregation.c",
        ValueKind::Real(Bound::Open(0.0), Bound::Free),
        DefaultValue::Real(1.0),
        "clients dropped in an iteration for each assumed faulty one; floor(c f) in all",
    )
    .of(RULE, &["dnc"]),
    Key::new(
        "federation.aggregation.iterations",
        ValueKind::Int(1, 1000),
        DefaultValue::Int(5),
        "iterations in each round",
    )
    .of(RULE, &["dnc"]),
    Key::new(
        "federation.aggregation.sample",
        ValueKind::Int(1, U32),
        DefaultValue::Int(10_000),
        "random coordinates of each iteration, at most all",
    )
    .of(RULE, &["dnc"]),
];
pub(super) const CONDITION: Condition = Condition::MINORITY;

impl Dnc {
    /// floor(c f).
    fn dropped(&self, f: usize) -> usize {
        (self.c * f as f64).floor() as usize
    }
}

impl AggregationRule for Dnc {
    fn check(&self, clients: u32) -> Result<(), String> {
        CONDITION.check(clients, self.f)?;
        let dropped = self.dropped(self.f as usize);
        match dropped < clients as usize {
            true => Ok(()),
            false => Err(format!("c = {:?} with f = {}: drops {dropped} of {clients} clients", self.c, self.f)),
        }
    }

    fn build(&self, engine: &mut dyn Engine, networks: &[Network], draws: &Draws) -> Result<Box<dyn Aggregation>> {
        Each::build(networks, |number, network| OnNetwork::new(engine, network, self.clone(), draws.clone(), number))
    }
}

struct OnNetwork {
    options: Dnc,
    draws: Draws,
    number: u32,
    words: usize,
    count: usize,
    columns: Tensor,
    gather: Recording,
    dots: Dots,
    combine: Combine,
}

impl OnNetwork {
    fn new(engine: &mut dyn Engine, network: &Network, options: Dnc, draws: Draws, number: u32) -> Result<OnNetwork> {
        let rows = &network.weights;
        let count = match &draws {
            Draws::Given { columns, .. } => columns.first().map_or(1, Vec::len),
            Draws::Seeded(_) => (options.sample as usize).min(rows.words),
        };
        let (clients, stride) = (rows.clients(), align(count));
        let columns = engine.alloc("sampled coordinates", stride)?;
        let sample = engine.alloc("sampled updates", clients as usize * stride)?;
        let mut gather = Recording::new();
        for piece in &rows.pieces {
            let to = sample.slice(piece.first as usize * stride, (piece.clients as usize - 1) * stride + count);
            let p = GatherUpdateParams {
                clients: piece.clients,
                n: rows.words as u32,
                count: count as u32,
                x_stride: rows.words as u32,
                y_stride: stride as u32,
            };
            let operands = [piece.rows, rows.server.slice(0, rows.words), columns.slice(0, count), to];
            gather.launch(&GatherUpdate, &p, &operands, format!("sample of {}", rows.name))?;
        }
        // The sample as rows of one chunk; what lies between the clients' values is 0.
        let piece = Piece { first: 0, clients, rows: sample };
        let sampled = Rows { words: stride, pieces: vec![piece], ..rows.clone() };
        let zero = row_like(engine, &sampled, "zeros")?;
        let matrix = Matrix::new(engine, &sampled)?;
        let (dots, combine) = (Dots::new(engine, &matrix, zero)?, Combine::new(engine, network)?);
        Ok(OnNetwork { options, draws, number, words: rows.words, count, columns, gather, dots, combine })
    }
}

impl NetworkRule for OnNetwork {
    fn recordings(&self) -> Vec<&Recording> {
        std::iter::once(&self.gather).chain(self.dots.recordings()).chain(self.combine.recordings()).collect()
    }

    fn aggregate(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<NetworkDecision> {
        let (present, dropped) = (round.clients(), self.options.dropped(round.faults(self.options.f)));
        if present.len() <= dropped {
            return Err(too_few(round, &format!("each iteration drops {dropped}")));
        }
        let iterations = self.options.iterations as usize;
        let columns = self.draws.columns(iterations, self.count, self.words, self.number, round.round);
        let (mut kept, mut least, stay) = (present.clone(), f64::INFINITY, present.len() - dropped);
        for columns in columns {
            engine.write(self.columns, &columns)?;
            engine.run(&self.gather, 1)?;
            let (scores, gap) = spread_scores(&self.dots.read(engine)?, &present);
            if dropped > 0 {
                least = least.min(margin(scores.iter().copied(), stay)).min(gap);
            }
            let stays = &ranking(&scores, &present)[..stay];
            kept.retain(|client| stays.contains(client));
        }
        let decision = NetworkDecision::equal(round.present.len(), &kept).margin(least);
        if kept.is_empty() {
            return Ok(decision.note("no client is kept: the server's networks do not change"));
        }
        self.combine.run(engine, &decision.weights)?;
        Ok(decision)
    }
}
