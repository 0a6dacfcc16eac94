//! Which client holds which images.

use crate::data::random::HostRng;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// RNG streams of the draws.
const IID: u64 = 0x4949_4400;
const DIRICHLET: u64 = 0x4449_5200;
/// Dirichlet draws tried before giving up on a client without images.
const ATTEMPTS: u64 = 1000;

/// How images are dealt to clients, chosen by `kind`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", from = "Written")]
pub enum Partition {
    /// Shuffled, then near-equal shares: sizes differ by at most one.
    #[default]
    Iid,
    /// Every client sees all images.
    Shared,
    /// Each class is dealt in proportions drawn from Dirichlet(alpha, ..., alpha): the smaller alpha, the more a class
    /// sits with few clients. A draw that leaves a client without an image is thrown away whole and the next one taken,
    /// up to 1000 times.
    Dirichlet {
        /// Concentration, finite and above 0.
        alpha: f64,
    },
    /// The data's own folders say it: one a client.
    ClientFolders,
}

/// [`Partition`] as parsed: serde refuses unknown keys beside `kind` in variants with braces only.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Written {
    Iid {},
    Shared {},
    Dirichlet { alpha: f64 },
    ClientFolders {},
}

impl From<Written> for Partition {
    fn from(written: Written) -> Self {
        match written {
            Written::Iid {} => Partition::Iid,
            Written::Shared {} => Partition::Shared,
            Written::Dirichlet { alpha } => Partition::Dirichlet { alpha },
            Written::ClientFolders {} => Partition::ClientFolders,
        }
    }
}

impl Partition {
    /// The images of each of `clients` clients: indices into `labels` (the class of each image), ascending. All but
    /// `shared` give every image to exactly one client. `client_of` is the client of each image, where the data tell.
    ///
    /// # Errors
    /// No client; no image; fewer images than clients; a bad alpha, or one that leaves a client without an image in 1000 draws;
    /// `client-folders` with data that have none, or another number of clients.
    pub fn assign(
        &self,
        labels: &[u32],
        clients: usize,
        seed: u64,
        client_of: Option<&[u32]>,
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
                "{n} images for {clients} clients: expected at least one image a client"
            )));
        }
        match self {
            Partition::Iid => Ok(iid(n, clients, seed)),
            Partition::Shared => Ok(vec![(0..n as u32).collect(); clients]),
            Partition::Dirichlet { alpha } => dirichlet(labels, clients, seed, *alpha),
            Partition::ClientFolders => by_folder(n, clients, client_of),
        }
    }
}

fn iid(n: usize, clients: usize, seed: u64) -> Vec<Vec<u32>> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    HostRng::new(seed, IID, 0).shuffle(&mut order);
    let share = |client: usize| {
        let mut images = order[client * n / clients..(client + 1) * n / clients].to_vec();
        images.sort_unstable();
        images
    };
    (0..clients).map(share).collect()
}

fn dirichlet(labels: &[u32], clients: usize, seed: u64, alpha: f64) -> Result<Vec<Vec<u32>>> {
    if !(alpha.is_finite() && alpha > 0.0) {
        return Err(Error::input(format!("dirichlet alpha = {alpha}: expected a finite number above 0")));
    }
    let classes = crate::data::by_class(labels);
    for attempt in 0..ATTEMPTS {
        let shares = deal(&classes, clients, seed, alpha, attempt);
        if shares.iter().all(|s| !s.is_empty()) {
            return Ok(shares);
        }
    }
    Err(Error::input(format!(
        "dirichlet alpha = {alpha}: {ATTEMPTS} draws all left one of {clients} clients without an image; raise alpha, or \
         have fewer clients"
    )))
}

/// One draw: each class shuffled and cut at the cumulative proportions.
fn deal(classes: &[Vec<u32>], clients: usize, seed: u64, alpha: f64, attempt: u64) -> Vec<Vec<u32>> {
    let mut shares = vec![Vec::new(); clients];
    for (class, members) in classes.iter().enumerate() {
        let mut rng = HostRng::new(seed, DIRICHLET + attempt, class as u64);
        let mut members = members.clone();
        rng.shuffle(&mut members);
        let (mut from, mut cumulative) = (0, 0.0);
        for (client, proportion) in proportions(&mut rng, clients, alpha).into_iter().enumerate() {
            cumulative += proportion;
            let cut = (cumulative * members.len() as f64).round() as usize;
            let to = if client + 1 == clients { members.len() } else { cut.clamp(from, members.len()) };
            shares[client].extend_from_slice(&members[from..to]);
            from = to;
        }
    }
    shares.iter_mut().for_each(|s: &mut Vec<u32>| s.sort_unstable());
    shares
}

/// A draw from the symmetric Dirichlet distribution: Gamma variates over their sum, in logarithms so that a small alpha
/// (variates like 1e-300) still gives proportions that add up to 1.
fn proportions(rng: &mut HostRng, clients: usize, alpha: f64) -> Vec<f64> {
    let logs: Vec<f64> = (0..clients).map(|_| ln_gamma_variate(rng, alpha)).collect();
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logs.iter().map(|l| (l - largest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}

/// Logarithm of a Gamma(shape, 1) variate (Marsaglia and Tsang 2000; below shape 1 by Gamma(shape + 1) U^(1/shape)).
fn ln_gamma_variate(rng: &mut HostRng, shape: f64) -> f64 {
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

fn by_folder(n: usize, clients: usize, client_of: Option<&[u32]>) -> Result<Vec<Vec<u32>>> {
    let Some(client_of) = client_of else {
        let what = "partition client-folders: the data have no client folders, expected data of kind \"folder\" with \
                    client_folders = true";
        return Err(Error::input(what));
    };
    if client_of.len() != n {
        return Err(Error::internal(format!("clients of {} images, labels of {n}", client_of.len())));
    }
    let found = client_of.iter().max().map_or(0, |&m| m as usize + 1);
    if found != clients {
        return Err(Error::input(format!(
            "partition client-folders: {found} client folders, {clients} clients asked for"
        )));
    }
    let mut shares = vec![Vec::new(); clients];
    for (image, &client) in client_of.iter().enumerate() {
        shares[client as usize].push(image as u32);
    }
    match shares.iter().position(Vec::is_empty) {
        Some(client) => {
            Err(Error::input(format!("partition client-folders: client {client} has no image left to train with")))
        }
        None => Ok(shares),
    }
}

#[cfg(test)]
#[path = "partition_tests.rs"]
mod tests;
