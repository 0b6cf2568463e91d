//! A log file that is put aside when it is large: `ringmq.log` is written, `ringmq.log.1` is the one before, and so on.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file, and those before it.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    /// Bytes above which another is begun.
    size_max: Option<u64>,
    /// Files in all.
    count_max: u32,
    file: File,
    written: u64,
}

impl RotatingFile {
    /// Opens it, and goes on at its end. Directories are made.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn open(path: &Path, size_max: Option<u64>, count_max: u32) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let file = append_to(path)?;
        let written = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), size_max, count_max, file, written })
    }

    /// Appends a line. Lines are not torn apart by a change of files.
    ///
    /// # Errors
    /// What the operating system says; the line is lost.
    pub(super) fn write(&mut self, line: &str) -> io::Result<()> {
        let length = line.len() as u64;
        if self.size_max.is_some_and(|max| self.written > 0 && self.written + length > max) {
            self.rotate()?;
        }
        self.file.write_all(line.as_bytes())?;
        self.written += length;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let last = self.count_max.saturating_sub(1);
        for number in (0..last).rev() {
            let (from, to) = (self.numbered(number), self.numbered(number + 1));
            match fs::rename(from, to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if last == 0 {
            fs::remove_file(&self.path)?;
        }
        self.file = append_to(&self.path)?;
        self.written = 0;
        Ok(())
    }

    /// The path of an earlier file; 0 is the one that is written.
    fn numbered(&self, number: u32) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Dir;

    fn contents(dir: &Dir) -> Vec<(String, String)> {
        let read = |entry: fs::DirEntry| {
            let text = fs::read_to_string(entry.path()).expect("text");
            (entry.file_name().to_string_lossy().into_owned(), text)
        };
        let mut found: Vec<_> = fs::read_dir(dir.path("log")).expect("there").map(|e| read(e.expect("one"))).collect();
        found.sort();
        found
    }

    #[test]
    fn full_files_are_put_aside_and_the_oldest_goes() {
        let dir = Dir::new("rotate");
        let path = dir.path("log/x.log");
        let mut file = RotatingFile::open(&path, Some(8), 3).expect("open");
        for line in ["1111\n", "22\n", "3333\n", "4444\n", "5555\n"] {
            file.write(line).expect("written");
        }
        let named = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(contents(&dir), [named("x.log", "5555\n"), named("x.log.1", "4444\n"), named("x.log.2", "3333\n")]);
        drop(file);
        let mut file = RotatingFile::open(&path, Some(8), 3).expect("open again");
        file.write("6\n").expect("written");
        assert_eq!(contents(&dir)[0].1, "5555\n6\n", "it goes on at the end");
        file.write("a line longer than a file\n").expect("written");
        assert_eq!(contents(&dir)[0].1, "a line longer than a file\n");
    }

    #[test]
    fn one_file_begins_anew_and_one_without_bounds_never_does() {
        let dir = Dir::new("single");
        let path = dir.path("log/x.log");
        let mut file = RotatingFile::open(&path, Some(4), 1).expect("open");
        file.write("111\n").expect("written");
        file.write("222\n").expect("written");
        assert_eq!(contents(&dir), [("x.log".to_owned(), "222\n".to_owned())]);
        let mut file = RotatingFile::open(&path, None, 1).expect("open");
        (0..100).for_each(|_| file.write("x\n").expect("written"));
        assert_eq!(contents(&dir)[0].1.len(), 204);
    }
}
