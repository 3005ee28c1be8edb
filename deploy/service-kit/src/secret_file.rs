//! Files with secrets.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const READABLE_BY_OTHERS: u32 = 0o004;

/// Whether every user of the machine can read this file.
pub(crate) fn is_world_readable(file: &Path) -> io::Result<bool> {
    Ok(std::fs::metadata(file)?.permissions().mode() & READABLE_BY_OTHERS != 0)
}
