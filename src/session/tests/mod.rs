//! The session as a whole.

mod overlay;
mod round_trip;
mod seen;
