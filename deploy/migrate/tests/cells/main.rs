//! Cells: several schemas with the product's tables in one database.

mod all_cells;
mod beside;
mod dump;
mod one_cell;
mod others;
mod support;
