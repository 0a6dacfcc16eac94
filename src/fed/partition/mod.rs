//! The partition of the images among the clients.

use crate::data::patients::Units;
use crate::data::random::SplitMix64;
use crate::error::count;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// RNG streams of the draws.
const IID: u64 = 0x4949_4400;
const DIRICHLET: u64 = 0x4449_5200;
const DIRICHLET_ORDER: u64 = 0x4449_524f;
/// Largest number of Dirichlet draws until every client has its minimum of images,
const MOST_DRAWS: usize = 50_000;
/// fewer with many clients and classes: largest number of shares drawn in total,
const MOST_SHARES: usize = 4_000_000;
/// but at least this many draws.
const LEAST_DRAWS: usize = 100;

/// How images are dealt to clients, chosen by `kind`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", from = "Written")]
pub enum Partition {
    /// Shuffled, then near-equal shares: sizes differ by at most one.
    #[default]
    Iid,
    /// Every client sees all images.
    Shared,
    /// Each class is dealt in proportions drawn from Dirichlet(alpha, ..., alpha): the smaller alpha, the more each class is
    /// concentrated on few clients. A draw that gives a client too few images is discarded and repeated, up to 50,000 times.
    Dirichlet {
        /// Concentration, finite and above 0.
        alpha: f64,
        /// Fewest images of a client; a batch if absent, and never less.
        #[serde(skip_serializing_if = "Option::is_none")]
        minimum: Option<u32>,
    },
    /// As the data say: one folder per client, or a manifest with the client of each image.
    Sites,
}

/// [`Partition`] as parsed: serde refuses unknown keys beside `kind` in variants with braces only.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Written {
    Iid {},
    Shared {},
    Dirichlet {
        alpha: f64,
        minimum: Option<u32>,
    },
    #[serde(alias = "client-folders")]
    Sites {},
}

impl From<Written> for Partition {
    fn from(written: Written) -> Self {
        match written {
            Written::Iid {} => Partition::Iid,
            Written::Shared {} => Partition::Shared,
            Written::Dirichlet { alpha, minimum } => Partition::Dirichlet { alpha, minimum },
            Written::Sites {} => Partition::Sites,
        }
    }
}

/// The client and the patient of each image, as far as the data define them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin<'a> {
    /// The client of each image.
    pub clients: Option<&'a [u32]>,
    /// The patient of each image.
    pub patients: Option<&'a [u32]>,
}

impl Partition {
    /// The images of each of `clients` clients: indices into `labels` (the class of each image), ascending. All kinds except
    /// `shared` give every image to exactly one client, and all images of a patient to the same one. `batch` is the number of
    /// images in a training step, which each client needs.
    ///
    /// # Errors
    /// No client; no image; fewer images or patients than clients; an invalid alpha, or one at which no draw gives every client
    /// enough images; `sites` with data that name no clients, or another number of them.
    pub fn assign(
        &self,
        labels: &[u32],
        clients: usize,
        seed: u64,
        origin: Origin,
        batch: usize,
    ) -> Result<Vec<Vec<u32>>> {
        if clients == 0 {
            return Err(Error::input("0 clients: expected at least 1"));
        }
        let n = labels.len();
        if n == 0 {
            return Err(Error::input("no image to deal to the clients"));
        }
        if !matches!(self, Partition::Shared) && n < clients {
            return Err(Error::input(format!(
                "{} for {}: expected at least one image per client",
                count(n, "image"),
                count(clients, "client")
            )));
        }
        match self {
            Partition::Iid => match origin.patients {
                Some(_) => by_patient(&Units::of(labels, origin.patients), clients, seed),
                None => Ok(iid(n, clients, seed)),
            },
            Partition::Shared => Ok(vec![(0..n as u32).collect(); clients]),
            Partition::Dirichlet { alpha, minimum } => {
                let least = minimum.map_or(0, |n| n as usize).max(batch).max(1);
                dirichlet(&Units::of(labels, origin.patients), n, clients, seed, *alpha, least)
            }
            Partition::Sites => by_site(n, clients, origin.clients),
        }
    }
}

fn iid(n: usize, clients: usize, seed: u64) -> Vec<Vec<u32>> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    SplitMix64::new(seed, IID, 0).shuffle(&mut order);
    let share = |client: usize| {
        let mut images = order[client * n / clients..(client + 1) * n / clients].to_vec();
        images.sort_unstable();
        images
    };
    (0..clients).map(share).collect()
}

/// Shuffled patients, each to the client with the fewest images so far.
fn by_patient(units: &Units, clients: usize, seed: u64) -> Result<Vec<Vec<u32>>> {
    if units.len() < clients {
        let n = units.len();
        let [patients, clients] = [count(n, "patient"), count(clients, "client")];
        return Err(Error::input(format!("{patients} for {clients}: expected at least one per client")));
    }
    let mut order: Vec<usize> = (0..units.len()).collect();
    SplitMix64::new(seed, IID, 0).shuffle(&mut order);
    let mut shares = vec![Vec::new(); clients];
    let mut fewest: BinaryHeap<Reverse<(usize, usize)>> = (0..clients).map(|client| Reverse((0, client))).collect();
    for unit in order {
        let Some(Reverse((images, client))) = fewest.pop() else { break };
        let own: &mut Vec<u32> = &mut shares[client];
        own.extend_from_slice(units.images(unit));
        fewest.push(Reverse((images + units.images(unit).len(), client)));
    }
    shares.iter_mut().for_each(|share| share.sort_unstable());
    Ok(shares)
}

/// The units of a class in the order in which they are dealt.
struct Class {
    units: Vec<u32>,
    /// `[units + 1]`: images of the units before each.
    images: Vec<usize>,
}

/// The classes that have images, each shuffled.
fn shuffled(units: &Units, seed: u64) -> Vec<Class> {
    let members = crate::data::by_class(&units.classes).into_iter().filter(|members| !members.is_empty());
    let class = |(class, mut members): (u64, Vec<u32>)| {
        SplitMix64::new(seed, DIRICHLET_ORDER, class).shuffle(&mut members);
        let sizes = members.iter().map(|unit| units.images(*unit as usize).len());
        let sums = sizes.scan(0, |sum, size| {
            *sum += size;
            Some(*sum)
        });
        Class { images: std::iter::once(0).chain(sums).collect(), units: members }
    };
    (0..).zip(members).map(class).collect()
}

fn dirichlet(units: &Units, n: usize, clients: usize, seed: u64, alpha: f64, least: usize) -> Result<Vec<Vec<u32>>> {
    if !(alpha.is_finite() && alpha > 0.0) {
        return Err(Error::input(format!("dirichlet alpha = {alpha}: expected a finite number above 0")));
    }
    let head = format!("federation.partition dirichlet with alpha = {alpha}");
    let needs = format!("{least} images each (train.batch or federation.partition.minimum)");
    if clients.saturating_mul(least) > n {
        return Err(Error::input(format!(
            "{head}: {clients} clients need {needs}, that is {} of {n} images: no draw can give them that; choose a smaller \
             federation.clients, train.batch or minimum",
            clients.saturating_mul(least)
        )));
    }
    let classes = shuffled(units, seed);
    let mut rngs: Vec<SplitMix64> =
        (0..classes.len() as u64).map(|class| SplitMix64::new(seed, DIRICHLET, class)).collect();
    let draws = (MOST_SHARES / (clients * classes.len())).clamp(LEAST_DRAWS, MOST_DRAWS);
    // Number of clients below the minimum and smallest share, of the best draw.
    let (mut short, mut smallest) = (clients, 0);
    for _ in 0..draws {
        let cuts: Vec<Vec<usize>> =
            classes.iter().zip(&mut rngs).map(|(class, rng)| cuts(rng, class.units.len(), clients, alpha)).collect();
        let part =
            |c: usize| move |(cut, class): (&Vec<usize>, &Class)| class.images[cut[c + 1]] - class.images[cut[c]];
        let sizes = (0..clients).map(|c| cuts.iter().zip(&classes).map(part(c)).sum::<usize>());
        let (below, low) = sizes.fold((0, n), |(below, low), size| (below + usize::from(size < least), low.min(size)));
        if below == 0 {
            return Ok(deal(units, &classes, &cuts, clients));
        }
        if (below, n - low) < (short, n - smallest) {
            (short, smallest) = (below, low);
        }
    }
    Err(Error::input(format!(
        "{head}: {clients} clients need {needs}, and none of {draws} draws of {n} images in {} gave them that; the nearest \
         left {short} of the clients short, the smallest share with {smallest} images: so small an alpha gives most of a class \
         to few clients. Choose a larger alpha, or a smaller federation.clients, train.batch or minimum",
        match classes.len() {
            1 => "1 class".to_string(),
            many => format!("{many} classes"),
        }
    )))
}

/// The cuts of the `n` units of a class, `[clients + 1]`: client c takes units from cut c to cut c + 1.
fn cuts(rng: &mut SplitMix64, n: usize, clients: usize, alpha: f64) -> Vec<usize> {
    let (mut cuts, mut cumulative) = (vec![0], 0.0);
    for proportion in proportions(rng, clients, alpha) {
        cumulative += proportion;
        let from = cuts[cuts.len() - 1];
        cuts.push(((cumulative * n as f64).round() as usize).clamp(from, n));
    }
    cuts[clients] = n;
    cuts
}

/// Cuts each class.
fn deal(units: &Units, classes: &[Class], cuts: &[Vec<usize>], clients: usize) -> Vec<Vec<u32>> {
    let mut shares = vec![Vec::new(); clients];
    for (class, cuts) in classes.iter().zip(cuts) {
        for (share, cut) in shares.iter_mut().zip(cuts.windows(2)) {
            class.units[cut[0]..cut[1]].iter().for_each(|unit| share.extend_from_slice(units.images(*unit as usize)));
        }
    }
    shares.iter_mut().for_each(|s: &mut Vec<u32>| s.sort_unstable());
    shares
}

/// A draw from the symmetric Dirichlet distribution: Gamma variates over their sum, in logarithms so that a small alpha
/// (variates like 1e-300) still gives proportions that add up to 1.
fn proportions(rng: &mut SplitMix64, clients: usize, alpha: f64) -> Vec<f64> {
    let logs: Vec<f64> = (0..clients).map(|_| ln_gamma_variate(rng, alpha)).collect();
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logs.iter().map(|l| (l - largest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}

/// Logarithm of a Gamma(shape, 1) variate (Marsaglia and Tsang 2000; below shape 1 by Gamma(shape + 1) U^(1/shape)).
fn ln_gamma_variate(rng: &mut SplitMix64, shape: f64) -> f64 {
    if shape < 1.0 {
        // The largest -ln U is 36.7: stay finite for subnormal shapes.
        let boost = rng.uniform_positive().ln() / shape.max(1e-300);
        return ln_gamma_variate(rng, shape + 1.0) + boost;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = rng.normal();
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && rng.uniform_positive().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d.ln() + v.ln();
        }
    }
}

fn by_site(n: usize, clients: usize, client_of: Option<&[u32]>) -> Result<Vec<Vec<u32>>> {
    let Some(client_of) = client_of else {
        let what = "partition sites: the data name no clients, expected data of kind \"folder\" with client_folders = true, or \
                    a manifest with the column `client`";
        return Err(Error::input(what));
    };
    if client_of.len() != n {
        return Err(Error::internal(format!("clients of {} images, labels of {n}", client_of.len())));
    }
    let found = client_of.iter().max().map_or(0, |&m| m as usize + 1);
    if found != clients {
        return Err(Error::input(format!(
            "partition sites: the data name {}, federation.clients = {clients}",
            count(found, "client")
        )));
    }
    let mut shares = vec![Vec::new(); clients];
    for (image, &client) in client_of.iter().enumerate() {
        shares[client as usize].push(image as u32);
    }
    match shares.iter().position(Vec::is_empty) {
        Some(client) => Err(Error::input(format!("partition sites: client {client} has no image left to train with"))),
        None => Ok(shares),
    }
}

#[cfg(test)]
mod tests;
