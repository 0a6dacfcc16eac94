use super::*;
use crate::fed::attack::OnImages;
use crate::kernels::rng::{HostRng, Stream};

fn noise(n: usize, client: u32) -> ImageSet {
    let mut rng = HostRng::new(8, Stream::CHECK, client, 0);
    ImageSet::new((0..n * 256).map(|_| rng.range(-1.0, 1.0) as f32).collect(), 16, 1)
}

fn names(values: &[Value]) -> Vec<&str> {
    values.iter().map(|v| v.name.as_str()).collect()
}

#[test]
fn names_say_what_a_value_must_be_read_with() {
    let metrics = [Metric::Fd, Metric::Kid, Metric::SlicedWasserstein, Metric::MsSsim];
    let evaluator = Evaluator::new(&metrics, noise(6, 0), None, 1, 4, None).unwrap();
    assert_eq!(
        names(&evaluator.values(&noise(4, 1)).unwrap()),
        [
            "sliced_wasserstein_px16_n4_r6",
            "half_sliced_wasserstein_px16_n3_r3",
            "kid_lite0_px16_catmullrom224_n4_r6",
            "half_kid_lite0_px16_catmullrom224_n3_r3",
            "fd_lite0_px16_catmullrom224_biased_n4_r6",
            "half_fd_lite0_px16_catmullrom224_biased_n3_r3",
            "ms_ssim_px16_scales1_pairs500_n4"
        ]
    );
    assert_eq!(
        names(evaluator.floors()),
        [
            "floor_sliced_wasserstein_px16_n3_r3",
            "floor_kid_lite0_px16_catmullrom224_n3_r3",
            "floor_fd_lite0_px16_catmullrom224_biased_n3_r3",
            "floor_ms_ssim_px16_scales1_pairs500_n6"
        ]
    );
}

#[test]
fn sets_that_are_too_small_are_refused() {
    let refusal = Evaluator::new(&[Metric::Prdc], noise(5, 0), None, 1, 9, None).unwrap_err();
    assert!(refusal.to_string().contains("prdc: 5 reference images, at least 6"), "{refusal}");
    let refusal = Evaluator::new(&[Metric::Leakage], noise(5, 0), None, 1, 9, None).unwrap_err();
    assert_eq!(refusal.exit_code(), 2);
    assert!(Metric::ALL.iter().zip(Metric::NAMES).all(|(m, name)| m.name() == name));
    let json = serde_json::to_string(&Metric::ALL).unwrap();
    assert_eq!(json, format!("{:?}", Metric::NAMES).replace(", ", ","));
}

/// Every floor of a distance has a counterpart value with the same numbers of images, whether there are more real or
/// more generated images.
#[test]
fn every_floor_has_a_twin_at_equal_numbers() {
    let metrics = [Metric::SlicedWasserstein, Metric::Kid, Metric::Fd, Metric::Prdc];
    for (real, fake, half) in [(14, 7, 7), (12, 20, 6), (20, 6, 6)] {
        let evaluator = Evaluator::new(&metrics, noise(real, 0), None, 1, fake, None).unwrap();
        let values = evaluator.values(&noise(fake, 1)).unwrap();
        assert_eq!(evaluator.floors().len(), 7);
        for floor in evaluator.floors() {
            let twin = floor.name.replace("floor_", "half_");
            assert!(names(&values).contains(&twin.as_str()), "{twin} in {:?}", names(&values));
            assert_eq!([floor.images, floor.references], [half, half]);
        }
    }
}

/// Two kinds of images, sorted by kind as in class folders, in three orders: equal values to the bit.
#[test]
fn no_order_of_the_images_changes_a_bit() {
    let metrics = [Metric::SlicedWasserstein, Metric::Kid, Metric::Fd, Metric::Prdc, Metric::MsSsim];
    let bright = |set: ImageSet| ImageSet::new(set.pixels.iter().map(|v| v * 0.2 + 0.7).collect(), 16, 1);
    let fake = ImageSet::new([noise(10, 1).pixels, bright(noise(10, 2)).pixels].concat(), 16, 1);
    let real = noise(16, 0);
    let all = |order: &dyn Fn(usize, usize) -> usize, seed| {
        let pick = |set: &ImageSet| set.pick(&(0..set.len()).map(|i| order(i, set.len())).collect::<Vec<_>>());
        let evaluator = Evaluator::new(&metrics, pick(&real), None, seed, fake.len(), None).unwrap();
        [evaluator.values(&pick(&fake)).unwrap(), evaluator.floors().to_vec()]
    };
    let sorted = all(&|i, _| i, 1);
    assert_eq!(all(&|i, n| n - 1 - i, 1), sorted);
    assert_eq!(all(&|i, n| (7 * i + 3) % (n + usize::from(n % 7 == 0)), 1), sorted);
    let other = all(&|i, _| i, 2);
    let half = |values: &[Value]| values.iter().find(|v| v.name.starts_with("half_fd")).map(|v| v.value);
    assert_ne!(half(&other[0]), half(&sorted[0]), "the seed draws the halves");
}

fn trigger() -> Attack {
    Attack::checker(vec![0])
}

/// A generator of NaN does not count as perfect, whatever share of its values is NaN.
#[test]
fn metrics_of_non_finite_images_are_non_finite() {
    let (real, clean) = (noise(14, 0), noise(30, 2));
    let evaluator = Evaluator::new(&Metric::ALL, real, Some((&trigger(), &clean)), 1, 12, None).unwrap();
    let finite = evaluator.values(&noise(12, 1)).unwrap();
    assert!(finite.iter().all(|v| v.value.is_finite()), "{finite:?}");
    for (bad, count) in [(f32::NAN, 1), (f32::INFINITY, 1), (f32::NEG_INFINITY, 40), (f32::NAN, 12 * 256)] {
        let mut images = noise(12, 1);
        images.pixels.iter_mut().rev().take(count).for_each(|v| *v = bad);
        let values = evaluator.values(&images).unwrap();
        assert_eq!(names(&values), names(&finite), "the same columns");
        for value in values {
            assert!(value.value.is_nan() && value.std.is_none_or(f64::is_nan), "{value:?}");
            assert!(
                value.note.as_ref().is_some_and(|n| n.contains("of 12 generated images are not finite")),
                "{value:?}"
            );
            assert!(serde_json::to_string(&value).unwrap().contains("\"value\":null"));
        }
    }
}

/// Batch sizes do not matter, and the number of images is checked.
#[test]
fn images_come_in_any_batches() {
    let evaluator = Evaluator::new(&[Metric::Fd, Metric::SlicedWasserstein], noise(8, 0), None, 1, 9, None).unwrap();
    let images = noise(9, 1);
    let whole = evaluator.values(&images).unwrap();
    for size in [1, 4, 9] {
        let mut gathering = evaluator.gather(9).unwrap();
        images.batches(size).for_each(|batch| gathering.add(&batch).unwrap());
        assert_eq!(gathering.values().unwrap(), whole, "{size}");
    }
    assert!(evaluator.gather(10).unwrap().values().is_err());
}

#[test]
fn memory_is_bounded_by_features_and_patches() {
    // 65536 images of 256 x 256 x 3 would take 51.5 GB uncompressed.
    let all = host_bytes(&Metric::ALL, [65536, 1000, 0], (256, 3), 1280);
    assert!(all < 3 << 30, "{} MiB", all >> 20);
    assert!(all > 8 * 65536 * 1280);
    // The search keeps no generated image, and copies real ones.
    let images = |n: u64| n * 256 * 256 * 3 * 4;
    assert_eq!(host_bytes(&[Metric::Leakage], [65536, 1000, 0], (256, 3), 1280), images(1000));
    assert_eq!(host_bytes(&[Metric::Leakage], [65536, 1000, 3000], (256, 3), 1280), images(3000));
}

/// A trigger of opacity 0 is none: the metric says so and has no value.
#[test]
fn nothing_to_search_for_is_told() {
    let (real, clean) = (noise(14, 0), noise(30, 2));
    let mut attack = trigger();
    let OnImages::Patch(patch) = &mut attack.image else { panic!("no patch") };
    patch.opacity = 0.0;
    let evaluator = Evaluator::new(&[Metric::Leakage], real, Some((&attack, &clean)), 1, 12, None).unwrap();
    let values = evaluator.values(&noise(12, 1)).unwrap();
    assert_eq!(names(&values), ["leakage_n12"]);
    assert!(values[0].value.is_nan() && values[0].note.as_ref().unwrap().contains("nothing to search for"));
    assert!(evaluator.floors().is_empty());
    assert_eq!(evaluator.warnings().len(), 1);
    let sound = Evaluator::new(&[Metric::Leakage], noise(14, 0), Some((&trigger(), &clean)), 1, 12, None).unwrap();
    assert!(sound.warnings().is_empty());
}
