//! Mimicry (Karimireddy et al. 2022): all malicious clients send a benign client's update, which then counts too much.

use super::device::Copies;
use super::{Attacker, Knowledge, Sight, Target, UPDATE, UpdateAttack};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::fed::aggregate::device::{Dots, Matrix, Sum};
use crate::fed::aggregate::select::{ranking, spread_scores};
use crate::kernels::fed::pairs::MOST_CLIENTS;
use crate::key::{DefaultValue, Key, U32, ValueKind};
use serde::{Deserialize, Serialize};

/// The update is that of one benign client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mimic {
    /// The client; `None`: in each round the one that stands out most along the direction of most variance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<u32>,
}

pub(super) const OPTIONS: &[Key] = &[Key::new(
    "attack.update.target",
    ValueKind::Int(0, U32),
    DefaultValue::Computed("in each round the benign client that stands out most along the direction of most variance"),
    "the benign client, by its id, whose update all malicious clients send",
)
.of(UPDATE, &["mimic"])];

impl UpdateAttack for Mimic {
    fn knowledge(&self) -> Knowledge {
        Knowledge::Benign
    }

    fn check(&self, clients: u32, malicious: &[u32]) -> Result<(), String> {
        let benign = clients - malicious.len() as u32;
        match self.target {
            Some(target) if target >= clients => {
                Err(format!("attack.update.target = {target}: there are clients 0 to {}", clients - 1))
            }
            Some(target) if malicious.contains(&target) => {
                Err(format!("attack.update.target = {target}: is a malicious client, must be a benign one"))
            }
            _ if benign == 0 => {
                Err(format!("needs a benign client; there are none (n = {clients}, f = {})", malicious.len()))
            }
            _ => Ok(()),
        }
    }

    fn most_clients(&self) -> u32 {
        if self.target.is_none() { MOST_CLIENTS } else { u32::MAX }
    }

    fn build(&self, engine: &mut dyn Engine, on: &Target) -> Result<Box<dyn Attacker>> {
        let rows = &on.network.weights;
        let dots = match self.target {
            Some(_) => None,
            None => {
                let matrix = Matrix::new(engine, rows)?;
                Some(Dots::new(engine, &matrix, rows.server.slice(0, rows.words))?)
            }
        };
        let copies = Copies::new(engine, on)?;
        // With coefficient 0 the server's row is not read.
        let pick = Sum::new(engine, rows, rows.server, copies.row)?;
        let clients = on.network.clients();
        Ok(Box::new(Mimicking { target: self.target, clients, dots, pick, copies, chosen: None }))
    }
}

struct Mimicking {
    target: Option<u32>,
    clients: usize,
    /// Inner products of all updates, if the target is chosen by them.
    dots: Option<Dots>,
    pick: Sum,
    copies: Copies,
    chosen: Option<f64>,
}

impl Attacker for Mimicking {
    fn recordings(&self) -> Vec<&Recording> {
        let dots = self.dots.iter().flat_map(Dots::recordings);
        dots.chain([self.pick.recording(), self.copies.recording()]).collect()
    }

    fn rewrite(&mut self, engine: &mut dyn Engine, round: &Sight) -> Result<()> {
        let target = match (&self.dots, self.target) {
            (Some(dots), _) if !round.clients.is_empty() => {
                let (scores, _) = spread_scores(&dots.read(engine)?, &round.clients);
                let least_first: Vec<f64> = scores.iter().map(|score| -score).collect();
                ranking(&least_first, &round.clients).first().copied()
            }
            (_, target) => target.map(|target| target as usize).filter(|target| round.clients.contains(target)),
        };
        self.chosen = target.map(|target| target as f64);
        let Some(target) = target else { return Ok(()) };
        let only: Vec<f64> = (0..self.clients).map(|client| f64::from(u8::from(client == target))).collect();
        self.pick.run(engine, 0.0, &only)?;
        self.copies.run(engine)
    }

    fn chosen(&self) -> Option<f64> {
        self.chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_must_be_a_benign_client() {
        let check = |target: Option<u32>, malicious: &[u32]| Mimic { target }.check(4, malicious);
        assert_eq!((check(None, &[0]), check(Some(3), &[0])), (Ok(()), Ok(())));
        assert!(check(Some(4), &[0]).unwrap_err().contains("clients 0 to 3"));
        assert!(check(Some(1), &[0, 1]).unwrap_err().contains("is a malicious client"));
        assert!(check(None, &[0, 1, 2, 3]).unwrap_err().contains("needs a benign client"));
    }
}
