//! Accounts: who asks, with a token that all requests share, and one call.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, StatusCode};
use tokio::sync::OnceCell;

use super::SwiftStore;
use super::container::Container;
use super::error::SERVICE;
use super::info::Info;
use super::login::{Login, Trust};
use super::sign_in::{self, Refusal};
use crate::store::pieces::Buffers;
use crate::store::registry::Env;
use crate::store::rest::{Answer, Client, Failure, Tuning};
use crate::store::{Error, ErrorKind, Result, StoreUrl, lock};

/// How long signing in may take, since everybody waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

const TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// The clients of one process. Stores with the same login share one.
pub struct Clients {
    env: Env,
    tuning: Tuning,
    buffers: Arc<Buffers>,
    accounts: Mutex<HashMap<Login, Arc<Account>>>,
}

/// One account at one service.
pub(super) struct Account {
    login: Login,
    pub tuning: Tuning,
    pub buffers: Arc<Buffers>,
    client: Client,
    state: tokio::sync::Mutex<State>,
    /// How often signing in failed for a passing reason.
    failures: AtomicU64,
    /// The object store's host, once somebody has signed in.
    host: OnceLock<String>,
    pub info: OnceCell<Info>,
    containers: Mutex<HashMap<String, Arc<Container>>>,
}

enum State {
    /// The reason why the last try failed, if there was one.
    Out(String),
    In(Arc<Session>),
    /// A second try with the same password could lock the user out.
    Refused(String),
}

/// What signing in gives.
pub(super) struct Session {
    pub token: HeaderValue,
    /// The account's URL, without a slash at the end.
    pub account: String,
    /// Whether it stands for one whose token was refused.
    pub is_second: bool,
    /// Whether its token was taken once.
    pub has_worked: AtomicBool,
}

impl Clients {
    /// Clients for the stores of this environment. Nothing is read or asked yet.
    #[must_use]
    pub fn new(env: Env) -> Self {
        Self::with(env, Tuning::default())
    }

    /// As [`new`](Self::new), with other settings than the defaults.
    #[must_use]
    pub fn with(env: Env, tuning: Tuning) -> Self {
        Self {
            env,
            buffers: Arc::new(Buffers::new(tuning.memory, tuning.part_size)),
            tuning,
            accounts: Mutex::default(),
        }
    }

    /// Opens the store at a URL. Files of credentials are read; nothing is asked of the network.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when an option is none of Swift's, or what says who asks has gaps.
    pub fn open(&self, url: &StoreUrl) -> Result<SwiftStore> {
        let login = Login::find(url, &self.env)?;
        let mut accounts = lock(&self.accounts);
        if let Some(account) = accounts.get(&login) {
            return Ok(SwiftStore::at_url(url, Arc::clone(account)));
        }
        let account = self.account(login.clone());
        let account = account.map_err(|error| error.at(url, None))?;
        accounts.insert(login, Arc::clone(&account));
        Ok(SwiftStore::at_url(url, account))
    }

    fn account(&self, login: Login) -> Result<Arc<Account>> {
        let client = match &login.trust {
            Trust::System => Client::new(&self.tuning, false),
            Trust::Anybody => Client::new(&self.tuning, true),
            Trust::File(path) => {
                #[expect(clippy::disallowed_methods, reason = "whose certificates count")]
                let read = std::fs::read(path);
                let read = read.map_err(|error| {
                    let path = path.display();
                    let message = format!("cannot read the certificates in {path}: {error}");
                    Error::new(ErrorKind::Invalid, "open", message)
                        .hint("OS_CACERT, or the cloud's cacert, names a file of PEM certificates")
                })?;
                Client::trusting(&self.tuning, &read)
            }
        };
        Ok(Arc::new(Account {
            login,
            tuning: self.tuning.clone(),
            buffers: Arc::clone(&self.buffers),
            client: client?,
            state: State::Out(String::new()).into(),
            failures: AtomicU64::new(0),
            host: OnceLock::new(),
            info: OnceCell::new(),
            containers: Mutex::default(),
        }))
    }
}

impl Account {
    /// The host, as errors name it.
    pub(super) fn host(&self) -> &str {
        self.host.get().map_or(self.login.host(), String::as_str)
    }

    /// The account, as far as it is known without asking.
    pub(super) fn place(&self) -> String {
        self.login.place()
    }

    /// What is known of a container; the same for all stores in it.
    pub(super) fn container(&self, name: &str) -> Arc<Container> {
        let mut containers = lock(&self.containers);
        Arc::clone(containers.entry(name.to_owned()).or_default())
    }

    /// What the service says that it can do, which it says to anybody.
    pub(super) async fn ask_info(&self) -> Result<Info, Failure> {
        let session = self.session(None).await?;
        let request = Request::get(Info::url(&session.account)).body(Bytes::new());
        let request = request.map_err(|error| Failure::unsent(error.to_string()))?;
        let answer = self.client.send(request).await?;
        match answer.status() {
            StatusCode::OK => Ok(Info::parse(&answer.bytes().await?)),
            _ => Err(Failure::of(answer, &SERVICE).await),
        }
    }

    /// Sends a request, whose URL is relative to the account's; only success is an answer.
    pub(super) async fn call(&self, request: Request<Bytes>) -> Result<Answer, Failure> {
        let (parts, body) = request.into_parts();
        let session = self.session(None).await?;
        let mut answer = self.send(&session, &parts, &body).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            let session = self.session(Some(&session)).await?;
            answer = self.send(&session, &parts, &body).await?;
        }
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(Failure::of(answer, &SERVICE).await)
    }

    async fn send(
        &self,
        session: &Session,
        parts: &Parts,
        body: &Bytes,
    ) -> Result<Answer, Failure> {
        let url = format!("{}{}", session.account, parts.uri);
        let mut request = Request::new(body.clone());
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = url
            .parse()
            .map_err(|error| Failure::unsent(format!("{error}")))?;
        *request.headers_mut() = parts.headers.clone();
        request.headers_mut().insert(TOKEN, session.token.clone());
        let answer = self.client.send(request).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            session.has_worked.store(true, Ordering::Relaxed);
        }
        Ok(answer)
    }

    /// The session that all share; another one than `spent`, whose token is refused. One signs
    /// in, and the others wait for it, also when it fails.
    async fn session(&self, spent: Option<&Arc<Session>>) -> Result<Arc<Session>, Failure> {
        let failures = self.failures.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        match &*state {
            State::In(session) if !spent.is_some_and(|spent| Arc::ptr_eq(spent, session)) => {
                return Ok(Arc::clone(session));
            }
            State::In(spent) if spent.is_second && !spent.has_worked.load(Ordering::Relaxed) => {
                return Err(Failure::nobody(self.takes_no_token()));
            }
            State::Refused(why) => return Err(Failure::nobody(why.clone())),
            State::Out(why) if failures != self.failures.load(Ordering::Acquire) => {
                return Err(Failure::transport(why.clone()));
            }
            State::In(_) | State::Out(_) => {}
        }
        let signing_in = sign_in::sign_in(&self.client, &self.login, spent.is_some());
        // Seldom, so that all other calls need no room for it.
        let signing_in = Box::pin(tokio::time::timeout(PATIENCE, signing_in));
        let late = || {
            let (host, seconds) = (self.login.host(), PATIENCE.as_secs());
            Refusal::Passing(format!("{host} made no token in {seconds} s"))
        };
        match signing_in.await.unwrap_or_else(|_| Err(late())) {
            Ok(session) => {
                let rest = session.account.split_once("://").map(|(_, rest)| rest);
                let host = rest.and_then(|rest| rest.split('/').next());
                self.host
                    .get_or_init(|| host.unwrap_or_default().to_owned());
                let session = Arc::new(session);
                *state = State::In(Arc::clone(&session));
                Ok(session)
            }
            Err(Refusal::Final(why)) => {
                *state = State::Refused(why.clone());
                Err(Failure::nobody(why))
            }
            Err(Refusal::Passing(why)) => {
                self.failures.fetch_add(1, Ordering::Release);
                *state = State::Out(why.clone());
                Err(Failure::transport(why))
            }
        }
    }

    /// A new token instead of every refused one would be one for every call.
    fn takes_no_token(&self) -> String {
        let (store, maker) = (self.host(), self.login.host());
        format!(
            "{store} takes no token of {maker}: check the region (OS_REGION_NAME, ?region=) and \
             ?endpoint="
        )
    }
}
