//! Numbers that must be read back bit for bit, including NaN: JSON cannot represent them, so they are written as the
//! hexadecimal digits of their bits.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

fn digits(value: &f64) -> String {
    format!("{:016x}", value.to_bits())
}

fn number<E: Error>(text: &str) -> Result<f64, E> {
    let bits = u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16);
    bits.map(f64::from_bits).ok_or_else(|| E::custom(format!("{text:?} is not the 16 hexadecimal digits of an f64")))
}

/// Writes a list.
pub fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(digits))
}

/// Reads a list.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    Vec::<String>::deserialize(deserializer)?.iter().map(|text| number(text)).collect()
}

/// Values that may be absent.
pub mod options {
    use super::{Deserialize, Deserializer, Serialize, Serializer, digits, number};

    /// Writes the values, `null` where one is absent.
    pub fn serialize<S: Serializer, const N: usize>(
        values: &[Option<f64>; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        values.iter().map(|v| v.as_ref().map(digits)).collect::<Vec<_>>().serialize(serializer)
    }

    /// Reads exactly `N` values.
    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(d: D) -> Result<[Option<f64>; N], D::Error> {
        use serde::de::Error;
        let texts = Vec::<Option<String>>::deserialize(d)?;
        let values = texts.iter().map(|t| t.as_deref().map(number).transpose()).collect::<Result<Vec<_>, _>>()?;
        let found = values.len();
        values.try_into().map_err(|_| D::Error::custom(format!("{found} values where {N} are expected")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Both {
        #[serde(with = "super")]
        list: Vec<f64>,
        #[serde(with = "super::options")]
        pair: [Option<f64>; 2],
    }

    #[test]
    fn every_bit_comes_back() {
        let list = vec![0.1, -0.0, f64::INFINITY, f64::from_bits(0x7ff8_dead_beef_0001), 5e-324];
        let text = serde_json::to_string(&Both { list: list.clone(), pair: [None, Some(0.1)] }).unwrap();
        let back: Both = serde_json::from_str(&text).unwrap();
        let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back.list), bits(&list));
        assert_eq!(back.pair, [None, Some(0.1)]);
        for bad in
            [r#"{"list":["1"],"pair":[null,null]}"#, r#"{"list":[],"pair":[null]}"#, r#"{"list":[1.0],"pair":[]}"#]
        {
            assert!(serde_json::from_str::<Both>(bad).is_err(), "{bad}");
        }
    }
}
