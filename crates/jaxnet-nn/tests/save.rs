//! Files: what goes in comes out, what is broken is an error, and what was there stays until the new is whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jaxnet_nn::prelude::*;
use proptest::prelude::*;
use proptest::sample::Index;

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn files(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn net() -> Sequential {
    sequential![Dense::new(4), BatchNorm::new(), relu, sequential![Dense::new(3), Dense::new(2)]]
}

#[test]
fn every_dtype_and_shape_round_trips() {
    let directory = directory();
    let path = directory.path().join("all.safetensors");
    let x = tensor![[0.0, -1.5, 2.0], [1.0, 100.0, f32::INFINITY]];
    for dtype in DType::ALL {
        for tensor in [x.astype(dtype), x.astype(dtype).i(0_isize).i(1_isize), Tensor::zeros([0, 3]).astype(dtype)] {
            save(&tensor, &path).unwrap();
            let again: Tensor = load(&path).unwrap();
            assert_eq!(again.aval(), tensor.aval());
            assert!(again.eq(&tensor).all().item::<bool>(), "{dtype}");
            let again = load_like(&path, &tensor.zeros_like()).unwrap();
            assert!(again.eq(&tensor).all().item::<bool>(), "{dtype}");
        }
    }
    assert_eq!(files(directory.path()), ["all.safetensors"]);
}

#[derive(Tree)]
struct Training {
    vars: Vars,
    step: Tensor,
    key: Key,
    moments: Vec<(Tensor, Option<Tensor>)>,
    named: BTreeMap<String, Tensor>,
}

#[test]
fn nested_trees_round_trip() {
    let directory = directory();
    let path = directory.path().join("state");
    let training = Training {
        vars: net().init(Key::new(0), &Tensor::zeros([1, 3])),
        step: tensor![3, 4],
        key: Key::new(7),
        moments: vec![(tensor![1.0], None), (tensor![2.0], Some(tensor![3.0]))],
        named: BTreeMap::from([("a.b".to_string(), tensor![1.0]), ("__metadata__".to_string(), tensor![2.0])]),
    };
    save(&training, &path).unwrap();
    let again: Training = load(&path).unwrap();
    assert_eq!(again.vars.params.paths(), training.vars.params.paths());
    for ((name, a), (_, b)) in again.vars.params.iter().zip(training.vars.params.iter()) {
        assert_eq!(a.to_vec::<f32>(), b.to_vec::<f32>(), "{name}");
    }
    assert_eq!(again.vars.state.paths(), ["batch_norm.mean", "batch_norm.var"]);
    assert_eq!(again.step.to_vec::<i32>(), [3, 4]);
    assert_eq!(again.moments[1].1.as_ref().unwrap().to_vec::<f32>(), [3.0]);
    assert!(again.moments[0].1.is_none());
    assert_eq!(again.named["__metadata__"].to_vec::<f32>(), [2.0]);
    assert_eq!(again.key.normal([3]).to_vec::<f32>(), Key::new(7).normal([3]).to_vec::<f32>());
}

#[test]
fn equal_paths_are_told_apart() {
    let directory = directory();
    let path = directory.path().join("clash");
    let map = |entries: &[(&str, f32)]| -> BTreeMap<String, BTreeMap<String, Tensor>> {
        let inner = |(name, x): &(&str, f32)| match name.split_once('/') {
            Some((outer, inner)) => (outer.to_string(), inner.to_string(), tensor![*x]),
            None => unreachable!("names have two parts"),
        };
        let mut map: BTreeMap<String, BTreeMap<String, Tensor>> = BTreeMap::new();
        for (outer, inner, x) in entries.iter().map(inner) {
            map.entry(outer).or_default().insert(inner, x);
        }
        map
    };
    // All but the last have the path "a.b.c"; the last has the name that the second would get.
    let tree = map(&[("a/b.c", 1.0), ("a.b/c", 2.0), ("a.b/c#2", 3.0), ("/", 4.0)]);
    save(&tree, &path).unwrap();
    let again: BTreeMap<String, BTreeMap<String, Tensor>> = load(&path).unwrap();
    let values = |tree: &BTreeMap<String, BTreeMap<String, Tensor>>| -> Vec<f32> {
        tree.leaves().iter().map(|leaf| leaf.item()).collect()
    };
    assert_eq!(values(&again), values(&tree));
}

#[derive(Tree, Debug)]
struct Named {
    x: Tensor,
    #[tree(static)]
    size: usize,
}

#[test]
fn fields_that_are_no_tensors_need_a_template() {
    let directory = directory();
    let path = directory.path().join("named");
    save(&Named { x: tensor![1.0], size: 3 }, &path).unwrap();
    let error = load::<Named>(&path).unwrap_err().to_string();
    assert!(error.contains("load_like"), "{error}");
    let again = load_like(&path, &Named { x: tensor![0.0], size: 3 }).unwrap();
    assert_eq!((again.x.to_vec::<f32>(), again.size), (vec![1.0], 3));
    let error = load_like(&path, &Named { x: tensor![0.0], size: 4 }).unwrap_err().to_string();
    assert!(error.contains('3') && error.contains('4'), "{error}");
}

#[test]
fn another_models_file_is_refused_with_the_path() {
    let directory = directory();
    let path = directory.path().join("model");
    let x = Tensor::zeros([1, 3]);
    let params = net().init(Key::new(0), &x).params;
    save(&params, &path).unwrap();
    let message = |template: &Params| load_like(&path, template).unwrap_err().to_string();

    let wider = sequential![Dense::new(4), BatchNorm::new(), relu, sequential![Dense::new(3), Dense::new(5)]];
    let message_of_shape = message(&wider.init(Key::new(0), &x).params);
    assert!(message_of_shape.starts_with("sequential.dense1.kernel: expected f32[3,5]"), "{message_of_shape}");
    let deeper = sequential![Dense::new(4), BatchNorm::new(), relu, sequential![Dense::new(3), Conv::new(2, [1])]];
    let message_of_name = message(&deeper.init(Key::new(0), &Tensor::zeros([4, 3])).params);
    assert!(message_of_name.starts_with("sequential"), "{message_of_name}");
    let message_of_dtype = message(&params.map(|path, leaf| match path {
        "batch_norm.beta" => leaf.astype(DType::BF16),
        _ => leaf.clone(),
    }));
    assert_eq!(message_of_dtype, "batch_norm.beta: expected bf16[4], the file has f32[4]");
    // Another type of tree.
    let error = load::<(Tensor, Tensor)>(&path).err().unwrap().to_string();
    assert!(error.contains("tuple"), "{error}");
    // Run with them, the model that they are not of names what is missing, too.
    let error = sequential![Dense::new(4), Dense::new(1)].try_apply(&load(&path).unwrap(), &x).unwrap_err();
    assert!(error.to_string().starts_with("dense0") || error.to_string().starts_with("dense1"), "{error}");
}

#[test]
fn files_of_other_tools_are_read_by_name() {
    let directory = directory();
    let path = directory.path().join("other");
    let data: Vec<u8> = [1.0_f32, 2.0, 3.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let view = |range: std::ops::Range<usize>, shape: Vec<usize>| {
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, &data[range]).unwrap()
    };
    let write = |views: Vec<(&str, safetensors::tensor::TensorView<'_>)>| {
        fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    };
    let template = Dense::new(1).init_params(Key::new(0), &Tensor::zeros([1, 2]));
    write(vec![("bias", view(8..12, vec![1])), ("kernel", view(0..8, vec![2, 1]))]);
    let params = load_like(&path, &template).unwrap();
    assert_eq!(params["kernel"].to_vec::<f32>(), [1.0, 2.0]);
    assert_eq!(params["bias"].to_vec::<f32>(), [3.0]);
    assert!(load::<Params>(&path).unwrap_err().to_string().contains("load_like"));
    write(vec![("bias", view(8..12, vec![1]))]);
    assert!(load_like(&path, &template).unwrap_err().to_string().starts_with("kernel"));
    write(vec![("bias", view(8..12, vec![1])), ("kernel", view(0..8, vec![2, 1])), ("x", view(0..4, vec![]))]);
    assert!(load_like(&path, &template).unwrap_err().to_string().starts_with("x:"));
}

#[test]
fn a_failed_save_leaves_the_old_file() {
    let directory = directory();
    let path = directory.path().join("params");
    let params = net().init(Key::new(0), &Tensor::zeros([1, 3])).params;
    save(&params, &path).unwrap();
    let before = fs::read(&path).unwrap();
    // The values of the last leaves are not known while a function is traced, so that writing fails half way.
    let mut failure = None;
    eval_shape(
        |x: Tensor| {
            let error = save(&(params.clone(), x.clone()), &path).unwrap_err();
            assert!(!matches!(error, Error::Io { .. }), "{error}");
            x
        },
        &tensor![1.0],
    );
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(files(directory.path()), ["params"]);
    // A place where nothing can be written.
    failure = failure.or(save(&params, directory.path().join("no/such/folder")).err());
    assert!(matches!(failure, Some(Error::Io { .. })));
    assert!(matches!(save(&params, directory.path()), Err(Error::Io { .. })));
    assert_eq!(files(directory.path()), ["params"]);
    assert!(matches!(load::<Params>(directory.path().join("nothing")), Err(Error::Io { .. })));
    assert!(matches!(load::<Params>(directory.path()), Err(Error::Io { .. })));
}

#[cfg(unix)]
#[test]
fn replaced_files_keep_permissions_and_links() {
    use std::os::unix::fs::PermissionsExt;
    let directory = directory();
    let (path, link) = (directory.path().join("real"), directory.path().join("link"));
    save(&tensor![1.0], &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    save(&tensor![2.0], &link).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(load::<Tensor>(&path).unwrap().to_vec::<f32>(), [2.0]);
}

fn small() -> Vec<u8> {
    static SMALL: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    SMALL.get_or_init(make_small).clone()
}

fn make_small() -> Vec<u8> {
    let directory = directory();
    let path = directory.path().join("small");
    let tree = (Dense::new(2).init_params(Key::new(0), &Tensor::zeros([1, 2])), Key::new(1), tensor![true, false]);
    save(&tree, &path).unwrap();
    fs::read(path).unwrap()
}

type Small = (Params, Key, Tensor);

#[test]
fn every_truncation_is_an_error() {
    let directory = directory();
    let path = directory.path().join("short");
    let whole = small();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let error = load::<Small>(&path).err().unwrap_or_else(|| panic!("{length} bytes were enough"));
        assert!(matches!(error, Error::Format { .. }), "{length}: {error}");
    }
    fs::write(&path, [whole.as_slice(), &[0]].concat()).unwrap();
    assert!(load::<Small>(&path).is_err());
    fs::write(&path, &whole).unwrap();
    let (params, ..) = load::<Small>(&path).unwrap();
    assert_eq!(params.paths(), ["kernel", "bias"]);
}

proptest! {
    #[test]
    fn mutated_files_never_panic(
        flips in prop::collection::vec((any::<Index>(), 0..8_u8), 0..3),
        letters in prop::collection::vec((any::<Index>(), prop::sample::select(b"0123456789[]{}\",:".to_vec())), 0..3),
    ) {
        let path = directory();
        let path = path.path().join("mutated");
        let mut bytes = small();
        for (place, bit) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
        }
        for (place, letter) in letters {
            let place = place.index(bytes.len());
            bytes[place] = letter;
        }
        fs::write(&path, &bytes).unwrap();
        let template: Small =
            (Dense::new(2).init_params(Key::new(0), &Tensor::zeros([1, 2])), Key::new(1), tensor![true, true]);
        let _ = load::<Small>(&path);
        let _ = load_like(&path, &template);
    }
}

/// A file with this structure and one tensor.
fn with_structure(path: &Path, structure: &str) {
    let data = [0_u8; 4];
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![], &data).unwrap();
    let metadata = std::collections::HashMap::from([("jaxnet.structure".to_string(), structure.to_string())]);
    fs::write(path, safetensors::serialize([("value", view)], Some(metadata)).unwrap()).unwrap();
}

#[test]
fn hostile_structures_are_refused() {
    let directory = directory();
    let path = directory.path().join("hostile");
    with_structure(&path, r#"["leaf"]"#);
    load::<Tensor>(&path).unwrap();
    let deep = format!("[{}\"leaf\"]", r#"{"node":["option",1]},"#.repeat(100_000));
    let long = "x".repeat(10_000);
    let wide = format!(
        r#"[{{"node":["params",1]}},{{"name":"{long}"}},{{"node":["list",100000]}}{}]"#,
        r#",{"index":0},"leaf""#.repeat(100_000)
    );
    let hostile = [
        deep.as_str(),
        &wide,
        "[]",
        "{}",
        "nonsense",
        r#"["leaf","leaf"]"#,
        r#"["key"]"#,
        r#"[{"name":"a"},"leaf"]"#,
        r#"[{"node":["list",18446744073709551615]},{"index":0},"leaf"]"#,
        r#"[{"node":["list",2]},{"index":0},"leaf"]"#,
        r#"[{"node":["params",1]},"leaf"]"#,
        r#"[{"node":["params",1]},{"name":"a"},{"name":"b"},"leaf"]"#,
        r#"[{"fixed":"3"}]"#,
        r#"[{"node":["list",-1]}]"#,
    ];
    for structure in hostile {
        with_structure(&path, structure);
        let start = &structure[..structure.len().min(60)];
        assert!(load::<Tensor>(&path).is_err(), "{start}");
        let _ = load::<Params>(&path);
        let _ = load::<Vec<Tensor>>(&path);
        let _ = load::<Key>(&path);
        let _ = load::<Option<Box<Tensor>>>(&path);
        assert!(load_like(&path, &(tensor![1.0], tensor![1.0])).is_err(), "{start}");
    }
}

#[test]
fn headers_that_promise_much_are_refused() {
    let directory = directory();
    let path = directory.path().join("huge");
    for header in [
        r#"{"value":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}"#,
        r#"{"value":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}"#,
        r#"{"value":{"dtype":"U16","shape":[2],"data_offsets":[0,4]}}"#,
        r#"{"value":{"dtype":"BOOL","shape":[4],"data_offsets":[0,4]}}"#,
    ] {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend([2_u8; 4]);
        fs::write(&path, bytes).unwrap();
        let error = load_like(&path, &Tensor::zeros([4]).astype(DType::Bool)).unwrap_err();
        assert!(matches!(error, Error::Format { .. }), "{error}");
    }
    fs::write(&path, u64::MAX.to_le_bytes()).unwrap();
    assert!(matches!(load::<Tensor>(&path), Err(Error::Format { .. })));
}

#[cfg(feature = "torch")]
#[test]
fn what_was_put_on_a_device_is_put_there_again() {
    let directory = directory();
    let path = directory.path().join("pair.safetensors");
    save(&(tensor![1.0, 2.0], tensor![3.0]), &path).unwrap();
    let device = Device::torch(0).unwrap();
    let (there, free) = load_like(&path, &(tensor![0.0, 0.0].to(&device).unwrap(), tensor![0.0])).unwrap();
    assert_eq!((there.device(), there.to_vec::<f32>()), (Some(&device), vec![1.0, 2.0]));
    assert_eq!((&there * &free).device(), Some(&device));
}
