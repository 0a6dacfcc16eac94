use super::fixture::{Fixture, plan};
use super::*;

const ATTACKED: &str = "[attack]\nmalicious = [0]\n";

/// Two cells of two seeds.
fn four(f: &Fixture) -> Vec<std::path::PathBuf> {
    let runs = [("a", 1, ""), ("b", 2, ""), ("c", 1, ATTACKED), ("d", 2, ATTACKED)];
    runs.iter().for_each(|(name, seed, more)| f.run(name, *seed, more, 3));
    runs.iter().map(|(name, ..)| f.path(name)).collect()
}

fn made(dirs: &[std::path::PathBuf], reference: Option<&str>) -> Page {
    render(&load(dirs, &plan).unwrap(), reference).unwrap()
}

#[test]
fn the_same_directories_give_the_same_bytes() {
    let f = Fixture::new();
    let dirs = four(&f);
    let page = made(&dirs, None);
    assert_eq!(page, made(&dirs, None));
    assert_eq!((page.summary.as_str(), page.remarks.len()), ("4 runs in 2 cells", 0));
}

#[test]
fn the_page_fetches_and_runs_nothing() {
    let f = Fixture::new();
    let html = made(&four(&f), None).html;
    let sources: Vec<&str> = html.split("src=\"").skip(1).collect();
    assert_eq!(sources.len(), 5, "four grids, and the real images once");
    assert!(sources.iter().all(|s| s.starts_with("data:image/png;base64,")));
    assert!(html.split("href=\"").skip(1).all(|link| link.starts_with('#')));
    for word in ["<script", "http://", "https://", "url(", "@import", "<link", "<iframe"] {
        assert!(!html.contains(word), "{word}");
    }
    assert!(html.starts_with(BEGIN));
}

#[test]
fn pictures_and_tables_can_be_read_without_seeing_and_without_a_mouse() {
    let f = Fixture::new();
    let html = made(&four(&f), None).html;
    let all = |open: &str, needed: &[&str]| {
        let tags: Vec<&str> = html.split(open).skip(1).map(|rest| rest.split('>').next().unwrap()).collect();
        assert!(!tags.is_empty(), "{open}");
        for tag in tags {
            let whole = needed.iter().all(|part| tag.contains(part)) && !tag.contains("=\"\"");
            assert!(whole, "{open}{tag}: without {needed:?}, or empty");
        }
    };
    all("<img ", &[" alt=\""]);
    all("<svg class=\"chart\" ", &["role=\"img", "aria-label=\""]);
    all("<div class=\"scroll\" ", &["tabindex=\"0", "role=\"region", "aria-label=\""]);
    assert_eq!(
        html.matches("<details>").count(),
        html.matches("<details><summary>").count(),
        "what the keyboard opens"
    );
}

#[test]
fn elements_are_closed() {
    let f = Fixture::new();
    let html = made(&four(&f), None).html;
    let body = &html[html.find("<body>").unwrap()..];
    let mut open = vec!["html"];
    for tag in body.split('<').skip(1) {
        let name = tag.split([' ', '>', '\n', '/']).next().unwrap();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), closed.split('>').next(), "{tag}");
        } else if !tag.split('>').next().unwrap().ends_with('/') && !["br", "img"].contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

/// Hostile names, values and numbers in somebody else's run.
#[test]
fn hostile_runs_become_text() {
    const EVIL: &str = "\\\"'><script src=//x></script><img src=x onerror=y>&lt;";
    let f = Fixture::new();
    f.run("a", 1, "", 3);
    f.run("b", 2, &format!("[evil]\n\"{EVIL}\" = \"{EVIL}\"\n[resolved]\nversion = \"{EVIL}\"\n"), 3);
    let dir = f.path("<img src=x>");
    std::fs::rename(f.path("b"), &dir).unwrap();
    let plan_path = dir.join("plan.toml");
    let text = std::fs::read_to_string(&plan_path).unwrap().replace("name = \"test\"", &format!("name = \"{EVIL}\""));
    std::fs::write(&plan_path, text).unwrap();
    let metrics = dir.join("metrics.jsonl");
    let mut text = std::fs::read_to_string(&metrics).unwrap().replace("kid_lite0", EVIL);
    for (from, to) in [
        ("\"loss_g\":1.0", "1e308"),
        ("\"loss_g\":2.0", "-1e308"),
        ("\"loss_g\":3.0", "5e-324"),
        ("\"loss_d_real\":0.5", "null"),
    ] {
        text = text.replace(from, &format!("{}:{to}", from.split(':').next().unwrap()));
    }
    std::fs::write(&metrics, text).unwrap();
    let page = made(&[f.path("a"), dir], None);
    assert!(page.html.contains("&lt;script src=//x&gt;"));
    for word in ["<script", "<img src=x", "onerror=y>", "\"'>"] {
        assert!(!page.html.contains(word), "{word}");
    }
}

#[test]
fn means_intervals_and_differences_match_the_runs() {
    let f = Fixture::new();
    let html = made(&four(&f), None).html;
    // KID is seed / 8, and 0.5 more in the attacked cell.
    assert!(html.contains("<span class=\"mean\">0.1875</span><span class=\"ci\">[0.1250, 0.2500]\u{2020}</span>"));
    assert!(html.contains("<span class=\"mean\">0.6875</span>"));
    assert!(html.contains("floor 0.06250 at n3, r3"));
    assert!(html.contains("<span class=\"mean\">+0.5000</span><span class=\"ci\">[+0.5000, +0.5000]\u{2020}</span>"));
    let back = made(&four(&Fixture::new()), Some("attack.malicious=[0]")).html;
    assert!(back.contains("<span class=\"mean\">\u{2212}0.5000</span>"));
    assert!(!html.contains("class=\"best\""), "two seeds separate nothing");
}

#[test]
fn cells_with_ten_separate_seeds_are_shaded() {
    let f = Fixture::new();
    let mut dirs = Vec::new();
    for seed in 1..=10 {
        // Means of KID are 0.6875 and 1.1875, each within less than 0.25.
        for (name, more) in [("h", ""), ("m", ATTACKED)] {
            f.run(&format!("{name}{seed}"), seed, more, 3);
            dirs.push(f.path(&format!("{name}{seed}")));
        }
    }
    let html = made(&dirs, None).html;
    assert_eq!(html.matches("class=\"best\"").count(), 2, "the honest cell, and its difference");
    assert_eq!(made(&dirs[..18], None).html.matches("class=\"best\"").count(), 0, "nine seeds are few");
    let metrics = f.path("h3/metrics.jsonl");
    let text = std::fs::read_to_string(&metrics).unwrap();
    std::fs::write(&metrics, text.replace("\"kid_lite0_x_n8_r6\":0.375", "\"kid_lite0_x_n8_r6\":null")).unwrap();
    let html = made(&dirs, None).html;
    assert_eq!(html.matches("not finite in 1 of 10").count(), 2, "in the cell and in the difference");
    assert!(!html.contains("class=\"best\""), "a failed run may be the worst");
}

#[test]
fn one_seed_has_no_interval() {
    let f = Fixture::new();
    f.run("a", 1, "", 3);
    let html = made(&[f.path("a")], None).html;
    assert!(html.contains("1 seed, no interval") && html.contains("Nothing to compare"));
}

#[test]
fn an_unfinished_run_is_shown_and_excluded_from_means() {
    let f = Fixture::new();
    let dirs = four(&f);
    // The plans of a and b must be equal for them to be one cell.
    for name in ["a", "b"] {
        let file = f.path(&format!("{name}/plan.toml"));
        let text = std::fs::read_to_string(&file).unwrap().replace("rounds = 3", "rounds = 4");
        std::fs::write(&file, text).unwrap();
    }
    let page = made(&dirs, None);
    assert!(page.html.contains("+2 unfinished") && page.html.contains("3 of 4 rounds"));
    assert_eq!(page.remarks.len(), 2);
    assert!(!page.html.contains("<span class=\"mean\">0.1875</span>"));
}

#[test]
fn text_of_files_stays_text() {
    let f = Fixture::new();
    f.run("<b>&\"x\"", 1, "[data]\nkind = \"folder\"\npath = \"<script>alert('1')</script>\"\n", 3);
    f.run("z", 1, "[data]\nkind = \"</pre><i>\"\n", 3);
    let metrics = f.path("z/metrics.jsonl");
    let text = std::fs::read_to_string(&metrics).unwrap().replace("kid_lite0_x_n8_r6\"", "<img src=x onerror=y>\"");
    std::fs::write(&metrics, text).unwrap();
    let html = made(&[f.path("<b>&\"x\""), f.path("z")], None).html;
    for raw in ["<script", "<i>", "<b>", "<img src=x"] {
        assert!(!html.contains(raw), "{raw}");
    }
    assert!(html.contains("&lt;script&gt;alert(&#39;1&#39;)") && html.contains("&lt;img src=x onerror=y&gt;"));
}

/// Grids of 64 images of 32 pixels, as a run of the default experiment has them: noise, which compresses least.
fn noise(seed: u64) -> Vec<u8> {
    let mut random = seed;
    let mut byte = || {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (random >> 56) as u8
    };
    let images: Vec<u8> = (0..64 * 32 * 32).map(|_| byte()).collect();
    let picture = crate::report::picture::grid_u8(&images, 64, 32, 1, 8).unwrap();
    crate::report::picture::encode_png(&picture).unwrap()
}

#[test]
fn a_page_of_a_hundred_runs_stays_below_ten_megabytes() {
    let f = Fixture::new();
    let grids: Vec<Vec<u8>> = (0..4).map(noise).collect();
    let mut dirs = Vec::new();
    for run in 0..100u64 {
        let (name, cell, seed) = (format!("r{run}"), run / 2, run % 2);
        let more = format!("[train]\nlr = {cell}\n[model]\nimage_size = 32\n[evaluation]\ngrid = 8\n");
        f.run(&name, seed, &more, 250);
        std::fs::write(f.path(&name).join("real.png"), &grids[0]).unwrap();
        std::fs::write(f.path(&name).join("grids/round-0250.png"), &grids[run as usize % 4]).unwrap();
        dirs.push(f.path(&name));
    }
    let page = |n: usize| made(&dirs[..n], None).html;
    let few = page(4);
    assert!(few.contains(&base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &grids[1])));
    assert!(!few.contains("rows and columns"), "a few runs are shown as they are");
    let many = page(100);
    assert!(many.len() < 10_000_000, "{} bytes, {} per run", many.len(), many.len() / 100);
    assert_eq!(many.matches("<img ").count(), 101);
    assert!(
        many.contains("<dt>compared</dt><dd><details><summary>50 cells</summary>")
            && !few.contains("2 cells</summary>")
    );
    assert_eq!(many.matches(" of 8 rows and columns</span>").count(), 101, "every part of a grid says so");
    let keep: Vec<&str> = many.split(" of 8 rows and columns</span>").map(|s| s.rsplit('>').next().unwrap()).collect();
    assert!(keep[..101].iter().all(|k| k.parse::<usize>().unwrap() >= 5), "{keep:?}");
}

#[test]
fn an_unknown_reference_names_the_cells() {
    let f = Fixture::new();
    let error = render(&load(&four(&f), &plan).unwrap(), Some("x")).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("\"attack.malicious=[]\"; \"attack.malicious=[0]\""), "{error}");
}

/// Runs with different attacks share a table; seeds hold out different numbers of images.
#[test]
fn leakages_of_all_attacks_are_one_table_with_the_shares_of_real_images() {
    let f = Fixture::new();
    let mut dirs = Vec::new();
    let cells = [("mean", "patch"), ("mean", "sig"), ("krum", "patch"), ("krum", "sig")];
    for (rule, attack, seed) in cells.into_iter().flat_map(|(rule, attack)| [1, 2].map(|seed| (rule, attack, seed))) {
        let name = format!("{rule}-{attack}-{seed}");
        let more = format!(
            "[attack]\nmalicious = [0]\nimage = {{ kind = \"{attack}\" }}\n[federation]\naggregation = {{ rule = \"{rule}\" }}\n"
        );
        f.run(&name, seed, &more, 3);
        let tag = if attack == "patch" { String::new() } else { format!("_{attack}") };
        let metrics = f.path(&name).join("metrics.jsonl");
        let text = std::fs::read_to_string(&metrics).unwrap();
        let text = text.replace("kid_lite0_x_n8_r6_std", &format!("leakage_false_alarm{tag}_r{}", 10 + seed));
        let text = text.replace("floor_kid_lite0_x_n3_r3", &format!("leakage_detected{tag}_r{}", 10 + seed));
        std::fs::write(&metrics, text.replace("kid_lite0_x_n8_r6", &format!("leakage{tag}_n8"))).unwrap();
        dirs.push(f.path(&name));
    }
    let html = made(&dirs, None).html;
    assert_eq!(html.matches("<caption>Trigger leakage n8, lower is better</caption>").count(), 1);
    for (word, value) in [("real images", "0.5000"), ("attacked real images", "0.06250")] {
        let row =
            format!("<tr class=\"beside\"><th scope=\"row\">{word}</th><td></td><td>{value}</td><td>{value}</td></tr>");
        assert!(html.contains(&row), "{row}");
        assert!(html.contains(&format!("<span class=\"floor\">{word} {value}</span>")), "{word}");
    }
    assert!(!html.contains("absent in") && !html.contains("not finite in"));
    // A destroyed run is the rule's worst, not none.
    let metrics = f.path("mean-sig-2").join("metrics.jsonl");
    let text = std::fs::read_to_string(&metrics).unwrap();
    let destroyed = text.replace("\"leakage_sig_n8\":0.75", "\"leakage_sig_n8\":null");
    assert_ne!(text, destroyed);
    std::fs::write(&metrics, destroyed).unwrap();
    let html = made(&dirs, None).html;
    let note = "<span class=\"note\">not finite in 1 of 2</span>";
    assert!(html.contains(&format!("<th scope=\"row\">mean</th><td class=\"h6\">{note}</td>")), "worst");
    assert!(html.contains(&format!("<td class=\"h6\">0.6250{note}</td>")), "the cell");
}
