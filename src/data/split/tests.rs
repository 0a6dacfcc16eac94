use super::*;
use crate::data::builtin;

fn labels() -> Vec<u32> {
    (0..100).map(|i| u32::from(i % 5 == 0)).chain([2]).collect()
}

fn whole(split: &Split, n: u32) {
    let mut all = [&split.train[..], &split.held_out, &split.apart].concat();
    all.sort_unstable();
    assert_eq!(all, (0..n).collect::<Vec<_>>());
    assert!([&split.train, &split.held_out, &split.apart].iter().all(|part| part.is_sorted()));
}

fn count(of: &[u32], labels: &[u32], class: u32) -> usize {
    of.iter().filter(|&&i| labels[i as usize] == class).count()
}

#[test]
fn stratified_cover() {
    let labels = labels();
    let split = holdout(&labels, Groups::None, 0.25, 7).unwrap();
    let of = |class| count(&split.held_out, &labels, class);
    assert_eq!([of(0), of(1), of(2)], [20, 5, 0], "a class of one image stays in training");
    whole(&split, 101);
}

/// Exactly the share of all, of each class its own share within one image, and never all of a class.
#[test]
fn sums_are_exact_and_classes_have_their_shares() {
    let mut rng = SplitMix64::new(3, 1, 4);
    for case in 0..400u64 {
        let classes = 1 + rng.below(8) as usize;
        let most = [3, 12, 200][rng.below(3) as usize];
        let counts: Vec<usize> = (0..classes).map(|_| 1 + rng.below(most) as usize).collect();
        let labels: Vec<u32> = (0..).zip(&counts).flat_map(|(class, n)| vec![class; *n]).collect();
        let fraction = [0.01, 0.1, 0.25, 0.5, 0.9, 0.99][rng.below(6) as usize];
        let split = holdout(&labels, Groups::None, fraction, case).unwrap();
        whole(&split, labels.len() as u32);
        assert!(split.apart.is_empty());
        let each: usize = counts.iter().map(|n| n - 1).sum();
        let wanted = (fraction * labels.len() as f64).round() as usize;
        let singles = counts.iter().filter(|n| **n == 1).count();
        let pooled = each < wanted;
        let can = each + if pooled { singles.saturating_sub(1) } else { 0 };
        assert_eq!(split.held_out.len(), wanted.min(can), "{counts:?} {fraction}");
        for (class, n) in counts.iter().enumerate().filter(|(_, n)| **n > 1 || !pooled) {
            let held = count(&split.held_out, &labels, class as u32);
            let quota = wanted as f64 * *n as f64 / labels.len() as f64;
            assert!(held < *n && held >= (quota.floor() as usize).min(n - 1), "{counts:?} {fraction} {class}: {held}");
        }
    }
}

#[test]
fn small_classes_together_hold_out_their_share() {
    let labels: Vec<u32> = (0..40).map(|i| i / 4).collect();
    let held = |seed| holdout(&labels, Groups::None, 0.1, seed).unwrap().held_out;
    assert!((0..20).all(|seed| held(seed).len() == 4), "ten classes of four images");
    let classes: std::collections::BTreeSet<u32> = (0..20).flat_map(held).map(|i| labels[i as usize]).collect();
    assert_eq!(classes.len(), 10, "their classes are random");
}

#[test]
fn classes_of_one_image_hold_out_their_share_together() {
    let labels: Vec<u32> = (0..60).collect();
    let held = |groups, seed| holdout(&labels, groups, 0.1, seed).unwrap().held_out;
    let clients: Vec<u32> = (0..60).map(|i| i / 20).collect();
    for seed in 0..20 {
        assert_eq!(held(Groups::None, seed).len(), 6);
        let held = held(Groups::Clients(&clients), seed);
        assert!((0..3).all(|client| count(&held, &clients, client) == 2), "{held:?}");
    }
    let all: std::collections::BTreeSet<u32> = (0..40).flat_map(|seed| held(Groups::None, seed)).collect();
    assert!(all.len() > 50, "the images are random: {}", all.len());
    // A class that other classes can replace keeps its only image.
    let labels: Vec<u32> = [0].into_iter().chain([1]).chain([2; 40]).collect();
    assert!((0..50).all(|seed| holdout(&labels, Groups::None, 0.3, seed).unwrap().held_out.iter().all(|i| *i > 1)));
}

#[test]
fn clients_hold_out_their_own_share_and_keep_images() {
    let mut rng = SplitMix64::new(9, 2, 6);
    for case in 0..300u64 {
        let counts: Vec<usize> = (0..1 + rng.below(7)).map(|_| 1 + rng.below(40) as usize).collect();
        let clients: Vec<u32> = (0..).zip(&counts).flat_map(|(client, n)| vec![client; *n]).collect();
        let classes = 1 + rng.below(4);
        let labels: Vec<u32> = clients.iter().map(|_| rng.below(classes) as u32).collect();
        let fraction = [0.05, 0.1, 0.3, 0.5, 0.9][rng.below(5) as usize];
        let split = holdout(&labels, Groups::Clients(&clients), fraction, case).unwrap();
        whole(&split, labels.len() as u32);
        let wanted = (fraction * labels.len() as f64).round() as usize;
        for (client, n) in counts.iter().enumerate() {
            let held = count(&split.held_out, &clients, client as u32);
            let quota = wanted as f64 * *n as f64 / labels.len() as f64;
            assert!(held < *n && held as f64 <= quota.floor() + 1.0 + wanted as f64 * 0.2, "{counts:?}: {held} of {n}");
        }
        let trained: std::collections::BTreeSet<u32> = split.train.iter().map(|i| labels[*i as usize]).collect();
        let all: std::collections::BTreeSet<u32> = labels.iter().copied().collect();
        let single = |label: &u32| count(&(0..labels.len() as u32).collect::<Vec<_>>(), &labels, *label) == 1;
        let lost: Vec<&u32> = all.difference(&trained).collect();
        assert!(lost.is_empty() || wanted > labels.len() - all.len() && lost.iter().all(|l| single(l)), "{lost:?}");
        if classes == 1 {
            let can: usize = counts.iter().map(|n| n - 1).sum();
            assert_eq!(split.held_out.len(), wanted.min(can), "{counts:?} {fraction}");
        }
    }
    // A hospital with one image among larger ones keeps it.
    let clients: Vec<u32> = [0; 50].into_iter().chain([1]).chain([2; 50]).collect();
    for seed in 0..50 {
        let split = holdout(&[0; 101], Groups::Clients(&clients), 0.5, seed).unwrap();
        assert!(split.train.contains(&50) && (50..=51).contains(&split.held_out.len()));
    }
}

/// Mean squared distance of each held-out image to the nearest training image, in pixels in [0, 1].
fn nearest(set: &crate::data::Dataset, split: &Split) -> f64 {
    let distance = |a: u32, b: u32| {
        let pairs = set.image(a as usize).iter().zip(set.image(b as usize));
        let sum: f64 = pairs.map(|(x, y)| ((f64::from(*x) - f64::from(*y)) / 255.0).powi(2)).sum();
        sum / set.image_bytes() as f64
    };
    let least = |i: &u32| split.train.iter().map(|j| distance(*i, *j)).fold(f64::INFINITY, f64::min);
    split.held_out.iter().map(least).sum::<f64>() / split.held_out.len() as f64
}

#[test]
fn blocks_of_series_are_held_out_and_their_neighbours_excluded() {
    let (set, series) = (builtin(32, 1).unwrap(), super::super::builtin::series());
    assert_eq!(series.len(), set.len());
    for seed in 1..=20 {
        let split = holdout(&set.labels, Groups::Series(&series), 0.1, seed).unwrap();
        whole(&split, 705);
        // 70.5 rounds to 71 of 548, 48 and 109.
        let held = |class| count(&split.held_out, &set.labels, class);
        assert_eq!([held(0), held(1), held(2)], [55, 5, 11]);
        assert!(split.apart.len() <= 46, "{}", split.apart.len());
        for i in 0..704u32 {
            let (a, b) = (split.held_out.contains(&i), split.held_out.contains(&(i + 1)));
            let trained = |i: u32| split.train.contains(&i);
            let neighbours = series[i as usize] == series[i as usize + 1];
            assert!(!neighbours || !(a && trained(i + 1) || b && trained(i)), "{i} is next to a training slice");
        }
        // One block per series.
        let starts = split.held_out.iter().filter(|i| {
            **i == 0 || series[**i as usize] != series[**i as usize - 1] || !split.held_out.contains(&(**i - 1))
        });
        assert_eq!(starts.count(), 7);
    }
    let blocks = holdout(&set.labels, Groups::Series(&series), 0.1, 1).unwrap();
    let single = holdout(&set.labels, Groups::None, 0.1, 1).unwrap();
    let (blocks, single) = (nearest(&set, &blocks), nearest(&set, &single));
    println!("nearest trained image: {single:.5} where images are drawn, {blocks:.5} where blocks are");
    assert!(blocks > 3.0 * single, "{blocks} {single}");
}

#[test]
fn blocks_of_any_share_leave_training_images() {
    let series = super::super::builtin::series();
    let labels = builtin(16, 1).unwrap().labels;
    for fraction in [0.001, 0.01, 0.3, 0.5, 0.9, 0.99, 0.9999] {
        let split = holdout(&labels, Groups::Series(&series), fraction, 1).unwrap();
        whole(&split, 705);
        let wanted = (fraction * 705.0).round() as usize;
        assert_eq!(split.held_out.len(), wanted.min(702), "{fraction}");
        assert!((0..3).all(|class| count(&split.train, &labels, class) > 0), "{fraction}");
    }
}

#[test]
fn seed_decides() {
    let labels = labels();
    let (clients, series): (Vec<u32>, Vec<u32>) = (0..101).map(|i| (i % 3, i / 20)).unzip();
    for groups in [Groups::None, Groups::Clients(&clients), Groups::Series(&series)] {
        let drawn = |seed| holdout(&labels, groups, 0.25, seed).unwrap();
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
    }
}

#[test]
fn fraction_is_checked() {
    assert!(holdout(&labels(), Groups::None, 0.0, 1).unwrap().held_out.is_empty());
    for bad in [1.0, -0.1, f64::NAN] {
        assert_eq!(holdout(&labels(), Groups::None, bad, 1).unwrap_err().exit_code(), 2);
    }
}

/// Patients with 1 to 40 images in several classes, at clients or not.
#[test]
fn patients_are_held_out_as_a_whole() {
    let mut rng = SplitMix64::new(5, 1, 4);
    for case in 0..300u64 {
        let count = 2 + rng.below(60) as u32;
        let sites = 1 + rng.below(4) as u32;
        let (mut labels, mut patients, mut clients) = (Vec::new(), Vec::new(), Vec::new());
        for patient in 0..count {
            let class = rng.below(3) as u32;
            for _ in 0..1 + rng.below(40) {
                labels.push(if rng.below(10) == 0 { rng.below(3) as u32 } else { class });
                patients.push(patient);
                clients.push(patient % sites);
            }
        }
        let fraction = [0.01, 0.1, 0.3, 0.6][rng.below(4) as usize];
        let by_site = (case % 2 == 0).then_some(&clients[..]);
        let split = holdout(&labels, Groups::Patients(&patients, by_site), fraction, case).unwrap();
        whole(&split, labels.len() as u32);
        let of =
            |images: &[u32]| images.iter().map(|i| patients[*i as usize]).collect::<std::collections::BTreeSet<_>>();
        let (train, held) = (of(&split.train), of(&split.held_out));
        assert!(train.is_disjoint(&held), "a patient on both sides");
        let site = |patients: &std::collections::BTreeSet<u32>| {
            patients.iter().map(|p| p % sites).collect::<std::collections::BTreeSet<_>>()
        };
        assert!(by_site.is_none() || site(&train).len() as u32 == sites.min(count), "a client without images");
        let wanted = (fraction * labels.len() as f64).round() as i64;
        let possible = by_site.is_none() || count >= 10 * sites;
        if possible && count > 10 {
            let off = (split.held_out.len() as i64 - wanted).abs();
            assert!(off <= 40, "{} of {} held out, {wanted} wanted", split.held_out.len(), labels.len());
            assert!(wanted == 0 || !split.held_out.is_empty());
        }
        assert_eq!(split, holdout(&labels, Groups::Patients(&patients, by_site), fraction, case).unwrap());
    }
}

#[test]
fn few_or_large_patients_still_hold_out_one() {
    let patients: Vec<u32> = (0..300).map(|i| i / 100).collect();
    let split = holdout(&[0; 300], Groups::Patients(&patients, None), 0.1, 1).unwrap();
    assert_eq!(split.held_out.len(), 100, "the nearest to 30 would be none");
    let one = holdout(&[0; 300], Groups::Patients(&[0; 300], None), 0.1, 1).unwrap();
    assert!(one.held_out.is_empty(), "a single patient is trained on");
    let own: Vec<u32> = (0..300).map(|i| i % 3).collect();
    let each = holdout(&[0; 300], Groups::Patients(&own, Some(&own)), 0.1, 1).unwrap();
    assert!(each.held_out.is_empty(), "each client keeps its only patient");
    let classes: Vec<u32> = (0..20).collect();
    let rare = holdout(&classes, Groups::Patients(&classes, None), 0.2, 1).unwrap();
    assert_eq!(rare.held_out.len(), 4, "classes of one patient count as one");
}
