//! A little is enough (Baruch et al. 2019).

use super::ipm::FromMoments;
use super::knowledge::reach;
use super::{Attacker, Knowledge, Reach, Target, UPDATE, UpdateAttack};
use crate::Result;
use crate::exec::Engine;
use crate::key::{Bound, DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};

/// The update is m - z s with the mean m and the deviation s of the known ones, coordinate by coordinate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alie {
    /// Deviations from the mean; `None`: the largest of the formula.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub z: Option<f64>,
    /// What is subtracted from the number of updates in the divisor of their variance: 0 as in the authors' code, 1 as elsewhere.
    pub ddof: u32,
    /// Whose updates are known.
    pub knowledge: Reach,
}

pub(super) const OPTIONS: &[Key] = &[
    Key::new(
        "attack.update.z",
        ValueKind::Real(Bound::Open(0.0), Bound::Free),
        DefaultValue::Computed(
            "the largest z for which, by the paper's formula, enough benign clients lie further out",
        ),
        "deviations from the mean of the update that malicious clients send",
    )
    .of(UPDATE, &["alie"]),
    Key::new(
        "attack.update.ddof",
        ValueKind::OneOf(&[0, 1]),
        DefaultValue::Int(0),
        "the variance of m known updates is divided by m - ddof: 0 as in the authors' code, 1 as in ByzFL and others",
    )
    .of(UPDATE, &["alie"]),
    reach(&["alie"]),
];

/// z with Phi(z) = (n - f - s) / (n - f), s = floor(n / 2) + 1 - f: s benign clients are needed for a majority, and lie further from
/// the mean. Negative or 0 where half of the benign clients or more are needed; infinite where none is.
pub fn largest_z(clients: u32, malicious: u32) -> f64 {
    let (n, f) = (f64::from(clients), f64::from(malicious));
    let needed = (n / 2.0).floor() + 1.0 - f;
    normal_quantile((n - f - needed) / (n - f))
}

/// The inverse of the standard normal distribution function, by bisection on an integral in f64.
fn normal_quantile(p: f64) -> f64 {
    if !(p > 0.0 && p < 1.0) {
        return if p >= 1.0 {
            f64::INFINITY
        } else if p <= 0.0 {
            f64::NEG_INFINITY
        } else {
            f64::NAN
        };
    }
    let (mut low, mut high) = (-9.0f64, 9.0f64);
    while high - low > 1e-15 * high.abs().max(1.0) {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if normal_distribution(middle) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// The standard normal distribution function: 1/2 + phi(z) (z + z^3 / 3 + z^5 / (3 5) + ...), whose terms are all of one sign.
fn normal_distribution(z: f64) -> f64 {
    let (mut term, mut sum, mut k) = (z, z, 1.0);
    while term.abs() > 1e-18 * sum.abs() {
        k += 2.0;
        term *= z * z / k;
        sum += term;
    }
    0.5 + sum * (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt()
}

impl UpdateAttack for Alie {
    fn knowledge(&self) -> Knowledge {
        self.knowledge.knowledge()
    }

    fn check(&self, clients: u32, malicious: &[u32]) -> Result<(), String> {
        self.knowledge.check(clients, malicious, 2, "the deviation")?;
        let (f, z) = (malicious.len() as u32, largest_z(clients, malicious.len() as u32));
        // What rounds to 0 is 0, without a sign.
        let z = if z.abs() < 5e-4 { 0.0 } else { z };
        match self.z {
            None if z <= 0.0 => Err(format!(
                "the formula gives z = {z:.3} with n = {clients}, f = {f}, which is no attack; give attack.update.z, such as 1.0"
            )),
            None if z.is_infinite() => Err(format!(
                "the formula has no finite z with n = {clients}, f = {f}, a majority; give attack.update.z, such as 1.0"
            )),
            _ => Ok(()),
        }
    }

    fn growth(&self) -> (&'static str, f64) {
        ("z", self.z.unwrap_or(1.0))
    }

    fn build(&self, engine: &mut dyn Engine, on: &Target) -> Result<Box<dyn Attacker>> {
        let z = self.z.unwrap_or_else(|| largest_z(on.network.clients() as u32, on.malicious.len() as u32));
        Ok(Box::new(FromMoments::new(engine, on, self.ddof, [1.0, -z], 2)?.choosing(z)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn z_is_that_of_the_formula() {
        // SciPy's norm.ppf.
        for ((n, f), want) in [
            ((4, 1), -0.430_727_299_295_457_5),
            ((8, 1), -0.180_012_369_792_705_2),
            ((8, 2), 0.0),
            ((10, 4), 0.430_727_299_295_457_5),
            ((20, 4), 0.157_310_684_610_170_7),
            ((20, 6), 0.366_106_356_800_569_73),
        ] {
            assert!((largest_z(n, f) - want).abs() < 1e-12, "{n} {f}: {}", largest_z(n, f));
        }
        assert!((normal_quantile(0.975) - 1.959_963_984_540_054).abs() < 1e-12);
        assert!((normal_quantile(1e-6) + 4.753_424_308_822_899).abs() < 1e-9);
        assert!(largest_z(4, 3).is_infinite() && largest_z(5, 3).is_infinite());
    }

    #[test]
    fn a_z_that_is_no_attack_is_refused_and_asked_for() {
        let alie = |z| Alie { z, ddof: 0, knowledge: Reach::All };
        let text = alie(None).check(4, &[1]).unwrap_err();
        assert!(text.contains("z = -0.431") && text.contains("give attack.update.z"), "{text}");
        assert!(alie(None).check(8, &[0, 1]).unwrap_err().contains("z = 0.000"));
        assert!(alie(None).check(5, &[0, 1, 2]).unwrap_err().contains("a majority"));
        assert_eq!(alie(Some(0.5)).check(4, &[1]), Ok(()));
        assert_eq!(alie(None).check(20, &[0, 1, 2, 3]), Ok(()));
        let own = Alie { knowledge: Reach::Own, ..alie(Some(1.0)) };
        assert!(own.check(4, &[1]).unwrap_err().contains("at least 2 malicious clients; there are 1"));
    }
}
