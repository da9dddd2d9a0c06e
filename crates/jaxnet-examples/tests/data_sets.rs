//! CIFAR-10's files, folders of images and sounds: what is read, what is refused, and programs that learn from them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hound::{SampleFormat, WavSpec, WavWriter};
use jaxnet_examples::audio::{Clip, Windows};
use jaxnet_examples::cifar::Cifar10;
use jaxnet_examples::folder::ImageFolder;
use jaxnet_examples::synthetic::Mosaics;
use jaxnet_nn::train::Dataset;
use jaxnet_tensor::{Error, Key, Result};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn refused<T>(result: Result<T>, parts: &[&str]) {
    let message = result.err().expect("an error").to_string();
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
}

/// Runs a program for two steps, on two images at a time.
fn run(program: &str, out: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(["--fast", "--steps", "2"]).arg("--out").arg(out).args(flags).output().expect("the program starts")
}

fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn fails(output: &Output, part: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains(part) && !text.contains("panicked"), "{text}");
}

/// An image whose red says how far down a pixel is, green how far right, and blue which class it is.
fn record(class: u8) -> Vec<u8> {
    let plane = |value: fn(usize, usize) -> usize| (0..1024).map(move |i| value(i / 32, i % 32) as u8);
    let blue = std::iter::repeat_n(class * 20, 1024);
    std::iter::once(class).chain(plane(|y, _| 8 * y)).chain(plane(|_, x| 7 * x)).chain(blue).collect()
}

fn write_cifar(folder: &Path) {
    let records = |classes: &[u8]| classes.iter().flat_map(|class| record(*class)).collect::<Vec<_>>();
    fs::write(folder.join("data_batch_1.bin"), records(&[3, 9])).unwrap();
    fs::write(folder.join("data_batch_2.bin"), records(&[0, 5, 1])).unwrap();
    fs::write(folder.join("test_batch.bin"), records(&[7, 2])).unwrap();
}

#[test]
fn cifar10_is_read_plane_by_plane() {
    let folder = folder();
    write_cifar(folder.path());
    let data = Cifar10::load(folder.path()).unwrap();
    assert_eq!(data.train.labels.to_vec::<i32>(), [3, 9, 0, 5, 1]);
    assert_eq!(data.test.labels.to_vec::<i32>(), [7, 2]);
    assert_eq!(data.train.images.shape().dims(), [5, 32, 32, 3]);
    let pixel = |i: isize, y: isize, x: isize| data.train.images.i((i, y, x)).to_vec::<u8>();
    assert_eq!(pixel(1, 0, 31), [0, 217, 180]);
    assert_eq!(pixel(3, 31, 2), [248, 14, 100]);
}

#[test]
fn damaged_cifar10_is_refused() {
    let folder = folder();
    let load = || Cifar10::load(folder.path());
    assert!(matches!(load(), Err(Error::Io { path, .. }) if path.ends_with("data_batch_1.bin")));
    write_cifar(folder.path());
    let second = folder.path().join("data_batch_2.bin");
    let whole = fs::read(&second).unwrap();
    fs::write(&second, &whole[..whole.len() - 1]).unwrap();
    refused(load(), &["data_batch_2.bin", "after 2 images there are 3072 bytes more", "cut off"]);
    fs::write(&second, [&whole[..], &[1]].concat()).unwrap();
    refused(load(), &["data_batch_2.bin", "after 3 images there are 1 bytes more"]);
    fs::write(&second, []).unwrap();
    refused(load(), &["data_batch_2.bin", "empty"]);
    let mut wrong = whole.clone();
    wrong[3073] = 10;
    fs::write(&second, wrong).unwrap();
    refused(load(), &["data_batch_2.bin", "image 1 is of class 10"]);
    fs::write(&second, whole).unwrap();
    fs::remove_file(folder.path().join("test_batch.bin")).unwrap();
    refused(load(), &["test_batch.bin"]);
}

#[test]
fn pixelcnn_learns_from_cifar10() {
    let folder = folder();
    write_cifar(folder.path());
    let (data, out) = (folder.path().to_str().unwrap(), folder.path().join("out"));
    let flags = ["--data", data, "--halvings", "3", "--filters", "2", "--batch-size", "2", "--draw", "2"];
    succeeds(&run(env!("CARGO_BIN_EXE_pixelcnn"), &out, &flags));
    let decoder = png::Decoder::new(std::io::BufReader::new(fs::File::open(out.join("samples.png")).unwrap()));
    let reader = decoder.read_info().unwrap();
    // Two images of 4 by 4 pixels, one above the other, with lines around them, four times as large.
    assert_eq!((reader.info().width, reader.info().height), (4 * 6, 4 * 11));

    let flags = [&flags[..5], &["1", "--batch-size", "6"]].concat();
    fails(&run(env!("CARGO_BIN_EXE_pixelcnn"), &out, &flags), "6 is more than the 5 training images");
    fs::write(folder.path().join("test_batch.bin"), &record(1)[..3000]).unwrap();
    fails(&run(env!("CARGO_BIN_EXE_pixelcnn"), &out, &flags), "test_batch.bin: an image has 3073 bytes");
}

/// An image in one colour, by the name's ending.
fn paint(path: PathBuf, width: u32, height: u32, color: [u8; 3]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::RgbImage::from_pixel(width, height, image::Rgb(color)).save(path).unwrap();
}

#[test]
fn folders_of_images_are_classes_by_name() {
    let folder = folder();
    paint(folder.path().join("zebra/2.png"), 40, 10, [255, 0, 0]);
    paint(folder.path().join("zebra/1.jpg"), 8, 30, [0, 255, 0]);
    paint(folder.path().join("ant/only.PNG"), 16, 16, [0, 0, 255]);
    // In grey with 16 bits, a JPEG by another name, and what is left out.
    let grey = image::ImageBuffer::<image::Luma<u16>, _>::from_pixel(5, 5, image::Luma([32896]));
    grey.save(folder.path().join("ant/grey.png")).unwrap();
    fs::rename(folder.path().join("zebra/1.jpg"), folder.path().join("zebra/1.png")).unwrap();
    fs::write(folder.path().join("ant/notes.txt"), "ants").unwrap();
    fs::write(folder.path().join("ant/.hidden.png"), "no image").unwrap();
    fs::create_dir(folder.path().join(".cache")).unwrap();
    fs::write(folder.path().join("LICENSE"), "free").unwrap();

    let images = ImageFolder::open(folder.path(), 12).unwrap();
    assert_eq!(images.classes(), ["ant", "zebra"]);
    assert_eq!(images.rows(), 4);
    let batch = images.batch(&[3, 0, 1, 2]).unwrap();
    assert_eq!(batch.images.shape().dims(), [4, 12, 12, 3]);
    assert_eq!(batch.labels.to_vec::<i32>(), [1, 0, 0, 1]);
    for (i, color) in [[255, 0, 0], [128, 128, 128], [0, 0, 255], [0, 255, 0]].into_iter().enumerate() {
        let pixels = batch.images.i(i as isize).to_vec::<u8>();
        let far = pixels.iter().zip(color.iter().cycle()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(far.unwrap() <= 2, "image {i} is up to {far:?} from {color:?}");
    }
}

#[test]
fn images_are_scaled_and_cut_around_the_middle() {
    let folder = folder();
    let path = folder.path().join("class/wide.png");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // Three squares side by side, of which the middle one remains.
    let color = |x: u32, _| image::Rgb([[9, 9, 9], [50, 100, 200], [9, 9, 9]][x as usize / 20]);
    image::RgbImage::from_fn(60, 20, color).save(path).unwrap();
    let pixels = ImageFolder::open(folder.path(), 10).unwrap().batch(&[0]).unwrap().images;
    assert_eq!(pixels.i((0, 1..9, 1..9)).to_vec::<u8>(), [50, 100, 200].repeat(64));
}

#[test]
fn folders_without_images_are_refused() {
    let folder = folder();
    refused(ImageFolder::open(folder.path().join("nowhere"), 8), &["nowhere"]);
    refused(ImageFolder::open(folder.path(), 8), &["needs a folder for each class"]);
    paint(folder.path().join("flat.png"), 4, 4, [1, 2, 3]);
    refused(ImageFolder::open(folder.path(), 8), &["needs a folder for each class"]);
    paint(folder.path().join("a/good.png"), 4, 4, [1, 2, 3]);
    fs::create_dir(folder.path().join("b")).unwrap();
    refused(ImageFolder::open(folder.path(), 8), &["/b: no .png"]);
    // Damaged images, which are found when they are read.
    let good = fs::read(folder.path().join("a/good.png")).unwrap();
    fs::write(folder.path().join("b/bad.png"), &good[..good.len() / 2]).unwrap();
    refused(ImageFolder::open(folder.path(), 8).unwrap().batch(&[0, 1]), &["bad.png"]);
    fs::write(folder.path().join("b/bad.png"), "text").unwrap();
    refused(ImageFolder::open(folder.path(), 8).unwrap().batch(&[1]), &["bad.png"]);
}

#[test]
fn resnet50_learns_from_a_folder() {
    let folder = folder();
    let data = folder.path().join("data");
    paint(data.join("red/1.png"), 40, 40, [255, 0, 0]);
    paint(data.join("red/2.png"), 40, 40, [230, 0, 0]);
    paint(data.join("green/1.jpg"), 40, 40, [0, 255, 0]);
    let flags = ["--data", data.to_str().unwrap(), "--size", "32", "--batch-size", "2"];
    let text = succeeds(&run(env!("CARGO_BIN_EXE_resnet50"), &folder.path().join("out"), &flags));
    assert!(text.contains("3 images of 2 classes") && text.contains("images/s"), "{text}");
    fs::write(data.join("red/1.png"), "text").unwrap();
    fails(&run(env!("CARGO_BIN_EXE_resnet50"), &folder.path().join("out"), &flags), "red/1.png");
}

#[test]
fn mosaics_are_squares_of_any_size() {
    let mosaics = |size: usize| Mosaics::new(Key::new(3), 5, size, 7).batch(&[4, 1]).unwrap();
    let (small, large) = (mosaics(8), mosaics(20));
    assert_eq!(small.labels.to_vec::<i32>(), large.labels.to_vec::<i32>());
    // 2.5 pixels a square: the sixth square begins at 12.5.
    assert_eq!(large.images.i((0, 12, 13)).to_vec::<u8>(), small.images.i((0, 4, 5)).to_vec::<u8>());
    let colors = small.images.to_vec::<u8>();
    assert!(colors.iter().any(|color| *color > 230) && colors.iter().any(|color| *color < 25));
    // Fewer pixels than squares.
    assert_eq!(mosaics(3).images.shape().dims(), [2, 3, 3, 3]);
}

/// A WAV file of these values, channel after channel.
fn write_wav<S: hound::Sample + Copy>(path: &Path, spec: WavSpec, values: &[S]) {
    let mut writer = WavWriter::create(path, spec).unwrap();
    values.iter().for_each(|value| writer.write_sample(*value).unwrap());
    writer.finalize().unwrap();
}

#[test]
fn sounds_of_all_kinds_are_read() {
    let folder = folder();
    let path = folder.path().join("sound.wav");
    let spec = |channels, bits_per_sample, sample_format| WavSpec {
        channels,
        sample_rate: 11025,
        bits_per_sample,
        sample_format,
    };
    // What a sample of 16 bits is as a number.
    let number = |level: f64| ((level + 0.5) / 32767.5) as f32;
    let samples = || Clip::load(&path).unwrap().samples;
    write_wav(&path, spec(1, 16, SampleFormat::Int), &[-32768_i16, 0, 5, 32767]);
    assert_eq!(samples(), [-1.0, number(0.0), number(5.0), 1.0]);
    assert_eq!(Clip::load(&path).unwrap().rate, 11025);
    write_wav(&path, spec(1, 8, SampleFormat::Int), &[-128_i8, 0, 127]);
    assert_eq!(samples(), [-1.0, number(0.0), number(127.0 * 256.0)]);
    write_wav(&path, spec(2, 24, SampleFormat::Int), &[256_i32, 768, -8388608, 8388607]);
    assert_eq!(samples(), [number(2.0), number(0.0)]);
    write_wav(&path, spec(1, 32, SampleFormat::Float), &[0.5_f32, 2.0, -2.0]);
    assert_eq!(samples(), [number(16384.0), 1.0, -1.0]);
    write_wav::<i16>(&path, spec(1, 16, SampleFormat::Int), &[]);
    assert_eq!(samples(), [0.0; 0]);
}

#[test]
fn what_is_no_sound_is_refused() {
    let folder = folder();
    let path = folder.path().join("sound.wav");
    assert!(matches!(Clip::load(&path), Err(Error::Io { .. })));
    fs::write(&path, "RIFF and nothing more").unwrap();
    refused(Clip::load(&path), &["sound.wav"]);
    Clip::synthesized().save(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1001]).unwrap();
    refused(Clip::load(&path), &["sound.wav"]);
    refused(Windows::new(&Clip::synthesized().first(99), 10, 100), &["99 samples are too few"]);
    refused(Windows::new(&Clip::synthesized(), 10, 0), &["too few"]);
}

#[test]
fn wavenet_learns_a_sound() {
    let folder = folder();
    let (path, out) = (folder.path().join("sound.wav"), folder.path().join("out"));
    let spec = WavSpec { channels: 1, sample_rate: 4000, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let values: Vec<i16> = (0..700).map(|i| (9000.0 * (f64::from(i) * 0.3).sin()) as i16).collect();
    write_wav(&path, spec, &values);
    let flags = ["--wav", path.to_str().unwrap(), "--outputs", "300", "--generate", "50"];
    succeeds(&run(env!("CARGO_BIN_EXE_wavenet"), &out, &flags));
    let generated = Clip::load(out.join("generated.wav")).unwrap();
    assert_eq!((generated.rate, generated.samples.len()), (4000, 50));
    fails(&run(env!("CARGO_BIN_EXE_wavenet"), &out, &[&flags[..3], &["800"]].concat()), "too few to predict 800");
    fails(&run(env!("CARGO_BIN_EXE_wavenet"), &out, &["--batch-size", "17"]), "17 is more than the sound has pieces");
}
