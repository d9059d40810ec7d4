#![expect(clippy::disallowed_methods, reason = "the tests' own files")]

use std::fs;

use age::secrecy::ExposeSecret;

use super::*;

#[test]
fn a_secret_key_given_as_a_recipient_is_not_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys");
    fs::write(&path, "AGE-SECRET-KEY-1SECRET\n").expect("written");
    let path = path.to_str().expect("UTF-8");
    for text in ["AGE-SECRET-KEY-1SECRET", path, "age1nonsense", "/no/such"] {
        let error = Recipients::parse(&[text.to_owned()]).err().expect("no key");
        assert!(!format!("{error:?}").contains("1SECRET"), "{error}");
    }
    let error = Identities::load([path]).err().expect("no key");
    assert!(!format!("{error:?}").contains("1SECRET"), "{error}");
}

#[test]
fn bytes_come_back_for_each_recipient_and_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = [(); 3].map(|()| x25519::Identity::generate());
    let files = [0, 1, 2].map(|at| folder.path().join(format!("{at}")));
    for (file, key) in files.iter().zip(&keys) {
        fs::write(file, key.to_string().expose_secret()).expect("written");
    }
    let texts = [1, 0, 1].map(|at: usize| keys[at].to_public().to_string());
    let recipients = Recipients::parse(&texts).expect("keys");
    let mut known = texts[..2].to_vec();
    known.sort();
    assert_eq!(recipients.keys().collect::<Vec<_>>(), known);
    // More than age encrypts at once.
    let long = "x".repeat(100_000);
    for bytes in [&b""[..], b"text\0\xff", long.as_bytes()] {
        let sealed = recipients.encrypt(bytes).expect("encrypted");
        assert!(is_encrypted(&sealed) && sealed != recipients.encrypt(bytes).expect("again"));
        for file in &files[..2] {
            let identities = Identities::load([file]).expect("a key");
            let plain = decrypt(&sealed, "x", &identities).expect("decrypted");
            assert!(plain == bytes);
        }
        let identities = Identities::load([&files[2]]).expect("a key");
        let error = decrypt(&sealed, "the/file", &identities).expect_err("another's");
        assert!(error.to_string().contains("the/file"), "{error}");
    }
    let error = Recipients::default().encrypt(b"x").expect_err("nobody");
    assert_eq!(*error.kind(), ErrorKind::Invalid);
}
