//! Files that NumPy made, round trips, and broken files.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::testing::{Arbitrary, bytes};
use crate::{Shape, tensor};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/npy").join(format!("{name}.npy"))
}

fn load(name: &str) -> Tensor {
    Tensor::load_npy(fixture(name)).unwrap()
}

#[test]
fn reads_what_numpy_writes() {
    for dtype in DType::ALL {
        let x = load(dtype.name());
        assert_eq!((x.dtype(), x.shape().dims()), (dtype, &[2, 3][..]));
        let expected: [i64; 6] = match dtype {
            DType::Bool => [0, 1, 0, 1, 0, 1],
            DType::I32 | DType::I64 | DType::F16 | DType::F32 | DType::F64 => [-1, 0, 1, 2, 3, 4],
            _ => [0, 1, 2, 3, 4, 5],
        };
        assert_eq!(x.astype(DType::I64).to_vec::<i64>(), expected, "{dtype}");
    }
    assert_eq!(load("i32_big").to_vec::<i32>(), [-1, 0, 1, 2, 3, 4]);
    assert_eq!(load("f64_big").to_vec::<f64>(), [-1.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(load("version2").to_vec::<i32>(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(load("version3").to_vec::<i32>(), [0, 1, 2, 3, 4, 5]);
    let fortran = load("fortran");
    assert_eq!(fortran.shape().dims(), [2, 3, 4]);
    assert_eq!(fortran.to_vec::<f32>(), (0..24).map(|i| i as f32).collect::<Vec<_>>());
    assert_eq!(load("fortran_big").to_vec::<u32>(), (0..24).collect::<Vec<u32>>());
    let scalar = load("scalar");
    assert_eq!((scalar.rank(), scalar.item::<f64>()), (0, 0.5));
    assert_eq!(load("empty").shape().dims(), [0, 3]);
}

#[test]
fn writes_what_numpy_writes() {
    for name in ["bool", "u8", "u32", "i32", "i64", "bf16", "f16", "f32", "f64", "scalar", "empty"] {
        let mut written = Vec::new();
        load(name).write_npy(&mut written).unwrap();
        assert_eq!(written, std::fs::read(fixture(name)).unwrap(), "{name}");
    }
}

#[test]
fn every_dtype_and_shape_round_trips() {
    let mut random = Arbitrary::new(4);
    for dtype in DType::ALL {
        for shape in [Shape::scalar(), Shape::from(0), Shape::from([1]), Shape::from([2, 0, 3]), Shape::from([3, 1, 5])]
        {
            let x = random.tensor(dtype, &shape);
            let mut file = Vec::new();
            x.write_npy(&mut file).unwrap();
            let header = file.len() - x.aval().bytes();
            assert!(header.is_multiple_of(64) && file[header - 1] == b'\n');
            let y = Tensor::read_npy(&file[..]).unwrap();
            assert_eq!((x.aval(), bytes(&x)), (y.aval(), bytes(&y)));
        }
    }
    // A strong constant, and several in one stream.
    let mut file = Vec::new();
    Tensor::from(2.5).write_npy(&mut file).unwrap();
    tensor![true].write_npy(&mut file).unwrap();
    let mut rest = &file[..];
    assert_eq!(Tensor::read_npy(&mut rest).unwrap().item::<f32>(), 2.5);
    assert!(Tensor::read_npy(&mut rest).unwrap().item::<bool>());
    assert!(rest.is_empty());
}

/// A file with this header and as many zeros.
fn file(header: &str, zeros: usize) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(vec![0; zeros]);
    bytes
}

fn why(bytes: &[u8]) -> String {
    Tensor::read_npy(bytes).unwrap_err().to_string()
}

#[test]
fn headers_may_be_written_in_other_ways() {
    for header in [
        "{'shape': (2, 1), 'fortran_order': True, 'descr': '<i4'}",
        "{\"descr\":\"<i4\",\"fortran_order\":False,\"shape\":(2L,1L,),}\n",
        "  { 'descr' : 'i4' , 'shape' : ( 2 , 1 ) , 'fortran_order' : False }  \0\0",
        "{'descr': '=i4', 'fortran_order': False, 'shape': (2,1), }",
    ] {
        assert_eq!(Tensor::read_npy(&file(header, 8)[..]).unwrap().shape().dims(), [2, 1], "{header}");
    }
}

#[test]
fn broken_files_are_errors() {
    let header = |descr: &str, shape: &str| format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}");
    let fails = |header: &str, text: &str| {
        let message = why(&file(header, 64));
        assert!(message.starts_with("npy: ") && message.contains(text), "{header}: {message}");
    };
    assert_eq!(why(b""), "npy: ends within its header");
    assert!(why(b"PK\x03\x04 an archive").contains(".npz"));
    assert!(why(b"\x93NUMPY\x07\x00\x00\x00").contains("version 7.0"));
    assert!(why(b"\x93NUMPY\x02\x00\xff\xff\xff\xff").contains("header of 4294967295 bytes"));
    assert!(why(b"\x93NUMPY\x01\x00\xff\xff{").contains("ends within its header"));
    assert!(why(b"\x93NUMPY\x01\x00\x02\x00\xff\xfe").contains("not text"));
    fails(&header("'<i2'", "(2,)"), "the dtype '<i2' is none that tensors have");
    fails(&header("'|O'", "(2,)"), "pickled Python objects");
    fails(&header("[('a', '<f4')]", "(2,)"), "records");
    fails(&header("'<f4'", "(2, -1)"), "'-1)");
    fails(&header("'<f4'", "(2, 1.5)"), "expected ')'");
    fails(&header("'<f4'", "2"), "expected '('");
    fails(&header("'<f4'", "(99999999999999999999999,)"), "more than memory");
    fails(&header("'<f4'", "(4294967296, 4294967296)"), "more than memory");
    fails(&header("'<f4'", "(0, 4294967296, 4294967296)"), "more than memory");
    fails(&header("'<f4'", "(9223372036854775807,)"), "more than memory");
    // Promises much, but has little: no memory is taken for what is not there.
    fails(&header("'<f4'", "(1000000000000,)"), "ends after 64 of the 4000000000000 bytes");
    fails(&header("'<f4'", &format!("({})", "1, ".repeat(65))), "more than 64 axes");
    fails("{'descr': '<f4', 'fortran_order': False}", "needs the keys");
    fails("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': ()}", "'descr' more than once");
    fails("{'what': 1}", "'what' is no key");
    fails("{'descr': '<f4', 'fortran_order': 0, 'shape': ()}", "must be True or False");
    fails("{'descr': '<f4', 'fortran_order': False, 'shape': ()} + 1", "'+ 1' follows");
    fails("{'descr", "does not end");
    let mut booleans = file(&header("'|b1'", "(2,)"), 2);
    *booleans.last_mut().unwrap() = 7;
    assert!(why(&booleans).contains("the byte 7 among booleans"));
    for name in ["i16", "record", "object"] {
        let error = Tensor::load_npy(fixture(name)).unwrap_err().to_string();
        assert!(error.starts_with("npy: ") && error.contains(&format!("{name}.npy: ")), "{error}");
    }
}

#[test]
fn files_are_replaced_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.npy");
    tensor![1, 2].save_npy(&path).unwrap();
    tensor![3].save_npy(&path).unwrap();
    assert_eq!(Tensor::load_npy(&path).unwrap().to_vec::<i32>(), [3]);
    let traced = |x: &[Tensor]| x[0].save_npy(&path).map(|()| vec![]);
    let error = crate::program::stage::stage(&[tensor![1].aval().clone()], traced).err().unwrap();
    assert!(error.to_string().contains("not known"), "{error}");
    assert_eq!(Tensor::load_npy(&path).unwrap().to_vec::<i32>(), [3]);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    // More than one array, no such file, no such directory.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.push(0);
    std::fs::write(&path, bytes).unwrap();
    assert!(Tensor::load_npy(&path).unwrap_err().to_string().contains("`read_npy` reads several"));
    assert!(matches!(Tensor::load_npy(directory.path().join("y.npy")), Err(Error::Io { .. })));
    assert!(matches!(tensor![1].save_npy(directory.path().join("no/y.npy")), Err(Error::Io { .. })));
}

proptest! {
    #[test]
    fn mutated_files_never_panic(
        which in 0..4_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = std::fs::read(fixture(["fortran", "bool", "f64_big", "version3"][which])).unwrap();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if cut {
            bytes.truncate(length.index(bytes.len()));
        }
        let _ = Tensor::read_npy(&bytes[..]);
    }

    #[test]
    fn any_header_never_panics(text in "[{}()\\[\\]',:0-9 a-zA-Z<>|-]{0,80}") {
        let _ = Tensor::read_npy(&file(&text, 8)[..]);
        let shape = format!("{{'descr': '<f4', 'fortran_order': True, 'shape': ({text}), }}");
        let _ = Tensor::read_npy(&file(&shape, 8)[..]);
    }
}
