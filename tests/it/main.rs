//! Integration tests, by capability: one binary, so that the AWS SDK is linked once.
mod transfer;
