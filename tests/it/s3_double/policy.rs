//! What AWS takes for a bucket's policy, and how it gives it back:
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html> and the elements at
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html>.

use s3s::{S3Result, s3_error};
use serde_json::{Map, Value};

/// The most that a policy may have, in bytes.
const LARGEST: usize = 20 << 10;

const OF_A_POLICY: [&str; 3] = ["Version", "Id", "Statement"];
const OF_A_STATEMENT: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

/// Checks a policy; gives it as the service keeps it.
pub(crate) fn accept(bucket: &str, text: &str) -> S3Result<String> {
    match check(bucket, text) {
        Ok(policy) => Ok(policy.to_string()),
        Err(message) => Err(s3_error!(MalformedPolicy, "{message}")),
    }
}

fn check(bucket: &str, text: &str) -> Result<Value, String> {
    if text.len() > LARGEST {
        return Err("Policy exceeds the maximum allowed document size.".to_owned());
    }
    let policy: Value = serde_json::from_str(text)
        .map_err(|_| "Policies must be valid JSON and the first byte must be '{'".to_owned())?;
    let Value::Object(mut policy) = policy else {
        return Err("Policies must be valid JSON and the first byte must be '{'".to_owned());
    };
    only(&policy, &OF_A_POLICY)?;
    if !matches!(
        policy.get("Version").and_then(Value::as_str),
        None | Some("2012-10-17" | "2008-10-17")
    ) {
        return Err("The policy must contain a valid version string".to_owned());
    }
    let statements = list(policy.get("Statement").unwrap_or(&Value::Null));
    if statements.is_empty() {
        return Err("Could not parse the policy: Statement is empty!".to_owned());
    }
    let mut sids = Vec::new();
    let mut kept = Vec::new();
    for statement in statements {
        let Value::Object(statement) = statement else {
            return Err("Statement must be an object".to_owned());
        };
        if let Some(sid) = statement.get("Sid").filter(|sid| sids.contains(*sid)) {
            return Err(format!("Duplicate statement id {sid}"));
        }
        sids.extend(statement.get("Sid").cloned());
        kept.push(Value::Object(keep(bucket, statement)?));
    }
    policy.insert("Statement".to_owned(), Value::Array(kept));
    Ok(Value::Object(policy))
}

/// Checks a statement; gives it with its lists in another order, and one alone without a list.
fn keep(bucket: &str, mut statement: Map<String, Value>) -> Result<Map<String, Value>, String> {
    only(&statement, &OF_A_STATEMENT)?;
    if !matches!(
        statement.get("Effect").and_then(Value::as_str),
        Some("Allow" | "Deny")
    ) {
        return Err("Invalid effect".to_owned());
    }
    for name in ["Principal", "Action", "Resource"] {
        let not = format!("Not{name}");
        if statement.contains_key(name) == statement.contains_key(&not) {
            return Err(format!("Missing required field {name}"));
        }
    }
    let resources = texts(statement.get("Resource").or(statement.get("NotResource")));
    let arns = ["aws", "aws-cn", "aws-us-gov"].map(|part| format!("arn:{part}:s3:::{bucket}"));
    let is_here = |resource: &str| {
        arns.iter().any(|arn| {
            let rest = resource.strip_prefix(arn.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    if resources.is_empty() || !resources.iter().all(|resource| is_here(resource)) {
        return Err("Policy has invalid resource".to_owned());
    }
    for action in texts(statement.get("Action").or(statement.get("NotAction"))) {
        let is_about = |resource: &String| resource.contains('/') != is_of_buckets(&action);
        let is_pattern = action.contains('*');
        if action != "*" && !action.starts_with("s3:") {
            return Err("Policy has invalid action".to_owned());
        }
        if !is_pattern && !resources.iter().any(is_about) {
            let message = "Action does not apply to any resource(s) in statement";
            return Err(message.to_owned());
        }
    }
    for name in ["Principal", "NotPrincipal"] {
        if let Some(principal) = statement.get_mut(name) {
            *principal = keep_principal(principal)?;
        }
    }
    for name in ["Action", "NotAction", "Resource", "NotResource"] {
        if let Some(value) = statement.get_mut(name) {
            *value = plain(texts(Some(value)));
        }
    }
    Ok(statement)
}

fn keep_principal(principal: &Value) -> Result<Value, String> {
    let invalid = || "Invalid principal in policy".to_owned();
    let Value::Object(kinds) = principal else {
        return if principal == "*" {
            Ok(principal.clone())
        } else {
            Err(invalid())
        };
    };
    only(kinds, &["AWS", "Service", "Federated", "CanonicalUser"])?;
    let mut kinds = kinds.clone();
    if let Some(aws) = kinds.get_mut("AWS") {
        let arns = texts(Some(aws)).into_iter().map(|arn| {
            let is_account = |id: &str| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit());
            if is_account(&arn) {
                return Ok(format!("arn:aws:iam::{arn}:root"));
            }
            let parts: Vec<&str> = arn.splitn(6, ':').collect();
            let [_, _, "iam" | "sts", "", account, _] = parts[..] else {
                return if arn == "*" { Ok(arn) } else { Err(invalid()) };
            };
            if is_account(account) && !arn.contains('*') {
                Ok(arn)
            } else {
                Err(invalid())
            }
        });
        *aws = plain(arns.collect::<Result<_, _>>()?);
    }
    Ok(Value::Object(kinds))
}

/// Whether an action is on the bucket itself.
fn is_of_buckets(action: &str) -> bool {
    action.contains("Bucket") || action.ends_with("Configuration")
}

fn only(fields: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    let mut names = fields.keys();
    match names.find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("Unknown field {name}")),
        None => Ok(()),
    }
}

fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let items = value.map(list).unwrap_or_default().into_iter();
    items
        .map(|item| item.as_str().unwrap_or_default().to_owned())
        .collect()
}

fn plain(mut items: Vec<String>) -> Value {
    items.sort_by(|one, other| other.cmp(one));
    match items.as_slice() {
        [one] => one.clone().into(),
        _ => items.into(),
    }
}
