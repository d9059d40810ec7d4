//! Who asks: whom kOps's names in the environment name, else whom Alibaba's own tools find.

use reqsign_aliyun_oss::{
    AssumeRoleCredentialProvider, AssumeRoleWithOidcCredentialProvider,
    ConfigFileCredentialProvider, Credential, CredentialsFileCredentialProvider,
    CredentialsUriCredentialProvider, EcsRamRoleCredentialProvider, EnvCredentialProvider,
    OssProfileCredentialProvider,
};
use reqsign_core::{Context, ProvideCredential, Result};

use super::settings::Settings;
use crate::store::registry::Env;
use crate::store::{Error, ErrorKind, Result as StoreResult};

/// The names of today for the key and its secret, and the ones that kOps reads.
const KEYS: [(&str, &str); 2] = [
    ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIYUN_ACCESS_KEY_ID"),
    (
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        "ALIYUN_ACCESS_KEY_SECRET",
    ),
];

/// Belongs to the key of today's name.
const TOKEN: &str = "ALIBABA_CLOUD_SECURITY_TOKEN";

/// Whose name requests are signed in.
#[derive(Debug)]
pub(super) enum WhoAsks {
    /// The URL names the key.
    Named(Credential),
    /// The first of these that there is: the role to assume, the pod's role, the key in the
    /// environment, in files, at a URI; the machine's role.
    Found,
}

impl WhoAsks {
    /// # Errors
    /// [`ErrorKind::Invalid`] when the variables that the URL names are not set.
    pub(super) fn of(settings: &Settings, env: &Env) -> StoreResult<Self> {
        let Some((id, secret)) = &settings.keys else {
            return Ok(Self::Found);
        };
        let (Some(key), Some(its_secret)) = (env.get(id), env.get(secret)) else {
            let message = format!("{id} and {secret} are not set");
            return Err(Error::new(ErrorKind::Invalid, "open", message));
        };
        Ok(Self::Named(Credential {
            access_key_id: key.to_owned(),
            access_key_secret: its_secret.to_owned(),
            ..Credential::default()
        }))
    }
}

impl ProvideCredential for WhoAsks {
    type Credential = Credential;

    async fn provide_credential(&self, context: &Context) -> Result<Option<Credential>> {
        if let Self::Named(key) = self {
            return Ok(Some(key.clone()));
        }
        // Who is named is meant: when that fails, nobody else is asked.
        let role = AssumeRoleCredentialProvider::new().with_base_provider(Kept);
        if let Some(found) = role.provide_credential(context).await? {
            return Ok(Some(found));
        }
        let pod = AssumeRoleWithOidcCredentialProvider::new();
        if let Some(found) = pod.provide_credential(context).await? {
            return Ok(Some(found));
        }
        if let Some(found) = Kept.provide_credential(context).await? {
            return Ok(Some(found));
        }
        let uri = CredentialsUriCredentialProvider::new();
        if let Some(found) = uri.provide_credential(context).await? {
            return Ok(Some(found));
        }
        let machine = EcsRamRoleCredentialProvider::new();
        let machine = machine.provide_credential(context).await;
        // Elsewhere there is no metadata service, however often it is asked.
        machine.map_err(|error| error.set_retryable(false))
    }
}

/// A key that is kept in the environment or in a file.
#[derive(Debug)]
struct Kept;

impl ProvideCredential for Kept {
    type Credential = Credential;

    async fn provide_credential(&self, context: &Context) -> Result<Option<Credential>> {
        let environment = EnvCredentialProvider::new();
        if let Some(found) = environment.provide_credential(context).await? {
            return Ok(Some(found));
        }
        let profile = OssProfileCredentialProvider::new();
        if let Some(found) = profile.provide_credential(context).await? {
            return Ok(Some(found));
        }
        let file = CredentialsFileCredentialProvider::new();
        if let Some(found) = file.provide_credential(context).await? {
            return Ok(Some(found));
        }
        let config = ConfigFileCredentialProvider::new();
        config.provide_credential(context).await
    }
}

/// The environment with kOps's names for the key read as those of today.
pub(super) fn with_names_of_today(env: &Env) -> Env {
    if KEYS.iter().any(|(_, kops)| env.get(kops).is_none()) {
        return env.clone();
    }
    let is_other = |name: &str| name != TOKEN && KEYS.iter().all(|(today, _)| name != *today);
    let others = env.iter().filter(|(name, _)| is_other(name));
    let ours = KEYS
        .iter()
        .filter_map(|(today, kops)| Some((*today, env.get(kops)?)));
    others.chain(ours).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kops_names_for_the_key_stand_for_those_of_today() {
        let today = ("ALIBABA_CLOUD_ACCESS_KEY_ID", "today");
        let secret = ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret of today");
        let token = (TOKEN, "token of today");
        let kops = [
            ("ALIYUN_ACCESS_KEY_ID", "kops"),
            ("ALIYUN_ACCESS_KEY_SECRET", "its secret"),
        ];
        let key = |pairs: &[(&str, &str)]| {
            let env = with_names_of_today(&pairs.iter().copied().collect());
            let get = |name| env.get(name).map(str::to_owned);
            (get(KEYS[0].0), get(KEYS[1].0), get(TOKEN))
        };
        let some = |text: &str| Some(text.to_owned());
        let ours = (some("kops"), some("its secret"), None);
        assert_eq!(key(&kops), ours);
        assert_eq!(key(&[today, secret, token, kops[0], kops[1]]), ours);
        let theirs = (
            some("today"),
            some("secret of today"),
            some("token of today"),
        );
        assert_eq!(key(&[today, secret, token, kops[0]]), theirs);
    }
}
