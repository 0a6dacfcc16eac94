use super::*;
use std::collections::BTreeSet;

#[test]
fn an_existing_out_is_refused_and_not_changed() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("mine");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("thesis.txt"), "precious").unwrap();
    let error = RunDir::create(Some(&out), temp.path(), "x").unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("mine") && error.to_string().contains("already exists"), "{error}");
    assert_eq!(fs::read_to_string(out.join("thesis.txt")).unwrap(), "precious");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);

    let file = temp.path().join("a file");
    fs::write(&file, "x").unwrap();
    assert_eq!(RunDir::create(Some(&file), temp.path(), "x").unwrap_err().exit_code(), 2);
    assert_eq!(RunDir::create(Some(Path::new("")), temp.path(), "x").unwrap_err().exit_code(), 2);
    // A parent that is a file.
    let below = RunDir::create(Some(&file.join("sub/run")), temp.path(), "x").unwrap_err();
    assert_eq!(below.exit_code(), 2);
}

#[test]
fn an_empty_directory_is_accepted() {
    let temp = tempfile::tempdir().unwrap();
    let create = || RunDir::create(Some(temp.path()), Path::new("unused"), "x");
    let dir = create().unwrap();
    // But not for two runs at the same time.
    assert!(create().unwrap_err().to_string().contains("another process"));
    drop(dir);
    // A run that ended before it started.
    fs::write(temp.path().join(".plan.toml.17.part"), "na").unwrap();
    let dir = create().unwrap();
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1, "the lock");
    dir.write_text(PLAN, "x").unwrap();
    drop(dir);
    assert!(create().unwrap_err().to_string().contains("not empty"));
    #[cfg(unix)]
    {
        let link = temp.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert_eq!(RunDir::create(Some(&link), Path::new("unused"), "x").unwrap_err().exit_code(), 2);
    }
}

#[test]
fn an_explicit_out_is_created_with_its_parents() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("a/b/c");
    let run = RunDir::create(Some(&out), Path::new("unused"), "x").unwrap();
    assert_eq!(run.path(), out);
    assert!(out.is_dir());
}

#[test]
fn the_first_free_number_is_taken() {
    let temp = tempfile::tempdir().unwrap();
    let base = temp.path().join("runs");
    let make = |name| RunDir::create(None, &base, name).unwrap().path().file_name().unwrap().to_owned();
    assert_eq!(make("demo"), "demo-001");
    assert_eq!(make("demo"), "demo-002");
    assert_eq!(make("other"), "other-001");
    fs::write(base.join("demo-003"), "a file takes its number too").unwrap();
    assert_eq!(make("demo"), "demo-004");
    fs::remove_dir_all(base.join("demo-001")).unwrap();
    assert_eq!(make("demo"), "demo-001");
}

#[test]
fn racing_runs_get_different_directories() {
    let temp = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| RunDir::create(None, temp.path(), "r").unwrap().path().to_path_buf()))
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let expected: BTreeSet<PathBuf> = (1..=16).map(|n| temp.path().join(format!("r-{n:03}"))).collect();
    assert_eq!(paths.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn temporary_files_of_a_killed_process_are_removed() {
    let temp = tempfile::tempdir().unwrap();
    let run = RunDir::create(None, temp.path(), "r").unwrap();
    run.write_text(PLAN, "").unwrap();
    run.write_bytes("grids/a.png", &[1]).unwrap();
    let parts = [".plan.toml.12.part", "grids/.a.png.34.part"].map(|name| run.file(name));
    parts.iter().for_each(|path| fs::write(path, "half").unwrap());
    let path = run.path().to_path_buf();
    drop(run);
    let run = RunDir::reopen(&path).unwrap();
    assert!(parts.iter().all(|path| !path.exists()) && run.file("grids/a.png").exists());
}

#[test]
fn names_that_leave_the_base_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    for name in ["", "  ", "..", "a/b", "a\\b", ".hidden", "a\nb", &"x".repeat(300)] {
        let error = RunDir::create(None, temp.path(), name).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{name:?}");
    }
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
}

#[test]
fn files_are_written_completely_and_never_overwritten() {
    let temp = tempfile::tempdir().unwrap();
    let run = RunDir::create(None, temp.path(), "r").unwrap();
    let plan = run.write_text("plan.toml", "seed = 1\n").unwrap();
    assert_eq!(fs::read_to_string(&plan).unwrap(), "seed = 1\n");
    let error = run.write_text("plan.toml", "seed = 2\n").unwrap_err();
    assert!(error.to_string().contains("plan.toml"), "{error}");
    assert_eq!(error.exit_code(), 1);
    assert_eq!(fs::read_to_string(&plan).unwrap(), "seed = 1\n");
    run.replace_bytes("plan.toml", b"seed = 3\n").unwrap();
    assert_eq!(fs::read_to_string(&plan).unwrap(), "seed = 3\n");
    run.write_bytes("grids/0001.png", &[1, 2, 3]).unwrap();
    assert_eq!(fs::read(run.file("grids/0001.png")).unwrap(), [1, 2, 3]);
    run.create_log("log").unwrap();
    assert!(run.create_log("log").is_err());
    let mut names: Vec<_> = fs::read_dir(run.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".lock", "grids", "log", "plan.toml"], "no temporary file remains");
}
