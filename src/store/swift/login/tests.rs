use super::*;

fn find(env: &[(&str, &str)]) -> Login {
    let url = StoreUrl::parse("swift://c").unwrap();
    let env: Env = env.iter().copied().collect();
    Login::find(&url, &env).unwrap_or_else(|error| panic!("{error}"))
}

const DEMO: [(&str, &str); 3] = [
    ("OS_AUTH_URL", "https://keystone:5000"),
    ("OS_USERID", "u"),
    ("OS_PASSWORD", "p"),
];

#[test]
fn certificates_are_checked_unless_kops_would_not() {
    for (value, is_anybody) in [
        ("true", true),
        ("1", true),
        ("", false),
        ("TRUE", false),
        ("yes", false),
        ("0", false),
        ("false", false),
    ] {
        let insecure = ("KOPS_OS_TLS_INSECURE_SKIP_VERIFY", value);
        let login = find(&[&DEMO[..], &[insecure]].concat());
        assert!((login.trust == Trust::Anybody) == is_anybody, "{value}");
    }
    let login = find(&[&DEMO[..], &[("OS_CACERT", "/ca.pem")]].concat());
    assert!(login.trust == Trust::File("/ca.pem".into()));
}

#[test]
fn places_differ_by_service_region_and_project() {
    let place = |more: &[(&str, &str)]| find(&[&DEMO[..], more].concat()).place();
    // Each brings a project that nobody tells.
    let application = |id| {
        let secret = ("OS_APPLICATION_CREDENTIAL_SECRET", "s");
        find(&[DEMO[0], ("OS_APPLICATION_CREDENTIAL_ID", id), secret]).place()
    };
    let all = [
        place(&[]),
        place(&[("OS_PROJECT_ID", "p")]),
        place(&[("OS_PROJECT_ID", "q")]),
        place(&[("OS_PROJECT_NAME", "q")]),
        place(&[("OS_PROJECT_NAME", "q"), ("OS_REGION_NAME", "r")]),
        place(&[("OS_USERID", "v")]),
        application("one"),
        application("two"),
    ];
    for (at, place) in all.iter().enumerate() {
        assert!(!all[..at].contains(place), "{place}");
        assert!(place.starts_with("https://keystone:5000/v3"), "{place}");
    }
    let same = [("OS_TENANT_ID", "p"), ("OS_USERNAME", "other")];
    assert_eq!(place(&same), all[1], "whoever asks");
}
