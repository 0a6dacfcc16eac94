//! The check that precedes every timing: sampled output elements against the reference.

use super::Verification;
use crate::Result;
use crate::check::watch::{Elements, compare};
use crate::exec::Launch;

/// Output elements of a launch that are compared with the reference before it is timed.
const COMPARED: usize = 256;

/// Compares sampled output elements of `launch` with the reference on the operands `before` it; `after` are its operands then.
///
/// # Errors
/// Operands that the kernel's declaration refuses.
pub fn verify_sampled(launch: &Launch, before: &[&[u32]], after: &[&[u32]]) -> Result<Verification> {
    let found = compare(launch, before, after, Elements::Sample { count: COMPARED, seed: 1 })?;
    Ok(Verification {
        elements: found.elements,
        percent: found.worst.map_or(0.0, |w| w.percent),
        failure: found.failure.map(|f| f.to_string()),
    })
}
