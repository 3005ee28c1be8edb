//! One server for all test processes of a run.
//!
//! The first process starts it and the others find it. A small shell script, the keeper, stops it when the run is over:
//! when the `cargo` (or nextest) that started the test processes has ended. A process started by hand is its own run.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, geteuid, getpid, getppid};

use super::Binaries;
use super::error::{ServerError, prepare};
use super::layout::Layout;
use super::options::Tuning;
use super::scratch::{private_dir, server_user};
use crate::process::raise_descriptor_limit;

const PREFIX: &str = "orders-tests-";
const KEEPER: &str = include_str!("keeper.sh");

/// The server of this test run.
#[derive(Debug, Clone)]
pub(crate) struct SharedServer {
    pub(crate) dir: PathBuf,
    pub(crate) socket_dir: PathBuf,
    pub(crate) binaries: Binaries,
}

/// Finds the server of this test run, or starts it. Blocks; concurrent processes and threads wait for the first.
pub(crate) fn shared_server() -> Result<SharedServer, ServerError> {
    static STARTED: Mutex<Option<SharedServer>> = Mutex::new(None);
    let mut started = STARTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if started.is_none() {
        *started = Some(find_or_start()?);
    }
    started.clone().ok_or_else(|| prepare("the shared server")(io::ErrorKind::NotFound.into()))
}

fn find_or_start() -> Result<SharedServer, ServerError> {
    raise_descriptor_limit().map_err(prepare("the limit of open files"))?;
    sweep(&std::env::temp_dir());
    let run = test_run();
    let dir = std::env::temp_dir().join(format!("{PREFIX}{run}"));
    claim(&dir).map_err(prepare(dir.display().to_string()))?;
    let lock = lock(&dir, "start.lock").map_err(prepare("the lock of the shared server"))?;

    let user = server_user().map_err(prepare("a user for the server"))?;
    let layout = Layout {
        binaries: Binaries::find()?,
        user,
        data_dir: dir.join("data"),
        socket_dir: private_dir(&dir.join("socket"), user).map_err(prepare("the socket's directory"))?,
        log: dir.join("postgres.log"),
        tcp_port: None,
        settings: Vec::new(),
    };
    if !layout.ready_pid().is_some_and(is_alive) {
        start(&layout, run, &dir)?;
    }
    drop(lock);
    Ok(SharedServer { dir, socket_dir: layout.socket_dir, binaries: layout.binaries })
}

fn start(layout: &Layout, run: Pid, dir: &Path) -> Result<(), ServerError> {
    // The keeper first, so that it cleans up after any failure.
    spawn_keeper(run, dir).map_err(prepare("the shared server's keeper"))?;
    // An earlier process may have left it unfinished.
    let _nothing_there = fs::remove_dir_all(&layout.data_dir);
    private_dir(&layout.data_dir, layout.user).map_err(prepare("the data directory"))?;
    layout.initdb_if_new()?;
    // Not bound to this process: other processes of the run use the server later.
    let mut server =
        layout.command(Tuning::Throwaway)?.process_group(0).spawn().map_err(prepare("the server process"))?;
    layout.wait_until_ready(&mut server)
}

/// Without our standard streams: a reader of this process's output would otherwise wait for the keeper too.
fn spawn_keeper(run: Pid, dir: &Path) -> io::Result<()> {
    Command::new("/bin/sh")
        .args(["-c", KEEPER, "keeper"])
        .arg(run.to_string())
        .arg(dir)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(drop)
}

/// The process with which the run ends.
fn test_run() -> Pid {
    let started_by_a_runner = ["CARGO", "NEXTEST"].iter().any(|name| std::env::var_os(name).is_some());
    if started_by_a_runner { getppid() } else { getpid() }
}

/// Creates the directory, or checks that an existing one is ours: any user can write to the temporary directory.
fn claim(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o711).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made.and_then(|()| fs::set_permissions(dir, Permissions::from_mode(0o711))),
    }
    let found = fs::symlink_metadata(dir)?;
    if found.is_dir() && found.uid() == geteuid().as_raw() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "the directory belongs to another user"))
}

fn is_alive(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| kill(Pid::from_raw(pid), None).is_ok())
}

/// A lock between the processes of the run, held until the file is dropped.
pub(crate) fn lock(dir: &Path, name: &str) -> io::Result<File> {
    let lock = File::options().create(true).truncate(false).write(true).open(dir.join(name))?;
    lock.lock()?;
    Ok(lock)
}

/// A killed keeper leaves the directory and server of its run. Starts a new keeper for each ended run, which removes
/// them.
fn sweep(temp_dir: &Path) {
    for entry in fs::read_dir(temp_dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let run = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|pid| pid.parse().ok());
        let Some(run) = run.map(Pid::from_raw) else {
            continue;
        };
        let is_ours = entry.metadata().is_ok_and(|found| found.uid() == geteuid().as_raw());
        if is_ours && kill(run, None) == Err(Errno::ESRCH) {
            let _left_for_next_time = spawn_keeper(run, &entry.path());
        }
    }
}
