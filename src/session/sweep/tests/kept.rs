//! Cells, directories and reasons from an earlier process.

use super::*;

/// Pictures in classes, and a grid that trains on them.
fn with_pictures(fixture: &Fixture) -> PathBuf {
    let data = fixture.at("data");
    for n in 0..40u8 {
        let folder = data.join(["a", "b"][usize::from(n % 2)]);
        fs::create_dir_all(&folder).unwrap();
        let pixel = |x: u32, y: u32| image::Luma([(x * 9 + y * 5) as u8 ^ n]);
        image::GrayImage::from_fn(16, 16, pixel).save(folder.join(format!("{n}.png"))).unwrap();
    }
    let source = format!("{{ kind = \"folder\", path = {data:?} }}");
    fixture.write("base.toml", &BASE.replace("{ kind = \"dermoscopy\", n = 40 }", &source));
    data
}

#[test]
fn finished_cells_of_other_images_are_refused() {
    let fixture = Fixture::new();
    let data = with_pictures(&fixture);
    run(fixture.only("honest-s1")).unwrap();
    let (picture, moved) = (data.join("a/0.png"), fixture.at("moved.png"));
    let refused = |what: &str| {
        let before = snapshot(&fixture.at("out"));
        let message = fixture.refused(fixture.only("honest"));
        assert!(message.contains("honest-s1: is of other images than the present ones"), "{what}: {message}");
        assert_eq!(snapshot(&fixture.at("out")), before, "{what}");
    };
    fs::copy(data.join("b/1.png"), data.join("b/new.png")).unwrap();
    refused("one more");
    fs::remove_file(data.join("b/new.png")).unwrap();
    fs::rename(&picture, &moved).unwrap();
    refused("one less");
    fs::rename(&moved, data.join("b/0.png")).unwrap();
    refused("another class");
    fs::rename(data.join("b/0.png"), &picture).unwrap();
    let kept = fs::read(&picture).unwrap();
    fs::copy(data.join("a/2.png"), &picture).unwrap();
    refused("other pixels");
    fs::write(&picture, kept).unwrap();
    run(fixture.only("honest")).unwrap();
    // A finished cell does not need its images any more.
    fs::rename(&data, fixture.at("gone")).unwrap();
    run(fixture.only("honest")).unwrap();
    let path = fixture.at("out/cells/honest-s1/summary.json");
    let old = Summary { digests: None, ..Summary::read(path.parent().unwrap()).unwrap() };
    fs::write(&path, old.to_json().unwrap()).unwrap();
    let message = fixture.refused(fixture.only("honest"));
    assert!(message.contains("did not record its images"), "{message}");
}

#[test]
fn finished_cells_of_another_trigger_are_refused() {
    let fixture = Fixture::new();
    let trigger = fixture.at("t.png");
    let paint = |shade: u8| image::RgbImage::from_pixel(5, 5, image::Rgb([shade, 9, 9])).save(&trigger).unwrap();
    paint(10);
    let set = format!("attack.trigger.image={trigger:?}");
    let args = |only: &str| Args { only: Some(only.into()), ..fixture.args(&[&set]) };
    run(args("attacked-s1")).unwrap();
    run(args("attacked-s1")).unwrap();
    paint(200);
    let message = fixture.refused(args("attacked-s1"));
    assert!(message.contains("attacked-s1: is of another trigger picture"), "{message}");
}

#[test]
fn a_device_that_is_the_same_engine_may_be_asked_for_in_another_way() {
    let fixture = Fixture::new();
    run(fixture.only("honest-s1")).unwrap();
    let with = |device: &str| Args { device: Some(device.into()), ..fixture.only("honest-s1") };
    let before = snapshot(&fixture.at("out/cells"));
    if matches!(crate::gpu::choose("auto").unwrap().target, crate::gpu::DeviceTarget::Cpu) {
        run(with("auto")).unwrap();
    }
    run(with("CPU")).unwrap();
    let message = fixture.refused(with("reference"));
    assert!(
        message.contains("device = \"cpu\" (cpu ") && message.contains("now \"reference\" (reference)"),
        "{message}"
    );
    assert_eq!(snapshot(&fixture.at("out/cells")), before);
}

#[test]
fn a_directory_that_was_only_begun_is_taken() {
    for (folders, files) in [(&["cells"][..], &[][..]), (&[".claims"], &[]), (&[], &[".lock", ".sweepXY"]), (&[], &[])]
    {
        let fixture = Fixture::new();
        let out = fixture.at("out");
        fs::create_dir(&out).unwrap();
        folders.iter().for_each(|name| fs::create_dir(out.join(name)).unwrap());
        files.iter().for_each(|name| fs::write(out.join(name), "").unwrap());
        run(fixture.only("honest-s1")).unwrap();
        assert_eq!(names(out.join("cells")), ["honest-s1"]);
    }
    // Non-empty folders belong to somebody else.
    let fixture = Fixture::new();
    fs::create_dir_all(fixture.at("out/cells/mine")).unwrap();
    assert!(fixture.refused(fixture.only("honest-s1")).contains("not a sweep's directory"));
}

#[test]
fn a_reason_that_another_process_has_just_found_is_taken_and_an_old_one_is_tried_again() {
    let fixture = Fixture::new();
    let open = || grid(&fixture.only("honest-s1")).unwrap();
    let why = LeftOut::new(&Error::input("too few"));
    let grid = open();
    fs::create_dir(fixture.at("out")).unwrap();
    grid.store.note(&grid.cells[grid.selected[0]], Some(&why)).unwrap();
    let Outcome { rows, left_out } = grid.run(&mut Silent).unwrap().unwrap();
    assert!(left_out.len() == 1 && left_out[0].1 == why && rows.len() == 1);
    // As left by a process that has ended.
    let text = serde_json::to_string(&why).unwrap().replace("\"number\":", "\"number\":1");
    fs::write(fixture.at("out/.left-out/honest-s1.json"), text).unwrap();
    let Outcome { rows, left_out } = open().run(&mut Silent).unwrap().unwrap();
    assert!(left_out.is_empty() && rows.len() == 1);
    assert!(names(fixture.at("out/.left-out")).is_empty(), "the reason is gone");
}
