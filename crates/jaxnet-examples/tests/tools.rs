//! Loading, plots and metrics.

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use jaxnet_examples::data::Mnist;
use jaxnet_examples::metrics::Metrics;
use jaxnet_examples::plot::{self, Curve};
use jaxnet_examples::{device, idx};
use jaxnet_tensor::{DType, Error, Tensor};
use proptest::prelude::*;
use proptest::sample::Index;

fn mnist() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mnist-10k")
}

fn zip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn file(kind: u8, dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, kind, dims.len() as u8];
    bytes.extend(dims.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn load(bytes: &[u8]) -> Result<Tensor, Error> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    idx::load(file.path())
}

#[test]
fn mnist_is_what_it_should_be() {
    let mnist = Mnist::load(mnist()).unwrap();
    assert_eq!((mnist.train.len(), mnist.test.len()), (8000, 2000));
    assert_eq!(mnist.train.images.aval().to_string(), "u8[8000,28,28]");
    assert_eq!(mnist.test.labels.aval().to_string(), "i32[2000]");
    // All digits are there, about as often, and images are dark in the corners.
    let mut counts = [0; 10];
    mnist.train.labels.to_vec::<i32>().iter().for_each(|label| counts[*label as usize] += 1);
    assert!(counts.iter().all(|count| (600..1000).contains(count)), "{counts:?}");
    let mean = mnist.train.images.astype(DType::F32).mean_axis(0).to_vec::<f32>();
    assert!(mean[0] < 1.0 && mean[14 * 28 + 14] > 80.0, "{} {}", mean[0], mean[14 * 28 + 14]);
}

#[test]
fn idx_reads_all_its_types() {
    let x = load(&file(0x08, &[2, 3], &[1, 2, 3, 4, 5, 255])).unwrap();
    assert_eq!((x.shape().dims(), x.to_vec::<u8>()), (&[2, 3][..], vec![1, 2, 3, 4, 5, 255]));
    let zipped = load(&zip(&file(0x08, &[2], &[7, 8]))).unwrap();
    assert_eq!(zipped.to_vec::<u8>(), [7, 8]);
    let shorts = load(&file(0x0B, &[2], &[0xFF, 0xFE, 1, 0])).unwrap();
    assert_eq!(shorts.to_vec::<i32>(), [-2, 256]);
    let ints = load(&file(0x0C, &[1], &(-70000_i32).to_be_bytes())).unwrap();
    assert_eq!(ints.to_vec::<i32>(), [-70000]);
    let floats = load(&file(0x0D, &[1], &1.5_f32.to_be_bytes())).unwrap();
    assert_eq!(floats.to_vec::<f32>(), [1.5]);
    let doubles = load(&file(0x0E, &[1], &0.1_f64.to_be_bytes())).unwrap();
    assert_eq!(doubles.to_vec::<f64>(), [0.1]);
    assert_eq!(load(&file(0x08, &[0, 5], &[])).unwrap().shape().dims(), [0, 5]);
    assert_eq!(load(&file(0x08, &[], &[9])).unwrap().item::<u8>(), 9);
}

#[test]
fn damaged_files_are_refused() {
    let refuse = |bytes: &[u8], part: &str| match load(bytes) {
        Err(Error::Format { format: "IDX", message }) => assert!(message.contains(part), "{message}"),
        other => panic!("{part}: {other:?}"),
    };
    refuse(&[], "header");
    refuse(&[0, 0, 8], "header");
    refuse(&[0, 0, 8, 2, 0, 0, 0, 1], "header");
    refuse(b"\x89PNG and more", "two zero bytes");
    refuse(&file(0x42, &[1], &[0]), "element type");
    refuse(&file(0x08, &[3], &[1, 2]), "only 2");
    refuse(&file(0x08, &[3], &[1, 2, 3, 4]), "more");
    // Sizes whose product overflows, and ones that would take all memory.
    refuse(&file(0x0E, &[u32::MAX; 8], &[]), "gigabyte");
    refuse(&file(0x08, &[1 << 31], &[1]), "gigabyte");
    refuse(&file(0x08, &[1 << 29], &[1]), "only 1");
    // Gzip that ends early, that is damaged inside, and whose checksum is wrong.
    let good = zip(&file(0x08, &[64], &[5; 64]));
    refuse(&good[..good.len() - 12], "");
    let mut bad = good.clone();
    let checksum = bad.len() - 6;
    bad[checksum] ^= 1;
    refuse(&bad, "");
    for place in 10..good.len() - 8 {
        let mut bad = good.clone();
        bad[place] ^= 0x55;
        assert!(load(&bad).is_err(), "byte {place}");
    }
    let missing = idx::load("no/such/file").unwrap_err();
    assert!(matches!(&missing, Error::Io { path, .. } if path.ends_with("no/such/file")), "{missing}");
}

#[test]
fn folders_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let images = |count: u32| file(0x08, &[count, 28, 28], &vec![0; count as usize * 784]);
    let refuse = |part: &str| {
        let message = Mnist::load(folder.path()).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    refuse("train-images-idx3-ubyte");
    write("t10k-images-idx3-ubyte", &images(1));
    write("t10k-labels-idx1-ubyte.gz", &zip(&file(0x08, &[1], &[9])));
    write("train-images-idx3-ubyte", &images(2));
    write("train-labels-idx1-ubyte", &file(0x08, &[3], &[0, 1, 2]));
    refuse("labels u8[n]");
    write("train-labels-idx1-ubyte", &file(0x08, &[2], &[0, 10]));
    refuse("a label 10");
    write("train-labels-idx1-ubyte", &file(0x0C, &[2], &[0; 8]));
    refuse("must be bytes");
    write("train-labels-idx1-ubyte", &file(0x08, &[2], &[0, 9]));
    assert_eq!(Mnist::load(folder.path()).unwrap().train.len(), 2);
}

#[test]
fn plots_are_png_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/plot.png");
    let points = (0..50).map(|i| (i as f64, (-i as f64 / 10.0).exp())).chain([(50.0, f64::NAN)]).collect();
    let curves = [Curve { name: "loss", points }, Curve { name: "nothing", points: vec![] }];
    plot::save(&path, "loss by step", &curves).unwrap();
    let decoder = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(&path).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    let blue = pixels.chunks(3).filter(|pixel| *pixel == [31, 119, 180]).count();
    assert!(blue > 500, "{blue} pixels of the curve");
    assert!(pixels.chunks(3).any(|pixel| pixel == [60, 60, 60]), "labels");
    // No points at all, and a single one.
    plot::save(&path, "", &[]).unwrap();
    plot::save(&path, "one", &[Curve { name: "one", points: vec![(1.0, 1.0)] }]).unwrap();
    let error = plot::save(folder.path(), "", &[]).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

#[test]
fn metrics_are_lines_of_json() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/metrics.jsonl");
    let write =
        |metrics: &mut Metrics, step: u64| metrics.write(&serde_json::json!({"step": step, "loss": 0.5})).unwrap();
    let mut metrics = Metrics::open(&path, 0).unwrap();
    for step in [10, 20, 30] {
        write(&mut metrics, step);
    }
    let line = |step: u64| format!("{{\"loss\":0.5,\"step\":{step}}}\n");
    let text = || std::fs::read_to_string(&path).unwrap();
    assert_eq!(text(), [10, 20, 30].map(line).concat());

    // Going on from a step: what came later is forgotten, and what was cut off.
    std::fs::write(&path, text() + "{\"step\":2").unwrap();
    write(&mut Metrics::open(&path, 20).unwrap(), 25);
    assert_eq!(text(), [10, 20, 25].map(line).concat());
    write(&mut Metrics::open(&path, 1000).unwrap(), 30);
    assert_eq!(text(), [10, 20, 25, 30].map(line).concat());
    write(&mut Metrics::open(&path, 0).unwrap(), 1);
    assert_eq!(text(), line(1));
    assert!(Metrics::open(folder.path(), 0).is_err());
}

#[test]
fn missing_engines_say_how_to_build_them() {
    assert_eq!(device::by_name("cpu").unwrap().to_string(), "cpu:0");
    assert!(device::by_name("abacus").unwrap_err().to_string().contains("cpu, xla and torch"));
    for (engine, built) in [("xla", cfg!(feature = "xla")), ("torch", cfg!(feature = "torch"))] {
        match device::by_name(engine) {
            Ok(device) => assert!(built && device.to_string() == format!("{engine}:0")),
            Err(error) => {
                let message = error.to_string();
                assert!(!built && message.contains(&format!("--features {engine}")), "{message}");
            }
        }
    }
}

proptest! {
    #[test]
    fn mutated_idx_files_never_panic(
        kind in prop::sample::select(vec![0x08, 0x0B, 0x0C, 0x0D, 0x0E]),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 0..5),
        length in any::<Index>(),
        (cut, zipped) in any::<(bool, bool)>(),
    ) {
        let mut bytes = file(kind, &[2, 3], &[7; 48]);
        let change = |bytes: &mut Vec<u8>| {
            for (place, byte) in &changes {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            if cut {
                bytes.truncate(length.index(bytes.len()));
            }
        };
        if zipped {
            bytes = zip(&bytes);
        }
        change(&mut bytes);
        let _ = load(&bytes);
    }

    #[test]
    fn any_idx_header_never_panics(kind in 0x08..0x10_u8, dims in prop::collection::vec(any::<u32>(), 0..9)) {
        let _ = load(&file(kind, &dims, &[0; 16]));
        let with_zero: Vec<u32> = dims.into_iter().chain([0]).collect();
        let _ = load(&file(kind, &with_zero, &[]));
    }
}
