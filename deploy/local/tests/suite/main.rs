//! The launcher as a user runs it.

mod hints;
mod launcher;
mod no_leftovers;
