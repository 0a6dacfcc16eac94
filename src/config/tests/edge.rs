//! The ends of every key's range, checked through a whole experiment.

use crate::config::keys::{Bound, DefaultValue, Key, ValueKind, all};
use crate::config::*;

/// A value within the range.
pub(crate) fn sample(kind: ValueKind) -> Value {
    let text = |text: &str| Value::String(text.into());
    let real = || [0.5, 1.5].map(Value::Float).into_iter().find(|value| kind.check(value).is_ok());
    match kind {
        ValueKind::Int(least, _) => Value::Integer(least),
        ValueKind::OneOf(values) => Value::Integer(values[0]),
        ValueKind::Real(..) => real().expect("a number of 0.5 and 1.5"),
        ValueKind::Flag => Value::Boolean(true),
        ValueKind::Text(..) => text("x"),
        ValueKind::Choice(names) => text(names[names.len() - 1]),
        ValueKind::Choices(names) => Value::Array(vec![text(names[0])]),
        ValueKind::Clients => Value::Array(vec![Value::Integer(0)]),
        ValueKind::Window => text("auto"),
        ValueKind::Range => Value::Array([0.0, 1.0].map(Value::Float).to_vec()),
        ValueKind::Channels(_) => Value::Array(vec![Value::Float(0.5)]),
    }
}

/// The other keys that a key needs: its tag, the keys that the tag requires, and values of related keys.
fn context(key: &Key) -> Vec<String> {
    let beside = [
        ("detection.", "detection.warmup=1"),
        ("train.lambda", "train.loss=wgan-gp"),
        ("train.n_critic", "train.loss=wgan-gp"),
        ("data.seed", "data.n=160"),
        ("evaluation.extractor", "evaluation.extractor=x.onnx"),
        ("evaluation.extractor", "evaluation.extractor_range=[0.0, 1.0]"),
    ];
    let tag = key.of.map(|of| (of.tag, of.names[0]));
    let siblings = all().filter(|other| {
        let same = other.of.is_some_and(|of| Some(of.tag) == tag.map(|tag| tag.0)) && other.path != key.path;
        same && other.fits(tag.map(|tag| tag.1)) && matches!(other.default, DefaultValue::Required)
    });
    let required = siblings.map(|other| format!("{}={}", other.path, sample(other.kind)));
    let beside = beside.into_iter().filter(|(start, set)| {
        let other = !set.starts_with(&format!("{}=", key.path));
        other && key.path.starts_with(start) && (key.of.is_some() || !start.ends_with('.'))
    });
    tag.map(|(tag, name)| format!("{tag}={name}"))
        .into_iter()
        .chain(required)
        .chain(beside.map(|(_, set)| set.to_string()))
        .collect()
}

/// The default experiment with a key set, and the keys that it needs.
pub(crate) fn load_with(key: &Key, value: &str) -> Result<Plan> {
    let own = format!("{}={value}", key.path);
    load(None, &Overrides { set: context(key).into_iter().chain([own]).collect(), ..Overrides::default() })
}

/// The keys with whole numbers.
pub(crate) fn integers() -> impl Iterator<Item = &'static Key> {
    all().filter(|key| matches!(key.kind, ValueKind::Int(..) | ValueKind::OneOf(_)))
}

/// Values just inside the range at each of its ends, and just outside.
fn ends(kind: ValueKind) -> (Vec<String>, Vec<String>) {
    let text = |values: &[f64]| values.iter().map(|v| format!("{v:?}")).collect();
    match kind {
        ValueKind::Int(least, most) => {
            let outside = [Some(least - 1), most.checked_add(1)].into_iter().flatten();
            (vec![least.to_string(), most.to_string()], outside.map(|v| v.to_string()).collect())
        }
        ValueKind::OneOf(values) => {
            let outside = values.iter().flat_map(|v| [v - 1, v + 1]).filter(|v| !values.contains(v));
            (values.iter().map(i64::to_string).collect(), outside.map(|v| v.to_string()).collect())
        }
        ValueKind::Real(low, high) => {
            let (mut inside, mut outside) = (Vec::new(), Vec::new());
            for (bound, inward) in [(low, 1.0), (high, -1.0)] {
                match bound {
                    Bound::Free => outside.push(inward * f64::NEG_INFINITY),
                    Bound::Open(end) => {
                        inside.push(step(end, inward));
                        outside.push(end);
                    }
                    Bound::Closed(end) => {
                        inside.push(end);
                        outside.push(step(end, -inward));
                    }
                }
            }
            (text(&inside), text(&outside))
        }
        _ => (Vec::new(), Vec::new()),
    }
}

/// The next normal number of f32 in a direction.
fn step(value: f64, direction: f64) -> f64 {
    let value = value as f32;
    f64::from(match (value == 0.0, direction > 0.0) {
        (true, _) => direction as f32 * f32::MIN_POSITIVE,
        (false, true) => value.next_up(),
        (false, false) => value.next_down(),
    })
}

#[test]
fn every_range_takes_its_ends_and_refuses_what_lies_just_outside() {
    let (mut taken, mut refused, mut by_others) = (0, 0, Vec::new());
    for key in all() {
        let (inside, outside) = ends(key.kind);
        for value in inside {
            match load_with(key, &value) {
                Ok(_) => taken += 1,
                Err(error) => {
                    let text = error.to_string();
                    assert!(!text.contains(&key.kind.allowed()), "{text}");
                    by_others.push(format!("{}={value}", key.path));
                }
            }
        }
        for value in outside {
            let error = load_with(key, &value).expect_err(&format!("{}={value}", key.path));
            let text = error.to_string();
            let (start, end) = (format!("{} = ", key.path), format!(": must be {}", key.kind.allowed()));
            assert!(error.exit_code() == 2 && text.contains(&start) && text.contains(&end), "{text}");
            assert!(!text.contains('\n'), "{text}");
            refused += 1;
        }
    }
    assert!(taken > 70 && refused > 80, "{taken} {refused}");
    // At these ends a check other than the key's range rejects the value; options of rules must suit the number of clients.
    let of_rules =
        |end: &String| ["federation.aggregation.", "federation.pre_aggregation."].iter().any(|t| end.starts_with(t));
    let (rules, by_others): (Vec<String>, Vec<String>) = by_others.into_iter().partition(of_rules);
    assert!(rules.len() > 10 && rules.iter().all(|end| end.ends_with("=4294967295")), "{rules:?}");
    let expected = [
        "federation.server_images=4294967295",
        "attack.image.side=4294967295",
        "attack.image.margin=4294967295",
        "attack.image.frequency=127.99999237060547",
        "attack.image.parts=64",
        "attack.image.length=256",
        "attack.image.thickness=256",
        "attack.image.gap=256",
        "attack.image.margin=4294967295",
        "detection.warmup=4294967295",
    ];
    assert_eq!(by_others, expected);
}

#[test]
fn every_real_key_takes_only_what_f32_holds() {
    let reals = || all().filter(|key| matches!(key.kind, ValueKind::Real(..)));
    assert!(reals().count() >= 15);
    for key in reals() {
        let path = key.path;
        let refused =
            ["1e-46", "-1e-46", "1e-39", "1e-50", "5e-324", "1e39", "1e300", "-1e39", "inf", "-inf", "nan", "-1.0"];
        for value in refused {
            let error = load_with(key, value).expect_err(&format!("{path}={value}"));
            assert_eq!(error.exit_code(), 2);
            let text = error.to_string();
            assert!(text.contains(&format!("{path} = ")) && !text.contains('\n'), "{path}={value}: {text}");
        }
        // At least one value in its range is accepted.
        let taken = ["0.5", "1.5"].iter().filter(|value| load_with(key, value).is_ok()).count();
        assert!(taken > 0, "{path}");
        // Accepted values stay in range in f32: none rounds to an open end.
        let near_one = load_with(key, "0.99999999999");
        if load_with(key, "1.0").is_err() {
            assert!(near_one.is_err(), "{path}: 1 is refused, and what f32 rounds to it is not");
        }
        if load_with(key, "0").is_err() {
            assert!(load_with(key, "1e-45").is_err(), "{path}");
        }
    }
}

#[test]
fn every_integer_key_at_its_edges_is_read_or_refused_in_one_message() {
    let edges = ["-1", "0", "1", "2147483647", "2147483648", "4294967295", "4294967296", "9223372036854775807"];
    for key in integers().chain(all().filter(|key| matches!(key.kind, ValueKind::Clients))) {
        let path = key.path;
        for value in edges {
            if let Err(error) = load_with(key, value) {
                assert_eq!(error.exit_code(), 2, "{path}={value}: {error}");
            }
        }
        let beyond = load_with(key, "9223372036854775808").expect_err(path);
        assert_eq!(beyond.exit_code(), 2);
    }
    for seed in [u64::MAX, 1 << 63] {
        let error = load(None, &Overrides { seed: Some(seed), ..Overrides::default() }).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("--seed "), "{error}");
    }
}

#[test]
fn windows_and_axes_are_checked() {
    let of = |data: &str| {
        let set = vec![format!("data={{ kind = \"npz\", path = \"x\", {data} }}")];
        load(None, &Overrides { set, ..Overrides::default() }).map_err(|e| e.to_string())
    };
    for good in ["window = \"auto\"", "window = [0, 4095]", "window = [-1000.5, 400], axis = 2"] {
        let plan = of(good).unwrap_or_else(|e| panic!("{good}: {e}"));
        let text = toml::to_string(&plan.to_config()).unwrap();
        assert_eq!(Draft::parse("again".into(), &text).unwrap().plan().unwrap(), plan, "{good}");
    }
    for (bad, needle) in [
        ("window = [4095, 0]", "low below high"),
        ("window = [1, 1]", "low below high"),
        ("window = [nan, 1]", "finite"),
        ("window = [0, inf]", "finite"),
        ("window = \"full\"", "\"auto\" or a list of two numbers"),
        ("window = [1]", "\"auto\" or a list of two numbers"),
        ("window = [1, \"x\"]", "\"auto\" or a list of two numbers"),
        ("axis = 0", "from 1 to 3"),
        ("axis = 4", "from 1 to 3"),
    ] {
        let text = of(bad).unwrap_err();
        assert!(text.contains(needle), "{bad}: {text}");
    }
}
