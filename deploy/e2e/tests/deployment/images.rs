//! The images: small, without anything but a program, and nobody in them is root.

use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::commands::{repository, run};

/// The targets of the Dockerfile.
pub(crate) const IMAGES: [&str; 4] = ["write-api", "projector", "read-api", "migrate"];

/// The tag of the images that the tests build.
pub(crate) const TAG: &str = "e2e";

/// The tag of another build: the same programs with another label.
pub(crate) const OTHER_TAG: &str = "e2e-next";

const SIZE_MAX: u64 = 40_000_000;

/// Builds the images once for all tests of this process; later builds come from the cache of layers.
///
/// # Errors
///
/// If a build fails, now or before.
pub(crate) fn build() -> Result<()> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        IMAGES.iter().try_for_each(|image| build_one(image).map_err(|error| format!("{error:#}")))
    });
    built.clone().map_err(anyhow::Error::msg)
}

fn build_one(image: &str) -> Result<()> {
    let revision = run("git", ["rev-parse", "HEAD"])?;
    let name = format!("localhost/orders/{image}:{TAG}");
    let label = format!("REVISION={}", revision.trim());
    let mut arguments =
        vec!["build", "--quiet", "--layers", "--file", "deploy/Dockerfile", "--target", image];
    // The builder reaches the registry of crates as this machine does, also through a proxy with a CA of its own.
    let trusted = "/etc/ssl/certs/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt:ro";
    if Path::new("/etc/ssl/certs/ca-certificates.crt").is_file() {
        arguments.extend(["--volume", trusted]);
    }
    arguments.extend(["--build-arg", "VERSION=0.1.0", "--build-arg", &label, "--tag", &name, "."]);
    run("podman", arguments)?;
    label_other(image, &name)
}

/// Makes the other build. (The cache of `podman build` does not look at arguments in labels.)
fn label_other(image: &str, name: &str) -> Result<()> {
    let container = run("podman", ["create", name])?;
    let label = format!("LABEL org.opencontainers.image.version={OTHER_TAG}");
    let other = format!("localhost/orders/{image}:{OTHER_TAG}");
    let made = run("podman", ["commit", "--quiet", "--change", &label, container.trim(), &other]);
    run("podman", ["rm", container.trim()])?;
    made.map(|_| ())
}

#[test]
#[ignore = "builds images; .ci/deploy runs it"]
fn each_image_has_its_program_alone_and_is_small() -> Result<()> {
    build()?;
    for image in IMAGES {
        let name = format!("localhost/orders/{image}:{TAG}");
        let inspected: Value = serde_json::from_str(&run("podman", ["image", "inspect", &name])?)?;
        let config = inspected.pointer("/0/Config").context("no configuration")?;
        let size = inspected.pointer("/0/Size").and_then(Value::as_u64).context("no size")?;
        println!("{image}: {:.1} MB", f64::from(u32::try_from(size)?) / 1e6);
        ensure!(size <= SIZE_MAX, "{image} has {size} bytes");
        ensure!(config["User"] == "65532:65532", "{image}: {}", config["User"]);
        let labels = config["Labels"].as_object().context("no labels")?;
        for label in ["title", "description", "licenses", "version", "revision", "created"] {
            let value = labels.get(&format!("org.opencontainers.image.{label}"));
            ensure!(value.is_some_and(Value::is_string), "{image} has no label {label}");
        }
        ensure!(files(&name)? == [format!("/{image}"), "/etc/ssl/certs/ca-certificates.crt".to_owned()]);
    }
    Ok(())
}

/// The files of the image, without those that podman makes for a container.
fn files(image: &str) -> Result<Vec<String>> {
    let container = run("podman", ["create", image])?;
    let container = container.trim();
    let list = run("sh", ["-c", &format!("podman export {container} | tar --list")]);
    run("podman", ["rm", container])?;
    let made = ["dev/", "proc/", "run/", "sys/", "etc/hosts", "etc/resolv.conf", "etc/hostname", "etc/mtab"];
    let list = list?;
    let own =
        list.lines().filter(|path| !path.ends_with('/') && !made.iter().any(|made| path.starts_with(made)));
    let mut files: Vec<_> = own.map(|path| format!("/{path}")).collect();
    // Our own program first.
    files.sort_by_key(|path| path.starts_with("/etc"));
    Ok(files)
}

#[test]
#[ignore = "needs hadolint; .ci/deploy runs it"]
fn the_dockerfile_has_no_finding() -> Result<()> {
    run("hadolint", ["deploy/Dockerfile"])?;
    Ok(())
}

#[test]
fn the_compiler_is_the_one_that_the_workspace_names() -> Result<()> {
    let dockerfile = std::fs::read_to_string(repository().join("deploy/Dockerfile"))?;
    let manifest = std::fs::read_to_string(repository().join("Cargo.toml"))?;
    let version =
        manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).context("no version")?;
    let image = format!("docker.io/library/rust:{}-", version.trim_matches('"'));
    ensure!(dockerfile.contains(&image), "the Dockerfile does not build with {version}");
    Ok(())
}
