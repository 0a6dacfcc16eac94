//! Train and held-out images.

use super::random::HostRng;
use crate::{Error, Result};

/// RNG stream of the hold-out draw.
const STREAM: u64 = 0x5350_4c49; // "SPLI"

/// Image indices, ascending; together every image once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Images to train with.
    pub train: Vec<u32>,
    /// Images kept apart for evaluation.
    pub held_out: Vec<u32>,
}

/// Holds out `fraction` of each class (rounded, and never a whole class), drawn by `seed`; each class is drawn for
/// itself, so the images of one do not move another's.
///
/// # Errors
/// A fraction outside [0, 1).
pub fn holdout(labels: &[u32], fraction: f64, seed: u64) -> Result<Split> {
    if !(0.0..1.0).contains(&fraction) {
        return Err(Error::input(format!("hold-out fraction {fraction}: expected at least 0 and below 1")));
    }
    let mut split = Split { train: Vec::new(), held_out: Vec::new() };
    for (class, mut members) in by_class(labels).into_iter().enumerate() {
        HostRng::new(seed, STREAM, class as u64).shuffle(&mut members);
        let wanted = (fraction * members.len() as f64).round() as usize;
        let held = wanted.min(members.len().saturating_sub(1));
        split.held_out.extend_from_slice(&members[..held]);
        split.train.extend_from_slice(&members[held..]);
    }
    split.train.sort_unstable();
    split.held_out.sort_unstable();
    Ok(split)
}

/// Image indices of each class, ascending.
pub(crate) fn by_class(labels: &[u32]) -> Vec<Vec<u32>> {
    let classes = labels.iter().max().map_or(0, |&m| m as usize + 1);
    let mut members = vec![Vec::new(); classes];
    for (i, &label) in labels.iter().enumerate() {
        members[label as usize].push(i as u32);
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Vec<u32> {
        (0..100).map(|i| u32::from(i % 5 == 0)).chain([2]).collect()
    }

    #[test]
    fn stratified_cover() {
        let labels = labels();
        let split = holdout(&labels, 0.25, 7).unwrap();
        let count = |class| split.held_out.iter().filter(|&&i| labels[i as usize] == class).count();
        assert_eq!([count(0), count(1), count(2)], [20, 5, 0], "a class of one image stays in training");
        let mut all = [split.train, split.held_out].concat();
        all.sort_unstable();
        assert_eq!(all, (0..101).collect::<Vec<_>>());
    }

    #[test]
    fn seed_decides() {
        let labels = labels();
        assert_eq!(holdout(&labels, 0.25, 7).unwrap(), holdout(&labels, 0.25, 7).unwrap());
        assert_ne!(holdout(&labels, 0.25, 7).unwrap(), holdout(&labels, 0.25, 8).unwrap());
    }

    #[test]
    fn fraction_is_checked() {
        assert!(holdout(&labels(), 0.0, 1).unwrap().held_out.is_empty());
        for bad in [1.0, -0.1, f64::NAN] {
            assert_eq!(holdout(&labels(), bad, 1).unwrap_err().exit_code(), 2);
        }
    }
}
