use super::*;

/// 600 images in three classes of 300, 200 and 100.
fn labels() -> Vec<u32> {
    (0..600).map(|i| if i < 300 { 0 } else { u32::from(i >= 500) + 1 }).collect()
}

fn dirichlet_of(alpha: f64) -> Partition {
    Partition::Dirichlet { alpha, minimum: None }
}

fn exact_cover(shares: &[Vec<u32>], n: u32) {
    assert!(shares.iter().all(|s| s.is_sorted() && !s.is_empty()));
    let mut all = shares.concat();
    all.sort_unstable();
    assert_eq!(all, (0..n).collect::<Vec<_>>());
}

#[test]
fn covers_determinism_and_seeds() {
    let labels = labels();
    for partition in [Partition::Iid, dirichlet_of(0.1), dirichlet_of(1.0), dirichlet_of(100.0)] {
        for clients in [1, 2, 7] {
            let shares = partition.assign(&labels, clients, 3, Origin::default(), 1).unwrap();
            assert_eq!(shares.len(), clients);
            exact_cover(&shares, 600);
            assert_eq!(shares, partition.assign(&labels, clients, 3, Origin::default(), 1).unwrap());
            if clients > 1 {
                assert_ne!(
                    shares,
                    partition.assign(&labels, clients, 4, Origin::default(), 1).unwrap(),
                    "{partition:?}"
                );
            }
        }
    }
}

#[test]
fn iid_is_near_equal_and_mixed() {
    let labels = labels();
    let shares = Partition::Iid.assign(&labels, 7, 1, Origin::default(), 1).unwrap();
    let sizes: Vec<usize> = shares.iter().map(Vec::len).collect();
    assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
    assert!(shares.iter().all(|s| (0..3).all(|c| s.iter().any(|&i| labels[i as usize] == c))));
}

#[test]
fn shared_gives_everything_to_everyone() {
    let shares = Partition::Shared.assign(&[0, 0, 1], 5, 1, Origin::default(), 1).unwrap();
    assert_eq!(shares, vec![vec![0, 1, 2]; 5]);
}

/// Mean over seeds and clients of the total variation distance between a client's classes and all classes.
fn skew(alpha: f64) -> f64 {
    let labels = labels();
    let (mut sum, mut count) = (0.0, 0.0);
    for seed in 0..20 {
        for share in dirichlet_of(alpha).assign(&labels, 5, seed, Origin::default(), 1).unwrap() {
            for (class, overall) in [0.5, 1.0 / 3.0, 1.0 / 6.0].into_iter().enumerate() {
                let own = share.iter().filter(|&&i| labels[i as usize] as usize == class).count();
                sum += 0.5 * (own as f64 / share.len() as f64 - overall).abs();
            }
            count += 1.0;
        }
    }
    sum / count
}

#[test]
fn skew_grows_as_alpha_falls() {
    let skews = [1000.0, 10.0, 1.0, 0.1].map(skew);
    assert!(skews.windows(2).all(|w| w[1] > 1.5 * w[0]), "{skews:?}");
    assert!(skews[0] < 0.05 && skews[3] > 0.4, "{skews:?}");
}

#[test]
fn proportions_have_the_dirichlet_moments() {
    // One of K: mean 1/K, variance (K-1) / (K^2 (K alpha + 1)).
    for alpha in [0.2, 1.0, 5.0] {
        let (clients, draws) = (4, 20_000);
        let mut rng = SplitMix64::new(1, 2, 3);
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..draws {
            let p = proportions(&mut rng, clients, alpha);
            assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            sum += p[0];
            squares += (p[0] - 0.25) * (p[0] - 0.25);
        }
        let (mean, variance) = (sum / f64::from(draws), squares / f64::from(draws));
        let expected = 3.0 / (16.0 * (4.0 * alpha + 1.0));
        assert!((mean - 0.25).abs() < 5.0 * (expected / f64::from(draws)).sqrt(), "alpha {alpha}: mean {mean}");
        assert!((variance / expected - 1.0).abs() < 0.06, "alpha {alpha}: variance {variance}, expected {expected}");
    }
}

#[test]
fn extreme_alphas_stay_finite() {
    let mut rng = SplitMix64::new(1, 2, 3);
    for alpha in [f64::MIN_POSITIVE / 8.0, 1e-3, 1e12, f64::MAX] {
        let p = proportions(&mut rng, 3, alpha);
        assert!(p.iter().all(|v| v.is_finite()) && (p.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{alpha}: {p:?}");
    }
}

/// Every draw gives each client enough images, or one message describes the best draw.
#[test]
fn every_client_has_its_minimum_or_one_message_says_why_not() {
    let counts: [&[usize]; 5] = [&[600], &[493, 43, 98], &[100; 8], &[40, 40, 40], &[500, 1, 1, 0, 1]];
    let (mut dealt, mut refused) = (0, 0);
    for classes in counts {
        let labels: Vec<u32> = (0..).zip(classes).flat_map(|(class, n)| vec![class; *n]).collect();
        for alpha in [0.05, 0.1, 0.3, 1.0, 10.0, 1000.0] {
            for clients in [1, 2, 4, 10, 20] {
                for least in [1, 8, 16] {
                    for seed in 0..2 {
                        let partition = Partition::Dirichlet { alpha, minimum: Some(least as u32) };
                        match partition.assign(&labels, clients, seed, Origin::default(), 1) {
                            Ok(shares) => {
                                dealt += 1;
                                exact_cover(&shares, labels.len() as u32);
                                assert!(
                                    shares.iter().all(|s| s.len() >= least),
                                    "{classes:?} {alpha} {clients} {least}"
                                );
                            }
                            Err(error) => {
                                refused += 1;
                                let text = error.to_string();
                                assert_eq!(error.exit_code(), 2);
                                assert!(text.contains(&format!("alpha = {alpha}:")), "{text}");
                                let short = text.contains(" of the clients short, the smallest share with ");
                                let impossible = clients * least > labels.len();
                                assert_eq!(impossible, text.contains("no draw can give them that"), "{text}");
                                assert!(impossible || short, "{text}");
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(dealt > 400 && refused > 20, "{dealt} {refused}");
}

/// The built-in set's classes with the default batch, as a new user would run them.
#[test]
fn even_shares_are_always_dealt() {
    let labels: Vec<u32> = [493usize, 43, 98].iter().zip(0..).flat_map(|(n, class)| vec![class; *n]).collect();
    for seed in 1..=20 {
        for (alpha, clients) in [(0.1, 4), (0.3, 4), (1.0, 4), (1.0, 10)] {
            let shares = dirichlet_of(alpha).assign(&labels, clients, seed, Origin::default(), 16).unwrap();
            assert!(shares.iter().all(|s| s.len() >= 16));
        }
    }
}

/// Redrawing selects the sufficient draws: among them the distribution of the shares is unchanged.
#[test]
fn a_minimum_that_the_first_draw_meets_changes_nothing() {
    let labels = labels();
    for seed in 0..10 {
        let free = dirichlet_of(10.0).assign(&labels, 4, seed, Origin::default(), 1).unwrap();
        let least = free.iter().map(Vec::len).min().unwrap();
        let minimum = Partition::Dirichlet { alpha: 10.0, minimum: Some(least as u32) };
        assert_eq!(minimum.assign(&labels, 4, seed, Origin::default(), 1).unwrap(), free);
        assert_eq!(
            dirichlet_of(10.0).assign(&labels, 4, seed, Origin::default(), least).unwrap(),
            free,
            "a batch is a minimum"
        );
        let more = Partition::Dirichlet { alpha: 10.0, minimum: Some(least as u32 + 1) };
        assert_ne!(more.assign(&labels, 4, seed, Origin::default(), 1).unwrap(), free);
    }
}

#[test]
fn no_client_stays_empty() {
    // Two images per client: most draws at this alpha leave a client short, so redraws must happen.
    let labels: Vec<u32> = (0..8).map(|i| i % 2).collect();
    for seed in 0..10 {
        exact_cover(&dirichlet_of(0.5).assign(&labels, 4, seed, Origin::default(), 1).unwrap(), 8);
    }
    // One class at a tiny alpha: a whole class goes to one client, and no draw suffices for two.
    let text = dirichlet_of(1e-6).assign(&[0; 50], 2, 1, Origin::default(), 1).unwrap_err().to_string();
    assert!(text.contains("alpha = 0.000001") && text.contains("a larger alpha"), "{text}");
    assert!(text.contains("left 1 of the clients short, the smallest share with 0 images"), "{text}");
}

#[test]
fn sites_follow_the_data() {
    let assign =
        |clients, of| Partition::Sites.assign(&[0, 0, 1, 1], clients, 1, Origin { clients: of, patients: None }, 1);
    assert_eq!(assign(2, Some(&[1, 0, 0, 1][..])).unwrap(), [vec![1, 2], vec![0, 3]]);
    assert!(assign(3, Some(&[1, 0, 0, 1])).unwrap_err().to_string().contains("name 2 clients, federation.clients = 3"));
    assert!(assign(2, None).unwrap_err().to_string().contains("client_folders = true"));
    assert!(assign(3, Some(&[0, 2, 0, 2])).unwrap_err().to_string().contains("client 1"));
}

#[test]
fn poor_input_exits_2() {
    let exit = |partition: Partition, labels: &[u32], clients| {
        partition.assign(labels, clients, 1, Origin::default(), 1).unwrap_err().exit_code()
    };
    assert_eq!(exit(Partition::Iid, &[0; 5], 0), 2);
    assert_eq!(exit(Partition::Iid, &[0; 5], 6), 2);
    assert_eq!(exit(Partition::Shared, &[], 1), 2);
    for alpha in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(exit(dirichlet_of(alpha), &[0; 50], 2), 2);
    }
}

#[test]
fn parses_and_refuses() {
    let parse = |text: &str| toml::from_str::<Partition>(text);
    assert_eq!(parse("kind = 'iid'").unwrap(), Partition::default());
    assert_eq!(parse("kind = 'dirichlet'\nalpha = 0.5").unwrap(), dirichlet_of(0.5));
    assert_eq!(parse("kind = 'sites'").unwrap(), Partition::Sites);
    for partition in [Partition::Shared, dirichlet_of(0.5)] {
        assert_eq!(parse(&toml::to_string(&partition).unwrap()).unwrap(), partition);
    }
    let minimum = parse("kind = 'dirichlet'\nalpha = 0.5\nminimum = 20").unwrap();
    assert_eq!(minimum, Partition::Dirichlet { alpha: 0.5, minimum: Some(20) });
    assert_eq!(parse(&toml::to_string(&minimum).unwrap()).unwrap(), minimum);
    for bad in [
        "kind = 'iid'\nminimum = 1",
        "kind = 'iid'\nalpha = 1.0",
        "kind = 'dirichlet'",
        "kind = 'dirichlet'\nalpha = 'x'",
        "kind = 'x'",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn patients_stay_at_one_client() {
    let patients: Vec<u32> = (0..600).map(|i| i / 7).collect();
    let origin = Origin { clients: None, patients: Some(&patients) };
    let labels = labels();
    for partition in [Partition::Iid, dirichlet_of(0.5), dirichlet_of(10.0)] {
        let shares = partition.assign(&labels, 5, 3, origin, 1).unwrap();
        exact_cover(&shares, 600);
        let mut client_of = vec![None; 86];
        for (client, image) in (0..).zip(&shares).flat_map(|(client, share)| share.iter().map(move |i| (client, *i))) {
            let known = client_of[patients[image as usize] as usize].get_or_insert(client);
            assert_eq!(*known, client, "{partition:?}");
        }
        assert_ne!(shares, partition.assign(&labels, 5, 4, origin, 1).unwrap());
    }
    let shares = Partition::Iid.assign(&labels, 5, 3, origin, 1).unwrap();
    let sizes: Vec<usize> = shares.iter().map(Vec::len).collect();
    assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 7, "{sizes:?}");
    let two: Vec<u32> = (0..600).map(|i| i / 300).collect();
    let text = Partition::Iid.assign(&labels, 3, 1, Origin { clients: None, patients: Some(&two) }, 1);
    assert!(text.unwrap_err().to_string().contains("2 patients for 3 clients"));
}
