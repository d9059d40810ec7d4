//! Integration tests, by capability: one binary, so that the AWS SDK is linked once.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "clippy allows these in test functions only, not in what they share; tests look at files"
)]

mod azure_double;
mod azureblob;
mod backend_command;
mod backends;
mod check;
mod commands;
mod cron;
mod edit;
mod gs;
mod gs_double;
mod guides;
mod http_double;
mod init;
mod k8s;
mod k8s_double;
mod lock;
mod loopback;
mod lua;
mod manual;
mod oss;
mod oss_double;
mod permissions;
mod plan_show;
mod real_kubernetes;
mod real_servers;
mod repl;
mod s3;
mod s3_double;
mod s3_double_test;
mod scripts;
mod scripts_command;
mod session;
mod shipped;
mod store_file;
mod store_model;
mod support;
mod swift;
mod swift_double;
mod test_command;
mod transfer;
mod vault;
mod vault_double;
mod vendors;
mod watch;
