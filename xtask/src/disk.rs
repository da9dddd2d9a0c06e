//! What is left on the disk.

use std::path::Path;
use std::process::Command;

/// Refuses to begin what would end in the middle for want of room.
pub fn check_space(what: &str, megabytes: u64, folder: &Path) -> Result<(), String> {
    match free_megabytes(folder) {
        Some(free) if free < megabytes => Err(format!(
            "{what} needs {megabytes} MB of disk space while it is made, and {} has {free} MB left",
            folder.display()
        )),
        _ => Ok(()),
    }
}

/// What is left on the disk that has a folder, if `df` says it.
fn free_megabytes(folder: &Path) -> Option<u64> {
    let output = Command::new("df").args(["-Pk".as_ref(), folder.as_os_str()]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let kilobytes: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kilobytes / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_space_is_said() {
        let folder = tempfile::tempdir().unwrap();
        check_space("a thing", 0, folder.path()).unwrap();
        let message = check_space("a thing", u64::MAX, folder.path()).unwrap_err();
        assert!(message.starts_with("a thing needs") && message.contains("MB left"), "{message}");
    }
}
