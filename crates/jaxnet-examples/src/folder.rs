//! Images in a folder, with a folder for each class.

use std::fs;
use std::path::{Path, PathBuf};

use image::ImageReader;
use image::imageops::FilterType;
use jaxnet_nn::train::Dataset;
use jaxnet_tensor::{Error, Result, Tensor};

use crate::data::Labeled;

/// PNG and JPEG files in folders by class, which are read as they are needed.
///
/// Classes are numbered by name. Files of other kinds, and what begins with a dot, are left out.
pub struct ImageFolder {
    classes: Vec<String>,
    /// With the number of the class.
    files: Vec<(PathBuf, i32)>,
    size: usize,
}

impl ImageFolder {
    /// The images below `folder`, to be scaled and cut to `size` by `size`, around the middle.
    ///
    /// # Errors
    ///
    /// When a folder cannot be read, has no folders in it, or there is no image for a class.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_examples::folder::ImageFolder;
    /// use jaxnet_examples::image;
    /// use jaxnet_nn::train::Dataset;
    /// use jaxnet_tensor::{Key, Tensor};
    ///
    /// let folder = tempfile::tempdir().unwrap();
    /// for (class, brightness) in [("night", 0.0), ("day", 1.0)] {
    ///     let picture = Tensor::zeros([1, 20, 30]) + brightness;
    ///     image::grid(folder.path().join(class).join("one.png"), &picture, 1, 4)?;
    /// }
    /// let images = ImageFolder::open(folder.path(), 16)?;
    /// assert_eq!(images.classes(), ["day", "night"]);
    /// let batch = images.batch(&[0, 1])?;
    /// assert_eq!(batch.images.shape().dims(), [2, 16, 16, 3]);
    /// assert_eq!(batch.labels.to_vec::<i32>(), [0, 1]);
    /// assert_eq!(batch.images.i((.., 8, 8, 0)).to_vec::<u8>(), [255, 0]);
    /// # Ok::<(), jaxnet_tensor::Error>(())
    /// ```
    pub fn open(folder: impl AsRef<Path>, size: usize) -> Result<ImageFolder> {
        let folder = folder.as_ref();
        let wrong = |path: &Path, message: &str| Err(Error::format("folder", format!("{}: {message}", path.display())));
        let mut opened = ImageFolder { classes: Vec::new(), files: Vec::new(), size };
        for class in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
            let files: Vec<_> = entries(&class)?.into_iter().filter(|path| is_image(path)).collect();
            if files.is_empty() {
                return wrong(&class, "no .png, .jpg or .jpeg files for this class");
            }
            let number = opened.classes.len() as i32;
            opened.classes.push(name(&class));
            opened.files.extend(files.into_iter().map(|file| (file, number)));
        }
        match opened.classes.is_empty() {
            true => wrong(folder, "needs a folder for each class, with .png, .jpg or .jpeg files in it; found none"),
            false => Ok(opened),
        }
    }

    /// The names of the classes, by number.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let fail = |error: std::io::Error| Error::io(path, &error);
        let reader = ImageReader::open(path).map_err(fail)?.with_guessed_format().map_err(fail)?;
        let decoded = reader.decode().map_err(|error| match error {
            image::ImageError::IoError(error) if error.raw_os_error().is_some() => fail(error),
            other => Error::format("image", format!("{}: {other}", path.display())),
        })?;
        Ok(decoded.resize_to_fill(self.size as u32, self.size as u32, FilterType::Triangle).into_rgb8().into_raw())
    }
}

impl Dataset for ImageFolder {
    type Batch = Labeled;

    fn rows(&self) -> usize {
        self.files.len()
    }

    /// Images u8, of shape (rows, size, size, 3), and classes i32.
    fn batch(&self, rows: &[usize]) -> Result<Labeled> {
        let images: Vec<Vec<u8>> = rows.iter().map(|&row| self.read(&self.files[row].0)).collect::<Result<_>>()?;
        let labels: Vec<i32> = rows.iter().map(|&row| self.files[row].1).collect();
        Ok(Labeled {
            images: Tensor::from_slice(&images.concat(), [rows.len(), self.size, self.size, 3])?,
            labels: Tensor::from_slice(&labels, [rows.len()])?,
        })
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What a folder has, by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |error| Error::io(folder, &error);
    let paths = fs::read_dir(folder).map_err(fail)?.map(|entry| Ok(entry.map_err(fail)?.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_>>()?;
    paths.retain(|path| !name(path).starts_with('.'));
    paths.sort();
    Ok(paths)
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    path.is_file() && ["png", "jpg", "jpeg"].contains(&extension.as_str())
}
