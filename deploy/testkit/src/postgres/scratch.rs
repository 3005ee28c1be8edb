//! Temporary directories that the server's user can enter. Removes those that killed processes left.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, User, chown, geteuid};
use tempfile::TempDir;

const PREFIX: &str = "orders-local-";
const LOCK: &str = "in-use.lock";

/// A temporary directory, removed on drop. While it is in use, a file in it is locked; the kernel releases the lock
/// even if the process is killed.
#[derive(Debug)]
pub(crate) struct Scratch {
    dir: TempDir,
    _in_use: File,
}

impl Scratch {
    pub(crate) fn create() -> io::Result<Self> {
        sweep(&std::env::temp_dir());
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        // Locked before the rename: a sweeping process finds no lock file or a locked one.
        let starting = dir.path().join("starting.lock");
        let in_use = File::create(&starting)?;
        in_use.lock()?;
        fs::rename(starting, dir.path().join(LOCK))?;
        // The server's user must be able to enter it; its own files are in subdirectories.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o711))?;
        Ok(Self { dir, _in_use: in_use })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Lets the server's user read and enter `dir`. As root, this is another user.
pub fn open_to_the_servers_user(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, Permissions::from_mode(0o755))
}

/// Removes our directories whose process has ended. A directory that cannot be removed stays for the next start.
fn sweep(temp_dir: &Path) {
    let entries = fs::read_dir(temp_dir).into_iter().flatten().flatten();
    // Any user can write to the temporary directory: directories of other users are not touched.
    let ours = entries.filter(|entry| {
        let is_ours = entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw());
        is_ours && entry.file_name().to_string_lossy().starts_with(PREFIX)
    });
    for dir in ours.map(|entry| entry.path()) {
        let abandoned = File::open(dir.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if abandoned {
            let _left_for_next_time = fs::remove_dir_all(&dir);
        }
    }
}

/// The user for a server, because PostgreSQL refuses to run as root. `None` if this process is not root.
pub(crate) fn server_user() -> io::Result<Option<(Uid, Gid)>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) = User::from_name(name)? {
            return Ok(Some((user.uid, user.gid)));
        }
    }
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        "PostgreSQL cannot run as root, and there is neither a user `postgres` nor `nobody`",
    ))
}

/// Creates `dir` if missing, owned by the server's user and closed to others.
pub(crate) fn private_dir(dir: &Path, user: Option<(Uid, Gid)>) -> io::Result<PathBuf> {
    fs::create_dir_all(dir)?;
    fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    if let Some((uid, gid)) = user {
        chown(dir, Some(uid), Some(gid))?;
    }
    fs::canonicalize(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeping_removes_only_directories_of_ended_processes() {
        let temp_dir = tempfile::tempdir().unwrap();
        let dir = |name: &str| temp_dir.path().join(name);
        for name in ["orders-local-dead", "orders-local-alive", "orders-local-starting", "somebody-elses"] {
            fs::create_dir(dir(name)).unwrap();
        }
        for name in ["orders-local-dead", "orders-local-alive", "somebody-elses"] {
            File::create(dir(name).join(LOCK)).unwrap();
        }
        let alive = File::open(dir("orders-local-alive").join(LOCK)).unwrap();
        alive.lock().unwrap();

        sweep(temp_dir.path());

        assert!(!dir("orders-local-dead").exists());
        for name in ["orders-local-alive", "orders-local-starting", "somebody-elses"] {
            assert!(dir(name).exists(), "{name} was swept");
        }
    }
}
