//! A share of a sweep's cells, for the job arrays of a scheduler.

use std::str::FromStr;

/// Share `number` of `of`, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number, from 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

impl FromStr for Shard {
    type Err = String;

    /// Reads `I/N`.
    fn from_str(text: &str) -> Result<Shard, String> {
        let parsed = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parsed {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Shard { number, of }),
            _ => Err(format!("`{text}`: expected I/N with I from 1 to N, such as 2/8")),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_counted_from_one() {
        let parse = |text: &str| text.parse::<Shard>();
        assert_eq!(parse("2/8"), Ok(Shard { number: 2, of: 8 }));
        assert_eq!(parse("1/1").unwrap().to_string(), "1/1");
        for wrong in ["0/8", "9/8", "0/0", "3", "/3", "3/", "-1/3", "1/3/5", "a/b", "1.5/3", "1/99999999999"] {
            assert_eq!(parse(wrong).unwrap_err(), format!("`{wrong}`: expected I/N with I from 1 to N, such as 2/8"));
        }
    }
}
