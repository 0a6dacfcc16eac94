//! Rules that sort every coordinate's values: which of them they average.

use super::device::{Coordinates, Kind, Network, mask};
use super::each::too_few;
use super::{Aggregation, Candidates, Condition, Each, NetworkDecision, NetworkRule};
use crate::Result;
use crate::exec::{Engine, Recording};

/// The values of a coordinate that a rule averages.
#[derive(Clone, Copy, Debug)]
pub(super) enum Average {
    /// The middle one or two.
    Middle,
    /// All but f at each end.
    WithoutEnds(u32),
    /// The n - f nearest to the median.
    NearMedian(u32),
}

/// Builds the rule on every network.
///
/// # Errors
/// As [`Engine::alloc`].
pub(super) fn build(engine: &mut dyn Engine, networks: &[Network], average: Average) -> Result<Box<dyn Aggregation>> {
    let kind = match average {
        Average::Middle | Average::WithoutEnds(_) => Kind::Trimmed,
        Average::NearMedian(_) => Kind::Nearest,
    };
    Each::build(networks, |_, network| Ok(OnNetwork { average, rule: Coordinates::new(engine, network, kind)? }))
}

struct OnNetwork {
    average: Average,
    rule: Coordinates,
}

impl NetworkRule for OnNetwork {
    fn recordings(&self) -> Vec<&Recording> {
        vec![self.rule.recording()]
    }

    fn aggregate(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<NetworkDecision> {
        let (present, taken) = (round.clients(), mask(round.present));
        let n = present.len();
        let faults = |f: u32| match round.faults(f) {
            f if n > 2 * f => Ok(f),
            _ => Err(too_few(round, &format!("the rule needs {}", Condition::MINORITY.text))),
        };
        match self.average {
            Average::Middle => self.rule.run_places(engine, &taken, (n - 1) / 2, n / 2)?,
            Average::WithoutEnds(f) => {
                let f = faults(f)?;
                self.rule.run_places(engine, &taken, f, n - 1 - f)?;
            }
            Average::NearMedian(f) => self.rule.run_nearest(engine, &taken, n - faults(f)?)?,
        }
        Ok(NetworkDecision::equal(round.present.len(), &present))
    }
}
