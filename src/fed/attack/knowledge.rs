//! What attackers know.

use super::UPDATE;
use crate::key::{DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};

/// What an attack on updates assumes the attacker to know, beside the network that the server broadcasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// Each malicious client its own update.
    Own,
    /// The networks that the server has broadcast so far.
    Broadcasts,
    /// The updates of all malicious clients, as they were trained: what the benign ones do is estimated from them.
    Malicious,
    /// The updates of all benign clients in the round.
    Benign,
    /// The updates of all benign clients in the round, and the server's rule.
    BenignAndRule,
}

impl Knowledge {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Knowledge::Own => "each malicious client its own update",
            Knowledge::Broadcasts => "its own update and the networks that the server has broadcast",
            Knowledge::Malicious => "the updates of all malicious clients",
            Knowledge::Benign => "the updates of all benign clients",
            Knowledge::BenignAndRule => "the updates of all benign clients and the server's rule",
        }
    }

    /// Whether the attack reads rows of several clients, benign ones (`Some(false)`) or malicious ones (`Some(true)`).
    pub(super) fn reads(self) -> Option<bool> {
        match self {
            Knowledge::Own | Knowledge::Broadcasts => Option::None,
            Knowledge::Malicious => Some(true),
            Knowledge::Benign | Knowledge::BenignAndRule => Some(false),
        }
    }
}

/// Whose updates an attack takes for those of benign clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// The benign clients' own.
    #[default]
    All,
    /// Those of the malicious clients, which were trained honestly or on poisoned images.
    Own,
}

/// The row of an attack's reach.
pub(super) const fn reach(kind: &'static [&'static str]) -> Key {
    Key::new(
        "attack.update.knowledge",
        ValueKind::Choice(&["all", "own"]),
        DefaultValue::Text("all"),
        "updates that the attacker knows: all benign clients', or only those of the malicious clients as they were trained",
    )
    .of(UPDATE, kind)
}

impl Reach {
    /// What the attacker knows.
    pub fn knowledge(self) -> Knowledge {
        match self {
            Reach::All => Knowledge::Benign,
            Reach::Own => Knowledge::Malicious,
        }
    }

    /// Rejects fewer than `least` known updates; `what` needs them.
    ///
    /// # Errors
    /// The sentence.
    pub(super) fn check(self, clients: u32, malicious: &[u32], least: u32, what: &str) -> Result<(), String> {
        let f = malicious.len() as u32;
        let (known, whose) = match self {
            Reach::All => (clients - f, "benign"),
            Reach::Own => (f, "malicious"),
        };
        match known < least {
            true => Err(format!(
                "{what} needs the updates of at least {least} {whose} client{}; there are {known} (n = {clients}, f = {f})",
                if least == 1 { "" } else { "s" }
            )),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_condition_counts_the_updates_in_reach() {
        assert_eq!(Reach::All.check(4, &[1, 3], 2, "it"), Ok(()));
        assert_eq!(Reach::Own.check(4, &[1, 3], 2, "it"), Ok(()));
        let text = Reach::All.check(4, &[0, 1, 3], 2, "a deviation").unwrap_err();
        assert_eq!(text, "a deviation needs the updates of at least 2 benign clients; there are 1 (n = 4, f = 3)");
        let text = Reach::Own.check(4, &[], 1, "a mean").unwrap_err();
        assert_eq!(text, "a mean needs the updates of at least 1 malicious client; there are 0 (n = 4, f = 0)");
    }
}
