//! Every number of an experiment at its edges, by the table of keys.

use super::keys::{KEYS, Kind};
use super::*;

/// What a key needs beside it to be looked at.
fn context(path: &str) -> Vec<&'static str> {
    let beside: &[(&str, &str)] = &[
        ("detection.", "detection.kind=isolation-forest"),
        ("detection.", "detection.warmup=1"),
        ("federation.partition.", "federation.partition.kind=dirichlet"),
        ("federation.partition.", "federation.partition.alpha=1.0"),
        ("train.lambda", "train.loss=wgan-gp"),
        ("train.n_critic", "train.loss=wgan-gp"),
        ("train.alpha", "train.optimizer=rmsprop"),
        ("data.n", "data.kind=dermoscopy"),
        ("data.seed", "data.kind=dermoscopy"),
        ("data.seed", "data.n=160"),
    ];
    beside.iter().filter(|(start, _)| path.starts_with(start)).map(|(_, set)| *set).collect()
}

/// The default experiment with a key set, and what that key needs.
pub(crate) fn load_with(path: &str, value: &str) -> Result<Plan> {
    let own = format!("{path}={value}");
    let set = context(path).into_iter().filter(|set| !set.starts_with(&format!("{path}="))).map(String::from);
    load(None, &Overrides { set: set.chain([own]).collect(), ..Overrides::default() })
}

/// The paths of keys of a kind.
pub(crate) fn paths(kind: Kind) -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter(move |key| key.kind == kind).map(|key| key.path)
}

#[test]
fn every_real_key_takes_only_what_f32_holds() {
    assert!(paths(Kind::Number).count() >= 15);
    for path in paths(Kind::Number) {
        let refused =
            ["1e-46", "-1e-46", "1e-39", "1e-50", "5e-324", "1e39", "1e300", "-1e39", "inf", "-inf", "nan", "-1.0"];
        for value in refused {
            let error = load_with(path, value).expect_err(&format!("{path}={value}"));
            assert_eq!(error.exit_code(), 2);
            let text = error.to_string();
            assert!(text.contains(&format!("{path} = ")) && !text.contains('\n'), "{path}={value}: {text}");
        }
        // Some value in its range is taken.
        let taken = ["0.5", "1.5"].iter().filter(|value| load_with(path, value).is_ok()).count();
        assert!(taken > 0, "{path}");
        // What is taken keeps its range in f32: an open end is not rounded onto it.
        let near_one = load_with(path, "0.99999999999");
        if load_with(path, "1.0").is_err() {
            assert!(near_one.is_err(), "{path}: 1 is refused, and what f32 rounds to it is not");
        }
        if load_with(path, "0").is_err() {
            assert!(load_with(path, "1e-45").is_err(), "{path}");
        }
    }
}

#[test]
fn every_integer_key_at_its_edges_is_read_or_refused_in_one_message() {
    let edges = ["-1", "0", "1", "2147483647", "2147483648", "4294967295", "4294967296", "9223372036854775807"];
    for path in paths(Kind::Integer).chain(paths(Kind::Long)).chain(paths(Kind::Clients)) {
        for value in edges {
            if let Err(error) = load_with(path, value) {
                assert_eq!(error.exit_code(), 2, "{path}={value}: {error}");
            }
        }
        let beyond = load_with(path, "9223372036854775808").expect_err(path);
        assert_eq!(beyond.exit_code(), 2);
    }
    for seed in [u64::MAX, 1 << 63] {
        let error = load(None, &Overrides { seed: Some(seed), ..Overrides::default() }).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("--seed "), "{error}");
    }
}
