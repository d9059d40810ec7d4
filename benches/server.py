"""The S3 server of a race: ours on loopback, or one that is given; and what a race does to it."""

import os
import pathlib
import re
import shlex
import subprocess
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
ROOT = pathlib.Path(os.environ.get("KSTATE_SERVERS") or os.path.join(os.environ.get("TMPDIR", "/tmp"), "kstate-servers"))

# One line per request; the plain curl of the server's start is anonymous and not counted.
REQUEST = {
    "radosgw": re.compile(rb' beast: \S+ \S+ - (?!anonymous)\S+ \[[^]]*\] "(?:GET|HEAD|PUT|POST|DELETE) '),
    "moto": re.compile(rb'"(?:\x1b\[\S*m)?(?:GET|HEAD|PUT|POST|DELETE) \S+ HTTP/1'),
}


class Server:
    """`endpoint` and `second` reach the same store under two names, so that a client that is
    given both has to move the bytes itself."""

    def __init__(self, kind, second, s5cmd):
        self.kind = kind
        self.s5cmd = s5cmd
        self.log = None
        self.read = self.counted = 0
        self.instance = None
        if kind in REQUEST:
            self.start()
        else:
            self.endpoint = kind
            self.credentials = {k: os.environ.get(k, "") for k in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        self.second = second or self.endpoint.replace("127.0.0.1", "localhost")

    def start(self):
        script = REPOSITORY / "tests" / "servers" / self.kind
        env = os.environ | {"KSTATE_RADOSGW_MEMORY": str(16 << 30)}
        started = subprocess.run([script], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if started.returncode:
            raise SystemExit(started.stderr)
        words = [word for line in started.stdout.splitlines() for word in shlex.split(line, comments=True)]
        values = dict(word.split("=", 1) for word in words if "=" in word)
        self.endpoint = values["AWS_ENDPOINT_URL"]
        self.credentials = {k: values[k] for k in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        self.instance = f"{self.kind}-{self.endpoint.rsplit(':', 1)[1]}"
        self.folder = ROOT / self.instance
        self.log = self.folder / {"radosgw": "client.rgw.a.log", "moto": "moto.log"}[self.kind]

    def description(self):
        if not self.instance:
            return "a given endpoint"
        if self.kind == "moto":
            return "moto"
        out = subprocess.run(["radosgw", "--version"], capture_output=True, text=True, check=True).stdout
        return f"radosgw {re.search(r'[0-9.]+', out)[0]}"

    def stop(self):
        if self.instance:
            subprocess.run([REPOSITORY / "tests" / "servers" / "stop", self.instance], check=True)

    def environment(self):
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(ROOT / "race" / "home"),
            "LC_ALL": "C.UTF-8",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(ROOT / "race" / "aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
            **self.credentials,
        }

    def requests(self):
        """How many requests the server has answered so far; None when it keeps no log here."""
        if not self.log:
            return None
        # The log is written behind the answers, so wait until it rests.
        size = -1
        while size != self.log.stat().st_size:
            size = self.log.stat().st_size
            time.sleep(0.3)
        with open(self.log, "rb") as file:
            file.seek(self.read)
            self.counted += sum(1 for line in file if REQUEST[self.kind].search(line))
            self.read = file.tell()
        return self.counted

    def do(self, *arguments, check=True):
        command = [self.s5cmd, "--endpoint-url", self.endpoint, *arguments]
        out = subprocess.run(command, env=self.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if check and out.returncode:
            raise SystemExit(f"s5cmd {' '.join(arguments)}: {out.stderr.strip()}")
        return out.stdout

    def make_bucket(self, bucket):
        self.do("mb", f"s3://{bucket}", check=False)
        self.empty(bucket)

    def empty(self, bucket):
        # With nothing to delete s5cmd reports an error.
        self.do("rm", f"s3://{bucket}/*", check=False)
        if self.holds(bucket) != (0, 0):
            raise SystemExit(f"{bucket} could not be emptied")
        if self.kind == "radosgw":
            # What is deleted goes now, not while the next tool runs.
            gc = ["radosgw-admin", "-c", self.folder / "data" / "ceph.conf", "gc", "process", "--include-all"]
            subprocess.run(gc, stdin=subprocess.DEVNULL, capture_output=True, check=True)

    def fill(self, bucket, folder):
        self.do("sync", f"{folder}/", f"s3://{bucket}/")

    def holds(self, bucket):
        """The number of objects in a bucket, and of their bytes."""
        out = self.do("du", f"s3://{bucket}/*", check=False)
        found = re.match(r"(\d+) bytes in (\d+) objects", out)
        return (int(found[2]), int(found[1])) if found else (0, 0)
