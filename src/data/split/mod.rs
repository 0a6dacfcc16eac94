//! Train and held-out images.

mod patients;

use super::random::SplitMix64;
use crate::{Error, Result};

/// RNG stream of the hold-out draw.
const STREAM: u64 = 0x5350_4c49; // "SPLI"

/// Slices of a series on each side of a held-out block that are neither trained on nor evaluated: one in this many.
const GAP: usize = 40;

/// Image indices, ascending; together they contain every image once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Images for training.
    pub train: Vec<u32>,
    /// Images held out for evaluation.
    pub held_out: Vec<u32>,
    /// Images next to a held-out block of a series: too similar to it for training, and not part of it.
    pub apart: Vec<u32>,
}

/// Groups that a draw must not split or empty: a number for each image.
#[derive(Debug, Clone, Copy)]
pub enum Groups<'a> {
    /// Images without client or series.
    None,
    /// The client of each image: each client holds out its own share.
    Clients(&'a [u32]),
    /// The series of each image, with consecutive slices: whole blocks are held out.
    Series(&'a [u32]),
    /// The patient of each image, and the client if the data define it: whole patients are held out.
    Patients(&'a [u32], Option<&'a [u32]>),
}

/// Holds out `fraction` of the images, rounded, drawn by `seed`: from each class its share by largest remainders, and
/// never all. Classes of one image count as one class together if the others cannot provide enough. Clients hold out
/// their shares of their own images and keep at least one; from series, whole blocks are held out. Patients are held
/// out as a whole, so the number of images is approximate.
///
/// # Errors
/// A fraction outside [0, 1).
pub fn holdout(labels: &[u32], groups: Groups, fraction: f64, seed: u64) -> Result<Split> {
    if !(0.0..1.0).contains(&fraction) {
        return Err(Error::input(format!("hold-out fraction {fraction}: expected at least 0 and below 1")));
    }
    let total = (fraction * labels.len() as f64).round() as usize;
    let labels = &pooled(labels, total)[..];
    let classes = by_class(labels);
    let mut places = vec![Place::Train; labels.len()];
    match groups {
        Groups::None => by_images(&classes, total, seed, &mut places),
        Groups::Series(series) => by_blocks(&classes, series, total, seed, &mut places),
        Groups::Clients(clients) => by_clients(labels, &classes, clients, total, seed, &mut places),
        Groups::Patients(of, clients) => patients::by_patients(labels, of, clients, total, seed, &mut places),
    }
    let of = |place| (0..).zip(&places).filter(|(_, p)| **p == place).map(|(i, _)| i).collect();
    Ok(Split { train: of(Place::Train), held_out: of(Place::HeldOut), apart: of(Place::Apart) })
}

/// The classes; those of one image are joined into one if all classes together cannot provide `total` images without
/// losing their last. Sets with many labels per image have as many classes as combinations.
fn pooled(labels: &[u32], total: usize) -> Vec<u32> {
    let classes = by_class(labels);
    let most: usize = classes.iter().map(|members| members.len().saturating_sub(1)).sum();
    let single = |label: u32| most < total && classes[label as usize].len() == 1;
    labels.iter().map(|label| if single(*label) { classes.len() as u32 } else { *label }).collect()
}

/// The part of the split that an image belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Train,
    HeldOut,
    Apart,
}

/// The generator that distributes `total`; each class's own generator has the class's number.
fn shares_rng(seed: u64, of: u64) -> SplitMix64 {
    SplitMix64::new(seed, STREAM, u64::MAX - of)
}

/// Distributes `total` over `sizes` by largest remainders, with ties in a random order and at most `most` for each.
fn apportion(sizes: &[usize], most: &[usize], total: usize, rng: &mut SplitMix64) -> Vec<usize> {
    let all = sizes.iter().sum::<usize>().max(1) as u128;
    let quota = |size: usize| total as u128 * size as u128;
    let mut parts: Vec<usize> = sizes.iter().zip(most).map(|(s, m)| ((quota(*s) / all) as usize).min(*m)).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    rng.shuffle(&mut order);
    order.sort_by_key(|i| std::cmp::Reverse(quota(sizes[*i]) % all));
    let mut left = total.min(most.iter().sum()) - parts.iter().sum::<usize>();
    while left > 0 {
        for i in order.iter().copied().filter(|i| parts[*i] < most[*i]).collect::<Vec<_>>().into_iter().take(left) {
            parts[i] += 1;
            left -= 1;
        }
    }
    parts
}

/// Sizes, and each size minus one: what can be held out without holding out all.
fn sizes(groups: &[Vec<u32>]) -> (Vec<usize>, Vec<usize>) {
    let sizes: Vec<usize> = groups.iter().map(Vec::len).collect();
    let most = sizes.iter().map(|n| n.saturating_sub(1)).collect();
    (sizes, most)
}

fn by_images(classes: &[Vec<u32>], total: usize, seed: u64, places: &mut [Place]) {
    let (sizes, most) = sizes(classes);
    let shares = apportion(&sizes, &most, total, &mut shares_rng(seed, 0));
    for (class, (members, share)) in classes.iter().zip(shares).enumerate() {
        let mut members = members.clone();
        SplitMix64::new(seed, STREAM, class as u64).shuffle(&mut members);
        members[..share].iter().for_each(|i| places[*i as usize] = Place::HeldOut);
    }
}

fn by_blocks(classes: &[Vec<u32>], series: &[u32], total: usize, seed: u64, places: &mut [Place]) {
    let (of_classes, most) = sizes(classes);
    let shares = apportion(&of_classes, &most, total, &mut shares_rng(seed, 0));
    for (class, (members, share)) in classes.iter().zip(shares).enumerate() {
        let mut rng = SplitMix64::new(seed, STREAM, class as u64);
        let runs: Vec<&[u32]> = members.chunk_by(|a, b| series[*a as usize] == series[*b as usize]).collect();
        let lengths: Vec<usize> = runs.iter().map(|run| run.len()).collect();
        for (run, held) in runs.iter().zip(apportion(&lengths, &lengths, share, &mut rng)) {
            if held > 0 {
                hold_block(run, held, &mut rng, places);
            }
        }
    }
}

/// Holds out `held` consecutive slices from a random position on; those on both sides are excluded, but never all.
fn hold_block(run: &[u32], held: usize, rng: &mut SplitMix64, places: &mut [Place]) {
    let rest = run.len() - held;
    let start = rng.below(rest as u64 + 1) as usize;
    let gap = run.len().div_ceil(GAP).min(rest.saturating_sub(1) / 2);
    for (at, i) in run.iter().enumerate() {
        let place = &mut places[*i as usize];
        if (start..start + held).contains(&at) {
            *place = Place::HeldOut;
        } else if (start.saturating_sub(gap)..start + held + gap).contains(&at) {
            *place = Place::Apart;
        }
    }
}

fn by_clients(labels: &[u32], classes: &[Vec<u32>], clients: &[u32], total: usize, seed: u64, places: &mut [Place]) {
    let of_clients = by_class(clients);
    let (of_each, most) = sizes(&of_clients);
    let shares = apportion(&of_each, &most, total, &mut shares_rng(seed, 0));
    // Images of each class that remain for training, at any client.
    let mut left: Vec<usize> = classes.iter().map(Vec::len).collect();
    for (client, (members, share)) in of_clients.iter().zip(shares).enumerate() {
        let mut rng = shares_rng(seed, 1 + client as u64);
        let mut own = vec![Vec::new(); classes.len()];
        members.iter().for_each(|i| own[labels[*i as usize] as usize].push(*i));
        let (of_classes, most) = sizes(&own);
        let mut parts = apportion(&of_classes, &most, share, &mut rng);
        parts.iter().zip(&mut left).for_each(|(part, left)| *left -= part);
        // A client's last image of a class only if others train with the class.
        let mut order: Vec<usize> = (0..own.len()).collect();
        rng.shuffle(&mut order);
        let mut missing = share - parts.iter().sum::<usize>();
        for class in order {
            if missing > 0 && parts[class] < own[class].len() && left[class] > 1 {
                parts[class] += 1;
                left[class] -= 1;
                missing -= 1;
            }
        }
        for (mut members, part) in own.into_iter().zip(parts) {
            rng.shuffle(&mut members);
            members[..part].iter().for_each(|i| places[*i as usize] = Place::HeldOut);
        }
    }
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
mod tests;
