//! A Kubernetes API server in this process, for tests: real HTTP and tokens on loopback, Secrets
//! and Leases in memory, every write under one lock, with the checks, limits and answers of the
//! real one (kube-apiserver, k8s.io/apimachinery) and with scripted faults.
//!
//! ```ignore
//! let double = K8sDouble::builder().namespace("state").start();
//! desk.write("kubeconfig", double.kubeconfig("admin"));
//! double.fault(Fault::on("create", "secrets").nth(2).then(Action::lost_answer()));
//! ```

#![expect(
    clippy::expect_used,
    reason = "a double that can't work fails its test"
)]

mod answer;
mod discovery;
mod faults;
mod objects;
mod selector;
mod server;
mod state;
mod validate;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;

pub(crate) use self::faults::{Action, Fault};
use self::state::State;
use crate::loopback::Loopback;

/// A request that the double received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// As a Role names it: `get`, `list`, `create`, `update`, `delete`.
    pub(crate) verb: &'static str,
    /// `secrets` or `leases`.
    pub(crate) resource: String,
    pub(crate) namespace: String,
    /// Empty when it is about none in particular.
    pub(crate) name: String,
    pub(crate) user: String,
    /// The label selector of a listing.
    pub(crate) selector: String,
    /// Whether only metadata was asked for.
    pub(crate) metadata_only: bool,
}

/// Who may do what: a user's name, and the verbs and resources of its Role.
pub(crate) type Rules = Vec<(String, String)>;

/// What all connections share.
struct Shared {
    state: Mutex<State>,
    log: Mutex<Log>,
    /// By token: the user, and what it may do; all with `None`.
    users: BTreeMap<String, (String, Option<Rules>)>,
}

#[derive(Default)]
struct Log {
    requests: Vec<Request>,
    faults: Vec<Fault>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("no panic under this lock")
    }
}

/// How a double is to be.
#[derive(Default)]
pub(crate) struct Builder {
    namespaces: Vec<String>,
    users: BTreeMap<String, (String, Option<Rules>)>,
    is_insecure: bool,
}

impl Builder {
    /// Whoever comes without a token may do all, as on the insecure port that API servers once
    /// had: kubectl sends no token without TLS.
    pub(crate) fn insecure(self) -> Self {
        Self {
            is_insecure: true,
            ..self
        }
    }

    /// Has this namespace.
    pub(crate) fn namespace(mut self, name: &str) -> Self {
        self.namespaces.push(name.to_owned());
        self
    }

    /// Has a user who may do just this, written as `get secrets`.
    pub(crate) fn user(mut self, name: &str, may: &[&str]) -> Self {
        let rules = may.iter().map(|rule| {
            let (verb, resource) = rule.split_once(' ').expect("a verb and a resource");
            (verb.to_owned(), resource.to_owned())
        });
        let user = (name.to_owned(), Some(rules.collect()));
        self.users.insert(token_of(name), user);
        self
    }

    /// Starts it.
    pub(crate) fn start(mut self) -> K8sDouble {
        self.users
            .insert(token_of("admin"), ("admin".to_owned(), None));
        if self.is_insecure {
            let anybody = ("system:unsecured".to_owned(), None);
            self.users.insert(String::new(), anybody);
        }
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(self.namespaces)),
            log: Mutex::default(),
            users: self.users,
        });
        K8sDouble {
            server: server::serve(Arc::clone(&shared)),
            shared,
        }
    }
}

fn token_of(user: &str) -> String {
    format!("token-of-{user}")
}

/// A running double.
pub(crate) struct K8sDouble {
    shared: Arc<Shared>,
    server: Loopback,
}

impl K8sDouble {
    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    /// A kubeconfig with one context, `here`, for a user.
    pub(crate) fn kubeconfig(&self, user: &str) -> String {
        self.kubeconfig_with("here", &token_of(user))
    }

    /// A kubeconfig with one context of this name and any token.
    pub(crate) fn kubeconfig_with(&self, context: &str, token: &str) -> String {
        let config = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "double", "cluster": {"server": self.server.endpoint()}}],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [{"name": context, "context": {"cluster": "double", "user": "user"}}],
            "current-context": context,
        });
        config.to_string()
    }

    /// All objects of a resource in a namespace, by name.
    pub(crate) fn objects(&self, resource: &str, namespace: &str) -> Vec<Value> {
        let state = self.shared.state();
        let objects = state.list(resource, namespace);
        objects.map(|object| (**object).clone()).collect()
    }

    /// The names of all objects of a resource that begin with a prefix.
    pub(crate) fn names(&self, resource: &str, namespace: &str, prefix: &str) -> Vec<String> {
        let objects = self.objects(resource, namespace);
        let names = objects
            .iter()
            .filter_map(|object| object["metadata"]["name"].as_str());
        let names = names.filter(|name| name.starts_with(prefix));
        names.map(str::to_owned).collect()
    }

    /// Changes an object as somebody with another tool does.
    pub(crate) fn edit(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) {
        self.shared.state().edit(resource, namespace, name, change);
    }

    /// Deletes an object, as somebody with another tool does.
    pub(crate) fn remove(&self, resource: &str, namespace: &str, name: &str) {
        self.shared.state().remove(resource, namespace, name);
    }

    /// Its clock goes forward.
    pub(crate) fn advance(&self, time: Duration) {
        self.shared.state().advance(time);
    }

    /// Adds a fault. When several strike one request, the oldest has its way.
    pub(crate) fn fault(&self, fault: Fault) {
        self.shared.log().faults.push(fault);
    }

    /// Every request for an object since the start or the last reset.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.log().requests.clone()
    }

    /// How often something was asked for.
    pub(crate) fn count(&self, verb: &str, resource: &str) -> usize {
        let log = self.shared.log();
        let asked = log.requests.iter();
        asked
            .filter(|request| request.verb == verb && request.resource == resource)
            .count()
    }

    /// Forgets the requests so far.
    pub(crate) fn reset_counts(&self) {
        self.shared.log().requests.clear();
    }

    /// A handle for hooks, which must not own the double.
    pub(crate) fn weak(&self) -> Weak {
        Weak(Arc::downgrade(&self.shared))
    }
}

/// What a hook can do to the double.
#[derive(Clone)]
pub(crate) struct Weak(std::sync::Weak<Shared>);

impl Weak {
    /// All `continue` tokens so far are too old from now on.
    pub(crate) fn expire_tokens(&self) {
        if let Some(shared) = self.0.upgrade() {
            shared.state().expire_tokens();
        }
    }
}
