//! The real binaries, together.

mod end_to_end;
mod launcher;
mod no_leftovers;
mod readme;
mod support;
