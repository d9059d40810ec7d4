use proptest::prelude::*;
use serde_yaml::Value;

use super::super::tests::{cluster, path, rows_of};
use super::super::{Kind, field};
use super::*;

/// Field, what is typed, and the value in YAML.
const TAKEN: &str = "
    spec.kubernetesVersion | 1.30 | '1.30'
    spec.kubernetesVersion | | ''
    spec.encryptionConfig | true | true
    spec.encryptionConfig | false | false
    spec.kubelet.maxPods | 110 | 110
    spec.kubelet.maxPods | -1 | -1
    spec.kubelet.maxPods | 0 | 0
    spec.project | 010 | '010'
    spec.rollingUpdate.maxSurge | 3 | 3
    spec.rollingUpdate.maxSurge | 10% | '10%'
    spec.kubeAPIServer.cpuRequest | 500m | 500m
    spec.kubeAPIServer.cpuRequest | 2 | '2'
    spec.kubeAPIServer.memoryLimit | 1.5Gi | 1.5Gi
    spec.kubeAPIServer.memoryLimit | 1e9 | '1e9'
    spec.kubeAPIServer.eventTTL | 1h30m | 1h30m
    spec.kubeAPIServer.eventTTL | 0 | '0'
    spec.sshAccess | 10.0.0.0/8 | [10.0.0.0/8]
    spec.sshAccess | 10.0.0.0/8, ::/0 | [10.0.0.0/8, '::/0']
    spec.sshAccess | [10.0.0.0/8, 1.1.1.1/32] | [10.0.0.0/8, 1.1.1.1/32]
    spec.sshAccess | | []
    spec.sshAccess | [] | []
    spec.packages | \"a,b\", c | ['a,b', c]
    spec.packages | 'a', b'c | [a, \"b'c\"]
    spec.cloudLabels | a=1,b/c=x=y | {a: '1', b/c: x=y}
    spec.cloudLabels | {a: '1'} | {a: '1'}
    spec.cloudLabels | a=\"x,y\" | {a: 'x,y'}
    spec.cloudLabels | | {}
    spec.certManager.featureGates | A=true | {A: true}
    spec.containerd.registryMirrors | docker.io=https://m | {docker.io: [https://m]}
    spec.containerd.registryMirrors | d=[a, b],e=c | {d: [a, b], e: [c]}
    spec.authorization | {rbac: {}} | {rbac: {}}
    spec.authorization.rbac | | {}
    spec.subnets | [{name: a, cidr: 10.0.0.0/8}] | [{name: a, cidr: 10.0.0.0/8}]
    spec.subnets | {name: a},{name: b} | [{name: a}, {name: b}]
    spec.kubelet | {maxPods: 5, anonymousAuth: false} | {maxPods: 5, anonymousAuth: false}
    metadata.creationTimestamp | 2026-01-31T12:00:00Z | '2026-01-31T12:00:00Z'
";

/// Field, what is typed, and what is said.
const REFUSED: &str = "
    spec.encryptionConfig | yes | must be a boolean, not 'yes'; write true
    spec.encryptionConfig | OFF | not 'OFF'; write false
    spec.encryptionConfig | maybe | not 'maybe'; write true or false
    spec.kubelet.maxPods | many | must be an integer, not 'many'
    spec.kubelet.maxPods | 1_000 | must be an integer, not '1_000'
    spec.kubelet.maxPods | 010 | must be an integer, not '010'; write 10; with a zero before it, it is 8 in YAML 1.1, which kOps reads
    spec.kubelet.maxPods | -089 | must be an integer, not '-089'; write -89
    spec.kubelet | {maxPods: 010} | is wrong at maxPods, which must be an integer, not a string; write 10; with
    spec.rollingUpdate.maxSurge | 010 | must be an integer or a string, not '010'; write 10; with
    spec.kubelet.maxPods | 3000000000 | must be an integer, not one beyond 32 bits
    spec.kubelet.podPidsLimit | 99999999999999999999 | must be an integer, not '9999
    spec.kubeAPIServer.cpuRequest | 500 m | must be a quantity, not this text; write it like 500m
    spec.kubeAPIServer.cpuRequest | 1KB | must be a quantity
    spec.kubeAPIServer.cpuRequest | | must be a quantity
    spec.kubeAPIServer.cpuRequest | 1.2.3 | must be a quantity
    spec.kubeAPIServer.cpuRequest | 1e | must be a quantity
    spec.kubeAPIServer.eventTTL | 30 | must be a duration, not this text; write it like 30s
    spec.kubeAPIServer.eventTTL | 1d | must be a duration
    spec.kubeAPIServer.eventTTL | s | must be a duration
    spec.kubeAPIServer.eventTTL | 1h x | must be a duration
    spec.sshAccess | a,,b | nothing between two commas
    spec.sshAccess | [a | is no YAML
    spec.sshAccess | [1.30] | is wrong at [0], which must be a string, not a number; put it in quotes
    spec.cloudLabels | a | must be a map; write it like key=value
    spec.cloudLabels | =a | must be a map
    spec.cloudLabels | a=1,a=2 | names a key twice
    spec.cloudLabels | {a: 1} | is wrong at a, which must be a string, not a number
    spec.kubelet | 110 | must be an object, not '110'; set one of its fields
    spec.kubelet | {maxPod: 5} | has no field maxPod (did you mean 'maxPods'?)
    spec.kubelet | {anonymousAuth: no} | at anonymousAuth, which must be a boolean, not a string; write false
    spec.subnets | [{nam: a}] | has no field [0].nam (did you mean 'name'?)
    spec.certManager.featureGates | A=yes | must be a boolean
    metadata.creationTimestamp | yesterday | must be a time, not this text
";

#[test]
fn what_is_typed_becomes_what_the_field_holds() {
    for [at, typed, yaml] in rows_of(TAKEN) {
        let value = parse_value(cluster(at), typed).unwrap_or_else(|e| panic!("{typed}: {e:?}"));
        let expected: Value = serde_yaml::from_str(yaml).expect("YAML");
        assert_eq!(value, expected, "{at}={typed}");
        assert_eq!(misfits(cluster(at), &value, &Path::default(), 1), []);
    }
    let blanks = parse_value(cluster("spec.kubernetesVersion"), " no ");
    assert_eq!(blanks, Ok(Value::String(" no ".to_owned())));
}

#[test]
fn what_does_not_fit_is_refused_with_what_to_write() {
    for [at, typed, words] in rows_of(REFUSED) {
        let refusal = parse_value(cluster(at), typed).expect_err(typed);
        let said = [Some(refusal.message), refusal.hint].into_iter().flatten();
        let said = said.collect::<Vec<_>>().join("; ");
        assert!(said.contains(words), "{at}={typed}: {said}");
    }
    let two = parse_value(cluster("spec.sshAccess"), "[a]\n---\n[b]");
    assert!(two.is_err_and(|refusal| refusal.message.contains("is no YAML")));
    let key = field(Kind::Keyset, &path("spec.keys[0].privateMaterial")).expect("a field");
    let refusal = parse_value(key, "secret!").expect_err("no base64");
    assert_eq!(refusal.message, "must be base64, not this text");
}

#[test]
fn a_misfit_is_where_it_stands() {
    let text = "spec:\n  kubelet: {maxPods: '5', x: 1, podPidsLimit: 1.5}\n  \
                subnets: [{nam: 1}, 2]\n  sshAccess: {}\n  sshKeyName:\n  3: 4\n";
    let value: Value = serde_yaml::from_str(text).expect("YAML");
    let root = Field::root(Kind::Cluster);
    let found: Vec<String> = misfits(root, &value, &Path::default(), 9)
        .into_iter()
        .map(|misfit| match misfit.problem {
            Problem::Unknown => misfit.path.to_string(),
            Problem::Wrong(refusal) => format!("{} {refusal}", misfit.path),
        })
        .collect();
    let expected = [
        "spec.kubelet.maxPods must be an integer, not a string",
        "spec.kubelet.x",
        "spec.kubelet.podPidsLimit must be an integer, not a fraction",
        "spec.subnets[0].nam",
        "spec.subnets[1] must be an object, not a number",
        "spec.sshAccess must be a list, not a map",
        "spec.3",
    ];
    assert_eq!(found, expected);
    assert_eq!(misfits(root, &value, &Path::default(), 2).len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_text_is_a_value_that_fits_or_is_refused(
        [at, ..] in prop::sample::select(rows_of::<3>(TAKEN)),
        text in "(\\PC{0,12}|[-+0-9.eE_a-zA-Z:%=,'\"{}\\[\\] \n]{0,24})",
    ) {
        let field = cluster(at);
        if let Ok(value) = parse_value(field, &text) {
            prop_assert_eq!(misfits(field, &value, &Path::default(), 1), vec![]);
        }
    }
}
