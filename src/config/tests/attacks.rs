//! The keys of attacks.

use super::*;
use crate::fed::attack::image::Warp;

#[test]
fn former_keys_of_the_trigger_are_those_of_a_patch() {
    let former = "[attack]\nmalicious = 1\ntrigger = { pattern = \"cross\" }\nside = 3\nmargin = 2\nplace = \"centre\"\n\
                  opacity = 0.5\nrange = \"published\"\n";
    let now = "[attack]\nmalicious = 1\nimage = { kind = \"patch\", pattern = \"cross\", side = 3, margin = 2, \
               place = \"centre\", opacity = 0.5, range = \"published\" }\n";
    let plan = load_text(former, &[]).unwrap();
    assert_eq!(plan, load_text(now, &[]).unwrap());
    let [note] = &plan.notes.0[..] else { panic!("{:?}", plan.notes) };
    assert!(note.contains("`attack.side` is now `attack.image.side`"), "{note}");
    assert!(note.ends_with("the former names are still accepted"), "{note}");
    assert!(load_text(now, &[]).unwrap().notes.0.is_empty());
    let set = ["attack.malicious=1", "attack.trigger={ pattern = \"cross\" }", "attack.side=3", "attack.margin=2"];
    let rest = ["attack.place=centre", "attack.opacity=0.5", "attack.range=published"];
    assert_eq!(load_text("", &[&set[..], &rest].concat()).unwrap(), plan);
    // Another kind replaces the whole table, and a table without a kind is a patch's.
    let other = load_text(former, &["attack.image=warp", "seed=7"]).unwrap();
    let warp = Warp { strength: 0.5, grid: 4, seed: 0 };
    assert_eq!(other.attack.image, OnImages::Warp(warp));
    let plain = load_text("", &["attack.image={ side = 3 }"]).unwrap();
    assert_eq!(plain.attack.image, OnImages::Patch(Patch { side: Some(3), ..Patch::checker() }));
    let sig = refusal(now, &["attack.image.kind=sig"]);
    assert!(sig.contains("attack.image.place: attack.image.kind = \"sig\" has no such option"), "{sig}");
}

#[test]
fn options_of_attacks_on_images_are_checked() {
    for (set, expected) in [
        ("attack.image={ kind = \"sig\", frequency = 16 }", "attack.image.frequency = 16: must be below 16"),
        ("attack.image={ kind = \"sig\", amplitude = 0 }", "attack.image.amplitude = 0: must be a number in (0, 2]"),
        ("attack.image={ kind = \"blend\", alpha = 1.5 }", "attack.image.alpha = 1.5: must be a number in [0, 1]"),
        ("attack.image={ kind = \"warp\", grid = 1 }", "attack.image.grid = 1: must be a whole number from 2 to 64"),
        ("attack.image={ kind = \"fiba\", beta = 0.6 }", "attack.image.beta = 0.6: must be a number in [0, 0.5]"),
        (
            "attack.image={ kind = \"dba\", length = 16 }",
            "attack.image.length = 16 with 4 parts, 5 x 35 pixels together, with attack.image.margin = 1: must be such that",
        ),
        ("attack.image=smile", "attack.image.kind = \"smile\": must be one of \"patch\", \"blend\""),
    ] {
        let message = refusal("", &[set]);
        assert!(message.contains(expected), "{set}: {message}");
    }
    let plan = load_text("", &["attack.malicious=2", "attack.image=dba"]).unwrap();
    assert_eq!(plan.notes.0.len(), 1);
    let note = &plan.notes.0[0];
    assert!(
        note.contains("4 parts of 6 pixels, 24 of 1024") && note.contains("parts 0 to 1, no client pastes the other 2"),
        "{note}"
    );
}

#[test]
fn no_trigger_is_made_of_rejected_values() {
    for (image, key, value) in [
        ("fiba", "model.channels", "4"),
        ("fiba", "model.channels", "4294967295"),
        ("{ kind = \"warp\", grid = 0 }", "attack.image.grid", "0"),
        ("{ kind = \"warp\", grid = 4294967295 }", "attack.image.grid", "4294967295"),
        ("{ kind = \"dba\", parts = 1, gap = 4294967295 }", "attack.image.gap", "4294967295"),
        ("{ kind = \"blend\", alpha = 0.2 }", "model.image_size", "65536"),
    ] {
        let image = format!("attack.image={image}");
        let mut set = vec!["attack.malicious=1".to_string(), image, "attack.start_round=1000".into()];
        set.extend(key.starts_with("model.").then(|| format!("{key}={value}")));
        let message = refusal("", &set.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(message.contains(&format!("{key} = {value}: must be")), "{set:?}: {message}");
        assert!(message.contains("attack.start_round = 1000: must be below rounds"), "{set:?}: {message}");
    }
}

#[test]
fn attacks_on_updates_are_refused_with_their_condition_and_the_numbers() {
    for (set, needle) in [
        (&["malicious=1", "update=alie"][..], "\"alie\": the formula gives z = -0.431 with n = 4, f = 1"),
        (
            &["malicious=1", "update={ kind = \"alie\", z = 1, knowledge = \"own\" }"],
            "at least 2 malicious clients; there are 1",
        ),
        (&["malicious=3", "update=min-max"], "at least 2 benign clients; there are 1 (n = 4, f = 3)"),
        (&["malicious=1", "update={ kind = \"min-sum\", knowledge = \"own\" }"], "at least 2 malicious clients"),
        (&["malicious=4", "update=ipm"], "at least 1 benign client; there are 0"),
        (&["malicious=1", "update={ kind = \"mimic\", target = 4 }"], "target = 4: there are clients 0 to 3"),
        (&["malicious=[1]", "update={ kind = \"mimic\", target = 1 }"], "target = 1: is a malicious client"),
        (&["malicious=1", "update=fang-krum"], "needs n > 2f + 2; n = 4, f = 1"),
        (&["malicious=1", "update=gaussian"], "attack.update.sigma: is missing"),
        (&["malicious=1", "update={ kind = \"scale\", factor = 2, knowledge = \"own\" }"], "attack.update.knowledge"),
    ] {
        let set: Vec<String> = set.iter().map(|set| format!("attack.{set}")).collect();
        let text = refusal("", &set.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(text.contains(needle), "{set:?}: {text}");
    }
    // Together with other mistakes, and not where the numbers are unknown.
    let both =
        refusal("", &["attack.malicious=1", "attack.update=alie", "federation.aggregation={ rule = \"krum\", f = 1 }"]);
    assert!(both.contains("alie") && both.contains("krum"), "{both}");
    let unknown = refusal("", &["attack.malicious=9", "attack.update=alie"]);
    assert!(unknown.contains("attack.malicious") && !unknown.contains("alie"), "{unknown}");
    // Attacks on updates need no trigger: no image is poisoned with a share of 0.
    let alone = load_text("", &["attack.malicious=1", "attack.fraction=0", "attack.update=ipm"]).unwrap();
    assert_eq!((alone.attack.fraction, alone.attack.update.name()), (0.0, "ipm"));
    assert!(load_text("", &["attack.update=alie"]).is_ok(), "an honest run may carry it, for sweeps");
}
