//! The least that a user must be allowed to do in the namespace.

use super::settings::namespace_fault;
use crate::store::{Error, ErrorKind, Result};

/// A Role with all that a store and its locks need, as YAML for `kubectl apply -f -`, and how it is
/// given to somebody.
///
/// # Errors
/// [`ErrorKind::Invalid`] for what can't be a namespace.
pub fn rbac(namespace: &str) -> Result<String> {
    if let Some(fault) = namespace_fault(namespace) {
        return Err(Error::new(ErrorKind::Invalid, "make the Role", fault));
    }
    Ok(format!(
        "\
# The least that a kstate store in the namespace {namespace} needs. Give it to a user or to a
# service account:
#   kubectl -n {namespace} create rolebinding kstate --role=kstate --user=NAME
#   kubectl -n {namespace} create rolebinding kstate --role=kstate --serviceaccount=NAMESPACE:NAME
# Kubernetes can't limit creating and listing to some names: who has this Role can read all
# Secrets of the namespace, so give the store a namespace of its own.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: kstate
  namespace: {namespace}
rules:
- apiGroups: [\"\"]
  resources: [secrets]
  verbs: [get, list, create, update, delete]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, list, create, update]
"
    ))
}

/// What to add for one refused call.
pub(super) fn hint(verb: &str, resource: &str, namespace: &str) -> String {
    let group = match resource {
        "leases" => "coordination.k8s.io",
        _ => "",
    };
    format!(
        "a Role in the namespace {namespace} must allow it: {{apiGroups: [\"{group}\"], resources: \
         [{resource}], verbs: [{verb}]}}; a store needs get, list, create, update and delete on \
         secrets, its locks get, list, create and update on leases"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_is_yaml_and_says_the_least() {
        let role: serde_json::Value = serde_yaml::from_str(&rbac("state").unwrap()).unwrap();
        assert_eq!(role["kind"], "Role");
        assert_eq!(role["metadata"]["namespace"], "state");
        let rules = role["rules"].as_array().unwrap();
        assert_eq!(rules.len(), 2);
        for rule in rules {
            let verbs = rule["verbs"].as_array().unwrap();
            assert!(verbs.iter().all(|verb| *verb != "*" && *verb != "watch"));
        }
    }
}
