//! Detection rates over a run: false and true flags, rounds until the malicious clients are suppressed.

use super::RoundRecord;

/// A weight below this share of 1 / clients is suppressed.
pub const SUPPRESSED: f64 = 0.2;

/// Counts over the rounds in which the detector gives verdicts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rates {
    /// Flagged honest client-rounds, and all honest client-rounds.
    pub false_flags: (u64, u64),
    /// Flagged malicious client-rounds, and all malicious client-rounds with the attack active.
    pub true_flags: (u64, u64),
    /// For each malicious client: rounds from the first verdict with the attack active until its weight is below 0.2 /
    /// clients for good; `None` if that does not happen.
    pub suppressed_after: Vec<(usize, Option<usize>)>,
    /// Smallest weight of an honest client at the end; NaN without one.
    pub least_honest_weight: f64,
    /// Total weight of all malicious clients at the end; NaN without one.
    pub malicious_weight: f64,
}

impl Rates {
    /// Rates over the rounds after `warmup` (counted from 0); clients are malicious from `start_round` on.
    pub fn of(records: &[RoundRecord], warmup: u32, start_round: u32) -> Rates {
        let mut rates = Rates { least_honest_weight: f64::NAN, malicious_weight: f64::NAN, ..Default::default() };
        let screened: Vec<&RoundRecord> = records.iter().filter(|r| r.round > warmup as usize).collect();
        for record in &screened {
            let attacked = record.round >= start_round as usize;
            for client in &record.clients {
                match (client.malicious, attacked) {
                    (true, false) => {}
                    (true, true) => count(&mut rates.true_flags, client.flagged),
                    (false, _) => count(&mut rates.false_flags, client.flagged),
                }
            }
        }
        let Some(last) = screened.last() else { return rates };
        let honest = last.clients.iter().filter(|c| !c.malicious);
        rates.least_honest_weight = honest.map(|c| c.weight).fold(f64::NAN, f64::min);
        let malicious = || last.clients.iter().filter(|c| c.malicious);
        rates.malicious_weight = if malicious().count() > 0 { malicious().map(|c| c.weight).sum() } else { f64::NAN };
        let active: Vec<&RoundRecord> = screened.iter().copied().filter(|r| r.round >= start_round as usize).collect();
        for (index, client) in last.clients.iter().enumerate().filter(|(_, c)| c.malicious) {
            let share = |r: &RoundRecord| r.clients.get(index).map_or(f64::NAN, |c| c.weight * r.clients.len() as f64);
            let below = |r: &&&RoundRecord| share(r) < SUPPRESSED;
            let tail = active.iter().rev().take_while(below).count();
            rates.suppressed_after.push((client.client, (tail > 0).then_some(active.len() - tail)));
        }
        rates
    }

    /// Rounds from the first verdict with the attack active until every malicious client's weight is below 0.2 /
    /// clients for good; `None` if that does not happen, or no client is malicious.
    pub fn suppression(&self) -> Option<usize> {
        let all: Option<Vec<usize>> = self.suppressed_after.iter().map(|(_, after)| *after).collect();
        all?.into_iter().max()
    }

    /// Lines for the console.
    pub fn describe(&self) -> String {
        let share = |what: &str, (k, n): (u64, u64)| match wilson(k, n) {
            Some((low, high)) => {
                format!("{k} of {n} {what} client-rounds flagged ({:.1} to {:.1} %)", 100.0 * low, 100.0 * high)
            }
            None => String::new(),
        };
        let mut parts = vec![share("honest", self.false_flags), share("malicious", self.true_flags)];
        for (client, after) in &self.suppressed_after {
            parts.push(match after {
                Some(rounds) => format!("client {client} suppressed after {}", crate::error::count(rounds, "round")),
                None => format!("client {client} not suppressed"),
            });
        }
        if self.suppressed_after.len() > 1 {
            parts.push(match self.suppression() {
                Some(rounds) => {
                    format!("all malicious clients suppressed after {}", crate::error::count(rounds, "round"))
                }
                None => "not all malicious clients suppressed".into(),
            });
        }
        parts.retain(|p| !p.is_empty());
        if parts.is_empty() { "no round after the warm-up".into() } else { parts.join("; ") }
    }
}

fn count((flagged, all): &mut (u64, u64), is_flagged: bool) {
    *flagged += u64::from(is_flagged);
    *all += 1;
}

/// Wilson's 95 % interval of a rate of `k` in `n`; `None` for `n` = 0. It treats trials as independent, which flags of
/// successive rounds are not.
pub fn wilson(k: u64, n: u64) -> Option<(f64, f64)> {
    const Z: f64 = 1.959_963_984_540_054;
    if n == 0 {
        return None;
    }
    let (k, n) = (k as f64, n as f64);
    let (p, z2) = (k / n, Z * Z);
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    Some(((centre - half).max(0.0), (centre + half).min(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::ClientRecord;

    fn record(round: usize, weight: f64, flagged: [bool; 3]) -> RoundRecord {
        let client = |client: usize| ClientRecord {
            weight: if client == 0 { weight } else { (1.0 - weight) / 2.0 },
            flagged: flagged[client],
            ..ClientRecord::example(client, client == 0)
        };
        RoundRecord { round, clients: (0..3).map(client).collect(), aggregation: Vec::new(), extra: Default::default() }
    }

    #[test]
    fn counts_and_suppression() {
        let no = [false; 3];
        let records = [
            record(0, 0.33, [true; 3]),
            record(1, 0.05, [true, true, false]),
            record(2, 0.33, no),
            record(3, 0.05, [true, false, false]),
            record(4, 0.01, [true, false, false]),
        ];
        let rates = Rates::of(&records, 0, 0);
        assert_eq!((rates.false_flags, rates.true_flags), ((1, 8), (3, 4)));
        assert_eq!(rates.suppressed_after, [(0, Some(2))]);
        assert_eq!((rates.least_honest_weight, rates.malicious_weight), (0.495, 0.01));
        assert_eq!(rates.suppression(), Some(2));
        let late = Rates::of(&records, 0, 3);
        assert_eq!((late.false_flags, late.true_flags, late.suppressed_after[0].1), ((1, 8), (2, 2), Some(0)));
        assert_eq!(Rates::of(&records[..3], 0, 0).suppressed_after, [(0, None)]);
        let text = rates.describe();
        assert!(text.starts_with("1 of 8 honest client-rounds flagged (2.2 to 47.1 %)"), "{text}");
        assert!(text.ends_with("client 0 suppressed after 2 rounds"), "{text}");
        assert_eq!(Rates::of(&records[..1], 0, 0).describe(), "no round after the warm-up");
    }

    /// All malicious clients must be suppressed, and the last one counts.
    #[test]
    fn suppression_waits_for_every_malicious_client() {
        let of = |after: &[Option<usize>]| Rates {
            suppressed_after: after.iter().copied().enumerate().collect(),
            ..Rates::default()
        };
        assert_eq!(of(&[Some(2), Some(5)]).suppression(), Some(5));
        assert_eq!(of(&[Some(2), None]).suppression(), None);
        assert_eq!(of(&[]).suppression(), None);
        assert!(of(&[Some(2), Some(5)]).describe().ends_with("; all malicious clients suppressed after 5 rounds"));
        assert!(of(&[Some(2), None]).describe().ends_with("; not all malicious clients suppressed"));
        let honest = record(1, 0.3, [false; 3]);
        let clients = honest.clients[1..].to_vec();
        assert!(Rates::of(&[RoundRecord { clients, ..honest }], 0, 0).malicious_weight.is_nan());
    }

    #[test]
    fn wilson_as_tabulated() {
        let (low, high) = wilson(0, 100).unwrap();
        assert!(low < 1e-12 && (high - 0.0370).abs() < 1e-4, "{high}");
        let (low, high) = wilson(45, 50).unwrap();
        assert!((low - 0.7864).abs() < 1e-4 && (high - 0.9565).abs() < 1e-4, "{low} {high}");
        assert_eq!(wilson(0, 0), None);
    }
}
