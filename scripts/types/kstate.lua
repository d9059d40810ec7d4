---@meta kstate
-- Written from the definitions in kstate's sources; changes here are lost.
error("this file is for editors; scripts have `kstate` without it")

---@class kstate
---@field null lightuserdata stands for null, which unlike nil can be in a table
---@field version string kstate's version
---@field dry_run boolean whether nothing is written
kstate = {}

---What kstate raises. `tostring(e)` is one line.
---@class kstate.Error
---@field kind string what sort of failure it is
---@field message string what went wrong
---@field retryable boolean whether trying again may help
---@field op? string the verb that failed
---@field url? string the store
---@field key? string the key
---@field hint? string what to do now
---@field cause? any the error beneath
---@field index? integer which of several tasks failed
---@field traceback? string the calls, innermost first
local Error = {}

---Tells whether the error is of a kind.
---@param kind string the kind
---@return boolean # whether it is
function Error:is(kind) end

---A kind of store that is written in Lua, for `kstate.store.register` or as what a backend's file returns.
---@class kstate.Backend
local Backend = {}

---Calls a function and returns its error instead of raising it.
---
---The first result is `nil` when the function failed. The error is what was raised: an error object for what kstate raises, else the script's own value.
---@param f function what to call
---@param ... any its arguments
---@return any # what the function returned; `nil` when it failed
---@return any # the error
function kstate.try(f, ...) end

---@class kstate.options.error
---@field message string what went wrong
---@field kind? string one of the kinds; default `other`
---@field hint? string what to do now
---@field op? string the verb that failed
---@field url? string the store
---@field key? string the key
---@field retryable? boolean whether trying again may help
---@field cause? any the error beneath

---Makes an error object; raise it with `error`.
---
---The fields are readable on the object, which also has `e:is(kind)`; `tostring(e)` is one line. The kinds are `not_found`, `already_exists`, `precondition_failed`, `permission_denied`, `unsupported`, `invalid_key`, `throttled`, `unavailable`, `corrupt`, `invalid`, `refused`, `partial`, `timeout`, `cancelled` and `other`. A script that ends with one exits with 3 after `refused`, 4 after `already_exists` and `precondition_failed`, 5 after `partial`, else 1.
---@param options kstate.options.error
---@return kstate.Error # the error object
function kstate.error(options) end

---Ends the script with an exit code.
---
---`<close>` variables are closed on the way out; no `pcall` stops it.
---@param code? integer 0 to 255; default 0
function kstate.exit(code) end

---@class kstate.options.inspect
---@field depth? integer how many tables deep; default 4

---Returns a value as text that people can read.
---
---Keys are sorted, cycles and what lies too deep are marked.
---@param value any anything
---@param options? kstate.options.inspect
---@return string # the text
function kstate.inspect(value, options) end

---Prints values to standard output, separated by tabs; the same as `print`.
---
---Tables are printed with their contents.
---@param ... any anything
function kstate.print(...) end

---Marks a table as a list, so that it is encoded as one when it is empty.
---@param list? table default: a new one
---@return table # the same table
function kstate.array(list) end

---Marks a table as an object, so that it is never encoded as a list.
---@param fields? table default: a new one
---@return table # the same table
function kstate.object(fields) end

---Returns the names of a list that are this run's share of the work.
---
---All of them, unless several runs divide the work (`kstate run --shard`). Each name is in one share, whatever else is in the list. A script that works on every cluster of a store takes `kstate.shard(kstate.config.clusters(store))`.
---@param names table a list of texts
---@return string[] # those of the share, in their order
function kstate.shard(names) end

---@class kstate.options.backend
---@field scheme any the scheme of its URLs, or a list of them
---@field form? string what stands behind `scheme://` in its URLs; default: `"NAME/FOLDER"`
---@field summary? string what it is, in one sentence
---@field capabilities? table what its stores can do
---@field beside? table what an object has there beside bytes, content type and user metadata, and that no copy takes along: a list of names
---@field options? table what a URL may tell it: a list of `{ name, type, doc, required, default }`
---@field environment? table the environment variables that it reads: a list of `{ name, doc }`
---@field permissions? table what it needs: `{ http = { … }, env = { … } }`, where `$authority` is the host in the URL
---@field wraps? string the option with the store that it wraps; it can do no more than that one
---@field open? function `(config)`: returns what the others get as `self`
---@field stat function `(self, key)`: returns `{ size, tag, … }`, or `nil`
---@field read function `(self, key, options)`: returns the bytes or an iterator over chunks, and the metadata if it is at hand; or `nil`
---@field write? function `(self, key, body, options)`: returns `{ tag, … }` if it is at hand
---@field delete? function `(self, key, options)`
---@field list function `(self, folder, options)`: returns an iterator over entries, or a page `{ items, next }`
---@field copy? function `(self, from, to, options)`: copies without the bytes passing through kstate

---Makes a backend: a kind of store that is written in Lua.
---
---A file of backends returns it; `kstate.store.register` takes it from a script. The functions get first what `open` returned (without `open`, what it would get: `{ scheme, authority, url, options }`), and keys relative to `scheme://authority`. What they don't do is derived: ranges, versions and listings of the other kind. What they return is checked. A missing object is `nil`, a precondition that doesn't hold is an error with its kind (raised, or returned behind `nil`). [Backends in Lua](backends.md) tells all of it.
---@param options kstate.options.backend
---@return kstate.Backend # the backend
function kstate.backend(options) end

---A store: objects under keys, which are relative to its URL.
---@class kstate.Store
local Store = {}

---Returns the URL as it may be shown and written into a manifest.
---
---Without options; a bare path for `file://`, as kOps writes it.
---@return string # the URL
function Store:url() end

---Returns the same store seen from a folder in it.
---@param prefix string the folder; empty for the store itself
---@return kstate.Store # the store
function Store:at(prefix) end

---Opens another place with this store's options: the same account and endpoint.
---
---For a place that a manifest names. A place of another kind gets no options.
---@param url string a URL or a path
---@return kstate.Store # the store
function Store:open(url) end

---Returns the settings of the bucket that the store lies in, as a store of their own.
---
---`policy.json` is the bucket's policy; it can be written and deleted, in rehearsals, plans and journals as any object. `encryption.json` tells the default encryption and is only read. What the bucket hasn't is missing. S3 compares nothing when it takes a policy, so there are no preconditions. The URL is `s3-bucket://BUCKET`, which all commands take; `--allow-write` of the bucket's objects doesn't let a run write it.
---@return kstate.Store # the settings
function Store:bucket() end

---@class kstate.options.Store.read
---@field range? table `{ offset, length }` in bytes
---@field if_match? string only this version, by its tag
---@field meta? boolean give the metadata of this version behind the bytes
---@field limit? string|integer the most to read; default `"256MiB"`

---Returns an object's bytes.
---
---The bytes are all of one version.
---@param key string the object, relative to the store
---@param options? kstate.options.Store.read
---@return string|nil # the bytes; `nil` when there is no such object, or not in this version
---@return kstate.Error|kstate.Meta|nil # why not, when it is another version; or the metadata, with `meta = true`
function Store:read(key, options) end

---Returns the SHA-256 of an object's bytes, in hex.
---
---It is computed while they arrive: an object of any size takes little memory.
---@param key string the object, relative to the store
---@return string|nil # 64 digits of hex; `nil` when there is no such object
function Store:sha256(key) end

---Returns an object's metadata.
---
---The fields are `key`, `size`, `modified` (seconds since 1970), `tag`, `checksum` (`{ algorithm, value }`), `content_type` and `user`, as far as the store has them.
---@param key string the object, relative to the store
---@return kstate.Meta|nil # the metadata; `nil` when there is no such object
function Store:stat(key) end

---Tells whether there is an object under a key.
---@param key string the object, relative to the store
---@return boolean # whether there is one
function Store:exists(key) end

---@class kstate.options.Store.write
---@field if_absent? boolean only when there is no such object
---@field if_match? string only over this version, by its tag
---@field content_type? string the MIME type

---Writes an object whole: readers see the old bytes or the new.
---
---With a precondition, nothing is written when it doesn't hold.
---@param key string the object, relative to the store
---@param bytes string the bytes
---@param options? kstate.options.Store.write
---@return kstate.Meta|nil # the metadata with the new tag; `nil` when the precondition failed
---@return kstate.Error? # what stood against it, when the precondition failed
function Store:write(key, bytes, options) end

---@class kstate.options.Store.delete
---@field if_match? string only this version, by its tag

---Deletes an object; that there is none is no error.
---@param key string the object, relative to the store
---@param options? kstate.options.Store.delete
---@return boolean|nil # `true`; `nil` when it is another version
---@return kstate.Error? # what stood against it
function Store:delete(key, options) end

---@class kstate.options.Store.list
---@field recursive? boolean all levels; default: one, with `entry.prefix` for what lies deeper

---Lists what lies below a folder, one level or all, in byte order of the names.
---
---Entries come as the store sends them, and no more pages are asked for once the loop ends. A listing that can't be completed raises an error; it is never just shorter.
---@param prefix? string the folder; default: the whole store
---@param options? kstate.options.Store.list
---@return kstate.Listing # the iterator
function Store:list(prefix, options) end

---Lists everything below a folder; the same as `list` with `recursive`.
---@param prefix? string the folder; default: the whole store
---@return kstate.Listing # the iterator
function Store:walk(prefix) end

---@class kstate.options.Store.copy
---@field if_absent? boolean only when there is no such object
---@field if_match? string only over this version, by its tag

---Copies an object to another store, verified.
---
---It is copied on the server where that works, else through this process.
---@param key string the object, relative to the store
---@param target kstate.Store the other store
---@param target_key? string its key there; default: the same
---@param options? kstate.options.Store.copy
---@return kstate.Meta|nil # the copy's metadata; `nil` when the precondition failed
---@return kstate.Error? # what stood against it, when the precondition failed
function Store:copy(key, target, target_key, options) end

---@class kstate.options.Store.sync
---@field include? table globs of the keys that take part: `*` within a folder, `**` across; default: all
---@field exclude? table globs of the keys that don't
---@field verify? string `"checksum"` (default), or `"content"` to read both sides always
---@field concurrency? integer how many objects are on their way at once; default 32
---@field first? table globs of keys that are there before all others, one glob after the other
---@field until_stable? boolean again until a pass finds nothing to do, for a source that changes meanwhile
---@field delete? boolean delete what only the target has, after all else succeeded

---Copies what is missing or different to another store, and verifies every copy.
---
---What only the target has stays unless `delete` is set. What somebody else writes in the target meanwhile is left alone, and an error. The result counts what was done: `objects`, `copied`, `bytes`, `unchanged`, `deleted`, `verified`, …
---@param target kstate.Store the other store
---@param options? kstate.options.Store.sync
---@return table # the report
function Store:sync(target, options) end

---@class kstate.options.Store.precheck
---@field include? table globs of the keys that take part: `*` within a folder, `**` across; default: all
---@field exclude? table globs of the keys that don't

---Looks at all that a sync would copy to an empty target, and copies nothing.
---
---`refused` has what the target can't hold, for its name or its size: how many objects (`count`) and the `first` of them, each with `key` and `reason`. A sync looks by itself before it copies; this is for several that are to begin all or none.
---@param target kstate.Store the other store
---@param options? kstate.options.Store.precheck
---@return table # `objects`, `bytes` and `refused`
function Store:precheck(target, options) end

---@class kstate.options.Store.diff
---@field include? table globs of the keys that take part: `*` within a folder, `**` across; default: all
---@field exclude? table globs of the keys that don't
---@field verify? string `"checksum"` (default), or `"content"` to read both sides always
---@field concurrency? integer how many objects are on their way at once; default 32

---Finds what differs between two stores.
---
---Each difference has `key`, `kind` and the sizes: `removed` when only this store has the object, `added` when only the other has it, `changed` when their bytes differ.
---@param target kstate.Store the other store
---@param options? kstate.options.Store.diff
---@return table[] # the differences, in byte order of the keys
function Store:diff(target, options) end

---Tells whether another store is the same place, or one lies in the other.
---@param target kstate.Store the other store
---@return string # `"same"`, `"contains"`, `"inside"` or `"apart"`
function Store:relation(target) end

---Returns what the store says that it can do.
---
---By the names of `kstate backend show KIND --json`; what has no limit is left out. `capacity` is the most bytes that all objects may have together. `beside` lists what an object has there beside its bytes, content type and user metadata, and that no copy to another kind of store takes along.
---@return table # `if_absent`, `if_match`, `metadata`, `max_size` …, `capacity` and `beside`
function Store:capabilities() end

---Finds out whether the store can be written and honours conditional writes.
---
---Writes and deletes one small object below `.kstate/`.
---@return table # `if_absent` and `if_match`: whether a write that must fail was refused
function Store:probe() end

---Tells how the bucket of an `s3://` store is set up.
---
---`region`; `encryption`: `AES256`, `aws:kms` or `none`; `versioning`: `enabled`, `suspended` or `off`; `public_access`: `blocked`, `partly blocked` or `not blocked`. What isn't known is left out, with the reason in `unknown` by its name. Also for S3's relatives; `nil` for all other stores, and in a rehearsal.
---@return table|nil # the settings
function Store:bucket_settings() end

---@class kstate.options.Store.lock
---@field ttl? string|number how long the lock stays when its holder is gone; default `"60s"`
---@field wait? string|number how long to wait for another holder; default `"0s"`
---@field min_strength? string `"atomic"` to refuse a store whose conditional writes can't be trusted; default `"advisory"`

---Calls a function while this run holds a lock of the store, and returns what it returns.
---
---The lock is an object below `.kstate/locks` at the top of the store. It excludes other runs of kstate, not kOps. It is renewed meanwhile, and given back however the function ends. When it is lost (the process slept too long, or somebody broke the lock) the function is cancelled, and until it has ended no write of the run reaches any store. The function gets a table with `name`, `strength`, `fencing` (a number that grows with every acquisition) and `holder`. In a dry run nobody is asked and nothing is written. The options may be left out: `store:lock(name, f)`.
---@param name string of letters, digits, `-`, `_` and `.`
---@param options? kstate.options.Store.lock
---@param f function called with the lock
---@overload fun(self: kstate.Store, name: string, f: function): any
---@return any # what the function returned
function Store:lock(name, options, f) end

---The bytes that `write` of a backend is to store. They are counted and checked before the last of them comes, so a write that is only made when all are there is never a wrong one.
---@class kstate.Body
local Body = {}

---Returns all bytes.
---@return string # the bytes
function Body:read() end

---Returns an iterator over the bytes as they come, in strings of any length.
---@return fun(): string? # the iterator
function Body:chunks() end

---Returns how many bytes there are.
---@return integer|nil # the number; `nil` when it isn't known before the end
function Body:size() end

---A listing, for `for entry in store:list() do … end`. An entry is an object's metadata (`key`, `size`, `modified`, `tag`, `checksum`), or has a `prefix` when something lies below that name, or is `foreign` with a `reason` when it is nothing that a key can name.
---@class kstate.Listing: fun(): kstate.Entry?
local Listing = {}

---Reads the rest of a listing into a list.
---@param most? integer no more than this many entries
---@return kstate.Entry[] # the entries
function Listing:collect(most) end

---An object's metadata, as far as the store has it; a plain table.
---@class kstate.Meta
---@field key string relative to the store
---@field size integer in bytes
---@field modified? number seconds since 1970
---@field tag? string the version; it changes with the bytes
---@field checksum? table `{ algorithm, value }`, the value in hex
---@field content_type? string the MIME type
---@field user? table the user metadata; listings leave it out
local Meta = {}

---A line of a listing: an object's metadata, or a prefix, or something foreign; a plain table.
---@class kstate.Entry
---@field key? string of an object, relative to the store
---@field size? integer in bytes
---@field modified? number seconds since 1970
---@field tag? string the version
---@field checksum? table `{ algorithm, value }`, the value in hex
---@field prefix? string objects lie below this name; ends in a slash
---@field foreign? string a name that no key can be
---@field reason? string why not
local Entry = {}

---Stores of state: objects under keys.
kstate.store = {}

---@class kstate.options.store.open
---@field profile? string the profile in the AWS configuration files
---@field region? string the bucket's region
---@field endpoint? string the service's URL
---@field role_arn? string a role to assume
---@field external_id? string the external id that the role asks for
---@field access_key_env? string the name of the environment variable with the access key id
---@field secret_key_env? string the name of the environment variable with the secret access key, or an Azure account's key
---@field sas_token_env? string the name of the environment variable with the shared access signature, for `azureblob://`
---@field path_style? boolean the bucket in the path, not in the host name
---@field acl? string the canned ACL of every object written
---@field sse? string `AES256`, `aws:kms` or `none`
---@field sse_kms_key_id? string the KMS key for `aws:kms`
---@field credentials_file? string a service account's key file, for `gs://`; an INI file as kOps reads it, for `swift://`
---@field cloud? string the cloud in `clouds.yaml`, for `swift://`
---@field context? string the context, for `k8s://`
---@field kubeconfig? string the kubeconfig file, instead of `KUBECONFIG`

---Opens the store at a URL, a path or a name from kstate's configuration.
---
---Nothing is asked of the service yet: a bucket that doesn't exist shows at the first operation. The options may as well stand on the URL (`?region=…`); credentials may not.
---@param url string such as `s3://bucket/prefix`
---@param options? kstate.options.store.open
---@return kstate.Store # the store
function kstate.store.open(url, options) end

---Lets this run open stores of a backend that is written in Lua.
---
---A backend of the script's runs in the script's own VM, as long as the script does. One from a file runs in a VM of its own, and may ask the hosts and read the variables that the script may. The schemes of kstate's own stores can't be taken.
---@param backend any what `kstate.backend` returned, or the path of a file that returns it
function kstate.store.register(backend) end

---Where the state store is, and what the files of a cluster mean.
kstate.config = {}

---Finds out where the state store is, as kOps does.
---
---`url` is the store, `reason` says why it is this one, `file` is the file that names it if it was one, `sources` are all places that were looked at, `warnings` what is confusing (`message` and `fix`).
---@return table # `url`, `reason`, `file`, `sources`, `warnings`; `url` is `nil` when nothing names one
function kstate.config.state_store() end

---Names another state store in the file that names the present one.
---
---Only in the file that `config.state_store` gives as `file`. Comments, order and quoting stay. A dry run checks that it can be done and leaves the file alone; a plan can't hold it.
---@param url string the new state store
---@return string # the file
function kstate.config.set_state_store(url) end

---Lists the names of stores in kstate's own configuration.
---
---Each of them is good for `kstate.store.open`.
---@return string[] # the names, in byte order
function kstate.config.stores() end

---Lists the clusters of a store: the folders that have a `config`.
---@param store kstate.Store the store
---@return string[] # the names, in byte order
function kstate.config.clusters(store) end

---Lists the files of a cluster that people write.
---
---Its manifest first, then its instance groups by name, then its add-ons. Each has `kind` (`Cluster`, `InstanceGroup` or `Addons`), `name` and `key`.
---@param store kstate.Store the store
---@param cluster string the cluster's name
---@return table # the list; empty when there is nothing
function kstate.config.list(store, cluster) end

---Reads a file as an entry, which `config.save` changes.
---
---An entry is a plain table with `key`, `label` (how to name it to a person), `text` and `tag` (its version). Where there is no such file, `text` is empty and `tag` is `nil`: saving such an entry makes the file.
---@param store kstate.Store the store
---@param key string the file, relative to the store
---@return table # the entry
function kstate.config.load(store, key) end

---@class kstate.options.config.save
---@field force_unknown? boolean allow fields that kOps doesn't have

---Writes another text in the place of an entry, with a merge of what others wrote.
---
---By compare-and-swap: when the file is another than the entry, both changes are merged and it is tried again. A manifest is validated first: what is wrong with it and was not wrong before is an error. When both sides changed the same, nothing is written, and the error has `conflicts` (`path`, `base`, `ours`, `theirs`) and `marked`, the text with git's conflict markers, without secrets. When the file was deleted meanwhile, it has `deleted` instead.
---@param store kstate.Store the store
---@param entry table what `config.load` gave
---@param text string the new text
---@param options? kstate.options.config.save
---@return table|nil # `written`, `merged` (somebody else's change is in it too) and `text`; `nil` on a conflict
---@return kstate.Error? # of kind `precondition_failed`, on a conflict
function kstate.config.save(store, entry, text, options) end

---@class kstate.options.config.change
---@field unset? table a list of paths
---@field set? table a list like `spec.channel=alpha`
---@field set_string? table a list like `path=value`; the value is a string whatever the field holds
---@field kind? string `Cluster` (default) or `InstanceGroup`
---@field force_unknown? boolean allow fields that kOps doesn't have

---Changes fields of a manifest, as `--set` and `--unset` say it.
---
---First `unset`, then `set` in order, then `set_string`. `path=value` replaces what is there, `path+=value` adds to a list or map, `path-=value` takes away. Values are of the type of their field; a list is `a,b` or `[a, b]`, a map `k=v,l=w` or `{k: v}`. Paths have the names of the file (v1alpha2) or of kOps's internal API, and may choose elements: `spec.subnets[name=a].zone`, `[0]`, `[+]`, `[*]`. Only what changes is written anew: comments, order and quoting stay.
---@param text string the manifest
---@param options? kstate.options.config.change
---@return string # the new text
---@return string[] # the paths of the values that are others now
---@return string[] # what was to be taken away and isn't there, each as a sentence
function kstate.config.change(text, options) end

---@class kstate.options.config.merge
---@field kind? string `Cluster` (default) or `InstanceGroup`
---@field name? string the object's name
---@field file? string what errors call the file
---@field force_unknown? boolean allow fields that kOps doesn't have

---Lays the parts of a manifest that a file has over the whole one.
---
---Mappings are merged, a null removes its key, lists whose elements have a key in kOps's API (subnets, etcd clusters, …) are merged by it, all other lists are replaced. Of a file with several documents those count that have this `kind` and `metadata.name`, or none; one without a kind is a part of a `Cluster`.
---@param text string the manifest
---@param patch string the file's text
---@param options? kstate.options.config.merge
---@return string # the new text
---@return string[] # the paths of the values that are others now
function kstate.config.merge(text, patch, options) end

---Shows how two texts differ, as a unified diff without secrets.
---@param label string what the file is called
---@param before? string the old text; `nil` for a new file
---@param after string the new text
---@return string # the diff; empty when they are the same
function kstate.config.diff(label, before, after) end

---Tells what is wrong with a cluster and its instance groups.
---
---By the rules of kOps that need no cloud, for fields that kOps doesn't have, which it would drop without a word, and for a `configBase` in the tree of another cluster of the store. Its add-ons too, as far as that can be told without their schemas.
---@param store kstate.Store the store
---@param cluster string the cluster's name
---@return table # a list; each has `severity` (`error` or `warning`), `file`, `line`, `column`, `path`, `message`, perhaps `hint`, and `text`, which says it in one line
function kstate.config.validate(store, cluster) end

---@class kstate.options.config.check
---@field before? table the files as they are
---@field force_unknown? boolean allow fields that kOps doesn't have
---@field store? kstate.Store the store that they are for

---Tells what would be wrong with a cluster's files if they had these texts.
---
---The files are entries as `config.load` gives them. With `before`, the entries as they are now, a finding that holds for them too has `known`, what can't be changed is found, and `stops` tells what the new texts must not be written for. With `store`, a `configBase` that is new and lies in the tree of another cluster there is found.
---@param entries table the files
---@param options? kstate.options.config.check
---@return table # a list; each has `severity` (`error` or `warning`), `file`, `line`, `column`, `path`, `message`, perhaps `hint`, and `text`, which says it in one line
function kstate.config.check(entries, options) end

---Reads a cluster's manifest.
---
---`references` are all fields that hold a location, each with `path`, `value`, `line` and `class`: `moves` when a move rewrites it, `keep` when it never does.
---@param text string the manifest
---@param label? string what errors call it, such as its URL
---@return table # `name`, `config_base` (may be `nil`), `references`
function kstate.config.parse(text, label) end

---@class kstate.options.config.rewrite
---@field from string the folder that holds the cluster now
---@field to string the folder that is to hold it
---@field label? string what errors call it, such as its URL

---Rewrites a cluster's manifest for a move of its folder.
---
---`configBase` is set in any case; the stores of keys, secrets and backups when they are explicit and under the old place. Everything else stays byte for byte. `kept` are the references and other texts that name the old place and are left as they are.
---@param text string the manifest
---@param options kstate.options.config.rewrite
---@return table # `text`, `changes` (`path`, `line`, `before`, `after`), `kept`
function kstate.config.rewrite(text, options) end

---Tells what a file of a cluster is, by its name.
---
---`secret`: it holds keys, tokens or credentials. `regenerated`: `kops update cluster` writes it anew. `may_name_store`: the place of the store may stand in it.
---@param key string the file, relative to the cluster's folder
---@return table # `class`, `secret`, `regenerated`, `may_name_store`
function kstate.config.classify(key) end

---Tells whether a text names a place or something in it.
---
---As a URL or as an ARN. `s3://b/pro` is not named by `s3://b/prod`.
---@param text string any text
---@param place string a URL or a path
---@return boolean # whether it does
function kstate.config.names(text, place) end

---Gives the way from a place to another one below it.
---
---Spelling makes no difference: `file:///srv` is `/srv/`.
---@param place string a URL or a path
---@param other string another
---@return string|nil # empty when they are the same, `nil` when the other is not below
function kstate.config.below(place, other) end

---Gives the scheme of a URL; `file` for a path.
---@param url string a URL or a path
---@return string # the scheme
function kstate.config.scheme(url) end

---Tells whether kOps can run a cluster from a store.
---
---From a folder, say, it can't: a cluster's nodes have to read the place too.
---@param url string a URL or a path
---@return boolean # whether it can
function kstate.config.can_run_clusters(url) end

---A limit on how many tasks do something at once.
---@class kstate.Semaphore
local Semaphore = {}

---Waits for a permit.
---
---It is given back when the `<close>` variable that holds it goes out of scope.
---@return kstate.Permit # the permit
function Semaphore:acquire() end

---One of a semaphore's permits; keep it in a `<close>` variable.
---@class kstate.Permit
local Permit = {}

---Gives the permit back now.
function Permit:release() end

---Several things at once. What a call starts has ended when the call returns.
kstate.task = {}

---@class kstate.options.task.map
---@field concurrency? integer how many at a time; default 16
---@field on_error? string `"stop"` (default) or `"collect"`

---Calls a function for each item of a list or iterator, several at a time.
---
---An iterator, such as `store:walk()`, is asked for the next item when a call is due. The results are in the order of the list. The first error cancels the other calls and is raised, with the item's position in `e.index`; with `on_error = "collect"` all calls are made, and the failures are the second result: a table from position to error, or `nil` when there are none.
---@param list any the items: a list, or an iterator
---@param f function called with an item and its position
---@param options? kstate.options.task.map
---@return table # the first result of each call, `nil` results left out
---@return table|nil # the failures, with `on_error = "collect"`
function kstate.task.map(list, f, options) end

---Calls all functions of a table at once and waits for them.
---
---The first error cancels the others and is raised, with its position in `e.index`.
---@param functions table the functions
---@return table # the first result of each, in the same places
function kstate.task.join(functions) end

---Calls all functions of a table at once, and takes the one that ends first.
---
---The others are cancelled. When the first to end failed, its error is raised.
---@param functions table the functions, at least one
---@return any # the first result of the fastest
---@return integer # its position
function kstate.task.race(functions) end

---Calls a function and cancels it when it takes too long.
---@param time string|number how long it may take
---@param f function what to call
---@param ... any its arguments
---@return any # what the function returned
function kstate.task.timeout(time, f, ...) end

---Waits. Other tasks go on meanwhile.
---@param time string|number how long
function kstate.task.sleep(time) end

---Makes a limit on how many tasks do something at once.
---@param permits integer how many, at least 1
---@return kstate.Semaphore # the limit
function kstate.task.semaphore(permits) end

---@class kstate.options.task.retry
---@field attempts? integer the most calls; default 5
---@field wait? string|number before the second call; default `"1s"`
---@field max_wait? string|number the longest wait; default `"30s"`
---@field on? table the kinds of error that may pass; default: those with `e.retryable`

---Calls a function again while it fails in a way that may pass.
---
---The waits double each time, with some randomness. Stores retry by themselves; this is for what a script does on top.
---@param f function what to call, with the number of the attempt
---@param options? kstate.options.task.retry
---@return any # what the function returned
function kstate.task.retry(f, options) end

---Encryption by age (age-encryption.org): to public keys, opened with secret ones.
kstate.age = {}

---Encrypts bytes, so that each of the recipients can decrypt them.
---
---Each call gives other bytes: keep the old ones when what is in them didn't change.
---@param bytes string the bytes
---@param recipients table a list of public keys (`age1…`), or of files with one a line
---@return string # the bytes of an age file
function kstate.age.encrypt(bytes, recipients) end

---Decrypts what was encrypted to one of these identities.
---@param bytes string the bytes of an age file
---@param identities table a list of files with secret keys, as `age-keygen` writes them
---@return string # the bytes
function kstate.age.decrypt(bytes, identities) end

---Returns the public keys that names of recipients stand for.
---@param recipients table a list of public keys (`age1…`), or of files with one a line
---@return string[] # the keys, each once, in byte order
function kstate.age.recipients(recipients) end

---Bytes as base64 (RFC 4648, the standard alphabet, with padding).
kstate.base64 = {}

---Reads base64.
---@param text string base64
---@return string # the bytes
function kstate.base64.decode(text) end

---Writes bytes as base64.
---@param bytes string the bytes
---@return string # base64, in one line
function kstate.base64.encode(bytes) end

---The person at the terminal, and the streams of the process.
kstate.cli = {}

---@class kstate.options.cli.confirm
---@field prompt string the question
---@field expect? string the word to type, such as a cluster's name

---Asks whether to go on.
---
---With `--yes` the answer is yes, and in a rehearsal (`--dry-run`, `kstate plan`), which writes nothing. Where nobody can answer (cron, a pipe) it is an error, so that nothing dangerous goes on by itself and nothing waits forever. With `expect`, only that word is a yes; without, `y` or `yes`.
---@param options kstate.options.cli.confirm
---@return boolean # whether the answer was yes
function kstate.cli.confirm(options) end

---Tells whether a person can answer.
---@return boolean # whether a person can answer
function kstate.cli.is_terminal() end

---Reads standard input to its end.
---
---At most 64 MiB. A second call finds nothing any more. Where a person types, it waits for Ctrl-D.
---@return string # the bytes
function kstate.cli.input() end

---@class kstate.options.cli.table
---@field header? table the names of the columns

---Prints rows in aligned columns.
---
---Numbers are aligned to the right.
---@param rows table a list of lists
---@param options? kstate.options.cli.table
function kstate.cli.table(rows, options) end

---Writes bytes to standard output as they are.
---@param bytes string the bytes
function kstate.cli.out(bytes) end

---Looking into a script while it runs.
kstate.debug = {}

---Opens a prompt in the middle of a script, until the person leaves it.
---
---The fields of `values` are variables there: the script's own locals can't be seen otherwise. What is changed in them is in the table afterwards. Where nobody can type (cron, a pipe) it says so and goes on. `kstate.exit` there ends the script.
---@param values? table what to look at, by name
function kstate.debug.repl(values) end

---What changes in a text, with the secrets in it hidden.
kstate.diff = {}

---@class kstate.options.diff.show
---@field secret? boolean the object is a secret as a whole, and nothing of it is shown

---Tells how an object's bytes change, as a plan does.
---
---Field by field where both are YAML, else line by line; long ones are cut. What looks like a secret is hidden.
---@param before? string the old bytes; `nil` for a new object
---@param after? string the new bytes; `nil` for one that is deleted
---@param options? kstate.options.diff.show
---@return string # the lines; empty when nothing may be shown
function kstate.diff.show(before, after, options) end

---Hides what looks like a secret in a text.
---
---By the names of fields, variables and flags, as part of a Kubernetes `Secret`, as a private key or as a password in a URL. Lines stay where they are.
---@param text string any text
---@return string # the same text with `<hidden>` for each secret
function kstate.diff.mask(text) end

---Environment variables, those with secrets only when that was granted.
kstate.env = {}

---Returns an environment variable.
---
---A variable is taken for a secret when its name has `SECRET`, `TOKEN`, `PASSWORD`, `PASSWD`, `KEY`, `CREDENTIAL` or `PRIVATE` in it, or its value a password as in `https://me:password@host`.
---@param name string the name
---@param default? string what to return when it is unset or empty
---@return string|nil # the value; `nil` when it is unset or empty
function kstate.env.get(name, default) end

---Checksums of bytes, in lower-case hex.
kstate.hash = {}

---Returns the SHA-256 of bytes.
---@param bytes string the bytes
---@return string # the checksum in lower-case hex
function kstate.hash.sha256(bytes) end

---Returns the MD5 of bytes, which guards against accidents but not against people.
---@param bytes string the bytes
---@return string # the checksum in lower-case hex
function kstate.hash.md5(bytes) end

---Returns the CRC-32C of bytes.
---@param bytes string the bytes
---@return string # the checksum in lower-case hex
function kstate.hash.crc32c(bytes) end

---Requests to other services, when their hosts were granted.
kstate.http = {}

---@class kstate.options.http.error
---@field message? string the service's own words
---@field hint? string what to do now

---Makes the error object that an answer stands for; raise it with `error`.
---
---Its kind is that of the status: `permission_denied` (401, 403, 407), `not_found` (404, 410), `unsupported` (405, 501), `precondition_failed` (412), `throttled` (429, 503), `unavailable` (408, 500, 502, 504), else `other`. Those that may pass are `retryable`.
---@param answer table what `http.request` returned
---@param options? kstate.options.http.error
---@return kstate.Error # the error object
function kstate.http.error(answer, options) end

---Writes a text as a part of a URL's path: its slashes stay, all else that may mean something there is percent-encoded.
---@param text string such as a key
---@return string # the text for a URL
function kstate.http.escape(text) end

---@class kstate.options.http.request
---@field method? string default `GET`
---@field headers? table texts by name
---@field body? string what is sent
---@field timeout? string|number how long it may take, redirects included; default 30 seconds
---@field limit? string|integer the most that the answer may have; default 8 MiB
---@field follow? integer how many redirects to follow; default 5, and 0 returns them

---Asks a service over HTTP or HTTPS, and returns its answer.
---
---Any status is an answer and no error. The names of the answer's headers are in small letters; one that came several times is joined by commas. Proxies are used as for stores (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`). A redirect is followed only to a host that was granted too, and never from `https` to `http`; to another host go only the headers `accept`, `accept-language`, `content-type` and `user-agent`. Credentials don't belong in the URL: use a header. A rehearsal (a dry run, a plan) refuses all methods but `GET`, `HEAD` and `OPTIONS`.
---@param url string an `http://` or `https://` URL
---@param options? kstate.options.http.request
---@return table # `status`, `headers`, `body`
function kstate.http.request(url, options) end

---JSON.
kstate.json = {}

---Reads JSON.
---
---`null` becomes `kstate.null`. Arrays and objects are remembered as such, and objects keep the order of their keys for `encode`.
---@param text string JSON
---@return any # the value
function kstate.json.decode(text) end

---@class kstate.options.json.encode
---@field pretty? boolean over several lines, indented by two spaces

---Writes a value as JSON.
---
---Keys are in the order in which they were decoded, else sorted. An empty table is `{}` unless it is a `kstate.array`.
---@param value any plain data
---@param options? kstate.options.json.encode
---@return string # JSON
function kstate.json.encode(value, options) end

---Messages to the person, on standard error; what is data goes to `print`.
kstate.log = {}

---Says something that helps to find a fault; shown with `-v`.
---
---The line of the script is shown with it.
---@param message string what happened
---@param fields? table values that belong to it, by name
function kstate.log.debug(message, fields) end

---Says what is going on.
---@param message string what happened
---@param fields? table values that belong to it, by name
function kstate.log.info(message, fields) end

---Says what may be wrong.
---@param message string what happened
---@param fields? table values that belong to it, by name
function kstate.log.warn(message, fields) end

---Says what went wrong, and goes on.
---
---To end the script, raise the error instead.
---@param message string what happened
---@param fields? table values that belong to it, by name
function kstate.log.error(message, fields) end

---What both sides changed, each in its own way; a plain table. A side that has nothing there is `nil`.
---@class kstate.Conflict
---@field path string where; elements of a keyed list go by their key: `spec.subnets.a.cidr`
---@field base? any what it was
---@field ours? any what we made of it
---@field theirs? any what they made of it
local Conflict = {}

---Merging, comparing and changing data. Arguments stay what they are; results are new.
kstate.merge = {}

---@class kstate.options.merge.deep
---@field lists? any how lists are merged: `"replace"` (the default), `"append"`, `"union"`, `"kops"`, or a table by path; see `kstate.merge.deep`

---Lays a value over another.
---
---Objects are merged by key, lists as `lists` says; anything else is replaced, also by `kstate.null`. The strategies: `"replace"`, the new list stands for the old one; `"append"`, the new elements follow the old ones; `"union"`, those follow that are not yet there; `"kops"`, the lists of kOps's API that have a key are merged by it (subnets by `name`), all others replaced. Or a table by path: `{ ["spec.subnets"] = "name", ["spec.etcdClusters[].etcdMembers"] = { "name" }, ["*"] = "append" }`. There a field's name, or a list of names, says what elements are known by: those in both lists are merged. In a path `*` is any key and `[]` any element; the path `*` alone is for all lists that have no other rule, and may be `"kops"`. The rule with fewer `*` wins.
---@param base any plain data
---@param over any what is laid over it
---@param options? kstate.options.merge.deep
---@return any # the merged value
function kstate.merge.deep(base, over, options) end

---Applies a JSON Merge Patch (RFC 7396).
---
---Objects are merged by key, `kstate.null` removes a key, anything else replaces what was there; lists as a whole.
---@param target any plain data
---@param patch any what is to change
---@return any # the patched value
function kstate.merge.patch(target, patch) end

---Applies a JSON Patch (RFC 6902): all operations, one after another, or none.
---
---Paths are JSON Pointers: `/spec/subnets/0/name`, counting from 0.
---@param target any plain data
---@param ops table a list of `{ op, path, value, from }`; `op` is `add`, `remove`, `replace`, `move`, `copy` or `test`
---@return any # the patched value
function kstate.merge.json_patch(target, ops) end

---@class kstate.options.merge.three_way
---@field lists? any how lists are merged: `"replace"` (the default), `"append"`, `"union"`, `"kops"`, or a table by path; see `kstate.merge.deep`
---@field resolve? function decides about a conflict, a `kstate.Conflict`

---Merges what two sides made of one value.
---
---Objects are merged by key; lists whose elements `lists` knows by a field, by element; lists of scalars, each once, as sets. Of anything else only one side may have changed it, or both alike; the rest are conflicts, where the result holds ours. `resolve` is called with each conflict, in the order of the result. It returns `"ours"`, `"theirs"`, `"base"`, `{ value = … }` or `{ remove = true }`; `nil` leaves the conflict open. It may wait, and ask a person. What it raises ends the merge.
---@param base any what both sides began with
---@param ours any what one side made of it
---@param theirs any what the other side made of it
---@param options? kstate.options.merge.three_way
---@return any # the merged value
---@return kstate.Conflict[] # the conflicts that stay open
function kstate.merge.three_way(base, ours, theirs, options) end

---@class kstate.options.merge.three_way_text
---@field ours? string what markers call our side; default `"ours"`
---@field theirs? string what markers call their side; default `"theirs"`

---Merges what two sides made of one text, line by line, as git does.
---
---Where both changed the same lines, each in its own way, both stand in the text between `<<<<<<<` and `>>>>>>>`.
---@param base string what both sides began with
---@param ours string what one side made of it
---@param theirs string what the other side made of it
---@param options? kstate.options.merge.three_way_text
---@return string # the text
---@return integer # how many conflicts it has
function kstate.merge.three_way_text(base, ours, theirs, options) end

---Gives the smallest JSON Merge Patch (RFC 7396) that makes one value of another.
---
---`kstate.merge.patch(a, kstate.merge.diff(a, b))` is `b`. Lists that differ are in it as a whole.
---@param a any plain data
---@param b any what is to be made of it
---@return any # the patch; empty when nothing differs
function kstate.merge.diff(a, b) end

---Gives a small JSON Patch (RFC 6902) that makes one value of another.
---
---`kstate.merge.json_patch(a, kstate.merge.diff_ops(a, b))` is `b`.
---@param a any plain data
---@param b any what is to be made of it
---@return table # the list of operations; empty when nothing differs
function kstate.merge.diff_ops(a, b) end

---Returns what is at a path of a value.
---
---Steps of a path: `a.b` is the key `b` in that of `a`; `a."b.c"` or `a["b.c"]` a key with odd characters; `a[0]` an element, which counts from 0 as in kOps and JSON, not from 1 as in Lua; `a[*]` all elements; `a[name=main]` those that are objects with this field; `a[+]` the place behind the last one; `.` the whole value. Of a path that chooses several, the first.
---@param value any plain data
---@param path string such as `spec.subnets[name=a].zone`; see `kstate.merge.get`
---@return any # what is there; `nil` when there is nothing
function kstate.merge.get(value, path) end

---Returns a value with another one at all places that a path chooses.
---
---Objects and lists on the way are made where there is nothing or null.
---@param value any plain data
---@param path string such as `spec.subnets[name=a].zone`; see `kstate.merge.get`
---@param new any what is put there
---@return any # the changed value
function kstate.merge.set(value, path, new) end

---Returns a value without all that a path chooses.
---@param value any plain data
---@param path string such as `spec.subnets[name=a].zone`; see `kstate.merge.get`
---@return any # the changed value
---@return boolean # whether anything was there
function kstate.merge.unset(value, path) end

---Keys and paths as text; nothing is looked up.
kstate.path = {}

---Joins parts with single slashes.
---
---Empty parts are left out. A part never starts anew: `join("a", "/b")` is `a/b`.
---@param ... any the parts
---@return string # the path
function kstate.path.join(...) end

---Returns the last segment.
---@param path string a key or path
---@return string # the last segment
function kstate.path.base(path) end

---Returns all but the last segment, without a slash at the end.
---@param path string a key or path
---@return string # the folder; empty when there is none
function kstate.path.dir(path) end

---Returns the last segment's extension, with the dot.
---@param path string a key or path
---@return string # the extension; empty when there is none
function kstate.path.ext(path) end

---Resolves `.`, `..` and double slashes.
---
---What is before `://` is left as it is. A `..` at the top is kept in a relative path and dropped in an absolute one.
---@param path string a key or path
---@return string # the path
function kstate.path.normalize(path) end

---Other programs, run without a shell, when that was granted.
kstate.process = {}

---@class kstate.options.process.run
---@field stdin? string what it reads; default: nothing
---@field timeout? string|number how long it may run; default: as long as the script
---@field env? table more environment variables, by name
---@field cwd? string the folder to run it in; default: kstate's own
---@field limit? string|integer the most that it may print on either way; default 8 MiB
---@field read_only? boolean it changes nothing, so that a rehearsal may run it too

---Runs a program to its end, and returns what it printed.
---
---There is no shell: the arguments reach the program as they are. A bare name is looked up in `PATH`. An exit code other than 0 is no error; `128 + n` means that signal `n` ended the program. Of the environment it gets `PATH`, `HOME`, `USER`, `LOGNAME`, `SHELL`, `TERM`, `TMPDIR`, `TZ`, `LANG` and the like, and what `env` adds; no credentials. When the call is cancelled or takes too long, the program and all that it started are killed. kstate can't see what a program writes, so a rehearsal (a dry run, a plan) refuses to run one, unless `read_only` says that it changes nothing. `--read-only` and `--allow-write` don't bind programs.
---@param name string a bare name or an absolute path
---@param args? table a list of texts and whole numbers
---@param options? kstate.options.process.run
---@return table # `code`, `stdout`, `stderr`
function kstate.process.run(name, args, options) end

---What tests say beyond Lua's own `assert`; `kstate test` runs them.
kstate.test = {}

---@class kstate.options.test.equal
---@field message? string what the failure begins with

---Fails unless two values are equal, tables by what is in them.
---
---The failure shows how they differ.
---@param actual any what came
---@param expected any what should have come
---@param options? kstate.options.test.equal
function kstate.test.equal(actual, expected, options) end

---Fails unless a function raises an error of a kind; returns that error.
---
---What a script raises with Lua's `error` is of the kind `other`.
---@param kind string the kind
---@param f function what to call
---@param ... any its arguments
---@return kstate.Error # the error
function kstate.test.raises(kind, f, ...) end

---Points in time as seconds since 1970, as text (RFC 3339, UTC), and durations.
kstate.time = {}

---Returns the current time.
---@return number # seconds since 1970 in UTC, with a fraction
function kstate.time.now() end

---Writes a point in time as RFC 3339 in UTC, to the second.
---@param time? number seconds since 1970; default: now
---@return string # such as `2026-01-31T08:00:00Z`
function kstate.time.format(time) end

---Reads an RFC 3339 time, or a date as HTTP's headers have it.
---@param text string such as `2026-01-31T08:00:00Z` or `Sat, 31 Jan 2026 08:00:00 GMT`
---@return number # seconds since 1970 in UTC
function kstate.time.parse(text) end

---Returns a duration in seconds.
---@param duration string|number such as `"1m30s"`
---@return number # seconds
function kstate.time.seconds(duration) end

---Writes a duration as people do.
---@param duration string|number such as `90`
---@return string # such as `1m30s`
function kstate.time.duration(duration) end

---A YAML text that is changed in place: what isn't changed stays byte for byte. `tostring(doc)` is the text.
---@class kstate.YamlDocument
local YamlDocument = {}

---@class kstate.options.YamlDocument.get
---@field document? integer which one of a text with several, counting from 1; default 1

---Returns the value at a path.
---
---As `kstate.yaml.decode` gives it, but a merge key `<<` is a key like others. Of a path that chooses several, the first.
---@param path string such as `spec.subnets[name=a].zone`; see `kstate.merge.get`
---@param options? kstate.options.YamlDocument.get
---@return any # the value; `nil` when there is none
function YamlDocument:get(path, options) end

---@class kstate.options.YamlDocument.all
---@field document? integer which one of a text with several, counting from 1; default 1

---Returns all values that a path chooses.
---@param path string such as `spec.subnets[name=a].zone`; see `kstate.merge.get`
---@param options? kstate.options.YamlDocument.all
---@return table # the list of values; empty when there is none
function YamlDocument:all(path, options) end

---@class kstate.options.YamlDocument.set
---@field document? integer which one of a text with several, counting from 1; default 1

---Writes a value at all places that a path chooses.
---
---Over what is there, by the fewest changes that make it of that; as a new key, sorted in where the others are sorted, with the mappings on the way to it; as a new element for `[+]`. A string stays a string, also where YAML would take it for a number, and an integer an integer. A quoted string stays quoted.
---@param path string such as `spec.subnets[name=a].zone`; see `kstate.merge.get`
---@param value any plain data
---@param options? kstate.options.YamlDocument.set
function YamlDocument:set(path, value, options) end

---@class kstate.options.YamlDocument.unset
---@field document? integer which one of a text with several, counting from 1; default 1

---Removes all that a path chooses.
---
---The comment on its line goes with it, and the comment lines right above in the same column.
---@param path string such as `spec.subnets[name=a].zone`; see `kstate.merge.get`
---@param options? kstate.options.YamlDocument.unset
---@return boolean # whether anything was there
function YamlDocument:unset(path, options) end

---@class kstate.options.YamlDocument.append
---@field document? integer which one of a text with several, counting from 1; default 1

---Adds an element to all lists that a path chooses, behind the last one.
---
---Where there is nothing or null, a list is made.
---@param path string such as `spec.subnets[name=a].zone`; see `kstate.merge.get`
---@param value any plain data
---@param options? kstate.options.YamlDocument.append
function YamlDocument:append(path, value, options) end

---@class kstate.options.YamlDocument.merge
---@field lists? any how lists are merged: `"replace"` (the default), `"append"`, `"union"`, `"kops"`, or a table by path; see `kstate.merge.deep`
---@field document? integer which one of a text with several, counting from 1; default 1

---Lays a value over the document, as `kstate.merge.deep` does, by the fewest changes.
---@param value any plain data
---@param options? kstate.options.YamlDocument.merge
function YamlDocument:merge(value, options) end

---@class kstate.options.YamlDocument.apply
---@field document? integer which one of a text with several, counting from 1; default 1

---Makes the document hold a value, by the fewest changes.
---
---Keys that the value lacks are removed. Elements of lists are told by their `name` or by what they have in common. `doc:apply(doc:value())` changes nothing.
---@param value any plain data
---@param options? kstate.options.YamlDocument.apply
function YamlDocument:apply(value, options) end

---@class kstate.options.YamlDocument.value
---@field document? integer which one of a text with several, counting from 1; default 1

---Returns the whole value of a document.
---
---As `get` does; an empty document is `kstate.null`.
---@param options? kstate.options.YamlDocument.value
---@return any # the value
function YamlDocument:value(options) end

---Returns how many documents the text has.
---
---An empty text has one, which is null.
---@return integer # how many
function YamlDocument:documents() end

---@class kstate.options.YamlDocument.position
---@field document? integer which one of a text with several, counting from 1; default 1

---Tells where the value at a path stands in the text.
---
---Where there is less than the path says, the last value on the way to it.
---@param path string such as `spec.subnets[name=a].zone`; see `kstate.merge.get`
---@param options? kstate.options.YamlDocument.position
---@return integer # the line, counting from 1
---@return integer # the column in characters, counting from 1
function YamlDocument:position(path, options) end

---Returns the text with all changes.
---@return string # YAML
function YamlDocument:text() end

---YAML as data, and as a text that is changed in place: decoding loses comments and quoting, editing keeps them.
kstate.yaml = {}

---Reads one YAML document.
---
---Scalars are read as YAML 1.2: `yes` is a string. `null` becomes `kstate.null`; keys become strings and keep their order; anchors and merge keys are resolved.
---@param text string YAML
---@return any # the value
function kstate.yaml.decode(text) end

---Reads all YAML documents of a text.
---
---Documents are separated by `---`.
---@param text string YAML
---@return table # the list of values
function kstate.yaml.decode_all(text) end

---Writes a value as a YAML document.
---
---What YAML 1.1, which kOps reads, would take for something else than a string is quoted. Keys are in the order in which they were decoded, else sorted.
---@param value any plain data
---@return string # YAML, with a newline at the end
function kstate.yaml.encode(value) end

---Opens a YAML text to be changed in place: comments, order, quotes and line ends stay.
---
---After each change the text is parsed again. It must hold what was asked for and nothing else, or the change is refused. A text may have several documents. At most 16 MiB are read.
---@param text string YAML
---@param label? string what errors call the text, such as its URL
---@return kstate.YamlDocument # the document
function kstate.yaml.edit(text, label) end
