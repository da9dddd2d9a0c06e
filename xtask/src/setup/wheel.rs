//! Wheels: files of the Python package index, which are zip archives.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// One file of the Python package index.
pub struct Wheel {
    /// The package and its version, as pip writes them.
    pub requirement: &'static str,
    /// The platform for which it was built; there may be several.
    pub platform: &'static str,
    /// What its contents must hash to.
    pub sha256: &'static str,
    /// How much there is to download.
    pub megabytes: u64,
}

impl Wheel {
    /// Downloads the file into a folder of its own under `cache`, unless it is there.
    pub fn fetch(&self, cache: &Path) -> Result<PathBuf, String> {
        let folder = cache.join(self.requirement);
        if let Some(file) = self.find(&folder)? {
            return Ok(file);
        }
        eprintln!("{}: downloading {} MB", self.requirement, self.megabytes);
        // For the interpreter that the hash belongs to, whichever one runs pip.
        let status = Command::new("python3")
            .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"])
            .args(["--implementation", "cp", "--python-version", "3.12", "--platform", self.platform, "--dest"])
            .args([folder.as_os_str(), self.requirement.as_ref()])
            .status()
            .map_err(|error| format!("cannot start python3: {error}"))?;
        if !status.success() {
            return Err(format!(
                "pip could not download {} (what it said is above). Check the network, and pip's settings of a \
                 proxy or an index (`python3 -m pip config list`), then run `cargo xtask setup` again: what is \
                 there already is kept",
                self.requirement
            ));
        }
        self.find(&folder)?.ok_or_else(|| {
            format!(
                "what pip downloaded for {} does not have the SHA-256 {}; the package index may serve another file \
                 under that name",
                self.requirement, self.sha256
            )
        })
    }

    /// The file, if it is there and whole; whatever else is in the folder is removed.
    fn find(&self, folder: &Path) -> Result<Option<PathBuf>, String> {
        let Ok(entries) = fs::read_dir(folder) else { return Ok(None) };
        let mut found = None;
        for entry in entries {
            let path = entry.map_err(|error| in_file(folder, error))?.path();
            if found.is_none() && hash(&path)? == self.sha256 {
                found = Some(path);
            } else {
                fs::remove_file(&path).map_err(|error| in_file(&path, error))?;
            }
        }
        Ok(found)
    }
}

/// The SHA-256 of a file in hexadecimal digits.
fn hash(path: &Path) -> Result<String, String> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path).map_err(|error| in_file(path, error))?;
    io::copy(&mut file, &mut HashWriter(&mut hasher)).map_err(|error| in_file(path, error))?;
    Ok(hex(&hasher.finalize()))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Unpacks the files for which `place` names a path under `folder`, and gives their number.
pub fn unpack(wheel: &Path, folder: &Path, place: impl Fn(&str) -> Option<String>) -> Result<usize, String> {
    let file = File::open(wheel).map_err(|error| in_file(wheel, error))?;
    let broken = |error: zip::result::ZipError| format!("{}: {error}", wheel.display());
    let mut archive = zip::ZipArchive::new(io::BufReader::new(file)).map_err(broken)?;
    let mut unpacked = 0;
    for i in 0..archive.len() {
        let mut member = archive.by_index(i).map_err(broken)?;
        if member.is_dir() {
            continue;
        }
        let Some(path) = place(&member.name().map_err(broken)?) else { continue };
        let path = folder.join(path);
        create_parent(&path)?;
        let mut out = File::create(&path).map_err(|error| in_file(&path, error))?;
        io::copy(&mut member, &mut out).map_err(|error| in_file(&path, error))?;
        unpacked += 1;
    }
    Ok(unpacked)
}

/// Copies every file of a folder over another folder.
pub fn copy_tree(from: &Path, to: &Path) -> Result<(), String> {
    for file in files_under(from)? {
        let target = to.join(file.strip_prefix(from).expect("listed under it"));
        create_parent(&target)?;
        fs::copy(&file, &target).map_err(|error| in_file(&target, error))?;
    }
    Ok(())
}

/// Every file in a folder and the folders in it, sorted.
pub fn files_under(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| in_file(folder, error))? {
        let path = entry.map_err(|error| in_file(folder, error))?.path();
        if path.is_dir() {
            files.extend(files_under(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn create_parent(path: &Path) -> Result<(), String> {
    let parent = path.parent().expect("a file is in a folder");
    fs::create_dir_all(parent).map_err(|error| in_file(parent, error))
}

/// A message that says which file.
pub fn in_file(path: &Path, error: io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const WHEEL: Wheel = Wheel {
        requirement: "abc==1",
        platform: "any",
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        megabytes: 0,
    };

    #[test]
    fn only_the_right_file_is_taken_as_downloaded() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join(WHEEL.requirement);
        assert_eq!(WHEEL.find(&folder).unwrap(), None);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a.whl"), "ab").unwrap();
        fs::write(folder.join("b.whl"), "abc").unwrap();
        assert_eq!(WHEEL.find(&folder).unwrap(), Some(folder.join("b.whl")));
        assert!(!folder.join("a.whl").exists(), "half a download is not kept");
    }

    #[test]
    fn only_what_is_asked_for_is_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("x.whl");
        let mut archive = zip::ZipWriter::new(File::create(&wheel).unwrap());
        for name in ["p/lib/a.so", "p/lib/b.so", "q/a.so"] {
            archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(name.as_bytes()).unwrap();
        }
        archive.finish().unwrap();
        let out = folder.path().join("out");
        let place = |name: &str| name.strip_prefix("p/").filter(|name| !name.ends_with("b.so")).map(str::to_string);
        assert_eq!(unpack(&wheel, &out, place).unwrap(), 1);
        assert_eq!(fs::read_to_string(out.join("lib/a.so")).unwrap(), "p/lib/a.so");
        assert_eq!(files_under(&out).unwrap().len(), 1);
    }
}
