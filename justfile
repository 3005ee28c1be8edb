# The commands of everyday work. `just` alone lists them.

_list:
    @just --list

# Run everything on this machine, until Ctrl-C.
run *options:
    cargo run -p local -- {{ options }}

# Run the tests; `just test paging` runs those with that name.
test *filter:
    cargo test --workspace {{ filter }}

# Run everything that must pass before a change lands.
ci:
    .ci/run

# Fuzz both APIs against their OpenAPI documents.
fuzz examples="500":
    .ci/fuzz-contract {{ examples }}

# Measure one scenario, or `all`.
bench scenario="all" *options:
    cargo run --release -p bench -- {{ scenario }} {{ options }}

# Open psql on the database of `just run --data-dir data` (or another directory).
psql data_dir="data":
    cargo run --quiet -p local -- --data-dir {{ data_dir }} --psql
