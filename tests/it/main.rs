//! Integration tests, by capability: one binary, so that the AWS SDK is linked once.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "clippy allows these in test functions only, not in what they share"
)]

mod lua_scripts;
mod s3;
mod s3_double;
mod s3_double_test;
mod store_file;
mod store_model;
mod transfer;
