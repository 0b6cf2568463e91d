//! Files that are replaced as a whole: after a crash there is the old one or the new one, complete.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Puts a new file in the place of the old one, and makes that durable. Directories are made if they are missing.
///
/// # Errors
/// The system refuses; the old file is there, and perhaps a new one beside it under the same name with `.new`.
pub(crate) fn replace(file: &Path, contents: &[u8]) -> io::Result<()> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mut name = OsString::from(file);
    name.push(".new");
    let new = Path::new(&name);
    let mut writer = File::create(new)?;
    writer.write_all(contents)?;
    writer.sync_all()?;
    fs::rename(new, file)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Dir;

    #[test]
    fn the_new_file_takes_the_place_of_the_old_one() {
        let dir = Dir::new("durable");
        let file = dir.path("a/b.json");
        for contents in ["one", "two, longer", "3"] {
            replace(&file, contents.as_bytes()).expect("written");
            assert_eq!(fs::read_to_string(&file).expect("there"), contents);
            assert_eq!(fs::read_dir(dir.path("a")).expect("readable").count(), 1, "nothing else is left");
        }
        dir.write("c", "in the way");
        assert!(replace(&dir.path("c/d"), b"x").is_err());
    }
}
