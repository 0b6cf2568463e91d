//! The control socket: a Unix socket in the data directory that only the broker's own user may open.

use rustix::process::geteuid;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Its name in the data directory.
const NAME: &str = "ringmq.sock";

/// Writable by everybody, and the bit that keeps everybody from replacing what others made.
const SHARED: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Where the socket of a broker with this data directory is.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(NAME)
}

/// A listening socket; its file goes with it.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    pub(super) listener: UnixListener,
    file: SocketFile,
}

/// Removes a socket's file in the end, if it still is ours.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl ControlSocket {
    /// Opens it in a directory that exists. What a broker left behind that did not end in order is replaced.
    ///
    /// # Errors
    /// Another broker answers there, others may write to the directory, or the system refuses; the text says what.
    pub(crate) fn open(data_dir: &Path) -> io::Result<Self> {
        check_directory(data_dir)?;
        let path = path(data_dir);
        check_free(&path)?;
        // Made where nobody else can look, so that there is no moment at which it is open to others.
        let private = data_dir.join(format!(".s{}", std::process::id()));
        let _ = fs::remove_dir_all(&private);
        DirBuilder::new().mode(0o700).create(&private)?;
        let hidden = private.join("s");
        let opened = UnixListener::bind(&hidden).and_then(|listener| {
            fs::set_permissions(&hidden, Permissions::from_mode(0o600))?;
            let inode = fs::symlink_metadata(&hidden)?.ino();
            fs::rename(&hidden, &path)?;
            Ok(Self { listener, file: SocketFile { path, inode } })
        });
        let _ = fs::remove_dir_all(&private);
        opened
    }

    /// The socket, and what removes its file.
    pub(super) fn split(self) -> (UnixListener, SocketFile) {
        (self.listener, self.file)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn check_directory(directory: &Path) -> io::Result<()> {
    let found = fs::metadata(directory)?;
    let owner = found.uid();
    if owner != geteuid().as_raw() && owner != 0 {
        return Err(io::Error::other("the data directory belongs to another user"));
    }
    if found.mode() & SHARED != 0 && found.mode() & STICKY == 0 {
        return Err(io::Error::other("everybody may write to the data directory; take that away with `chmod o-w`"));
    }
    Ok(())
}

fn check_free(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::other("something else has its name; move it away"));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(io::Error::other("another broker answers there; give each its own data directory")),
        // Nobody listens: left behind.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Dir;

    fn refusal(dir: &Path) -> String {
        ControlSocket::open(dir).expect_err("refused").to_string()
    }

    #[test]
    fn it_is_private_and_goes_away() {
        let dir = Dir::new("socket");
        let place = path(&dir.path(""));
        let socket = ControlSocket::open(&dir.path("")).expect("open");
        assert_eq!(fs::symlink_metadata(&place).expect("a socket").mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path("")).expect("readable").count(), 1, "nothing else is left");
        assert!(refusal(&dir.path("")).contains("another broker answers"));
        drop(socket);
        assert!(!place.exists());
    }

    #[test]
    fn what_was_left_behind_is_replaced_and_anything_else_is_not() {
        let dir = Dir::new("stale");
        let place = path(&dir.path(""));
        drop(UnixListener::bind(&place).expect("a socket"));
        assert!(place.exists());
        let socket = ControlSocket::open(&dir.path("")).expect("the stale one is replaced");
        assert!(UnixStream::connect(&place).is_ok());
        drop(socket);
        dir.write(NAME, "precious");
        assert!(refusal(&dir.path("")).contains("move it away"));
        assert_eq!(fs::read_to_string(&place).expect("untouched"), "precious");
    }

    #[test]
    fn a_directory_open_to_everybody_is_refused() {
        let dir = Dir::new("shared");
        fs::set_permissions(dir.path(""), Permissions::from_mode(0o777)).expect("ours");
        assert!(refusal(&dir.path("")).contains("chmod o-w"));
        fs::set_permissions(dir.path(""), Permissions::from_mode(0o1777)).expect("ours");
        assert!(ControlSocket::open(&dir.path("")).is_ok());
    }
}
