use super::wire::{crc32c, masked};
use super::*;

/// What a test reads of an event file.
#[derive(Debug, PartialEq)]
pub(crate) enum Read {
    Version(String),
    Start(u64),
    Scalar(u64, String, f32),
    Picture(u64, String, Vec<u8>),
}

/// A protobuf field: its number, and its integer or its bytes.
fn field<'a>(data: &mut &'a [u8]) -> Option<(u64, u64, &'a [u8])> {
    fn varint(data: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let (byte, rest) = data.split_first().unwrap();
            *data = rest;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    }
    let key = (!data.is_empty()).then(|| varint(data))?;
    let (integer, length) = match key & 7 {
        0 => return Some((key >> 3, varint(data), &[])),
        1 => (0, 8),
        2 => (0, varint(data) as usize),
        5 => (0, 4),
        other => panic!("type {other}"),
    };
    let (bytes, rest) = data.split_at(length);
    *data = rest;
    Some((key >> 3, integer, bytes))
}

fn fields(mut data: &[u8]) -> Vec<(u64, u64, &[u8])> {
    std::iter::from_fn(|| field(&mut data)).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The events of an event file, whose checksums must fit.
pub(crate) fn read(mut file: &[u8]) -> Vec<Read> {
    let mut out = Vec::new();
    while !file.is_empty() {
        let (length, rest) = file.split_at(8);
        let (sum, rest) = rest.split_at(4);
        assert_eq!(masked(length).to_le_bytes(), sum);
        let (data, rest) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
        let (sum, rest) = rest.split_at(4);
        assert_eq!(masked(data).to_le_bytes(), sum);
        out.extend(event(data));
        file = rest;
    }
    out
}

fn event(data: &[u8]) -> Vec<Read> {
    let (mut step, mut out) = (0, Vec::new());
    for (number, integer, bytes) in fields(data) {
        match number {
            1 => assert!(f64::from_le_bytes(bytes.try_into().unwrap()) > 1e9, "a wall time"),
            2 => step = integer,
            3 => out.push(Read::Version(text(bytes))),
            5 => out.extend(fields(bytes).into_iter().map(|(_, _, value)| summary(step, value))),
            7 => out.push(Read::Start(step)),
            10 => assert_eq!(fields(bytes), [(1, 0, "fedgan".as_bytes())]),
            other => panic!("field {other}"),
        }
    }
    out
}

fn summary(step: u64, value: &[u8]) -> Read {
    let value = fields(value);
    let tag = text(value[0].2);
    match value[1].0 {
        2 => Read::Scalar(step, tag, f32::from_le_bytes(value[1].2.try_into().unwrap())),
        _ => Read::Picture(step, tag, fields(value[1].2)[3].2.to_vec()),
    }
}

/// The event files of a run in order.
pub(crate) fn files(run: &Path) -> Vec<Vec<Read>> {
    let entries = fs::read_dir(run.join(FOLDER)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| read(&fs::read(path).unwrap())).collect()
}

fn client(client: usize, malicious: bool) -> ClientRecord {
    ClientRecord {
        loss_g: client as f64,
        loss_d_real: 10.0 + client as f64,
        loss_d_fake: f64::NAN,
        update_norm: Some(1.0),
        update_cosine: (client == 1).then_some(0.5),
        flagged: malicious,
        name: (client == 2).then(|| "east".to_string()),
        ..ClientRecord::example(client, malicious)
    }
}

fn record() -> RoundRecord {
    let clients = vec![client(0, false), client(1, false), client(2, true)];
    RoundRecord { round: 4, clients, aggregation: Vec::new(), extra: BTreeMap::from([("swd".to_string(), 0.5)]) }
}

/// RFC 3720, B.4, and the check value of the catalogue of CRCs.
#[test]
fn the_checksum_is_castagnolis() {
    let ascending: Vec<u8> = (0..32).collect();
    let known: [(&[u8], u32); 5] = [
        (b"", 0),
        (b"123456789", 0xe306_9283),
        (&[0; 32], 0x8a91_36aa),
        (&[0xff; 32], 0x62a8_ab43),
        (&ascending, 0x46dd_794e),
    ];
    for (data, sum) in known {
        assert_eq!(crc32c(data), sum, "{data:?}");
    }
    // The length of the first record of nearly every event file in the world.
    assert_eq!(masked(&24u64.to_le_bytes()), 0x224b_7fa3);
}

/// Written by the `RecordWriter` of the Python package tensorboard 2.21 from messages of protobuf.
#[test]
fn records_have_the_bytes_of_tensorboards_own_writer() {
    let expected = "220000000000000078113dfd09000000000000f83f1a0d627261696e2e4576656e743a3252080a0666656467616ea30e92\
                    08100000000000000095fbfe1809000000000000f83f10ac023a020801713b788a3c00000000000000c8b7a35209000000000000\
                    f83f10032a2f0a140a0d6c6f73735f672f686f6e657374150000803e0a170a0773616d706c6573220c080210c80118032203504e\
                    47120916f1";
    let values = [
        ("loss_g/honest".to_string(), Value::Scalar(0.25)),
        ("samples".to_string(), Value::Picture { png: b"PNG", size: (200, 2) }),
    ];
    let events = [(0, What::Version), (300, What::Start), (3, What::Values(&values))];
    let found: String = events
        .into_iter()
        .flat_map(|(step, what)| Event { wall_time: 1.5, step, what }.record())
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_round_has_its_columns_by_client_and_as_means() {
    let temp = tempfile::tempdir().unwrap();
    let run = RunDir::create(Some(&temp.path().join("a")), temp.path(), "x").unwrap();
    let mut log = EventLog::create(&run, 3, true).unwrap();
    log.evaluation(0, &BTreeMap::from([("swd".to_string(), f64::INFINITY)])).unwrap();
    log.samples(2, b"png", (3, 4)).unwrap();
    log.round(&record()).unwrap();
    log.sync().unwrap();
    let events = files(run.path()).remove(0);
    assert_eq!(events[..2], [Read::Version("brain.Event:2".into()), Read::Start(3)]);
    assert_eq!(events[2], Read::Scalar(0, "evaluation/swd".into(), f32::INFINITY));
    assert_eq!(events[3], Read::Picture(2, "samples".into(), b"png".to_vec()));
    let value = |tag: &str| {
        let found = |read: &&Read| matches!(read, Read::Scalar(5, t, _) if t == tag);
        let Some(Read::Scalar(_, _, value)) = events.iter().find(found) else { return None };
        Some(*value)
    };
    assert_eq!((value("loss_g/honest"), value("loss_g/malicious")), (Some(0.5), Some(2.0)));
    assert_eq!((value("loss_d_real/client-001"), value("loss_d_real/client-002 east")), (Some(11.0), Some(12.0)));
    assert!(value("loss_d_fake/honest").is_some_and(f32::is_nan), "a measured value that is not finite");
    assert_eq!((value("flagged/honest"), value("flagged/malicious")), (Some(0.0), Some(1.0)));
    assert_eq!((value("update_cosine/honest"), value("update_cosine/client-000")), (Some(0.5), None));
    assert_eq!((value("update_cosine/malicious"), value("evaluation/swd")), (None, Some(0.5)));
    let without =
        |column: &str| !events.iter().any(|e| matches!(e, Read::Scalar(_, tag, _) if tag.starts_with(column)));
    assert!(without("penalty/") && without("score/"), "not measured");
}

#[test]
fn without_a_detector_there_are_no_flags() {
    let temp = tempfile::tempdir().unwrap();
    let run = RunDir::create(Some(&temp.path().join("a")), temp.path(), "x").unwrap();
    EventLog::create(&run, 0, false).unwrap().round(&record()).unwrap();
    let flags = |e: &Read| matches!(e, Read::Scalar(_, tag, _) if tag.starts_with("flagged/"));
    assert!(!files(run.path())[0].iter().any(flags));
}

#[test]
fn files_are_numbered_on_and_never_replaced() {
    let temp = tempfile::tempdir().unwrap();
    let run = RunDir::create(Some(&temp.path().join("a")), temp.path(), "x").unwrap();
    let folder = run.file(FOLDER);
    fs::create_dir(&folder).unwrap();
    let users = ["events.out.tfevents.0000000007.fedgan", "events.out.tfevents.1700000000.host", "notes.txt"];
    users.iter().for_each(|name| fs::write(folder.join(name), "mine").unwrap());
    for number in [8, 9] {
        let log = EventLog::create(&run, 0, false).unwrap();
        assert_eq!(log.path, folder.join(format!("events.out.tfevents.{number:010}.fedgan")));
    }
    for name in users {
        assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), "mine");
    }
}

#[test]
fn a_file_in_the_folders_place_is_refused_and_kept() {
    let temp = tempfile::tempdir().unwrap();
    let run = RunDir::create(Some(&temp.path().join("a")), temp.path(), "x").unwrap();
    fs::write(run.file(FOLDER), "mine").unwrap();
    let error = EventLog::create(&run, 0, false).err().unwrap();
    let text = error.to_string();
    assert!(error.exit_code() == 2 && text.contains("tensorboard") && text.contains("is not a directory"), "{text}");
    assert_eq!(fs::read_to_string(run.file(FOLDER)).unwrap(), "mine");
}
