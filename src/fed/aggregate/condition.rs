//! Conditions of rules on the number of clients n and the assumed number of faulty ones f.

use super::CONDITIONS;

/// A condition on n and f.
#[derive(Clone, Copy, Debug)]
pub struct Condition {
    /// As in `n > 2f + 2`; empty if every number will do.
    pub text: &'static str,
    /// Whether it holds.
    pub holds: fn(n: u64, f: u64) -> bool,
}

impl Condition {
    /// Any number of clients.
    pub const NONE: Condition = Condition { text: "", holds: |_, _| true };
    /// Fewer than half of the clients are faulty.
    pub const MINORITY: Condition = Condition { text: "n > 2f", holds: |n, f| n > 2 * f };

    /// Rejects numbers for which it does not hold, and names the rules that would do.
    ///
    /// # Errors
    /// The sentence.
    pub fn check(&self, clients: u32, f: u32) -> Result<(), String> {
        let (n, f) = (u64::from(clients), u64::from(f));
        if (self.holds)(n, f) {
            return Ok(());
        }
        Err(format!("needs {}; n = {n}, f = {f}. {}", self.text, others(n, f)))
    }
}

/// The rules that would do with these numbers.
fn others(n: u64, f: u64) -> String {
    // The mean resists nothing, and no rule resists half of the clients, also those without a condition of their own.
    let resists = |(name, c): &&(&'static str, Condition)| *name != "mean" && n > 2 * f && (c.holds)(n, f);
    let named = |(name, _): &(&'static str, Condition)| match *name {
        "fltrust" => "fltrust (with federation.server_images)",
        name => name,
    };
    let names: Vec<&str> = CONDITIONS.iter().filter(resists).map(named).collect();
    match names.as_slice() {
        [] => format!("No rule resists {f} of {n} clients"),
        _ => format!("With {n} clients and f = {f}: {}", names.join(", ")),
    }
}
