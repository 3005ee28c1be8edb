//! The launcher as a user runs it.

mod launcher;
mod no_leftovers;
