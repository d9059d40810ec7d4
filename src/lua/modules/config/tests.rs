use crate::lua::testing::Bench;

#[test]
fn a_file_that_somebody_else_made_meanwhile_is_a_conflict() {
    Bench::new()
        .run(
            r#"
            local store = kstate.store.open("memfs://made")
            local entry = kstate.config.load(store, "c/notes")
            store:write("c/notes", "a: 1\n")
            local saved, err = kstate.config.save(store, entry, "a: 2\n")
            assert(saved == nil and err:is("precondition_failed"), err)
            assert(err.marked:find("<<<<<<< yours\na: 2\n", 1, true), err.marked)
            assert(store:read("c/notes") == "a: 1\n")
            assert(kstate.config.save(store, entry, "a: 1\n").written == false)
            "#,
        )
        .unwrap();
}

#[test]
fn a_file_that_somebody_else_deleted_meanwhile_is_no_difference_of_values() {
    Bench::new()
        .run(
            r#"
            local store = kstate.store.open("memfs://deleted")
            store:write("c/notes", "a: 1\n")
            local entry = kstate.config.load(store, "c/notes")
            store:delete("c/notes")
            local saved, err = kstate.config.save(store, entry, "a: 2\n")
            assert(saved == nil and err:is("precondition_failed") and err.deleted, err)
            assert(tostring(err) == "cannot write memfs://deleted/c/notes: it was deleted meanwhile by somebody else", err)
            assert(err.conflicts == nil and err.hint:find("kstate undo", 1, true))
            "#,
        )
        .unwrap();
}

#[test]
fn a_conflict_shows_no_secret() {
    Bench::new()
        .run(
            r#"
            local store = kstate.store.open("memfs://secret")
            store:write("c/notes", "password: one\n")
            local entry = kstate.config.load(store, "c/notes")
            store:write("c/notes", "password: two\n")
            local saved, err = kstate.config.save(store, entry, "password: three\n")
            local conflict = err.conflicts[1]
            assert(saved == nil and conflict.path == "password" and conflict.ours == "<hidden>")
            local all = kstate.json.encode(err.conflicts) .. err.marked .. tostring(err)
            assert(not all:find("two") and not all:find("three"), all)
            "#,
        )
        .unwrap();
}

#[test]
fn a_merge_that_would_be_wrong_is_not_written() {
    let error = Bench::new()
        .run(
            r#"
            local store = kstate.store.open("memfs://wrong")
            local key = "c.example.com/instancegroup/nodes"
            local text = "apiVersion: kops.k8s.io/v1alpha2\nkind: InstanceGroup\nmetadata:\n  name: nodes\n  labels:\n    kops.k8s.io/cluster: c.example.com\nspec:\n  maxSize: 3\n  minSize: 1\n  role: Node\n"
            store:write(key, text)
            local entry = kstate.config.load(store, key)
            store:write(key, (text:gsub("maxSize: 3", "maxSize: 2")))
            kstate.config.save(store, entry, (text:gsub("minSize: 1", "minSize: 3")))
            "#,
        )
        .unwrap_err();
    assert_eq!(error.kind(), "invalid");
    let told = error.to_string();
    assert!(
        told.contains("line 9, column 12: spec.minSize 3 is more than spec.maxSize 2"),
        "{told}"
    );
}
