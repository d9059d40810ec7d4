//! Every way to say who asks.

use kstate::store::registry::Env;
use kstate::store::swift::Clients;
use kstate::store::{Body, Result, Store, StoreUrl, WriteOptions};

use super::{key, quick};
use crate::http_double::Double;
use crate::support::Desk;
use crate::swift_double::{self, Swift};

/// Variables, files below the home folder, options of the URL. `{}` is the service's URL, `~` the
/// home folder.
struct Way {
    variables: &'static str,
    files: &'static [(&'static str, &'static str)],
    options: &'static str,
}

const CLOUDS: &str = "\
clouds:
  demo:
    auth: {auth_url: '{}/v3', username: demo, project_name: demo, user_domain_name: Default,
      project_domain_name: Default}
    regions: [{name: Two, values: {x: y}}, One]
  shop:
    auth: {auth_url: '{}', user_id: u2, password: corppass, tenant_name: shop, domain_id: d2}
    region_name: One
    interface: internal
  robot:
    auth_type: v3applicationcredential
    auth: {auth_url: '{}/v3/', application_credential_id: ac1,
      application_credential_secret: acsecret}
    region_name: One
    endpoint_type: publicURL
  temp:
    auth_type: v1password
    auth: {auth_url: '{}/auth/v1.0', username: 'test:tester', password: testing}
";
const SECURE: &str = "clouds: {demo: {auth: {password: demopass}}}";

const INI: &str = "\
[Default]
identity = {}/v3
user: demo  # who asks
password = `demopass`
tenant_id = \"p1\"
tenant_name =
domain_id = default

[Global]
region = One
[Swift]
availability = public
";

const TWO_REGIONS: &str = "\
[Default]
identity = {}/v3
user = demo
password = demopass
tenant_id = p1
domain_id = default

[Global]
region = One
[Swift]
region = Two
availability = internal
";

/// Opens the store that a way means, and writes to it.
async fn write(double: &Double<Swift>, desk: &Desk, way: &Way) -> Result<()> {
    let filled = |text: &str| text.replace("{}", &double.endpoint());
    for (name, text) in way.files {
        desk.write(name, filled(text));
    }
    let home = desk.arg("");
    let env = format!("HOME=~ XDG_CONFIG_DIRS=~/etc {}", way.variables).replace('~', &home);
    let env = filled(&env);
    let pairs = env.split_whitespace().map(|pair| {
        let (name, value) = pair.split_once('=').expect("a pair");
        (name.to_owned(), value.to_owned())
    });
    let env: Env = pairs.collect();
    let options = way.options.replace('~', &home);
    let url = format!("swift://container?{}", filled(&options));
    let store = Clients::with(env, quick()).open(&StoreUrl::parse(&url)?)?;
    let wrote = store
        .write(&key("k"), Body::from("x"), WriteOptions::default())
        .await;
    wrote.map(drop)
}

const fn variables(variables: &'static str) -> Way {
    Way {
        variables,
        files: &[],
        options: "",
    }
}

const fn files(files: &'static [(&'static str, &'static str)], variables: &'static str) -> Way {
    Way {
        variables,
        files,
        options: "",
    }
}

const CLOUD_FILES: &[(&str, &str)] = &[
    (".config/openstack/clouds.yaml", CLOUDS),
    (".config/openstack/secure.yml", SECURE),
];
const KOPS_FILE: &[(&str, &str)] = &[(".openstack/config", INI)];

/// What each way must mean: the account that is written to.
const WAYS: &[(&str, Way)] = &[
    // kOps's names.
    (
        "AUTH_p1",
        variables(
            "OS_AUTH_URL={}/v3 OS_USERNAME=demo OS_PASSWORD=demopass OS_TENANT_ID=p1 OS_DOMAIN_NAME=Default OS_REGION_NAME='One'",
        ),
    ),
    (
        "two/AUTH_p1",
        variables(
            "OS_AUTH_URL={} OS_USERID=u1 OS_PASSWORD=demopass OS_TENANT_NAME=demo OS_DOMAIN_ID=default OS_REGION_NAME=Two",
        ),
    ),
    (
        "AUTH_p1",
        variables(
            "OS_AUTH_URL={}/v3 OS_APPLICATION_CREDENTIAL_ID=ac1 OS_APPLICATION_CREDENTIAL_SECRET=acsecret OS_REGION_NAME=One OS_PROJECT_NAME=ignored",
        ),
    ),
    (
        "AUTH_p1",
        variables(
            "OS_AUTH_URL={}/v3 OS_USERID=u1 OS_APPLICATION_CREDENTIAL_NAME=robot OS_APPLICATION_CREDENTIAL_SECRET=acsecret OS_REGION_NAME=One",
        ),
    ),
    // OpenStack's.
    (
        "AUTH_p2",
        variables(
            "OS_AUTH_URL={}/v2.0/ OS_USERNAME=demo OS_PASSWORD=corppass OS_USER_DOMAIN_NAME=Corp OS_PROJECT_NAME=shop OS_PROJECT_DOMAIN_ID=d2 OS_REGION_NAME=One",
        ),
    ),
    (
        "AUTH_p2",
        variables(
            "OS_AUTH_URL={}/v3 OS_USER_ID=u2 OS_PASSWORD=corppass OS_PROJECT_ID=p2 OS_TENANT_ID=p1 OS_INTERFACE=internal",
        ),
    ),
    (
        "AUTH_p1",
        variables("OS_AUTH_URL={}/v3 OS_USERNAME=demo OS_PASSWORD=demopass OS_REGION_NAME=One"),
    ),
    (
        "AUTH_p1",
        variables(
            "OS_AUTH_URL={}/v3 OS_AUTH_TYPE=v3applicationcredential OS_USERNAME=demo OS_APPLICATION_CREDENTIAL_NAME=robot OS_APPLICATION_CREDENTIAL_SECRET=acsecret OS_ENDPOINT_TYPE=internalURL",
        ),
    ),
    // TempAuth.
    (
        "AUTH_test",
        variables("ST_AUTH={}/auth/v1.0 ST_USER=test:tester ST_KEY=testing"),
    ),
    // clouds.yaml.
    (
        "two/AUTH_p1",
        files(CLOUD_FILES, "OS_CLOUD=demo OS_AUTH_URL=http://127.0.0.1:1"),
    ),
    // As with the `openstack` command.
    (
        "AUTH_p1",
        files(CLOUD_FILES, "OS_CLOUD=demo OS_REGION_NAME=One"),
    ),
    // The region that is everybody's comes before Swift's own.
    (
        "AUTH_p1",
        Way {
            variables: "",
            files: &[("creds", TWO_REGIONS)],
            options: "credentials_file=~/creds",
        },
    ),
    ("AUTH_p2", files(CLOUD_FILES, "OS_CLOUD=shop")),
    ("AUTH_p1", files(CLOUD_FILES, "OS_CLOUD=robot")),
    (
        "AUTH_p1",
        Way {
            variables: "OS_CLOUD=demo",
            files: CLOUD_FILES,
            options: "region=One",
        },
    ),
    (
        "AUTH_test",
        Way {
            variables: "OS_CLOUD=demo",
            files: CLOUD_FILES,
            options: "cloud=temp",
        },
    ),
    (
        "AUTH_p2",
        files(
            &[
                ("c.yaml", CLOUDS),
                (".config/openstack/clouds.yaml", "clouds: {}"),
            ],
            "OS_CLIENT_CONFIG_FILE=~/c.yaml OS_CLOUD=shop",
        ),
    ),
    (
        "AUTH_p2",
        files(
            &[("x/openstack/clouds.yml", CLOUDS)],
            "XDG_CONFIG_HOME=~/x OS_CLOUD=shop",
        ),
    ),
    (
        "AUTH_p2",
        files(&[("etc/openstack/clouds.yaml", CLOUDS)], "OS_CLOUD=shop"),
    ),
    (
        "AUTH_test",
        files(
            &[(
                ".config/openstack/clouds.json",
                r#"{"clouds": {"only": {"auth_type": "v1password", "auth": {"auth_url": "{}/auth/v1.0", "username": "test:tester", "password": "testing"}}}}"#,
            )],
            "",
        ),
    ),
    // kOps's file.
    ("AUTH_p1", files(KOPS_FILE, "")),
    ("two/AUTH_p1", files(KOPS_FILE, "OS_REGION_NAME=Two")),
    (
        "AUTH_p1",
        files(&[("creds", INI)], "OPENSTACK_CREDENTIAL_FILE=~/creds"),
    ),
    (
        "AUTH_p1",
        Way {
            variables: "OS_CLOUD=shop OS_REGION_NAME=Two",
            files: &[("creds", INI)],
            options: "credentials_file=~/creds",
        },
    ),
    // What the environment lacks, the file may have.
    (
        "AUTH_p1",
        files(KOPS_FILE, "OS_AUTH_URL={}/v3 OS_USERNAME=demo"),
    ),
    (
        "AUTH_p1",
        files(
            KOPS_FILE,
            "OS_AUTH_URL={}/v3 OS_USERNAME=demo OS_PASSWORD=demopass OS_PROJECT_ID=p1",
        ),
    ),
    // The account's URL, whatever the catalogue says.
    (
        "two/AUTH_p1",
        Way {
            variables: "OS_AUTH_URL={}/v3 OS_USERNAME=demo OS_PASSWORD=demopass",
            files: &[],
            options: "endpoint={}/two/v1/AUTH_p1/",
        },
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_way_leads_to_its_account() {
    for (account, way) in WAYS {
        let double = swift_double::start();
        let wrote = write(&double, &Desk::new(), way).await;
        wrote.unwrap_or_else(|error| panic!("{}: {error}: {:?}", way.variables, error.hint_text()));
        let service = double.service();
        let written = service
            .accounts
            .iter()
            .filter(|(_, containers)| !containers["container"].objects.is_empty());
        let written: Vec<_> = written.map(|(account, _)| account.as_str()).collect();
        assert_eq!(written, [*account], "{}", way.variables);
    }
}

/// Variables of a user without a password, and more.
macro_rules! demo {
    ($more:literal) => {
        concat!(
            "OS_AUTH_URL={}/v3 OS_USERNAME=demo OS_PROJECT_ID=p1 ",
            $more
        )
    };
}

/// What is wrong with a way: the error's kind, and some of its words.
const WRONG: &[(Way, &str, &str)] = &[
    (
        files(
            &[("ca.pem", "s3cret")],
            "OS_AUTH_URL={} OS_USERID=u1 OS_PASSWORD=x OS_CACERT=~/ca.pem",
        ),
        "invalid",
        "there is no certificate in the file",
    ),
    (
        variables("OS_AUTH_URL={} OS_USERID=u1 OS_PASSWORD=x OS_CACERT=~/none.pem"),
        "invalid",
        "cannot read the certificates in",
    ),
    (variables(""), "permission_denied", "nothing says who asks"),
    (
        variables("OS_AUTH_URL=http://u:s3cret@127.0.0.1:1 OS_USERID=u1 OS_PASSWORD=x"),
        "invalid",
        "has a name or a password in a URL",
    ),
    (
        variables(demo!("")),
        "invalid",
        "the environment has no OS_PASSWORD",
    ),
    (
        variables("OS_AUTH_URL={} OS_PASSWORD=s3cret"),
        "invalid",
        "no OS_USERNAME",
    ),
    (
        variables("OS_AUTH_URL={} OS_APPLICATION_CREDENTIAL_ID=x"),
        "invalid",
        "no OS_APPLICATION_CREDENTIAL_SECRET",
    ),
    (
        variables("ST_AUTH={}/auth/v1.0 ST_KEY=s3cret"),
        "invalid",
        "no ST_USER",
    ),
    (
        variables(demo!("OS_AUTH_TYPE=v3totp OS_PASSWORD=s3cret")),
        "invalid",
        "'v3totp'",
    ),
    (
        variables("OS_CLOUD=x"),
        "invalid",
        "there is no clouds.yaml",
    ),
    (
        files(CLOUD_FILES, "OS_CLOUD=dmeo"),
        "invalid",
        "(did you mean 'demo'?)",
    ),
    (
        files(
            &[(".config/openstack/clouds.yaml", "clouds: [\n s3cret")],
            "OS_CLOUD=x",
        ),
        "invalid",
        "is no YAML (line",
    ),
    (
        files(
            &[(
                ".config/openstack/clouds.yaml",
                "clouds: {x: {profile: vendor}}",
            )],
            "OS_CLOUD=x",
        ),
        "invalid",
        "described by 'vendor' alone",
    ),
    (
        files(
            &[(".openstack/config", "[Default]\nidentity={}\nuser=demo")],
            "",
        ),
        "invalid",
        "/.openstack/config has no password",
    ),
    (
        variables("OPENSTACK_CREDENTIAL_FILE=~/none"),
        "invalid",
        "no credentials file",
    ),
    (
        variables("OS_AUTH_URL=keystone:5000 OS_USERID=u1 OS_PASSWORD=s3cret"),
        "invalid",
        "'keystone:5000/v3'",
    ),
    (
        variables(demo!("OS_PASSWORD=s3cret OS_REGION_NAME=One")),
        "permission_denied",
        "refuses what the environment says: The request you have made requires authentication",
    ),
    (
        variables(demo!("OS_PASSWORD=demopass OS_REGION_NAME=one")),
        "permission_denied",
        "no object store in 'one' (did you mean 'One'?)",
    ),
    (
        variables(demo!("OS_PASSWORD=demopass")),
        "permission_denied",
        "in One, Two: name one",
    ),
    (
        variables("OS_AUTH_URL={}/v3 OS_USERID=u2 OS_PASSWORD=corppass"),
        "permission_denied",
        "the token is for no project",
    ),
    (
        variables("ST_AUTH={}/auth/v1.0 ST_USER=test:tester ST_KEY=s3cret"),
        "permission_denied",
        "This server could not verify",
    ),
    (
        variables("ST_AUTH={}/info ST_USER=test:tester ST_KEY=s3cret"),
        "permission_denied",
        "gave no token",
    ),
    (
        Way {
            variables: "ST_AUTH={}/auth/v1.0 ST_USER=test:tester ST_KEY=testing",
            files: &[],
            options: "endpoint={}",
        },
        "invalid",
        "is no account's URL",
    ),
    (
        Way {
            variables: "",
            files: CLOUD_FILES,
            options: "cloud=demo&credentials_file=x",
        },
        "invalid",
        "can't both say who asks",
    ),
    (
        Way {
            variables: "",
            files: &[],
            options: "profile=x",
        },
        "invalid",
        "swift:// has no option 'profile'",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_without_secrets() {
    for (way, kind, words) in WRONG {
        let double = swift_double::start();
        let error = write(&double, &Desk::new(), way).await;
        let error = error.err().unwrap_or_else(|| panic!("{}", way.variables));
        let told = format!("{error:?} {}", error.hint_text().unwrap_or_default());
        assert_eq!(error.kind().name(), *kind, "{}: {told}", way.variables);
        assert!(told.contains(words), "{}: {told}", way.variables);
        for secret in ["s3cret", "demopass", "corppass", "testing"] {
            assert!(!told.contains(secret), "{}: {told}", way.variables);
        }
    }
}
