//! A macro embeds the migrations; without this line cargo would not notice a new one.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
