//! Sounds, and WAV files of them.

use std::f64::consts::TAU;
use std::path::Path;

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use jaxnet_nn::train::Dataset;
use jaxnet_tensor::{Error, Result, Tensor, files};

use crate::metrics::create_parent;

/// How many values a sample can have: those of 16 bits.
pub const LEVELS: usize = 1 << 16;

/// A sound of one channel.
#[derive(Clone, Debug)]
pub struct Clip {
    /// Samples in a second.
    pub rate: u32,
    /// From -1 to 1, in [`LEVELS`] equal steps.
    pub samples: Vec<f32>,
}

fn sample(level: f64) -> f32 {
    ((level + 0.5) / 32767.5) as f32
}

fn level(sample: f32) -> f64 {
    (f64::from(sample) * 32767.5 - 0.5).round().clamp(-32768.0, 32767.0)
}

impl Clip {
    /// Four seconds of a plucked string that plays a tune, made here.
    pub fn synthesized() -> Clip {
        const RATE: usize = 8000;
        const NOTE: usize = RATE / 4;
        // In semitones above an A of 220 Hz.
        const TUNE: [i32; 16] = [0, 4, 7, 12, 11, 7, 4, 7, 5, 9, 12, 9, 7, 4, 2, 0];
        let at = |i: usize| {
            let (note, time) = (TUNE[i / NOTE], (i % NOTE) as f64 / RATE as f64);
            let frequency = 220.0 * (f64::from(note) / 12.0).exp2();
            let tone = |h: f64| (TAU * frequency * h * time).sin() * (-4.0 * h * time).exp() / h;
            let attack = (time / 0.005).min(1.0);
            sample((0.4 * attack * (1..=4).map(|h| tone(f64::from(h))).sum::<f64>() * 32767.0).round())
        };
        Clip { rate: RATE as u32, samples: (0..TUNE.len() * NOTE).map(at).collect() }
    }

    /// Reads a WAV file of integers of up to 32 bits or of floats; several channels are averaged.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is not such a file.
    pub fn load(path: impl AsRef<Path>) -> Result<Clip> {
        let path = path.as_ref();
        let fail = |error| fail(path, error);
        let mut reader = WavReader::open(path).map_err(fail)?;
        let WavSpec { channels, sample_rate, bits_per_sample, sample_format } = reader.spec();
        let values: std::result::Result<Vec<f64>, _> = match sample_format {
            SampleFormat::Float => reader.samples::<f32>().map(|x| x.map(|x| f64::from(x) * 32767.5)).collect(),
            SampleFormat::Int => {
                let scale = f64::from(16 - i32::from(bits_per_sample)).exp2();
                reader.samples::<i32>().map(|x| x.map(|x| f64::from(x) * scale)).collect()
            }
        };
        let average = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            sample(mean.round().clamp(-32768.0, 32767.0))
        };
        let samples = values.map_err(fail)?.chunks_exact(usize::from(channels.max(1))).map(average).collect();
        Ok(Clip { rate: sample_rate, samples })
    }

    /// Writes a WAV file of 16 bits anew or leaves an old one whole; its folder is made.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_examples::audio::Clip;
    ///
    /// let folder = tempfile::tempdir().unwrap();
    /// let (clip, path) = (Clip::synthesized(), folder.path().join("tune.wav"));
    /// clip.save(&path)?;
    /// let again = Clip::load(&path)?;
    /// assert_eq!((again.rate, again.samples), (8000, clip.samples));
    /// # Ok::<(), jaxnet_tensor::Error>(())
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        create_parent(path)?;
        let (bits_per_sample, sample_format) = (16, SampleFormat::Int);
        let spec = WavSpec { channels: 1, sample_rate: self.rate, bits_per_sample, sample_format };
        files::replace(path, |new| {
            let write = || {
                let mut writer = WavWriter::create(new, spec)?;
                self.samples.iter().try_for_each(|x| writer.write_sample(level(*x) as i16))?;
                writer.finalize()
            };
            write().map_err(|error| fail(path, error))
        })
    }

    /// The first so many samples, or all where there are fewer.
    pub fn first(&self, count: usize) -> Clip {
        Clip { rate: self.rate, samples: self.samples[..count.min(self.samples.len())].to_vec() }
    }
}

fn fail(path: &Path, error: hound::Error) -> Error {
    match error {
        hound::Error::IoError(error) => Error::io(path, &error),
        other => Error::format("WAV", format!("{}: {other}", path.display())),
    }
}

/// Pieces of a clip to learn from: so many samples to predict, after so many that are seen before the first of them.
///
/// Together they have each sample to predict once, but for a rest; before the clip there is silence.
///
/// ```
/// use jaxnet_examples::audio::{Clip, Windows};
/// use jaxnet_nn::train::Dataset;
///
/// let clip = Clip { rate: 10, samples: (1..10).map(|i| i as f32 / 10.0).collect() };
/// let windows = Windows::new(&clip, 3, 4)?;
/// let batch = windows.batch(&[0, 1])?;
/// assert_eq!(batch.shape().dims(), [2, 7, 1]);
/// assert_eq!(batch.to_vec::<f32>()[..7], [0.0, 0.0, 0.0, 0.1, 0.2, 0.3, 0.4]);
/// assert_eq!(batch.to_vec::<f32>()[7..], [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]);
/// # Ok::<(), jaxnet_tensor::Error>(())
/// ```
pub struct Windows {
    /// With the silence before.
    samples: Vec<f32>,
    seen: usize,
    predicted: usize,
}

impl Windows {
    /// Pieces of `predicted` samples, after `seen` others.
    ///
    /// # Errors
    ///
    /// When the clip is too short for one.
    pub fn new(clip: &Clip, seen: usize, predicted: usize) -> Result<Windows> {
        if clip.samples.len() < predicted || predicted == 0 {
            let message = format!("{} samples are too few to predict {predicted} at once", clip.samples.len());
            return Err(Error::invalid("Windows", message));
        }
        Ok(Windows { samples: [&vec![0.0; seen], &clip.samples[..]].concat(), seen, predicted })
    }
}

impl Dataset for Windows {
    type Batch = Tensor;

    fn rows(&self) -> usize {
        (self.samples.len() - self.seen) / self.predicted
    }

    /// f32, of shape (rows, seen + predicted, 1).
    fn batch(&self, rows: &[usize]) -> Result<Tensor> {
        let size = self.seen + self.predicted;
        let window = |row: &usize| &self.samples[row * self.predicted..][..size];
        let values: Vec<f32> = rows.iter().flat_map(window).copied().collect();
        Tensor::from_slice(&values, [rows.len(), size, 1])
    }
}
