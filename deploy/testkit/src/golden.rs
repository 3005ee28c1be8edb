//! Golden files: texts, such as query plans, committed in a package's `tests/golden`.

use std::io;
use std::path::Path;

/// The PostgreSQL version of the committed plans. Each major version prints plans differently.
const PLANS_OF: i32 = 15;

/// The golden files of one package.
#[derive(Debug, Clone, Copy)]
pub struct Golden {
    package: &'static str,
}

impl Golden {
    /// `package` is its directory: `env!("CARGO_MANIFEST_DIR")`.
    #[must_use]
    pub const fn new(package: &'static str) -> Self {
        Self { package }
    }

    /// Compares with the file. `UPDATE_GOLDEN=1` writes the file instead; review it before you commit it.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    ///
    /// # Panics
    ///
    /// When the text differs.
    pub fn compare(self, file: &str, found: &str) -> io::Result<()> {
        let path = Path::new(self.package).join("tests/golden").join(file);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, format!("{found}\n"))?;
        }
        assert_eq!(std::fs::read_to_string(&path)?.trim_end(), found, "{file}");
        Ok(())
    }

    /// The same for a plan, if the server has the major version of the committed plans.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    ///
    /// # Panics
    ///
    /// When the text differs.
    pub fn compare_plan(self, file: &str, plan: &str, server_major: i32) -> io::Result<()> {
        if server_major == PLANS_OF { self.compare(file, plan) } else { Ok(()) }
    }
}
