//! What is written from the definitions: the editor's stubs and the reference.
