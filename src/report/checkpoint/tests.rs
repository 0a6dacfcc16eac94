use super::*;
use crate::fed::Detector;
use crate::fed::detector::Detection;
use std::io::Cursor;

fn state(round: u32) -> RunState {
    let descriptor = Descriptor {
        engine: "cpu".into(),
        adapter: "\"sha256\":\"".into(),
        address: String::new(),
        backend: "-".into(),
        device_type: "Cpu".into(),
        driver: "-".into(),
        variant: "-".into(),
    };
    let detection = Detection::new(&Detector::default(), vec![0.5; 2], 1).memory();
    RunState {
        version: "0".into(),
        plan: "seed = 1".into(),
        device: descriptor.clone(),
        tuning: None,
        images: "0".into(),
        logs: Positions { jsonl: 1, csv: 2, timing: 3, evaluation: None },
        unevaluated: None,
        federation: SavedState {
            round,
            weights: vec![0.1, f64::NAN],
            dropped: crate::fed::drop::Dropped { since: vec![0; 2], empty: 0 },
            detection,
        },
        first: Measured::default(),
        last: Measured { names: vec!["a".into()], entries: BTreeMap::from([("a".into(), f64::NAN)]) },
        diverged: 0,
        seconds: 1.5,
        verified: Some(Checked::default()),
        resumed: vec![Resumed { round: 1, device: descriptor, version: "0".into() }],
    }
}

/// Bit patterns that must survive: a quiet and a signalling NaN, infinity, a denormal.
const WORDS: [u32; 6] = [0x7fc0_0001, 0x7f80_0001, 0xff80_0000, 1, 0x8000_0000, 0x3f80_0000];

fn shapes() -> Vec<Shape> {
    vec![("a".into(), [2, 2]), ("b".into(), [1, 2])]
}

fn written(run: &RunDir, round: u32, keep: usize) -> PathBuf {
    save(run, &state(round), &shapes(), keep, |t, r| Ok(WORDS[4 * t + 2 * r..][..2].to_vec())).unwrap()
}

#[test]
fn checkpoints_round_trip() {
    let temp = tempfile::tempdir().unwrap();
    let run = RunDir::create(None, temp.path(), "r").unwrap();
    let path = written(&run, 12, 1);
    let mut back = Checkpoint::open(&path).unwrap();
    back.expect(&shapes()).unwrap();
    let read: Vec<u32> = [("a", 0), ("a", 1), ("b", 0)].iter().flat_map(|(t, r)| back.row(t, *r).unwrap()).collect();
    assert_eq!(read, WORDS);
    assert!(back.row("a", 2).is_err() && back.row("c", 0).is_err());
    let json = |s: &RunState| serde_json::to_string(s).unwrap();
    assert_eq!(json(back.state()), json(&state(12)));
    assert_eq!(back.state().federation.weights[0], 0.1);
    // Any safetensors reader accepts it.
    let file = super::super::safetensors::load(&path).unwrap();
    assert_eq!((file.tensors["a"].shape.as_slice(), file.metadata["format"].as_str()), (&[2usize, 2][..], FORMAT));
    let wrong: Vec<Vec<Shape>> = vec![
        vec![("a".into(), [2, 2])],
        vec![("a".into(), [2, 3]), ("b".into(), [1, 2])],
        vec![("a".into(), [2, 2]), ("c".into(), [1, 2])],
    ];
    for shapes in wrong {
        assert!(back.expect(&shapes).unwrap_err().to_string().contains("round-000012"));
    }
}

#[test]
fn the_latest_are_kept() {
    let temp = tempfile::tempdir().unwrap();
    let run = RunDir::create(None, temp.path(), "r").unwrap();
    assert!(list(&run).unwrap().is_empty());
    for round in [0, 5, 10, 1_000_000] {
        written(&run, round, 2);
    }
    fs::write(run.file("checkpoints/notes.txt"), "mine").unwrap();
    let rounds: Vec<u32> = list(&run).unwrap().iter().map(|c| c.0).collect();
    assert_eq!(rounds, [1_000_000, 10]);
    assert_eq!(fs::read_dir(run.file(CHECKPOINTS)).unwrap().count(), 3, "no temporary file remains");
    // Files that the run did not create stay, whatever their names; temporary files of checkpoints are removed.
    let own =
        ["notes.txt", "round-5.safetensors", "round-+00010.safetensors", "round-000010.safetensors.bak", ".x.7.part"];
    own.iter().for_each(|name| fs::write(run.file(CHECKPOINTS).join(name), "mine").unwrap());
    fs::create_dir(run.file("checkpoints/kept")).unwrap();
    fs::write(run.file("checkpoints/.round-000015.safetensors.4711.part"), "half").unwrap();
    written(&run, 20, 1);
    for _ in 0..2 {
        clear(&run).unwrap();
        let mut left: Vec<String> = fs::read_dir(run.file(CHECKPOINTS))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let mut expected = [&own[..], &["kept"]].concat();
        expected.sort_unstable();
        assert_eq!(left, expected);
    }
    fs::remove_dir_all(run.file(CHECKPOINTS)).unwrap();
    clear(&run).unwrap();
    written(&run, 25, 1);
    clear(&run).unwrap();
    assert!(!run.file(CHECKPOINTS).exists());
}

#[test]
fn every_flipped_byte_and_every_truncation_is_detected() {
    let temp = tempfile::tempdir().unwrap();
    let run = RunDir::create(None, temp.path(), "r").unwrap();
    let bytes = fs::read(written(&run, 1, 1)).unwrap();
    let open = |bytes: &[u8]| Checkpoint::of(Cursor::new(bytes.to_vec()), Path::new("x.safetensors"));
    open(&bytes).unwrap();
    for i in 0..bytes.len() {
        for flip in [1, 0x80] {
            let mut bytes = bytes.clone();
            bytes[i] ^= flip;
            let error = open(&bytes).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().starts_with("x.safetensors: "), "byte {i}: {error}");
        }
    }
    for length in 0..bytes.len() {
        assert!(open(&bytes[..length]).is_err(), "{length} bytes");
    }
    assert!(open(&[&bytes[..], &[0]].concat()).is_err(), "longer");
}

/// A complete file with another header.
fn sealed(header: &str, data: &[u8]) -> Result<Checkpoint<Cursor<Vec<u8>>>> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    let at = place(&bytes).unwrap() as usize;
    let digits = hex(Sha256::new_with_prefix(&bytes));
    bytes[at..at + 64].copy_from_slice(digits.as_bytes());
    Checkpoint::of(Cursor::new(bytes), Path::new("x"))
}

#[test]
fn an_inconsistent_file_is_refused() {
    let text = serde_json::to_string(&serde_json::to_string(&state(1)).unwrap()).unwrap();
    let header = |format: &str, tensors: &str| {
        let meta = format!("\"format\":\"{format}\",\"sha256\":\"{BLANK}\",\"state\":{text}");
        format!("{{\"__metadata__\":{{{meta}}}{tensors}}}")
    };
    sealed(&header(FORMAT, ""), &[]).unwrap();
    let text = sealed(&header("fedgan-run-state 2", ""), &[]).unwrap_err().to_string();
    assert!(text.contains("`fedgan-run-state 2`") && text.contains(FORMAT), "{text}");
    for (shape, offsets, dtype) in [
        ("[1,3]", "[0,8]", "F32"),
        ("[1,2]", "[4,12]", "F32"),
        ("[1,2]", "[8,0]", "F32"),
        ("[1,2]", "[0,8]", "F16"),
        ("[2]", "[0,8]", "F32"),
        ("[9223372036854775807,4]", "[0,8]", "F32"),
        ("[1,2]", "[18446744073709551608,0]", "F32"),
    ] {
        let tensor = format!(",\"t\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":{offsets}}}");
        let error = sealed(&header(FORMAT, &tensor), &[0; 8]).unwrap_err().to_string();
        assert!(error.contains("tensor 't'"), "{error}");
    }
    let good = ",\"t\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]}";
    sealed(&header(FORMAT, good), &[0; 8]).unwrap();
}
