//! The secret of an endpoint: a new one, or one that the operator gives, which is no argument: other users could read
//! it in `ps`.

use std::io;
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::Args;
use secrecy::ExposeSecret;
use service_kit::secret_file::{self, SecretFileError};

use crate::webhooks::signature::Secret;

const STANDARD_INPUT: &str = "-";

#[derive(Debug, Args)]
pub(super) struct SecretArgs {
    /// A file with the secret, or `-` for standard input: `whsec_` and the Base64 of 24 to 64 bytes. It is not
    /// printed. Without this option the secret is a new one.
    #[arg(long, value_name = "PATH")]
    secret_file: Option<PathBuf>,
}

/// A secret, and what is printed of it.
pub(super) struct Chosen {
    pub(super) secret: Secret,
    /// The text of a new secret. The operator has the text of a given one.
    pub(super) new_text: Option<String>,
}

impl SecretArgs {
    pub(super) fn choose(&self) -> Result<Chosen> {
        let Some(file) = &self.secret_file else {
            let secret = Secret::generate()?;
            let new_text = Some(secret.text());
            return Ok(Chosen { secret, new_text });
        };
        let text = if file.as_os_str() == STANDARD_INPUT {
            secret_file::read_stream(io::stdin().lock()).map_err(|error| match error {
                SecretFileError::Read(error) => anyhow!("standard input cannot be read: {error}"),
                _ => anyhow!("standard input is empty, larger than 64 KiB, or not text"),
            })
        } else {
            secret_file::read_private(file).map_err(|error| anyhow!("--secret-file {error}"))
        };
        let secret = Secret::parse(text?.expose_secret());
        let secret = secret.map_err(|error| anyhow!("the secret of --secret-file {error}"))?;
        Ok(Chosen { secret, new_text: None })
    }
}
