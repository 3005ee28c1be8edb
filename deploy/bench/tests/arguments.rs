//! Wrong arguments are named and not repeated.

use anyhow::Result;
use testkit::arguments::check_that_none_is_repeated;

#[test]
fn a_wrong_argument_is_never_repeated() -> Result<()> {
    check_that_none_is_repeated(
        env!("CARGO_BIN_EXE_bench"),
        &[&[], &["write", "--seconds"], &["write", "--rounds"]],
    )?;
    Ok(())
}
