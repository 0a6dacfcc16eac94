use super::*;
use crate::fed::attack::OnImages;
use crate::fed::attack::image::{Patch, Pattern};
use crate::kernels::rng::{HostRng, Stream};

fn on(image: OnImages) -> Attack {
    Attack { image, ..Attack::checker(vec![0]) }
}

fn patch(pattern: Pattern, opacity: f64) -> Attack {
    on(OnImages::Patch(Patch { pattern: Some(pattern), opacity, ..Patch::checker() }))
}

/// Images of a random level with noise; with an attack, every third has the trigger.
fn images(n: usize, channels: usize, client: u32, attack: Option<&Attack>) -> ImageSet {
    let mut rng = HostRng::new(4, Stream::CHECK, client, 0);
    let mut pixels = Vec::new();
    for i in 0..n {
        let level = rng.range(-0.9, -0.6);
        let mut image: Vec<f32> = (0..16 * 16 * channels).map(|_| (level + 0.1 * rng.normal()) as f32).collect();
        if let (Some(attack), 0) = (attack, i % 3) {
            attack.trigger(16, channels as u32).unwrap().paste(&mut image);
        }
        pixels.extend(image);
    }
    ImageSet::new(pixels, 16, channels)
}

#[test]
fn finds_every_pattern_and_stays_quiet_without_one() {
    for (pattern, channels, opacity) in
        [(Pattern::Checker, 1, 1.0), (Pattern::Square, 1, 1.0), (Pattern::Square, 3, 1.0), (Pattern::Checker, 3, 0.5)]
    {
        let patch = patch(pattern, opacity);
        let leakage = Leakage::new(&patch, &images(400, channels, 0, None)).unwrap().unwrap();
        let clean = leakage.share(&images(400, channels, 1, None));
        let found = leakage.share(&images(400, channels, 2, Some(&patch)));
        assert!(clean <= 0.04, "{pattern:?} {channels}: false alarms {clean}, threshold {}", leakage.threshold);
        assert!((found - 1.0 / 3.0).abs() <= 0.06, "{pattern:?} {channels}: found {found}");
    }
}

/// Noise has fine detail everywhere and no structure: every attack is found in it.
#[test]
fn finds_every_kind_of_attack() {
    let kinds = [
        "kind = 'blend'\npattern = 'checker'\nalpha = 0.2",
        "kind = 'sig'\namplitude = 0.16\nfrequency = 6.0",
        "kind = 'warp'\nstrength = 1.0\ngrid = 4\nseed = 3",
        "kind = 'fiba'\npattern = 'checker'\nalpha = 0.15\nbeta = 0.1",
        "kind = 'dba'\npattern = 'square'\nparts = 4\nplace = 'bottom-right'\nopacity = 1.0",
    ];
    // The patch has a test of its own.
    assert_eq!(kinds.len() + 1, OnImages::NAMES.len(), "an attack is missing here");
    for text in kinds {
        let attack = on(toml::from_str(text).unwrap());
        let leakage = Leakage::new(&attack, &images(1600, 1, 0, None)).unwrap().unwrap();
        let others = images(1200, 1, 1, None);
        let (clean, detected) = (leakage.share(&others), leakage.detected(&others));
        let found = leakage.share(&images(300, 1, 2, Some(&attack)));
        assert!(clean <= 0.04, "{text}: false alarms {clean}, threshold {}", leakage.threshold);
        assert!(detected >= 0.8, "{text}: detected {detected}, threshold {}", leakage.threshold);
        assert!((found - 1.0 / 3.0).abs() <= 0.06, "{text}: found {found}");
        assert_eq!(leakage.tag(), format!("_{}", attack.image.name()));
    }
}

#[test]
fn faint_noise_is_no_trigger_and_no_contrast_is_no_search() {
    let black = ImageSet::new(vec![-1.0; 50 * 16 * 16], 16, 1);
    let leakage = Leakage::new(&patch(Pattern::Checker, 1.0), &black).unwrap().unwrap();
    let mut rng = HostRng::new(4, Stream::CHECK, 9, 0);
    let faint = (0..200 * 16 * 16).map(|_| -1.0 + 0.02 * rng.uniform_f32()).collect();
    assert_eq!(leakage.share(&ImageSet::new(faint, 16, 1)), 0.0);
    assert!(Leakage::new(&patch(Pattern::Checker, 0.0), &black).unwrap().is_none());
    let still = on(toml::from_str("kind = 'warp'\nstrength = 0.0\ngrid = 4").unwrap());
    assert!(Leakage::new(&still, &images(40, 1, 0, None)).unwrap().is_none());
    let large = on(OnImages::Patch(Patch { side: Some(20), ..Patch::checker() }));
    let refusal = Leakage::new(&large, &black).unwrap_err();
    assert!(refusal.exit_code() == 2 && refusal.to_string().contains("attack.image.side = 20"), "{refusal}");
    assert_eq!(Leakage::new(&large, &black.pick(&[])).unwrap_err().exit_code(), 2);
}

/// A single client pastes the first bar only, which is what is searched and what counts as detected.
#[test]
fn a_part_that_one_client_pastes_is_found_alone() {
    let text = "kind = 'dba'\npattern = 'square'\nparts = 4\nplace = 'bottom-right'\nthickness = 2\nopacity = 1.0";
    let attack = on(toml::from_str(text).unwrap());
    let leakage = Leakage::new(&attack, &images(1600, 1, 0, None)).unwrap().unwrap();
    let (others, found) = (images(300, 1, 1, None), leakage.share(&images(300, 1, 2, Some(&attack))));
    let (clean, detected) = (leakage.share(&others), leakage.detected(&others));
    assert!(clean <= 0.04 && detected >= 0.8, "{clean} {detected}");
    assert!((found - detected / 3.0).abs() <= 0.06, "found {found}");
    // All bars are another image.
    let all = Attack { malicious: vec![0, 1, 2, 3], ..attack.clone() };
    assert_ne!(images(1, 1, 2, Some(&attack)).pixels, images(1, 1, 2, Some(&all)).pixels);
}
