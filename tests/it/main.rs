//! Integration tests, by capability: one binary, so that the AWS SDK is linked once.

mod lua;
mod s3;
mod s3_double;
mod s3_double_test;
mod transfer;
