-- git, as a script runs it on a person's repository.
--
-- No program that the repository names for itself is run but its filters and what signs commits;
-- nothing stays behind in the background, and nobody is asked.

local kstate = kstate
local args = require("lib.args")

local git = {}

local SAFE = {
  "--no-pager",
  "-c", "core.hooksPath=/dev/null",
  "-c", "core.fsmonitor=false",
  "-c", "maintenance.auto=false",
}

-- What signs commits may need: keys that are open already, and no way to ask for those that aren't.
local function environment(is_read_only)
  return {
    LC_ALL = "C",
    GIT_TERMINAL_PROMPT = "0",
    GIT_OPTIONAL_LOCKS = is_read_only and "0" or "1",
    GNUPGHOME = kstate.env.get("GNUPGHOME"),
    SSH_AUTH_SOCK = kstate.env.get("SSH_AUTH_SOCK"),
    SSH_ASKPASS = "false",
    SSH_ASKPASS_REQUIRE = "force",
  }
end

-- Runs git in a folder, whatever its exit code.
function git.run(folder, words, options)
  local all = table.move(SAFE, 1, #SAFE, 1, {})
  all[#all + 1], all[#all + 2] = "-C", folder
  table.move(words, 1, #words, #all + 1, all)
  options = options or {}
  options.timeout = "10m"
  options.env = environment(options.read_only)
  -- A path is a path as it is, with its colons and stars.
  options.env.GIT_LITERAL_PATHSPECS = words[1] ~= "check-ignore" and "1" or nil
  return kstate.process.run("git", all, options)
end

-- Ends the run with what git said.
local function failed(folder, ended, hint)
  local said = (ended.stderr .. ended.stdout):gsub("%s+$", "")
  kstate.log.error(("git failed in %s with exit code %d: %s"):format(folder, ended.code, said))
  kstate.log.error(hint or "mend that and run it again: it goes on with what is written already")
  kstate.exit(1)
end

local function output(folder, words, options)
  local ended = git.run(folder, words, options)
  if ended.code ~= 0 then
    failed(folder, ended)
  end
  return ended.stdout
end

-- The work tree that a folder, which may not exist yet, lies in: its top, and the way from there.
function git.work_tree(path)
  local at, rest = path, ""
  while true do
    local ended = git.run(at, { "rev-parse", "--show-toplevel", "--show-prefix" }, { read_only = true })
    if ended.code == 0 then
      local top, prefix = ended.stdout:match("^([^\n]+)\n([^\n]*)\n")
      return { top = top, prefix = prefix .. rest }
    elseif not ended.stderr:find("No such file or directory", 1, true) or at == "/" then
      args.refuse(
        ("%s is in no work tree of git: %s"):format(path, ended.stderr:gsub("%s+$", "")),
        "make one first: git init FOLDER"
      )
    end
    rest = kstate.path.base(at) .. "/" .. rest
    at = kstate.path.dir(at)
    at = at == "" and "/" or at
  end
end

-- What differs below the folder from the last commit: a sign by the path from the folder.
function git.uncommitted(work)
  local words = { "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--" }
  words[#words + 1] = work.prefix == "" and "." or work.prefix
  local found = {}
  for code, path in output(work.top, words, { read_only = true }):gmatch("(..) ([^\0]+)\0") do
    path = path:sub(#work.prefix + 1)
    if not path:find("^%.kstate/") then
      found[path] = (code == "??" or code:find("A", 1, true)) and "+" or code:find("D", 1, true) and "-" or "~"
    end
  end
  return found
end

local function paths_of(work, files)
  local paths = {}
  for at, file in ipairs(files) do
    paths[at] = work.prefix .. file .. "\0"
  end
  return table.concat(paths)
end

-- Refuses files that git ignores: they would silently be in no commit.
function git.check_ignored(work, files)
  local ended = git.run(work.top, { "check-ignore", "-z", "--stdin" }, { read_only = true, stdin = paths_of(work, files) })
  if ended.code > 1 then
    failed(work.top, ended)
  end
  local ignored = {}
  for path in ended.stdout:gmatch("([^\0]+)\0") do
    ignored[#ignored + 1] = path
  end
  if #ignored > 0 then
    args.refuse("git ignores files of the export:\n  " .. args.listed(ignored), "change .gitignore; git check-ignore -v FILE tells which line it is")
  end
end

-- Who commits, where nobody told git.
local function committer(top)
  local who = {}
  for name, fallback in pairs({ ["user.name"] = "kstate", ["user.email"] = "kstate@localhost" }) do
    local known = git.run(top, { "config", "--get", name }, { read_only = true })
    if not known.stdout:find("%S") then
      who[#who + 1], who[#who + 2] = "-c", name .. "=" .. fallback
    end
  end
  return who
end

-- Commits these files and nothing else; gives the commit.
function git.commit(work, files, message)
  local paths = paths_of(work, files)
  output(work.top, { "add", "--pathspec-from-file=-", "--pathspec-file-nul" }, { stdin = paths })
  local words = committer(work.top)
  for _, word in ipairs({ "commit", "--quiet", "--cleanup=verbatim", "-m", message, "--only", "--pathspec-from-file=-", "--pathspec-file-nul" }) do
    words[#words + 1] = word
  end
  local ended = git.run(work.top, words, { stdin = paths })
  if ended.code ~= 0 then
    failed(work.top, ended, "the files are written and not committed: mend that and run it again; a signature must work without a passphrase being asked for, or be off (git config commit.gpgsign false)")
  end
  return (output(work.top, { "rev-parse", "HEAD" }, { read_only = true }):gsub("%s+$", ""))
end

return git
