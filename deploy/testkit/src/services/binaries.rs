//! Builds or finds the binaries of the services.

use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use nix::sys::signal::Signal;
use tokio::sync::OnceCell;

use super::ServiceKind;
use crate::process::bind_to_this_thread;

/// The directory of the binaries.
#[derive(Debug, Clone)]
pub struct ServiceBinaries {
    dir: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    #[error("cannot determine the path of this program")]
    UnknownPath(#[source] io::Error),
    #[error("cannot run cargo")]
    Cargo(#[source] io::Error),
    /// cargo failed and has printed why.
    #[error("cargo could not build the services ({0})")]
    Build(ExitStatus),
    #[error("there is no {}", .0.display())]
    Missing(PathBuf),
}

impl ServiceBinaries {
    /// Builds those of the product with cargo, in the profile and target directory of this program.
    pub async fn build() -> Result<Self, BinariesError> {
        Self::build_all(&ServiceKind::ALL).await
    }

    /// The same for these services.
    pub async fn build_all(kinds: &[ServiceKind]) -> Result<Self, BinariesError> {
        let packages: Vec<_> = kinds.iter().map(|kind| kind.package()).collect();
        Self::in_dir(build(&packages).await?, kinds)
    }

    /// Builds them once for all tests of a program. cargo builds a service only for the tests of its own package.
    pub async fn built() -> Result<&'static Self, BinariesError> {
        static BUILT: OnceCell<ServiceBinaries> = OnceCell::const_new();
        BUILT.get_or_try_init(Self::build).await
    }

    /// The binaries of these services beside this program.
    pub fn beside_this_program(kinds: &[ServiceKind]) -> Result<Self, BinariesError> {
        Self::in_dir(own_dir()?, kinds)
    }

    /// The binaries of these services in this directory.
    pub fn in_dir(dir: PathBuf, kinds: &[ServiceKind]) -> Result<Self, BinariesError> {
        let mut programs = kinds.iter().map(|kind| dir.join(kind.name()));
        match programs.find(|program| !program.is_file()) {
            Some(missing) => Err(BinariesError::Missing(missing)),
            None => Ok(Self { dir }),
        }
    }

    #[must_use]
    pub fn program(&self, kind: ServiceKind) -> PathBuf {
        self.dir.join(kind.name())
    }
}

/// Builds the program of one package, as [`ServiceBinaries::build`].
pub async fn build_program(package: &str) -> Result<PathBuf, BinariesError> {
    Ok(build(&[package]).await?.join(package))
}

/// Returns the directory of the programs.
async fn build(packages: &[&str]) -> Result<PathBuf, BinariesError> {
    let dir = own_dir()?;
    let profile = match dir.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => "dev",
        Some(profile) => profile,
    };
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--profile", profile]);
    for package in packages {
        command.args(["--package", package]);
    }
    command.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"));
    command.arg("--target-dir").arg(dir.parent().unwrap_or(&dir));
    command.stdin(Stdio::null());
    bind_to_this_thread(&mut command, Signal::SIGTERM);
    let mut cargo = tokio::process::Command::from(command);
    let status = cargo.kill_on_drop(true).status().await.map_err(BinariesError::Cargo)?;
    if status.success() { Ok(dir) } else { Err(BinariesError::Build(status)) }
}

/// The directory of this program. Test programs are one directory deeper than the others.
fn own_dir() -> Result<PathBuf, BinariesError> {
    let program = std::env::current_exe().map_err(BinariesError::UnknownPath)?;
    let dir = program.parent().ok_or_else(|| BinariesError::UnknownPath(io::ErrorKind::NotFound.into()))?;
    let dir = if dir.ends_with("deps") { dir.parent().unwrap_or(dir) } else { dir };
    Ok(dir.to_path_buf())
}
