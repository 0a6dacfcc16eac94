//! External faults during a run: full disks, data that disappears, clocks that jump.

use super::interrupted::{latest, left, resume, run, same, text, wait_for};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A limit on the size of files simulates a full disk: longer files are written partially, as on a full disk. The
/// limits hit, in this order, the plan, a picture, a checkpoint, and the log in the middle of a line.
#[cfg(unix)]
#[test]
fn a_run_that_could_not_write_resumes_with_free_space() {
    let temp = tempfile::tempdir().unwrap();
    // Without pictures of curves, which would exceed the log's length before its end.
    let run = |dir: &Path| {
        let mut run = run(dir, 60);
        run.args(["--set", "evaluation.every=60"]);
        run
    };
    let whole = temp.path().join("whole");
    assert!(run(&whole).status().unwrap().success());
    let expected = left(&whole);
    for (blocks, at) in [(1, "plan.toml"), (8, "real.png"), (24, "checkpoints"), (120, "metrics.jsonl")] {
        let dir = temp.path().join(format!("{blocks}"));
        let unlimited = run(&dir);
        let mut limited = Command::new("sh");
        limited.args(["-c", r#"trap "" XFSZ; ulimit -f $0; exec "$@""#, &blocks.to_string()]);
        limited.arg(unlimited.get_program()).args(unlimited.get_args()).stdout(Stdio::null());
        let output = limited.output().unwrap();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&dir.join(at).display().to_string()) && said.contains("cannot write"), "{at}: {said}");
        if at == "plan.toml" {
            // Nothing had started, and nothing prevents a start.
            assert!(!dir.join(at).exists());
        } else {
            assert!(said.contains(&format!("fedgan run --resume {}", dir.display())), "{said}");
        }
        let mut again = if at == "plan.toml" { run(&dir) } else { resume(&dir) };
        let output = again.output().unwrap();
        assert!(output.status.success(), "{at}: {}", text(&output));
        same(&expected, &dir, at);
    }
}

/// Pictures in a folder, like a user's data.
fn pictures(folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    for n in 0..40u32 {
        let pixel = |x: u32, y: u32| image::Rgb([x * 16, y * 16, n * 6].map(|v| v as u8));
        image::RgbImage::from_fn(16, 16, pixel).save(folder.join(format!("{n}.png"))).unwrap();
    }
}

/// Images are read once, at the start. A resumed run needs the same images again.
#[test]
fn a_run_survives_missing_data_and_resumes_with_the_same_data_only() {
    let temp = tempfile::tempdir().unwrap();
    let (data, moved, dir) = (temp.path().join("data"), temp.path().join("moved"), temp.path().join("run"));
    pictures(&data);
    let with_pictures = |dir: &Path| {
        let set = format!("data={{ kind = \"folder\", path = {data:?} }}");
        let mut run = run(dir, 300);
        run.args(["--set", set.as_str()]);
        run
    };
    let whole = temp.path().join("whole");
    let child = with_pictures(&whole).spawn().unwrap();
    wait_for(&whole, 2);
    std::fs::rename(&data, &moved).unwrap();
    assert!(!whole.join("summary.json").exists(), "the data disappeared during the run");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let expected = left(&whole);

    std::fs::rename(&moved, &data).unwrap();
    let mut child = with_pictures(&dir).spawn().unwrap();
    wait_for(&dir, 2);
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::rename(&data, &moved).unwrap();
    let refused = |why: &str| {
        let (before, output) = (latest(&dir), resume(&dir).output().unwrap());
        let said = text(&output);
        assert!(output.status.code() == Some(2) && said.contains(why), "{said}");
        assert_eq!(latest(&dir), before);
    };
    refused(&data.display().to_string());
    std::fs::rename(&moved, &data).unwrap();
    let (kept, other) = (std::fs::read(data.join("3.png")).unwrap(), std::fs::read(data.join("4.png")).unwrap());
    std::fs::write(data.join("3.png"), other).unwrap();
    refused("the images");
    std::fs::write(data.join("3.png"), kept).unwrap();
    assert!(resume(&dir).status().unwrap().success());
    same(&expected, &dir, "its data disappeared and came back");
}

/// All files of the run get dates in 1970, then in the future: dates have no meaning.
#[test]
fn clocks_may_jump_between_a_run_and_its_continuation() {
    // Enough rounds that no run ends before it is killed.
    const ROUNDS: u32 = 150;
    let temp = tempfile::tempdir().unwrap();
    let (whole, dir) = (temp.path().join("whole"), temp.path().join("run"));
    assert!(run(&whole, ROUNDS).status().unwrap().success());
    let mut child = run(&dir, ROUNDS).spawn().unwrap();
    for seconds in [1, 1 << 33] {
        wait_for(&dir, latest(&dir) + 1);
        child.kill().unwrap();
        child.wait().unwrap();
        let time = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
        for path in [&dir, &dir.join("checkpoints")].iter().flat_map(|d| std::fs::read_dir(d).unwrap()) {
            let path = path.unwrap().path();
            if path.is_file() {
                std::fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
            }
        }
        child = resume(&dir).spawn().unwrap();
    }
    assert!(child.wait().unwrap().success());
    same(&left(&whole), &dir, "jumps of the clock");
}
