//! Pictures in PNG files.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use jaxnet_tensor::{DType, Error, Result, Tensor, files};

use crate::metrics::create_parent;

/// Red, green and blue of each pixel, row by row.
pub(crate) struct Pixels<'a> {
    pub width: u32,
    pub height: u32,
    pub rgb: &'a [u8],
}

/// Writes a file anew or leaves an old one whole; its folder is made.
pub(crate) fn save(path: &Path, pixels: Pixels<'_>) -> Result<()> {
    create_parent(path)?;
    files::replace(path, |new| {
        let file = File::create(new).map_err(|error| Error::io(path, &error))?;
        let mut encoder = png::Encoder::new(BufWriter::new(file), pixels.width, pixels.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut writer| {
            writer.write_image_data(pixels.rgb)?;
            writer.finish()
        });
        written.map_err(|error| match error {
            png::EncodingError::IoError(error) => Error::io(path, &error),
            other => Error::format("PNG", other.to_string()),
        })
    })
}

/// Draws images side by side, `columns` in a row, into a PNG file; its folder is made.
///
/// Images are of shape (count, height, width), or (count, height, width, 3) for red, green and blue, with values
/// from 0, black, to 1; each pixel becomes a square of `scale` by `scale`.
///
/// # Errors
///
/// When the shape is another one, there are no images, or the file cannot be written.
///
/// # Examples
///
/// ```
/// use jaxnet_examples::image;
/// use jaxnet_tensor::{Key, Tensor};
///
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("noise/grid.png");
/// image::grid(&path, &Key::new(0).uniform([6, 8, 8]), 3, 2)?;
/// let decoder = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(&path).unwrap()));
/// let reader = decoder.read_info().unwrap();
/// // With a pixel between images and around them.
/// assert_eq!((reader.info().width, reader.info().height), (2 * (3 * 9 + 1), 2 * (2 * 9 + 1)));
/// # Ok::<(), jaxnet_tensor::Error>(())
/// ```
pub fn grid(path: impl AsRef<Path>, images: &Tensor, columns: usize, scale: usize) -> Result<()> {
    let bytes = (images.astype(DType::F32).clip(0.0, 1.0) * 255.0).round().astype(DType::U8);
    let (count, height, width, channels) = match *images.shape().dims() {
        [count, height, width] if count > 0 => (count, height, width, 1),
        [count, height, width, 3] if count > 0 => (count, height, width, 3),
        _ => {
            let message = format!("needs images [n,height,width] or [n,height,width,3], found {}", images.aval());
            return Err(Error::invalid("image::grid", message));
        }
    };
    let bytes = bytes.try_to_vec::<u8>()?;
    let (columns, scale) = (columns.clamp(1, count), scale.max(1));
    let (across, down) = (columns * (width + 1) + 1, count.div_ceil(columns) * (height + 1) + 1);
    let mut rgb = vec![128_u8; across * scale * down * scale * 3];
    for (i, image) in bytes.chunks_exact(height * width * channels).enumerate() {
        let (top, left) = (i / columns * (height + 1) + 1, i % columns * (width + 1) + 1);
        for (y, x) in (0..height * scale).flat_map(|y| (0..width * scale).map(move |x| (y, x))) {
            let pixel = &image[(y / scale * width + x / scale) * channels..][..channels];
            let at = ((top * scale + y) * across * scale + left * scale + x) * 3;
            for c in 0..3 {
                rgb[at + c] = pixel[c % channels];
            }
        }
    }
    save(path.as_ref(), Pixels { width: (across * scale) as u32, height: (down * scale) as u32, rgb: &rgb })
}
