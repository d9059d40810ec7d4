//! The fields of kOps's objects: what each is called, where it stands and what it may hold.
//!
//! The names are those of v1alpha2, in which kOps stores everything; those of its internal API
//! (v1alpha3), which `kops edit cluster --set` takes, lead to them. `table.txt` holds the fields of
//! kOps 1.37; `derive.py` writes it from a list that was read out of the schemas that kOps ships
//! (`k8s/crds`), and says what it adds to them.

mod alias;
mod check;
mod nearest;
mod table;
mod value;

use std::fmt;

use crate::merge::document::{Path, Step};

pub use alias::from_internal;
pub use check::{Misfit, Problem, Refusal, boolean_word, misfits, words};
pub use nearest::nearest;
pub use value::{parse_value, parts, unquoted};

/// A kind of object that kOps stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The cluster's manifest.
    Cluster,
    /// A group of instances of a cluster.
    InstanceGroup,
    /// Certificates and private keys.
    Keyset,
    /// A public SSH key.
    SshCredential,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Cluster,
        Self::InstanceGroup,
        Self::Keyset,
        Self::SshCredential,
    ];

    /// The kind of this name, as `kind` in a document gives it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its name in a document.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::InstanceGroup => "InstanceGroup",
            Self::Keyset => "Keyset",
            Self::SshCredential => "SSHCredential",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a field holds. Prints as in "holds a boolean".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Anything: Kubernetes's own bookkeeping.
    Any,
    /// A text.
    String,
    /// `true` or `false`.
    Boolean,
    /// An integer of 32 bits.
    Int32,
    /// An integer of 64 bits.
    Int64,
    /// An integer, or a text such as `10%`.
    IntOrString,
    /// An amount such as `500m` or `2Gi`.
    Quantity,
    /// A time span as Go writes it, such as `1h30m`.
    Duration,
    /// Base64.
    Bytes,
    /// A point in time (RFC 3339).
    Time,
    /// A list of like elements.
    List,
    /// Like values under keys of the user's choice.
    Map,
    /// Fields with names that kOps gives.
    Object,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "anything",
            Self::String => "a string",
            Self::Boolean => "a boolean",
            Self::Int32 | Self::Int64 => "an integer",
            Self::IntOrString => "an integer or a string",
            Self::Quantity => "a quantity",
            Self::Duration => "a duration",
            Self::Bytes => "base64",
            Self::Time => "a time",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Object => "an object",
        })
    }
}

/// A field of an object.
#[derive(Clone, Copy)]
pub struct Field(&'static table::Node);

impl Field {
    /// The object itself, with its `apiVersion`, `metadata` and `spec`.
    #[must_use]
    pub fn root(kind: Kind) -> Self {
        Self(table::root(kind))
    }

    /// What it holds.
    #[must_use]
    pub fn holds(self) -> Type {
        self.0.holds
    }

    /// The element of a list or the value of a map.
    #[must_use]
    pub fn element(self) -> Option<Self> {
        self.0.element.as_deref().map(Self)
    }

    /// The fields of an object, in the order of their names.
    pub fn fields(self) -> impl Iterator<Item = (&'static str, Self)> {
        self.0.fields.iter().map(|(name, node)| (*name, Self(node)))
    }

    /// One step further: an index leads into a list, a key into a map or an object.
    #[must_use]
    pub fn step(self, step: &Step) -> Option<Self> {
        match (self.holds(), step) {
            (Type::Any, _) => Some(self),
            (Type::List, Step::Index(_)) | (Type::Map, Step::Key(_)) => self.element(),
            (Type::Object, Step::Key(key)) => self.0.field(key).map(Self),
            _ => None,
        }
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Field({:?})", self.holds())
    }
}

/// Whether an object of this `apiVersion` has the fields that are known here.
///
/// # Errors
/// When it has others, or is none of kOps's. The message goes on from the object: "is of …".
pub fn known_version(api_version: &str) -> Result<(), Refusal> {
    match api_version {
        "kops.k8s.io/v1alpha2" | "kops/v1alpha2" => Ok(()),
        "kops.k8s.io/v1alpha3" => Err(Refusal::new(
            "is of v1alpha3, whose fields have other names than those that kOps stores",
        )
        .hint("give it as kops.k8s.io/v1alpha2, as `kops get -o yaml` does")),
        other => {
            let other: String = other.chars().take(60).collect();
            let refusal = Refusal::new(format!("is of '{other}', which is no version of kOps"));
            Err(refusal.hint("kOps stores kops.k8s.io/v1alpha2"))
        }
    }
}

/// The field at a path, by the names of v1alpha2.
#[must_use]
pub fn field(kind: Kind, path: &Path) -> Option<Field> {
    path.0.iter().try_fold(Field::root(kind), Field::step)
}

/// The field that a person means, and its path in v1alpha2: the names of kOps's internal API are
/// taken too.
///
/// # Errors
/// When there is no such field; names the nearest one.
pub fn resolve(kind: Kind, path: &Path) -> Result<(Path, Field), Refusal> {
    if let Some(found) = field(kind, path) {
        return Ok((path.clone(), found));
    }
    if let Some(path) = from_internal(kind, path)
        && let Some(found) = field(kind, &path)
    {
        return Ok((path, found));
    }
    let message = format!("{kind} has no field {path}");
    let hint = nearest(kind, path).map(|near| format!("did you mean {near}?"));
    Err(Refusal { message, hint })
}

#[cfg(test)]
pub(super) mod tests;
