//! Small files that an operator names. Neither a pipe nor a file system that does not answer may stop more than one
//! thread.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use nix::fcntl::OFlag;
use tokio::sync::Mutex;

const READABLE_BY_OTHERS: u32 = 0o004;

/// What is in a file, and who can read it.
pub(crate) struct Contents {
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_world_readable: bool,
}

/// Reads a regular file of at most `max` bytes. To wait for the writer of a pipe could last for ever, and a device may
/// have no end.
pub(crate) fn read_up_to(max: u64, file: &Path) -> io::Result<Contents> {
    let file = open(file)?;
    // Of what is open: the path may lead elsewhere by now.
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let is_world_readable = metadata.permissions().mode() & READABLE_BY_OTHERS != 0;
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= max) {
        return Ok(Contents { bytes, is_world_readable });
    }
    Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {max} bytes")))
}

/// Never waits for the writer of a pipe. Programs that this process starts do not inherit the file.
fn open(file: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    OpenOptions::new().read(true).custom_flags(flags.bits()).open(file)
}

/// Reads one after another, on a thread that may wait. While one read waits for a file system that does not answer, no
/// further one begins, however often it is tried.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<()>>);

impl Turns {
    /// Runs `read` when those before it have ended. It has no time limit. Once it has begun it runs to its end, also
    /// if this future is dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let turn = Arc::clone(&self.0).lock_owned().await;
        let read = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            read()
        });
        read.await.map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::{Duration, Instant};
    use std::{fs, thread};

    use futures_util::FutureExt;
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(30);

    #[test]
    fn a_pipe_that_takes_the_place_of_a_file_at_any_moment_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("file"), "hunter2").unwrap();
        mkfifo(&path("pipe"), Mode::S_IRWXU).unwrap();
        fs::hard_link(path("file"), path("now")).unwrap();
        let (ended, end) = mpsc::channel();
        let now = path("now");
        thread::spawn(move || {
            let reads = (0..20_000).map(|_| read_up_to(9, &now).is_ok());
            let read = reads.filter(|is_read| *is_read).count();
            ended.send(read).unwrap();
        });
        let start = Instant::now();
        let read = loop {
            for name in ["pipe", "file"] {
                fs::hard_link(path(name), path("next")).unwrap();
                fs::rename(path("next"), path("now")).unwrap();
            }
            match end.try_recv() {
                Ok(read) => break read,
                Err(mpsc::TryRecvError::Empty) if start.elapsed() < DEADLINE => {}
                Err(error) => panic!("a read waits for the pipe: {error}"),
            }
        };
        assert!((1..20_000).contains(&read), "{read} reads saw the file");
    }

    #[tokio::test]
    async fn a_read_that_hangs_holds_one_thread_however_often_it_is_tried() {
        let turns = Turns::default();
        let (release, released) = mpsc::channel::<()>();
        let (begun, begins) = mpsc::channel();
        let hanging = turns.run(move || released.recv_timeout(DEADLINE));
        assert!(hanging.now_or_never().is_none(), "it does not hang");
        for _ in 0..9 {
            let begun = begun.clone();
            assert!(turns.run(move || begun.send(())).now_or_never().is_none(), "it has ended");
        }
        release.send(()).unwrap();
        tokio::time::timeout(DEADLINE, turns.run(|| ())).await.expect("its turn").unwrap();
        assert!(begins.try_recv().is_err(), "further reads began");
    }
}
