//! `fedgan report --watch` beside a run and beside a sweep, from the user's point of view.

use super::interrupted::{fedgan, latest, resume, run, signal, text, wait_for};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

const REFRESH: &str = "<meta http-equiv=\"refresh\" content=\"1\">";

fn watch(dir: &Path, page: &Path) -> Child {
    let mut command = fedgan(&["report", "--watch", "--every", "0.1", "--out"]);
    command.arg(page).arg(dir).spawn().unwrap()
}

/// The page, which is complete whenever it is read.
fn page(path: &Path) -> Option<String> {
    let html = std::fs::read_to_string(path).ok()?;
    assert!(html.starts_with("<!DOCTYPE html>\n") && html.ends_with("</html>\n"), "half a page");
    Some(html)
}

/// Waits for a page that `is` right.
fn wait_for_page(path: &Path, what: &str, is: impl Fn(&str) -> bool) -> String {
    let started = Instant::now();
    loop {
        let html = page(path);
        if let Some(html) = html.as_ref().filter(|html| is(html)) {
            return html.clone();
        }
        assert!(started.elapsed() < Duration::from_secs(300), "{what}: {}", html.unwrap_or_default());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The completed rounds that a page under way names.
fn round(html: &str) -> Option<u32> {
    let (_, rest) = html.split_once("<p class=\"live\">Under way: round ")?;
    rest.split(' ').next()?.parse().ok()
}

#[test]
fn a_watched_page_follows_a_run_to_its_end() {
    let temp = tempfile::tempdir().unwrap();
    let (dir, file) = (temp.path().join("run"), temp.path().join("page.html"));
    let training = run(&dir, 1_000_000).spawn().unwrap();
    wait_for(&dir, 1);
    let watching = watch(&dir, &file);
    let first = wait_for_page(&file, "a first page", |html| round(html).is_some());
    let next = wait_for_page(&file, "a next page", |html| round(html) > round(&first));
    assert!(next.contains(REFRESH) && next.contains(" of 1000000. This page reloads every second.</p>"), "{next}");
    assert!(!next.contains("<script") && next.contains("unfinished"));
    signal("-INT", &training);
    assert_eq!(training.wait_with_output().unwrap().status.code(), Some(130));
    let done = latest(&dir);
    wait_for_page(&file, "the page of the stopped run", |html| round(html) == Some(done));
    // The page is not written while nothing happens.
    let written = || std::fs::File::open(&file).unwrap();
    let before = written();
    std::thread::sleep(Duration::from_millis(500));
    assert!(same_file(&before, &written()), "nothing has changed");
    // More than the warm-up of its detector.
    let output = resume(&dir).args(["--set", &format!("rounds={}", done.max(20) + 2)]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let output = watching.wait_with_output().unwrap();
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    // A line at once, later ones at most every ten seconds.
    let begin = format!("page      {}, until the runs are finished or Ctrl-C\nunder way: round ", file.display());
    assert!(said.starts_with(&begin) && said.contains(" of 1000000\n"), "{said}");
    let html = page(&file).unwrap();
    assert!(!html.contains("http-equiv=\"refresh\"") && !html.contains("Under way") && !html.contains("unfinished"));
    // A page of finished runs is that of a report without --watch.
    let output = fedgan(&["report", "--out"]).arg(temp.path().join("again.html")).arg(&dir).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(html, page(&temp.path().join("again.html")).unwrap());
}

fn same_file(a: &std::fs::File, b: &std::fs::File) -> bool {
    use std::os::unix::fs::MetadataExt;
    a.metadata().unwrap().ino() == b.metadata().unwrap().ino()
}

#[test]
fn a_watch_that_ends_early_leaves_a_page_that_stays() {
    let temp = tempfile::tempdir().unwrap();
    let (dir, file) = (temp.path().join("run"), temp.path().join("page.html"));
    let training = run(&dir, 1_000_000).spawn().unwrap();
    wait_for(&dir, 1);
    let begin = || {
        let watching = watch(&dir, &file);
        wait_for_page(&file, "a page", |html| html.contains(REFRESH));
        watching
    };
    let watching = begin();
    signal("-INT", &watching);
    let output = watching.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output));
    let html = page(&file).unwrap();
    assert!(!html.contains("http-equiv=\"refresh\"") && html.contains("unfinished"));
    // Somebody's file in the place of the page stays.
    let watching = begin();
    std::fs::remove_file(&file).unwrap();
    let foreign = temp.path().join("foreign");
    std::fs::write(&foreign, "mine").unwrap();
    // Between two pages one may be written here: the file comes in its place in one step.
    std::fs::rename(&foreign, &file).unwrap();
    let output = watching.wait_with_output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("page.html: exists, and this option has not written it"), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    std::fs::remove_file(&file).unwrap();
    let watching = begin();
    signal("-KILL", &training);
    training.wait_with_output().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    let output = watching.wait_with_output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("run: this directory was watched and has vanished"), "{said}");
    assert!(!page(&file).unwrap().contains("http-equiv=\"refresh\""), "the last page stays");
}

#[test]
fn a_watched_page_follows_a_sweep_to_its_end() {
    let temp = tempfile::tempdir().unwrap();
    let (dir, file, grid) = (temp.path().join("out"), temp.path().join("page.html"), temp.path().join("s.toml"));
    let sweep = "name = \"s\"\nseeds = [1, 2]\n\n[[axis]]\nkey = \"train.lr\"\nvalues = [1e-4]\n\n[set]\nrounds = 60\n\"model.image_size\" = 16\n\
        \"model.width\" = 2\n\"model.latent\" = 4\n\"train.batch\" = 4\n\"train.local_steps\" = 1\n\"federation.clients\" = 2\n\
        \"evaluation.samples\" = 4\n\"evaluation.grid\" = 2\n\"evaluation.every\" = 0\n";
    std::fs::write(&grid, sweep).unwrap();
    let training = fedgan(&["sweep", "--device", "cpu", "--quiet"]).arg(&grid).arg("--out").arg(&dir).spawn().unwrap();
    let started = Instant::now();
    while !dir.join("cells").is_dir() {
        assert!(started.elapsed() < Duration::from_secs(300), "the sweep makes no progress");
        std::thread::sleep(Duration::from_millis(2));
    }
    let watching = watch(&dir, &file);
    wait_for_page(&file, "a run of the sweep", |html| html.contains("of 2 runs finished; 0.0001-s"));
    let output = training.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let output = watching.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let html = page(&file).unwrap();
    assert!(!html.contains("http-equiv=\"refresh\"") && html.contains("2 runs in 1 cell"), "{html}");
}
