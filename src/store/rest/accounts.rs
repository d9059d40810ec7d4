//! What the stores of one scheme share in a process: the client, the memory for uploads, and
//! accounts by their settings.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, OnceLock};

use super::{Client, Tuning};
use crate::store::pieces::Buffers;
use crate::store::registry::Env;
use crate::store::{Result, lock};

pub(in crate::store) struct Accounts<S, A> {
    pub env: Env,
    pub tuning: Tuning,
    pub buffers: Arc<Buffers>,
    client: OnceLock<Client>,
    known: Mutex<HashMap<S, Arc<A>>>,
}

impl<S: Clone + Eq + Hash, A> Accounts<S, A> {
    /// None yet; nothing is read or asked.
    pub(in crate::store) fn new(env: Env, tuning: Tuning) -> Self {
        Self {
            env,
            buffers: Arc::new(Buffers::new(tuning.memory, tuning.part_size)),
            tuning,
            client: OnceLock::new(),
            known: Mutex::default(),
        }
    }

    /// The account with these settings, made where there is none yet.
    pub(in crate::store) fn get(
        &self,
        settings: S,
        open: impl FnOnce(S, Client) -> Result<A>,
    ) -> Result<Arc<A>> {
        if let Some(account) = lock(&self.known).get(&settings) {
            return Ok(Arc::clone(account));
        }
        let made = Arc::new(open(settings.clone(), self.client()?)?);
        Ok(Arc::clone(
            lock(&self.known).entry(settings).or_insert(made),
        ))
    }

    fn client(&self) -> Result<Client> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let made = Client::new(&self.tuning, false)?;
        Ok(self.client.get_or_init(|| made).clone())
    }
}
