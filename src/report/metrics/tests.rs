use super::*;

fn client(client: usize, loss_g: f64) -> ClientRecord {
    ClientRecord {
        loss_g,
        loss_d_real: 0.1,
        loss_d_fake: 0.3,
        last_loss_g: f64::from(0.1f32),
        last_loss_d_real: 1e-7,
        last_loss_d_fake: 2.0,
        flagged: client == 0,
        nonfinite: loss_g.is_nan().then(|| "D weights main.3.weight[17]".into()),
        ..ClientRecord::example(client, client == 0)
    }
}

fn records() -> Vec<RoundRecord> {
    let extra = BTreeMap::from([("swd".to_string(), 0.5), ("a,b \"c\"".to_string(), f64::INFINITY)]);
    vec![
        RoundRecord {
            round: 1,
            clients: vec![client(0, 1.5), client(1, f64::NAN)],
            aggregation: Vec::new(),
            extra: BTreeMap::new(),
        },
        RoundRecord { round: 2, clients: vec![client(0, 1.0 / 3.0), client(1, 0.5)], aggregation: Vec::new(), extra },
    ]
}

fn write(base: &Path, seconds: f64) -> RunDir {
    let run = RunDir::create(None, base, "r").unwrap();
    let mut writer = MetricsWriter::create(&run, false).unwrap();
    for record in records() {
        writer.round(&record).unwrap();
        let timing = TimingRecord { round: record.round, seconds, images_per_second: 64.0, ..Default::default() };
        let counted = TimingRecord { host_bytes: Some(5), device_bytes: Some(6), open_files: Some(7), ..timing };
        writer.timing(if record.round == 1 { &timing } else { &counted }).unwrap();
    }
    run
}

#[test]
fn json_has_one_spelling() {
    let line = records()[0].to_json().unwrap();
    assert_eq!(
        line,
        "{\"round\":1,\"clients\":[\
         {\"client\":0,\"malicious\":true,\"weight\":0.25,\"loss_g\":1.5,\"loss_d_real\":0.1,\"loss_d_fake\":0.3,\
         \"last_loss_g\":0.10000000149011612,\"last_loss_d_real\":1e-7,\"last_loss_d_fake\":2.0,\"update_norm\":null,\"update_cosine\":null,\"penalty\":null,\"probe_deviation\":null,\"flagged\":true,\"score\":null},\
         {\"client\":1,\"malicious\":false,\"weight\":0.25,\"loss_g\":null,\"loss_d_real\":0.1,\"loss_d_fake\":0.3,\
         \"last_loss_g\":0.10000000149011612,\"last_loss_d_real\":1e-7,\"last_loss_d_fake\":2.0,\"update_norm\":null,\"update_cosine\":null,\"penalty\":null,\"probe_deviation\":null,\"flagged\":false,\"score\":null,\"nonfinite\":\"D weights main.3.weight[17]\"}\
         ],\"extra\":{}}"
    );
}

#[test]
fn files_do_not_depend_on_the_clock() {
    let temp = tempfile::tempdir().unwrap();
    let (a, b) = (write(temp.path(), 0.5), write(temp.path(), 7.0));
    let read = |run: &RunDir, name: &str| std::fs::read_to_string(run.file(name)).unwrap();
    for name in ["metrics.jsonl", "metrics.csv", "evaluation.csv"] {
        assert_eq!(read(&a, name), read(&b, name), "{name}");
    }
    assert_eq!(read(&a, "metrics.jsonl").lines().count(), 2);
    assert_eq!(
        read(&a, "timing.jsonl"),
        "{\"round\":1,\"seconds\":0.5,\"images_per_second\":64.0}\n\
         {\"round\":2,\"seconds\":0.5,\"images_per_second\":64.0,\"host_bytes\":5,\"device_bytes\":6,\"open_files\":7}\n"
    );
    let lines = read(&a, "timing.jsonl");
    let records: Vec<TimingRecord> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(records.iter().map(|r| r.open_files).collect::<Vec<_>>(), [None, Some(7)], "old files can be read");
    assert_ne!(read(&a, "timing.jsonl"), read(&b, "timing.jsonl"));
}

#[test]
fn csv_has_a_row_for_each_round_and_client() {
    let temp = tempfile::tempdir().unwrap();
    let run = write(temp.path(), 1.0);
    let csv = std::fs::read_to_string(run.file("metrics.csv")).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[0], CSV_HEADER);
    assert_eq!(lines[1], "1,0,true,0.25,1.5,0.1,0.3,0.10000000149011612,1e-7,2.0,,,,,true,,");
    assert_eq!(lines[2], "1,1,false,0.25,,0.1,0.3,0.10000000149011612,1e-7,2.0,,,,,false,,D weights main.3.weight[17]");
    assert!(lines.iter().all(|line| line.split(',').count() == CSV_HEADER.split(',').count()));
    let evaluation = std::fs::read_to_string(run.file("evaluation.csv")).unwrap();
    assert_eq!(evaluation, "round,metric,value\n2,\"a,b \"\"c\"\"\",inf\n2,swd,0.5\n");
}

#[test]
fn a_run_without_evaluation_has_no_evaluation_file() {
    let temp = tempfile::tempdir().unwrap();
    let run = RunDir::create(None, temp.path(), "r").unwrap();
    MetricsWriter::create(&run, false).unwrap().round(&records()[0]).unwrap();
    assert!(!run.file("evaluation.csv").exists());
}

#[test]
fn every_round_is_on_disk_when_it_is_written() {
    let temp = tempfile::tempdir().unwrap();
    let run = RunDir::create(None, temp.path(), "r").unwrap();
    let mut writer = MetricsWriter::create(&run, false).unwrap();
    writer.round(&records()[0]).unwrap();
    assert_eq!(read_jsonl(&run.file("metrics.jsonl")).unwrap().len(), 1, "read while the writer is alive");
    writer.round(&records()[1]).unwrap();
    let back = read_jsonl(&run.file("metrics.jsonl")).unwrap();
    assert_eq!(back.len(), 2);
    assert_eq!(back[0].clients[0], records()[0].clients[0]);
    assert!(back[0].clients[1].loss_g.is_nan());
    assert_eq!(back[1].clients, records()[1].clients);
    assert_eq!(back[1].extra["swd"], 0.5);
    assert!(MetricsWriter::create(&run, false).is_err(), "a second writer must not append to the first one's files");
}

#[test]
fn rounds_of_different_clients_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("metrics.jsonl");
    let fewer = RoundRecord { clients: vec![client(0, 1.0)], ..records().remove(1) };
    let lines = [&records()[0], &fewer].map(|r| r.to_json().unwrap());
    std::fs::write(&path, lines.join("\n")).unwrap();
    let error = read_jsonl(&path).unwrap_err().to_string();
    assert!(error.contains("round 2: 1 client, expected 0 to 1"), "{error}");
}

#[test]
fn a_broken_line_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("metrics.jsonl");
    std::fs::write(&path, format!("{}\n{{\"round\":2,\"cli", records()[0].to_json().unwrap())).unwrap();
    let error = read_jsonl(&path).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("metrics.jsonl: line 2"), "{error}");
    assert_eq!(read_jsonl(&temp.path().join("none")).unwrap_err().exit_code(), 2);
}

#[test]
fn mean_losses_average_the_clients() {
    let record = RoundRecord {
        round: 1,
        clients: vec![client(0, 1.0), client(1, 2.0)],
        aggregation: Vec::new(),
        extra: BTreeMap::new(),
    };
    assert_eq!(record.mean_losses(), (1.5, 0.2));
}

/// A table of an earlier version has no column of names: its rows keep their format when the run is resumed.
#[test]
fn names_are_the_last_column_if_the_table_has_one() {
    for named in [false, true] {
        let temp = tempfile::tempdir().unwrap();
        let run = RunDir::create(Some(&temp.path().join("run")), temp.path(), "x").unwrap();
        let mut record = records()[0].clone();
        record.clients[0].name = Some("a, b".into());
        let mut writer = MetricsWriter::create(&run, named).unwrap();
        writer.round(&record).unwrap();
        let positions = writer.sync().unwrap();
        let mut writer = MetricsWriter::resume(&run, &positions).unwrap();
        writer.round(&RoundRecord { round: 1, ..record }).unwrap();
        let table = std::fs::read_to_string(run.file("metrics.csv")).unwrap();
        let header = format!("{CSV_HEADER}{}", if named { CSV_NAME } else { "" });
        assert!(table.starts_with(&format!("{header}\n")));
        assert_eq!(table.matches("\"a, b\"").count(), if named { 2 } else { 0 }, "{table}");
        let read = read_jsonl(&run.file("metrics.jsonl")).unwrap();
        assert_eq!(read[1].clients[0].name.as_deref(), Some("a, b"));
    }
}
