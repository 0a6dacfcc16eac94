//! Malformed golden cases: exit code 2 and one sentence that names the file, the value found and the values allowed.

use super::draft::{Draft, folder};
use fedgan::check::golden::{Outcome, exit_code, files, run_file};
use fedgan::exec::CpuEngine;
use safetensors::Dtype;
use std::path::Path;

fn conv() -> Draft {
    Draft::read(&folder().join("conv_4x4_s2.safetensors"))
}

fn refused(path: &Path, needles: &[&str]) {
    let report = run_file(&mut CpuEngine::new(), path);
    let Outcome::NotRun(what) = &report.outcome else { panic!("{needles:?}: {:?}", report.outcome) };
    let name = path.file_name().unwrap().to_str().unwrap();
    for needle in needles.iter().chain(&[name]) {
        assert!(what.contains(needle), "`{needle}` is not in: {what}");
    }
    assert!(!what.contains('\n'), "{what}");
    assert_eq!(exit_code(&[report]), 2);
}

#[test]
fn wrong_names_parameters_and_shapes() {
    type Change = fn(&mut Draft);
    let params = |text: &'static str| {
        move |d: &mut Draft| {
            d.meta("params", text);
        }
    };
    type Malformed = (Box<dyn Fn(&mut Draft)>, &'static [&'static str]);
    let cases: Vec<Malformed> = vec![
        (Box::new((|d| _ = d.tensors.remove("in.w")) as Change), &["`in.w` is missing"]),
        (Box::new((|d| _ = d.put("in.gain", &[1], vec![1.0])) as Change), &["`in.gain`", "allowed: in.x, in.w, in.b"]),
        (Box::new((|d| _ = d.put("out.z", &[1], vec![1.0])) as Change), &["`out.z`", "allowed: out.y"]),
        (Box::new((|d| _ = d.put("y", &[1], vec![1.0])) as Change), &["`y`", "`in.` or `out.`"]),
        (Box::new((|d| _ = d.tensors.remove("out.y")) as Change), &["no tensor named `out.*`"]),
        (Box::new(params(r#"{"stride": 2}"#)), &["`padding` is missing", "allowed: stride, padding"]),
        (Box::new(params(r#"{"stride": 3, "padding": 1}"#)), &["`stride` is 3", "1 to 2"]),
        (Box::new(params(r#"{"stride": 1.5, "padding": 1}"#)), &["`stride` is 1.5", "whole"]),
        (Box::new(params(r#"{"stride": "2", "padding": 1}"#)), &["`stride` is \"2\"", "whole"]),
        (Box::new(params(r#"{"stride": 2, "padding": 4}"#)), &["`padding` is 4", "0 to 3"]),
        (Box::new(params(r#"{"stride": 2, "padding": -1}"#)), &["`padding` is -1", "0 to 3"]),
        (Box::new(params(r#"{"stride": 2, "padding": 1, "dilation": 1}"#)), &["unknown parameter `dilation`"]),
        (Box::new(params(r#"{"stride": 2, "padding": 1"#)), &["not JSON"]),
        (Box::new(params("[2, 1]")), &["must be a JSON object"]),
        (Box::new((|d| _ = d.meta("op", "conv3d")) as Change), &["unknown op", "conv2d", "golden-format.md"]),
        (Box::new((|d| d.metadata = None) as Change), &["no `op`"]),
        (Box::new((|d| _ = d.metadata.as_mut().unwrap().remove("params")) as Change), &["no `params`"]),
        (
            Box::new((|d| d.tensors.get_mut("in.w").unwrap().shape = vec![8, 3, 8, 2]) as Change),
            &["8 x 2 kernel", "square"],
        ),
        (Box::new((|d| _ = d.put("in.w", &[8, 3, 8, 8], vec![0.0; 1536])) as Change), &["8 x 8 kernel", "1 to 7"]),
        (Box::new((|d| _ = d.put("in.w", &[8, 2, 4, 4], vec![0.0; 256])) as Change), &["`in.w`", "3 channels"]),
        (Box::new((|d| d.tensors.get_mut("in.x").unwrap().shape = vec![6, 16, 16]) as Change), &["`in.x`", "NCHW"]),
        (Box::new((|d| _ = d.put("in.x", &[0, 3, 16, 16], vec![])) as Change), &["`in.x`", "no dimension may be 0"]),
        (Box::new((|d| _ = d.put("in.x", &[1, 3, 1, 1], vec![0.0; 3])) as Change), &["has no output"]),
        (Box::new((|d| _ = d.put("in.b", &[7], vec![0.0; 7])) as Change), &["`in.b` has shape [7], must be [8]"]),
        (
            Box::new((|d| d.tensors.get_mut("out.y").unwrap().shape = vec![2, 8, 4, 16]) as Change),
            &["`out.y`", "must be [2, 8, 8, 8]"],
        ),
        (
            Box::new((|d| d.tensors.get_mut("in.x").unwrap().dtype = Dtype::I32) as Change),
            &["`in.x` has type I32", "F32"],
        ),
        (
            Box::new((|d| d.tensors.get_mut("in.x").unwrap().dtype = Dtype::F64) as Change),
            &["`in.x` has type F64", "F32"],
        ),
        (
            Box::new((|d| d.tensors.get_mut("out.y").unwrap().dtype = Dtype::I32) as Change),
            &["`out.y` has type I32", "F64"],
        ),
    ];
    for (change, needles) in cases {
        let mut draft = conv();
        change(&mut draft);
        refused(draft.write().path(), needles);
    }
}

#[test]
fn other_operations() {
    for (stem, change, needles) in [
        ("trigger", r#"{"top": 13, "left": 9}"#, ["`top` is 13", "0 to 12"]),
        (
            "adam_1",
            r#"{"lr": 1e-3, "beta1": 1.0, "beta2": 0.9, "eps": 1e-8, "step": 1}"#,
            ["`beta1` is 1.0", "0 to 0.999"],
        ),
        ("adam_1", r#"{"lr": 1e-3, "beta1": 0.5, "beta2": 0.9, "eps": 1e-8, "step": 0}"#, ["`step` is 0", "whole"]),
        ("bce_real", r#"{"target": 1.5}"#, ["`target` is 1.5", "0 to 1"]),
        ("bn", r#"{"eps": 0, "momentum": 0.1}"#, ["`eps` is 0", "at least"]),
        ("relu_257", r#"{"bias": 0.1}"#, ["unknown parameter `bias`", "allowed: slope"]),
        ("wmean", r#"{"slope": 0.1}"#, ["unknown parameter `slope`", "none is allowed"]),
        (
            "gan_step_16",
            r#"{"image_size": 24, "width": 8, "latent": 10, "batch": 4, "lr": 1e-3, "beta1": 0.5, "beta2": 0.9}"#,
            ["image_size 24", "power of two"],
        ),
        (
            "gan_step_16",
            r#"{"image_size": 16, "width": 4, "latent": 10, "batch": 4, "lr": 1e-3, "beta1": 0.5, "beta2": 0.9}"#,
            ["main.0.weight", "generator"],
        ),
        (
            "gan_step_16",
            r#"{"image_size": 16, "width": 8, "latent": 10, "batch": 5, "lr": 1e-3, "beta1": 0.5, "beta2": 0.9}"#,
            ["`in.real`", "[5, 3, 16, 16]"],
        ),
    ] {
        let mut draft = Draft::read(&folder().join(format!("{stem}.safetensors")));
        draft.meta("params", change);
        refused(draft.write().path(), &needles);
    }
    let mut gan = Draft::read(&folder().join("gan_step_16.safetensors"));
    gan.tensors.remove("in.discriminator.main.3.running_var");
    refused(gan.write().path(), &["main.3.running_var", "discriminator", "missing"]);
    gan = Draft::read(&folder().join("gan_step_16.safetensors"));
    gan.put("in.generator.main.1.num_batches_tracked", &[1], vec![0.0]);
    refused(gan.write().path(), &["num_batches_tracked"]);
    let mut bn = Draft::read(&folder().join("bn.safetensors"));
    bn.put("in.gamma", &[5], vec![1.0; 5]);
    refused(bn.write().path(), &["`in.gamma` has shape [5], must be [6]"]);
}

#[test]
fn files_other_than_cases() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(super::draft::folder().join("conv_4x4_s2.safetensors")).unwrap();
    for (name, bytes) in [
        ("empty.safetensors", Vec::new()),
        ("text.safetensors", b"not a tensor at all, but long enough".to_vec()),
        ("cut.safetensors", bytes[..bytes.len() - 5].to_vec()),
        ("longer.safetensors", [bytes.clone(), vec![0; 3]].concat()),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        refused(&path, &["safetensors"]);
    }
    refused(&folder.path().join("absent.safetensors"), &["cannot be read"]);
    assert_eq!(files(folder.path()).unwrap().len(), 4);
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(files(empty.path()).unwrap_err().exit_code(), 2);
    assert_eq!(files(&folder.path().join("nowhere")).unwrap_err().exit_code(), 2);
}
