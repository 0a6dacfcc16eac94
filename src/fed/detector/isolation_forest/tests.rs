use super::*;
use crate::kernels::rng::Stream;

/// Honest clients: small independent noise around a common value.
fn honest(rng: &mut HostRng, n: usize, round: u32) -> Vec<Observation> {
    let course = 2.0 + (f64::from(round) / 9.0).sin();
    let one = |_| Observation {
        loss_g: course * (0.05 * rng.normal()).exp(),
        last_loss_g: course * (0.2 * rng.normal()).exp(),
        update_norm: 0.4 * (0.05 * rng.normal()).exp(),
        update_cosine: 0.5 + 0.03 * rng.normal(),
        probe_deviation: 0.02 * (0.25 * rng.normal()).exp(),
    };
    (0..n).map(one).collect()
}

/// Verdicts of `rounds` rounds; `change` edits the observations of a round.
fn play(rule: IsolationForest, n: usize, rounds: u32, change: impl Fn(u32, &mut [Observation])) -> Vec<Detected> {
    let base = vec![1.0 / n as f64; n];
    let mut state = ForestState::new(rule, n);
    let mut noise = HostRng::new(5, Stream::CHECK, n as u32, 0);
    let detect = |round| {
        let mut observed = honest(&mut noise, n, round);
        change(round, &mut observed);
        let verdict = state.detect(
            round,
            &observed,
            &(0..n).collect::<Vec<_>>(),
            &base,
            &mut HostRng::new(1, Stream::DETECTOR, 0, round),
        );
        assert!((verdict.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        verdict
    };
    (0..rounds).map(detect).collect()
}

fn flags(verdicts: &[Detected], client: usize) -> usize {
    verdicts.iter().filter(|v| v.flagged[client]).count()
}

#[test]
fn independent_noise_flags_nobody() {
    for n in [3, 4, 8, 20] {
        let verdicts = play(IsolationForest::default(), n, 200, |_, _| {});
        assert_eq!((0..n).map(|c| flags(&verdicts, c)).sum::<usize>(), 0, "n = {n}");
        let even = |v: &Detected| v.weights.iter().all(|w| (w * n as f64 - 1.0).abs() < 1e-12);
        assert!(verdicts.iter().all(even));
    }
}

#[test]
fn one_wild_round_flags_nobody() {
    let verdicts = play(IsolationForest::default(), 4, 60, |round, o| {
        if round == 30 {
            o[2].loss_g *= 1.5;
            o[2].probe_deviation *= 9.0;
        }
    });
    assert_eq!(flags(&verdicts, 2), 0);
}

#[test]
fn a_client_that_departs_is_suppressed_after_the_warm_up_and_recovers() {
    for n in [3, 4, 8, 20] {
        let verdicts = play(IsolationForest::default(), n, 90, |round, o| {
            if round < 50 {
                o[1].update_cosine -= 0.3;
                o[1].probe_deviation *= 2.0;
            }
        });
        assert_eq!(flags(&verdicts[..11], 1), 0, "warm-up");
        assert!(verdicts[15].weights[1] < 0.2 / n as f64 && verdicts[49].weights[1] < 0.2 / n as f64, "n = {n}");
        assert!((verdicts[89].weights[1] - 1.0 / n as f64).abs() < 1e-9, "clean again, n = {n}: {:?}", verdicts[89]);
        let others: usize = (0..n).filter(|c| *c != 1).map(|c| flags(&verdicts, c)).sum();
        assert_eq!(others, 0, "n = {n}");
    }
}

#[test]
fn losses_count_only_with_all_features() {
    for (features, caught) in [(Features::All, true), (Features::Server, false)] {
        let rule = IsolationForest { features, margin: 0.25, ..Default::default() };
        let verdicts = play(rule, 4, 80, |_, o| o[3].loss_g *= 2.5);
        assert_eq!(flags(&verdicts, 3) > 20, caught, "{features:?}");
    }
}

#[test]
fn the_harmless_side_never_counts() {
    let verdicts = play(IsolationForest::default(), 4, 60, |_, o| {
        o[0].loss_g /= 3.0;
        o[0].probe_deviation /= 4.0;
        o[0].update_cosine += 0.3;
    });
    assert_eq!(flags(&verdicts, 0), 0);
}

#[test]
fn never_half_of_the_clients() {
    let verdicts = play(IsolationForest::default(), 4, 60, |_, o| {
        o[0].update_cosine -= 0.4;
        o[0].probe_deviation *= 4.0;
        o[1].probe_deviation *= 9.0;
    });
    assert!(verdicts.iter().all(|v| v.flagged.iter().filter(|f| **f).count() <= 1));
}

#[test]
fn an_update_that_is_not_finite_has_no_weight_at_once() {
    let verdicts = play(IsolationForest::default(), 4, 3, |round, o| {
        if round == 1 {
            o.iter_mut().for_each(|o| o.update_cosine = f64::NAN);
            o[0].update_norm = f64::NAN;
            o[0].probe_deviation = f64::NAN;
        }
    });
    assert_eq!((verdicts[1].weights[0], verdicts[2].weights[0]), (0.0, 0.25));
    assert!(verdicts.iter().all(|v| v.scores.iter().all(|s| s.is_finite())));
}

#[test]
fn critic_losses_around_zero_are_no_outliers() {
    let verdicts = play(IsolationForest::default(), 4, 60, |round, o| {
        for (i, o) in o.iter_mut().enumerate() {
            o.loss_g = 0.02 * f64::from((round + i as u32) % 4) - 0.03;
        }
    });
    assert_eq!((0..4).map(|c| flags(&verdicts, c)).sum::<usize>(), 0);
}

#[test]
fn a_flag_that_has_stood_long_outlives_weaker_evidence() {
    let weaker_after = |strong: u32| {
        let verdicts = play(IsolationForest::default(), 4, 120, |round, o| {
            o[1].probe_deviation *= if round < strong { 4.0 } else { 1.5 };
        });
        flags(&verdicts[80..], 1)
    };
    assert!(weaker_after(60) >= 35, "{}", weaker_after(60));
    assert_eq!(weaker_after(10), 0);
}

/// A dropped client is not present: its evidence does not change, and that of the others is the same as without it.
#[test]
fn a_client_that_is_left_out_keeps_its_evidence_and_moves_nobodys() {
    let n = 6;
    let rule = IsolationForest { warmup: 3, features: Features::All, ..Default::default() };
    let play = |left_out: Option<f64>, from: u32| {
        let mut state = ForestState::new(rule.clone(), n);
        let mut noise = HostRng::new(5, Stream::CHECK, n as u32, 0);
        let mut evidence = Vec::new();
        for round in 0..40 {
            let mut observed = honest(&mut noise, n, round);
            observed[2].probe_deviation *= 6.0;
            let dropped = left_out.filter(|_| round >= from);
            if let Some(shown) = dropped {
                observed[2] = Observation { loss_g: shown, last_loss_g: shown, update_norm: shown, ..observed[2] };
                observed[2].probe_deviation = shown;
            }
            let present: Vec<usize> = (0..n).filter(|i| *i != 2 || dropped.is_none()).collect();
            let rng = &mut HostRng::new(1, Stream::DETECTOR, 0, round);
            let verdict = state.detect(round, &observed, &present, &vec![1.0 / n as f64; n], rng);
            assert_eq!(verdict.scores[2].is_nan(), dropped.is_some(), "round {round}");
            evidence.push(state.evidence.clone());
        }
        (evidence, state.flagged[2])
    };
    let (kept, flagged) = play(Some(f64::NAN), 20);
    assert!(flagged, "what was flagged stays so");
    for round in 20..40 {
        assert_eq!(kept[round][2], kept[19][2], "neither better nor worse");
    }
    // The observations of a dropped client do not affect the others.
    for shown in [0.0, 1e30, f64::INFINITY] {
        assert_eq!(play(Some(shown), 20).0, kept);
    }
    // A client that never took part has no evidence.
    let (never, _) = play(Some(f64::NAN), 0);
    assert!(never.iter().all(|e| e[2] == 0.0));
    let honest = |e: &[f64]| [0, 1, 3, 4, 5].iter().map(|i| e[*i].abs()).fold(0.0, f64::max);
    assert!(honest(&never[39]) < 1.0, "{never:?}");
}
