//! What is particular to the XLA engine.

#![cfg(feature = "xla")]

use std::cell::RefCell;
use std::process::{Command, Output};

use jaxnet_tensor::backend::xla::XlaBackend;
use jaxnet_tensor::primitive::{ArgKind, CompareOp, Control, CumulativeKind, Reduce, ReduceKind};
use jaxnet_tensor::program::{self, stage::Staged, stage::stage};
use jaxnet_tensor::trace::bind;
use jaxnet_tensor::{Aval, DType, Device, Program, Result, Tensor, lax, tensor};

fn vector(dtype: DType, size: usize) -> Aval {
    Aval::new(dtype, [size])
}

fn staged(avals: &[Aval], f: impl Fn(&[Tensor]) -> Result<Vec<Tensor>>) -> Staged {
    stage(avals, f).unwrap()
}

/// A program without captured tensors.
fn program(avals: &[Aval], f: impl Fn(&[Tensor]) -> Result<Vec<Tensor>>) -> Program {
    let staged = staged(avals, f);
    assert!(staged.captured.is_empty());
    staged.program
}

fn hlo(program: &Program) -> String {
    XlaBackend::hlo_text(program, &[]).unwrap()
}

#[test]
fn loops_are_computations() {
    let (count, x) = (Aval::scalar(DType::I32), vector(DType::F32, 3));
    let carry = [count, x];
    let cond = program(&carry, |x| Ok(vec![lax::compare(CompareOp::Lt, &x[0], &Tensor::scalar(3))?]));
    let body = program(&carry, |x| Ok(vec![&x[0] + 1, x[1].sin()]));
    let control = Control::While { cond, body, cond_consts: 0, body_consts: 0 };
    let whole = program(&carry, |x| Ok(bind(&control.clone().into(), x)?.into_vec()));
    assert_eq!(
        hlo(&whole),
        "HloModule program

condition {
  state.0 = (s32[], f32[3]) parameter(0)
  element.1 = s32[] get-tuple-element(state.0), index=0
  element.2 = f32[3] get-tuple-element(state.0), index=1
  constant.3 = s32[] constant(3)
  ROOT compare.4 = pred[] compare(element.1, constant.3), direction=LT
}

body {
  state.0 = (s32[], f32[3]) parameter(0)
  element.1 = s32[] get-tuple-element(state.0), index=0
  element.2 = f32[3] get-tuple-element(state.0), index=1
  constant.3 = s32[] constant(1)
  add.4 = s32[] add(element.1, constant.3)
  sine.5 = f32[3] sine(element.2)
  ROOT tuple.6 = (s32[], f32[3]) tuple(add.4, sine.5)
}

ENTRY main {
  p0 = s32[] parameter(0)
  p1 = f32[3] parameter(1)
  tuple.2 = (s32[], f32[3]) tuple(p0, p1)
  while.3 = (s32[], f32[3]) while(tuple.2), condition=condition, body=body
  element.4 = s32[] get-tuple-element(while.3), index=0
  element.5 = f32[3] get-tuple-element(while.3), index=1
  ROOT tuple.6 = (s32[], f32[3]) tuple(element.4, element.5)
}
"
    );
}

#[test]
fn branches_are_computations() {
    let x = [vector(DType::F32, 2)];
    let branches = vec![program(&x, |x| Ok(vec![x[0].exp()])), program(&x, |x| Ok(vec![-&x[0]]))];
    let control = Control::Cond { branches };
    let whole =
        program(&[Aval::scalar(DType::I32), x[0].clone()], |x| Ok(bind(&control.clone().into(), x)?.into_vec()));
    assert_eq!(
        hlo(&whole),
        "HloModule program

branch {
  state.0 = (f32[2]) parameter(0)
  element.1 = f32[2] get-tuple-element(state.0), index=0
  exponential.2 = f32[2] exponential(element.1)
  ROOT tuple.3 = (f32[2]) tuple(exponential.2)
}

branch.2 {
  state.0 = (f32[2]) parameter(0)
  element.1 = f32[2] get-tuple-element(state.0), index=0
  negate.2 = f32[2] negate(element.1)
  ROOT tuple.3 = (f32[2]) tuple(negate.2)
}

ENTRY main {
  p0 = s32[] parameter(0)
  p1 = f32[2] parameter(1)
  constant.2 = s32[] constant(0)
  constant.3 = s32[] constant(1)
  clamp.4 = s32[] clamp(constant.2, p0, constant.3)
  tuple.5 = (f32[2]) tuple(p1)
  tuple.6 = (f32[2]) tuple(p1)
  conditional.7 = (f32[2]) conditional(clamp.4, tuple.5, tuple.6), branch_computations={branch, branch.2}
  ROOT element.8 = f32[2] get-tuple-element(conditional.7), index=0
}
"
    );
}

#[test]
fn scans_are_loops_over_slices() {
    let x = Aval::scalar(DType::F32);
    let body = program(&[x.clone(), x.clone()], |x| Ok(vec![&x[0] + &x[1], &x[0] * 2.0]));
    let control = Control::Scan { body, length: 4, reverse: false, consts: 0, carry: 1 };
    let whole = program(&[x, vector(DType::F32, 4)], |x| Ok(bind(&control.clone().into(), x)?.into_vec()));
    assert_eq!(
        hlo(&whole),
        "HloModule program

condition {
  state.0 = (s64[], f32[], f32[4], f32[4]) parameter(0)
  element.1 = s64[] get-tuple-element(state.0), index=0
  element.2 = f32[] get-tuple-element(state.0), index=1
  element.3 = f32[4] get-tuple-element(state.0), index=2
  element.4 = f32[4] get-tuple-element(state.0), index=3
  constant.5 = s64[] constant(4)
  ROOT compare.6 = pred[] compare(element.1, constant.5), direction=LT
}

step {
  state.0 = (s64[], f32[], f32[4], f32[4]) parameter(0)
  element.1 = s64[] get-tuple-element(state.0), index=0
  element.2 = f32[] get-tuple-element(state.0), index=1
  element.3 = f32[4] get-tuple-element(state.0), index=2
  element.4 = f32[4] get-tuple-element(state.0), index=3
  constant.5 = s64[] constant(0)
  dynamic-slice.6 = f32[1] dynamic-slice(element.3, element.1), dynamic_slice_sizes={1}
  reshape.7 = f32[] reshape(dynamic-slice.6)
  add.8 = f32[] add(element.2, reshape.7)
  constant.9 = f32[] constant(2)
  multiply.10 = f32[] multiply(element.2, constant.9)
  constant.11 = s64[] constant(1)
  add.12 = s64[] add(element.1, constant.11)
  reshape.13 = f32[1] reshape(multiply.10)
  dynamic-update-slice.14 = f32[4] dynamic-update-slice(element.4, reshape.13, element.1)
  ROOT tuple.15 = (s64[], f32[], f32[4], f32[4]) tuple(add.12, add.8, element.3, dynamic-update-slice.14)
}

ENTRY main {
  p0 = f32[] parameter(0)
  p1 = f32[4] parameter(1)
  constant.2 = f32[] constant(0)
  broadcast.3 = f32[4] broadcast(constant.2), dimensions={}
  constant.4 = s64[] constant(0)
  tuple.5 = (s64[], f32[], f32[4], f32[4]) tuple(constant.4, p0, p1, broadcast.3)
  while.6 = (s64[], f32[], f32[4], f32[4]) while(tuple.5), condition=condition, body=step
  element.7 = s64[] get-tuple-element(while.6), index=0
  element.8 = f32[] get-tuple-element(while.6), index=1
  element.9 = f32[4] get-tuple-element(while.6), index=2
  element.10 = f32[4] get-tuple-element(while.6), index=3
  ROOT tuple.11 = (f32[], f32[4]) tuple(element.8, element.10)
}
"
    );
}

#[test]
fn reductions_share_computations() {
    let whole = program(&[Aval::new(DType::I32, [2, 3])], |x| {
        let first = Reduce::Arg { kind: ArgKind::Max, axis: 1, dtype: DType::I32 };
        Ok(vec![
            lax::reduce(ReduceKind::Sum, &x[0], &[0])?,
            lax::reduce(ReduceKind::Sum, &x[0], &[1])?,
            bind(&first.into(), x)?.remove(0),
            bind(&Reduce::Cumulative { kind: CumulativeKind::Sum, axis: 1, reverse: false }.into(), x)?.remove(0),
        ])
    });
    assert_eq!(
        hlo(&whole),
        "HloModule program

add_s32 {
  p0 = s32[] parameter(0)
  p1 = s32[] parameter(1)
  ROOT add.2 = s32[] add(p0, p1)
}

greatest {
  p0 = s32[] parameter(0)
  p1 = s32[] parameter(1)
  p2 = s32[] parameter(2)
  p3 = s32[] parameter(3)
  compare.4 = pred[] compare(p0, p2), direction=GT
  compare.5 = pred[] compare(p0, p2), direction=EQ
  compare.6 = pred[] compare(p1, p3), direction=LT
  and.7 = pred[] and(compare.5, compare.6)
  or.8 = pred[] or(compare.4, and.7)
  select.9 = s32[] select(or.8, p0, p2)
  select.10 = s32[] select(or.8, p1, p3)
  ROOT tuple.11 = (s32[], s32[]) tuple(select.9, select.10)
}

ENTRY main {
  p0 = s32[2,3] parameter(0)
  constant.1 = s32[] constant(0)
  reduce.2 = s32[3] reduce(p0, constant.1), dimensions={0}, to_apply=add_s32
  reduce.3 = s32[2] reduce(p0, constant.1), dimensions={1}, to_apply=add_s32
  iota.4 = s32[2,3] iota(), iota_dimension=1
  constant.5 = s32[] constant(-2147483648)
  constant.6 = s32[] constant(2147483647)
  reduce.7 = (s32[2], s32[2]) reduce(p0, iota.4, constant.5, constant.6), dimensions={1}, to_apply=greatest
  element.8 = s32[2] get-tuple-element(reduce.7), index=0
  element.9 = s32[2] get-tuple-element(reduce.7), index=1
  pad.10 = s32[2,3] pad(p0, constant.1), padding=0_0_0x1_-1_0
  add.11 = s32[2,3] add(pad.10, p0)
  pad.12 = s32[2,3] pad(add.11, constant.1), padding=0_0_0x2_-2_0
  add.13 = s32[2,3] add(pad.12, add.11)
  ROOT tuple.14 = (s32[3], s32[2], s32[2], s32[2,3]) tuple(reduce.2, reduce.3, element.9, add.13)
}
"
    );
}

#[test]
fn tensors_are_arguments_and_not_text() {
    let big = Tensor::range(100_000).astype(DType::F32);
    let staged = staged(&[vector(DType::F32, 100_000)], |x| Ok(vec![&x[0] * &big + 1.0]));
    assert_eq!((staged.program.inputs().len(), staged.captured.len()), (2, 1));
    let text = hlo(&staged.program);
    assert!(text.contains("p1 = f32[100000] parameter(1)") && text.len() < 1000, "{text}");
}

thread_local! {
    /// The names of the modules that this thread has compiled.
    static COMPILED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Keeps what the engine says about compiling.
struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let text = record.args().to_string();
        if let Some((_, module)) = text.split_once("HloModule ") {
            let name = module.split([',', '\n']).next().unwrap_or_default().to_string();
            COMPILED.with_borrow_mut(|compiled| compiled.push(name));
        }
    }

    fn flush(&self) {}
}

/// The modules that are compiled when `f` runs.
fn compiled(f: impl FnOnce()) -> Vec<String> {
    // It may be set already.
    let _ = log::set_logger(&Log);
    log::set_max_level(log::LevelFilter::Debug);
    COMPILED.take();
    f();
    COMPILED.take()
}

#[test]
fn operations_compile_once_for_each_signature() {
    let device = Device::xla(0).unwrap();
    // Shapes that no other test uses.
    let (x, y) = (Tensor::ones([3, 17]).to(&device).unwrap(), Tensor::ones([17, 3]).to(&device).unwrap());
    let steps = |x: &Tensor| drop(x.tan().tan());
    assert_eq!(compiled(|| steps(&x)), ["tan"]);
    assert_eq!(compiled(|| steps(&x)), [""; 0]);
    assert_eq!(compiled(|| steps(&y)), ["tan"]);
    assert_eq!(compiled(|| steps(&x.astype(DType::F64))), ["convert", "tan"]);
    // Constants are operands.
    assert_eq!(compiled(|| drop((&x + 1.0, &x + 2.0, &x + 3.0))), ["add"]);
}

#[test]
fn programs_compile_once_for_each_mask_of_donated_inputs() {
    let device = Device::xla(0).unwrap();
    let there = |x: f32| Tensor::full([23], x, DType::F32).to(&device).unwrap();
    let run = |inputs: Vec<Tensor>| {
        let both = program(&[vector(DType::F32, 23), vector(DType::F32, 23)], |x| Ok(vec![&x[0] - &x[1]]));
        assert_eq!(program::run(&both, inputs).unwrap()[0].to_vec::<f32>(), [3.0; 23]);
    };
    let (x, y) = (there(5.0), there(2.0));
    assert_eq!(compiled(|| run(vec![x.clone(), y.clone()])), ["program"]);
    assert_eq!(compiled(|| run(vec![x.clone(), y.clone()])), [""; 0]);
    assert_eq!(compiled(|| run(vec![there(5.0), y.clone()])), ["program"]);
    assert_eq!(compiled(|| run(vec![there(5.0), y.clone()])), [""; 0]);
    assert_eq!(compiled(|| run(vec![there(5.0), there(2.0)])), ["program"]);
    assert_eq!(compiled(|| run(vec![x.clone(), y.clone()])), [""; 0]);
    // Of inputs that no result can take over it does not matter who holds them. Constants are nobody's, so that the
    // first step of a loop, whose counter is still one, is compiled as the others.
    let scaled = |inputs: Vec<Tensor>| {
        let avals = [vector(DType::F32, 23), vector(DType::F32, 29), Aval::scalar(DType::I32)];
        let step = program(&avals, |x| Ok(vec![&x[0] * x[1].sum(), &x[2] + 1]));
        drop(program::run(&step, inputs).unwrap());
    };
    let batch = Tensor::ones([29]).to(&device).unwrap();
    let counter = || Tensor::scalar(3).to(&device).unwrap();
    assert_eq!(compiled(|| scaled(vec![there(5.0), batch.clone(), Tensor::scalar(0)])), ["program"]);
    assert_eq!(compiled(|| scaled(vec![there(5.0), batch.clone(), counter()])), [""; 0]);
    assert_eq!(compiled(|| scaled(vec![there(5.0), batch, counter()])), [""; 0]);
    let aliases = |donated: &[bool]| {
        let both = program(&[vector(DType::F32, 23), vector(DType::F32, 23)], |x| Ok(vec![&x[0] - &x[1]]));
        let text = XlaBackend::hlo_text(&both, donated).unwrap();
        text.lines().next().unwrap_or_default().to_string()
    };
    assert_eq!(aliases(&[false, false]), "HloModule program");
    assert_eq!(aliases(&[true, true]), "HloModule program, input_output_alias={ {}: (0, {}, may-alias) }");
    assert_eq!(aliases(&[false, true]), "HloModule program, input_output_alias={ {}: (1, {}, may-alias) }");
}

const CHILD: &str = "JAXNET_TEST_CHILD";

/// Whether this is the process that a test has started.
fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs one of these tests in a process of its own, with these variables; without those set to nothing.
fn in_process(test: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    for (name, value) in variables {
        if value.is_empty() {
            command.env_remove(name)
        } else {
            command.env(name, value)
        };
    }
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{test}:\n{}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("1 passed"), "{}", text(&output.stdout));
    output
}

#[test]
fn several_cpu_devices_are_in_one_process() {
    if !is_child() {
        let flags = "--xla_force_host_platform_device_count=4";
        in_process("several_cpu_devices_are_in_one_process", &[("XLA_FLAGS", flags)]);
        return;
    }
    let devices: Vec<Device> = (0..4).map(|i| Device::xla(i).unwrap()).collect();
    let error = Device::xla(4).unwrap_err().to_string();
    assert!(error.contains("xla:4") && error.contains("device_count=5"), "{error}");
    let double = program(&[vector(DType::F32, 2)], |x| Ok(vec![&x[0] * 2.0]));
    // At the same time, eagerly and compiled.
    std::thread::scope(|scope| {
        for (i, device) in devices.iter().enumerate() {
            let double = &double;
            scope.spawn(move || {
                let x = tensor![1.0, i as f32].to(device).unwrap();
                for _ in 0..10 {
                    let y = &x + 1.0;
                    assert_eq!((y.device(), y.to_vec::<f32>()), (Some(device), vec![2.0, i as f32 + 1.0]));
                    let z = program::run(double, vec![y]).unwrap().remove(0);
                    assert_eq!((z.device(), z.to_vec::<f32>()), (Some(device), vec![4.0, 2.0 * i as f32 + 2.0]));
                }
            });
        }
    });
    let (x, y) = (tensor![1.0, 2.0].to(&devices[1]).unwrap(), tensor![1.0, 2.0].to(&devices[3]).unwrap());
    let error = lax::binary(jaxnet_tensor::primitive::BinaryOp::Add, &x, &y).unwrap_err().to_string();
    assert!(error.contains("xla:1") && error.contains("xla:3"), "{error}");
    assert_eq!((&x.to(&devices[3]).unwrap() + &y).to_vec::<f32>(), [2.0, 4.0]);
}

/// Asks for nothing. (The second keeps TensorFlow's libraries from greeting when they are loaded, which is
/// before the program begins, and is among this workspace's settings.)
const UNASKED: [(&str, &str); 2] = [("TF_CPP_MIN_LOG_LEVEL", ""), ("TF_ENABLE_ONEDNN_OPTS", "0")];

#[test]
fn nothing_is_logged_unless_asked_for() {
    if !is_child() {
        let output = in_process("nothing_is_logged_unless_asked_for", &UNASKED);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        return;
    }
    let x = tensor![1.0, 2.0].to(&Device::xla(0).unwrap()).unwrap();
    assert_eq!((&x + &x).to_vec::<f32>(), [2.0, 4.0]);
    if let Some(plugin) = plugin() {
        let x = tensor![1.0, 2.0].to(&Device::xla_plugin("cpu", plugin, 0).unwrap()).unwrap();
        assert_eq!((&x + &x).to_vec::<f32>(), [2.0, 4.0]);
    }
}

#[test]
fn logs_that_are_asked_for_come() {
    if !is_child() {
        let asked = [("TF_CPP_MIN_LOG_LEVEL", "0"), ("TF_CPP_MAX_VLOG_LEVEL", "1"), ("TF_ENABLE_ONEDNN_OPTS", "0")];
        let output = in_process("logs_that_are_asked_for_come", &asked);
        assert!(!output.stderr.is_empty());
        return;
    }
    let x = tensor![1.0, 2.0].to(&Device::xla(0).unwrap()).unwrap();
    assert_eq!((&x + &x).to_vec::<f32>(), [2.0, 4.0]);
}

/// The library of a plugin, which `cargo xtask setup xla` fetches; those who have XLA from elsewhere may lack it.
fn plugin() -> Option<String> {
    let path = std::env::var("JAXNET_PJRT_CPU_PLUGIN").expect("cargo sets it");
    if std::path::Path::new(&path).exists() {
        return Some(path);
    }
    let library = std::env::var("XLA_EXTENSION_DIR").expect("cargo sets it");
    assert!(
        !std::path::Path::new(&library).ends_with("target/native/xla_extension"),
        "there is no {path}; `cargo xtask setup xla` fetches it"
    );
    eprintln!("skipped: there is no {path}");
    None
}

#[test]
fn plugins_bring_devices() {
    let Some(path) = plugin() else { return };
    let device = Device::xla_plugin("cpu", &path, 0).unwrap();
    assert_eq!((device.to_string(), &device), ("xla_cpu:0".into(), &Device::xla_plugin("cpu", &path, 0).unwrap()));
    let there = |x: &Tensor| x.to(&device).unwrap();
    // Eagerly, and there and back in every dtype.
    for dtype in DType::ALL {
        let x = Tensor::range(6).astype(dtype).reshape([2, 3]);
        let y = there(&x);
        assert_eq!((y.device(), y.dtype()), (Some(&device), dtype));
        let (x, y) = (x.transpose([1, 0]).astype(DType::F64), y.transpose([1, 0]).astype(DType::F64));
        assert_eq!(y.to_vec::<f64>(), x.to_vec::<f64>());
    }
    // Compiled, with a loop, inputs that are given away and inputs that are kept.
    let (count, x) = (Aval::scalar(DType::I32), vector(DType::F32, 3));
    let carry = [count.clone(), x.clone()];
    let cond = program(&carry, |x| Ok(vec![lax::compare(CompareOp::Lt, &x[0], &Tensor::scalar(3))?]));
    let body = program(&carry, |x| Ok(vec![&x[0] + 1, &x[1] * 2.0]));
    let control = Control::While { cond, body, cond_consts: 0, body_consts: 0 };
    let whole = program(&[count, x], |x| Ok(bind(&control.clone().into(), x)?.into_vec()));
    let kept = there(&tensor![1.0, 2.0, 3.0]);
    for _ in 0..2 {
        let results = program::run(&whole, vec![there(&Tensor::from(0)), kept.clone()]).unwrap();
        assert_eq!(results[1].to_vec::<f32>(), [8.0, 16.0, 24.0]);
    }
    let results = program::run(&whole, vec![there(&Tensor::from(1)), kept]).unwrap();
    assert_eq!((results[0].item::<i32>(), results[1].to_vec::<f32>()), (3, vec![4.0, 8.0, 12.0]));
    // It is another device than XLA's own.
    let own = tensor![1.0].to(&Device::xla(0).unwrap()).unwrap();
    let error = lax::binary(jaxnet_tensor::primitive::BinaryOp::Add, &own, &there(&tensor![1.0])).unwrap_err();
    assert!(error.to_string().contains("xla_cpu:0") && error.to_string().contains("xla:0"), "{error}");
    assert_eq!((own.to(&device).unwrap() + there(&tensor![1.0])).to_vec::<f32>(), [2.0]);
}

#[test]
fn what_is_no_plugin_is_refused() {
    let refused = |name: &str, path: &str, index: usize| {
        let error = Device::xla_plugin(name, path, index).unwrap_err().to_string();
        assert!(error.contains(&format!("xla_{name}:{index}")), "{error}");
        error
    };
    let text = refused("cuda", "/no/such/xla_cuda_plugin.so", 0);
    assert!(text.contains("/no/such/xla_cuda_plugin.so") && text.contains("pip install"), "{text}");
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let text = refused("cuda", manifest, 0);
    assert!(text.contains(manifest), "{text}");
    let text = refused("no plugin", "/no/such/xla_cuda_plugin.so", 0);
    assert!(text.contains("small letters"), "{text}");
    if let Some(path) = plugin() {
        let text = refused("cpu", &path, 1);
        assert!(text.contains("only the first device") || text.contains("has 1 device(s)"), "{text}");
        let text = refused("cpu", &path, 63);
        assert!(text.contains(&path) && text.contains(" device(s)"), "{text}");
        assert!(refused("cpu", &path, 64).contains("never more"));
        // A failed attempt leaves nothing behind.
        refused("cpu", manifest, 0);
        Device::xla_plugin("cpu", &path, 0).unwrap();
    }
}
