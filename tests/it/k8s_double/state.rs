//! What is stored: objects, versions, and the moments that `continue` tokens go on from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

type Objects = BTreeMap<(String, String, String), Arc<Value>>;

pub(super) struct State {
    pub(super) namespaces: BTreeSet<String>,
    /// By resource, namespace and name.
    objects: Objects,
    version: u64,
    ahead: Duration,
    /// What was there when a listing began, by its version.
    moments: BTreeMap<u64, Vec<Arc<Value>>>,
}

impl State {
    pub(super) fn new(namespaces: Vec<String>) -> Self {
        Self {
            namespaces: namespaces.into_iter().collect(),
            objects: Objects::new(),
            version: 1000,
            ahead: Duration::ZERO,
            moments: BTreeMap::new(),
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc() + self.ahead
    }

    pub(super) fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.objects.get(&key(resource, namespace, name))
    }

    /// All of a namespace, by name.
    pub(super) fn list(
        &self,
        resource: &str,
        namespace: &str,
    ) -> impl Iterator<Item = &Arc<Value>> {
        let start = key(resource, namespace, "");
        let end = (start.0.clone(), start.1.clone());
        let from = self.objects.range(start..);
        from.take_while(move |(key, _)| (&key.0, &key.1) == (&end.0, &end.1))
            .map(|(_, object)| object)
    }

    /// Stores an object, in a new version unless it is the same as before.
    pub(super) fn put(&mut self, resource: &str, namespace: &str, mut object: Value) -> Arc<Value> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let key = key(resource, namespace, name);
        let old = self.objects.get(&key).cloned();
        let metadata = &mut object["metadata"];
        metadata["namespace"] = namespace.into();
        if let Some(old) = &old {
            for field in [
                "uid",
                "creationTimestamp",
                "resourceVersion",
                "managedFields",
            ] {
                metadata[field] = old["metadata"][field].clone();
            }
            if **old == object {
                return Arc::clone(old);
            }
        } else {
            let made = self.now().replace_nanosecond(0).expect("a time");
            let random = format!("{:032x}", fastrand::u128(..));
            let metadata = &mut object["metadata"];
            metadata["uid"] = format!(
                "{}-{}-{}-{}-{}",
                &random[..8],
                &random[8..12],
                &random[12..16],
                &random[16..20],
                &random[20..]
            )
            .into();
            metadata["creationTimestamp"] = made.format(&Rfc3339).expect("a time").into();
        }
        // What happens elsewhere in the cluster counts too.
        self.version += fastrand::u64(1..4);
        let now = self.now().replace_nanosecond(0).expect("a time");
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        object["metadata"]["managedFields"] = json!([{
            "manager": "kstate",
            "operation": "Update",
            "apiVersion": "v1",
            "time": now.format(&Rfc3339).expect("a time"),
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:metadata": {"f:annotations": {".": {}}}},
        }]);
        let object = Arc::new(object);
        self.objects.insert(key, Arc::clone(&object));
        object
    }

    pub(super) fn edit(
        &mut self,
        resource: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) {
        let object = self.get(resource, namespace, name).expect("the object");
        let mut object = (**object).clone();
        change(&mut object);
        self.put(resource, namespace, object);
    }

    pub(super) fn remove(&mut self, resource: &str, namespace: &str, name: &str) {
        self.objects.remove(&key(resource, namespace, name));
        self.version += 1;
    }

    /// Keeps what a listing began with.
    pub(super) fn remember(&mut self, objects: Vec<Arc<Value>>) {
        self.moments.insert(self.version, objects);
    }

    pub(super) fn moment(&self, version: u64) -> Option<&Vec<Arc<Value>>> {
        self.moments.get(&version)
    }

    pub(super) fn expire_tokens(&mut self) {
        self.moments.clear();
    }

    pub(super) fn advance(&mut self, time: Duration) {
        self.ahead += time;
    }
}

fn key(resource: &str, namespace: &str, name: &str) -> (String, String, String) {
    (resource.to_owned(), namespace.to_owned(), name.to_owned())
}
