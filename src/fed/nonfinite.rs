//! Non-finite values in a client's training state: found on the device after the round's local training, and named.

use super::aggregate::Shared;
use super::moments::UpdateMoments;
use crate::Result;
use crate::exec::{Recording, Tensor};
use crate::kernels::util::difference_norm::{DifferenceNorm, DifferenceNormParams};
use crate::kernels::util::first_nonfinite::{FirstNonfinite, FirstNonfiniteParams, first};
use crate::model::{Gan, GanBuffers, Network, NetworkBank, ParamSpec, RoundStats, SCANS};
use serde::{Deserialize, Serialize};

/// The response to non-finite losses, gradients, weights, moments or running statistics of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnNonfinite {
    /// The run ends with an error before anything is averaged.
    #[default]
    Stop,
    /// The client is dropped from this round and restarts from the server's networks.
    Drop,
    /// None: the fault is recorded, and the client is averaged like the others.
    Record,
}

/// The first non-finite value of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An element of a tensor.
    Element {
        /// `G` or `D`.
        network: &'static str,
        /// `weights`, `gradients` (of the round's last step), `first moments`, `second moments` or `running statistics`.
        role: &'static str,
        /// PyTorch's name, such as `main.3.weight`.
        tensor: String,
        /// Index in the tensor, in PyTorch's layout.
        element: usize,
    },
    /// A loss, by name, while all tensors are finite.
    Loss(&'static str),
    /// The generator's update is finite, but its squared norm overflows f32: the next step would diverge.
    UpdateNorm,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Element { network, role, tensor, element } => write!(f, "{network} {role} {tensor}[{element}]"),
            Fault::Loss(name) => write!(f, "the loss {name}"),
            Fault::UpdateNorm => f.write_str("the norm of the G update"),
        }
    }
}

/// Scanned tensors of a client; the last scan is that of its update's norm.
const TENSORS: usize = SCANS - 1;

/// Names and values of the losses of a round.
fn losses(stats: &RoundStats) -> [(&'static str, f32); 7] {
    let ([real, fake, g], [last_real, last_fake, last_g]) = (stats.sum, stats.last);
    let sums = [("D(real)", real), ("D(fake)", fake), ("G", g), ("penalty", stats.penalty)];
    let last = [("D(real)", last_real), ("D(fake)", last_fake), ("G", last_g)];
    std::array::from_fn(|i| if i < sums.len() { sums[i] } else { last[i - sums.len()] })
}

/// A tensor of every client of a chunk: `[clients][words]`.
struct Scanned<'a> {
    network: &'static str,
    role: &'static str,
    tensor: Tensor,
    words: usize,
    specs: &'a [ParamSpec],
}

/// The scanned tensors, in the order in which faults are named: a NaN in a weight is in the moments too, and D is updated
/// before G.
fn scanned<'a>(gan: &'a Gan, b: &GanBuffers) -> [Scanned<'a>; TENSORS] {
    let of = |role: usize, at: usize| -> Scanned<'a> {
        let (network, net, bank): (_, &Network, &NetworkBank) = [("D", &gan.d, &b.d), ("G", &gan.g, &b.g)][at];
        let (role, tensor, words, specs): (_, _, _, &[ParamSpec]) = match role {
            0 => ("weights", bank.weights, net.stride, &net.params),
            1 => ("gradients", bank.grads, net.stride, &net.params),
            2 => ("first moments", bank.m, net.stride, &net.params),
            3 => ("second moments", bank.v, net.stride, &net.params),
            _ => ("running statistics", bank.running, net.running_stride, &net.running),
        };
        Scanned { network, role, tensor, words, specs }
    };
    std::array::from_fn(|i| of(i / 2, i % 2))
}

/// Whether clients send the tensor: weights and running statistics of the `shared` networks, which attacks on updates rewrite.
fn is_sent(s: &Scanned, shared: Shared) -> bool {
    ["weights", "running statistics"].contains(&s.role) && (s.network == "G" || shared == Shared::Both)
}

/// Records the scans of `which` tensors into the statistics.
fn record_scans(rec: &mut Recording, gan: &Gan, b: &GanBuffers, which: impl Fn(&Scanned) -> bool) -> Result<()> {
    for (at, s) in scanned(gan, b).iter().enumerate().filter(|(_, s)| which(s)) {
        record_scan(rec, b, at, (s.tensor, s.words), s.words as u32, format!("finite {} {}", s.network, s.role))?;
    }
    Ok(())
}

fn record_scan(
    rec: &mut Recording,
    b: &GanBuffers,
    at: usize,
    (x, words): (Tensor, usize),
    x_stride: u32,
    label: String,
) -> Result<()> {
    let (y_stride, y_at) = (RoundStats::WORDS as u32, (RoundStats::SCANS_AT + at) as u32);
    let p = FirstNonfiniteParams { clients: b.clients, n: words as u32, x_stride, y_stride, y_at };
    rec.launch(&FirstNonfinite, &p, &[x, b.stats], label)
}

/// Records the scans of what stays with the clients, before the next chunk trains: chunks may share the memory of gradients.
///
/// # Errors
/// If a layout does not fit its buffers (a bug).
pub(super) fn record_local_scan(gan: &Gan, b: &GanBuffers, shared: Shared) -> Result<Recording> {
    let mut rec = Recording::new();
    record_scans(&mut rec, gan, b, |s| !is_sent(s, shared))?;
    Ok(rec)
}

/// Records the norm of the generators' updates into `moments` (`[clients][64]`, element 0), its scan and those of the tensors
/// that clients send.
///
/// # Errors
/// If a layout does not fit its buffers (a bug).
pub(super) fn record_update_scan(
    gan: &Gan,
    b: &GanBuffers,
    shared: Shared,
    server_g: Tensor,
    moments: Tensor,
) -> Result<Recording> {
    let (mut rec, clients) = (Recording::new(), b.clients);
    let (stride, row) = (gan.g.stride as u32, UpdateMoments::WORDS as u32);
    let p = DifferenceNormParams { clients, n: stride, x_stride: stride, y_stride: row };
    rec.launch(&DifferenceNorm, &p, &[b.g.weights, server_g, moments], "G update norm")?;
    record_scans(&mut rec, gan, b, |s| is_sent(s, shared))?;
    record_scan(&mut rec, b, TENSORS, (moments, 1), row, "finite G update norm".into())?;
    Ok(rec)
}

/// The first fault of a client according to its row of statistics, scans included. `idle` clients had no part in the round's
/// last steps, whose gradients are unused.
pub(super) fn fault(gan: &Gan, b: &GanBuffers, stats: &RoundStats, idle: bool) -> Option<Fault> {
    let outcome = |at: usize| first(stats.scans[at]);
    let tensors = scanned(gan, b);
    let mut found = tensors.iter().enumerate().filter(|(_, s)| !(idle && s.role == "gradients"));
    let element = found.find_map(|(at, s)| {
        let (tensor, element) = place(s.specs, outcome(at)?);
        Some(Fault::Element { network: s.network, role: s.role, tensor, element })
    });
    let loss = || losses(stats).iter().find(|(_, value)| !value.is_finite()).map(|(name, _)| Fault::Loss(name));
    element.or_else(loss).or_else(|| outcome(TENSORS).map(|_| Fault::UpdateNorm))
}

/// The tensor of word `at` of a client's row, and the element in PyTorch's layout.
fn place(specs: &[ParamSpec], at: usize) -> (String, usize) {
    let Some(spec) = specs.iter().rev().find(|s| s.offset <= at) else { return ("padding".into(), at) };
    let within = at - spec.offset;
    if within >= spec.words() {
        return (format!("padding behind {}", spec.name), within - spec.words());
    }
    (spec.name.clone(), spec.pytorch_index(within))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Architecture;

    #[test]
    fn places_are_those_of_the_exported_tensors() {
        let net = Architecture { image_size: 16, channels: 3, width: 4, latent: 6 }.generator();
        let mut row = vec![0.0; net.stride];
        for at in [0, 5, 100, net.params[1].offset + 3, net.params[3].offset + 17, net.stride - 64 * 3] {
            row.fill(0.0);
            row[at] = f32::NAN;
            let exported = crate::model::export(&net, &row, &vec![0.0; net.running_stride]);
            let found: Vec<_> = exported
                .iter()
                .filter_map(|(name, (_, values))| Some((name.clone(), values.iter().position(|v| v.is_nan())?)))
                .collect();
            assert_eq!(found, [place(&net.params, at)], "word {at}");
        }
        let first = &net.params[1];
        assert!(first.words() < 64);
        assert_eq!(place(&net.params, first.offset + first.words()), (format!("padding behind {}", first.name), 0));
    }

    #[test]
    fn the_nearest_cause_is_named() {
        let arch = Architecture { image_size: 16, channels: 3, width: 4, latent: 6 };
        let gan = Gan::new(arch, 0.5, 0.999, 1e-8).unwrap();
        let mut engine = crate::exec::ReferenceEngine::new();
        let b = gan.alloc(&mut engine, &mut crate::exec::Pool::default(), 1, 1, 4, 1).unwrap();
        let mut stats = vec![0u32; RoundStats::WORDS];
        let mut named = |at: usize, word: u32, idle| {
            stats[at] = word;
            fault(&gan, &b, &RoundStats::rows(&stats)[0], idle).map(|f| f.to_string())
        };
        assert_eq!(named(0, 1f32.to_bits(), false), None);
        let scans = RoundStats::SCANS_AT;
        assert_eq!(named(scans + TENSORS, u32::MAX, false).unwrap(), "the norm of the G update");
        assert_eq!(named(6, f32::INFINITY.to_bits(), false).unwrap(), "the loss G");
        assert_eq!(named(1, f32::NAN.to_bits(), false).unwrap(), "the loss D(fake)");
        assert_eq!(named(scans + 9, !1u32, false).unwrap(), "G running statistics main.1.running_mean[1]");
        assert_eq!(named(scans + 2, !0u32, true).unwrap(), "G running statistics main.1.running_mean[1]", "idle");
        assert_eq!(named(scans + 2, !0u32, false).unwrap(), "D gradients main.0.weight[0]");
        // Word 17 is output 0, row 1, column 1, channel 2 of [8][4][4][3].
        assert_eq!(named(scans, !17u32, false).unwrap(), "D weights main.0.weight[37]");
    }
}
