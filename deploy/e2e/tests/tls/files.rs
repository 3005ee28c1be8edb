//! Files of the URL that stop the start.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use service_kit::database::DatabaseConfig;
use testkit::certificates::{Authority, Validity};

fn start(parameters: &str) -> Result<(), String> {
    let url = format!("postgres://app:hunter2@db.test/orders?sslmode=verify-full&{parameters}");
    DatabaseConfig::from_vars(&vec![("DATABASE_URL".to_owned(), url)])
        .map(drop)
        .map_err(|error| error.to_string())
}

#[test]
fn a_wrong_file_stops_the_start_and_the_error_names_its_parameter() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let identity = Authority::new("a CA")?.issue(&["db.test"], Validity::Now)?;
    let write = |name: &str, text: &str, mode: u32| -> Result<String> {
        let file = dir.path().join(name);
        fs::write(&file, text)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(mode))?;
        Ok(file.to_str().context("a path")?.to_owned())
    };
    let ca = write("ca.pem", &identity.certificate, 0o644)?;
    let (empty, no_pem) = (write("empty", "", 0o644)?, write("no_pem", "hunter2", 0o644)?);
    let (key, open) = (write("key", &identity.key, 0o600)?, write("open", &identity.key, 0o604)?);
    let group = write("group", &identity.key, 0o640)?;
    let missing = dir.path().join("missing");
    let missing = Path::display(&missing);
    assert_eq!(start(&format!("sslrootcert={ca}")), Ok(()));
    assert_eq!(start(&format!("sslrootcert={ca}&sslcert={ca}&sslkey={key}")), Ok(()));
    assert_eq!(start(&format!("sslrootcert={ca}&sslcert={ca}&sslkey={group}")), Ok(()));
    for (parameters, words) in [
        (format!("sslrootcert={missing}"), "sslrootcert cannot be read: No such file"),
        (format!("sslrootcert={empty}"), "sslrootcert is a file without a usable certificate in PEM format"),
        (format!("sslrootcert={no_pem}"), "sslrootcert is a file without a usable certificate in PEM format"),
        (format!("sslrootcert={key}"), "sslrootcert is a file without a usable certificate in PEM format"),
        (format!("sslrootcert={ca}&sslcert={missing}&sslkey={key}"), "sslcert cannot be read: No such file"),
        (format!("sslrootcert={ca}&sslcert={ca}&sslkey={missing}"), "sslkey cannot be read: No such file"),
        (format!("sslrootcert={ca}&sslcert={ca}&sslkey={ca}"), "sslkey is a file without a usable key"),
        (format!("sslrootcert={ca}&sslcert={ca}&sslkey={open}"), "sslkey is a file that every user can read"),
    ] {
        let error = start(&parameters).err().context("it starts")?;
        assert!(error.starts_with("DATABASE_URL has a wrong file: ") && error.contains(words), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    Ok(())
}
