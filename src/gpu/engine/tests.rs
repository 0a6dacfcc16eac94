//! The engine on any adapter of this machine. Without an adapter these tests fail and say what to install.

use super::*;
use crate::exec::{ReferenceEngine, align};
use crate::kernels::shader::Source;
use crate::kernels::util::fill::{Fill, FillParams};
use crate::kernels::{Arity, Binding, Build, Contents, Cost, Eval, Inputs, Kernel, Params};
use std::sync::OnceLock;

const FILE: &str = "util/fill.wgsl";
const GUARD: u32 = 0x7fc0_dead; // a NaN pattern that no kernel writes

/// One device for all tests of this process: every software device owns a thread pool.
fn engine(options: GpuOptions) -> GpuEngine {
    static KEEP: OnceLock<GpuEngine> = OnceLock::new();
    let open = |options| {
        GpuEngine::open("gpu", options).unwrap_or_else(|e| {
            panic!(
                "these tests need a GPU adapter, if only a software one (Debian: apt install mesa-vulkan-drivers): {e}"
            )
        })
    };
    KEEP.get_or_init(|| open(GpuOptions::default()));
    open(options)
}

fn with_source(text: &str) -> GpuOptions {
    GpuOptions { sources: [(FILE.to_string(), Source::new("my/fill.wgsl", text))].into(), ..Default::default() }
}

fn filling(y: Tensor, params: FillParams) -> Recording {
    let mut recording = Recording::new();
    recording.launch(&Fill, &params, &[y], "test fill").unwrap();
    recording
}

/// Fills 3 clients with 257 words each at stride 320 in a tensor inside a larger, guarded buffer; returns the buffer.
fn filled(engine: &mut dyn Engine) -> Vec<u32> {
    let params = FillParams { clients: 3, n: 257, y_stride: 320, value: 0.3 };
    let extent = 2 * 320 + 257;
    let all = engine.alloc("guarded", 64 + align(extent) + 64).unwrap();
    engine.write(all, &vec![GUARD; all.words]).unwrap();
    engine.run(&filling(all.slice(64, extent), params), 1).unwrap();
    engine.read(all, Purpose::Check).unwrap()
}

#[test]
fn fill_equals_the_reference_and_keeps_gaps_in_every_variant() {
    let expected = filled(&mut ReferenceEngine::new());
    assert_eq!(expected.iter().filter(|w| **w == 0.3f32.to_bits()).count(), 3 * 257);
    assert_eq!(expected.iter().filter(|w| **w == GUARD).count(), expected.len() - 3 * 257);
    for checked in [true, false] {
        for default_limits in [false, true] {
            for class in Class::PORTABLE {
                let options =
                    GpuOptions { class: Some(class), default_limits, checked: Some(checked), ..Default::default() };
                let mut engine = engine(options);
                assert_eq!(engine.descriptor().variant, class.name());
                assert!(filled(&mut engine) == expected, "checked {checked}, default limits {default_limits}");
            }
        }
    }
}

/// Without optional features the adapter's own class falls back to one that needs none; asked for by name it is refused.
#[test]
fn lanes_need_a_device_with_the_features() {
    let limited = |class| GpuOptions { class, default_limits: true, ..Default::default() };
    assert_ne!(engine(limited(None)).class(), Class::Lanes);
    let refused = GpuEngine::open("gpu", limited(Some(Class::Lanes))).unwrap_err();
    assert!(matches!(&refused, crate::Error::Input(why) if why.contains("`lanes`")), "{refused}");
}

#[test]
fn default_limits_are_webgpus() {
    let engine = engine(GpuOptions { default_limits: true, ..Default::default() });
    assert_eq!(engine.max_binding_words(), 32 << 20);
    assert_eq!(engine.device.device.features(), wgpu::Features::empty());
}

#[test]
fn buffers_start_at_zero_and_reads_and_memory_are_counted() {
    let mut engine = engine(GpuOptions::default());
    let t = engine.alloc("zeros", 1001).unwrap();
    assert!(engine.allocated_bytes() >= 4004);
    assert_eq!(engine.read(t, Purpose::Checkpoint).unwrap(), vec![0; 1001]);
    engine.write(t, &[1, 2, 3]).unwrap();
    assert_eq!(engine.read(t.slice(0, 4), Purpose::RoundScalars).unwrap(), [1, 2, 3, 0]);
    assert_eq!(engine.traffic().bytes(Purpose::Checkpoint), 4004);
    assert_eq!(engine.traffic().bytes(Purpose::RoundScalars), 16);
    assert!(engine.write(t, &[0; 1002]).unwrap_err().to_string().contains("1002"));
}

/// An upload is split into pieces; it starts at the tensor's offset and ends with the last word.
#[test]
fn large_uploads_arrive_whole() {
    let mut engine = engine(GpuOptions::default());
    let words: Vec<u32> = (0..(2 * UPLOADS / 4 + 77) as u32).collect();
    let t = engine.alloc("large", 64 + align(words.len())).unwrap();
    engine.write(t.slice(64, align(words.len())), &words).unwrap();
    let got = engine.read(t, Purpose::Check).unwrap();
    assert!(got[..64].iter().all(|w| *w == 0) && got[64..64 + words.len()] == words[..]);
    assert!(got[64 + words.len()..].iter().all(|w| *w == 0));
}

#[test]
fn runs_and_writes_keep_their_order_beyond_the_submissions_in_flight() {
    let mut engine = engine(GpuOptions::default());
    let y = engine.alloc("y", 64).unwrap();
    let one = filling(y, FillParams { clients: 1, n: 64, y_stride: 64, value: 1.0 });
    let two = filling(y, FillParams { clients: 1, n: 32, y_stride: 64, value: 2.0 });
    engine.run(&one, 3 * IN_FLIGHT as u32).unwrap();
    engine.run(&two, 1).unwrap();
    engine.write(y, &[7]).unwrap();
    engine.finish().unwrap();
    let got = engine.read(y, Purpose::Check).unwrap();
    assert_eq!((got[0], got[1], got[31]), (7, 2f32.to_bits(), 2f32.to_bits()));
    assert_eq!((got[32], got[63]), (1f32.to_bits(), 1f32.to_bits()));
}

#[test]
fn a_recording_that_grew_or_was_forgotten_is_prepared_again() {
    let mut engine = engine(GpuOptions::default());
    let y = engine.alloc("y", 64).unwrap();
    let mut recording = filling(y, FillParams { clients: 1, n: 64, y_stride: 64, value: 1.0 });
    engine.run(&recording, 1).unwrap();
    let more = FillParams { clients: 1, n: 1, y_stride: 64, value: 5.0 };
    recording.launch(&Fill, &more, &[y], "more").unwrap();
    engine.run(&recording, 1).unwrap();
    assert_eq!(engine.read(y.slice(0, 2), Purpose::Check).unwrap(), [5f32.to_bits(), 1f32.to_bits()]);
    engine.forget(&recording);
    assert!(engine.prepared.is_empty());
    engine.run(&recording, 1).unwrap();
    assert_eq!(engine.prepared.len(), 1);
}

#[test]
fn a_replaced_shader_runs_instead_of_its_file() {
    let text = crate::kernels::shader::source(FILE).unwrap().replace("= p.value;", "= p.value + 1.0;");
    let mut engine = engine(with_source(&text));
    let y = engine.alloc("y", 64).unwrap();
    engine.run(&filling(y, FillParams { clients: 1, n: 64, y_stride: 64, value: 0.5 }), 1).unwrap();
    assert_eq!(engine.read(y, Purpose::Check).unwrap(), [1.5f32.to_bits(); 64]);
}

#[test]
fn a_broken_replacement_is_bad_input_and_the_engine_lives_on() {
    let text = crate::kernels::shader::source(FILE).unwrap();
    let line = 1 + text.lines().position(|l| l.contains("= p.value;")).unwrap();
    for (broken, expected) in [
        (text.replace("= p.value;", "= p.valve;"), format!("my/fill.wgsl:{line}:")),
        (text.replace("= p.value;", "= = p.value;"), format!("my/fill.wgsl:{line}:")),
        (text.replace("= p.value;", "= p.n;"), format!("my/fill.wgsl:{line}:")),
        (text.replace("fn main", "fn other"), "main".into()),
        (text.replace("@binding(1)", "@binding(9)"), "my/fill.wgsl: ".into()),
    ] {
        assert_ne!(broken, text);
        let mut engine = engine(with_source(&broken));
        let y = engine.alloc("y", 64).unwrap();
        let recording = filling(y, FillParams { clients: 1, n: 64, y_stride: 64, value: 0.5 });
        for _ in 0..2 {
            let error = engine.run(&recording, 1).unwrap_err();
            assert!(matches!(error, Error::Input(_)), "{error}");
            assert!(error.to_string().contains(&expected), "{error}");
        }
        engine.write(y, &[3; 64]).unwrap();
        assert_eq!(engine.read(y, Purpose::Check).unwrap(), [3; 64]);
    }
    assert!(!filled(&mut engine(GpuOptions::default())).is_empty());
}

#[test]
fn replacing_a_file_that_is_not_there_is_bad_input() {
    for file in ["util/fil.wgsl", "fill.wgsl", "lib/tile.wgsl"] {
        let options = GpuOptions { sources: [(file.to_string(), Source::new(file, ""))].into(), ..Default::default() };
        let error = GpuEngine::open("gpu", options).unwrap_err();
        assert!(matches!(error, Error::Input(_)) && error.to_string().contains(FILE), "{error}");
    }
    // A kernel outside the catalogue brings its shader: examples/custom_kernel.rs runs one.
    let options =
        GpuOptions { sources: [("custom/x.wgsl".to_string(), Source::new("x.wgsl", ""))].into(), ..Default::default() };
    assert!(GpuEngine::open("gpu", options).is_ok());
}

#[test]
fn an_oversized_buffer_names_label_size_and_limit() {
    let mut engine = engine(GpuOptions { default_limits: true, ..Default::default() });
    let before = engine.allocated_bytes();
    let error = engine.alloc("D.weights of 4 clients", (160 << 20) / 4).unwrap_err().to_string();
    for part in ["D.weights of 4 clients", "160 MiB", "128 MiB", "max_storage_buffer_binding_size"] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(engine.allocated_bytes(), before);
    assert!(engine.alloc("small", 64).is_ok());
}

/// [`Fill`] with a grid that no device accepts.
struct Wide;

impl Kernel for Wide {
    type Params = FillParams;
    type Operands = Arity<1>;
    const STEM: &'static str = "util/wide";
    const FORMULA: &'static str = Fill::FORMULA;
    const BINDINGS: &'static [Binding; 1] = Fill::BINDINGS;
    fn extents(&self, p: &FillParams) -> std::result::Result<[usize; 1], String> {
        Kernel::extents(&Fill, p)
    }
    fn build(&self, _: &FillParams, _class: Class) -> Build {
        Build::plain(FILE, [65536, 1, 1])
    }
    fn cost(&self, p: &FillParams) -> Cost {
        Kernel::cost(&Fill, p)
    }
    fn at(&self, p: &FillParams, inputs: &Inputs, slot: usize, index: usize) -> Option<Eval> {
        Kernel::at(&Fill, p, inputs, slot, index)
    }
    fn cases(&self) -> Vec<FillParams> {
        Kernel::cases(&Fill)
    }
    fn contents(&self, p: &FillParams) -> [Contents; 1] {
        Kernel::contents(&Fill, p)
    }
}

#[test]
fn a_grid_beyond_the_limit_names_launch_and_kernel() {
    let mut engine = engine(GpuOptions::default());
    let y = engine.alloc("y", 64).unwrap();
    let mut recording = Recording::new();
    let params = FillParams { clients: 1, n: 64, y_stride: 64, value: 0.5 };
    recording.launch_words(&Wide, params.words(), &[y], "G.main.0 forward").unwrap();
    let error = engine.run(&recording, 1).unwrap_err().to_string();
    for part in ["G.main.0 forward", "`wide`", "65536 x 1 x 1", "65535"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_lost_device_is_an_error_at_every_call() {
    let adapter = super::super::enumerate().into_iter().find(|a| a.facts.eligible()).expect("an adapter");
    // A separate device for this test: the shared one must not be lost.
    let device = Arc::new(Device::request(&adapter, false, wgpu::Features::empty()).unwrap());
    let mut engine = GpuEngine::new(device.clone(), GpuOptions::default()).unwrap();
    let y = engine.alloc("y", 64).unwrap();
    let recording = filling(y, FillParams { clients: 1, n: 64, y_stride: 64, value: 1.0 });
    engine.run(&recording, 1).unwrap();
    device.device.destroy();
    let results = [
        engine.run(&recording, 10).err(),
        engine.write(y, &[1]).err(),
        engine.read(y, Purpose::Check).err(),
        engine.alloc("z", 64).err(),
        engine.finish().err(),
    ];
    for error in results {
        assert!(matches!(error, Some(Error::Device(_))), "{error:?}");
    }
}

#[test]
fn submissions_are_cut_at_a_tenth_of_a_second() {
    assert!(parts(&[]).is_empty());
    assert_eq!(parts(&[0.04, 0.05, 0.02, 0.3, 0.01, 0.09, 0.001]), [0..2, 2..3, 3..4, 4..6, 6..7]);
    // A tenth of a second of work on a software adapter: several submissions, in order, with the same result.
    let mut engine = engine(GpuOptions::default());
    let n = 1 << 22;
    let y = engine.alloc("y", n as usize).unwrap();
    let mut recording = Recording::new();
    let fill = |value| FillParams { clients: 1, n, y_stride: n, value };
    for value in 0..60 {
        recording.launch(&Fill, &fill(value as f32), &[y], format!("fill {value}")).unwrap();
    }
    engine.run(&recording, 2).unwrap();
    assert!(
        engine.prepared[&recording.id()].parts.len() > 1 || engine.device.facts().kind != crate::gpu::AdapterKind::Cpu
    );
    assert!(engine.read(y, Purpose::Check).unwrap().iter().all(|w| *w == 59f32.to_bits()));
}

/// Every execution runs, whether or not it is split into submissions, and the device's clock (if any) agrees with the
/// host's.
#[test]
fn timed_executions_are_those_that_were_asked_for() {
    use crate::kernels::util::step_advance::{StepAdvance, StepAdvanceParams};
    let mut engine = GpuEngine::open("gpu", GpuOptions { timestamps: true, ..Default::default() }).unwrap();
    let words = 8 << 20;
    let y = engine.alloc("y", words).unwrap();
    let [losses, steps, stats, state] = [64, 64, 64, 64].map(|words| engine.alloc("step", words).unwrap());
    let advance = StepAdvanceParams { clients: 1, loss_stride: 64, stat_stride: 64 };
    let fill = FillParams { clients: 1, n: words as u32, y_stride: words as u32, value: 1.0 };
    let mut done = 0;
    for fills in [0, 1, 20] {
        let mut recording = Recording::new();
        (0..fills).for_each(|_| recording.launch(&Fill, &fill, &[y], "fill").unwrap());
        recording.launch(&StepAdvance, &advance, &[losses, steps, stats, state], "advance").unwrap();
        for times in [1, 3] {
            let timed = engine.timed(&recording, times).unwrap();
            done += times;
            assert_eq!(engine.read(state, Purpose::Check).unwrap()[0], done);
            if let Some(device) = timed.device {
                assert!(device > 0.0 && device <= timed.wall, "{device} s on the device, {} s in all", timed.wall);
            }
            let has = engine.device.has_timestamps();
            assert!(has || timed.device.is_none());
        }
    }
    let untimed = GpuEngine::open("gpu", GpuOptions::default()).unwrap();
    assert!(!untimed.device.has_timestamps(), "timestamps are requested only where they are wanted");
}

/// Any square tile gives the same bits, and the grid shows that the chosen variant is the one that runs.
#[test]
fn a_tuned_engine_runs_the_chosen_variant_with_the_same_bits() {
    use crate::kernels::nn::conv::ConvParams;
    use crate::kernels::nn::conv2d::Conv2d;
    let p = ConvParams::new(2, 3, [8, 8, 16], [4, 4, 40], 4, 2, 1);
    let extents = Kernel::extents(&Conv2d, &p).unwrap();
    let outcome = |class, variant: Option<&str>| {
        let mut engine = engine(GpuOptions { class: Some(class), ..Default::default() });
        let mut tuning = Tuning::new(engine.device.facts());
        if let Some(variant) = variant {
            tuning.pick(&Conv2d, &ConvParams { clients: 7, ..p }.words(), variant);
        }
        engine.retune(Some(Arc::new(tuning)));
        let tensors = extents.map(|n| engine.alloc("operand", align(n)).unwrap());
        for tensor in &tensors[..2] {
            let words: Vec<u32> = (0..tensor.words).map(|i| ((i as f32 * 0.37).sin()).to_bits()).collect();
            engine.write(*tensor, &words).unwrap();
        }
        let mut recording = Recording::new();
        recording.launch(&Conv2d, &p, &tensors, "tuned").unwrap();
        engine.run(&recording, 1).unwrap();
        let grid = engine.prepared[&recording.id()].steps[0].grid;
        (grid, engine.read(tensors[2], Purpose::Check).unwrap())
    };
    let (grid, bits) = outcome(Class::Tiled, None);
    assert_eq!(grid, [2, 2, 2], "48 pixels and 40 channels in tiles of 32");
    assert!(bits.iter().any(|w| *w != 0));
    for variant in ["64x64", "128x128"] {
        assert!(outcome(Class::Tiled, Some(variant)) == ([1, 1, 2], bits.clone()), "{variant}");
    }
    assert!(outcome(Class::Tiled, Some("16x16")) == (grid, bits), "no such variant");
    assert_eq!(outcome(Class::Direct, Some("128x128")).0, outcome(Class::Direct, None).0);
}
