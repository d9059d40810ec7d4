//! How the credential chains of `reqsign` reach files, services, programs and the environment.

use std::collections::HashMap;
use std::path::PathBuf;

use bytes::Bytes;
use http::{Request, Response};
use reqsign_core::{CommandExecute, CommandOutput, Context, Error, FileRead, HttpSend, Result};

use super::Client;
use crate::store::registry::Env;

/// The hosts from which virtual machines learn who they are.
const METADATA: [&str; 4] = [
    "169.254.169.254",
    "metadata.google.internal",
    "metadata",
    "100.100.100.200",
];

/// What a credential chain may use.
pub(in crate::store) fn context(env: &Env, client: &Client) -> Context {
    Context::new()
        .with_env(Variables(env.clone()))
        .with_file_read(Files)
        .with_http_send(Http {
            client: client.clone(),
            // Here for every cloud, though the name is one cloud's.
            asks_metadata: env.get("AWS_EC2_METADATA_DISABLED") != Some("true"),
        })
        .with_command_execute(Programs)
}

#[derive(Debug)]
struct Variables(Env);

impl reqsign_core::Env for Variables {
    fn var(&self, name: &str) -> Option<String> {
        self.0.get(name).map(str::to_owned)
    }

    fn vars(&self) -> HashMap<String, String> {
        let pairs = self.0.iter();
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn home_dir(&self) -> Option<PathBuf> {
        self.0.home()
    }
}

#[derive(Debug)]
struct Files;

impl FileRead for Files {
    #[expect(clippy::disallowed_methods, reason = "the credentials' own files")]
    async fn file_read(&self, path: &str) -> Result<Vec<u8>> {
        tokio::fs::read(path)
            .await
            .map_err(|error| Error::config_invalid(format!("cannot read {path}: {error}")))
    }
}

/// Asks the services that credentials come from.
struct Http {
    client: Client,
    asks_metadata: bool,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Http")
    }
}

impl HttpSend for Http {
    async fn http_send(&self, request: Request<Bytes>) -> Result<Response<Bytes>> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        if !self.asks_metadata && METADATA.contains(&host.as_str()) {
            return Err(Error::config_invalid(
                "the machine's metadata service is not asked: AWS_EC2_METADATA_DISABLED is true",
            ));
        }
        let unreachable = |why: String| {
            Error::unexpected(format!("no answer from {host}: {why}")).set_retryable(true)
        };
        let answer = self.client.send(request).await;
        let answer = answer.map_err(|failure| unreachable(failure.words()))?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        let body = answer.bytes().await;
        *response.body_mut() = body.map_err(|failure| unreachable(failure.words()))?;
        Ok(response)
    }
}

/// Runs the vendor's own program, such as `az`, that hands out a token.
#[derive(Debug)]
struct Programs;

impl CommandExecute for Programs {
    #[expect(
        clippy::disallowed_methods,
        reason = "credentials of whoever signed in with the vendor's program"
    )]
    async fn command_execute(&self, program: &str, args: &[&str]) -> Result<CommandOutput> {
        let output = tokio::process::Command::new(program)
            .args(args)
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| Error::config_invalid(format!("cannot run {program}: {error}")))?;
        Ok(CommandOutput {
            status: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }
}
