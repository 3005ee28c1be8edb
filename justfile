# Everyday commands; `just` alone lists them. Install it with `cargo install just` or `pip install rust-just`.

_list:
    @just --list

# Run the whole system on this machine until Ctrl-C; `just run --data-dir data` keeps its data.
run *options:
    cargo run -p local -- {{ options }}

# Run the tests; `just test paging` runs those with this name.
test *filter:
    cargo test --workspace {{ filter }}

# Run every check that must pass before a change lands.
ci:
    .ci/run

# Compare the contracts with their baselines.
contracts:
    cargo test -p contracts

# Write the baselines of the contracts anew.
update-contracts:
    UPDATE_CONTRACTS=1 cargo test -p contracts

# Run the previous release beside this build.
mixed-versions:
    .ci/mixed-versions

# Fuzz both APIs against their OpenAPI documents.
fuzz examples="500":
    .ci/fuzz-contract {{ examples }}

# Run one benchmark, or `all`.
bench scenario="all" *options:
    cargo run --release -p bench -- {{ scenario }} {{ options }}

# Open psql on the database of `just run --data-dir data` while it runs.
psql data_dir="data":
    # The fifth line of this file is the directory of the server's socket.
    psql -h "$(sed -n 5p {{ data_dir }}/postmaster.pid)" -U postgres orders
