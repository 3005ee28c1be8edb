//! The launcher as a user runs it.

mod auth;
mod hints;
mod launcher;
mod no_leftovers;
