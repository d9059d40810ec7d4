//! Who asks where neither a key nor a signature is given: whom Azure's own libraries find.

use std::fmt::Write;

use reqsign_azure_storage::{
    AzureCliCredentialProvider, ClientCertificateCredentialProvider,
    ClientSecretCredentialProvider, Credential, ImdsCredentialProvider,
    WorkloadIdentityCredentialProvider,
};
use reqsign_core::{Context, Error, ProvideCredential, Result};

/// The service principal or the workload identity that the environment names, else whoever did
/// `az login`, else the machine's own identity.
#[derive(Debug)]
pub(super) struct SignedIn;

impl ProvideCredential for SignedIn {
    type Credential = Credential;

    async fn provide_credential(&self, context: &Context) -> Result<Option<Credential>> {
        if let Some(named) = named(context).await.map_err(|error| told("", &error))? {
            return Ok(Some(named));
        }
        // Nobody is named: that one of these two fails is no news unless the other fails too.
        let program = match AzureCliCredentialProvider::new()
            .provide_credential(context)
            .await
        {
            Ok(Some(person)) => return Ok(Some(person)),
            Ok(None) => "az gives no token".to_owned(),
            Err(error) => error.to_string(),
        };
        let machine = ImdsCredentialProvider::new()
            .provide_credential(context)
            .await;
        machine.map_err(|error| {
            let told = told(&format!("{}; ", program.trim()), &error);
            // Away from Azure there is no metadata service, however often it is asked.
            told.set_retryable(is_passing(&error))
        })
    }
}

/// Who is named in the environment is meant: when that fails, nobody else is asked.
async fn named(context: &Context) -> Result<Option<Credential>> {
    let secret = ClientSecretCredentialProvider::new();
    if let Some(found) = secret.provide_credential(context).await? {
        return Ok(Some(found));
    }
    let certificate = ClientCertificateCredentialProvider::new();
    if let Some(found) = certificate.provide_credential(context).await? {
        return Ok(Some(found));
    }
    let workload = WorkloadIdentityCredentialProvider::new();
    workload.provide_credential(context).await
}

/// The error with all that it says.
fn told(before: &str, error: &Error) -> Error {
    let mut words = format!("{before}{error}");
    for context in error.context() {
        // Writing to a String can't fail.
        let _ = write!(words, ", {context}");
    }
    Error::new(error.kind(), words).set_retryable(error.is_retryable() || is_passing(error))
}

/// Whether whoever hands out tokens can't do so just now.
fn is_passing(error: &Error) -> bool {
    let status = error.context().iter();
    let mut status = status.filter_map(|context| context.strip_prefix("http_status: "));
    status.any(|status| status.starts_with('5') || status.starts_with("429"))
}
