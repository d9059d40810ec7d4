//! Who asks, by whichever way Azure knows, and what is shown of it.

use kstate::store::WriteOptions;

use super::{open_as, write};
use crate::azure_double::{self, CLIENT, SECRET, TENANT, TOKEN, key_of, sas};
use crate::support::{Desk, Ended};

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_every_kind_are_found() {
    let double = azure_double::start();
    let endpoint = double.endpoint();
    let desk = Desk::new();
    desk.write("token", SECRET);
    let principal = [
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_CLIENT_ID", CLIENT),
        ("AZURE_AUTHORITY_HOST", &endpoint),
    ];
    let machine = format!("{endpoint}/metadata/identity/oauth2/token");
    let connection = format!("AccountName=first;AccountKey={}", key_of("first"));
    let signed = format!(
        "BlobEndpoint={endpoint}/first;SharedAccessSignature={}",
        sas("container", "rcw")
    );
    let (key_text, sas) = (key_of("first"), sas("container", "rcw"));
    let file = desk.arg("token");
    let with = |more: (&'static str, &str)| {
        let mut pairs = principal.to_vec();
        pairs.push((more.0, more.1));
        pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<Vec<_>>()
    };
    let alone = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    for (env, signed_by) in [
        (with(("AZURE_CLIENT_SECRET", SECRET)), "token"),
        (with(("AZURE_FEDERATED_TOKEN_FILE", &file)), "token"),
        (alone("AZURE_IMDS_ENDPOINT", &machine), "token"),
        (alone("AZURE_STORAGE_KEY", &key_text), "key"),
        (alone("AZURE_STORAGE_SAS_TOKEN", &sas), "signature"),
        (alone("AZURE_STORAGE_CONNECTION_STRING", &connection), "key"),
        (
            alone("AZURE_STORAGE_CONNECTION_STRING", &signed),
            "signature",
        ),
    ] {
        let names: Vec<_> = env.iter().map(|(name, _)| name.clone()).collect();
        let store = open_as(&double, env.into_iter().collect());
        let wrote = write(&store, "k", "x", WriteOptions::default()).await;
        wrote.unwrap_or_else(|error| panic!("{names:?}: {error}"));
        let seen = std::mem::take(&mut double.service().signed_by);
        assert_eq!(seen, [signed_by].into(), "{names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_fail_say_how_and_what_to_do() {
    let double = azure_double::start();
    let endpoint = double.endpoint();
    let wrong = [
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_CLIENT_ID", CLIENT),
        ("AZURE_AUTHORITY_HOST", endpoint.as_str()),
        ("AZURE_CLIENT_SECRET", "wrong"),
    ];
    let nobody = [("AWS_EC2_METADATA_DISABLED", "true")];
    let short = sas("container", "r");
    let cases = [
        (&wrong[..], "401", "az login"),
        (&nobody, "metadata service is not asked", "az login"),
        (
            &[("AZURE_STORAGE_KEY", "bm8=")],
            "clock right?",
            "blobs/write on",
        ),
        (
            &[("AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=s3cr3t")],
            "clock right?",
            "blobs/write on",
        ),
        (
            &[("AZURE_STORAGE_SAS_TOKEN", short.as_str())],
            "AuthorizationPermissionMismatch",
            "blobs/write on azureblob://first/container/state/k",
        ),
    ];
    for (env, says, hint) in cases {
        let store = open_as(&double, env.iter().copied().collect());
        let wrote = write(&store, "k", "x", WriteOptions::default()).await;
        let error = wrote.expect_err("not allowed");
        assert_eq!(error.kind().name(), "permission_denied", "{error}");
        assert!(error.to_string().contains(says), "{error}");
        let told = error.hint_text().unwrap_or_default();
        assert!(told.contains(hint), "{told}");
        let shown = format!("{error:?}");
        assert!(
            !shown.contains("sig=") && !shown.contains("s3cr3t"),
            "{shown}"
        );
    }
}

/// The whole program, as whoever did `az login`, at its most talkative.
#[test]
fn whoever_did_az_login_may_and_no_signature_is_shown() {
    let double = azure_double::start();
    let desk = Desk::new();
    let token = format!(
        "#!/bin/sh\n[ \"$*\" = 'account get-access-token --resource https://storage.azure.com/ \
         --output json' ] || exit 1\necho '{{\"accessToken\": \"{TOKEN}\", \"expires_on\": \
         9999999999, \"tokenType\": \"Bearer\"}}'\n"
    );
    desk.write("bin/az", token);
    let is_program = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(desk.path("bin/az"), is_program).expect("a mode");
    let url = |place: &str| format!("azureblob://first/{place}?endpoint={}", double.endpoint());
    let (one, two) = (url("container/state"), url("second/state"));
    for (name, value) in [
        ("PATH", desk.arg("bin")),
        ("AZURE_STORAGE_KEY", key_of("first")),
    ] {
        for args in [
            &["-vv", "cp", "Cargo.toml", &at(&one, "a")][..],
            &["-vv", "cp", &at(&one, "a"), &at(&two, "a")],
        ] {
            let mut command = desk.kstate(args);
            command.env(name, &value);
            let ended = Ended::of(command).with(0);
            let all = format!("{}{}", ended.stdout, ended.stderr);
            assert!(!all.contains("sig=") && !all.contains(TOKEN), "{all}");
        }
        let copy = double.service().of_first("second").remove("state/a");
        assert!(copy.is_some(), "{name}");
    }
    assert_eq!(double.service().signed_by, ["key", "token"].into());
}

/// A name in the store at a URL.
fn at(url: &str, name: &str) -> String {
    let (place, query) = url.split_once('?').expect("a query");
    format!("{place}/{name}?{query}")
}
