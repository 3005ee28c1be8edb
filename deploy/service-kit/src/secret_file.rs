//! Secrets: the value of a variable, or a file that another variable names.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::config::{ConfigError, Vars};
use crate::files::{self, Contents};

/// Longer files are not read: they hold something else.
const MAX_BYTES: u64 = 64 << 10;

/// The variable of a secret, and the one that names a file instead.
#[derive(Debug, Clone, Copy)]
pub struct SecretVariable {
    /// Such as `CURSOR_KEY`.
    pub value: &'static str,
    /// Such as `CURSOR_KEY_FILE`.
    pub file: &'static str,
}

/// Where a secret comes from.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// From the environment.
    Value(SecretString),
    /// From this file.
    File(PathBuf),
}

/// Why a file with a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It cannot be read.
    #[error("names a file that cannot be read: {0}")]
    Read(#[source] io::Error),
    /// It has nothing in it, or too much.
    #[error("names a file that is empty, larger than 64 KiB, or not text")]
    Content,
    /// Other users of the machine can read it.
    #[error(
        "names a file that every user can read: chmod o-r, or in Kubernetes defaultMode: 0440 with an fsGroup"
    )]
    WorldReadable,
}

impl SecretVariable {
    /// Where the secret comes from, if it is set.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if both variables are set.
    pub fn source(self, vars: &Vars) -> Result<Option<SecretSource>, ConfigError> {
        let value = |name: &str| vars.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone());
        match (value(self.value), value(self.file)) {
            (Some(_), Some(_)) => {
                let reason = format!("and {} are both set: set exactly one of them", self.file);
                Err(ConfigError::Invalid { variable: self.value, reason })
            }
            (Some(value), None) => Ok(Some(SecretSource::Value(value.into()))),
            (None, Some(file)) => Ok(Some(SecretSource::File(file.into()))),
            (None, None) => Ok(None),
        }
    }

    /// The secret, if it is set.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if both variables are set, or if the file cannot be used or every user can read it.
    pub fn read(self, vars: &Vars) -> Result<Option<SecretString>, ConfigError> {
        let source = self.source(vars)?;
        source.map(|source| self.read_at_start(&source)).transpose()
    }

    /// As [`Self::read`], for a secret without which the process does not start.
    ///
    /// # Errors
    ///
    /// Also if neither variable is set.
    pub fn read_required(self, vars: &Vars) -> Result<SecretString, ConfigError> {
        self.read(vars)?.ok_or_else(|| self.missing())
    }

    pub(crate) fn missing(self) -> ConfigError {
        ConfigError::Missing { variable: format!("{} (or {})", self.value, self.file) }
    }

    /// Reads the secret, and refuses a file that every user can read.
    pub(crate) fn read_at_start(self, source: &SecretSource) -> Result<SecretString, ConfigError> {
        let read = match source {
            SecretSource::Value(value) => return Ok(value.clone()),
            SecretSource::File(file) => read_private(file),
        };
        read.map_err(|error| ConfigError::Invalid { variable: self.file, reason: error.to_string() })
    }
}

/// The text of the file, without the end of its last line.
///
/// # Errors
///
/// [`SecretFileError`], also if every user can read the file.
pub fn read_private(file: &Path) -> Result<SecretString, SecretFileError> {
    let (secret, is_world_readable) = read(file)?;
    if is_world_readable { Err(SecretFileError::WorldReadable) } else { Ok(secret) }
}

/// The text of the file, without the end of its last line, and whether every user of the machine can read it.
pub(crate) fn read(file: &Path) -> Result<(SecretString, bool), SecretFileError> {
    let Contents { bytes, is_world_readable } = files::read_up_to(MAX_BYTES, file).map_err(|error| {
        let is_too_large = error.kind() == io::ErrorKind::FileTooLarge;
        if is_too_large { SecretFileError::Content } else { SecretFileError::Read(error) }
    })?;
    Ok((last_line_end_removed(bytes)?, is_world_readable))
}

/// The same of standard input or another stream, up to its end.
///
/// # Errors
///
/// [`SecretFileError`]
pub fn read_stream(stream: impl Read) -> Result<SecretString, SecretFileError> {
    let mut bytes = Vec::new();
    stream.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(SecretFileError::Read)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_BYTES) {
        return last_line_end_removed(bytes);
    }
    Err(SecretFileError::Content)
}

fn last_line_end_removed(bytes: Vec<u8>) -> Result<SecretString, SecretFileError> {
    let text = String::from_utf8(bytes).map_err(|_| SecretFileError::Content)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(SecretFileError::Content);
    }
    Ok(line.into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    const KEY: SecretVariable = SecretVariable { value: "KEY", file: "KEY_FILE" };

    fn read_key(vars: &[(&str, &str)]) -> Result<Option<String>, String> {
        let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let read = KEY.read(&vars).map_err(|error| error.to_string())?;
        Ok(read.map(|secret| secret.expose_secret().to_owned()))
    }

    fn file(text: &[u8], mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    fn error(file: &tempfile::NamedTempFile) -> String {
        read_key(&[("KEY_FILE", file.path().to_str().unwrap())]).unwrap_err()
    }

    #[test]
    fn a_secret_is_the_value_or_the_file_without_its_last_line_end() {
        assert_eq!(read_key(&[]), Ok(None));
        assert_eq!(read_key(&[("KEY", " hunter2\n")]), Ok(Some(" hunter2\n".to_owned())));
        for text in ["hunter2 ", "hunter2 \n", "hunter2 \r\n"] {
            let file = file(text.as_bytes(), 0o640);
            let read = read_key(&[("KEY_FILE", file.path().to_str().unwrap())]);
            assert_eq!(read, Ok(Some("hunter2 ".to_owned())), "{text:?}");
        }
    }

    #[test]
    fn both_variables_are_refused() {
        let error = read_key(&[("KEY", "hunter2"), ("KEY_FILE", "/key")]).unwrap_err();
        assert_eq!(error, "KEY and KEY_FILE are both set: set exactly one of them");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_refused_by_the_name_of_its_variable() {
        let open = error(&file(b"hunter2", 0o604));
        assert!(open.starts_with("KEY_FILE names a file that every user can read: chmod o-r"), "{open}");
        let large = vec![b'x'; 65_537];
        for text in [b"".as_slice(), b"\n", b"hunter2\xff", &large] {
            let error = error(&file(text, 0o600));
            assert_eq!(error, "KEY_FILE names a file that is empty, larger than 64 KiB, or not text");
        }
        let missing = read_key(&[("KEY_FILE", "/no/such/file")]).unwrap_err();
        assert!(missing.starts_with("KEY_FILE names a file that cannot be read: No such file"), "{missing}");
    }

    #[test]
    fn what_is_not_a_regular_file_is_refused_and_never_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for file in [pipe.as_path(), dir.path(), Path::new("/dev/zero")] {
            let error = read_key(&[("KEY_FILE", file.to_str().unwrap())]).unwrap_err();
            assert_eq!(error, "KEY_FILE names a file that cannot be read: not a regular file", "{file:?}");
            assert!(files::read_up_to(9, file).is_err());
        }
        assert!(files::read_up_to(7, file(b"hunter2", 0o600).path()).is_ok());
        assert!(files::read_up_to(6, file(b"hunter2", 0o600).path()).is_err());
    }
}
