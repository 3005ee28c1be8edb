//! Installs the units on a machine as deploy/README.md says.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::machine::Machine;
use crate::commands::{repository, run};
use crate::images::{IMAGES, TAG, build};
use crate::secrets::Secrets;

/// The URLs name the CA where it is for a container. All processes get the keys of the issuer as a file.
const WRITE_SECRETS: &str = r#"
made=$PWD/deploy/compose/secrets
cd /etc/orders
install -m 644 "$made/ca/ca.pem" "$made/write-api/jwks.json" .
umask 077
for program in write-api projector read-api migrate; do
    sed s,/run/secrets/,/etc/orders/, "$made/$program/database_url" >credentials/$program.database_url
done
cp "$made/read-api/cursor_key" credentials/
sed -i 's,^AUTH_ISSUER=.*,AUTH_ISSUER=https://issuer.orders.example,' ./*.env
sed -i 's,^AUTH_JWKS_URL=.*,AUTH_JWKS_FILE=/etc/orders/jwks.json,' ./*.env
"#;

/// As the container `roles` of Compose: a role with a file in /run/secrets gets its password, the others have none.
pub(super) const SET_PASSWORDS: &str = "/root/deploy/compose/set-passwords 2>&1";

const PREPARE_PASSWORDS: &str =
    "cp -r deploy/compose/secrets/roles /run/secrets && cp deploy/migrate/superuser.sql /";

/// The commands of the section, between the lines that say what the operator does by hand.
fn steps() -> Result<Vec<String>> {
    let document = fs::read_to_string(repository().join("deploy/README.md"))?;
    let (_, section) = document.split_once("\n## With systemd\n").context("no section")?;
    let (_, block) = section.split_once("\n```sh").context("no commands")?;
    let (block, _) = block.split_once("\n```").context("no end")?;
    let lines: Vec<_> = block.lines().skip(1).collect();
    Ok(lines.split(|line| line.starts_with('#')).map(|lines| lines.join("\n")).collect())
}

/// The programs are those of the images.
fn copy_programs(machine: &Machine) -> Result<()> {
    build()?;
    let directory = tempfile::tempdir()?;
    machine.exec("mkdir -p target/release", &[])?;
    for image in IMAGES {
        let container = run("podman", ["create", &format!("localhost/orders/{image}:{TAG}")])?;
        let file = directory.path().join(image);
        let from = format!("{}:/{image}", container.trim());
        let copied = run("podman", ["cp", &from, file.to_str().context("no UTF-8")?]);
        run("podman", ["rm", container.trim()])?;
        copied?;
        machine.copy(&file, "target/release/")?;
    }
    Ok(())
}

pub(super) fn install(machine: &Machine, secrets: &Secrets) -> Result<()> {
    copy_programs(machine)?;
    machine.copy(&secrets.deploy(), "deploy")?;
    for name in ["README.md", "systemd", "e2e/tests/deployment/units/postgresql"] {
        machine.copy(&repository().join("deploy").join(name), "deploy/")?;
    }
    machine.exec("deploy/postgresql deploy/compose/secrets", &[])?;
    let steps = steps()?;
    let [install, migrate, start] = steps.as_slice() else {
        anyhow::bail!("deploy/README.md has {} steps", steps.len());
    };
    machine.exec(install, &[])?;
    machine.exec(WRITE_SECRETS, &[])?;
    machine.exec(migrate, &[]).with_context(|| machine.journal())?;
    machine.exec(&format!("{PREPARE_PASSWORDS}\n{SET_PASSWORDS}"), &[])?;
    machine.exec(start, &[]).with_context(|| machine.journal()).map(drop)
}

#[test]
fn the_steps_of_the_document_are_found() -> Result<()> {
    let steps = steps()?;
    ensure!(
        steps.len() == 3 && steps.iter().all(|step| step.contains("install") || step.contains("systemctl"))
    );
    Ok(())
}
