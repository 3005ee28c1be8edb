//! The launcher never leaves a process, however it ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::postgres::{PrivateServer, ServerOptions, Tuning};
use testkit::services::{ServiceBinaries, ServiceKind, launcher_on_free_ports};
use testkit::wait;

const PROGRAM: &str = env!("CARGO_BIN_EXE_local");

/// A launcher with its own temporary directory, which identifies all processes that it starts.
struct Launcher {
    child: Child,
    temp_dir: tempfile::TempDir,
}

impl Launcher {
    fn command(temp_dir: &tempfile::TempDir) -> Result<Command> {
        fs::set_permissions(temp_dir.path(), fs::Permissions::from_mode(0o711))?;
        let mut command = launcher_on_free_ports(PROGRAM);
        command.env("TMPDIR", temp_dir.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }

    /// Starts a launcher and waits until everything runs.
    async fn start() -> Result<Self> {
        ServiceBinaries::built().await?;
        let temp_dir = tempfile::tempdir()?;
        let mut child = Self::command(&temp_dir)?.spawn()?;
        let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let running = lines.map_while(Result::ok).any(|line| line.contains("Ctrl-C stops everything"));
        let launcher = Self { child, temp_dir };
        assert!(running, "it did not get that far");
        assert_eq!(launcher.processes().len(), 5, "launcher, server, and three services");
        Ok(launcher)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(self.child.id().try_into()?), signal)?)
    }

    /// The processes with our directory in their arguments or environment, without PostgreSQL's children.
    fn processes(&self) -> Vec<String> {
        processes_that_name(&self.temp_dir.path().display().to_string())
    }

    async fn nothing_is_left(mut self) -> Result<()> {
        wait::until("all processes to end", Duration::from_secs(30), || {
            let reaped = self.child.try_wait();
            let left = self.processes();
            std::future::ready(if left.is_empty() { Ok(()) } else { Err((reaped, left)) })
        })
        .await?;
        Ok(())
    }
}

fn processes_that_name(directory: &str) -> Vec<String> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    pids.filter_map(|process| {
        let read =
            |file: &str| fs::read(process.join(file)).map(|text| String::from_utf8_lossy(&text).into_owned());
        let arguments = read("cmdline").ok()?;
        let named =
            arguments.contains(directory) || read("environ").is_ok_and(|vars| vars.contains(directory));
        // PostgreSQL's children have a title instead of arguments, and end with their parent.
        (named && !arguments.starts_with("postgres: ") && !arguments.is_empty()).then_some(arguments)
    })
    .collect()
}

#[tokio::test]
async fn after_ctrl_c_and_sigterm_and_a_closed_terminal() -> Result<()> {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut launcher = Launcher::start().await?;
        launcher.signal(signal)?;
        let status = launcher.child.wait()?;
        assert!(status.success(), "{signal}: {status}");
        assert_eq!(launcher.processes(), Vec::<String>::new(), "{signal}: all are gone when the launcher is");
        assert_eq!(fs::read_dir(launcher.temp_dir.path())?.count(), 0, "{signal}: files were left");
    }
    Ok(())
}

#[tokio::test]
async fn after_kill_9_of_the_launcher() -> Result<()> {
    let launcher = Launcher::start().await?;
    launcher.signal(Signal::SIGKILL)?;
    launcher.nothing_is_left().await
}

#[tokio::test]
async fn after_the_death_of_a_service_or_of_the_server() -> Result<()> {
    for victim in ["projector", "postgres"] {
        ends_with_victim(victim).await?;
    }
    Ok(())
}

async fn ends_with_victim(victim: &str) -> Result<()> {
    let mut launcher = Launcher::start().await?;
    let name = launcher.temp_dir.path().display().to_string();
    let process = fs::read_dir("/proc")?.flatten().find(|entry| {
        let read = |file: &str| {
            let bytes = fs::read(entry.path().join(file)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let program = read("cmdline").split('\0').next().unwrap_or_default().to_owned();
        program.ends_with(&format!("/{victim}")) && (read("environ") + &read("cmdline")).contains(&name)
    });
    let pid: i32 = process.context("it does not run")?.file_name().to_string_lossy().parse()?;
    kill(Pid::from_raw(pid), Signal::SIGKILL)?;
    let status = launcher.child.wait()?;
    assert!(!status.success(), "{status}");
    launcher.nothing_is_left().await
}

/// Runs a command that must fail, and checks its message and that no process is left.
fn fails_and_leaves_nothing(mut command: Command, temp_dir: &tempfile::TempDir, reason: &str) -> Result<()> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(reason), "{said}");
    assert_eq!(processes_that_name(&temp_dir.path().display().to_string()), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn after_a_start_on_a_port_in_use() -> Result<()> {
    ServiceBinaries::built().await?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    let temp_dir = tempfile::tempdir()?;
    let mut command = Command::new(PROGRAM);
    command.args(["--no-build", "--once", "--read-port", &port]);
    command.env_remove("DATABASE_URL").env("TMPDIR", temp_dir.path()).stdin(Stdio::null());
    fails_and_leaves_nothing(command, &temp_dir, &format!("--read-port {port} cannot be used"))
}

#[tokio::test]
async fn after_a_start_on_a_broken_data_directory() -> Result<()> {
    ServiceBinaries::built().await?;
    let temp_dir = tempfile::tempdir()?;
    let data_dir = temp_dir.path().join("data");
    fs::create_dir(&data_dir)?;
    fs::write(data_dir.join("PG_VERSION"), "not a version")?;
    let mut command = Launcher::command(&temp_dir)?;
    command.arg("--data-dir").arg(data_dir);
    fails_and_leaves_nothing(command, &temp_dir, "the server ended before it was ready")
}

#[tokio::test]
async fn after_a_start_on_a_directory_with_other_files_which_is_not_changed() -> Result<()> {
    ServiceBinaries::built().await?;
    let temp_dir = tempfile::tempdir()?;
    let directory = temp_dir.path().join("mine");
    fs::create_dir(&directory)?;
    fs::write(directory.join("thesis.txt"), "years of work")?;
    let before = fs::metadata(&directory)?;
    let mut command = Launcher::command(&temp_dir)?;
    command.arg("--data-dir").arg(&directory);
    fails_and_leaves_nothing(command, &temp_dir, "neither empty nor a PostgreSQL data directory")?;
    let after = fs::metadata(&directory)?;
    assert_eq!((after.mode(), after.uid()), (before.mode(), before.uid()));
    assert_eq!(fs::read_dir(&directory)?.count(), 1);
    Ok(())
}

#[tokio::test]
async fn after_a_start_in_which_a_service_fails() -> Result<()> {
    let temp_dir = tempfile::tempdir()?;
    let built = ServiceBinaries::built().await?;
    let programs = tempfile::tempdir()?;
    for kind in [ServiceKind::WriteApi, ServiceKind::ReadApi] {
        std::os::unix::fs::symlink(built.program(kind), programs.path().join(kind.name()))?;
    }
    let broken = programs.path().join(ServiceKind::Projector.name());
    fs::write(&broken, "#!/bin/sh\necho out of order >&2\nexit 3\n")?;
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755))?;
    let launcher = programs.path().join("local");
    fs::copy(PROGRAM, &launcher)?;
    let mut command = launcher_on_free_ports(launcher);
    command.arg("--once").env("TMPDIR", temp_dir.path());
    fs::set_permissions(temp_dir.path(), fs::Permissions::from_mode(0o711))?;
    fails_and_leaves_nothing(command, &temp_dir, "out of order")
}

#[tokio::test]
async fn after_a_closed_standard_output() -> Result<()> {
    ServiceBinaries::built().await?;
    let temp_dir = tempfile::tempdir()?;
    let mut child = Launcher::command(&temp_dir)?.spawn()?;
    drop(child.stdout.take());
    assert!(!child.wait()?.success());
    Launcher { child, temp_dir }.nothing_is_left().await
}

#[test]
fn after_a_panic_of_the_thread_that_started_the_server() -> Result<()> {
    let (send, receive) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let server = PrivateServer::start(&ServerOptions { tuning: Tuning::Throwaway, data_dir: None });
        let dir = server.as_ref().map(|server| server.socket_dir().display().to_string());
        let _receiver_waits = send.send(dir.unwrap_or_default());
        assert!(server.is_err(), "a panic with a running server");
    });
    let dir = receive.recv()?;
    assert!(!dir.is_empty(), "the server did not start");
    assert!(thread.join().is_err(), "the thread should have panicked");
    assert_eq!(processes_that_name(&dir), Vec::<String>::new());
    Ok(())
}
