//! The roles of the processes that use the tables of migrations of your own.

use std::io;
use std::path::Path;

/// Beside the migrations. A line has the group role with the grants, and the roles that log in for the processes.
const FILE: &str = "roles.txt";

/// Each role that logs in, with its group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Roles {
    pub(crate) groups: Vec<String>,
    pub(crate) logins: Vec<String>,
}

impl Roles {
    /// Reads the file, if there is one.
    pub(crate) fn read(folder: &Path) -> io::Result<Self> {
        match std::fs::read_to_string(folder.join(FILE)) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(io::Error::new(error.kind(), format!("{FILE}: {error}"))),
        }
    }

    fn parse(text: &str) -> io::Result<Self> {
        let mut roles = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(group) = words.next() else { continue };
            let logins: Vec<_> = words.map(str::to_owned).collect();
            if logins.is_empty() {
                let wrong = format!("{FILE}: line {number} has no role that logs in after {group}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, wrong));
            }
            roles.groups.extend(logins.iter().map(|_| group.to_owned()));
            roles.logins.extend(logins);
        }
        Ok(roles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_group_and_its_logins() {
        let roles = Roles::parse("# Of our services.\n\na a1 a2 # both\nb\tb1\n").unwrap();
        assert_eq!(
            (roles.groups.join(" "), roles.logins.join(" ")),
            ("a a b".to_owned(), "a1 a2 b1".to_owned())
        );
        let error = Roles::parse("a a1\n\nb\n").unwrap_err().to_string();
        assert_eq!(error, "roles.txt: line 3 has no role that logs in after b");
    }

    #[test]
    fn without_the_file_there_are_no_roles() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Roles::read(folder.path()).unwrap(), Roles::default());
        std::fs::create_dir(folder.path().join(FILE)).unwrap();
        assert!(Roles::read(folder.path()).unwrap_err().to_string().contains(FILE));
    }
}
